//! The packet as bytes at offsets, read by value: no reference into packet memory outlives a
//! helper that moves it.

/// A packet from its Ethernet header on.
pub trait Packet {
    /// `N` bytes at `offset`, or nothing where the packet ends before.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The same, straight to its place.
    fn read_into<const N: usize>(&self, offset: usize, into: &mut [u8; N]) -> Option<()>;

    /// Octets from the Ethernet header on; of a GSO packet, of the whole super-packet.
    fn length(&self) -> usize;

    /// Whether the packet carries a VLAN tag that is no longer, or not yet, in its bytes.
    fn is_tagged(&self) -> bool {
        false
    }
}

impl Packet for &[u8] {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk::<N>().copied()
    }

    fn read_into<const N: usize>(&self, offset: usize, into: &mut [u8; N]) -> Option<()> {
        *into = self.read(offset)?;
        Some(())
    }

    fn length(&self) -> usize {
        <[u8]>::len(self)
    }
}
