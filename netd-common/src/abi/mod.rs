//! The bytes in the maps, one file per map family. Addresses, ports and MACs are byte arrays in
//! network order; netd's own numbers (indexes, counters, nanoseconds) are native. No bool, enum or
//! Option; no padding (zerocopy's `IntoBytes` proves it at compile time).

pub mod drops;
pub mod endpoint;
pub mod flow;
pub mod fragment;
pub mod freed;
pub mod host;
pub mod link;
pub mod name;
pub mod port;
pub mod socket;

/// Grows with every change of a key, a value or a meaning. Pins live below a directory of it.
pub const ABI_VERSION: u32 = 2;

/// Names of the maps in the object and of their pins.
pub mod maps {
    /// HASH [`super::endpoint::EndpointKey`] → [`super::endpoint::Endpoint`]; agent writes.
    pub const ENDPOINTS: &str = "ENDPOINTS";
    /// HASH ifindex (u32) of the host side → [`super::endpoint::Endpoint`]; agent writes.
    pub const INTERFACES: &str = "INTERFACES";
    /// PERCPU_HASH endpoint index (u32) → [`super::endpoint::EndpointStats`]; agent creates, BPF adds.
    pub const ENDPOINT_STATS: &str = "ENDPOINT_STATS";
    /// LPM_TRIE address → [`super::endpoint::Subnet`]; agent writes.
    pub const SUBNETS: &str = "SUBNETS";
    /// HASH [`super::endpoint::TrustedKey`] → 1 (u32): interfaces that may dial open ports of a
    /// network's endpoints directly; agent writes.
    pub const TRUSTED: &str = "TRUSTED";
    /// HASH [`crate::Addr`] → [`super::host::HostAddress`]; agent writes.
    pub const HOST_ADDRESSES: &str = "HOST_ADDRESSES";
    /// HASH ifindex (u32) → [`super::host::Uplink`]; agent writes.
    pub const UPLINKS: &str = "UPLINKS";
    /// ARRAY of one [`super::host::Config`]; agent writes.
    pub const CONFIG: &str = "CONFIG";
    /// LPM_TRIE [`super::port::PortKey`] → [`super::port::Port`]; agent writes.
    pub const PORTS: &str = "PORTS";
    /// HASH [`super::flow::FlowKey`] → [`super::flow::Flow`]: established; BPF writes, agent collects.
    pub const FLOWS: &str = "FLOWS";
    /// LRU_HASH of the same: the far side has not answered yet.
    pub const NEW_FLOWS: &str = "NEW_FLOWS";
    /// HASH [`super::link::LinkKey`] → [`super::link::OpenPorts`]; agent writes.
    pub const LINKS: &str = "LINKS";
    /// HASH endpoint index (u32) → halves of its in `FLOWS` (u64); BPF adds and subtracts.
    pub const FLOW_COUNTS: &str = "FLOW_COUNTS";
    /// HASH endpoint index (u32) → those of `FLOW_COUNTS` that the agent removed (u64); agent writes.
    pub const FLOWS_COLLECTED: &str = "FLOWS_COLLECTED";
    /// LRU_HASH [`super::fragment::FragmentKey`] → [`super::fragment::Fragments`]; BPF writes.
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// HASH place (u32) → [`super::fragment::Parked`]; BPF writes.
    pub const PARKED: &str = "PARKED";
    /// HASH [`super::name::NameKey`] → [`super::name::Name`]; agent writes.
    pub const NAMES: &str = "NAMES";
    /// HASH sandbox index (u32) → [`super::name::Scopes`]; agent writes.
    pub const SCOPES: &str = "SCOPES";
    /// HASH netns cookie (u64) → [`super::name::Resolver`]; agent writes.
    pub const RESOLVERS: &str = "RESOLVERS";
    /// LRU_HASH [`super::socket::DialledKey`] → [`super::socket::Dialled`]; BPF writes.
    pub const DIALLED: &str = "DIALLED";
    /// PERCPU_HASH [`super::drops::DropKey`] → [`super::drops::DropCount`]; BPF writes, agent reads.
    pub const DROPS: &str = "DROPS";
    /// RINGBUF of [`super::drops::DropEvent`]; BPF writes, agent reads.
    pub const DROP_EVENTS: &str = "DROP_EVENTS";
    /// PERCPU_ARRAY drop reason → [`super::drops::EventBudget`]; BPF writes, agent reads.
    pub const EVENT_BUDGETS: &str = "EVENT_BUDGETS";
    /// ARRAY of one [`super::freed::FreeingPlaces`]; agent writes.
    pub const FREEING_PLACES: &str = "FREEING_PLACES";
    /// LRU_HASH packet (u64, the kernel's address of it) → [`super::drops::DropEvent`], what is told if it
    /// is freed while it waits for its next hop's MAC; BPF writes.
    pub const WAITING: &str = "WAITING";
    /// PROG_ARRAY of tail calls, by [`super::tail_calls`]; agent writes.
    pub const TAIL_CALLS: &str = "TAIL_CALLS";
}

