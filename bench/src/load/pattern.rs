//! The octets of a TCP stream: known at every position, with a prime period, so that octets which
//! are lost, doubled or moved by any power of two are not what was expected there.

use super::message::mix;

/// Octets after which it repeats: the largest prime below 64 KiB.
const PERIOD: usize = 65_521;
/// Octets that a single read or write may have.
pub const CHUNK: usize = 128 * 1024;

/// The pattern, long enough for a chunk from any position.
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// Makes it.
    pub fn new() -> Pattern {
        let octet = |at: usize| mix((at % PERIOD) as u64) as u8;
        Pattern((0..PERIOD + CHUNK).map(octet).collect())
    }

    /// A chunk of the stream from a position on.
    pub fn from(&self, position: u64) -> &[u8] {
        let phase = (position % PERIOD as u64) as usize;
        &self.0[phase..phase + CHUNK]
    }

    /// How many of the octets that arrived at a position are not what was sent.
    pub fn wrong(&self, position: u64, octets: &[u8]) -> u64 {
        let expected = &self.from(position)[..octets.len()];
        if expected == octets {
            return 0;
        }
        expected.iter().zip(octets).filter(|(a, b)| a != b).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_and_shift_are_seen() {
        let pattern = Pattern::new();
        for position in [0, 1, 65_520, 65_521, 1 << 40] {
            let mut octets = pattern.from(position)[..1000].to_vec();
            assert_eq!(pattern.wrong(position, &octets), 0);
            assert!(pattern.wrong(position + 65_536, &octets) > 900);
            octets[17] ^= 4;
            octets[999] ^= 1;
            assert_eq!(pattern.wrong(position, &octets), 2);
        }
    }

    #[test]
    fn chunks_go_on_where_the_last_ended() {
        let pattern = Pattern::new();
        let position = 3 * CHUNK as u64 + 5;
        assert_eq!(
            pattern.from(position)[10..20],
            pattern.from(position + 10)[..10]
        );
    }
}
