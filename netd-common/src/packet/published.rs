//! Published ports: what is behind a host's address and port, and the flow that leads there.

use super::{Tables, Work};
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::{EndpointKey, flags},
        flow::{Flow, flow_flags},
    },
};

/// The port published at the packet's destination: at exactly that address, or at all addresses
/// of the host, if it is one of them. Then it is in `work`. One that leads to the other family is
/// for sockets of the host alone ([`super::dial`]): to packets the port is closed. So it is to
/// link-local clients: their address means nothing on the container's link, so that it could not
/// answer.
pub fn find<T: Tables>(tables: &mut T, work: &mut Work) -> bool {
    let (view, port) = (&work.view, &mut work.port);
    if view.transport.is_echo() || view.ip.source.is_link_local_v6() {
        return false;
    }
    let (ip, number) = (&view.ip, view.transport.destination_port);
    let found = tables.port(ip.protocol, &ip.destination, number, port)
        || (tables.port(ip.protocol, &wildcard(ip.is_v4()), number, port)
            && tables.host_address(&ip.destination).is_some());
    found && port.address.is_v4() == ip.is_v4()
}

/// The key of ports that are published at all addresses of a family.
pub fn wildcard(is_v4: bool) -> Addr {
    if is_v4 { Addr::ANY_V4 } else { Addr::NONE }
}

/// Puts the endpoint that the port in `work` leads to there, as the target.
///
/// # Errors
/// [`DropReason::StaleEndpoint`] where it is not the one that published it,
/// [`DropReason::EndpointDown`].
pub fn target<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let (port, target) = (&work.port, &mut work.target);
    let key = EndpointKey {
        network: port.network,
        address: port.address,
    };
    if !tables.endpoint(&key, target)
        || target.index != port.endpoint
        || target.generation != port.generation
    {
        return Err(DropReason::StaleEndpoint);
    }
    if target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    Ok(())
}

/// Puts the packet's half of a flow to the port in `work` there, as it is before its source port
/// is settled. `source` is the address that the container shall see.
pub fn prepare(source: &Addr, work: &mut Work) {
    let (port, transport) = (&work.port, &work.view.transport);
    work.flow = Flow {
        source: *source,
        destination: port.address,
        source_port: transport.source_port,
        destination_port: port.target_of(transport.destination_port),
        twin_zone: port.network,
        network: port.network,
        endpoint: port.endpoint,
        generation: port.generation,
        flags: flow_flags::ORIGINAL | flow_flags::PUBLISHED | flow_flags::TO_ENDPOINT,
        ..Flow::default()
    };
}
