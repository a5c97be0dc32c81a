//! Datagrams: answered one by one, or counted in batches.

use std::{
    io::IoSliceMut,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg},
};

use super::count::Clients;
use crate::load::message::SIZE;

/// Datagrams taken from the socket at once; a single one is not waited with.
const BATCH: usize = 32;

/// Serves until `stop`.
pub fn serve(socket: &UdpSocket, stop: &AtomicBool) -> Result<()> {
    let mut clients = Clients::default();
    // One octet more, so that too long a datagram is not taken for a right one.
    let mut octets = [[0; SIZE + 1]; BATCH];
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    while !stop.load(Ordering::Relaxed) {
        let mut came = [None; BATCH];
        if let Err(error) = receive(socket, &mut headers, &mut octets, &mut came) {
            match error {
                // The time to look at `stop`; or the news that an earlier client is gone.
                Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED => continue,
                error => return Err(error.into()),
            }
        }
        for (octets, (from, length)) in octets.iter().zip(came.iter().flatten()) {
            if let Some(answer) = clients.take(*from, &octets[..*length]) {
                // A client that is gone by now does not miss it; one that is there counts it lost.
                let _ = socket.send_to(&answer.write(), from);
            }
        }
    }
    Ok(())
}

fn receive(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    octets: &mut [[u8; SIZE + 1]; BATCH],
    came: &mut [Option<(SocketAddr, usize)>; BATCH],
) -> nix::Result<()> {
    let mut slices: Vec<[IoSliceMut<'_>; 1]> = octets
        .iter_mut()
        .map(|octets| [IoSliceMut::new(octets)])
        .collect();
    let flags = MsgFlags::MSG_WAITFORONE;
    let messages = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None)?;
    for (slot, message) in came.iter_mut().zip(messages) {
        *slot = message
            .address
            .and_then(|address| socket_address(&address))
            .map(|from| (from, message.bytes));
    }
    Ok(())
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|address| SocketAddr::V6((*address).into()))
    })
}
