//! Reads what is there: by key (cost grows with the keys alone), or everything that is netd's.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    path::Path,
};

use super::{
    KernelError, describe, files,
    netlink::{
        Link, NetlinkError, Socket,
        address::{self, Address},
        fdb, link, neighbour, nsid,
        route::{self, Listed},
    },
    netns,
    stack::Stack,
    sysctl,
};
use crate::{
    model::{IfName, Mac},
    plan::{
        Key, Observed, Place, RESERVED_PORTS,
        action::Route,
        observed::{LinkKind, LinkState},
    },
};

/// Sides of veth pairs on the host that are netd's: their index, and that of the other side.
pub type Pairs = BTreeMap<u32, u32>;

impl Stack {
    /// Reads what one key names into `found`. There is nothing to read of BPF's keys here.
    pub async fn observe(&mut self, key: &Key, found: &mut Observed) -> Result<(), KernelError> {
        let read = self.read(key, found).await;
        read.map_err(|source| KernelError {
            doing: describe::key(key),
            source,
        })
    }

    async fn read(&mut self, key: &Key, found: &mut Observed) -> Result<(), anyhow::Error> {
        match key {
            Key::Namespace(place) => {
                if let Some(cookie) = self.namespace_cookie(*place).await? {
                    found.namespaces.insert(*place, cookie);
                }
            }
            Key::Link(place, name) => {
                if let Some(socket) = self.places.find(*place)? {
                    let host = *place == Place::Host;
                    let state = link_state(&socket, name, host).await?;
                    let key = (*place, name.clone());
                    found.links.extend(state.map(|state| (key, state)));
                }
            }
            Key::Fdb(name, mac) => {
                // Links come before their entries.
                if let Some(link) = found.links.get_mut(&(Place::Host, name.clone()))
                    && fdb::has(&self.places.host()?, link.ifindex, *mac).await?
                {
                    link.fdb.insert(*mac);
                }
            }
            Key::Neighbour(place, name, address) => {
                if let Some(socket) = self.places.find(*place)?
                    && let Some(link) = link::find(&socket, name).await?
                {
                    let mac = neighbour::find(&socket, link.ifindex, *address).await?;
                    let key = (*place, name.clone(), *address);
                    found.neighbours.extend(mac.map(|mac| (key, mac)));
                }
            }
            Key::Route(name, to) => {
                let socket = self.places.host()?;
                if let Some(link) = link::find(&socket, name).await? {
                    let route = route::find(&socket, link.ifindex, *to).await?;
                    let route = route.map(|listed| to_route(listed, name));
                    let key = (name.clone(), *to);
                    found.routes.extend(route.map(|route| (key, route)));
                }
            }
            Key::Sysctl(place, key) => {
                if let Some(value) = self.sysctl(*place, key).await? {
                    found.sysctls.insert((*place, key.clone()), value);
                }
            }
            Key::Files(id) => {
                if let Some(files) = files::read(&self.run_dir, *id)? {
                    found.files.insert(*id, files);
                }
            }
            Key::Attachment(_) | Key::Entry(_) => {}
        }
        Ok(())
    }

    /// A sysctl's value. Whether a sandbox's link speaks IPv6 is told with the link: the kernel finds
    /// a file of /proc/sys/net among those of all namespaces, since all have the same name.
    async fn sysctl(&mut self, place: Place, key: &str) -> Result<Option<String>, anyhow::Error> {
        if place != Place::Host
            && let Some(name) = sysctl::ipv6_switch_of(key)
        {
            let Some(socket) = self.places.find(place)? else {
                return Ok(None);
            };
            let Some(link) = link::find(&socket, &name).await? else {
                return Ok(None);
            };
            if let Some(off) = link.ipv6_off {
                return Ok(Some(i32::from(off).to_string()));
            }
        }
        sysctl::read(&self.places, place, key)
    }

    /// The cookie of a namespace, where there is one. Its number is noted for events.
    async fn namespace_cookie(&mut self, place: Place) -> Result<Option<u64>, anyhow::Error> {
        let Some(file) = self.places.namespace(place)? else {
            self.numbers.forget(place);
            return Ok(None);
        };
        if place != Place::Host
            && let Some(number) = nsid::find(&self.places.host()?, file.as_fd()).await?
        {
            self.numbers.set(number, place);
        }
        Ok(self.places.find(place)?.map(|socket| socket.cookie()))
    }

