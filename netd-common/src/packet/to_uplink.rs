//! What leaves through an uplink by the host's stack. Only what the stack forwarded for a
//! container is netd's: translated by its flow, or dropped, so that no container's address and no
//! untranslated packet gets out.

use super::{Packet, Tables, Work, flow, rewrite, transport, verdict::Verdict, view};
use crate::DropReason;

/// Decides about a packet on its way out of an uplink. `forwarded`: it came into the host by some
/// interface, rather than from the host itself.
pub fn decide<P: Packet, T: Tables>(
    packet: &P,
    forwarded: bool,
    tables: &mut T,
    work: &mut Work,
) -> Verdict {
    work.begin();
    if !forwarded {
        return Verdict::Pass;
    }
    judge(packet, tables, work).unwrap_or_else(Verdict::Drop)
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    work: &mut Work,
) -> Result<Verdict, DropReason> {
    if view::read(packet, &mut work.view).is_err() {
        return Ok(Verdict::Pass);
    }
    let Some(subnet) = tables.subnet(&work.view.ip.source) else {
        return Ok(Verdict::Pass);
    };
    work.outcome.network = subnet.network;
    if transport::read(packet, &mut work.view).is_err() || !work.view.transport.is_known() {
        return Err(DropReason::Untranslated);
    }
    transport::key(&work.view, subnet.network, &mut work.key);
    if !flow::find(tables, work)?
        || work.view.ip.unobstructed().is_err()
        || work.flow.twin_zone != 0
        || work.flow.epoch != tables.config().epoch
    {
        return Err(DropReason::Untranslated);
    }
    rewrite::translate(work, work.view.ip.hops);
    Ok(Verdict::Host)
}
