//! What the host is, apart from netd: read from netlink, /proc/sys and resolv.conf, and told as
//! it is. Used at start and after events, never on the path of a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{IpAddr, Ipv6Addr},
    path::Path,
};

use ipnet::IpNet;
use rtnetlink::packet_route::link::LinkLayerType;

use super::{
    netlink::{
        Link, Socket,
        address::{self, Address},
        link,
        route::{self, Listed},
    },
    port_lists, resolv, sysctl,
};
use crate::{
    model::{IfName, Name, PortRange},
    plan::{
        HostFacts, RESERVED_PORTS,
        facts::{AddressFacts, LinkFacts, NameServers, ResolvConf, UplinkFacts},
    },
};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// What systemd-resolved itself asks, where /etc/resolv.conf only names its stub.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Linux's default of `ip_local_port_range`, where it cannot be read.
const DEFAULT_LOCAL_PORTS: (u16, u16) = (32_768, 60_999);
/// Routes with a shorter prefix say "everything else", not "this subnet is taken".
const SHORTEST_ROUTE: u8 = 8;

/// Reads all facts. `only` narrows the uplinks, where it is not empty.
pub async fn read(
    socket: &Socket,
    run_dir: &Path,
    only: &[IfName],
) -> Result<HostFacts, anyhow::Error> {
    let links = link::list(socket).await?;
    let addresses = address::list(socket, None).await?;
    let routes = route::list(socket, true).await?;
    let NameServers {
        resolv_conf,
        external: external_servers,
    } = name_servers()?;
    Ok(HostFacts {
        cookie: socket.cookie(),
        links: host_links(&links),
        uplinks: uplinks(&links, &addresses, &routes, only),
        addresses: host_addresses(&links, &addresses),
        routes: taken(&links, &routes),
        local_ports: local_ports()?,
        reserved_ports: reserved_ports(run_dir)?,
        resolv_conf,
        external_servers,
        hosts: text(Path::new(HOSTS))?,
        hostname: hostname(),
        sockets: Vec::new(),
    })
}

/// Reads only what the host says of name servers: two small files.
pub fn name_servers() -> io::Result<NameServers> {
    let resolv_conf = resolv_conf(Path::new(RESOLV_CONF))?;
    let external = match resolv::external(&resolv_conf) {
        servers if servers.is_empty() => resolv::external(&self::resolv_conf(Path::new(RESOLVED))?),
        servers => servers,
    };
    Ok(NameServers {
        resolv_conf,
        external,
    })
}

fn host_links(links: &[Link]) -> BTreeMap<IfName, LinkFacts> {
    let theirs = links.iter().filter(|link| !link.ours);
    let facts = theirs.map(|link| {
        let (mac, mtu) = (link.mac, link.mtu);
        (link.name.clone(), LinkFacts { mac, mtu })
    });
    facts.collect()
}

fn uplinks(
    links: &[Link],
    addresses: &[Address],
    routes: &[Listed],
    only: &[IfName],
) -> BTreeMap<IfName, UplinkFacts> {
    let chosen = |link: &&Link| {
        !link.loopback
            && !link.ours
            && link.master.is_none()
            && (only.is_empty() || only.contains(&link.name))
    };
    links
        .iter()
        .filter(chosen)
        .filter_map(|link| {
            let facts = UplinkFacts {
                ifindex: link.ifindex,
                mtu: link.mtu,
                l3: headerless(link.layer)?,
                v4: masquerade(link.ifindex, addresses, routes, false),
                v6: masquerade(link.ifindex, addresses, routes, true),
            };
            Some((link.name.clone(), facts))
        })
        .collect()
}

/// Whether packets of a link begin with their IP header; `None` for links that carry IP in a way
/// that the programs do not read (InfiniBand, CAN, …): those are no uplinks.
fn headerless(layer: LinkLayerType) -> Option<bool> {
    match layer {
        LinkLayerType::Ether => Some(false),
        LinkLayerType::None
        | LinkLayerType::Rawip
        | LinkLayerType::Ppp
        | LinkLayerType::Tunnel
        | LinkLayerType::Tunnel6
        | LinkLayerType::Sit
        | LinkLayerType::Ipgre
        | LinkLayerType::Ip6gre => Some(true),
        _ => None,
    }
}

