//! Multicast and broadcast inside a network: what a container sends to a group goes to all other
//! endpoints of its network and to the host, as a bridge without snooping would have it, and nowhere
//! else. The network's bridge makes the copies; here it is only decided whether there are any.

use super::{Tables, Work, from_endpoint, verdict::Verdict};
use crate::{
    Addr, DropReason,
    abi::endpoint::{EndpointKey, flags},
};

/// The MAC of everybody.
const BROADCAST: [u8; 6] = [0xff; 6];

/// Decides about a packet in a frame for a group. `None`: it is for one alone all the same, which a
/// frame for all may carry.
///
/// # Errors
/// [`DropReason::Multicast`] from the resolver, [`DropReason::SpoofedAddress`],
/// [`DropReason::IccOff`].
// Not inlined: a rare case, whose paths would multiply those of the hook.
#[inline(never)]
pub fn flood<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Option<Verdict>, DropReason> {
    if !work.view.ip.destination.is_multicast() && !is_subnet_broadcast(tables, work) {
        return Ok(None);
    }
    if work.source.flags & flags::IS_RESOLVER != 0 {
        return Err(DropReason::Multicast);
    }
    check_source(tables, work)?;
    if work.source.flags & flags::ICC == 0 {
        return Err(DropReason::IccOff);
    }
    work.outcome.ifindex = work.source.bridge;
    Ok(Some(Verdict::Flood))
}

/// Decides about a copy on its way to the target in `work`, where `ingress` is the interface that the
/// packet came into the host by.
///
/// # Errors
/// [`DropReason::HostTraffic`] where that is no endpoint of the target's network.
// Not inlined: as above.
#[inline(never)]
pub fn receive<T: Tables>(
    ingress: u32,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    // The bridge has it from itself, and so gives the sender a copy, too.
    if ingress == work.target.ifindex {
        return Ok(Verdict::Kept);
    }
    if !tables.interface(ingress, &mut work.source)
        || work.source.network != work.target.network
        || work.source.flags & flags::ICC == 0
    {
        return Err(DropReason::HostTraffic);
    }
    Ok(Verdict::Host)
}

/// Whether this is IPv4 to everybody in the subnet. The programs know no prefix lengths: what the
/// container's stack puts into a frame for all is for all, unless it is somebody's address.
fn is_subnet_broadcast<T: Tables>(tables: &mut T, work: &mut Work) -> bool {
    let address = work.view.ip.destination;
    let network = work.source.network;
    work.view.frame.destination == BROADCAST
        && address.is_v4()
        && !work.source.has_gateway(&address)
        && tables
            .subnet(&address)
            .is_some_and(|subnet| subnet.network == network)
        && !tables.endpoint(&EndpointKey { network, address }, &mut work.target)
}

/// The source is one of the endpoint's addresses; the link-local one that its interface has of its MAC
/// (RFC 4291 appendix A), which neighbours' names and listener reports come from; or none yet.
fn check_source<T: Tables>(tables: &mut T, work: &mut Work) -> Result<(), DropReason> {
    let source = &work.view.ip.source;
    if source.is_unspecified() || *source == link_local(&work.source.mac) {
        return Ok(());
    }
    from_endpoint::check_source(tables, work)
}

fn link_local([a, b, c, d, e, f]: &[u8; 6]) -> Addr {
    Addr::v6([
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        *b,
        *c,
        0xff,
        0xfe,
        *d,
        *e,
        *f,
    ])
}
