//! DNS messages on the wire (RFC 1035 section 4, RFC 6891): reading a question, writing an answer
//! to it, and checking an upstream's answer against it. Pure. hickory-proto decodes and encodes;
//! what goes on to an upstream, and what comes back from it, stays the bytes that it was.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, rdata},
    serialize::binary::{BinDecodable, BinDecoder},
};
use netd_common::limits::{DNS_EDNS_SIZE, DNS_TTL};

use crate::model::WireName;

/// Octets of the header.
pub const HEADER: usize = 12;
/// What a client takes over UDP without EDNS (RFC 1035 section 4.2.1).
pub const PLAIN_UDP: usize = 512;
/// Record type and class, behind a question's name.
const QUESTION_TAIL: usize = 4;

/// A message that asks one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// All of it, as it came.
    pub message: Vec<u8>,
    /// The name asked for, lower case.
    pub name: WireName,
    /// Where the question section ends in `message`.
    pub end: usize,
    /// Name as written, type and class.
    pub query: Query,
    /// Its OPT record.
    pub edns: Option<Edns>,
    metadata: Metadata,
}

/// What is in a message that is not one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoQuestion {
    /// Not a question at all: too short or an answer. Answering could loop.
    Ignore,
    /// To be answered with this error, without question section.
    Error(ResponseCode),
}

/// A record's data in an answer about netd's own names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// To an A question.
    A(Ipv4Addr),
    /// To an AAAA question.
    Aaaa(Ipv6Addr),
    /// To a PTR question.
    Ptr(WireName),
}

impl Question {
    /// Reads a message that should be one question of class IN or any other.
    ///
    /// # Errors
    /// [`NoQuestion`]: what to do with it instead.
    pub fn read(message: &[u8]) -> Result<Question, NoQuestion> {
        let header = header(message).ok_or(NoQuestion::Ignore)?;
        if header.metadata.message_type != MessageType::Query {
            return Err(NoQuestion::Ignore);
        }
        if header.metadata.op_code != OpCode::Query {
            return Err(NoQuestion::Error(ResponseCode::NotImp));
        }
        let malformed = || NoQuestion::Error(ResponseCode::FormErr);
        let mut decoded = Message::from_vec(message).map_err(|_| malformed())?;
        let query = decoded.queries.pop().ok_or_else(malformed)?;
        if !decoded.queries.is_empty() {
            return Err(malformed());
        }
        // Read once more, since a compressed name in a question could not be echoed as bytes.
        let rest = message.get(HEADER..).unwrap_or_default();
        let (name, length) = WireName::read(rest).map_err(|_| malformed())?;
        Ok(Question {
            message: message.to_owned(),
            name,
            end: HEADER + length + QUESTION_TAIL,
            query,
            edns: decoded.edns,
            metadata: header.metadata,
        })
    }

    /// Its header, but for the counts.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Octets of the largest answer that may go back over UDP. Never more than netd itself
    /// announces: larger ones would be fragmented on the way into the sandbox.
    pub fn udp_limit(&self) -> usize {
        self.edns.as_ref().map_or(PLAIN_UDP, |edns| {
            usize::from(edns.max_payload().min(DNS_EDNS_SIZE)).max(PLAIN_UDP)
        })
    }

    /// An answer of at most `limit` octets; with TC set and fewer records where they do not fit.
    /// All records are of one type.
    pub fn answer(&self, rcode: ResponseCode, records: &[Data], limit: usize) -> Vec<u8> {
        let empty = self.encode(rcode, &[], false);
        let Some(one) = records.first() else {
            return empty;
        };
        let with_one = self.encode(rcode, std::slice::from_ref(one), false);
        let each = with_one.len().saturating_sub(empty.len()).max(1);
        let room = limit.saturating_sub(empty.len()) / each;
        match records.get(..room) {
            Some(fitting) if room < records.len() => self.encode(rcode, fitting, true),
            _ => self.encode(rcode, records, false),
        }
    }

