//! Questions built once, in which a client only writes an id (and, for names that nobody has asked
//! for yet, a number), and the check of their answers. hickory-proto builds; the check reads bytes
//! itself, since decoding a whole message would cost more than some resolvers take to answer.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};

/// Octets of the header (RFC 1035, 4.1.1).
const HEADER: usize = 12;
/// Digits of the number in a fresh name.
const DIGITS: usize = 8;

/// Questions for addresses, asked one after the other.
#[derive(Clone, Debug)]
pub enum Questions {
    /// Known names, with their addresses, over and over.
    Known(Vec<(Vec<u8>, Ipv4Addr)>),
    /// A name that was never asked for, each time: its number is written into these bytes.
    Fresh(Vec<u8>),
}

impl Questions {
    /// For names and their addresses.
    pub fn known(names: &[(String, Ipv4Addr)]) -> Result<Questions> {
        ensure!(!names.is_empty(), "no name to ask for");
        let built: Result<_> = names
            .iter()
            .map(|(name, address)| Ok((question(name)?, *address)))
            .collect();
        Ok(Questions::Known(built?))
    }

    /// For names of the upstream's that differ each time, so that no cache knows them.
    pub fn fresh() -> Result<Questions> {
        Ok(Questions::Fresh(question(&fresh_name(0))?))
    }

    /// Writes question `number` with its id; the address that answers it.
    pub(super) fn write(&self, number: u32, bytes: &mut Vec<u8>) -> Ipv4Addr {
        bytes.clear();
        let address = match self {
            Questions::Known(known) => {
                let (question, address) = &known[number as usize % known.len()];
                bytes.extend_from_slice(question);
                *address
            }
            Questions::Fresh(question) => {
                bytes.extend_from_slice(question);
                for (place, digit) in bytes[HEADER + 1..][..DIGITS].iter_mut().enumerate() {
                    let nibble = (number >> (4 * (DIGITS - 1 - place))) & 0xf;
                    *digit = b"0123456789abcdef"[nibble as usize];
                }
                Ipv4Addr::from(number)
            }
        };
        bytes[..2].copy_from_slice(&id(number).to_be_bytes());
        address
    }
}

/// The name of the upstream's with this number; it has the number as its address.
pub fn fresh_name(number: u32) -> String {
    format!("{number:08x}.bench.test.")
}

/// The id of a question: neighbours differ, which is all that telling them apart takes.
pub(super) fn id(number: u32) -> u16 {
    number as u16
}

fn question(name: &str) -> Result<Vec<u8>> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(name).with_context(|| format!("`{name}` is no name"))?;
    message.add_query(Query::query(name, RecordType::A));
    Ok(message.to_vec()?)
}

/// Checks an answer against the question that it should answer: id, rcode, the question in it, and
/// the address in one of its records.
pub(super) fn check(answer: &[u8], question: &[u8], address: Ipv4Addr) -> Result<()> {
    ensure!(answer.len() > question.len(), "too short");
    ensure!(answer[..2] == question[..2], "another id");
    ensure!(answer[2] & 0x80 != 0, "no answer, but a question");
    ensure!(answer[2] & 0x02 == 0, "cut short");
    let rcode = answer[3] & 0x0f;
    ensure!(rcode == 0, "rcode {rcode}");
    let asked = &question[HEADER..];
    ensure!(answer[HEADER..].starts_with(asked), "another question");
    let mut at = question.len();
    for _ in 0..u16::from_be_bytes([answer[6], answer[7]]) {
        let (kind, data, next) = record(answer, at).context("a broken record")?;
        if kind == 1 && data == address.octets() {
            return Ok(());
        }
        at = next;
    }
    bail!("not the address {address}")
}

/// Type and data of the record at an offset, and where the next one is.
fn record(message: &[u8], mut at: usize) -> Option<(u16, &[u8], usize)> {
    loop {
        match *message.get(at)? {
            0 => {
                at += 1;
                break;
            }
            // A pointer ends a name.
            0xc0.. => {
                at += 2;
                break;
            }
            length => at += 1 + usize::from(length),
        }
    }
    let head = message.get(at..at + 10)?;
    let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
    let data = message.get(at + 10..at + 10 + length)?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    Some((kind, data, at + 10 + length))
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::ResponseCode,
        rr::{
            RData, Record,
            rdata::{A, CNAME},
        },
    };

    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);

    fn asked(number: u32, questions: &Questions) -> (Vec<u8>, Ipv4Addr) {
        let mut bytes = Vec::new();
        let address = questions.write(number, &mut bytes);
        (bytes, address)
    }

    fn answer(question: &[u8], change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut answer = Message::from_vec(question).unwrap().into_response();
        let name = answer.queries[0].name().clone();
        let alias = RData::CNAME(CNAME(Name::from_ascii("other.test.").unwrap()));
        answer.add_answer(Record::from_rdata(name.clone(), 60, alias));
        answer.add_answer(Record::from_rdata(name, 60, RData::A(A(ADDRESS))));
        change(&mut answer);
        answer.to_vec().unwrap()
    }

    #[test]
    fn questions_are_what_they_say() {
        let fresh = Questions::fresh().unwrap();
        let (bytes, address) = asked(0xc0de_0127, &fresh);
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!(message.metadata.id, 0x0127);
        let name = message.queries[0].name().to_ascii();
        assert_eq!(name, fresh_name(0xc0de_0127));
        assert_eq!(address, Ipv4Addr::new(0xc0, 0xde, 1, 0x27));
    }

    #[test]
    fn only_the_right_answer_passes() {
        let known = Questions::known(&[("web.".into(), ADDRESS)]).unwrap();
        let (question, address) = asked(7, &known);
        let judged = |bytes: &[u8]| check(bytes, &question, address);
        judged(&answer(&question, |_| ())).unwrap();
        let mut wrong: Vec<Vec<u8>> = vec![
            answer(&question, |answer| answer.metadata.id = 8),
            answer(&question, |answer| {
                answer.metadata.response_code = ResponseCode::ServFail;
            }),
            answer(&question, |answer| answer.metadata.truncation = true),
            answer(&question, |answer| answer.answers.truncate(1)),
            question.clone(),
        ];
        let whole = answer(&question, |_| ());
        wrong.push(whole[..whole.len() - 1].to_vec());
        let mut other_name = whole.clone();
        other_name[HEADER + 1] ^= 1;
        wrong.push(other_name);
        let mut other_address = whole;
        *other_address.last_mut().unwrap() ^= 1;
        wrong.push(other_address);
        for bytes in wrong {
            assert!(judged(&bytes).is_err(), "{bytes:?}");
        }
    }
}
