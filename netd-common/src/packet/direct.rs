//! Containers dialled by their own address from outside or from another network: what gateway modes,
//! trusted interfaces and the agent's settings allow. The flow that begins translates nothing, except
//! that a masqueraded network is seen as the other network's gateway.

use super::{Tables, Work, transport::kind, view::Ip};
use crate::{
    Addr, DropReason,
    abi::{
        endpoint::{EndpointKey, Subnet, flags},
        flow::{Flow, flow_flags},
    },
};

/// Prepares the flow of a packet that came in by the uplink `ifindex`.
///
/// # Errors
/// [`DropReason::DirectRouting`] where it is not allowed, [`DropReason::SpoofedAddress`];
/// [`DropReason::NoNeighbor`], [`DropReason::EndpointDown`].
// Inlined: see `from_uplink::to_published`.
#[inline(always)]
pub fn from_outside<T: Tables>(
    tables: &mut T,
    subnet: &Subnet,
    ifindex: u32,
    work: &mut Work,
) -> Result<(), DropReason> {
    let source = work.view.ip.source;
    if source.is_multicast() || source.is_unspecified() || !allows(tables, subnet, ifindex, work) {
        return Err(DropReason::DirectRouting);
    }
    if tables.subnet(&source).is_some() || tables.host_address(&source).is_some() {
        return Err(DropReason::SpoofedAddress);
    }
    aim(tables, subnet, work)?;
    prepare(&source, work);
    Ok(())
}

/// Whether a packet that came in by the uplink `ifindex` is for the gateway of a network that may be dialled
/// from there: the gateway is then an address of the host like others. Anywhere else what listens at it is
/// meant for the network, and nothing but published ports is reached.
// Not inlined: see `allows`.
#[inline(never)]
pub fn is_for_the_host<T: Tables>(
    tables: &mut T,
    subnet: &Subnet,
    ifindex: u32,
    work: &Work,
) -> bool {
    let destination = &work.view.ip.destination;
    let of_family = |bits| flags::of_family(bits, work.view.ip.is_v4());
    let open = of_family(flags::ROUTED) | of_family(flags::UNPROTECTED) | flags::DIRECT;
    let trusted = subnet.flags & flags::TRUSTS != 0 && tables.trusts(subnet.network, ifindex);
    subnet.flags & flags::INTERNAL == 0
        && (trusted || subnet.flags & open != 0)
        && tables.host_address(destination).is_some()
}

/// Prepares the flow of a packet of the source in `work`, which is in another network.
///
/// # Errors
/// [`DropReason::Isolated`] where it is not allowed; [`DropReason::NoAddress`] where the network has
/// no gateway to be masqueraded with; those of the target.
pub fn between<T: Tables>(
    tables: &mut T,
    subnet: &Subnet,
    work: &mut Work,
) -> Result<(), DropReason> {
    let is_internal = work.source.flags & flags::INTERNAL != 0;
    if is_internal || !allows(tables, subnet, work.source.bridge, work) {
        return Err(DropReason::Isolated);
    }
    aim(tables, subnet, work)?;
    let is_v4 = work.view.ip.is_v4();
    let routed = work.source.flags & flags::of_family(flags::ROUTED, is_v4) != 0;
    let mut source = work.view.ip.source;
    if work.source.flags & flags::MASQUERADE != 0 && !routed {
        let [v4, v6] = work.target.gateways;
        source = if is_v4 { v4 } else { v6 };
        if source.is_none() {
            return Err(DropReason::NoAddress);
        }
    }
    prepare(&source, work);
    Ok(())
}

/// Whether a flow to the packet's destination may begin: to any port, to open ports and by echo, or to
/// open ports.
// Not inlined: rare, and its paths would multiply those of the hooks.
#[inline(never)]
fn allows<T: Tables>(tables: &mut T, subnet: &Subnet, ifindex: u32, work: &Work) -> bool {
    let (Ip { destination, .. }, transport) = (&work.view.ip, &work.view.transport);
    let has = |bits: [u32; 2]| subnet.flags & flags::of_family(bits, work.view.ip.is_v4()) != 0;
    if subnet.flags & flags::INTERNAL != 0 || !transport.may_begin() {
        return false;
    }
    if has(flags::UNPROTECTED) {
        return true;
    }
    let routed = has(flags::ROUTED);
    if transport.kind == kind::ECHO_REQUEST {
        return routed;
    }
    let may_dial = routed
        || subnet.flags & flags::DIRECT != 0
        || (subnet.flags & flags::TRUSTS != 0 && tables.trusts(subnet.network, ifindex));
    may_dial
        && tables.open_port(
            work.view.ip.protocol,
            destination,
            transport.destination_port,
        )
}

/// Makes the endpoint with the packet's destination the target in `work`.
fn aim<T: Tables>(tables: &mut T, subnet: &Subnet, work: &mut Work) -> Result<(), DropReason> {
    let key = EndpointKey {
        network: subnet.network,
        address: work.view.ip.destination,
    };
    if !tables.endpoint(&key, &mut work.target) {
        return Err(DropReason::NoNeighbor);
    }
    if work.target.flags & flags::UP == 0 {
        return Err(DropReason::EndpointDown);
    }
    Ok(())
}

fn prepare(source: &Addr, work: &mut Work) {
    let (ip, transport, target) = (&work.view.ip, &work.view.transport, &work.target);
    work.flow = Flow {
        source: *source,
        destination: ip.destination,
        source_port: transport.source_port,
        destination_port: transport.destination_port,
        twin_zone: target.network,
        network: target.network,
        endpoint: target.index,
        generation: target.generation,
        flags: flow_flags::ORIGINAL | flow_flags::TO_ENDPOINT,
        ..Flow::default()
    };
}
