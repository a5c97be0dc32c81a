//! Names in the map and in the agent's table: forward names over all endpoints that have them, and
//! one reverse name for each address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_common::{
    abi::name::{Name, name_kind, scope_of_network, scope_of_sandbox},
    limits::{MAX_NAME, MAX_NAME_V4, MAX_NAME_V6},
};

use super::{
    Desired, Entry,
    scene::{JoinedEndpoint, Scene},
    table::NameRecord,
};
use crate::model::{Endpoint, Id, WireName};

/// One forward name of a network. Names that no question can carry (an empty label) are left out.
pub(super) fn entries(scene: &Scene<'_>, network: Id, name: &str, desired: &mut Desired) {
    let (Some(network), Ok(wire)) = (scene.state.network(network), name.parse::<WireName>()) else {
        return;
    };
    let endpoints = scene.state.named(network.id, name);
    host_entries(scope_of_network(network.index), wire, &endpoints, desired);
}

/// One link's name, which its sandbox alone has.
pub(super) fn link_entries(scene: &Scene<'_>, sandbox: Id, alias: &str, desired: &mut Desired) {
    let (Some(sandbox), Ok(wire)) = (scene.state.sandbox(sandbox), alias.parse::<WireName>())
    else {
        return;
    };
    let endpoints = scene.state.linked(sandbox.id, alias);
    host_entries(scope_of_sandbox(sandbox.index), wire, &endpoints, desired);
}

fn host_entries(scope: u32, wire: WireName, endpoints: &[&Endpoint], desired: &mut Desired) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for endpoint in endpoints {
        for address in &endpoint.addresses {
            match address.addr() {
                IpAddr::V4(address) => v4.push(address),
                IpAddr::V6(address) => v6.push(address),
            }
        }
    }
    if v4.is_empty() && v6.is_empty() {
        return;
    }
    if let Some(key) = wire.key(scope) {
        desired.put(Entry::Name(key, Box::new(host(&v4, &v6))));
    }
    let record = NameRecord::Host { v4, v6 };
    desired.names.insert((scope, wire), record);
}

/// Names of an endpoint's addresses: `name.network.` (Docker's answer to PTR).
pub(super) fn reverse_entries(joined: &JoinedEndpoint<'_>, desired: &mut Desired) {
    let network = joined.network;
    if network.is_default() {
        return;
    }
    let target = format!("{}.{}", joined.sandbox.name, network.name);
    let Ok(target) = target.parse::<WireName>() else {
        return;
    };
    let scope = scope_of_network(network.index);
    for address in &joined.endpoint.addresses {
        let name = WireName::reverse(address.addr());
        if let (Some(key), Some(padded)) = (name.key(scope), target.padded()) {
            let value = Name {
                kind: name_kind::POINTER,
                target_len: target.as_bytes().len() as u8,
                target: padded,
                ..empty()
            };
            desired.put(Entry::Name(key, Box::new(value)));
        }
        let record = NameRecord::Pointer(target.clone());
        desired.names.insert((scope, name), record);
    }
}

/// More addresses than the entry holds: the agent answers.
fn host(v4: &[Ipv4Addr], v6: &[Ipv6Addr]) -> Name {
    if v4.len() > MAX_NAME_V4 || v6.len() > MAX_NAME_V6 {
        return Name {
            kind: name_kind::AGENT,
            ..empty()
        };
    }
    let mut name = Name {
        kind: name_kind::HOST,
        count_v4: v4.len() as u8,
        count_v6: v6.len() as u8,
        ..empty()
    };
    for (slot, address) in name.v4.iter_mut().zip(v4) {
        *slot = address.octets();
    }
    for (slot, address) in name.v6.iter_mut().zip(v6) {
        *slot = address.octets();
    }
    name
}

fn empty() -> Name {
    Name {
        kind: 0,
        count_v4: 0,
        count_v6: 0,
        target_len: 0,
        v4: [[0; 4]; MAX_NAME_V4],
        v6: [[0; 16]; MAX_NAME_V6],
        target: [0; MAX_NAME],
        reserved: [0; 3],
    }
}
