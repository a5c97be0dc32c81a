//! What is to be done on the host: data, carried out by `kernel::Kernel::execute`, which decides
//! nothing. Creating what is there and deleting what is not are both success.

use std::net::IpAddr;

use ipnet::IpNet;
use netd_common::abi::Program;

use super::{Entry, EntryKey};
use crate::model::{Id, IfName, Mac, PublishedPort, macvlan::MacvlanMode, sandbox::Joined};

/// A network namespace that netd works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The agent's own.
    Host,
    /// A sandbox's, made by netd (below the run directory) or joined.
    Sandbox(Id),
    /// The namespace of the agent's DNS server, made by netd. What its sockets (bound to `eth0`)
    /// need there, as measured on 6.18: `lo` and `eth0` up; routes `local 0.0.0.0/0 dev lo` and
    /// `local ::/0 dev lo`, so that every gateway's address is its own; `0.0.0.0/0 dev eth0` and
    /// `::/0 dev eth0` on link, for the replies (without it IPv6 has none);
    /// net/ipv4/conf/eth0/accept_local=1 and rp_filter=0 for `eth0` and `all` (inherited from the
    /// host), since with the local routes every client looks like a martian. Neighbours are
    /// asked for on `eth0`: `from_endpoint` answers them with the interface's gateway MAC.
    Resolver,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes a namespace with `lo` up, bind-mounted below the run directory.
    MakeNamespace(Place),
    /// Notes below the run directory where a namespace that netd did not make is, after checking
    /// that the path still leads to it. It is never kept alive: gone is gone.
    JoinNamespace {
        /// The sandbox's.
        place: Place,
        /// Its identity, and the path to it.
        joined: Joined,
    },
    /// Unmounts a namespace that netd made and removes its file; forgets one that was joined.
    RemoveNamespace(Place),
    /// Makes a bridge in the host namespace, marked as netd's (link alias), down.
    CreateBridge {
        /// Its name.
        name: IfName,
        /// Its MAC, fixed so that adding ports does not change it.
        mac: Mac,
        /// Octets.
        mtu: u32,
    },
    /// Makes a veth pair: `host` in the host namespace (marked as netd's), `inside` in `place`; both down.
    CreateVeth {
        /// Host side.
        host: IfName,
        /// Where the other side goes.
        place: Place,
        /// Its name there.
        inside: IfName,
        /// Its MAC.
        mac: Mac,
        /// Octets, both sides.
        mtu: u32,
    },
    /// Makes a VLAN interface in the host namespace, marked as netd's, down. One that is there with
    /// that number is success, whoever made it.
    CreateVlan {
        /// Its name.
        name: IfName,
        /// The link it is of.
        base: IfName,
        /// 1 to 4094.
        id: u16,
    },
    /// Makes a dummy link in the host namespace, marked as netd's, down.
    CreateDummy {
        /// Its name.
        name: IfName,
        /// Octets; `None`: the kernel's choice.
        mtu: Option<u32>,
    },
    /// Makes a macvlan interface on a link of the host namespace, marked as netd's, down.
    CreateMacvlan {
        /// Where it goes.
        place: Place,
        /// Its name there.
        name: IfName,
        /// What it stands on.
        parent: IfName,
        /// How it reaches others on that.
        mode: MacvlanMode,
        /// `None`: the kernel's choice, which is the parent's in mode passthru.
        mac: Option<Mac>,
        /// Octets; `None`: the parent's.
        mtu: Option<u32>,
    },
    /// Deletes a link that carries netd's mark (a veth takes its peer along).
    DeleteLink {
        /// Where.
        place: Place,
        /// Which.
        link: IfName,
    },
    /// Enslaves a link of the host namespace to a bridge.
    SetMaster {
        /// The port.
        link: IfName,
        /// The bridge.
        bridge: IfName,
    },
    /// Sets the link up or down.
    SetUp {
        /// Where.
        place: Place,
        /// Which.
        link: IfName,
        /// Up or down.
        up: bool,
    },
    /// Sets the MTU.
    SetMtu {
        /// Where.
        place: Place,
        /// Which.
        link: IfName,
        /// Octets.
        mtu: u32,
    },
    /// Sets the MAC.
    SetMac {
        /// Where.
        place: Place,
        /// Which.
        link: IfName,
        /// The address.
        mac: Mac,
    },
    /// Makes a port fail closed: isolated on; learning, flood, mcast_flood, bcast_flood off.
    ClosePort(IfName),
    /// Adds an address (IPv6 with nodad).
    AddAddress {
        /// Where.
        place: Place,
        /// Which.
        link: IfName,
        /// With its prefix length.
        address: IpNet,
    },
    /// Removes an address.
    RemoveAddress {
        /// Where.
        place: Place,
        /// Which.
        link: IfName,
        /// With its prefix length.
        address: IpNet,
    },
    /// Adds or replaces a route, marked as netd's by its protocol number. On the host none is
    /// replaced.
    AddRoute {
        /// Where.
        place: Place,
        /// The route.
        route: Route,
    },
    /// Removes a route.
    RemoveRoute {
        /// Where.
        place: Place,
        /// The route.
        route: Route,
    },
    /// Adds or replaces a permanent neighbour.
    AddNeighbour {
        /// Where.
        place: Place,
        /// Through which link.
        link: IfName,
        /// Its address.
        address: IpAddr,
        /// Its MAC.
        mac: Mac,
    },
    /// Removes a permanent neighbour.
    RemoveNeighbour {
        /// Where.
        place: Place,
        /// Through which link.
        link: IfName,
        /// Its address.
        address: IpAddr,
    },
    /// Adds a static forwarding entry for a bridge port of the host namespace.
    AddFdb {
        /// The port.
        link: IfName,
        /// The MAC behind it.
        mac: Mac,
    },
    /// Writes a sysctl of the host namespace or of a sandbox; the former value is remembered for
    /// `netd down` where it is the host's own (not a link that netd made).
    SetSysctl {
        /// Where.
        place: Place,
        /// Below /proc/sys, with slashes.
        key: String,
        /// The value, without newline.
        value: String,
    },
    /// Attaches a program, or replaces an old one atomically.
    Attach(Attachment),
    /// Detaches it.
    Detach(Attachment),
    /// Puts an entry into its map.
    Put(Entry),
    /// Deletes an entry.
    Delete(EntryKey),
    /// Removes the flows that were begun to published ports. Walks the flow tables, once for all of
    /// them.
    EndFlows(Vec<PublishedPort>),
    /// Writes a sandbox's files below the run directory, in place (same inode) where they exist.
    WriteFiles(SandboxFiles),
    /// Removes them.
    RemoveFiles(Id),
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// `0.0.0.0/0` or `::/0` is the default route.
    pub destination: IpNet,
    /// The gateway; `None`: on link.
    pub via: Option<IpAddr>,
    /// The device.
    pub link: IfName,
    /// An AnyIP route (`local DESTINATION dev lo`), for the resolver's namespace.
    pub local: bool,
    /// What packets that take it are from, where nobody says otherwise; `None`: the kernel's choice.
    pub source: Option<IpAddr>,
}

/// A program at its hook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attachment {
    /// tcx where the kernel has it, else clsact; on endpoint veths at the head.
    Tc {
        /// A link of the host namespace.
        link: IfName,
        /// Which way.
        hook: TcHook,
        /// Which program.
        program: Program,
    },
    /// At the root cgroup2.
    Cgroup(Program),
    /// At a tracepoint of the kernel, which the program names.
    Tracepoint(Program),
}

impl Attachment {
    /// Which program.
    pub fn program(&self) -> Program {
        match self {
            Attachment::Tc { program, .. }
            | Attachment::Cgroup(program)
            | Attachment::Tracepoint(program) => *program,
        }
    }
}

/// A tc hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcHook {
    /// What comes from the link.
    Ingress,
    /// What goes to the link.
    Egress,
}

/// The files a sandbox's processes see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxFiles {
    /// The sandbox.
    pub sandbox: Id,
    /// /etc/resolv.conf.
    pub resolv_conf: String,
    /// /etc/hosts.
    pub hosts: String,
    /// /etc/hostname.
    pub hostname: String,
}
