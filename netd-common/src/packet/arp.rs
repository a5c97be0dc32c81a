//! ARP (RFC 826) of an endpoint, answered for every address of its network: no request goes
//! further, so none can lie to another.

use super::{
    Packet, Tables, Work,
    verdict::Verdict,
    view::{ETHERNET, ethertype},
};
use crate::{
    Addr, DropReason,
    abi::endpoint::{EndpointKey, flags},
};

/// Ethernet and IPv4, lengths 6 and 4: what comes before the operation.
const HEADER: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// Answers a request of the source in `work`.
///
/// # Errors
/// [`DropReason::Arp`] for what is malformed, no request, of another's MAC, or about the sender
/// itself (an announcement or a probe: nobody else has the address);
/// [`DropReason::NoNeighbor`] where no endpoint has the address.
pub fn answer<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    let body = packet.read::<28>(ETHERNET).ok_or(DropReason::Arp)?;
    let [h0, h1, h2, h3, h4, h5, o0, o1, ..] = body;
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        m0,
        m1,
        m2,
        m3,
        m4,
        m5,
        s0,
        s1,
        s2,
        s3,
        ..,
    ] = body;
    let [.., t0, t1, t2, t3] = body;
    let sender_mac = [m0, m1, m2, m3, m4, m5];
    if [h0, h1, h2, h3, h4, h5] != HEADER
        || [o0, o1] != REQUEST
        || sender_mac != work.view.frame.source
    {
        return Err(DropReason::Arp);
    }
    let target = [t0, t1, t2, t3];
    let mac = mac_of(tables, &Addr::v4(target), DropReason::Arp, work)?;

    let answer = &mut work.answer;
    answer.len = 42;
    answer.put(0, sender_mac);
    answer.put(6, mac);
    answer.put(12, ethertype::ARP);
    answer.put(14, HEADER);
    answer.put(20, REPLY);
    answer.put(22, mac);
    answer.put(28, target);
    answer.put(32, sender_mac);
    answer.put(38, [s0, s1, s2, s3]);
    Ok(Verdict::Answer)
}

/// The MAC that an endpoint shall use for an address of its network. `own` where it asks about
/// itself.
pub(super) fn mac_of<T: Tables>(
    tables: &mut T,
    address: &Addr,
    own: DropReason,
    work: &mut Work,
) -> Result<[u8; 6], DropReason> {
    // The resolver answers every network from one interface: all of them are behind the gateway.
    if work.source.flags & flags::IS_RESOLVER != 0 || work.source.has_gateway(address) {
        return Ok(work.source.gateway_mac);
    }
    let key = EndpointKey {
        network: work.source.network,
        address: *address,
    };
    if !tables.endpoint(&key, &mut work.target) {
        return Err(DropReason::NoNeighbor);
    }
    if work.target.index == work.source.index {
        return Err(own);
    }
    Ok(work.target.mac)
}
