//! The nouns: network, endpoint, sandbox, published port. Plain checked values; no I/O, no clock.

pub mod endpoint;
pub mod facts;
pub mod id;
pub mod mac;
pub mod macvlan;
pub mod network;
pub mod port;
pub mod sandbox;
pub mod sysctl;
pub mod wire_name;

pub use endpoint::Endpoint;
pub use facts::HostFacts;
pub use id::{Id, IfName, Name};
pub use mac::Mac;
pub use network::Network;
pub use port::{ExposedPorts, PortRange, Protocol, PublishedPort};
pub use sandbox::Sandbox;
pub use sysctl::{BadSysctl, InterfaceSysctl};
pub use wire_name::WireName;