    /// Reads everything of netd's in the host namespace, and the files. Also tells the veth pairs,
    /// by which [`Stack::observe_inside`] knows what is netd's there.
    pub async fn observe_host(&mut self, found: &mut Observed) -> Result<Pairs, KernelError> {
        self.read_host(found).await.map_err(|source| KernelError {
            doing: "read netd's interfaces".to_owned(),
            source,
        })
    }

    async fn read_host(&mut self, found: &mut Observed) -> Result<Pairs, anyhow::Error> {
        let socket = self.places.host()?;
        let mut links = link::list(&socket).await?;
        let names: BTreeMap<u32, IfName> =
            links.iter().map(|l| (l.ifindex, l.name.clone())).collect();
        links.retain(|link| link.ours);
        let mut entries = BTreeSet::new();
        for bridge in links.iter().filter(|link| link.kind == LinkKind::Bridge) {
            entries.extend(fdb::list_bridge(&socket, bridge.ifindex).await?);
        }
        let pairs = links
            .iter()
            .filter_map(|link| Some((link.ifindex, link.peer?)))
            .collect();
        let listed = Lists::read(&socket).await?;
        let noted = sysctl::changes(&self.run_dir)?.into_keys();
        let bridges = links.iter().filter(|link| link.kind == LinkKind::Bridge);
        let keys: Vec<String> = bridges
            .flat_map(|bridge| sysctl::of_bridge(&bridge.name))
            .chain(noted)
            .chain([RESERVED_PORTS.to_owned()])
            .collect();
        listed.into_observed(Place::Host, links, &names, &entries, found);
        self.read_sysctls(Place::Host, keys, found)?;
        read_files(&self.run_dir, found)?;
        Ok(pairs)
    }

    fn read_sysctls(
        &self,
        place: Place,
        keys: impl IntoIterator<Item = String>,
        found: &mut Observed,
    ) -> Result<(), anyhow::Error> {
        for key in keys {
            if let Some(value) = sysctl::read(&self.places, place, &key)? {
                found.sysctls.insert((place, key), value);
            }
        }
        Ok(())
    }

    /// The places that have a namespace, or a note of one.
    pub fn inside(&self) -> Result<Vec<Place>, KernelError> {
        self.places.list().map_err(|source| KernelError {
            doing: "list the namespaces".to_owned(),
            source,
        })
    }

    /// Reads a namespace other than the host's: itself, and the links in it that are netd's.
    pub async fn observe_inside(
        &mut self,
        place: Place,
        pairs: &Pairs,
        found: &mut Observed,
    ) -> Result<(), KernelError> {
        let read = self.read_inside(place, pairs, found).await;
        read.map_err(|source| KernelError {
            doing: format!("read the interfaces of {}", describe::place(place)),
            source,
        })
    }

    async fn read_inside(
        &mut self,
        place: Place,
        pairs: &Pairs,
        found: &mut Observed,
    ) -> Result<(), anyhow::Error> {
        let Some(cookie) = self.namespace_cookie(place).await? else {
            return Ok(());
        };
        found.namespaces.insert(place, cookie);
        let host = netns::open(Path::new("/proc/thread-self/ns/net"))?;
        if let Some(socket) = self.places.find(place)? {
            let mut links = link::list(&socket).await?;
            let host = nsid::find(&socket, host.as_fd()).await?;
            let netds = |link: &Link| match link.kind {
                LinkKind::Veth => {
                    link.peer_namespace.is_some()
                        && link.peer_namespace == host
                        && link.peer.and_then(|peer| pairs.get(&peer)) == Some(&link.ifindex)
                }
                LinkKind::Macvlan(_) => link.ours,
                LinkKind::Bridge | LinkKind::Vlan(_) | LinkKind::Dummy | LinkKind::Other => false,
            };
            // The resolver's namespace is netd's altogether.
            links.retain(|link| place == Place::Resolver || netds(link));
            if !links.is_empty() {
                let listed = Lists::read(&socket).await?;
                listed.into_observed(place, links, &BTreeMap::new(), &BTreeSet::new(), found);
            }
        }
        if place == Place::Resolver {
            let keys = sysctl::OF_RESOLVER.map(str::to_owned);
            self.read_sysctls(place, keys, found)?;
        }
        Ok(())
    }
}

