//! ICMP and ICMPv6 errors: those about a flow go along it, translated as far as the packet that
//! they quote; those that netd owes because it took the host's stack's place are made here.
//!
//! The hooks only see that there is something to do ([`concerns_flow`], [`refused`]); program
//! `icmp`, a tail call, goes on with their work ([`decide`]), so that other packets pay nothing.

mod budget;
mod message;
mod quote;

pub use budget::Budget;
pub use quote::{Quote, concerns_flow, quoted};

use super::{Packet, Tables, Work, verdict::Verdict};
use crate::DropReason;

/// What is an error: destination unreachable, source quench, time exceeded, parameter problem
/// (RFC 792). A redirect is about the way to a router and for the host alone.
const ERRORS_V4: [u8; 4] = [3, 4, 11, 12];
/// Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];

fn is_error(is_v4: bool, message: u8) -> bool {
    if is_v4 {
        ERRORS_V4.contains(&message)
    } else {
        ERRORS_V6.contains(&message)
    }
}

/// The verdict for a packet from `zone` (a network's index, 0 for outside) that is not carried:
/// dropped, or handed to program `icmp` where its sender may have to be told.
pub fn refused(reason: DropReason, zone: u32, work: &mut Work) -> Verdict {
    if !matches!(reason, DropReason::TtlExpired | DropReason::TooBig) {
        return Verdict::Drop(reason);
    }
    work.quote.zone = zone;
    work.quote.refusal = reason as u32;
    Verdict::IcmpError
}

/// Goes on with the work of a hook whose verdict is [`Verdict::IcmpError`]: the error goes along
/// its flow, once the quote and the rewrite are written; or the answer is an error about the packet,
/// which is then dropped for the reason in [`Quote::refusal`].
pub fn decide<P: Packet, T: Tables>(packet: &P, tables: &mut T, work: &mut Work) -> Verdict {
    let decided = match DropReason::from_number(work.quote.refusal as u16) {
        None => quote::translate(packet, tables, work),
        Some(reason) => message::compose(packet, reason, tables, work),
    };
    decided.unwrap_or_else(Verdict::Drop)
}
