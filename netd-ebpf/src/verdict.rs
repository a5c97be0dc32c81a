//! Carries out what was decided, and counts it. Decides nothing itself, except that what cannot
//! be carried out is dropped.

use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_UNSPEC};
use netd_common::{
    DropReason,
    abi::Program,
    packet::{
        Rewrite, Verdict, Work,
        verdict::{Header, changes},
        view::ETHERNET,
    },
};

#[cfg(feature = "log")]
use crate::log;
use crate::{
    counters,
    ctx::{events, handover, skb::Skb},
};

/// What the program returns for its verdict; `work` has its outcome.
// Not inlined: each path that drops would get an end of its own, and the verifier walks them all.
#[inline(never)]
pub fn act<const BARE: bool>(
    program: Program,
    skb: &Skb<'_, BARE>,
    verdict: Verdict,
    work: &mut Work,
) -> i32 {
    let octets = skb.octets();
    match carry_out(program, skb, verdict, work) {
        Ok(action) => {
            if action == TC_ACT_REDIRECT {
                handover::note(program, skb, verdict, work);
            }
            #[cfg(feature = "log")]
            log::carried(program, skb, verdict, work);
            counters::carried(program, verdict, &work.outcome, octets);
            action
        }
        Err(reason) => {
            #[cfg(feature = "log")]
            log::dropped(program, skb, reason, work);
            counters::dropped(program, reason, &work.outcome, octets);
            events::tell(program, reason, skb, work);
            TC_ACT_SHOT
        }
    }
}

/// The same for a packet that is dropped and answered: the drop is what counts.
pub fn answer_refused<const BARE: bool>(
    program: Program,
    skb: &Skb<'_, BARE>,
    work: &mut Work,
) -> i32 {
    let reason = DropReason::from_number(work.quote.refusal as u16);
    let reason = reason.unwrap_or(DropReason::WriteFailed);
    #[cfg(feature = "log")]
    log::dropped(program, skb, reason, work);
    counters::dropped(program, reason, &work.outcome, skb.octets());
    events::tell(program, reason, skb, work);
    let action = carry_out(program, skb, Verdict::Answer, work).unwrap_or(TC_ACT_SHOT);
    if action == TC_ACT_REDIRECT {
        handover::note(program, skb, Verdict::Answer, work);
    }
    action
}

fn carry_out<const BARE: bool>(
    program: Program,
    skb: &Skb<'_, BARE>,
    verdict: Verdict,
    work: &Work,
) -> Result<i32, DropReason> {
    let outcome = &work.outcome;
    match verdict {
        Verdict::Pass => Ok(TC_ACT_UNSPEC),
        Verdict::Host => {
            apply(skb, &outcome.rewrite).ok_or(DropReason::WriteFailed)?;
            if program != Program::FromEndpoint {
                // On its way already; other programs may follow, as on an uplink.
                return Ok(TC_ACT_UNSPEC);
            }
            skb.accept().ok_or(DropReason::WriteFailed)?;
            Ok(TC_ACT_OK)
        }
        Verdict::Peer => {
            apply(skb, &outcome.rewrite).ok_or(DropReason::WriteFailed)?;
            skb.accept().ok_or(DropReason::WriteFailed)?;
            redirected(skb.redirect_peer(outcome.ifindex))
        }
        Verdict::Neighbour => {
            apply(skb, &outcome.rewrite).ok_or(DropReason::WriteFailed)?;
            redirected(skb.redirect_neighbour(outcome.ifindex, &outcome.next_hop))
        }
        Verdict::Flood => {
            skb.copy_into(outcome.ifindex);
            redirected(skb.redirect(outcome.ifindex))
        }
        Verdict::Answer => {
            skb.replace(&work.answer).ok_or(DropReason::WriteFailed)?;
            skb.accept().ok_or(DropReason::WriteFailed)?;
            redirected(match program {
                Program::FromUplink => skb.redirect(skb.ifindex()),
                _ => skb.redirect_peer(skb.ifindex()),
            })
        }
        Verdict::Kept => Ok(TC_ACT_SHOT),
        // The tail call did not happen.
        Verdict::Dns | Verdict::IcmpError | Verdict::Fragment => Err(DropReason::RedirectFailed),
        Verdict::Drop(reason) => Err(reason),
    }
}

fn redirected(action: i32) -> Result<i32, DropReason> {
    if action == TC_ACT_SHOT {
        return Err(DropReason::RedirectFailed);
    }
    Ok(action)
}

/// Stores what changes; `None` where the kernel refuses.
fn apply<const BARE: bool>(skb: &Skb<'_, BARE>, rewrite: &Rewrite) -> Option<()> {
    if rewrite.changes & changes::ETHERNET != 0 {
        skb.store(0, &rewrite.ethernet)?;
    }
    if rewrite.changes & changes::HEADER != 0 {
        translate(skb, rewrite)?;
    }
    Some(())
}

fn translate<const BARE: bool>(skb: &Skb<'_, BARE>, rewrite: &Rewrite) -> Option<()> {
    let kind = rewrite.changes;
    let checksum = rewrite.checksum.into();
    let zero_is_none = kind & changes::ZERO_IS_NONE != 0;
    let is_v4 = kind & changes::IS_V4 != 0;
    let has_transport = kind & changes::NO_TRANSPORT == 0;
    if rewrite.address_delta != 0 && has_transport {
        skb.pseudo_checksum(checksum, rewrite.address_delta, zero_is_none, is_v4)?;
    }
    if rewrite.port_delta != 0 && has_transport {
        skb.checksum(checksum, rewrite.port_delta, zero_is_none)?;
    }
    let header = &rewrite.header;
    let is_echo = kind & changes::IS_ECHO != 0;
    if is_echo || kind & (changes::APART | changes::NO_TRANSPORT) != 0 {
        return store_apart(skb, rewrite).then_some(());
    }
    if is_v4 {
        skb.store(Header::OFFSET_V4, header.v4()?)
    } else {
        skb.store(Header::OFFSET_V6, header.v6()?)
    }
}

/// Stores the header where what changes is not in one piece.
// Not inlined: a rare case, whose paths would multiply those of the programs.
#[inline(never)]
fn store_apart<const BARE: bool>(skb: &Skb<'_, BARE>, rewrite: &Rewrite) -> bool {
    try_store_apart(skb, rewrite).is_some()
}

#[inline(always)]
fn try_store_apart<const BARE: bool>(skb: &Skb<'_, BARE>, rewrite: &Rewrite) -> Option<()> {
    let (kind, header) = (rewrite.changes, &rewrite.header);
    let is_v4 = kind & changes::IS_V4 != 0;
    if is_v4 {
        skb.store(Header::OFFSET_V4, header.addresses_v4()?)?;
    } else {
        skb.store(Header::OFFSET_V6, header.addresses_v6()?)?;
    }
    if kind & changes::NO_TRANSPORT != 0 {
        return Some(());
    }
    let transport = transport(rewrite);
    if kind & changes::IS_ECHO != 0 {
        skb.store(transport + 4, header.identifier(is_v4)?)
    } else {
        skb.store(transport, header.ports(is_v4)?)
    }
}

/// Where the transport header begins.
fn transport(rewrite: &Rewrite) -> usize {
    if rewrite.changes & changes::APART != 0 {
        rewrite.transport.into()
    } else if rewrite.changes & changes::IS_V4 != 0 {
        ETHERNET + 20
    } else {
        ETHERNET + 40
    }
}
