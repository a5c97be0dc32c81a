//! The server's sockets and its life: opened in the resolver's namespace, served until dropped.
//! Holds no names itself.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use netd_common::limits::RESOLVER_PORT;
use nix::sys::socket::{
    AddressFamily, Backlog, SetSockOpt, SockFlag, SockType, SockaddrStorage, bind, listen,
    setsockopt, socket, sockopt,
};
use tokio::task::JoinSet;

use super::{
    answer::{self, Decision, Transport},
    counters::{Counters, Counts},
    forward::Forwarder,
    limits::{
        MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT, MAX_FORWARDED, MAX_FORWARDED_PER_CLIENT,
    },
    message::{Question, Rcode},
    slots::{Slot, Slots},
    table::{Client, Table},
    tcp, udp,
};
use crate::kernel::netns::{self, NamespaceError};

/// A running server. Dropping it ends what is under way and closes the sockets soon after.
#[derive(Debug)]
pub struct Server {
    service: Arc<Service>,
    tasks: JoinSet<()>,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The resolver's namespace cannot be entered.
    #[error("the resolver's namespace: {0}")]
    Namespace(#[from] NamespaceError),
    /// A socket cannot be had.
    #[error("DNS socket on port {RESOLVER_PORT} of {device} in {}: {source}", namespace.display())]
    Socket {
        /// The interface.
        device: String,
        /// The namespace.
        namespace: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Server {
    /// Serves UDP and TCP of both families on port 10053 of all addresses that come in by `device`
    /// (a veth whose other side is the host's) in `namespace`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left behind then.
    pub fn start(namespace: &Path, device: &str, table: Table) -> Result<Server, StartError> {
        let file = netns::open(namespace)?;
        let failed = |source: io::Error| StartError::Socket {
            device: device.to_owned(),
            namespace: namespace.to_owned(),
            source,
        };
        let sockets = netns::in_namespace(&file, || Sockets::open(device))?.map_err(failed)?;
        let service = Arc::new(Service::new(table));
        let mut tasks = JoinSet::new();
        for datagrams in sockets.udp {
            let socket = tokio::net::UdpSocket::from_std(datagrams).map_err(failed)?;
            tasks.spawn(udp::serve(socket, service.clone()));
        }
        for listener in sockets.tcp {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            tasks.spawn(tcp::serve(listener, service.clone()));
        }
        Ok(Server { service, tasks })
    }

    /// Ends it and waits until its sockets are closed, so that another can start at once.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.service.counters.read()
    }
}

/// What both transports share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) counters: Counters,
    pub(super) connections: Slots,
    table: Table,
    forwarder: Forwarder,
    forwarded: Slots,
}

/// What a transport has to do with a message.
pub(super) enum Todo {
    /// Send this.
    Send(Vec<u8>),
    /// Send what [`Service::forward`] gives for this.
    Forward(Pending),
    /// Nothing.
    Nothing,
}

/// A question for the upstreams.
pub(super) struct Pending {
    question: Arc<Question>,
    client: Arc<Client>,
    transport: Transport,
    _slot: Slot,
}

impl Service {
    fn new(table: Table) -> Service {
        Service {
            counters: Counters::default(),
            connections: Slots::new(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT),
            forwarder: Forwarder::new(table.clone()),
            forwarded: Slots::new(MAX_FORWARDED, MAX_FORWARDED_PER_CLIENT),
            table,
        }
    }

    pub(super) fn take(&self, message: &[u8], from: IpAddr, transport: Transport) -> Todo {
        let client = self.table.client(from);
        // Without randomness the first address comes first: an answer all the same.
        let random = getrandom::u32().unwrap_or_default();
        match answer::decide(message, client, &self.table, transport, random) {
            Decision::Answer { bytes, kind } => {
                self.counters.count_answer(kind);
                Todo::Send(bytes)
            }
            Decision::Forward(question, client) => match self.forwarded.take(from) {
                Some(slot) => {
                    Counters::count(&self.counters.forwarded);
                    Todo::Forward(Pending {
                        question: Arc::new(question),
                        client,
                        transport,
                        _slot: slot,
                    })
                }
                None => {
                    Counters::count(&self.counters.overload);
                    Todo::Send(question.answer(Rcode::ServFail, &[], usize::MAX))
                }
            },
            Decision::Ignore => {
                Counters::count(&self.counters.malformed);
                Todo::Nothing
            }
        }
    }

    pub(super) async fn forward(&self, pending: Pending) -> Vec<u8> {
        let Pending {
            question,
            client,
            transport,
            _slot,
        } = pending;
        match (
            self.forwarder.ask(&question, &client, transport).await,
            transport,
        ) {
            (Some(answer), Transport::Udp) => question.fit(answer),
            (Some(answer), Transport::Tcp) => answer,
            (None, _) => {
                Counters::count(&self.counters.failed);
                question.answer(Rcode::ServFail, &[], usize::MAX)
            }
        }
    }
}

struct Sockets {
    udp: [std::net::UdpSocket; 2],
    tcp: [std::net::TcpListener; 2],
}

impl Sockets {
    /// In the calling thread's namespace.
    fn open(device: &str) -> io::Result<Sockets> {
        let wildcards: [SocketAddr; 2] = [
            SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, RESOLVER_PORT).into(),
            SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, RESOLVER_PORT, 0, 0).into(),
        ];
        let [v4, v6] = wildcards;
        let listener = |address| -> io::Result<std::net::TcpListener> {
            let socket = open(SockType::Stream, address, device)?;
            listen(&socket, Backlog::MAXALLOWABLE)?;
            Ok(socket.into())
        };
        Ok(Sockets {
            udp: [
                open(SockType::Datagram, v4, device)?.into(),
                open(SockType::Datagram, v6, device)?.into(),
            ],
            tcp: [listener(v4)?, listener(v6)?],
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

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
