//! A network on the host: its bridge with the gateways' addresses, and what the programs know of
//! its subnets.

use std::collections::BTreeSet;

use netd_common::{
    Addr,
    abi::{
        endpoint::{Subnet, TrustedKey, flags},
        host::HostAddress,
    },
};

use super::{
    Desired, Entry, Place,
    desired::{DesiredKind, DesiredLink},
    endpoint::{NO_ADDRESS, is_link_local},
    scene::{Scene, network_flags},
};
use crate::model::Network;

pub(super) fn links(network: &Network, desired: &mut Desired) {
    let Some(bridge) = network.bridge() else {
        return;
    };
    let link = DesiredLink {
        kind: DesiredKind::Bridge,
        mac: Some(network.host_mac()),
        mtu: Some(bridge.mtu),
        master: None,
        addresses: network.gateways().collect(),
        routes: BTreeSet::new(),
        fdb: BTreeSet::new(),
    };
    let key = (Place::Host, bridge.name.clone());
    desired.links.insert(key, link);
    // bpf_fib_lookup asks as if the packet came in by the bridge, and answers "forwarding is off"
    // unless the bridge itself forwards; the host's own switches stay as they are.
    let mut sysctl = |family: &str, name: &str, value: &str| {
        let key = format!("net/{family}/conf/{}/{name}", bridge.name);
        desired.sysctls.insert((Place::Host, key), value.to_owned());
    };
    sysctl("ipv4", "forwarding", "1");
    if network.ipv6 {
        sysctl("ipv6", "forwarding", "1");
        sysctl("ipv6", "accept_ra", "0");
        if network.gateways().any(|net| is_link_local(&net)) {
            sysctl("ipv6", "addr_gen_mode", NO_ADDRESS);
        }
    }
}

pub(super) fn entries(scene: &Scene<'_>, network: &Network, desired: &mut Desired) {
    let Some(bridge) = network.bridge() else {
        return;
    };
    for subnet in &network.subnets {
        let v4_bits = if subnet.pool.max_prefix_len() == 32 {
            96
        } else {
            0
        };
        let direct = if scene.settings.allow_direct_routing {
            flags::DIRECT
        } else {
            0
        };
        let egress = bridge.gateway.egress[usize::from(v4_bits == 0)];
        let value = Subnet {
            network: network.index,
            flags: network_flags(network) | direct,
            egress: egress.map_or(Addr::NONE, Addr::from),
        };
        desired.put(Entry::Subnet(
            u32::from(subnet.pool.prefix_len()) + v4_bits,
            Addr::from(subnet.pool.network()),
            value,
        ));
    }
    trusted(scene, network, desired);
    let Some(ifindex) = scene.ifindex(&bridge.name, desired) else {
        return;
    };
    for gateway in network.gateways() {
        let value = HostAddress {
            ifindex,
            network: network.index,
        };
        desired.put(Entry::HostAddress(Addr::from(gateway.addr()), value));
    }
}

/// The interfaces that a network trusts, as far as they are there: uplinks, and bridges of netd's.
pub(super) fn trusted(scene: &Scene<'_>, network: &Network, desired: &mut Desired) {
    let names = network.bridge().map(|bridge| &bridge.gateway.trusted);
    for name in names.into_iter().flatten() {
        let uplink = scene.facts.uplinks.get(name).map(|uplink| uplink.ifindex);
        if let Some(ifindex) = uplink.or_else(|| scene.identities.ifindex(name)) {
            desired.put(Entry::Trusted(TrustedKey {
                network: network.index,
                ifindex,
            }));
        }
    }
}
