//! SCTP in a lab, by sockets that behave as TCP's do (RFC 6458 section 4). Each is bound to one address:
//! else it tells the far side all that its namespace has.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
            connect, listen, setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike as _},
    },
};

use super::Namespace;

/// Associations that wait to be accepted.
const WAITING: i32 = 16;

impl Namespace {
    /// Whether the kernel has SCTP.
    ///
    /// # Panics
    /// If it refuses for another reason than that it has not.
    #[track_caller]
    pub fn has_sctp(&self) -> bool {
        match self.on(|| open(IpAddr::from([0u8; 4]))) {
            Ok(_) => true,
            Err(Errno::EPROTONOSUPPORT) => false,
            Err(error) => panic!("no SCTP socket: {error}"),
        }
    }

    /// A listener here.
    pub fn sctp_listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.on(move || {
            let socket = open(at.ip())?;
            bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
            listen(&socket, Backlog::new(WAITING)?)?;
            Ok::<_, Errno>(socket)
        })?;
        Ok(TcpListener::from(socket))
    }

    /// An association from an address and port here (0: any), with `limit` for its beginning and for each
    /// read.
    pub fn sctp_connect(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        limit: Duration,
    ) -> io::Result<TcpStream> {
        let socket = self.on(move || {
            let socket = open(from.ip())?;
            let millis = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
            setsockopt(
                &socket,
                sockopt::SendTimeout,
                &TimeVal::milliseconds(millis),
            )?;
            bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
            connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
            Ok::<_, Errno>(socket)
        })?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(limit))?;
        Ok(stream)
    }
}

fn open(own: IpAddr) -> Result<OwnedFd, Errno> {
    let family = match own {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(family, SockType::Stream, flags, SockProtocol::Sctp)
}
