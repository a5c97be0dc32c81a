//! Every bound has a name: its unit, why that number, and what happens when it is reached.

/// Endpoints in the address table (entries: one per endpoint address). Full: the create is refused.
pub const MAX_ENDPOINT_ADDRESSES: u32 = 65_536;
/// Host-side interfaces of endpoints, and endpoint counters. Full: the create is refused.
pub const MAX_ENDPOINTS: u32 = 32_768;
/// Networks with subnets in the datapath. Full: the create is refused.
pub const MAX_SUBNETS: u32 = 8_192;
/// Sockets of the host, with their far end, that dialled a published port by loopback or an address
/// of the host. The longest unused are evicted: their far end then shows as the container's.
pub const MAX_DIALLED: u32 = 65_536;
/// Entries of published ports (a range takes about two per bit of its length). Full: refused.
pub const MAX_PORT_ENTRIES: u32 = 131_072;
/// Established flow halves (two per flow). Full: a counted drop (`FlowTableFull`).
pub const MAX_FLOWS: u32 = 524_288;
/// Flow halves whose far side has not answered yet; the oldest are evicted.
pub const MAX_NEW_FLOWS: u32 = 65_536;
/// Names (forward and reverse) over all scopes. Full: the agent answers what is not in the map.
pub const MAX_NAMES: u32 = 131_072;
/// Sandboxes known to the socket programs and the name scopes.
pub const MAX_SANDBOXES: u32 = 32_768;
/// Pairs of a network and an interface that it trusts. Full: the create is refused.
pub const MAX_TRUSTED: u32 = 8_192;
/// Addresses of the host.
pub const MAX_HOST_ADDRESSES: u32 = 4_096;
/// Uplinks.
pub const MAX_UPLINKS: u32 = 1_024;
/// Distinct (reason, program, network) counters.
pub const MAX_DROP_COUNTERS: u32 = 8_192;

/// Drop reasons that can have events: numbers below. A power of two well above those there are.
pub const MAX_DROP_REASONS: u32 = 128;
/// Octets of drop events that wait for the agent (a page multiple and a power of two, as the kernel
/// wants). Full, as with no agent: the rest is counted and not told.
pub const DROP_EVENT_RING: u32 = 256 * 1_024;
/// Drop events per CPU, reason and second, and at once. Of more the next event tells the number: in a
/// flood a drop costs a look at a bucket.
pub const DROP_EVENTS_PER_SECOND: u64 = 10;
/// See [`DROP_EVENTS_PER_SECOND`].
pub const DROP_EVENTS_BURST: u64 = 20;

/// Packets that were handed over while their next hop's MAC was not known. The oldest are evicted: they
/// are not counted if that is never found. (The kernel lets some hundred wait for each neighbour.)
pub const MAX_WAITING: u32 = 4_096;
/// Seconds for which such a packet is remembered: the kernel asks for a MAC three times in as many. Then
/// its address may be another packet's.
pub const WAITING_SECONDS: u64 = 10;
/// Pieces of the kernel's text that free packets, of each kind. Further ones are left out.
pub const MAX_FREEING_PLACES: usize = 24;

/// Pairs of endpoints that a link opens ports between, each way. Full: refused.
pub const MAX_LINKS: u32 = 65_536;
/// Ranges of exposed ports that a link can open (those that touch are one). More: the link is refused.
pub const MAX_LINK_RANGES: usize = 16;
/// Scopes a sandbox's question is tried in, in order (links first, then networks).
pub const MAX_SCOPES: usize = 16;
/// Octets of a wire-format name that BPF answers: 63 + 1 for each of `name.network` plus the root.
pub const MAX_NAME: usize = 129;
/// IPv4 and IPv6 addresses of one name in the map; a name with more is answered by the agent.
pub const MAX_NAME_V4: usize = 8;
/// See [`MAX_NAME_V4`].
pub const MAX_NAME_V6: usize = 6;
/// DNS messages the BPF program looks at, in octets (RFC 1035 section 4.2.1). Longer: the agent.
pub const MAX_DNS_MESSAGE: usize = 512;

