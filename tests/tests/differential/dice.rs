//! Chance that can be repeated, and packets made of it.

use netd_common::abi::Program;
use netd_tests::bpf::Input;

/// The hooks of packets.
pub const HOOKS: [Program; 6] = [
    Program::FromEndpoint,
    Program::ToEndpoint,
    Program::FromUplink,
    Program::ToUplink,
    Program::FromUplinkL3,
    Program::ToUplinkL3,
];

/// Chance (xorshift64*).
pub struct Dice(u64);

impl Dice {
    /// Of a seed, another for each number (the finaliser of SplitMix64).
    pub fn new(seed: u64, number: u64) -> Dice {
        let mut mixed = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Dice((mixed ^ (mixed >> 31)) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        number as usize % end.max(1)
    }

    /// One of them.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Makes `input` the packet with up to three octets changed, those before `from` not, sometimes cut
    /// off or longer.
    pub fn mutate(&mut self, original: &Input, from: usize, input: &mut Input) {
        input.program = original.program;
        input.ifindex = original.ifindex;
        input.ingress = original.ingress;
        input.bytes.clear();
        input.bytes.extend_from_slice(&original.bytes);
        for _ in 0..self.below(4) {
            let at = self.below(input.bytes.len().saturating_sub(from)) + from;
            if let Some(octet) = input.bytes.get_mut(at) {
                *octet = self.below(256) as u8;
            }
        }
        match self.below(16) {
            0 => {
                let length = 14.max(from) + self.below(input.bytes.len());
                input.bytes.truncate(length);
            }
            1 => {
                let length = input.bytes.len() + self.below(64);
                input.bytes.resize(length, 0xee);
            }
            _ => {}
        }
    }

    /// Makes `input` random octets, of a length, with the Ethernet header of a recorded packet or
    /// without.
    pub fn random(&mut self, recorded: &[Input], length: usize, input: &mut Input) {
        let original = self.one(recorded);
        input.program = original.program;
        input.ifindex = original.ifindex;
        input.ingress = original.ingress;
        // As much of the packet's beginning as chance leaves: none, the Ethernet header, or more.
        let kept = *self.one(&[0, 14, 14, 24, 34, 54]);
        input.bytes.clear();
        input
            .bytes
            .extend(original.bytes.iter().take(kept.min(length)));
        while input.bytes.len() < length {
            input.bytes.push(self.below(256) as u8);
        }
    }
}
