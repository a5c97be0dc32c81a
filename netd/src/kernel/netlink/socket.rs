//! A NETLINK_ROUTE socket: requests and their answers, one at a time. It stays bound to the network
//! namespace of the thread that opened it, wherever it is used.
//!
//! rtnetlink requests are carried out by the kernel inside `sendmsg`, so the answer is in the
//! socket's buffer when it returns and reading it does not wait: asynchronous I/O would add a task
//! per namespace and nothing else.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::{TimeVal, TimeValLike},
};

use super::NetlinkError;

/// Octets of one read. The kernel packs a dump into at most 32 KiB per read; one message that is
/// larger (a network card with hundreds of virtual functions) is an error, not cut.
const READ: usize = 256 * 1024;
/// Seconds after which an answer that never came is an error; nothing in rtnetlink takes that long.
const PATIENCE_SECONDS: i64 = 30;
/// Attempts to read a list that changes meanwhile (NLM_F_DUMP_INTR).
const ATTEMPTS: usize = 8;

/// See the module.
pub struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
    received: u64,
    /// Where answers are read into, kept for the next.
    buffer: Vec<u8>,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Socket {
    /// Opens one in the calling thread's network namespace.
    pub fn open() -> io::Result<Socket> {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Filters in dump requests are obeyed, or refused: never silently ignored.
        socket.set_netlink_get_strict_chk(true)?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
        Ok(Socket {
            socket,
            sequence: 0,
            received: 0,
            buffer: Vec::with_capacity(READ),
        })
    }

    /// Messages received so far: the measure of what a request costs.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Asks for a change, with `flags` besides REQUEST and ACK.
    pub fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.answers(|_| Ok(false))
    }

    /// Asks for one object.
    pub fn get(
        &mut self,
        message: RouteNetlinkMessage,
    ) -> Result<RouteNetlinkMessage, NetlinkError> {
        self.send(message, NLM_F_REQUEST)?;
        let mut answer = None;
        self.answers(|message| {
            answer = Some(message.map_err(NetlinkError::Answer)?);
            Ok(true)
        })?;
        answer.ok_or_else(|| NetlinkError::Answer("empty".to_owned()))
    }

    /// Asks for a list; begins anew if it changes meanwhile. Entries that this netd does not
    /// understand are left out, and logged.
    pub fn dump(
        &mut self,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        for _ in 0..ATTEMPTS {
            self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            let mut list = Vec::new();
            let result = self.answers(|message| {
                match message {
                    Ok(message) => list.push(message),
                    Err(reason) => tracing::warn!(reason, "netlink list entry not understood"),
                }
                Ok(false)
            });
            match result {
                Ok(()) => return Ok(list),
                Err(NetlinkError::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Err(NetlinkError::Interrupted)
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(())
    }

    /// Reads the answers to the last request until the acknowledgement, the end of the list, or
    /// `take` says that there will be no more.
    fn answers(
        &mut self,
        mut take: impl FnMut(Result<RouteNetlinkMessage, String>) -> Result<bool, NetlinkError>,
    ) -> Result<(), NetlinkError> {
        let mut interrupted = false;
        loop {
            self.read()?;
            let mut rest = self.buffer.as_slice();
            while !rest.is_empty() {
                let (one, after) = split(rest)?;
                rest = after;
                let frame = NetlinkBuffer::new(one);
                if frame.sequence_number() != self.sequence {
                    continue; // left over from a request that was given up
                }
                self.received += 1;
                interrupted |= frame.flags() & NLM_F_DUMP_INTR != 0;
                match end(one)? {
                    Frame::End if interrupted => return Err(NetlinkError::Interrupted),
                    Frame::End => return Ok(()),
                    Frame::Message(message) => {
                        if take(message)? {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    fn read(&mut self) -> Result<(), NetlinkError> {
        self.buffer.clear();
        let length = self.socket.recv(&mut self.buffer, libc::MSG_TRUNC)?;
        if length > self.buffer.len() || length == 0 {
            return Err(NetlinkError::Answer(format!("{length} octets at once")));
        }
        Ok(())
    }
}

enum Frame {
    Message(Result<RouteNetlinkMessage, String>),
    End,
}

fn end(one: &[u8]) -> Result<Frame, NetlinkError> {
    let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(one) {
        Ok(message) => message,
        Err(error) => return Ok(Frame::Message(Err(error.to_string()))),
    };
    match message.payload {
        NetlinkPayload::InnerMessage(message) => Ok(Frame::Message(Ok(message))),
        NetlinkPayload::Error(error) => match error.code {
            None => Ok(Frame::End),
            Some(code) => Err(NetlinkError::refused(code.get(), &error.header)),
        },
        // A list that failed half way ends with a code.
        NetlinkPayload::Done(done) if done.code < 0 => Err(NetlinkError::refused(done.code, &[])),
        NetlinkPayload::Done(_) => Ok(Frame::End),
        other => Ok(Frame::Message(Err(format!("{other:?}")))),
    }
}

/// The first message of a read, and the rest.
pub(in crate::kernel) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), NetlinkError> {
    let frame = NetlinkBuffer::new_checked(bytes)
        .map_err(|error| NetlinkError::Answer(error.to_string()))?;
    let length = usize::try_from(frame.length()).unwrap_or(usize::MAX);
    let next = length.next_multiple_of(4).min(bytes.len());
    match (bytes.get(..length), bytes.get(next..)) {
        (Some(one), Some(rest)) if length >= 16 => Ok((one, rest)),
        _ => Err(NetlinkError::Answer(format!("message of {length} octets"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_split_at_their_padding() {
        let mut bytes = vec![0; 36];
        bytes[0] = 18;
        bytes[20] = 16;
        let (one, rest) = split(&bytes).unwrap();
        assert_eq!((one.len(), rest.len()), (18, 16));
        let (one, rest) = split(rest).unwrap();
        assert_eq!((one.len(), rest.len()), (16, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_split(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((one, rest)) = split(&bytes) {
                prop_assert!(one.len() >= 16 && one.len() + rest.len() <= bytes.len());
                let _ = end(one);
            }
        }
    }
}
