//! The server's sockets: in the resolver's namespace UDP and TCP of both families, on every address
//! that comes in by one device; in a sandbox's the one address that its programs know.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::OwnedFd,
};

use netd_common::limits::{RESOLVER_PORT, STUB_ADDRESS};
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{
        AddressFamily, Backlog, SetSockOpt, SockFlag, SockType, SockaddrStorage, bind, listen,
        setsockopt, socket, sockopt,
    },
};

use super::limits::DATAGRAMS;
use crate::kernel::netns;

/// What the sockets are bound to: names may come to mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    cookie: u64,
    ifindex: u32,
}

impl Bound {
    /// In the calling thread's namespace.
    pub(super) fn find(device: &str) -> io::Result<Bound> {
        Ok(Bound {
            cookie: netns::own_cookie().map_err(io::Error::other)?,
            ifindex: if_nametoindex(device)?,
        })
    }
}

/// One of each kind and family.
pub(super) struct Sockets {
    pub(super) udp: Vec<std::net::UdpSocket>,
    pub(super) tcp: Vec<std::net::TcpListener>,
}

impl Sockets {
    /// For all addresses, in the calling thread's namespace.
    pub(super) fn open(device: &str) -> io::Result<Sockets> {
        Sockets::at(
            &[
                SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, RESOLVER_PORT).into(),
                SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, RESOLVER_PORT, 0, 0).into(),
            ],
            device,
        )
    }

    /// For what 127.0.0.11 means in the calling thread's namespace, a sandbox's without a gateway.
    pub(super) fn open_inside() -> io::Result<Sockets> {
        let stub = SocketAddrV4::new(STUB_ADDRESS.into(), RESOLVER_PORT);
        Sockets::at(&[stub.into()], "lo")
    }

    fn at(addresses: &[SocketAddr], device: &str) -> io::Result<Sockets> {
        let datagrams = |address: &SocketAddr| -> io::Result<std::net::UdpSocket> {
            Ok(open(SockType::Datagram, *address, device)?.into())
        };
        let listener = |address: &SocketAddr| -> io::Result<std::net::TcpListener> {
            let socket = open(SockType::Stream, *address, device)?;
            listen(&socket, Backlog::MAXALLOWABLE)?;
            Ok(socket.into())
        };
        Ok(Sockets {
            udp: addresses.iter().map(datagrams).collect::<io::Result<_>>()?,
            tcp: addresses.iter().map(listener).collect::<io::Result<_>>()?,
        })
    }
}

/// Bound to the device: then answers leave through it, though the namespace's local routes claim
/// every address, the clients' included (a route's device must be the socket's).
fn open(kind: SockType, address: SocketAddr, device: &str) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket(family, kind, flags, None)?;
    set(&socket, sockopt::ReuseAddr, &(kind == SockType::Stream))?;
    set(&socket, sockopt::BindToDevice, &device.into())?;
    if kind == SockType::Datagram {
        // 2,000 questions at once, whatever the host's own default is (by right of CAP_NET_ADMIN).
        set(&socket, sockopt::RcvBufForce, &DATAGRAMS)?;
    }
    match address {
        SocketAddr::V4(_) => set(&socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => {
            set(&socket, sockopt::Ipv6V6Only, &true)?;
            set(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            // The gateways are local by route, not by address: IPv6 asks for this on sending.
            set(&socket, sockopt::IpFreebind, &true)?;
        }
    }
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
        &SockaddrStorage::from(address),
    )?;
    Ok(socket)
}

fn set<O: SetSockOpt>(socket: &OwnedFd, option: O, value: &O::Val) -> io::Result<()> {
    Ok(setsockopt(socket, option, value)?)
}
