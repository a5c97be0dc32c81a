//! Bounded work: so many at a time in all, and so many for one client. Never waits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::table::Asker;

/// A handle; clones share the slots.
#[derive(Clone, Debug)]
pub struct Slots {
    used: Arc<Mutex<Used>>,
    total: usize,
    per_client: usize,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by_client: HashMap<Asker, usize>,
}

/// A slot in use; free again when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    client: Asker,
}

impl Slots {
    /// `total` slots, of which one client may have `per_client`.
    pub fn new(total: usize, per_client: usize) -> Slots {
        Slots {
            used: Arc::default(),
            total,
            per_client,
        }
    }

    /// A slot for a client, if one is free.
    pub fn take(&self, client: Asker) -> Option<Slot> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let own = used.by_client.get(&client).copied().unwrap_or(0);
        if used.total >= self.total || own >= self.per_client {
            return None;
        }
        used.total += 1;
        used.by_client.insert(client, own + 1);
        let slots = self.clone();
        Some(Slot { slots, client })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut used = self
            .slots
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        used.total -= 1;
        let own = used.by_client.get(&self.client).copied().unwrap_or(0);
        match own {
            0 | 1 => used.by_client.remove(&self.client),
            _ => used.by_client.insert(self.client, own - 1),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn total_and_share_are_bounded_and_slots_come_back() {
        let slots = Slots::new(3, 2);
        let [a, b, c] = [1u8, 2, 3].map(|last| Asker::from(IpAddr::from([172, 18, 0, last])));
        let first = slots.take(a).unwrap();
        let _second = slots.take(a).unwrap();
        assert!(slots.take(a).is_none(), "share");
        let _third = slots.take(b).unwrap();
        assert!(slots.take(c).is_none(), "total");
        drop(first);
        assert!(slots.take(c).is_some());
        assert!(slots.take(a).is_some());
        assert_eq!(slots.used.lock().unwrap().by_client.len(), 2);
    }
}
