//! DNS messages on the wire (RFC 1035 section 4, RFC 6891): reading a question, writing an answer
//! to it, and checking an upstream's answer against it. Pure. The question's bytes come back as
//! they were, letter case included, and what is not understood is forwarded unchanged, so nothing
//! here decodes and re-encodes a message.

use std::net::{Ipv4Addr, Ipv6Addr};

use netd_common::limits::{DNS_EDNS_SIZE, DNS_TTL};

use crate::model::WireName;

/// Octets of the header.
pub const HEADER: usize = 12;
/// What a client takes over UDP without EDNS (RFC 1035 section 4.2.1).
pub const PLAIN_UDP: usize = 512;
/// The Internet's class.
pub const CLASS_IN: u16 = 1;

const QR: u8 = 0x80;
const TC: u8 = 0x02;
const RD: u8 = 0x01;
const RA: u8 = 0x80;
const CD: u8 = 0x10;
const OPCODE: u8 = 0x78;

/// Record types that are told apart here.
pub mod record_type {
    /// IPv4 address.
    pub const A: u16 = 1;
    /// Name of an address.
    pub const PTR: u16 = 12;
    /// IPv6 address.
    pub const AAAA: u16 = 28;
    /// EDNS.
    pub const OPT: u16 = 41;
    /// Incremental zone transfer.
    pub const IXFR: u16 = 251;
    /// Zone transfer.
    pub const AXFR: u16 = 252;
}

/// Response codes that are given or told apart here (RFC 6895 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Rcode {
    /// Done; perhaps with no record of that type.
    NoError = 0,
    /// The question cannot be read.
    FormErr = 1,
    /// It was not possible to find out.
    ServFail = 2,
    /// There is no such name.
    NxDomain = 3,
    /// Not a standard query.
    NotImp = 4,
    /// Not for this client, or not this type.
    Refused = 5,
    /// An EDNS version above 0.
    BadVers = 16,
}

/// A message that asks one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// All of it.
    pub message: Vec<u8>,
    /// The name asked for, lower case.
    pub name: WireName,
    /// The record type asked for.
    pub record_type: u16,
    /// The class asked for: [`CLASS_IN`] but for curiosities.
    pub class: u16,
    /// Where the question section ends in `message`.
    pub end: usize,
    /// Its OPT record.
    pub edns: Option<Edns>,
}

/// What netd looks at in an OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// UDP message size that the client takes, in octets.
    pub size: u16,
    /// EDNS version.
    pub version: u8,
    /// The client wants DNSSEC records (DO).
    pub dnssec: bool,
}

/// What is in a message that is not one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoQuestion {
    /// Not a question at all: too short or an answer. Answering could loop.
    Ignore,
    /// To be answered with this error, without question section.
    Error(Rcode),
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
        let header = message.first_chunk::<HEADER>().ok_or(NoQuestion::Ignore)?;
        let [_, _, flags, _, counts @ ..] = header;
        if flags & QR != 0 {
            return Err(NoQuestion::Ignore);
        }
        if flags & OPCODE != 0 {
            return Err(NoQuestion::Error(Rcode::NotImp));
        }
        let malformed = || NoQuestion::Error(Rcode::FormErr);
        let [q0, q1, an0, an1, ns0, ns1, ar0, ar1] = *counts;
        if [q0, q1] != [0, 1] {
            return Err(malformed());
        }
        let rest = message.get(HEADER..).unwrap_or_default();
        let (name, length) = WireName::read(rest).map_err(|_| malformed())?;
        let fields = rest.get(length..).and_then(|rest| rest.first_chunk());
        let [t0, t1, c0, c1]: [u8; 4] = *fields.ok_or_else(malformed)?;
        let end = HEADER + length + 4;
        let before =
            u32::from(u16::from_be_bytes([an0, an1])) + u32::from(u16::from_be_bytes([ns0, ns1]));
        let additional = u32::from(u16::from_be_bytes([ar0, ar1]));
        let edns = find_edns(message, end, before, additional).ok_or_else(malformed)?;
        Ok(Question {
            message: message.to_owned(),
            name,
            record_type: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            end,
            edns,
        })
    }

    /// Octets of the largest answer that may go back over UDP. Never more than netd itself
    /// announces: larger ones would be fragmented on the way into the sandbox.
    pub fn udp_limit(&self) -> usize {
        self.edns.map_or(PLAIN_UDP, |edns| {
            usize::from(edns.size.min(DNS_EDNS_SIZE)).max(PLAIN_UDP)
        })
    }

    /// An answer of at most `limit` octets; with TC set and fewer records where they do not fit.
    pub fn answer(&self, rcode: Rcode, records: &[Data], limit: usize) -> Vec<u8> {
        let opt_length = if self.edns.is_some() { OPT_LENGTH } else { 0 };
        let mut answer = self.head(rcode);
        let mut count: u16 = 0;
        for data in records {
            let before = answer.len();
            data.write(&mut answer);
            if answer.len() + opt_length > limit {
                answer.truncate(before);
                set(&mut answer, 2, TC);
                break;
            }
            count += 1;
        }
        answer.splice(6..8, count.to_be_bytes());
        if let Some(edns) = self.edns {
            answer.splice(10..12, [0, 1]);
            write_opt(&mut answer, rcode, edns.dnssec);
        }
        answer
    }

    /// The same answer as an upstream gave, as it may go back over UDP: whole where it fits, else
    /// without its records and with TC, so that the client asks again over TCP.
    pub fn fit(&self, answer: Vec<u8>) -> Vec<u8> {
        if answer.len() <= self.udp_limit() {
            return answer;
        }
        let rcode = match response_code(&answer) {
            Some(3) => Rcode::NxDomain,
            _ => Rcode::NoError,
        };
        let mut cut = self.answer(rcode, &[], usize::MAX);
        set(&mut cut, 2, TC);
        cut
    }

    /// Whether `answer` answers this question (RFC 5452 section 9.1); the id is the caller's to
    /// check. Errors may come without the question.
    pub fn is_answered_by(&self, answer: &[u8]) -> bool {
        let Some([_, _, flags, _, q0, q1, ..]) = answer.first_chunk::<HEADER>() else {
            return false;
        };
        if flags & QR == 0 || flags & OPCODE != 0 {
            return false;
        }
        match [*q0, *q1] {
            [0, 1] => {
                let asked = self.message.get(HEADER..self.end);
                let echoed = answer.get(HEADER..self.end);
                asked
                    .zip(echoed)
                    .is_some_and(|(asked, echoed)| same_question(asked, echoed))
            }
            [0, 0] => !matches!(response_code(answer), Some(0 | 3)),
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

    fn head(&self, rcode: Rcode) -> Vec<u8> {
        let mut head = Vec::with_capacity(PLAIN_UDP);
        head.extend_from_slice(self.message.get(..self.end).unwrap_or_default());
        turn_into_response(&mut head, rcode);
        head
    }
}

/// An answer without question section, for a message that is not one question.
pub fn error(message: &[u8], rcode: Rcode) -> Vec<u8> {
    let mut answer = message.get(..HEADER).unwrap_or_default().to_vec();
    turn_into_response(&mut answer, rcode);
    answer.splice(4.., [0; 8]);
    answer
}

/// The response code in the header (its lower four bits).
pub fn response_code(message: &[u8]) -> Option<u8> {
    message.get(3).map(|flags| flags & 0x0f)
}

/// Whether the answer was cut off.
pub fn is_truncated(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & TC != 0)
}

