//! The agent's DNS server as part of the agent: started in the resolver's namespace, started again
//! when somebody deleted that. Answers nothing itself.

use std::path::PathBuf;

use crate::{
    dns::{Server, Table},
    plan::resolver,
};

/// The server and where it belongs.
pub struct Resolver {
    namespace: PathBuf,
    table: Table,
    server: Option<Server>,
    /// A failure was told; the same is not told every second.
    told: bool,
}

impl Resolver {
    /// A server that is not started yet, for the namespace at this path.
    pub fn new(namespace: PathBuf, table: Table) -> Resolver {
        Resolver {
            namespace,
            table,
            server: None,
            told: false,
        }
    }

    /// Starts the server where it does not run or its namespace was made anew. A failure is told and
    /// tried again with the next call: the programs answer netd's own names meanwhile.
    pub fn keep(&mut self) {
        if self.server.as_ref().is_some_and(Server::is_current) {
            return;
        }
        let restarted = self.server.take().is_some();
        let device = resolver::inside();
        match Server::start(&self.namespace, device.as_str(), self.table.clone()) {
            Ok(server) => {
                self.server = Some(server);
                if restarted || self.told {
                    tracing::warn!("the DNS server was started again");
                }
                self.told = false;
            }
            Err(error) if !self.told => {
                tracing::error!(%error, "the DNS server does not run; trying again");
                self.told = true;
            }
            Err(_) => {}
        }
    }

    /// Stops the server and waits until its sockets are closed.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }
}