/// Indexes of [`maps::TAIL_CALLS`].
pub mod tail_calls {
    /// Program `dns`: answers names from the map or hands the question to the agent.
    pub const DNS: u32 = 0;
    /// Program `icmp`: translates an ICMP error about a flow, or makes one.
    pub const ICMP: u32 = 1;
    /// Program `fragments`: parks fragments, and sends them again.
    pub const FRAGMENTS: u32 = 2;
    /// Entries in the array.
    pub const COUNT: u32 = 4;
}

/// Programs: the name in the object is the name in the kernel. The number stands in drop counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Program {
    /// tc ingress of an endpoint's host side, and of the resolver's.
    FromEndpoint = 1,
    /// tc egress of an endpoint's host side: what the host's stack sends to a container.
    ToEndpoint = 2,
    /// tc ingress of an uplink.
    FromUplink = 3,
    /// tc egress of an uplink.
    ToUplink = 4,
    /// Tail call of `from_endpoint`.
    Dns = 5,
    /// cgroup/connect4.
    SockConnect4 = 6,
    /// cgroup/sendmsg4.
    SockSendmsg4 = 7,
    /// cgroup/recvmsg4.
    SockRecvmsg4 = 8,
    /// cgroup/getpeername4.
    SockGetpeername4 = 9,
    /// cgroup/connect6: published ports, and IPv6 sockets that name 127.0.0.11 in its v4-mapped form.
    SockConnect6 = 10,
    /// cgroup/recvmsg6: the same.
    SockRecvmsg6 = 11,
    /// cgroup/getpeername6: the same.
    SockGetpeername6 = 12,
    /// cgroup/sendmsg6: published ports.
    SockSendmsg6 = 13,
    /// cgroup/post_bind4: published ports are held.
    SockPostBind4 = 14,
    /// cgroup/post_bind6: the same.
    SockPostBind6 = 15,
    /// Tail call of `from_endpoint` and `from_uplink`. What it drops or carries counts as theirs.
    Icmp = 16,
    /// Tail call of `from_endpoint` and `from_uplink`. What it drops counts as theirs.
    Fragments = 17,
    /// tc ingress of an uplink without Ethernet headers. What it drops counts as [`Program::FromUplink`]'s.
    FromUplinkL3 = 18,
    /// tc egress of such an uplink. What it drops counts as [`Program::ToUplink`]'s.
    ToUplinkL3 = 19,
    /// Tracepoint `kfree_skb`: packets that the kernel frees since a redirect failed. Counted as those of
    /// the program that handed them over.
    RedirectFailed = 20,
}

impl Program {
    /// Every program of the object.
    pub const ALL: [Program; 20] = [
        Program::FromEndpoint,
        Program::ToEndpoint,
        Program::FromUplink,
        Program::ToUplink,
        Program::Dns,
        Program::SockConnect4,
        Program::SockSendmsg4,
        Program::SockRecvmsg4,
        Program::SockGetpeername4,
        Program::SockConnect6,
        Program::SockRecvmsg6,
        Program::SockGetpeername6,
        Program::SockSendmsg6,
        Program::SockPostBind4,
        Program::SockPostBind6,
        Program::Icmp,
        Program::Fragments,
        Program::FromUplinkL3,
        Program::ToUplinkL3,
        Program::RedirectFailed,
    ];

    /// The name in the object, below 16 characters so that the kernel keeps it whole.
    pub const fn name(self) -> &'static str {
        match self {
            Program::FromEndpoint => "from_endpoint",
            Program::ToEndpoint => "to_endpoint",
            Program::FromUplink => "from_uplink",
            Program::ToUplink => "to_uplink",
            Program::Dns => "dns",
            Program::SockConnect4 => "sock_connect4",
            Program::SockSendmsg4 => "sock_sendmsg4",
            Program::SockRecvmsg4 => "sock_recvmsg4",
            Program::SockGetpeername4 => "sock_getpeer4",
            Program::SockConnect6 => "sock_connect6",
            Program::SockRecvmsg6 => "sock_recvmsg6",
            Program::SockGetpeername6 => "sock_getpeer6",
            Program::SockSendmsg6 => "sock_sendmsg6",
            Program::SockPostBind4 => "sock_post_bind4",
            Program::SockPostBind6 => "sock_post_bind6",
            Program::Icmp => "icmp",
            Program::Fragments => "fragments",
            Program::FromUplinkL3 => "from_uplink_l3",
            Program::ToUplinkL3 => "to_uplink_l3",
            Program::RedirectFailed => "redirect_failed",
        }
    }

    /// The program with this number.
    pub fn from_number(number: u16) -> Option<Program> {
        Program::ALL
            .into_iter()
            .find(|program| *program as u16 == number)
    }
}
