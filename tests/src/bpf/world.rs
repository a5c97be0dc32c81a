//! The world of the packet tests: what the agent would have written into the maps, and the
//! interfaces and routes that go with it. Fixed numbers, so that packets can be read from files.
//!
//! Networks: `app` (1, ordinary), `quiet` (2, internal, endpoints may not talk to each other),
//! `plain` (3, not masqueraded). Endpoints by the last octet of their address: `web` .2, `db` .3,
//! `down` .4 in app; `hush` .2, `mute` .3 in quiet; `flat` .2 in plain.
//!
//! What app and the uplink `up` are, network 4 and the uplink `tun` are where there are no Ethernet
//! headers, with addresses as [`super::bare`] needs them.

use netd_common::{
    Addr,
    abi::{
        endpoint::{Endpoint, EndpointKey, Subnet, flags},
        host::{Config, HostAddress, Uplink, uplink_flags},
        link::{LinkKey, OpenPorts, OpenRange, side},
        name::{Name, NameKey, Resolver, Scopes, name_kind, scope_of_network},
        port::{PORT_PREFIX_BITS, Port, PortKey},
    },
    limits::{MAX_NAME, MAX_NAME_V4, MAX_NAME_V6, MAX_SCOPES, RESOLVER_PORT},
    packet::view::ethertype,
};

use super::routes::{address, prefix};

/// An interface.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Its name, in the kernel and in vectors.
    pub name: &'static str,
    /// Its number.
    pub ifindex: u32,
    /// A bridge, else one end of a veth pair.
    pub is_bridge: bool,
    /// Octets from the IP header on.
    pub mtu: u32,
    /// Addresses with prefix lengths.
    pub addresses: &'static [&'static str],
}

const fn veth(name: &'static str, ifindex: u32) -> Link {
    Link {
        name,
        ifindex,
        is_bridge: false,
        mtu: 1_500,
        addresses: &[],
    }
}

