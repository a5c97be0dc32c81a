//! The answer to a question whose name is known, written over the question. NOERROR always: a
//! name without records of the type asked for has an empty answer, so that no query about it
//! leaves the host (RFC 2308 section 2.2).

use super::{
    message::{
        CLASS_IN, HEADER, Message, OPT, QUESTION_TAIL, RECORD, TYPE_A, TYPE_AAAA, TYPE_OPT,
        TYPE_PTR, write,
    },
    question::Question,
};
use crate::{
    abi::name::{Name, name_kind},
    limits::{DNS_EDNS_SIZE, DNS_TTL, MAX_DNS_MESSAGE, MAX_NAME, MAX_NAME_V4, MAX_NAME_V6},
};

/// QR, the only bit of the first flag octet that an answer sets by itself: opcode 0, not
/// authoritative, not truncated.
const RESPONSE: u8 = 0x80;
/// Recursion desired, copied from the question.
const RECURSION_DESIRED: u8 = 0x01;
/// Recursion available, in the second flag octet.
const RECURSION_AVAILABLE: u8 = 0x80;
/// Checking disabled, copied (RFC 4035 section 3.2.2).
const CHECKING_DISABLED: u8 = 0x10;
/// A pointer to the question's name (RFC 1035 section 4.1.4).
const NAME_POINTER: [u8; 2] = [0xc0, HEADER as u8];

/// The largest answer. Below what a client without EDNS takes, so nothing is ever truncated.
pub const MAX_ANSWER: usize = HEADER + MAX_NAME + QUESTION_TAIL + MAX_RECORDS + OPT;
const MAX_RECORDS: usize = max(
    MAX_NAME_V4 * (RECORD + 4),
    max(MAX_NAME_V6 * (RECORD + 16), RECORD + MAX_NAME),
);
const _: () = assert!(MAX_ANSWER <= MAX_DNS_MESSAGE);

/// Turns the question in `message` into its answer; the answer's length. `random` chooses which
/// address comes first. `None`: the agent's; the message may be half written then.
pub fn answer(
    message: &mut Message,
    question: &Question,
    name: &Name,
    random: u32,
) -> Option<usize> {
    if name.kind != name_kind::HOST && name.kind != name_kind::POINTER {
        return None;
    }
    let start = HEADER + usize::from(question.name_len) + QUESTION_TAIL;
    let (count, end) = match (name.kind, question.kind) {
        (name_kind::HOST, TYPE_A) => {
            addresses(message, start, TYPE_A, &name.v4, name.count_v4, random)?
        }
        (name_kind::HOST, TYPE_AAAA) => {
            addresses(message, start, TYPE_AAAA, &name.v6, name.count_v6, random)?
        }
        (name_kind::POINTER, TYPE_PTR) => (1, pointer(message, start, name)?),
        _ => (0, start),
    };
    let [flags, more] = super::message::read(message, 2)?;
    let header = [
        RESPONSE | flags & RECURSION_DESIRED,
        RECURSION_AVAILABLE | more & CHECKING_DISABLED,
        0,
        1,
        0,
        count,
        0,
        0,
        0,
        question.edns,
    ];
    write(message, 2, &header)?;
    if question.edns == 0 {
        return Some(end);
    }
    write(message, end, &opt(question.dnssec_ok))?;
    Some(end + OPT)
}

/// Writes one record per address, beginning with a random one; how many, and where they end.
///
/// The count is checked last and the slots by themselves: LLVM would leave out the checks of slots
/// that follow from one of the count, and kernels before 6.12 do not draw that conclusion.
fn addresses<const N: usize, const SLOTS: usize>(
    message: &mut Message,
    start: usize,
    kind: u16,
    addresses: &[[u8; N]; SLOTS],
    count: u8,
    random: u32,
) -> Option<(u8, usize)> {
    // Multiply and shift: as even as 16 random bits allow, without a division.
    let first = ((random >> 16) * u32::from(count)) >> 16;
    let mut slot = first as usize & (SLOTS.next_power_of_two() - 1);
    let mut at = start;
    for i in 0..SLOTS {
        if i >= usize::from(count) {
            break;
        }
        write(message, at, &record(kind, N as u16))?;
        write(message, at + RECORD, addresses.get(slot)?)?;
        at += RECORD + N;
        slot += 1;
        if slot >= usize::from(count) {
            slot = 0;
        }
    }
    (usize::from(count) <= SLOTS).then_some((count, at))
}

/// Writes the PTR record; where it ends.
fn pointer(message: &mut Message, start: usize, name: &Name) -> Option<usize> {
    let target_len = usize::from(name.target_len);
    if target_len > MAX_NAME {
        return None;
    }
    write(
        message,
        start,
        &record(TYPE_PTR, u16::from(name.target_len)),
    )?;
    // All of the field: what follows the name in it is overwritten or cut off.
    write(message, start + RECORD, &name.target)?;
    Some(start + RECORD + target_len)
}

/// A record about the question's name, up to its data of `len` octets.
const fn record(kind: u16, len: u16) -> [u8; RECORD] {
    let [kind_high, kind_low] = kind.to_be_bytes();
    let [class_high, class_low] = CLASS_IN.to_be_bytes();
    let [a, b, c, d] = DNS_TTL.to_be_bytes();
    let [len_high, len_low] = len.to_be_bytes();
    let [p, q] = NAME_POINTER;
    [
        p, q, kind_high, kind_low, class_high, class_low, a, b, c, d, len_high, len_low,
    ]
}

/// An OPT record without options: version 0, no extended error.
const fn opt(dnssec_ok: u8) -> [u8; OPT] {
    let [kind_high, kind_low] = TYPE_OPT.to_be_bytes();
    let [size_high, size_low] = DNS_EDNS_SIZE.to_be_bytes();
    [
        0, kind_high, kind_low, size_high, size_low, 0, 0, dnssec_ok, 0, 0, 0,
    ]
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
