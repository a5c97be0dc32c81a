//! Questions over UDP. The answer's source is the address that was asked (a gateway's), whatever
//! addresses the namespace has.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    sync::Arc,
};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use tokio::{io::Interest, net::UdpSocket, task::JoinSet, time::sleep};

use super::{
    answer::Transport,
    counters::Counters,
    limits::{MAX_QUESTION, SOCKET_PAUSE},
    service::{Service, Todo},
    table::Asker,
};
use crate::model::Id;

/// Where a datagram came from and where it was sent to.
#[derive(Clone, Copy, Debug)]
struct Way {
    from: SocketAddr,
    to: IpAddr,
}

/// Answers until it is dropped. All who ask are `sandbox`, where the socket is in its namespace.
pub(super) async fn serve(socket: UdpSocket, service: Arc<Service>, sandbox: Option<Id>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; MAX_QUESTION];
    let mut pending = JoinSet::new();
    loop {
        while pending.try_join_next().is_some() {}
        let (length, way) = match receive(&socket, &mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "DNS over UDP");
                sleep(SOCKET_PAUSE).await;
                continue;
            }
        };
        let Some(way) = way else {
            Counters::count(&service.counters.malformed);
            continue;
        };
        let message = buffer.get(..length).unwrap_or_default();
        let asker = sandbox.map_or_else(|| way.from.ip().into(), Asker::Sandbox);
        match service.take(message, asker, Transport::Udp) {
            Todo::Send(answer) => send(&socket, &service, &answer, way),
            Todo::Forward(question) => {
                // The server's end closes the socket, whoever still waits for an upstream.
                let (socket, service) = (Arc::downgrade(&socket), service.clone());
                pending.spawn(async move {
                    let answer = service.forward(question).await;
                    if let Some(socket) = socket.upgrade() {
                        send(&socket, &service, &answer, way);
                    }
                });
            }
            Todo::Nothing => {}
        }
    }
}

async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Option<Way>)> {
    let receive = || {
        let mut control = nix::cmsg_space!(libc::in6_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let received =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let to = received.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
            _ => None,
        });
        let from = received.address.as_ref().and_then(socket_address);
        let way = from.zip(to).map(|(from, to)| Way { from, to });
        Ok((received.bytes, way))
    };
    socket.async_io(Interest::READABLE, receive).await
}

/// Does not wait: where the send buffer is full, the client asks again.
fn send(socket: &UdpSocket, service: &Service, answer: &[u8], way: Way) {
    let to = SockaddrStorage::from(way.from);
    let parts = [IoSlice::new(answer)];
    let (v4, v6);
    let source = match way.to {
        IpAddr::V4(address) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(address.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(address) => {
            v6 = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: address.octets(),
                },
                ipi6_ifindex: 0,
            };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let send = || {
        Ok(sendmsg(
            socket.as_raw_fd(),
            &parts,
            &[source],
            MsgFlags::MSG_DONTWAIT,
            Some(&to),
        )?)
    };
    if let Err(error) = socket.try_io(Interest::WRITABLE, send) {
        tracing::debug!(%error, client = %way.from, "DNS answer not sent");
        Counters::count(&service.counters.unsent);
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::V6((*v6).into()))
    })
}
