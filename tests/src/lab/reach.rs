//! Whether one place reaches another: ping, TCP and UDP, all of them or none of them.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{Namespace, patience::patient, tcp_exchange, udp_exchange};

/// For what has to work; a busy machine may be slow.
const PATIENCE: Duration = Duration::from_secs(5);
/// For what must not work.
const IMPATIENCE: Duration = Duration::from_millis(700);

/// Pings, asks the [`super::EchoServer`] at `port` over TCP and UDP, and gives the address that it
/// saw.
///
/// # Panics
/// If one of them fails, or the server saw two addresses.
#[track_caller]
pub fn reaches(from: &Namespace, to: IpAddr, port: u16) -> IpAddr {
    let limit = patient(PATIENCE).as_secs();
    from.ok(&format!("ping -n -c 1 -W {limit} {to}"));
    asks(from, SocketAddr::new(to, port))
}

/// The same without ping, for a published port.
#[track_caller]
pub fn asks(from: &Namespace, to: SocketAddr) -> IpAddr {
    let seen = |answer: anyhow::Result<SocketAddr>| match answer {
        Ok(seen) => seen.ip(),
        Err(error) => panic!("{error:#}"),
    };
    let tcp = seen(tcp_exchange(from, to, patient(PATIENCE)));
    let udp = seen(udp_exchange(from, to, patient(PATIENCE)));
    assert_eq!(tcp, udp, "the server saw two addresses of {}", from.name());
    tcp
}

/// Neither ping nor TCP nor UDP gets an answer.
///
/// # Panics
/// If one does.
#[track_caller]
pub fn is_kept_from(from: &Namespace, to: IpAddr, port: u16) {
    from.fails(&format!("ping -n -c 1 -W 0.7 {to}"));
    gets_no_answer(from, SocketAddr::new(to, port));
}

/// Neither TCP nor UDP gets an answer.
///
/// # Panics
/// If one does.
#[track_caller]
pub fn gets_no_answer(from: &Namespace, to: SocketAddr) {
    for (what, answer) in [
        ("TCP", tcp_exchange(from, to, IMPATIENCE)),
        ("UDP", udp_exchange(from, to, IMPATIENCE)),
    ] {
        if let Ok(seen) = answer {
            panic!("{what} from {} to {to} works, as {seen}", from.name());
        }
    }
}
