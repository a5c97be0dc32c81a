//! The host in the maps: uplinks, addresses, settings, and the programs that are not an endpoint's.

use netd_common::{
    Addr,
    abi::{
        Program,
        host::{Config, HostAddress, Uplink, uplink_flags},
    },
};

use super::{Attachment, Desired, Entry, TcHook, resolver, scene::Scene};
use crate::model::HostFacts;

/// The epoch of all flows: to be raised by a change that decides old flows anew.
const EPOCH: u32 = 1;

/// Ports below are privileged: never picked by themselves.
const FIRST_UNPRIVILEGED: u16 = 1024;

pub(super) fn entries(scene: &Scene<'_>, desired: &mut Desired) {
    for (name, uplink) in &scene.facts.uplinks {
        let address = |address: Option<std::net::IpAddr>| address.map_or(Addr::NONE, Addr::from);
        let value = Uplink {
            addresses: [address(uplink.v4), address(uplink.v6)],
            mtu: uplink.mtu,
            flags: if uplink.l3 { uplink_flags::L3 } else { 0 },
        };
        desired.put(Entry::Uplink(uplink.ifindex, value));
        let hooks = if uplink.l3 {
            [
                (TcHook::Ingress, Program::FromUplinkL3),
                (TcHook::Egress, Program::ToUplinkL3),
            ]
        } else {
            [
                (TcHook::Ingress, Program::FromUplink),
                (TcHook::Egress, Program::ToUplink),
            ]
        };
        for (hook, program) in hooks {
            desired.attachments.insert(Attachment::Tc {
                link: name.clone(),
                hook,
                program,
            });
        }
    }
    let own = |address: &&crate::model::facts::AddressFacts| {
        scene.state.interface(&address.link).is_some()
    };
    for address in scene.facts.addresses.values().filter(|a| !own(a)) {
        let value = HostAddress {
            ifindex: address.ifindex,
            network: 0,
        };
        desired.put(Entry::HostAddress(Addr::from(address.net.addr()), value));
    }
    for program in Program::ALL {
        let attachment = match program {
            Program::SockConnect4
            | Program::SockSendmsg4
            | Program::SockRecvmsg4
            | Program::SockGetpeername4
            | Program::SockConnect6
            | Program::SockSendmsg6
            | Program::SockRecvmsg6
            | Program::SockGetpeername6
            | Program::SockPostBind4
            | Program::SockPostBind6 => Attachment::Cgroup(program),
            Program::RedirectFailed => Attachment::Tracepoint(program),
            Program::FromEndpoint
            | Program::ToEndpoint
            | Program::FromUplink
            | Program::ToUplink
            | Program::Dns
            | Program::Icmp
            | Program::Fragments
            | Program::FromUplinkL3
            | Program::ToUplinkL3 => continue,
        };
        desired.attachments.insert(attachment);
    }
    // Uplinks come and go.
    for network in scene.state.networks() {
        super::bridge::trusted(scene, network, desired);
    }
    config(scene, desired);
}

fn config(scene: &Scene<'_>, desired: &mut Desired) {
    let Some(resolver_ifindex) = scene.ifindex(&resolver::outside(), desired) else {
        return;
    };
    desired.put(Entry::Config(Config {
        ports: (scene.settings.flows.ports).unwrap_or_else(|| masquerade_ports(scene.facts)),
        resolver_ifindex,
        resolver_mac: resolver::MAC.0,
        reserved: [0; 2],
        epoch: EPOCH,
        host_cookie: scene.facts.cookie,
        endpoint_halves: 2 * u64::from(scene.settings.flows.per_endpoint),
    }));
}

/// What the host's own sockets never pick by themselves: unprivileged ports outside of
/// `ip_local_port_range`. An interval whose low end is above its high end is empty.
pub(super) fn masquerade_ports(facts: &HostFacts) -> [[u16; 2]; 2] {
    const EMPTY: [u16; 2] = [1, 0];
    let (low, high) = facts.local_ports;
    let below = [FIRST_UNPRIVILEGED, low.saturating_sub(1)];
    let above = match high.checked_add(1) {
        Some(first) => [first.max(FIRST_UNPRIVILEGED), u16::MAX],
        None => EMPTY,
    };
    [below, above].map(|interval| {
        if interval[0] <= interval[1] {
            interval
        } else {
            EMPTY
        }
    })
}