/// Octets of an OPT record without options.
const OPT_LENGTH: usize = 11;

fn turn_into_response(message: &mut Vec<u8>, rcode: Rcode) {
    if let Some([_, _, high, low, ..]) = message.first_chunk_mut::<HEADER>() {
        *high = QR | *high & (OPCODE | RD);
        *low = RA | *low & CD | (rcode as u16 & 0x0f) as u8;
    }
    if message.len() >= HEADER {
        message.splice(6..HEADER, [0; 6]);
    }
}

fn write_opt(message: &mut Vec<u8>, rcode: Rcode, dnssec: bool) {
    message.push(0);
    message.extend(record_type::OPT.to_be_bytes());
    message.extend(DNS_EDNS_SIZE.to_be_bytes());
    message.extend([(rcode as u16 >> 4) as u8, 0, u8::from(dnssec) << 7, 0]);
    message.extend([0, 0]);
}

impl Data {
    /// With the name as a pointer to the question's (RFC 1035 section 4.1.4).
    fn write(&self, message: &mut Vec<u8>) {
        let (record_type, data): (u16, &[u8]) = match self {
            Data::A(address) => (record_type::A, &address.octets()),
            Data::Aaaa(address) => (record_type::AAAA, &address.octets()),
            Data::Ptr(name) => (record_type::PTR, name.as_bytes()),
        };
        message.extend([0xc0, HEADER as u8]);
        message.extend(record_type.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        message.extend(DNS_TTL.to_be_bytes());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
    }
}

/// Walks the records from `offset` on; `None` where they are cut off or there are two OPTs.
fn find_edns(
    message: &[u8],
    mut offset: usize,
    before: u32,
    additional: u32,
) -> Option<Option<Edns>> {
    let mut found = None;
    for index in 0..before + additional {
        let is_root = message.get(offset) == Some(&0);
        offset = skip_name(message, offset)?;
        let fixed = message.get(offset..)?.first_chunk::<10>()?;
        let [t0, t1, c0, c1, _, version, do_bit, _, l0, l1] = *fixed;
        offset += fixed.len() + usize::from(u16::from_be_bytes([l0, l1]));
        if offset > message.len() {
            return None;
        }
        if index >= before && u16::from_be_bytes([t0, t1]) == record_type::OPT {
            let edns = Edns {
                size: u16::from_be_bytes([c0, c1]),
                version,
                dnssec: do_bit & 0x80 != 0,
            };
            if !is_root || found.replace(edns).is_some() {
                return None;
            }
        }
    }
    (offset <= message.len()).then_some(found)
}

/// The offset behind a name, compressed or not.
fn skip_name(message: &[u8], mut offset: usize) -> Option<usize> {
    loop {
        match *message.get(offset)? {
            0 => return Some(offset + 1),
            length @ 1..=63 => offset += 1 + usize::from(length),
            0xc0..=0xff => return Some(offset + 2),
            _ => return None,
        }
    }
}

/// Names without regard to case, type and class exactly.
fn same_question(asked: &[u8], echoed: &[u8]) -> bool {
    let (asked_name, asked_rest) = asked.split_at(asked.len().saturating_sub(4));
    let (echoed_name, echoed_rest) = echoed.split_at(echoed.len().saturating_sub(4));
    asked_name.eq_ignore_ascii_case(echoed_name) && asked_rest == echoed_rest
}

fn set(message: &mut [u8], offset: usize, bit: u8) {
    if let Some(byte) = message.get_mut(offset) {
        *byte |= bit;
    }
}

fn copy(to: &mut [u8], from: &[u8], range: std::ops::Range<usize>) {
    if let (Some(to), Some(from)) = (to.get_mut(range.clone()), from.get(range)) {
        to.copy_from_slice(from);
    }
}
