//! DHCP (RFC 2131, RFC 8415): a container that answers its neighbours' questions would become their
//! router and name server. Addresses are netd's to give.

use super::{
    Packet,
    view::{ETHERNET, View, protocol},
};

/// Where clients hear, of both families: whatever is for that port, a server sends.
const CLIENTS_V4: [u8; 2] = 68_u16.to_be_bytes();
const CLIENTS_V6: [u8; 2] = 546_u16.to_be_bytes();

/// Whether a packet is a DHCP server's to a client. (Later fragments have no ports, and mean nothing
/// without the first.)
pub fn is_of_server<P: Packet>(packet: &P, view: &View) -> bool {
    let ip = &view.ip;
    ip.protocol == protocol::UDP && is_to_client(packet, view)
}

fn is_to_client<P: Packet>(packet: &P, view: &View) -> bool {
    let ip = &view.ip;
    // Read already in nearly all packets of IPv4.
    let behind_v4 = ip.is_v4() && ip.transport == ETHERNET as u16 + 20 && ip.length >= 28;
    let ports = if behind_v4 {
        let [_, _, _, _, _, ports, ..] = view.frame.words();
        Some(*ports)
    } else {
        packet.read::<4>(ip.transport.into())
    };
    let Some([_, _, a, b]) = ports else {
        return false;
    };
    [a, b] == if ip.is_v4() { CLIENTS_V4 } else { CLIENTS_V6 }
}