    fn encode(&self, rcode: ResponseCode, records: &[Data], truncated: bool) -> Vec<u8> {
        let mut answer = response(&self.metadata, rcode);
        answer.metadata.truncation = truncated;
        answer.add_query(self.query.clone());
        for data in records {
            if let Some(data) = data.rdata() {
                let name = self.query.name().clone();
                answer.add_answer(Record::from_rdata(name, DNS_TTL, data));
            }
        }
        if let Some(asked) = &self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(DNS_EDNS_SIZE)
                .set_dnssec_ok(asked.flags().dnssec_ok);
            answer.set_edns(edns);
        }
        // What was decoded from a message, and addresses, can be encoded.
        answer.to_vec().unwrap_or_default()
    }

    /// The same answer as an upstream gave, as it may go back over UDP: whole where it fits, else
    /// without its records and with TC, so that the client asks again over TCP.
    pub fn fit(&self, answer: Vec<u8>) -> Vec<u8> {
        if answer.len() <= self.udp_limit() {
            return answer;
        }
        let rcode = match response_code(&answer) {
            Some(ResponseCode::NXDomain) => ResponseCode::NXDomain,
            _ => ResponseCode::NoError,
        };
        self.encode(rcode, &[], true)
    }

    /// Whether `answer` answers this question (RFC 5452 section 9.1); the id is the caller's to
    /// check. Errors may come without the question.
    pub fn is_answered_by(&self, answer: &[u8]) -> bool {
        let mut decoder = BinDecoder::new(answer);
        let Ok(header) = Header::read(&mut decoder) else {
            return false;
        };
        let metadata = header.metadata;
        if metadata.message_type != MessageType::Response || metadata.op_code != OpCode::Query {
            return false;
        }
        match header.counts.queries {
            1 => {
                // Names compare without regard to case.
                let echoed = Query::read(&mut decoder);
                echoed.is_ok_and(|echoed| echoed == self.query) && decoder.index() == self.end
            }
            0 => !is_good(metadata.response_code),
            _ => false,
        }
    }

    /// Puts the client's id and the question as it wrote it into an upstream's answer that
    /// [`Question::is_answered_by`] accepted.
    pub fn own(&self, answer: &mut [u8]) {
        copy(answer, &self.message, 0..2);
        if answer.get(4..6) == Some(&[0, 1]) {
            copy(answer, &self.message, HEADER..self.end);
        }
    }
}

impl Data {
    /// `None` for a target that is no name, which [`WireName`] excludes.
    fn rdata(&self) -> Option<RData> {
        match self {
            Data::A(address) => Some(RData::A(rdata::A(*address))),
            Data::Aaaa(address) => Some(RData::AAAA(rdata::AAAA(*address))),
            Data::Ptr(target) => {
                let name = Name::read(&mut BinDecoder::new(target.as_bytes())).ok()?;
                Some(RData::PTR(rdata::PTR(name)))
            }
        }
    }
}

/// An answer without question section, for a message that is not one question.
pub fn error(message: &[u8], rcode: ResponseCode) -> Vec<u8> {
    let answer = header(message).map(|header| response(&header.metadata, rcode));
    answer
        .and_then(|answer| answer.to_vec().ok())
        .unwrap_or_default()
}

/// The response code in the header, if there is a header.
pub fn response_code(message: &[u8]) -> Option<ResponseCode> {
    header(message).map(|header| header.metadata.response_code)
}

/// Whether a name server has found out what there is: that there is nothing counts.
pub fn is_good(rcode: ResponseCode) -> bool {
    matches!(rcode, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// Whether the answer was cut off.
pub fn is_truncated(message: &[u8]) -> bool {
    header(message).is_some_and(|header| header.metadata.truncation)
}

fn header(message: &[u8]) -> Option<Header> {
    Header::read(&mut BinDecoder::new(message)).ok()
}

fn response(asked: &Metadata, rcode: ResponseCode) -> Message {
    let mut answer = Message::response(asked.id, asked.op_code);
    answer.metadata = Metadata::response_from_request(asked);
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = rcode;
    answer
}

fn copy(to: &mut [u8], from: &[u8], range: std::ops::Range<usize>) {
    if let (Some(to), Some(from)) = (to.get_mut(range.clone()), from.get(range)) {
        to.copy_from_slice(from);
    }
}
