//! IPv6 extension headers (RFC 8200 section 4): skipped down to the transport header. Options are for
//! others to read and are carried as they are; a way that the sender prescribes is not gone.

use super::{
    Packet,
    view::{ETHERNET, Ip, protocol, traits},
};
use crate::{DropReason, limits::MAX_EXTENSION_HEADERS};

/// Whether a next-header value names an extension header that is skipped. (Authentication and ESP
/// are protocols of their own here: nothing behind them can be translated.)
pub(super) fn is_one(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION
    )
}

/// Skips what follows the fixed header of `ip`: then its protocol and its transport's offset are those
/// behind, and what a fragment header says is noted.
///
/// # Errors
/// [`DropReason::Truncated`]; [`DropReason::ExtensionHeader`] for more than
/// [`MAX_EXTENSION_HEADERS`], hop-by-hop options that are not first, two fragment headers, and a
/// routing header that still leads somewhere or is of type 0 (RFC 5095).
// Not inlined: a rare case, whose paths would multiply those of the hooks.
#[inline(never)]
pub(super) fn skip<P: Packet>(packet: &P, ip: &mut Ip) -> Result<(), DropReason> {
    let mut count = 0;
    while count < MAX_EXTENSION_HEADERS {
        let kind = ip.protocol;
        if !is_one(kind) {
            return Ok(());
        }
        if kind == protocol::HOP_BY_HOP && count != 0 {
            return Err(DropReason::ExtensionHeader);
        }
        let header = packet.read::<8>(ip.transport.into());
        let [next, length, a, b, c, d, e, f] = header.ok_or(DropReason::Truncated)?;
        let mut octets = 8;
        if kind == protocol::FRAGMENT {
            fragment([a, b], [c, d, e, f], ip)?;
        } else {
            octets += u16::from(length) * 8;
        }
        if kind == protocol::ROUTING && (b != 0 || a == 0) {
            return Err(DropReason::ExtensionHeader);
        }
        ip.protocol = next;
        ip.transport += octets;
        if u32::from(ip.transport) - ETHERNET as u32 > ip.length {
            return Err(DropReason::Truncated);
        }
        // Behind the header of a later fragment is data, whatever the next header says.
        if ip.traits & traits::LATER_FRAGMENT != 0 {
            return Ok(());
        }
        count += 1;
    }
    if is_one(ip.protocol) {
        return Err(DropReason::ExtensionHeader);
    }
    Ok(())
}

/// What a fragment header says. One that says "whole" (RFC 6946) makes no fragment.
fn fragment([high, low]: [u8; 2], identification: [u8; 4], ip: &mut Ip) -> Result<(), DropReason> {
    if ip.traits & traits::FRAGMENT != 0 {
        return Err(DropReason::ExtensionHeader);
    }
    let offset_and_more = u16::from_be_bytes([high, low]) & 0xfff9;
    if offset_and_more != 0 {
        ip.traits |= traits::FRAGMENT;
        ip.identification = identification;
    }
    if offset_and_more & 0xfff8 != 0 {
        ip.traits |= traits::LATER_FRAGMENT;
    }
    Ok(())
}