/// All addresses, netd's routes and permanent neighbours of a namespace, each read once.
struct Lists {
    addresses: Vec<Address>,
    routes: Vec<Listed>,
    neighbours: Vec<(u32, std::net::IpAddr, Mac)>,
}

impl Lists {
    async fn read(socket: &Socket) -> Result<Lists, NetlinkError> {
        Ok(Lists {
            addresses: address::list(socket, None).await?,
            routes: route::list(socket, false).await?,
            neighbours: neighbour::list(socket).await?,
        })
    }

    fn into_observed(
        self,
        place: Place,
        links: Vec<Link>,
        names: &BTreeMap<u32, IfName>,
        entries: &BTreeSet<(u32, Mac)>,
        found: &mut Observed,
    ) {
        let mut states = BTreeMap::new();
        for link in links {
            let master = link.master.and_then(|master| names.get(&master).cloned());
            states.insert(link.ifindex, (link.name.clone(), state(link, master)));
        }
        for address in &self.addresses {
            if let Some((_, state)) = states.get_mut(&address.ifindex) {
                state.addresses.extend(own(address));
            }
        }
        for listed in self.routes {
            if let Some((name, state)) = states.get_mut(&listed.ifindex) {
                let route = to_route(listed, name);
                if place == Place::Host {
                    let key = (name.clone(), route.destination);
                    found.routes.insert(key, route);
                } else {
                    state.routes.insert(route);
                }
            }
        }
        for (ifindex, mac) in entries {
            if let Some((_, state)) = states.get_mut(ifindex) {
                state.fdb.insert(*mac);
            }
        }
        for (ifindex, address, mac) in self.neighbours {
            if let Some((name, _)) = states.get(&ifindex) {
                let key = (place, name.clone(), address);
                found.neighbours.insert(key, mac);
            }
        }
        for (name, state) in states.into_values() {
            found.links.insert((place, name), state);
        }
    }
}

async fn link_state(
    socket: &Socket,
    name: &IfName,
    host: bool,
) -> Result<Option<LinkState>, NetlinkError> {
    let Some(link) = link::find(socket, name).await? else {
        return Ok(None);
    };
    let ifindex = link.ifindex;
    let master = match link.master {
        Some(master) => link::name(socket, master).await?,
        None => None,
    };
    let mut state = state(link, master);
    state.ours &= host || matches!(state.kind, LinkKind::Macvlan(_));
    let addresses = address::list(socket, Some(ifindex)).await?;
    state.addresses = addresses.iter().filter_map(own).collect();
    // On the host they are asked for one by one.
    if !host {
        let routes = route::list_ours(socket, ifindex).await?.into_iter();
        state.routes = routes.map(|listed| to_route(listed, name)).collect();
    }
    Ok(Some(state))
}

fn state(link: Link, master: Option<IfName>) -> LinkState {
    LinkState {
        ifindex: link.ifindex,
        kind: link.kind,
        ours: link.ours,
        mac: link.mac,
        mtu: link.mtu,
        up: link.up,
        master,
        closed: link.closed,
        addresses: BTreeSet::new(),
        routes: BTreeSet::new(),
        fdb: BTreeSet::new(),
    }
}

fn own(address: &Address) -> Option<ipnet::IpNet> {
    (!address.by_kernel).then_some(address.net)
}

fn to_route(listed: Listed, link: &IfName) -> Route {
    Route {
        destination: listed.destination,
        via: listed.via,
        link: link.clone(),
        local: listed.local,
        source: listed.source,
    }
}

fn read_files(run_dir: &Path, found: &mut Observed) -> Result<(), anyhow::Error> {
    for id in files::list(run_dir)? {
        if let Some(files) = files::read(run_dir, id)? {
            found.files.insert(id, files);
        }
    }
    Ok(())
}
