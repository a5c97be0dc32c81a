//! IPv4 options (RFC 791 section 3.1): carried as they are, but for source routes. Reads; records no
//! route and no time.

use super::{
    Packet,
    view::{ETHERNET, Ip},
};
use crate::{DropReason, limits::MAX_IP_OPTIONS};

/// End of the list.
const END: u8 = 0;
/// No operation: one octet without a length.
const NOTHING: u8 = 1;
/// Loose and strict source route. The kernel, too, does not go them unless it is asked to
/// (`accept_source_route`).
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// Looks through the options of a packet that has some.
///
/// # Errors
/// [`DropReason::IpOptions`] for a source route, and for an option that reaches beyond the header.
// Not inlined: a rare case, whose paths would multiply those of the hooks.
#[inline(never)]
pub(super) fn judge<P: Packet>(packet: &P, ip: &Ip) -> Result<(), DropReason> {
    const BEGIN: u16 = ETHERNET as u16 + 20;
    let mut at = BEGIN;
    let mut count = 0;
    while count < MAX_IP_OPTIONS {
        count += 1;
        if at >= ip.transport {
            return Ok(());
        }
        let [kind] = packet.read::<1>(at.into()).ok_or(DropReason::Truncated)?;
        if kind == END {
            return Ok(());
        }
        if kind == NOTHING {
            at += 1;
            continue;
        }
        if SOURCE_ROUTES.contains(&kind) {
            return Err(DropReason::IpOptions);
        }
        let length = packet.read::<1>(usize::from(at) + 1);
        let [length] = length.ok_or(DropReason::Truncated)?;
        if length < 2 || at + u16::from(length) > ip.transport {
            return Err(DropReason::IpOptions);
        }
        at += u16::from(length);
    }
    Ok(())
}
