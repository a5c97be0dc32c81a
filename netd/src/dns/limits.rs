//! Every bound of the DNS server: its unit, why that number, and what happens when it is reached.

use std::time::Duration;

/// Questions that wait for an upstream at a time. One more: SERVFAIL at once, so that the client
/// does not wait for what will not come.
pub const MAX_FORWARDED: usize = 2_000;
/// The same from one address, so that one sandbox cannot take the others' share.
pub const MAX_FORWARDED_PER_CLIENT: usize = 500;
/// TCP connections of clients. One more is closed.
pub const MAX_CONNECTIONS: usize = 512;
/// The same from one address.
pub const MAX_CONNECTIONS_PER_CLIENT: usize = 64;
/// Questions of one TCP connection that wait for an upstream. One more: nothing is read until one
/// of them has its answer (RFC 7766 section 6.2.1.1 asks for pipelining, not for endless).
pub const MAX_PIPELINED: usize = 32;

/// Octets of buffer of a UDP socket: some 4,000 questions, each of which the kernel counts as 768. More
/// are lost, and asked again.
pub const DATAGRAMS: usize = 3 << 20;
/// Octets of a question: far more than any has. Longer: cut off (UDP), connection closed (TCP).
pub const MAX_QUESTION: usize = 4_096;
/// Octets of an answer: what TCP's length field can say.
pub const MAX_ANSWER: usize = 65_535;

/// How long a TCP connection may be idle, or stuck within a message.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(10);
/// How long a client waits for an upstream. glibc and musl give up on a server after 5 s: the
/// SERVFAIL should come before.
pub const FORWARD_DEADLINE: Duration = Duration::from_millis(4_800);
/// An upstream that has not answered for so long is not waited for alone: the next is asked too.
pub const FORWARD_HEDGE: Duration = Duration::from_millis(500);
/// After that, one more is asked each so long, or the same again: datagrams get lost.
pub const FORWARD_AGAIN: Duration = Duration::from_secs(1);
/// How long a TCP connection to an upstream may take to be made; then UDP is tried.
pub const FORWARD_CONNECT: Duration = Duration::from_millis(1_500);
/// An upstream that was silent or unreachable is asked after the others until it answers; as often
/// as this it is asked besides them, to find out.
pub const UPSTREAM_PENALTY: Duration = Duration::from_secs(30);
/// Upstreams that are remembered as silent. One more: none of them is any longer.
pub const MAX_SILENT: usize = 1_000;
/// Upstreams that are asked, the first of the list. A resolv.conf has at most three.
pub const MAX_UPSTREAMS: usize = 8;
/// Times that upstreams are asked one question: five in time, plus one each.
pub const MAX_ATTEMPTS: usize = MAX_UPSTREAMS + 5;

/// Answers that are kept. One more drives out one that is seldom asked for.
pub const MAX_CACHED: usize = 10_000;
/// Octets of an answer that is kept: few are longer, and all together stay below 40 MiB.
pub const MAX_CACHED_ANSWER: usize = 4_096;
/// How long an answer is kept at most, whatever its records say (a day).
pub const MAX_KEPT: Duration = Duration::from_secs(86_400);
/// The same for what does not exist (RFC 2308 section 5 asks for a bound of this kind).
pub const MAX_KEPT_NEGATIVE: Duration = Duration::from_secs(300);
/// A listening socket that failed (no memory, no descriptors) is tried again after so long.
pub const SOCKET_PAUSE: Duration = Duration::from_millis(100);

const _: () = assert!(MAX_FORWARDED_PER_CLIENT < MAX_FORWARDED);
const _: () = assert!(MAX_CONNECTIONS_PER_CLIENT < MAX_CONNECTIONS);
