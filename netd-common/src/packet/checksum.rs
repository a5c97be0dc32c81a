//! One's complement arithmetic (RFC 1071, RFC 1624) over words in memory order, as the kernel's
//! helpers want it: the byte order cancels.

/// The sum of `bytes`, an even number of them, as words in memory order, folded into 32 bits.
pub fn sum<const N: usize>(bytes: &[u8; N]) -> u32 {
    const { assert!(N.is_multiple_of(2)) };
    // A word of 32 bits counts as its two of 16: 2^16 is 1 in one's complement.
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = 0;
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    if let Some(last) = rest.first_chunk::<2>() {
        total += u64::from(u16::from_ne_bytes(*last));
    }
    fold_32(total)
}

/// The difference that turns a sum over `old` into one over `new`; what `bpf_csum_diff` gives.
pub fn delta<const N: usize>(old: &[u8; N], new: &[u8; N]) -> u32 {
    add(!sum(old), sum(new))
}

/// One's complement sum of two partial sums.
pub fn add(a: u32, b: u32) -> u32 {
    fold_32(u64::from(a) + u64::from(b))
}

/// A checksum field (its bytes as a memory-order word) after `delta`, as the kernel's
/// `csum_replace_by_diff` computes it.
pub fn replace(field: [u8; 2], delta: u32) -> [u8; 2] {
    let sum = add(u32::from(!u16::from_ne_bytes(field)), delta);
    (!fold_16(sum)).to_ne_bytes()
}

/// The checksum field for a sum over everything it covers.
pub fn finish(sum: u32) -> [u8; 2] {
    (!fold_16(sum)).to_ne_bytes()
}

fn fold_32(total: u64) -> u32 {
    let once = (total & 0xffff_ffff) + (total >> 32);
    ((once & 0xffff_ffff) + (once >> 32)) as u32
}

fn fold_16(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delta_equals_recomputation(mut bytes: [u8; 20], at in 0usize..8, new: [u8; 4]) {
            let at = at * 2;
            let before = finish(sum(&bytes));
            let mut old = [0; 4];
            old.copy_from_slice(&bytes[at..at + 4]);
            bytes[at..at + 4].copy_from_slice(&new);
            // RFC 1624: the two zeros of one's complement are the same sum.
            prop_assume!(sum(&bytes) != 0);
            let after = replace(before, delta(&old, &new));
            prop_assert_eq!(fold_16(add(sum(&bytes), u32::from(u16::from_ne_bytes(after)))), 0xffff);
        }
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(finish(sum(&words)), [!0xdd, !0xf2]);
    }
}
