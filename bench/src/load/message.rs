//! The messages of everything but the stream: 64 octets over TCP and over UDP, each with a number
//! and a pattern made from it, so that a lost, doubled, mixed-up or damaged one is seen.
//!
//! Octets 0–3 mark, 4 kind, 8–15 number, 16–23 and 24–31 the server's counts (little endian), 32–63
//! pattern.

/// Octets of a message.
pub const SIZE: usize = 64;
/// First octets of each message.
const MARK: [u8; 4] = *b"nld1";

/// What a message wants or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Answer this.
    Question = 1,
    /// Answer this and close the connection.
    Last = 2,
    /// Answer this, then forget the connection without telling the client, who does the same.
    Vanish = 3,
    /// What follows on this connection is the stream's pattern; tell now and then how much of it
    /// was right.
    Stream = 4,
    /// Answer this, and count packets from here on, beginning at number 0.
    Begin = 5,
    /// Count this packet.
    Packet = 6,
    /// Count this packet and tell the counts.
    PacketTell = 7,
    /// Tell the counts.
    Tell = 8,
    /// What the server says.
    Answer = 9,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Question,
        Kind::Last,
        Kind::Vanish,
        Kind::Stream,
        Kind::Begin,
        Kind::Packet,
        Kind::PacketTell,
        Kind::Tell,
        Kind::Answer,
    ];
}

/// What the server counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages or octets that arrived right.
    pub right: u64,
    /// Those that arrived, but damaged or twice.
    pub wrong: u64,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it wants.
    pub kind: Kind,
    /// Its number; an answer has its question's.
    pub number: u64,
    /// In answers.
    pub counts: Counts,
}

impl Message {
    /// One without counts.
    pub fn new(kind: Kind, number: u64) -> Message {
        Message {
            kind,
            number,
            counts: Counts::default(),
        }
    }

    /// As octets.
    pub fn write(&self) -> [u8; SIZE] {
        let mut octets = [0; SIZE];
        octets[..4].copy_from_slice(&MARK);
        octets[4] = self.kind as u8;
        octets[8..16].copy_from_slice(&self.number.to_le_bytes());
        octets[16..24].copy_from_slice(&self.counts.right.to_le_bytes());
        octets[24..32].copy_from_slice(&self.counts.wrong.to_le_bytes());
        octets[32..].copy_from_slice(&pattern(self.kind, self.number));
        octets
    }

    /// From octets; nothing if a single one of the mark, the kind, the number or the pattern is not
    /// as it was sent.
    pub fn read(octets: &[u8]) -> Option<Message> {
        let octets: &[u8; SIZE] = octets.try_into().ok()?;
        let word = |at: usize| octets[at..].first_chunk().copied().map(u64::from_le_bytes);
        let kind = *Kind::ALL.iter().find(|kind| **kind as u8 == octets[4])?;
        let message = Message {
            kind,
            number: word(8)?,
            counts: Counts {
                right: word(16)?,
                wrong: word(24)?,
            },
        };
        let intact = octets[..4] == MARK
            && octets[5..8] == [0; 3]
            && octets[32..] == pattern(kind, message.number);
        intact.then_some(message)
    }
}

/// Octets that no other kind and number has.
fn pattern(kind: Kind, number: u64) -> [u8; 32] {
    let mut octets = [0; 32];
    let seed = number.wrapping_mul(16).wrapping_add(kind as u64);
    for (part, step) in octets.chunks_exact_mut(8).zip(1..) {
        part.copy_from_slice(&mix(seed.wrapping_add(mix(step))).to_le_bytes());
    }
    octets
}

/// SplitMix64's finalizer (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
pub fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for (number, kind) in (0..).zip(Kind::ALL) {
            let mut message = Message::new(kind, number * 1_000_003);
            message.counts = Counts { right: 7, wrong: 9 };
            assert_eq!(Message::read(&message.write()), Some(message));
        }
    }

    #[test]
    fn any_damaged_octet_is_seen() {
        let octets = Message::new(Kind::Question, 77).write();
        // The counts are the one part without a pattern: the stream and the totals check them.
        for at in (0..16).chain(32..SIZE) {
            let mut damaged = octets;
            damaged[at] ^= 1;
            assert_eq!(Message::read(&damaged), None, "octet {at}");
        }
        assert_eq!(Message::read(&octets[1..]), None, "too short");
        assert_eq!(Message::read(&[octets.as_slice(), &[0]].concat()), None);
    }
}
