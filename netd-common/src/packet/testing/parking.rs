//! Parked fragments as a plain collection.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    abi::fragment::FragmentKey,
    packet::{Work, fragment::parking::Places, view::ETHERNET},
};

/// A fragment that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its datagram.
    pub key: FragmentKey,
    /// When it was parked.
    pub since: u64,
    /// From its IP header on.
    pub bytes: Vec<u8>,
}

/// The places and the packet in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lot {
    /// `PARKED`.
    pub parked: BTreeMap<u32, Waiting>,
    /// The packet in hand.
    pub packet: Vec<u8>,
    /// What comes in once more, in order.
    pub again: Vec<Vec<u8>>,
    /// Fragments whose time has run out.
    pub expired: u32,
}

impl Places for Lot {
    fn since(&mut self, place: u32) -> Option<u64> {
        self.parked.get(&place).map(|waiting| waiting.since)
    }

    fn is_of(&mut self, place: u32, key: &FragmentKey) -> bool {
        self.parked
            .get(&place)
            .is_some_and(|waiting| waiting.key == *key)
    }

    fn park(&mut self, place: u32, now: u64, work: &Work) -> bool {
        if self.parked.contains_key(&place) {
            return false;
        }
        let waiting = Waiting {
            key: work.fragment,
            since: now,
            bytes: self.packet[ETHERNET..][..work.view.ip.length as usize].to_vec(),
        };
        self.parked.insert(place, waiting);
        true
    }

    fn free(&mut self, place: u32) -> bool {
        self.parked.remove(&place).is_some()
    }

    fn expire(&mut self, place: u32) {
        self.expired += u32::from(self.free(place));
    }

    fn release(&mut self, place: u32) {
        if let Some(waiting) = self.parked.remove(&place) {
            self.packet.truncate(ETHERNET);
            self.packet.extend(waiting.bytes);
            self.again();
        }
    }

    fn again(&mut self) {
        self.again.push(self.packet.clone());
    }
}
