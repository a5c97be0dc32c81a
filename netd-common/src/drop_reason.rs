//! Why a packet was dropped: numbered (at the end, never reused), named, counted. BPF counters,
//! `netd drops` and the tests share this list.

macro_rules! reasons {
    ($($number:literal $name:ident $text:literal $doc:literal;)*) => {
        /// A drop reason. The number is the ABI; the name is what `netd drops` prints.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum DropReason { $(#[doc = $doc] $name = $number,)* }

        impl DropReason {
            /// All reasons, by number.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// The name as users see it.
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$name => $text,)* }
            }

            /// One sentence for people.
            pub const fn explanation(self) -> &'static str {
                match self { $(DropReason::$name => $doc,)* }
            }

            /// The reason with this number, if there is one.
            pub const fn from_number(number: u16) -> Option<DropReason> {
                match number { $($number => Some(DropReason::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    1 UnknownInterface "unknown-interface" "The interface is not (or no longer) an endpoint of netd.";
    2 Truncated "truncated" "A header ends before its length says, or lengths contradict each other.";
    3 UnknownEthertype "unknown-ethertype" "Neither IPv4, IPv6 nor ARP (VLAN tags included).";
    4 SpoofedMac "spoofed-mac" "The source MAC is not the endpoint's.";
    5 SpoofedAddress "spoofed-address" "The source address is not the endpoint's.";
    6 MappedAddress "mapped-address" "An IPv6 packet carries a v4-mapped address.";
    7 LoopbackAddress "loopback-address" "127.0.0.0/8 or ::1 on the wire.";
    8 IpOptions "ip-options" "IPv4 options that are malformed or ask for a source route.";
    9 ExtensionHeader "extension-header" "IPv6 extension headers that are too many, in disorder, or ask for a source route.";
    10 Fragment "fragment" "A fragment that cannot be attributed to a flow.";
    11 UnknownProtocol "unknown-protocol" "Neither TCP, UDP, SCTP nor ICMP echo where a flow is needed.";
    12 Multicast "multicast" "Multicast or broadcast that is not carried.";
    13 Arp "arp" "A malformed or foreign ARP packet.";
    14 Neighbor "neighbor-discovery" "A neighbour discovery message that netd does not carry.";
    15 NoNeighbor "no-such-neighbor" "An address of the network that no endpoint has.";
    16 IccOff "icc-off" "Endpoints of this network may not talk to each other.";
    17 Isolated "other-network" "The destination is in another network of netd.";
    18 Internal "internal-network" "The network is internal and the destination outside.";
    19 DirectRouting "direct-routing" "A container address addressed from outside.";
    20 StaleEndpoint "stale-endpoint" "The flow or port belongs to an endpoint that is gone or replaced.";
    21 EndpointDown "endpoint-down" "The target endpoint's link is down.";
    22 NoRoute "no-route" "The host has no route to the destination.";
    23 Prohibited "prohibited" "A blackhole, unreachable or prohibit route of the host.";
    24 NotUplink "not-an-uplink" "The route leaves through an interface that is not an uplink.";
    25 NoAddress "no-uplink-address" "The uplink has no address of this family to masquerade with.";
    26 TooBig "too-big" "Larger than the next link's MTU.";
    27 TtlExpired "ttl-expired" "The hop limit is used up.";
    28 PortsExhausted "ports-exhausted" "No free source port towards this destination.";
    29 FlowTableFull "flow-table-full" "The table of established flows is full.";
    30 NotInFlow "not-in-flow" "A packet that can neither belong to a flow nor begin one.";
    31 Untranslated "untranslated" "A container's packet at the uplink that no flow translates.";
    32 RedirectFailed "redirect-failed" "The kernel refused the redirect, or failed to carry it out: the interface is down or gone, or the next hop does not answer.";
    33 HostTraffic "host-traffic" "Traffic of the host's stack that an endpoint does not take.";
    34 WriteFailed "write-failed" "The packet could not be rewritten.";
    35 RouterAdvertisement "router-advertisement" "An endpoint pretended to be a router.";
    36 NoResolver "no-resolver" "A question for the resolver while the agent has none.";
    37 FlowYielded "flow-yielded" "Not a packet but a flow that ended: a socket of the host began to use its source port.";
    38 EndpointFlows "endpoint-flows" "The endpoint has as many established flows as it may have.";
    39 FragmentOverflow "fragment-overflow" "A fragment that came before the first of its datagram, and no room for it to wait.";
    40 FragmentTimeout "fragment-timeout" "A fragment whose datagram's first one did not come within a second.";
    41 DhcpServer "dhcp-server" "An endpoint pretended to be a DHCP server.";
    42 SctpPort "sctp-port" "An SCTP port that another association has; netd cannot change it.";
}

#[cfg(test)]
mod tests {
    use super::DropReason;

    #[test]
    fn numbers_are_dense_and_come_back() {
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i + 1);
            assert_eq!(DropReason::from_number(*reason as u16), Some(*reason));
        }
        assert_eq!(DropReason::from_number(0), None);
    }
}
