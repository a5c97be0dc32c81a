//! The host's network stack without BPF: links, namespaces, sysctls, files. What [`super::Kernel`]
//! asks of it is in `execute` and `observe`; it never decides what should be.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{KernelError, announce, events::Numbers, facts, places::Places};
use crate::{
    model::IfName,
    plan::{Announcement, HostFacts},
};

/// See the module.
pub struct Stack {
    pub(super) run_dir: PathBuf,
    pub(super) uplinks: Vec<IfName>,
    pub(super) places: Places,
    pub(super) numbers: Numbers,
}

impl Stack {
    /// The calling thread's network namespace is the host's: all use must be from threads in it, and
    /// within one tokio runtime with I/O and timers.
    pub fn open(run_dir: &Path, uplinks: Vec<IfName>) -> io::Result<Stack> {
        let mut places = Places::new(run_dir);
        places.host()?;
        Ok(Stack {
            run_dir: run_dir.to_owned(),
            uplinks,
            places,
            numbers: Numbers::default(),
        })
    }

    /// What events are told apart by.
    pub fn numbers(&self) -> Numbers {
        self.numbers.clone()
    }

    /// Netlink messages received so far: what the work cost.
    pub fn received(&self) -> u64 {
        self.places.received()
    }

    /// Tells a sandbox's neighbours of its addresses; false where there is nothing to tell any more.
    pub fn announce(&mut self, announcement: &Announcement) -> Result<bool, anyhow::Error> {
        match self.places.namespace(announcement.place)? {
            Some(namespace) => announce::send(&namespace, announcement),
            None => Ok(false),
        }
    }

    /// The host's own links, addresses and routes.
    pub async fn facts(&mut self) -> Result<HostFacts, KernelError> {
        let read = async {
            let socket = self.places.host()?;
            facts::read(&socket, &self.run_dir, &self.uplinks).await
        };
        read.await.map_err(|source| KernelError {
            doing: "read the host's interfaces, addresses and routes".to_owned(),
            source,
        })
    }
}
