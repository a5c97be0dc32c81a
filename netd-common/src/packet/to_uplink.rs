//! What leaves through an uplink by the host's stack. Only what the stack forwarded for a
//! container is netd's: translated by its flow, or dropped, so that no container's address and no
//! untranslated packet gets out.

use super::{
    Packet, Tables, flow, rewrite, transport,
    verdict::{Decision, Rewrite, Verdict},
    view::{self},
};
use crate::DropReason;

/// Decides about a packet on its way out of an uplink. `forwarded`: it came into the host by some
/// interface, rather than from the host itself.
pub fn decide<P: Packet, T: Tables>(packet: &P, forwarded: bool, tables: &mut T) -> Decision {
    if !forwarded {
        return Decision::unknown(Verdict::Pass);
    }
    let mut network = 0;
    let verdict = judge(packet, tables, &mut network).unwrap_or_else(Verdict::Drop);
    Decision {
        verdict,
        network,
        endpoint: 0,
    }
}

fn judge<P: Packet, T: Tables>(
    packet: &P,
    tables: &mut T,
    network: &mut u32,
) -> Result<Verdict, DropReason> {
    let Ok(ip) = view::frame(packet).and_then(|frame| view::ip(packet, &frame)) else {
        return Ok(Verdict::Pass);
    };
    let Some(subnet) = tables.subnet(&ip.source) else {
        return Ok(Verdict::Pass);
    };
    *network = subnet.network;
    let Ok(Some(transport)) = transport::read(packet, &ip) else {
        return Err(DropReason::Untranslated);
    };
    let key = transport.key(subnet.network, &ip);
    let flow = flow::find(tables, &key, &transport, ip.length)?.ok_or(DropReason::Untranslated)?;
    if ip.obstacle.is_some() || flow.twin_zone != 0 || flow.epoch != tables.config().epoch {
        return Err(DropReason::Untranslated);
    }
    let mut rewrite = Rewrite::default();
    rewrite::translate(&mut rewrite, &ip, &transport, &flow);
    Ok(Verdict::Host(rewrite))
}
