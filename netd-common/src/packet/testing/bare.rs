//! A packet of a link without Ethernet headers, as the programs of such links see it.

use crate::packet::{Packet, view::ETHERNET};

/// A packet from its IP header on, read as if an Ethernet header without MACs stood before it.
#[derive(Clone, Copy, Debug)]
pub struct Bare<'a> {
    /// What the kernel takes the packet for, network order.
    pub ethertype: [u8; 2],
    /// From the IP header on.
    pub bytes: &'a [u8],
}

impl Bare<'_> {
    /// The header that is made up.
    pub fn header(&self) -> [u8; ETHERNET] {
        let [a, b] = self.ethertype;
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b]
    }
}

impl Packet for Bare<'_> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.read(offset.checked_sub(ETHERNET)?)
    }

    fn read_into<const N: usize>(&self, offset: usize, into: &mut [u8; N]) -> Option<()> {
        if offset >= ETHERNET {
            return self.bytes.read_into(offset - ETHERNET, into);
        }
        // As in the kernel: nobody reads a part of that header.
        let (header, rest) = into.split_at_mut_checked(ETHERNET)?;
        let present = self.bytes.get(..rest.len())?;
        if offset != 0 {
            return None;
        }
        header.copy_from_slice(&self.header());
        rest.copy_from_slice(present);
        Some(())
    }

    fn length(&self) -> usize {
        ETHERNET + self.bytes.len()
    }
}
