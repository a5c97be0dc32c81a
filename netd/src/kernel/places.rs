//! From a [`Place`] to its namespace and a netlink socket inside. Namespaces that netd made are
//! bind mounts RUN_DIR/netns/ID; of those that it joined there is a note RUN_DIR/netns/ID.joined.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    netlink::Socket,
    netns::{self, Identity, NamespaceError},
};
use crate::{
    model::{Id, sandbox::Joined},
    plan::Place,
};

/// Sockets that are kept open in namespaces which netd made. One more: the longest unused is closed.
const MAX_SOCKETS: usize = 64;
const RESOLVER: &str = "resolver";
const NOTE: &str = ".joined";

/// See the module.
pub struct Places {
    directory: PathBuf,
    host: Socket,
    kept: BTreeMap<Place, Kept>,
    clock: u64,
    received: u64,
}

struct Kept {
    socket: Socket,
    identity: Identity,
    used: u64,
}

impl Places {
    /// The calling thread's namespace is the host's.
    pub fn open(run_dir: &Path) -> io::Result<Places> {
        Ok(Places {
            directory: directory(run_dir),
            host: Socket::open()?,
            kept: BTreeMap::new(),
            clock: 0,
            received: 0,
        })
    }

    /// The host's socket.
    pub fn host(&mut self) -> &mut Socket {
        &mut self.host
    }

    /// Netlink messages received so far, from all places.
    pub fn received(&self) -> u64 {
        let kept: u64 = self.kept.values().map(|kept| kept.socket.received()).sum();
        self.received + self.host.received() + kept
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
    pub fn make(&mut self, place: Place) -> Result<(), anyhow::Error> {
        let Some(path) = self.path(place) else {
            anyhow::bail!("the host's namespace is not made");
        };
        netns::prepare_directory(&self.directory)?;
        netns::make(&path)?;
        let lo = "lo".parse()?;
        self.with(place, |socket| {
            super::netlink::link::set_up(socket, &lo, true)
        })??;
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
        self.forget(place);
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

    /// Runs `body` with a socket in a place; `None` where there is no such namespace.
    pub fn try_with<T>(
        &mut self,
        place: Place,
        body: impl FnOnce(&mut Socket) -> T,
    ) -> Result<Option<T>, anyhow::Error> {
        if place == Place::Host {
            return Ok(Some(body(&mut self.host)));
        }
        let Some(mut kept) = self.take(place)? else {
            return Ok(None);
        };
        let result = body(&mut kept.socket);
        self.keep(place, kept)?;
        Ok(Some(result))
    }

    /// Runs `body` with a socket in a place, which must exist.
    pub fn with<T>(
        &mut self,
        place: Place,
        body: impl FnOnce(&mut Socket) -> T,
    ) -> Result<T, anyhow::Error> {
        match self.try_with(place, body)? {
            Some(result) => Ok(result),
            None => Err(self.missing(place)?),
        }
    }

    /// Runs `body` with the host's socket and one in another place, which must exist.
    pub fn with_both<T>(
        &mut self,
        place: Place,
        body: impl FnOnce(&mut Socket, &mut Socket) -> T,
    ) -> Result<T, anyhow::Error> {
        let Some(mut kept) = self.take(place)? else {
            return Err(self.missing(place)?);
        };
        let result = body(&mut self.host, &mut kept.socket);
        self.keep(place, kept)?;
        Ok(result)
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

    /// A socket in a place other than the host, kept or new.
    fn take(&mut self, place: Place) -> Result<Option<Kept>, anyhow::Error> {
        let kept = self.kept.remove(&place);
        let Some(file) = self.namespace(place)? else {
            self.received += kept.map_or(0, |kept| kept.socket.received());
            return Ok(None);
        };
        let identity = netns::identity(&file)?;
        match kept {
            Some(kept) if kept.identity == identity => Ok(Some(kept)),
            other => {
                self.received += other.map_or(0, |kept| kept.socket.received());
                let socket = netns::in_namespace(&file, Socket::open)??;
                let used = 0;
                Ok(Some(Kept {
                    socket,
                    identity,
                    used,
                }))
            }
        }
    }

    /// Keeps a socket for the next time, unless its namespace was joined: a socket keeps its
    /// namespace alive, and that one is not netd's to keep.
    fn keep(&mut self, place: Place, mut kept: Kept) -> Result<(), anyhow::Error> {
        if self.joined(place)?.is_some() {
            self.received += kept.socket.received();
            return Ok(());
        }
        if self.kept.len() >= MAX_SOCKETS {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(oldest) = oldest.map(|(place, _)| *place) {
                self.forget(oldest);
            }
        }
        self.clock += 1;
        kept.used = self.clock;
        self.kept.insert(place, kept);
        Ok(())
    }

    fn forget(&mut self, place: Place) {
        if let Some(kept) = self.kept.remove(&place) {
            self.received += kept.socket.received();
        }
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
