//! A DNS message in its fixed buffer, and the numbers of RFC 1035, 3596 and 6891 that netd needs.
//! Offsets are checked by every access; nothing here knows what a message means.

use crate::limits::MAX_DNS_MESSAGE;

/// The buffer: a message is its first octets, what follows is left over from earlier ones.
pub type Message = [u8; MAX_DNS_MESSAGE];

/// Octets of the header (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;
/// Octets of a question's type and class after its name.
pub const QUESTION_TAIL: usize = 4;
/// Octets of a resource record before its data, where the name is a pointer (2 octets).
pub const RECORD: usize = 12;
/// Octets of an OPT record without options (RFC 6891 section 6.1.2).
pub const OPT: usize = 11;

/// Type A (RFC 1035).
pub const TYPE_A: u16 = 1;
/// Type PTR (RFC 1035).
pub const TYPE_PTR: u16 = 12;
/// Type AAAA (RFC 3596).
pub const TYPE_AAAA: u16 = 28;
/// Type OPT (RFC 6891).
pub const TYPE_OPT: u16 = 41;
/// Class IN.
pub const CLASS_IN: u16 = 1;

/// `N` octets at `at`, or nothing where the buffer ends before.
pub fn read<const N: usize>(message: &Message, at: usize) -> Option<[u8; N]> {
    message.get(at..)?.first_chunk::<N>().copied()
}

/// Stores `bytes` at `at`; nothing is stored where the buffer ends before.
pub fn write<const N: usize>(message: &mut Message, at: usize, bytes: &[u8; N]) -> Option<()> {
    *message.get_mut(at..)?.first_chunk_mut::<N>()? = *bytes;
    Some(())
}

/// Zeroes what follows the first `len` octets up to the next multiple of four, so that checksums
/// can be taken of whole words.
pub fn pad(message: &mut Message, len: usize) -> Option<()> {
    for end in len..len.saturating_add(3) {
        if end & 3 == 0 {
            break;
        }
        *message.get_mut(end)? = 0;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{Message, pad, read, write};

    #[test]
    fn accesses_end_with_the_buffer() {
        let mut message: Message = [7; 512];
        assert_eq!(read(&message, 508), Some([7; 4]));
        assert_eq!(read::<4>(&message, 509), None);
        assert_eq!(read::<4>(&message, usize::MAX), None);
        assert_eq!(write(&mut message, 508, &[1, 2, 3, 4]), Some(()));
        assert_eq!(write(&mut message, 509, &[0; 4]), None);
        assert_eq!(message[508..], [1, 2, 3, 4]);
    }

    #[test]
    fn padding_fills_the_last_word_only() {
        for len in 0..=512 {
            let mut message: Message = [7; 512];
            assert_eq!(pad(&mut message, len), Some(()));
            for (i, octet) in message.iter().enumerate() {
                let padding = i >= len && i < len.next_multiple_of(4);
                assert_eq!(*octet, if padding { 0 } else { 7 }, "{len} {i}");
            }
        }
    }
}
