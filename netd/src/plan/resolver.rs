//! The namespace of the agent's DNS server: one veth pair whose host side has no address. Every
//! address is local inside (AnyIP), so that questions to any gateway arrive; answers leave by a
//! default route whose neighbour is permanent, and `from_endpoint` finds their client.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netd_common::{
    Addr,
    abi::{
        Program,
        endpoint::{Endpoint as Value, flags},
    },
};

use super::{
    Attachment, Desired, Entry, Place, TcHook,
    action::Route,
    desired::{DesiredKind, DesiredLink},
    scene::Scene,
};
use crate::{
    model::{IfName, Mac},
    state::RESOLVER_INTERFACE,
};

/// The resolver's interface inside its namespace.
pub const MAC: Mac = Mac([0x02, 0x42, b'd', b'n', b's', 1]);
/// What answers are sent to; a program rewrites it.
const NEXT_HOP_MAC: Mac = Mac([0x02, 0x42, b'd', b'n', b's', 2]);
/// Octets; the questions' and answers' own networks decide what really fits.
const MTU: u32 = 1500;
/// The index of its counters: no endpoint's.
const INDEX: u32 = 0;

/// Its interface's name inside.
pub fn inside() -> IfName {
    "eth0".parse().expect("a valid interface name")
}

pub(super) fn outside() -> IfName {
    RESOLVER_INTERFACE.parse().expect("a valid interface name")
}

/// Own address and next hop, on no wire: IPv4 link-local (RFC 3927) and unique local (RFC 4193).
fn addresses() -> [(IpNet, std::net::IpAddr); 2] {
    let net = |text: &str| text.parse::<IpNet>().expect("a valid address");
    [
        (net("169.254.53.2/30"), net("169.254.53.1/30").addr()),
        (
            net("fd6e:6574:6400::2/64"),
            net("fd6e:6574:6400::1/64").addr(),
        ),
    ]
}

pub(super) fn links(desired: &mut Desired) {
    let place = Place::Resolver;
    desired.namespaces.insert(place, None);
    let plain = |kind, mac, mtu| DesiredLink {
        kind,
        mac,
        mtu,
        master: None,
        addresses: BTreeSet::new(),
        routes: BTreeSet::new(),
        fdb: BTreeSet::new(),
    };
    let veth = DesiredKind::Veth {
        place,
        inside: inside(),
        mac: MAC,
    };
    let mut eth0 = plain(DesiredKind::Inside, Some(MAC), Some(MTU));
    let lo: IfName = "lo".parse().expect("a valid interface name");
    let mut loopback = plain(DesiredKind::Loopback, None, None);
    for (address, next_hop) in addresses() {
        let any = if next_hop.is_ipv6() {
            Addr::NONE
        } else {
            Addr::ANY_V4
        };
        let destination = IpNet::new(any.into(), 0).expect("a valid prefix length");
        eth0.addresses.insert(address);
        eth0.routes.insert(Route {
            destination,
            via: Some(next_hop),
            link: inside(),
            local: false,
            source: None,
        });
        loopback.routes.insert(Route {
            destination,
            via: None,
            link: lo.clone(),
            local: true,
            source: None,
        });
        desired
            .neighbours
            .insert((place, inside(), next_hop), NEXT_HOP_MAC);
    }
    let host_key = (Place::Host, outside());
    desired.links.insert(host_key, plain(veth, None, Some(MTU)));
    desired.links.insert((place, inside()), eth0);
    desired.links.insert((place, lo), loopback);
    // With every address local, a client's source address looks like the own one: accepted here.
    let sysctls = [
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/eth0/rp_filter", "0"),
        ("net/ipv4/conf/eth0/accept_local", "1"),
    ];
    for (key, value) in sysctls {
        let key = (place, key.to_owned());
        desired.sysctls.insert(key, value.to_owned());
    }
}

pub(super) fn entries(scene: &Scene<'_>, desired: &mut Desired) {
    desired.attachments.insert(Attachment::Tc {
        link: outside(),
        hook: TcHook::Ingress,
        program: Program::FromEndpoint,
    });
    desired.put(Entry::EndpointStats(INDEX));
    let Some(ifindex) = scene.ifindex(&outside(), desired) else {
        return;
    };
    let value = Value {
        ifindex,
        index: INDEX,
        flags: flags::UP | flags::IS_RESOLVER,
        mtu: MTU,
        mac: MAC.0,
        gateway_mac: NEXT_HOP_MAC.0,
        ..Value::default()
    };
    desired.put(Entry::Interface(ifindex, value));
}