/// The address that leaves through a link carry: what its best default route says, else the first
/// that is fit.
fn masquerade(ifindex: u32, addresses: &[Address], routes: &[Listed], v6: bool) -> Option<IpAddr> {
    let preferred = routes
        .iter()
        .filter(|route| {
            route.ifindex == ifindex
                && route.unicast
                && route.destination.prefix_len() == 0
                && route.destination.addr().is_ipv6() == v6
        })
        .min_by_key(|route| route.metric)
        .and_then(|route| route.source);
    let first = || {
        addresses
            .iter()
            .filter(|address| {
                address.ifindex == ifindex
                    && address.net.addr().is_ipv6() == v6
                    && address.global
                    && !address.unfit
            })
            .min_by_key(|address| (unique_local(address.net.addr()), address.secondary))
            .map(|address| address.net.addr())
    };
    preferred.or_else(first)
}

/// fc00::/7 reaches less far than other global addresses (RFC 4193).
fn unique_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unique_local())
}

fn host_addresses(links: &[Link], addresses: &[Address]) -> BTreeMap<IpAddr, AddressFacts> {
    let names: BTreeMap<u32, &IfName> = links.iter().map(|l| (l.ifindex, &l.name)).collect();
    addresses
        .iter()
        .filter_map(|address| {
            let facts = AddressFacts {
                link: (*names.get(&address.ifindex)?).clone(),
                ifindex: address.ifindex,
                net: address.net,
            };
            Some((address.net.addr(), facts))
        })
        .collect()
}

/// Destinations that a new subnet must not overlap: unicast routes that are neither netd's nor lead
/// to its links. Link-local ones exist on every link and are no conflict.
fn taken(links: &[Link], routes: &[Listed]) -> BTreeSet<IpNet> {
    let not_theirs: BTreeSet<u32> = links
        .iter()
        .filter(|link| link.ours || link.loopback)
        .map(|link| link.ifindex)
        .collect();
    routes
        .iter()
        .filter(|route| {
            route.unicast
                && !route.ours
                && !not_theirs.contains(&route.ifindex)
                && route.destination.prefix_len() >= SHORTEST_ROUTE
                && !link_local(route.destination)
        })
        .map(|route| route.destination.trunc())
        .collect()
}

fn link_local(net: IpNet) -> bool {
    match net {
        IpNet::V4(v4) => v4.addr().is_link_local() || v4.addr().is_multicast(),
        IpNet::V6(v6) => {
            let address: Ipv6Addr = v6.addr();
            address.is_unicast_link_local() || address.is_multicast()
        }
    }
}

fn local_ports() -> io::Result<(u16, u16)> {
    let text = fs::read_to_string(LOCAL_PORTS)?;
    Ok(port_lists::pair(&text).unwrap_or(DEFAULT_LOCAL_PORTS))
}

fn reserved_ports(run_dir: &Path) -> Result<Vec<PortRange>, anyhow::Error> {
    let now = sysctl::own_value(run_dir, RESERVED_PORTS)?;
    Ok(port_lists::ranges(&now))
}

fn resolv_conf(path: &Path) -> io::Result<ResolvConf> {
    Ok(resolv::parse(&text(path)?))
}

