//! Sandboxes that cannot reach the resolver's namespace (no veth of netd's, or no IPv4): their
//! 127.0.0.11 is a socket of the agent's in their own namespace. Answers nothing itself.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
};

use tokio::task::JoinSet;

use super::{server::serve, service::Service, sockets::Sockets, table::Inside};
use crate::{
    kernel::netns::{self, Identity, NamespaceError},
    model::Id,
};

/// The sockets in sandboxes' namespaces, as many as the table says.
#[derive(Debug)]
pub struct Insiders {
    service: Arc<Service>,
    rooms: HashMap<Id, Room>,
    /// Failures that were told; the same is not told every second.
    told: HashSet<Id>,
}

/// One namespace with sockets. They keep it alive, so that a look whether its path still leads
/// there, each second, is what lets go of one that somebody else's container has left.
#[derive(Debug)]
struct Room {
    identity: Identity,
    /// Dropping it closes the sockets.
    tasks: JoinSet<()>,
}

/// Why a sandbox has no sockets.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("a DNS socket: {0}")]
    Socket(#[from] io::Error),
}

impl Insiders {
    /// None yet.
    pub fn new(service: Arc<Service>) -> Insiders {
        Insiders {
            service,
            rooms: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// Opens what the table wants and closes the rest. A failure is told and tried again with the
    /// next call. Must be called within a tokio runtime.
    pub fn keep(&mut self) {
        let wanted = self.service.table().insiders();
        self.rooms.retain(|sandbox, _| wanted.contains_key(sandbox));
        self.told.retain(|sandbox| wanted.contains_key(sandbox));
        for (sandbox, inside) in &wanted {
            match self.enter(*sandbox, inside) {
                Ok(()) => {
                    self.told.remove(sandbox);
                }
                Err(error) => {
                    self.rooms.remove(sandbox);
                    if self.told.insert(*sandbox) {
                        let sandbox = sandbox.short();
                        tracing::error!(sandbox, %error, "it has no DNS server; trying again");
                    }
                }
            }
        }
    }

    /// Closes all sockets and waits until they are.
    pub async fn stop(&mut self) {
        for (_, mut room) in self.rooms.drain() {
            room.tasks.shutdown().await;
        }
    }

    fn enter(&mut self, sandbox: Id, inside: &Inside) -> Result<(), OpenError> {
        let file = netns::open(&inside.path)?;
        let identity = netns::identity(&file)?;
        if let Some(room) = self.rooms.get(&sandbox)
            && room.identity == identity
        {
            return Ok(());
        }
        let open = || -> Result<Sockets, OpenError> {
            match inside.cookie {
                Some(cookie) if netns::own_cookie()? != cookie => {
                    let path = inside.path.to_path_buf();
                    Err(NamespaceError::Replaced(path).into())
                }
                _ => Ok(Sockets::open_inside()?),
            }
        };
        let sockets = netns::in_namespace(&file, open)??;
        let tasks = serve(sockets, &self.service, Some(sandbox))?;
        let room = Room { identity, tasks };
        self.rooms.insert(sandbox, room);
        Ok(())
    }
}

#[cfg(test)]
#[path = "insiders_tests.rs"]
mod tests;
