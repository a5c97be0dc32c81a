//! Sockets that processes of the host have bound (sock_diag(7)): one dump per family and protocol,
//! asked before ports are published.

use std::{io, net::IpAddr};

use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, nlas::Nla},
};
use rtnetlink::{
    packet_core::{
        DecodeError, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG},
};

use crate::model::{
    Protocol,
    facts::{BoundSocket, Use},
};

/// Octets of one read; the kernel's dumps have at most 32 KiB in one message.
const READ: usize = 65_536;

/// Why a dump failed.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    /// The socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The answer.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// All TCP, UDP and SCTP sockets of the calling thread's network namespace that have a port.
pub fn sockets() -> Result<Vec<BoundSocket>, DiagError> {
    let mut found = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        for family in [AF_INET, AF_INET6] {
            dump(protocol, family, &mut found)?;
        }
    }
    Ok(found)
}

fn dump(protocol: Protocol, family: u8, found: &mut Vec<BoundSocket>) -> Result<(), DiagError> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    send(&socket, protocol, family)?;
    let mut buffer = vec![0; READ];
    loop {
        let size = socket.recv(&mut &mut buffer[..], 0)?;
        let mut rest = buffer.get(..size).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)?;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    found.extend(bound(protocol, &response));
                }
                NetlinkPayload::Done(_) => return Ok(()),
                // A kernel without IPv6, without SCTP or without a protocol's part of sock_diag has no such sockets to tell.
                NetlinkPayload::Error(error) if error.raw_code() == -libc::ENOENT => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                _ => {}
            }
            // Messages are aligned to four octets.
            let length = (message.header.length as usize).next_multiple_of(4).max(4);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

fn send(socket: &Socket, protocol: Protocol, family: u8) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol: match protocol {
            Protocol::Tcp => IPPROTO_TCP,
            Protocol::Udp => IPPROTO_UDP,
            Protocol::Sctp => IPPROTO_SCTP,
        },
        extensions: ExtensionFlags::empty(),
        // A connection that only waits for stray packets needs no port.
        states: StateFlags::all() - StateFlags::TIME_WAIT,
        socket_id: if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map(drop)
}

fn bound(protocol: Protocol, response: &InetResponse) -> Option<BoundSocket> {
    let id = &response.header.socket_id;
    let only_v6 = response.nlas.contains(&Nla::SkV6Only(true));
    let served = protocol == Protocol::Udp || id.destination_port == 0;
    (id.source_port != 0).then(|| BoundSocket {
        protocol,
        address: match id.source_address {
            IpAddr::V6(v6) => v6.to_canonical(),
            v4 @ IpAddr::V4(_) => v4,
        },
        port: id.source_port,
        both_families: id.source_address.is_ipv6() && !only_v6,
        used_for: if served { Use::Bound } else { Use::Connection },
    })
}
