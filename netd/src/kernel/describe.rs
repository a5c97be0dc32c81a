//! Actions and keys in words, for errors and the log.

use std::fmt::Write;

use crate::{
    model::PublishedPort,
    plan::{Action, Attachment, Key, Place, TcHook, action::Route},
};

/// `create bridge br-0123456789ab`.
pub fn action(action: &Action) -> String {
    match action {
        Action::MakeNamespace(at) => format!("make the namespace of {}", place(*at)),
        Action::JoinNamespace { place: at, joined } => {
            let path = joined.path.display();
            format!("join the namespace {path} for {}", place(*at))
        }
        Action::RemoveNamespace(at) => format!("remove the namespace of {}", place(*at)),
        Action::CreateBridge { name, .. } => format!("create bridge {name}"),
        Action::CreateVeth {
            host,
            place: at,
            inside,
            ..
        } => {
            format!("create veth pair {host} and {inside} in {}", place(*at))
        }
        Action::CreateVlan { name, base, id } => {
            format!("create VLAN interface {name} (number {id} of {base})")
        }
        Action::CreateDummy { name, .. } => format!("create dummy interface {name}"),
        Action::CreateMacvlan {
            place: at,
            name,
            parent,
            mode,
            ..
        } => {
            let mode = mode.name();
            format!(
                "create macvlan interface {name} in {} on {parent} ({mode})",
                place(*at)
            )
        }
        Action::DeleteLink {
            place: Place::Host,
            link,
        } => format!("delete interface {link}"),
        Action::DeleteLink { place: at, link } => {
            format!("delete interface {link} in {}", place(*at))
        }
        Action::SetMaster { link, bridge } => format!("add {link} to bridge {bridge}"),
        Action::SetUp {
            place: at,
            link,
            up,
        } => {
            let up = if *up { "up" } else { "down" };
            format!("set {link} in {} {up}", place(*at))
        }
        Action::SetMtu {
            place: at,
            link,
            mtu,
        } => {
            format!("set the mtu of {link} in {} to {mtu}", place(*at))
        }
        Action::SetMac {
            place: at,
            link,
            mac,
        } => {
            format!("set the address of {link} in {} to {mac}", place(*at))
        }
        Action::ClosePort(link) => format!("close bridge port {link}"),
        Action::AddAddress {
            place: at,
            link,
            address,
        } => {
            format!("add address {address} to {link} in {}", place(*at))
        }
        Action::RemoveAddress {
            place: at,
            link,
            address,
        } => {
            format!("remove address {address} from {link} in {}", place(*at))
        }
        Action::AddRoute {
            place: at,
            route: to,
        } => {
            format!("add route {} in {}", route(to), place(*at))
        }
        Action::RemoveRoute {
            place: at,
            route: to,
        } => {
            format!("remove route {} in {}", route(to), place(*at))
        }
        Action::AddNeighbour {
            place: at,
            link,
            address,
            mac,
        } => {
            format!("add neighbour {address} {mac} to {link} in {}", place(*at))
        }
        Action::RemoveNeighbour {
            place: at,
            link,
            address,
        } => {
            format!("remove neighbour {address} from {link} in {}", place(*at))
        }
        Action::AddFdb { link, mac } => format!("add forwarding entry {mac} to {link}"),
        Action::SetSysctl {
            place: at,
            key,
            value,
        } => {
            format!("set sysctl {key} in {} to {value}", place(*at))
        }
        Action::Attach(what) => format!("attach {}", attachment(what)),
        Action::Detach(what) => format!("detach {}", attachment(what)),
        Action::Put(entry) => format!("put map entry {:?}", entry.key()),
        Action::Delete(key) => format!("delete map entry {key:?}"),
        Action::EndFlows(ports) => end_flows(ports),
        Action::WriteFiles(files) => format!("write files of sandbox {}", files.sandbox.short()),
        Action::RemoveFiles(id) => format!("remove files of sandbox {}", id.short()),
    }
}

fn end_flows(ports: &[PublishedPort]) -> String {
    let text = |port: &PublishedPort| {
        let protocol = port.protocol.name();
        format!("{}:{}/{protocol}", port.host_address, port.host)
    };
    match ports {
        [] => "end no flows".to_owned(),
        [port] => format!("end flows to {}", text(port)),
        [port, more @ ..] => format!("end flows to {} and {} more", text(port), more.len()),
    }
}

/// `read interface eth0 in sandbox 0123456789ab`.
pub fn key(key: &Key) -> String {
    match key {
        Key::Namespace(at) => format!("look at the namespace of {}", place(*at)),
        Key::Link(at, name) => format!("read interface {name} in {}", place(*at)),
        Key::Fdb(name, mac) => format!("read forwarding entry {mac} of {name}"),
        Key::Neighbour(at, name, address) => {
            format!("read neighbour {address} of {name} in {}", place(*at))
        }
        Key::Route(link, to) => format!("read the route to {to} through {link}"),
        Key::Sysctl(at, key) => format!("read sysctl {key} in {}", place(*at)),
        Key::Attachment(what) => format!("look at {}", attachment(what)),
        Key::Entry(key) => format!("read map entry {key:?}"),
        Key::Files(id) => format!("read files of sandbox {}", id.short()),
    }
}

/// `sandbox 0123456789ab`.
pub fn place(place: Place) -> String {
    match place {
        Place::Host => "the host".to_owned(),
        Place::Sandbox(id) => format!("sandbox {}", id.short()),
        Place::Resolver => "the resolver".to_owned(),
    }
}

fn route(route: &Route) -> String {
    let Route {
        destination,
        via,
        link,
        local,
        source,
    } = route;
    let mut text = if *local {
        "local ".to_owned()
    } else {
        String::new()
    };
    let _ = write!(text, "{destination}");
    if let Some(via) = via {
        let _ = write!(text, " via {via}");
    }
    let _ = write!(text, " dev {link}");
    if let Some(source) = source {
        let _ = write!(text, " src {source}");
    }
    text
}

fn attachment(attachment: &Attachment) -> String {
    match attachment {
        Attachment::Tc {
            link,
            hook,
            program,
        } => {
            let hook = match hook {
                TcHook::Ingress => "ingress",
                TcHook::Egress => "egress",
            };
            format!("{} at {hook} of {link}", program.name())
        }
        Attachment::Cgroup(program) => format!("{} at the root cgroup", program.name()),
        Attachment::Tracepoint(program) => format!("{} at its tracepoint", program.name()),
    }
}
