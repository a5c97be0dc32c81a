//! The agent's DNS server as part of the agent: started in the resolver's namespace, started again
//! when somebody deleted that, and in the namespaces of sandboxes that cannot reach it. Answers
//! nothing itself.

use std::{path::PathBuf, sync::Arc};

use crate::{
    dns::{Insiders, Server, Service, Table},
    plan::resolver,
};

/// The server and where it belongs.
pub struct Resolver {
    namespace: PathBuf,
    service: Arc<Service>,
    server: Option<Server>,
    insiders: Insiders,
    /// A failure was told; the same is not told every second.
    told: bool,
}

impl Resolver {
    /// A server that is not started yet, for the namespace at this path.
    pub fn new(namespace: PathBuf, table: Table) -> Resolver {
        let service = Arc::new(Service::new(table));
        Resolver {
            namespace,
            server: None,
            insiders: Insiders::new(service.clone()),
            service,
            told: false,
        }
    }

    /// Starts the server where it does not run or its namespace was made anew. A failure is told and
    /// tried again with the next call: the programs answer netd's own names meanwhile.
    pub fn keep(&mut self) {
        self.follow();
        if self.server.as_ref().is_some_and(Server::is_current) {
            return;
        }
        let restarted = self.server.take().is_some();
        let device = resolver::inside();
        match Server::start(&self.namespace, device.as_str(), &self.service) {
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

    /// Follows a change: a sandbox that needs a socket in its own namespace has it when this returns.
    pub fn follow(&mut self) {
        self.insiders.keep();
    }

    /// Stops the server and waits until its sockets are closed.
    pub async fn stop(&mut self) {
        self.insiders.stop().await;
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }
}