/// Seconds a client may keep an answer about netd's own names. Short, since a restarted container
/// may have another address at once and a question costs no more than a packet; not 0, which some
/// caches take for an error (RFC 1912 section 2.2). The BPF program and the agent give the same.
pub const DNS_TTL: u32 = 5;
/// The UDP message size in octets that netd's own answers announce in their OPT record
/// (RFC 6891 section 6.2.3; 1232 is never fragmented on the IPv6 minimum MTU).
pub const DNS_EDNS_SIZE: u16 = 1_232;

/// ICMP errors that the programs make per CPU and second, and at once (the kernel's
/// `icmp_msgs_per_sec` and `icmp_msgs_burst`). More packets that deserve one are only counted.
pub const ICMP_ERRORS_PER_SECOND: u64 = 1_000;
/// See [`ICMP_ERRORS_PER_SECOND`].
pub const ICMP_ERRORS_BURST: u64 = 50;

/// Datagrams whose first fragment was seen, or is awaited. The longest unused are evicted: their later
/// fragments are parked until their time runs out.
pub const MAX_FRAGMENTS: u32 = 8_192;
/// Fragments that wait for the first of their datagram, in all. More are dropped
/// (`FragmentOverflow`).
pub const MAX_PARKED: u32 = 256;
/// The same of one datagram; a divisor of [`MAX_PARKED`].
pub const MAX_PARKED_PER_DATAGRAM: u32 = 8;
/// Octets of a fragment that can wait, from its IP header on (what Ethernet carries). A larger one is
/// dropped (`FragmentOverflow`).
pub const MAX_PARKED_OCTETS: usize = 1_500;
/// Seconds for which a fragment waits. Then it is dropped (`FragmentTimeout`).
pub const PARKED_SECONDS: u64 = 1;
/// Seconds for which later fragments belong to a first one: as long as the kernel waits for the rest
/// of a datagram (net.ipv4.ipfrag_time).
pub const FRAGMENT_SECONDS: u64 = 30;
/// IPv6 extension headers in a row that are read. A packet with more is dropped (`ExtensionHeader`).
pub const MAX_EXTENSION_HEADERS: usize = 6;
/// Octets of options in an IPv4 header (RFC 791).
pub const MAX_IP_OPTIONS: u16 = 40;

/// Tries for a free source port before `PortsExhausted` is counted.
pub const MAX_PORT_TRIES: u32 = 16;

/// Established flows of one endpoint, unless configured: half the table, so that none fills it alone.
/// More are counted drops (`EndpointFlows`) until some are over.
pub const ENDPOINT_FLOWS: u32 = 131_072;

/// Seconds without a packet after which an established TCP flow is collected (Cilium's value). This and
/// the following, unless configured.
pub const TCP_ESTABLISHED_SECONDS: u64 = 8_000;
/// Seconds without a packet after which an established SCTP flow is collected: some heartbeats, which
/// come every 30 seconds (the value of nf_conntrack).
pub const SCTP_ESTABLISHED_SECONDS: u64 = 210;
/// Seconds for a TCP flow whose handshake is not finished.
pub const TCP_OPENING_SECONDS: u64 = 60;
/// Seconds after both FINs or a RST.
pub const TCP_CLOSING_SECONDS: u64 = 10;
/// Seconds for a UDP flow that is one question and its answer so far.
pub const UDP_NEW_SECONDS: u64 = 60;
/// Seconds for a UDP flow whose originator spoke again after an answer.
pub const UDP_ESTABLISHED_SECONDS: u64 = 180;
/// Seconds for an ICMP echo identifier.
pub const ICMP_SECONDS: u64 = 30;

/// What sandboxes have in resolv.conf, as Docker does: the socket programs turn it into the
/// sandbox's gateway and [`RESOLVER_PORT`].
pub const STUB_ADDRESS: [u8; 4] = [127, 0, 0, 11];
/// The port of [`STUB_ADDRESS`].
pub const STUB_PORT: u16 = 53;
/// The resolver's port at the network's gateway address; nothing else uses it. 127.0.0.11:53 is
/// rewritten to it inside sandboxes.
pub const RESOLVER_PORT: u16 = 10_053;
