//! The server's role: one thread for UDP and one for TCP per address; connections that stay get a
//! thread each.

mod count;
mod tcp;
mod udp;

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sys::{
    socket::{setsockopt, sockopt},
    time::{TimeVal, TimeValLike},
};

/// How long a thread waits before it looks whether it is to end. Long, since idle servers of other
/// modes stand beside the one that is measured.
const IDLE: Duration = Duration::from_millis(500);
/// Octets of receive buffer for UDP: more than any client has on its way.
const BUFFER: usize = 2 << 20;

/// A running server; ends when dropped.
pub struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Server {
    /// Opens the sockets on the calling thread, so in its network namespace, and serves.
    pub fn start(listen: &[SocketAddr]) -> Result<Server> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for at in listen {
            let listener = TcpListener::bind(at).with_context(|| format!("TCP {at}"))?;
            // Accepted sockets inherit it: a client that says nothing does not hold the thread.
            setsockopt(&listener, sockopt::ReceiveTimeout, &idle())?;
            let socket = UdpSocket::bind(at).with_context(|| format!("UDP {at}"))?;
            setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &idle())?;
            let (tcp, udp) = (Arc::clone(&stop), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || tcp::serve(&listener, &tcp)));
            threads.push(std::thread::spawn(move || udp::serve(&socket, &udp)));
        }
        Ok(Server { stop, threads })
    }

    /// Serves until a thread fails.
    pub fn wait(mut self) -> Result<()> {
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread of the server panicked"),
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // What failed showed at the client.
            let _ = thread.join();
        }
    }
}

fn idle() -> TimeVal {
    TimeVal::milliseconds(IDLE.as_millis() as i64)
}
