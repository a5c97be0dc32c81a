//! The server's life: opened in the resolver's namespace, served until dropped. Holds no names
//! itself.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use netd_common::limits::RESOLVER_PORT;
use tokio::task::JoinSet;

use super::{
    counters::Counts,
    service::Service,
    sockets::{Bound, Sockets},
    tcp, udp,
};
use crate::{
    kernel::netns::{self, NamespaceError},
    model::Id,
};

/// A running server. Dropping it ends what is under way and closes the sockets soon after.
#[derive(Debug)]
pub struct Server {
    service: Arc<Service>,
    tasks: JoinSet<()>,
    namespace: PathBuf,
    device: String,
    bound: Bound,
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
    pub fn start(
        namespace: &Path,
        device: &str,
        service: &Arc<Service>,
    ) -> Result<Server, StartError> {
        let failed = |source: io::Error| StartError::Socket {
            device: device.to_owned(),
            namespace: namespace.to_owned(),
            source,
        };
        let file = netns::open(namespace)?;
        let inside = || -> io::Result<(Bound, Sockets)> {
            Ok((Bound::find(device)?, Sockets::open(device)?))
        };
        let (bound, sockets) = netns::in_namespace(&file, inside)?.map_err(failed)?;
        Ok(Server {
            service: service.clone(),
            tasks: serve(sockets, service, None).map_err(failed)?,
            namespace: namespace.to_owned(),
            device: device.to_owned(),
            bound,
        })
    }

    /// Whether the namespace and the device are still those that the sockets are bound to. If not
    /// (somebody deleted them, and they were made again), questions do not arrive: start another.
    pub fn is_current(&self) -> bool {
        let found = netns::open(&self.namespace)
            .and_then(|file| netns::in_namespace(&file, || Bound::find(&self.device)));
        matches!(found, Ok(Ok(bound)) if bound == self.bound)
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

/// Serves these sockets until the tasks are dropped; all who ask are `sandbox`, if that is given.
pub(super) fn serve(
    sockets: Sockets,
    service: &Arc<Service>,
    sandbox: Option<Id>,
) -> io::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    for datagrams in sockets.udp {
        let socket = tokio::net::UdpSocket::from_std(datagrams)?;
        tasks.spawn(udp::serve(socket, service.clone(), sandbox));
    }
    for listener in sockets.tcp {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tasks.spawn(tcp::serve(listener, service.clone(), sandbox));
    }
    Ok(tasks)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
