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

/// Zeroes the last word of a message of `len` octets, before it is copied in: checksums are taken
/// of whole words, and the buffer still has octets of earlier messages.
pub fn clear_last_word(message: &mut Message, len: usize) -> Option<()> {
    let last = len.checked_sub(1)? & (MAX_DNS_MESSAGE - 4);
    write(message, last, &[0; 4])
}

/// Zeroes the three octets after a message of `len` octets that was written in place: a whole
/// word's worth at most. `None` where the buffer has not so many.
pub fn clear_after(message: &mut Message, len: usize) -> Option<()> {
    write(message, len, &[0; 3])
}

#[cfg(test)]
mod tests {
    use super::{Message, clear_after, clear_last_word, read, write};

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

    /// After either, the sum of whole words is that of the message.
    #[test]
    fn nothing_of_earlier_messages_is_in_the_last_word() {
        for len in 1..=512_usize {
            let mut message: Message = [7; 512];
            assert_eq!(clear_last_word(&mut message, len), Some(()));
            message[..len].fill(9);
            let words = len.next_multiple_of(4);
            assert!(message[len..words].iter().all(|octet| *octet == 0), "{len}");
            assert!(message[words..].iter().all(|octet| *octet == 7), "{len}");
        }
        assert_eq!(clear_last_word(&mut [7; 512], 0), None);
        for len in 0..=509_usize {
            let mut message: Message = [7; 512];
            assert_eq!(clear_after(&mut message, len), Some(()));
            let words = len.next_multiple_of(4);
            assert!(message[..len].iter().all(|octet| *octet == 7), "{len}");
            assert!(message[len..words].iter().all(|octet| *octet == 0), "{len}");
        }
        assert_eq!(clear_after(&mut [7; 512], 510), None);
    }
}
