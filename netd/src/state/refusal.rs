//! Why a request was refused: a closed list; texts are Docker's with `container` read as `sandbox`.

use std::net::IpAddr;

use crate::model::{Id, PortRange, id::BadName};

/// What the caller can do something about. `code()` is the API's and decides the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A network that does not exist.
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    /// A sandbox that does not exist.
    #[error("No such sandbox: {0}")]
    NoSuchSandbox(String),
    /// An endpoint that does not exist.
    #[error("endpoint {0} not found")]
    NoSuchEndpoint(String),
    /// The target of a link that does not exist.
    #[error("could not get sandbox for {0}: No such sandbox: {0}")]
    NoSuchLinked(String),
    /// The target of a link on the default network that is not there.
    #[error("sandbox {0} not attached to default bridge network")]
    NotOnDefault(Id),
    /// An SCTP port that would have to be changed.
    #[error(
        "SCTP port {target} cannot be published as {host}: the checksum of SCTP covers the ports, and \
         netd does not compute it anew"
    )]
    SctpPort {
        /// Inside.
        target: PortRange,
        /// On the host.
        host: PortRange,
    },
    /// A configuration that does not exist, or a network that is none.
    #[error("configuration network {0:?} does not exist")]
    NoSuchConfig(String),
    /// An id prefix that fits several networks.
    #[error("network {prefix} is ambiguous ({count} matches found based on ID prefix)")]
    AmbiguousNetwork {
        /// The prefix.
        prefix: String,
        /// How many it fits.
        count: usize,
    },
    /// An id prefix that fits several sandboxes or endpoints.
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
    /// A network name in use.
    #[error("network with name {0} already exists")]
    NetworkExists(String),
    /// A sandbox name in use.
    #[error("Conflict. The sandbox name \"/{name}\" is already in use by sandbox \"{id}\".")]
    SandboxExists {
        /// The name.
        name: String,
        /// Whose it is.
        id: Id,
    },
    /// An id in use.
    #[error("id {0} is already in use")]
    IdExists(Id),
    /// A network with endpoints cannot be removed.
    #[error("error while removing network: network {name} id {id} has active endpoints")]
    ActiveEndpoints {
        /// The network.
        name: String,
        /// The network.
        id: Id,
    },
    /// `bridge`, `host`, `none`.
    #[error("{0} is a pre-defined network and cannot be removed")]
    Predefined(String),
    /// The name of a predefined network.
    #[error("operation is not permitted on predefined {0} network")]
    PredefinedName(String),
    /// A subnet of another network.
    #[error("Pool overlaps with other one on this address space")]
    PoolOverlaps,
    /// A subnet that the host uses.
    #[error("subnet {pool} overlaps with {what} of the host")]
    HostOverlap {
        /// The subnet.
        pool: String,
        /// The address or route.
        what: String,
    },
    /// No default pool is free.
    #[error(
        "could not find an available, non-overlapping {0} address pool among the defaults to assign to the network"
    )]
    PoolsExhausted(&'static str),
    /// A gateway outside the subnets.
    #[error("no matching subnet for gateway {0}")]
    NoSubnetForGateway(IpAddr),
    /// An ip-range outside the subnets.
    #[error("no matching subnet for range {0}")]
    NoSubnetForRange(String),
    /// An aux address outside the subnets.
    #[error("no matching subnet for aux-address {0}")]
    NoSubnetForAux(IpAddr),
    /// A subnet that cannot hold a gateway and an endpoint, or another bad value.
    #[error("{0}")]
    Invalid(String),
    /// All addresses of the subnet are in use.
    #[error("no available {family} addresses on this network's address pools: {network} ({id})")]
    AddressesExhausted {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The network.
        network: String,
        /// The network.
        id: Id,
    },
    /// An address in use.
    #[error("Address already in use")]
    AddressInUse(IpAddr),
    /// An address outside the subnets.
    #[error("Invalid address {address}: It does not belong to any of this network's subnets")]
    AddressOutside {
        /// The address.
        address: IpAddr,
    },
    /// A MAC in use on the network.
    #[error("MAC address {0} is already in use on this network")]
    MacInUse(String),
    /// A bridge name in use.
    #[error("bridge name {0} is already in use")]
    BridgeNameInUse(String),
    /// Connected twice.
    #[error("endpoint with name {sandbox} already exists in network {network}")]
    AlreadyConnected {
        /// The sandbox.
        sandbox: String,
        /// The network.
        network: String,
    },
    /// Not connected.
    #[error("sandbox {sandbox} is not connected to network {network}")]
    NotConnected {
        /// The sandbox's id.
        sandbox: Id,
        /// The network.
        network: String,
    },
    /// `host` cannot be combined.
    #[error("sandbox cannot be disconnected from host network or connected to host network")]
    HostNetwork,
    /// A sandbox in another one's namespace cannot be connected.
    #[error(
        "sandbox sharing network namespace with another sandbox or host cannot be connected to any other network"
    )]
    SharedNetwork,
    /// Others are in the sandbox's namespace.
    #[error("sandbox {sandbox} shares its network namespace with others: {sharers}")]
    Shared {
        /// Whose it is.
        sandbox: String,
        /// Their names.
        sharers: String,
    },
    /// `none` cannot be combined.
    #[error(
        "sandbox cannot be connected to multiple networks with one of the networks in private (none) mode"
    )]
    NoneNetwork,
    /// A host port in use.
    #[error("Bind for {address}:{port} failed: port is already allocated")]
    PortAllocated {
        /// The host address.
        address: String,
        /// The host port.
        port: u16,
    },
    /// No free host port in a range.
    #[error("all ports are allocated")]
    PortsExhausted,
    /// Another owner's object.
    #[error("{name} belongs to {owner}, which alone may change it")]
    Foreign {
        /// The object.
        name: String,
        /// Its owner.
        owner: &'static str,
    },
    /// The namespace is another sandbox's.
    #[error("the network namespace is already sandbox {0}")]
    NamespaceInUse(String),
    /// A bad name.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// A bound of `netd_common::limits`.
    #[error("limit reached: at most {limit} {what}")]
    Limit {
        /// What is full.
        what: &'static str,
        /// How many there can be.
        limit: u32,
    },
}
