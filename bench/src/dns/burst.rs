//! Many datagrams by one call, so that a client costs little beside the resolver that it shares its
//! core with. Knows nothing of what is in them.

use std::{
    io::{IoSlice, IoSliceMut},
    net::UdpSocket,
    os::fd::AsRawFd,
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg},
};

/// Most datagrams of one call.
pub const MOST: usize = 32;
/// The largest datagram that a question without EDNS is answered with (RFC 1035, 4.2.1), and room
/// to see that one is larger.
const BUFFER: usize = 1024;

/// Room for datagrams.
pub struct Burst {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<[u8; BUFFER]>,
    lengths: Vec<usize>,
}

impl Burst {
    /// Empty.
    pub fn new() -> Burst {
        Burst {
            headers: MultiHeaders::preallocate(MOST, None),
            buffers: vec![[0; BUFFER]; MOST],
            lengths: Vec::with_capacity(MOST),
        }
    }

    /// Sends all of them on a connected socket. A port that was closed a moment ago is told by the
    /// next call and means nothing here: what was not sent will not be answered.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl Iterator<Item = &'a [u8]>,
    ) -> Result<()> {
        let slices: Vec<[IoSlice<'_>; 1]> = datagrams.map(|bytes| [IoSlice::new(bytes)]).collect();
        let mut from = 0;
        while from < slices.len() {
            let to = [None::<SockaddrStorage>; MOST];
            let control: [ControlMessage<'_>; 0] = [];
            let sent = sendmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                &slices[from..],
                to,
                control,
                MsgFlags::empty(),
            );
            from += match sent {
                Ok(sent) => sent.count(),
                Err(Errno::ECONNREFUSED) => 1,
                Err(error) => return Err(error).context("sending questions"),
            };
        }
        Ok(())
    }

    /// Takes up to `most` datagrams: waits for the first as long as the socket waits, and for no
    /// further one. How many came; none if it was in vain.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize) -> Result<usize> {
        self.lengths.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self.buffers[..most]
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        );
        match received {
            Ok(messages) => self.lengths.extend(messages.map(|message| message.bytes)),
            Err(Errno::EAGAIN | Errno::ECONNREFUSED) => {}
            Err(error) => return Err(error).context("receiving answers"),
        }
        Ok(self.lengths.len())
    }

    /// What came last, by its place.
    pub fn datagram(&self, place: usize) -> &[u8] {
        &self.buffers[place][..self.lengths[place]]
    }
}