/// What a file says; one that is not there says nothing.
fn text(path: &Path) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn hostname() -> Option<Name> {
    let name = nix::unistd::gethostname().ok()?;
    name.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mac, plan::observed::LinkKind};

    fn a_link(ifindex: u32, name: &str) -> Link {
        Link {
            ifindex,
            name: name.parse().unwrap(),
            kind: LinkKind::Other,
            ours: false,
            mac: Mac([0; 6]),
            mtu: 1500,
            up: true,
            loopback: false,
            layer: LinkLayerType::Ether,
            master: None,
            peer: None,
            peer_namespace: None,
            closed: false,
            ipv6_off: None,
        }
    }

    fn an_address(ifindex: u32, net: &str) -> Address {
        Address {
            ifindex,
            net: net.parse().unwrap(),
            global: true,
            unfit: false,
            secondary: false,
            by_kernel: false,
        }
    }

    fn a_route(ifindex: u32, destination: &str) -> Listed {
        Listed {
            destination: destination.parse().unwrap(),
            via: None,
            ifindex,
            ours: false,
            local: false,
            unicast: true,
            source: None,
            metric: 0,
        }
    }

    #[test]
    fn uplinks_are_what_is_neither_ours_nor_enslaved() {
        let links = [
            Link {
                loopback: true,
                ..a_link(1, "lo")
            },
            a_link(2, "eth0"),
            Link {
                ours: true,
                ..a_link(3, "br-1")
            },
            Link {
                master: Some(9),
                ..a_link(4, "veth1")
            },
            Link {
                layer: LinkLayerType::None,
                ..a_link(5, "tun0")
            },
            Link {
                layer: LinkLayerType::Infiniband,
                ..a_link(6, "ib0")
            },
            a_link(9, "docker0"),
        ];
        let names = |only: &[IfName]| -> Vec<(String, bool)> {
            uplinks(&links, &[], &[], only)
                .into_iter()
                .map(|(name, facts)| (name.to_string(), facts.l3))
                .collect()
        };
        let (docker, eth, tun) = (
            ("docker0".into(), false),
            ("eth0".into(), false),
            ("tun0".into(), true),
        );
        assert_eq!(names(&[]), [docker, eth.clone(), tun]);
        assert_eq!(
            names(&["eth0".parse().unwrap(), "lo".parse().unwrap()]),
            [eth]
        );
    }

    #[test]
    fn the_default_routes_source_comes_first() {
        let addresses = [an_address(2, "192.0.2.1/24"), an_address(2, "192.0.2.9/24")];
        let source = |route: &str, metric, source: &str| Listed {
            source: Some(source.parse().unwrap()),
            metric,
            ..a_route(2, route)
        };
        let routes = [
            source("198.51.100.0/24", 0, "192.0.2.8"),
            source("0.0.0.0/0", 100, "192.0.2.7"),
            source("0.0.0.0/0", 50, "192.0.2.9"),
            Listed {
                ifindex: 3,
                ..source("0.0.0.0/0", 1, "192.0.2.6")
            },
        ];
        let chosen = |routes| {
            masquerade(2, &addresses, routes, false)
                .unwrap()
                .to_string()
        };
        assert_eq!(chosen(&routes), "192.0.2.9");
        assert_eq!(chosen(&[]), "192.0.2.1");
        assert_eq!(masquerade(2, &addresses, &routes, true), None);
    }

    #[test]
    fn unfit_and_narrow_addresses_are_not_sources() {
        let addresses = [
            Address {
                global: false,
                ..an_address(2, "fe80::1/64")
            },
            Address {
                unfit: true,
                ..an_address(2, "2001:db8::1/64")
            },
            an_address(2, "fd00::1/64"),
            Address {
                secondary: true,
                ..an_address(2, "2001:db8::2/64")
            },
            an_address(2, "2001:db8::3/64"),
        ];
        let chosen = masquerade(2, &addresses, &[], true).unwrap();
        assert_eq!(chosen.to_string(), "2001:db8::3");
    }

    #[test]
    fn taken_routes() {
        let links = [
            a_link(2, "eth0"),
            Link {
                ours: true,
                ..a_link(3, "br-1")
            },
        ];
        let routes = [
            a_route(2, "0.0.0.0/0"),
            a_route(2, "10.0.0.0/8"),
            a_route(2, "192.0.2.0/24"),
            a_route(2, "172.16.0.0/7"),
            a_route(2, "fe80::/64"),
            a_route(2, "169.254.0.0/16"),
            a_route(3, "172.18.0.0/16"),
            Listed {
                ours: true,
                ..a_route(2, "172.19.0.0/16")
            },
            Listed {
                unicast: false,
                ..a_route(2, "172.20.0.0/16")
            },
        ];
        let found: Vec<String> = taken(&links, &routes)
            .iter()
            .map(IpNet::to_string)
            .collect();
        assert_eq!(found, ["10.0.0.0/8", "192.0.2.0/24"]);
    }
}
