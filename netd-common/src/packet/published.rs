//! Published ports: what is behind a host's address and port, and the flow that leads there.

use super::{Tables, transport::Transport, view::Ip};
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::{Endpoint, EndpointKey, flags},
        flow::{Flow, flow_flags},
        port::Port,
    },
};

/// The port published at the packet's destination: at exactly that address, or at all addresses
/// of the host, if it is one of them.
pub fn find<T: Tables>(tables: &mut T, ip: &Ip, transport: &Transport) -> Option<Port> {
    if transport.is_echo() {
        return None;
    }
    let number = transport.destination_port;
    if let Some(port) = tables.port(ip.protocol, &ip.destination, number) {
        return Some(port);
    }
    let wildcard = if ip.is_v4 { Addr::ANY_V4 } else { Addr::NONE };
    let port = tables.port(ip.protocol, &wildcard, number)?;
    tables.host_address(&ip.destination)?;
    Some(port)
}

/// The endpoint that a port leads to.
///
/// # Errors
/// [`DropReason::StaleEndpoint`] where it is not the one that published it,
/// [`DropReason::EndpointDown`], [`DropReason::Internal`].
pub fn target<T: Tables>(tables: &mut T, port: &Port) -> Result<Endpoint, DropReason> {
    let key = EndpointKey {
        network: port.network,
        address: port.address,
    };
    let target = tables.endpoint(&key).ok_or(DropReason::StaleEndpoint)?;
    if target.index != port.endpoint || target.generation != port.generation {
        return Err(DropReason::StaleEndpoint);
    }
    if target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    Ok(target)
}

/// The half of a packet to a published port, before its source port is settled. `source` is the
/// address that the container shall see.
pub fn flow(port: &Port, source: &Addr, transport: &Transport) -> Flow {
    // The n-th port of the range leads to the n-th of the container.
    let offset =
        u16::from_be_bytes(transport.destination_port).wrapping_sub(u16::from_be_bytes(port.first));
    let target = u16::from_be_bytes(port.target).wrapping_add(offset);
    Flow {
        source: *source,
        destination: port.address,
        source_port: transport.source_port,
        destination_port: target.to_be_bytes(),
        twin_zone: port.network,
        network: port.network,
        endpoint: port.endpoint,
        generation: port.generation,
        flags: flow_flags::ORIGINAL | flow_flags::PUBLISHED | flow_flags::TO_ENDPOINT,
        ..Flow::default()
    }
}
