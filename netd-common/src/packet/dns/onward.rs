//! Where a question's packet goes: back as the answer, or to the agent's resolver.

use crate::{
    DropReason,
    packet::{Tables, Verdict, Work, rewrite},
};

/// The packet has become the answer and goes back to the endpoint that asked.
pub fn back(work: &mut Work) -> Verdict {
    rewrite::ethernet(work, work.source.mac, work.source.gateway_mac);
    work.outcome.ifindex = work.source.ifindex;
    work.outcome.receiver = work.source.index;
    Verdict::Peer
}

/// The question goes to the agent's resolver, at whatever address it was asked.
///
/// # Errors
/// [`DropReason::NoResolver`] while there is none.
pub fn to_resolver<T: Tables>(tables: &mut T, work: &mut Work) -> Result<Verdict, DropReason> {
    let config = tables.config();
    if config.resolver_ifindex == 0 {
        return Err(DropReason::NoResolver);
    }
    rewrite::ethernet(work, config.resolver_mac, work.source.gateway_mac);
    work.outcome.ifindex = config.resolver_ifindex;
    Ok(Verdict::Peer)
}
