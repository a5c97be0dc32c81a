//! A server that tells each client which address it sees, over TCP and UDP, and the client's side of
//! the exchange.

use std::{
    io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt,
        sockopt,
    },
};

use super::namespace::Namespace;

/// How often a server looks whether it is to end.
const POLL: Duration = Duration::from_millis(20);
/// Read limit of the server's connections.
const IDLE: Duration = Duration::from_secs(30);

/// Answers each line (TCP) and each datagram (UDP) with `PEER|TEXT`, PEER being the client's address
/// and port as seen by the server. Ends when dropped.
pub struct EchoServer {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl EchoServer {
    /// Serves TCP and UDP on all addresses of the namespace, both families.
    ///
    /// # Panics
    /// If the port is taken.
    #[track_caller]
    pub fn start(namespace: &Namespace, port: u16) -> EchoServer {
        match EchoServer::try_start(namespace, port) {
            Ok(server) => server,
            Err(error) => panic!("no server in {}: {error:#}", namespace.name()),
        }
    }

    /// The same, with the failure as a value.
    pub fn try_start(namespace: &Namespace, port: u16) -> Result<EchoServer> {
        let any = SocketAddr::new(IpAddr::from([0u16; 8]), port);
        let listener = namespace.tcp_listen(any).context("TCP")?;
        listener.set_nonblocking(true)?;
        let socket = namespace.udp_bind(any).context("UDP")?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        socket.set_read_timeout(Some(POLL))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (tcp_stop, udp_stop) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            std::thread::spawn(move || serve_tcp(&listener, &tcp_stop)),
            std::thread::spawn(move || serve_udp(&socket, &udp_stop)),
        ];
        Ok(EchoServer { stop, threads })
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve_tcp(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, peer)) => {
                // Ends with the client, or by the read limit.
                std::thread::spawn(move || converse(stream, peer));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

fn converse(stream: TcpStream, peer: SocketAddr) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        writer.write_all(format!("{}|{}\n", plain(peer), line?).as_bytes())?;
    }
    Ok(())
}

/// Answers from the address that was asked, as a careful server does: a host has several, and the
/// one that its routes would choose may be another.
fn serve_udp(socket: &UdpSocket, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // Fails when the read limit has passed, and when a client is gone: no matter either way.
        let _ = answer_one(socket);
    }
}

fn answer_one(socket: &UdpSocket) -> Result<()> {
    let mut datagram = vec![0; 65_535];
    let mut control = nix::cmsg_space!(libc::in6_pktinfo);
    let (length, peer, asked) = {
        let mut parts = [IoSliceMut::new(&mut datagram)];
        let fd = socket.as_raw_fd();
        let message =
            recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
        let asked = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(info),
            _ => None,
        });
        (message.bytes, message.address.context("no sender")?, asked)
    };
    let client = SocketAddr::new(IpAddr::V6(peer.ip()), peer.port());
    let mut answer = format!("{}|", plain(client)).into_bytes();
    answer.extend_from_slice(&datagram[..length]);
    let source = asked.map(|mut info| {
        // The address alone: the way back is the routes' business.
        info.ipi6_ifindex = 0;
        info
    });
    let control: Vec<ControlMessage<'_>> =
        source.iter().map(ControlMessage::Ipv6PacketInfo).collect();
    let parts = [IoSlice::new(&answer)];
    sendmsg(
        socket.as_raw_fd(),
        &parts,
        &control,
        MsgFlags::empty(),
        Some(&peer),
    )?;
    Ok(())
}

/// IPv4 as IPv4 also from a socket of both families.
fn plain(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Sends a line over TCP; the address and port that the server saw.
pub fn tcp_exchange(from: &Namespace, to: SocketAddr, limit: Duration) -> Result<SocketAddr> {
    let mut stream = from
        .tcp_connect(to, limit)
        .with_context(|| format!("TCP from {} to {to}", from.name()))?;
    stream.write_all(b"hello over tcp\n")?;
    let mut answer = String::new();
    BufReader::new(Read::by_ref(&mut stream))
        .read_line(&mut answer)
        .with_context(|| format!("TCP answer to {} from {to}", from.name()))?;
    seen(answer.trim_end(), "hello over tcp")
}

/// Sends a datagram; the address and port that the server saw. The answer has to come from the
/// address that was asked.
pub fn udp_exchange(from: &Namespace, to: SocketAddr, limit: Duration) -> Result<SocketAddr> {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::from([0u8; 4]),
        SocketAddr::V6(_) => IpAddr::from([0u16; 8]),
    };
    let socket = from.udp_bind(SocketAddr::new(any, 0))?;
    socket.set_read_timeout(Some(limit))?;
    // On its thread: the address is chosen by the namespace's routes in any case.
    socket
        .send_to(b"hello over udp", to)
        .with_context(|| format!("UDP from {} to {to}", from.name()))?;
    let mut answer = [0; 2048];
    let (length, by) = socket
        .recv_from(&mut answer)
        .with_context(|| format!("UDP answer to {} from {to}", from.name()))?;
    if by != to {
        bail!("asked {to}, but {by} answered");
    }
    seen(
        &String::from_utf8_lossy(&answer[..length]),
        "hello over udp",
    )
}

fn seen(answer: &str, sent: &str) -> Result<SocketAddr> {
    let (peer, text) = answer
        .split_once('|')
        .with_context(|| format!("strange answer: {answer}"))?;
    if text != sent {
        bail!("sent `{sent}`, but `{text}` came back");
    }
    peer.parse().context("the server's view of the client")
}