const fn bridge(name: &'static str, ifindex: u32, addresses: &'static [&'static str]) -> Link {
    Link {
        name,
        ifindex,
        is_bridge: true,
        mtu: 1_500,
        addresses,
    }
}

/// All tables.
#[derive(Clone, Debug)]
pub struct World {
    /// The interfaces.
    pub links: Vec<Link>,
    /// `INTERFACES`.
    pub interfaces: Vec<(u32, Endpoint)>,
    /// `ENDPOINTS`.
    pub endpoints: Vec<(EndpointKey, Endpoint)>,
    /// `SUBNETS`, with prefix lengths in bits of the sixteen octets.
    pub subnets: Vec<(Addr, u32, Subnet)>,
    /// `TRUSTED`: network and interface.
    pub trusted: Vec<(u32, u32)>,
    /// `HOST_ADDRESSES`.
    pub host_addresses: Vec<(Addr, HostAddress)>,
    /// `UPLINKS`.
    pub uplinks: Vec<(u32, Uplink)>,
    /// `PORTS`, with prefix lengths.
    pub ports: Vec<(PortKey, u32, Port)>,
    /// `LINKS`.
    pub open: Vec<(LinkKey, OpenPorts)>,
    /// `CONFIG`.
    pub config: Config,
    /// `NAMES`.
    pub names: Vec<(NameKey, Name)>,
    /// `SCOPES`.
    pub scopes: Vec<(u32, Scopes)>,
    /// `RESOLVERS`, without their keys.
    pub resolver: Resolver,
}

/// A network, as its endpoints need it.
struct Network {
    index: u32,
    bridge: u32,
    flags: u32,
    gateway_mac: [u8; 6],
}

impl World {
    /// The world.
    pub fn new() -> World {
        let mut world = World {
            links: links(),
            interfaces: Vec::new(),
            endpoints: Vec::new(),
            subnets: Vec::new(),
            trusted: Vec::new(),
            host_addresses: Vec::new(),
            uplinks: vec![(21, uplink()), (23, tunnel())],
            ports: Vec::new(),
            open: Vec::new(),
            config: Config {
                ports: [[40_000, 40_000], [1, 0]],
                resolver_ifindex: 31,
                resolver_mac: [2, 0x42, 0, 0, 0, 0xfe],
                reserved: [0; 2],
                epoch: 1,
                host_cookie: 0,
                endpoint_halves: 12,
            },
            names: Vec::new(),
            scopes: Vec::new(),
            resolver: Resolver {
                sandbox: 1,
                address: [172, 18, 0, 1],
                port: RESOLVER_PORT.to_be_bytes(),
                reserved: [0; 2],
            },
        };
        world.add_networks();
        world.add_host();
        world.add_ports();
        world.add_names();
        world
    }

    /// The interface with this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The name of an interface.
    pub fn name_of(&self, ifindex: u32) -> &'static str {
        let link = self.links.iter().find(|link| link.ifindex == ifindex);
        link.map_or("?", |link| link.name)
    }

    fn add_networks(&mut self) {
        let open = flags::ICC | flags::MASQUERADE | flags::RESOLVER;
        let app = self.add_network(1, open);
        let quiet = self.add_network(2, flags::INTERNAL | flags::RESOLVER);
        let plain = self.add_network(3, flags::ICC | flags::RESOLVER);
        self.add_endpoint(&app, 101, 1, 2, flags::UP | flags::PUBLISHES);
        self.add_endpoint(&app, 102, 2, 3, flags::UP);
        self.add_endpoint(&app, 103, 3, 4, 0);
        self.add_endpoint(&quiet, 104, 4, 2, flags::UP | flags::LINKED);
        self.add_endpoint(&quiet, 105, 5, 3, flags::UP | flags::LINKED);
        self.add_link(4, 5, side::SERVED);
        self.add_link(5, 4, side::ANSWERS);
        self.add_endpoint(&plain, 106, 6, 2, flags::UP);
        let bare = self.add_network(4, open);
        self.add_endpoint(&bare, 201, 7, 2, flags::UP | flags::PUBLISHES);
        self.add_endpoint(&bare, 202, 8, 3, flags::UP);
        self.add_endpoint(&bare, 203, 9, 4, 0);
        let resolver = Endpoint {
            ifindex: 31,
            flags: flags::UP | flags::IS_RESOLVER,
            mac: self.config.resolver_mac,
            gateway_mac: [2, 0x42, 0, 0, 0, 0xfd],
            mtu: 1_500,
            ..Endpoint::default()
        };
        self.interfaces.push((31, resolver));
    }

    fn add_network(&mut self, index: u32, flags: u32) -> Network {
        let subnet = Subnet {
            network: index,
            flags,
            egress: Addr::NONE,
        };
        let bits = if index == 4 { 24 } else { 16 };
        self.subnets.push((v4(index, 0), 96 + bits, subnet));
        self.subnets.push((v6(index, 0), 64, subnet));
        Network {
            index,
            bridge: 10 + index,
            flags,
            gateway_mac: [2, 0x42, 0, 0, index as u8, 1],
        }
    }

    fn add_endpoint(&mut self, network: &Network, ifindex: u32, index: u32, host: u8, more: u32) {
        let number = network.index;
        let endpoint = Endpoint {
            ifindex,
            network: number,
            index,
            generation: 1,
            sandbox: index,
            bridge: network.bridge,
            flags: network.flags | more,
            mtu: 1_500,
            mac: [2, 0x42, 0xac, 0, number as u8, host],
            gateway_mac: network.gateway_mac,
            addresses: [v4(number, host), v6(number, host)],
            gateways: [v4(number, 1), v6(number, 1)],
        };
        self.interfaces.push((ifindex, endpoint));
        for address in endpoint.addresses {
            let key = EndpointKey {
                network: number,
                address,
            };
            self.endpoints.push((key, endpoint));
        }
        let mut scopes = Scopes {
            count: 1,
            scopes: [0; MAX_SCOPES],
        };
        scopes.scopes[0] = scope_of_network(number);
        self.scopes.push((index, scopes));
    }

    /// TCP 81 and 82 and UDP 5353 are open.
    fn add_link(&mut self, from: u32, to: u32, side: u8) {
        let mut open = OpenPorts::default();
        for (slot, (protocol, first, last)) in open
            .ranges
            .iter_mut()
            .zip([(6, 81, 82), (17, 5_353, 5_353)])
        {
            *slot = OpenRange {
                first,
                last,
                protocol,
                side,
            };
        }
        self.open.push((LinkKey { from, to }, open));
    }

    fn add_host(&mut self) {
        let links = self.links.clone();
        for link in links {
            for text in link.addresses {
                let (own, _) = prefix(text);
                let network = if link.is_bridge { link.ifindex - 10 } else { 0 };
                let entry = HostAddress {
                    ifindex: link.ifindex,
                    network,
                };
                self.host_addresses.push((own, entry));
            }
        }
    }

    /// Those of app at every address of the host, but for those of `tun` and network 4's bridge.
    fn add_ports(&mut self) {
        let wildcards = [Addr::ANY_V4, Addr::NONE];
        let tunnels = tunnel().addresses;
        let gateways = [v4(4, 1), v6(4, 1)];
        for family in [0, 1] {
            self.add_ports_of_web(wildcards[family], 101, family);
            self.add_ports_of_web(tunnels[family], 201, family);
            self.add_ports_of_web(gateways[family], 201, family);
        }
        for (address, db) in [(uplink().addresses[0], 102), (tunnels[0], 202)] {
            let to_db = self.port_of(db, 0, 9_090, 90);
            self.add_port(6, address, 9_090, 0, to_db);
        }
    }

    /// TCP 8080 → web:80, UDP 5300–5303 → web:53 onwards, TCP 7070 → an endpoint that is gone.
    fn add_ports_of_web(&mut self, address: Addr, web: u32, family: usize) {
        let to_web = |first: u16, target: u16| self.port_of(web, family, first, target);
        let (page, names) = (to_web(8_080, 80), to_web(5_300, 53));
        let mut gone = to_web(7_070, 70);
        gone.generation = 9;
        self.add_port(6, address, 8_080, 0, page);
        self.add_port(17, address, 5_300, 2, names);
        self.add_port(6, address, 7_070, 0, gone);
    }

    /// To the endpoint at an interface.
    fn port_of(&self, ifindex: u32, family: usize, first: u16, target: u16) -> Port {
        let mut endpoints = self.interfaces.iter();
        let found = endpoints.find(|(interface, _)| *interface == ifindex);
        let (_, endpoint) = found.expect("an endpoint");
        Port {
            network: endpoint.network,
            endpoint: endpoint.index,
            generation: endpoint.generation,
            address: endpoint.addresses[family],
            first: first.to_be_bytes(),
            target: target.to_be_bytes(),
        }
    }

    /// `free` low bits of the port may be anything.
    fn add_port(&mut self, protocol: u8, address: Addr, port: u16, free: u32, value: Port) {
        let key = PortKey {
            protocol,
            purpose: 0,
            address,
            port: port.to_be_bytes(),
        };
        self.ports.push((key, PORT_PREFIX_BITS - free, value));
    }

    fn add_names(&mut self) {
        let hosts: [(&str, &[u8]); 4] = [
            ("web", &[2]),
            ("web.app", &[2]),
            ("db", &[3]),
            ("all", &[2, 3, 4]),
        ];
        for (text, members) in hosts {
            let mut name = empty(name_kind::HOST);
            for (slot, host) in members.iter().enumerate() {
                name.v4[slot] = v4(1, *host).octets_v4();
                name.v6[slot] = v6(1, *host).0;
            }
            name.count_v4 = members.len() as u8;
            name.count_v6 = members.len() as u8;
            self.names.push((name_key(text), name));
        }
        let mut pointer = empty(name_kind::POINTER);
        let (target, len) = wire("web.app");
        pointer.target = target;
        pointer.target_len = len;
        self.names
            .push((name_key("2.0.18.172.in-addr.arpa"), pointer));
        self.names
            .push((name_key("crowd"), empty(name_kind::AGENT)));
    }
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

fn links() -> Vec<Link> {
    let mut up = veth("up", 21);
    up.mtu = 1_400;
    up.addresses = &["192.0.2.10/24", "2001:db8:1::10/64"];
    let mut tun = veth("tun", 23);
    tun.mtu = up.mtu;
    tun.addresses = &["8.0.128.10/24", "2001:db8:86dd:1::10/64"];
    vec![
        bridge("br-app", 11, &["172.18.0.1/16", "fd00:18::1/64"]),
        bridge("br-quiet", 12, &["172.19.0.1/16", "fd00:19::1/64"]),
        bridge("br-plain", 13, &["172.20.0.1/16", "fd00:20::1/64"]),
        bridge("br-bare", 14, &["8.0.21.1/24", "fd00:21:86dd::1/64"]),
        up,
        veth("other", 22),
        tun,
        veth("resolver", 31),
        veth("web", 101),
        veth("db", 102),
        veth("down", 103),
        veth("hush", 104),
        veth("mute", 105),
        veth("flat", 106),
        veth("web-bare", 201),
        veth("db-bare", 202),
        veth("down-bare", 203),
        // Not netd's: in no map.
        veth("stranger", 107),
    ]
}

fn uplink() -> Uplink {
    Uplink {
        addresses: [address("192.0.2.10"), address("2001:db8:1::10")],
        mtu: 1_400,
        flags: 0,
    }
}

/// The same without Ethernet headers.
fn tunnel() -> Uplink {
    Uplink {
        addresses: [address("8.0.128.10"), address("2001:db8:86dd:1::10")],
        mtu: 1_400,
        flags: uplink_flags::L3,
    }
}

/// 172.(17 + network).0.host; 8.0.21.host of network 4.
fn v4(network: u32, host: u8) -> Addr {
    let number = 17 + network as u8;
    Addr::v4(match network {
        4 => [8, 0, number, host],
        _ => [172, number, 0, host],
    })
}

/// fd00:(17 + network in decimal)::host; fd00:21:86dd::host of network 4.
fn v6(network: u32, host: u8) -> Addr {
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[3] = [0x18, 0x19, 0x20, 0x21][network as usize - 1];
    if network == 4 {
        [octets[4], octets[5]] = ethertype::IPV6;
    }
    octets[15] = host;
    Addr::v6(octets)
}

fn empty(kind: u8) -> Name {
    Name {
        kind,
        count_v4: 0,
        count_v6: 0,
        target_len: 0,
        v4: [[0; 4]; MAX_NAME_V4],
        v6: [[0; 16]; MAX_NAME_V6],
        target: [0; MAX_NAME],
        reserved: [0; 3],
    }
}

fn name_key(text: &str) -> NameKey {
    NameKey {
        scope: scope_of_network(1),
        name: wire(text).0,
        reserved: [0; 3],
    }
}

/// A name in wire format, and its length.
fn wire(text: &str) -> ([u8; MAX_NAME], u8) {
    let mut octets = [0; MAX_NAME];
    let mut at = 0;
    for label in text.split('.') {
        octets[at] = label.len() as u8;
        octets[at + 1..at + 1 + label.len()].copy_from_slice(label.as_bytes());
        at += 1 + label.len();
    }
    (octets, at as u8 + 1)
}
