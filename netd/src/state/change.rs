//! What one request changed: before and after of each touched object. Revertible, and what the
//! store saves.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::{Endpoint, Id, Network, Sandbox};

/// Counters and cursors, saved with every change as one small record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Grows with every change.
    pub revision: u64,
    /// The default pools' pieces that were taken last, IPv4 and IPv6: the next is searched behind.
    pub last_pool: [Option<IpNet>; 2],
    /// The random bits of automatic IPv6 subnets (RFC 4193), once there is one.
    #[serde(default)]
    pub global_id: Option<[u8; 5]>,
    /// Indexes given out last: networks, sandboxes, endpoints.
    pub last_network: u32,
    /// See [`Meta::last_network`].
    pub last_sandbox: u32,
    /// See [`Meta::last_network`].
    pub last_endpoint: u32,
    /// The automatic host port given out last; 0: none yet.
    pub last_port: u16,
    /// Attaches so far: an endpoint's generation. Not reverted, so that no two attaches share one.
    pub attaches: u32,
}

/// One object, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<T> {
    /// `None`: it is new.
    pub before: Option<T>,
    /// `None`: it is gone.
    pub after: Option<T>,
}

/// Everything that a request changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Networks by id.
    pub networks: BTreeMap<Id, Edit<Network>>,
    /// Sandboxes by id.
    pub sandboxes: BTreeMap<Id, Edit<Sandbox>>,
    /// Endpoints by id.
    pub endpoints: BTreeMap<Id, Edit<Endpoint>>,
    /// The small record before.
    pub meta_before: Meta,
    /// The small record after; its revision is this change's.
    pub meta_after: Meta,
}

impl Change {
    /// Nothing was changed: nothing to save, nothing to plan.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.sandboxes.is_empty() && self.endpoints.is_empty()
    }

    /// The change that undoes this one.
    pub fn inverse(&self) -> Change {
        Change {
            networks: inverse(&self.networks),
            sandboxes: inverse(&self.sandboxes),
            endpoints: inverse(&self.endpoints),
            meta_before: self.meta_after.clone(),
            meta_after: self.meta_before.clone(),
        }
    }
}

fn inverse<T: Clone>(edits: &BTreeMap<Id, Edit<T>>) -> BTreeMap<Id, Edit<T>> {
    edits
        .iter()
        .map(|(id, edit)| {
            let edit = Edit {
                before: edit.after.clone(),
                after: edit.before.clone(),
            };
            (*id, edit)
        })
        .collect()
}
