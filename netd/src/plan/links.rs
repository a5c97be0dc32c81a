//! Links on the default network: the ports that they open where endpoints may not talk to each other
//! otherwise. Their names are a sandbox's files' business.

use netd_common::abi::link::{LinkKey, OpenPorts, OpenRange, side};

use super::{Desired, Entry, scene::Scene};
use crate::model::{ExposedPorts, Sandbox};

/// Both ways between a sandbox and each that it is linked to, or that links to it.
pub(super) fn entries(scene: &Scene<'_>, sandbox: &Sandbox, desired: &mut Desired) {
    if !keeps_apart(scene) {
        return;
    }
    for peer in scene.state.link_peers(sandbox.id) {
        if let Some(peer) = scene.state.sandbox(peer) {
            one_way(scene, sandbox, peer, desired);
            one_way(scene, peer, sandbox, desired);
        }
    }
}

/// Whether endpoints of the default network need links to talk to each other.
fn keeps_apart(scene: &Scene<'_>) -> bool {
    let network = scene.state.default_network();
    let bridge = network.and_then(|network| network.bridge());
    bridge.is_some_and(|bridge| !bridge.icc)
}

/// Whether a link opens ports from or to a sandbox's endpoint on the default network.
pub(super) fn is_linked(scene: &Scene<'_>, sandbox: &Sandbox) -> bool {
    let state = scene.state;
    let linking = |id| {
        state
            .sandbox(id)
            .is_some_and(|other| state.is_linked(other, sandbox.id))
    };
    keeps_apart(scene)
        && (state.live_links(sandbox).next().is_some()
            || state.linking(sandbox.id).into_iter().any(linking))
}

/// What may pass from one sandbox to another: questions to what the other exposes where the first is
/// linked to it, and answers where it is the other way round.
fn one_way(scene: &Scene<'_>, from: &Sandbox, to: &Sandbox, desired: &mut Desired) {
    let state = scene.state;
    let mut open = Vec::new();
    if state.is_linked(from, to.id) {
        open.extend(to.exposed.iter().map(|ports| range(ports, side::SERVED)));
    }
    if state.is_linked(to, from.id) {
        open.extend(from.exposed.iter().map(|ports| range(ports, side::ANSWERS)));
    }
    let ends = (
        state.default_endpoint(from.id),
        state.default_endpoint(to.id),
    );
    let (Some(from), Some(to), false) = (ends.0, ends.1, open.is_empty()) else {
        return;
    };
    let mut value = OpenPorts::default();
    for (slot, range) in value.ranges.iter_mut().zip(open) {
        *slot = range;
    }
    let key = LinkKey {
        from: from.index,
        to: to.index,
    };
    desired.put(Entry::Link(key, Box::new(value)));
}

fn range(ports: &ExposedPorts, side: u8) -> OpenRange {
    OpenRange {
        first: ports.range.first,
        last: ports.range.last,
        protocol: ports.protocol.number(),
        side,
    }
}
