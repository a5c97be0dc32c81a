//! What a sandbox's neighbours are told when it comes: that its addresses are at its MAC now.

use std::net::IpAddr;

use super::{Place, scene::JoinedEndpoint};
use crate::model::{IfName, Mac};

/// One round of messages: a gratuitous ARP request for an IPv4 address (RFC 5227 section 3), an
/// unsolicited neighbour advertisement for an IPv6 one (RFC 4861 section 7.2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where the interface is.
    pub place: Place,
    /// The interface inside, which sends them.
    pub link: IfName,
    /// What it has to have: with another one the message would be wrong.
    pub mac: Mac,
    /// One message each.
    pub addresses: Vec<IpAddr>,
}

impl Announcement {
    /// That of an endpoint; link-local addresses are announced as little as in Docker.
    pub fn of(joined: &JoinedEndpoint<'_>) -> Announcement {
        let endpoint = joined.endpoint;
        Announcement {
            place: Place::Sandbox(joined.sandbox.id),
            link: endpoint.interface.clone(),
            mac: endpoint.mac,
            addresses: endpoint.addresses.iter().map(|net| net.addr()).collect(),
        }
    }
}
