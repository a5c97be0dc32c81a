//! What the DNS server did, counted since its start.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::answer::Kind;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counted by the server, read by anybody.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// The counters now.
            pub fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Questions answered about netd's own names and subnets.
    local,
    /// Questions not forwarded: internal networks, single labels under `ndots`.
    withheld,
    /// Unknown clients, zone transfers, unknown EDNS versions.
    refused,
    /// Messages that are not one question.
    malformed,
    /// Questions that were answered with what an upstream had answered before.
    cached,
    /// Questions that upstreams were asked.
    forwarded,
    /// Of these, questions that no upstream answered.
    failed,
    /// Questions and connections over the bounds.
    overload,
    /// TCP connections accepted.
    connections,
    /// Answers that could not be sent.
    unsent,
}

impl Counters {
    /// Adds one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds one answer that was not forwarded.
    pub fn count_answer(&self, kind: Kind) {
        Counters::count(match kind {
            Kind::Local => &self.local,
            Kind::Withheld => &self.withheld,
            Kind::Refused => &self.refused,
            Kind::Malformed => &self.malformed,
        });
    }
}
