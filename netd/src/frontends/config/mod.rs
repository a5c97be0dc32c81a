//! What `netd run` is told, by file and by flags.

mod default_network;
mod flow;
mod settings;
mod values;

pub use flow::{Flow, SourcePorts};
pub use settings::{BadConfig, Config, DEFAULT_FILE, Settings};
pub use values::{AddressPool, BadValue, BridgeAddress, Upstream};
