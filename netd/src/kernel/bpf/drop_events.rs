//! The ring of drop events. Says nothing about what they mean. Nobody is woken for an event: who wants
//! them looks, which costs no call into the kernel.

use aya::maps::{MapData, RingBuf};
use netd_common::abi::{
    drops::{DROP_EVENT_VERSION, DropEvent},
    maps,
};
use zerocopy::FromBytes;

use super::{layout::Layout, maps::open};
use crate::kernel::KernelError;

/// Events that are taken out of the ring at a time: its whole, once over.
const BATCH: usize = 4_096;

/// The reading end; there is one, since who reads an event takes it out.
pub struct DropEvents(RingBuf<MapData>);

impl DropEvents {
    pub(super) fn open(layout: &Layout) -> Result<DropEvents, KernelError> {
        open(layout, maps::DROP_EVENTS).map(DropEvents)
    }

    /// The events that are there. Those of another layout are left out.
    pub fn take(&mut self) -> Vec<DropEvent> {
        let mut events = Vec::new();
        for _ in 0..BATCH {
            let Some(item) = self.0.next() else {
                break;
            };
            events.extend(read(&item));
        }
        events
    }
}

/// A record of the ring; `None` where it is none, or of another layout.
pub fn read(bytes: &[u8]) -> Option<DropEvent> {
    let (event, _) = DropEvent::read_from_prefix(bytes).ok()?;
    (event.version == DROP_EVENT_VERSION).then_some(event)
}

#[cfg(test)]
mod tests {
    use netd_common::abi::drops::{DROP_EVENT_VERSION, DropEvent};
    use zerocopy::IntoBytes;

    use super::read;

    #[test]
    fn other_layouts_are_left_out() {
        let mut event = DropEvent {
            version: DROP_EVENT_VERSION,
            reason: 5,
            ..DropEvent::default()
        };
        assert_eq!(read(event.as_bytes()), Some(event));
        assert_eq!(read(&[event.as_bytes(), &[0; 8]].concat()), Some(event));
        assert_eq!(read(&event.as_bytes()[1..]), None);
        event.version += 1;
        assert_eq!(read(event.as_bytes()), None);
    }
}
