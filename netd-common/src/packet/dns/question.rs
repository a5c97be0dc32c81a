//! What a DNS message asks (RFC 1035 section 4.1): one question of class IN, with or without an
//! OPT record. Anything else is the agent's, which may know what to make of it.

use super::message::{CLASS_IN, HEADER, Message, OPT, QUESTION_TAIL, TYPE_OPT, read};
use crate::limits::{MAX_DNS_MESSAGE, MAX_NAME};

/// Header bits that a plain query has off: QR and the opcode.
const NOT_A_QUERY: u8 = 0b1111_1000;
/// Counts of a plain query: one question, no answer, no authority.
const COUNTS: [u8; 6] = [0, 1, 0, 0, 0, 0];
/// The longest label (RFC 1035 section 2.3.4); larger numbers are pointers or reserved.
const MAX_LABEL: u8 = 63;
/// DNSSEC OK, in the OPT record's flags (RFC 3225).
const DNSSEC_OK: u8 = 0x80;

/// A question that may be answered from the map. Its name is kept beside it, as map key and in
/// the message. Plain numbers, since it lies in a per-CPU map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The type asked for.
    pub kind: u16,
    /// Octets of the name in wire format, with its root label: at most [`MAX_NAME`]. An octet, so
    /// that the verifier knows a bound of it without a comparison.
    pub name_len: u8,
    /// Whether there is an OPT record: 0 or 1.
    pub edns: u8,
    /// The OPT record's DNSSEC OK bit in its place (RFC 3225 section 3: it is copied).
    pub dnssec_ok: u8,
}

/// Reads what follows the name of `name_len` octets in a message of `len` octets, and the header.
/// `None`: not a plain question, ask the agent.
pub fn question(message: &Message, len: usize, name_len: u8) -> Option<Question> {
    if len > MAX_DNS_MESSAGE {
        return None;
    }
    let [flags] = read(message, 2)?;
    if flags & NOT_A_QUERY != 0 || read(message, 4)? != COUNTS {
        return None;
    }
    let tail = HEADER + usize::from(name_len);
    let end = tail + QUESTION_TAIL;
    let [kind @ .., class_high, class_low] = read::<QUESTION_TAIL>(message, tail)?;
    if end > len || u16::from_be_bytes([class_high, class_low]) != CLASS_IN {
        return None;
    }
    let mut question = Question {
        kind: u16::from_be_bytes(kind),
        name_len,
        edns: 0,
        dnssec_ok: 0,
    };
    match read(message, 10)? {
        [0, 0] if end == len => Some(question),
        [0, 1] => {
            question.dnssec_ok = options(message, end, len)?;
            question.edns = 1;
            Some(question)
        }
        _ => None,
    }
}

/// Copies the name after the header into `name`, in lower case and zero filled; its length. `None`
/// where it is longer than a map key or not plain labels.
pub fn name(message: &Message, name: &mut [u8; MAX_NAME]) -> Option<u8> {
    *name = [0; MAX_NAME];
    let mut label = 0;
    for (i, octet) in name.iter_mut().enumerate() {
        let byte = *message.get(HEADER + i)?;
        if label > 0 {
            label -= 1;
            *octet = byte.to_ascii_lowercase();
        } else if byte == 0 {
            return Some(i as u8 + 1);
        } else if byte <= MAX_LABEL {
            label = byte;
            *octet = byte;
        } else {
            return None;
        }
    }
    None
}

/// Checks that exactly an OPT record of version 0 lies between `at` and `len`; its DNSSEC OK bit.
/// Options inside are not looked at: the answer has none (RFC 6891 section 6.1.1).
fn options(message: &Message, at: usize, len: usize) -> Option<u8> {
    let [
        root,
        type_high,
        type_low,
        _,
        _,
        _,
        version,
        flags,
        _,
        data_high,
        data_low,
    ] = read::<OPT>(message, at)?;
    let data = usize::from(u16::from_be_bytes([data_high, data_low]));
    let is_opt = root == 0 && u16::from_be_bytes([type_high, type_low]) == TYPE_OPT;
    (is_opt && version == 0 && at + OPT + data == len).then_some(flags & DNSSEC_OK)
}
