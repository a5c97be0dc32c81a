//! From a [`Place`] to its namespace and a netlink socket inside. Namespaces that netd made are
//! bind mounts RUN_DIR/netns/ID; of those that it joined there is a note RUN_DIR/netns/ID.joined.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::runtime::Handle;

use super::{
    netlink::{Socket, link},
    netns::{self, Identity, NamespaceError},
};
use crate::{
    model::{Id, sandbox::Joined},
    plan::Place,
};

/// Sockets that are kept open in namespaces which netd made: a change seldom touches more than a few.
/// Each has a buffer of 64 KiB. One more: the longest unused is closed.
const MAX_SOCKETS: usize = 8;
const RESOLVER: &str = "resolver";
const NOTE: &str = ".joined";

/// See the module.
pub struct Places {
    directory: PathBuf,
    host: Option<Socket>,
    kept: BTreeMap<Place, Kept>,
    clock: u64,
    received: Arc<AtomicU64>,
}

struct Kept {
    socket: Socket,
    identity: Identity,
    used: u64,
}

impl Places {
    /// Nothing is opened yet.
    pub fn new(run_dir: &Path) -> Places {
        Places {
            directory: directory(run_dir),
            host: None,
            kept: BTreeMap::new(),
            clock: 0,
            received: Arc::default(),
        }
    }

    /// The host's socket: in the namespace of the thread that first calls this, or calls it after
    /// the former socket failed.
    pub fn host(&mut self) -> io::Result<Socket> {
        match &self.host {
            Some(socket) if !socket.is_closed() => Ok(socket.clone()),
            _ => {
                let socket = Socket::open(self.received.clone())?;
                self.host = Some(socket.clone());
                Ok(socket)
            }
        }
    }

    /// Netlink messages received so far, from all places.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Where the namespace of a place is, or should be, mounted.
    pub fn path(&self, place: Place) -> Option<PathBuf> {
        match place {
            Place::Host => None,
            Place::Sandbox(id) => Some(self.directory.join(id.to_string())),
            Place::Resolver => Some(self.directory.join(RESOLVER)),
        }
    }

    /// Makes the namespace of a place, with `lo` up.
    pub async fn make(&mut self, place: Place) -> Result<(), anyhow::Error> {
        let Some(path) = self.path(place) else {
            anyhow::bail!("the host's namespace is not made");
        };
        netns::prepare_directory(&self.directory)?;
        netns::make(&path)?;
        let lo = "lo".parse()?;
        link::set_up(&self.socket(place)?, &lo, true).await?;
        Ok(())
    }

    /// Notes where a namespace that somebody else made is.
    pub fn join(&mut self, place: Place, joined: &Joined) -> Result<(), anyhow::Error> {
        let Some(path) = self.path(place) else {
            anyhow::bail!("the host's namespace is not joined");
        };
        drop(netns::open_joined(joined)?);
        netns::prepare_directory(&self.directory)?;
        super::files::replace(&note(&path), &serde_json::to_vec(joined)?)?;
        Ok(())
    }

    /// Removes or forgets the namespace of a place.
    pub fn remove(&mut self, place: Place) -> Result<(), anyhow::Error> {
        let Some(path) = self.path(place) else {
            anyhow::bail!("the host's namespace is not removed");
        };
        self.kept.remove(&place);
        netns::remove(&path)?;
        super::files::remove(&note(&path))?;
        Ok(())
    }

    /// Opens the namespace of a place; `None` where there is none (any more).
    pub fn namespace(&self, place: Place) -> Result<Option<File>, anyhow::Error> {
        let Some(path) = self.path(place) else {
            return Ok(Some(netns::open(Path::new("/proc/thread-self/ns/net"))?));
        };
        let opened = match self.joined(place)? {
            Some(joined) => netns::open_joined(&joined),
            None => netns::open(&path),
        };
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(
                NamespaceError::Missing(_) | NamespaceError::Other(_) | NamespaceError::Replaced(_),
            ) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the namespace of a place, which must exist.
    pub fn require(&self, place: Place) -> Result<File, anyhow::Error> {
        match self.namespace(place)? {
            Some(file) => Ok(file),
            None => Err(self.missing(place)?),
        }
    }

    /// A socket in a place; `None` where there is no such namespace. It is kept for the next time,
    /// unless its namespace was joined: a socket keeps its namespace alive, and that one is not
    /// netd's to keep, nor the caller's for longer than a few requests.
    pub fn find(&mut self, place: Place) -> Result<Option<Socket>, anyhow::Error> {
        if place == Place::Host {
            return Ok(Some(self.host()?));
        }
        let kept = self.kept.remove(&place);
        let Some(file) = self.namespace(place)? else {
            return Ok(None);
        };
        let identity = netns::identity(&file)?;
        let socket = match kept {
            Some(kept) if kept.identity == identity && !kept.socket.is_closed() => kept.socket,
            _ => self.open(&file)?,
        };
        if self.joined(place)?.is_none() {
            self.keep(place, socket.clone(), identity);
        }
        Ok(Some(socket))
    }

    /// A socket in a place, which must exist.
    pub fn socket(&mut self, place: Place) -> Result<Socket, anyhow::Error> {
        match self.find(place)? {
            Some(socket) => Ok(socket),
            None => Err(self.missing(place)?),
        }
    }

    /// All places with a namespace file or a note.
    pub fn list(&self) -> Result<Vec<Place>, anyhow::Error> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_str().unwrap_or_default();
            if name == RESOLVER {
                found.push(Place::Resolver);
            } else if let Ok(id) = name.strip_suffix(NOTE).unwrap_or(name).parse::<Id>() {
                found.push(Place::Sandbox(id));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The note of a joined namespace.
    pub fn joined(&self, place: Place) -> Result<Option<Joined>, anyhow::Error> {
        let Some(path) = self.path(place) else {
            return Ok(None);
        };
        match fs::read(note(&path)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The connection's task is on the caller's runtime, whichever thread opens it.
    fn open(&self, namespace: &File) -> Result<Socket, anyhow::Error> {
        let runtime = Handle::try_current()?;
        let opened = netns::in_namespace(namespace, || {
            let _entered = runtime.enter();
            Socket::open(self.received.clone())
        });
        Ok(opened??)
    }

    fn keep(&mut self, place: Place, socket: Socket, identity: Identity) {
        if self.kept.len() >= MAX_SOCKETS {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(oldest) = oldest.map(|(place, _)| *place) {
                self.kept.remove(&oldest);
            }
        }
        self.clock += 1;
        let kept = Kept {
            socket,
            identity,
            used: self.clock,
        };
        self.kept.insert(place, kept);
    }

    fn missing(&self, place: Place) -> Result<anyhow::Error, anyhow::Error> {
        let path = match self.joined(place)? {
            Some(joined) => joined.path,
            None => self.path(place).unwrap_or_default(),
        };
        Ok(NamespaceError::Missing(path).into())
    }
}

/// The directory of namespace files.
pub fn directory(run_dir: &Path) -> PathBuf {
    run_dir.join("netns")
}

fn note(path: &Path) -> PathBuf {
    let mut note = path.as_os_str().to_owned();
    note.push(NOTE);
    PathBuf::from(note)
}
