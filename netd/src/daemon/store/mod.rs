//! The state on disk: one redb file below the state directory, one durable transaction per change.
//! A store that is corrupt or newer than this netd is refused, never overwritten.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError, WriteTransaction,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::failure;
use crate::{
    model::{Endpoint, Id, Network, Sandbox},
    state::{Change, Edit, Meta},
};

/// Octets of the file that redb may keep in memory (its default is a gigabyte, which fills with
/// every page that was ever written). The state itself is in memory; the file is read at start.
const CACHE: usize = 1 << 20;
/// Grows when an older netd could not read what this one writes.
const SCHEMA: u32 = 1;
const FILE: &str = "netd.redb";

type Table = TableDefinition<'static, &'static str, &'static [u8]>;
/// Id → the object, as JSON.
const NETWORKS: Table = TableDefinition::new("networks");
const SANDBOXES: Table = TableDefinition::new("sandboxes");
const ENDPOINTS: Table = TableDefinition::new("endpoints");
/// Id given by a caller → what it was created with, as JSON.
const CREATIONS: Table = TableDefinition::new("creations");
/// `schema`, `state` (revision, counters, cursors), `boot`.
const META: Table = TableDefinition::new("meta");

/// Where the store of a state directory is.
pub fn file(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// The open store. Held by one agent at a time (the file is locked).
pub struct Store {
    database: Database,
    path: PathBuf,
    pending: Option<(Id, Creation)>,
    spent: Duration,
}

/// Everything in the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// All networks.
    pub networks: Vec<Network>,
    /// All sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// All endpoints.
    pub endpoints: Vec<Endpoint>,
    /// What objects with given ids were created with.
    pub creations: BTreeMap<Id, Creation>,
    /// Counters and cursors.
    pub meta: Meta,
    /// /proc/sys/kernel/random/boot_id of the last start; empty in a new store.
    pub boot: String,
}

/// A create that carried an id: the same again gets the same reply, another body is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creation {
    /// The body, as JSON.
    pub body: String,
    /// The warnings of the reply.
    pub warnings: Vec<String>,
}

/// Why there is no store, or why a change was not saved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or file cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent holds it.
    #[error("{} is in use by another agent", .0.display())]
    InUse(PathBuf),
    /// Written by a newer netd.
    #[error(
        "{} was written by a newer netd (schema {found}, this one knows up to {SCHEMA}): run that netd, or move the file away to start afresh", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// Not a store, or a damaged one.
    #[error(
        "{} is corrupt ({what}): restore it from a backup, or move it away to start afresh (netd leaves it as it is)", path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A change could not be saved.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
}

impl failure::Store for Store {
    fn save(&mut self, change: &Change) -> Result<(), anyhow::Error> {
        let began = Instant::now();
        let saved = self.save_change(change);
        self.spent += began.elapsed();
        Ok(saved?)
    }
}

impl Store {
    /// Opens the store below `directory`, making both where they are missing, and reads it whole.
    pub fn open(directory: &Path) -> Result<(Store, Stored), StoreError> {
        let path = file(directory);
        let io = |source| StoreError::Io {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(io)?;
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create(&path)
            .map_err(|error| unusable(&path, error))?;
        // What is in it is the administrator's business alone.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        let store = Store {
            database,
            path,
            pending: None,
            spent: Duration::ZERO,
        };
        if store.is_empty()? {
            store.format()?;
        }
        let stored = store.load()?;
        Ok((store, stored))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long saving changes took so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Keeps what an object is created with, in the transaction that saves the object.
    pub fn note_creation(&mut self, id: Id, creation: Creation) {
        self.pending = Some((id, creation));
    }

    /// Adds the warnings to a creation that is saved, so that a repetition gets them too.
    pub fn set_creation(&self, id: Id, creation: &Creation) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut creations = transaction.open_table(CREATIONS)?;
            creations.insert(id.to_string().as_str(), json(creation)?.as_slice())?;
            Ok(())
        })
    }

    /// Forgets a noted creation that was not saved, because its create failed.
    pub fn forget_creation(&mut self) {
        self.pending = None;
    }

    /// Notes under which boot the agent runs.
    pub fn set_boot(&self, boot: &str) -> Result<(), StoreError> {
        self.write(|transaction| put_meta(transaction, "boot", &boot))
    }

    fn save_change(&mut self, change: &Change) -> Result<(), StoreError> {
        let Change {
            networks,
            sandboxes,
            endpoints,
            meta_before: _,
            meta_after,
        } = change;
        let exists = |id: &Id| {
            let network = networks.get(id).is_some_and(|edit| edit.after.is_some());
            network || sandboxes.get(id).is_some_and(|edit| edit.after.is_some())
        };
        let creation = self.pending.take().filter(|(id, _)| exists(id));
        self.write(|transaction| {
            put(transaction, NETWORKS, networks)?;
            put(transaction, SANDBOXES, sandboxes)?;
            put(transaction, ENDPOINTS, endpoints)?;
            let mut creations = transaction.open_table(CREATIONS)?;
            for id in networks
                .keys()
                .chain(sandboxes.keys())
                .filter(|id| !exists(id))
            {
                creations.remove(id.to_string().as_str())?;
            }
            if let Some((id, creation)) = &creation {
                creations.insert(id.to_string().as_str(), json(creation)?.as_slice())?;
            }
            put_meta(transaction, "state", meta_after)
        })
    }

    /// A file without any table: new, or its maker was killed before the first transaction.
    fn is_empty(&self) -> Result<bool, StoreError> {
        let read = self.database.begin_read().map_err(|e| e.to_string());
        read.and_then(|read| Ok(read.list_tables().map_err(|e| e.to_string())?.count() == 0))
            .map_err(|what| StoreError::Corrupt {
                path: self.path.clone(),
                what,
            })
    }

    fn format(&self) -> Result<(), StoreError> {
        self.write(|transaction| {
            for table in [NETWORKS, SANDBOXES, ENDPOINTS, CREATIONS] {
                transaction.open_table(table)?;
            }
            put_meta(transaction, "schema", &SCHEMA)?;
            put_meta(transaction, "state", &Meta::default())?;
            put_meta(transaction, "boot", &"")
        })
    }

    fn write(
        &self,
        fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        // Without commit a transaction is rolled back when it is dropped.
        let save = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            fill(&transaction)?;
            Ok(transaction.commit()?)
        };
        save().map_err(|source| StoreError::Write {
            path: self.path.clone(),
            source: Box::new(source),
        })
    }

    fn load(&self) -> Result<Stored, StoreError> {
        let corrupt = |what: String| StoreError::Corrupt {
            path: self.path.clone(),
            what,
        };
        let read = self
            .database
            .begin_read()
            .map_err(|error| corrupt(error.to_string()))?;
        // The schema first: what a newer netd wrote is not to be understood otherwise.
        let schema: u32 = meta_value(&read, "schema").map_err(corrupt)?;
        if schema != SCHEMA {
            return Err(match schema {
                0 => corrupt("schema 0".to_owned()),
                found => StoreError::Newer {
                    path: self.path.clone(),
                    found,
                },
            });
        }
        Ok(Stored {
            networks: values(&read, NETWORKS).map_err(corrupt)?,
            sandboxes: values(&read, SANDBOXES).map_err(corrupt)?,
            endpoints: values(&read, ENDPOINTS).map_err(corrupt)?,
            creations: rows(&read, CREATIONS)
                .and_then(|rows| rows.into_iter().map(creation).collect())
                .map_err(corrupt)?,
            meta: meta_value(&read, "state").map_err(corrupt)?,
            boot: meta_value(&read, "boot").map_err(corrupt)?,
        })
    }
}

fn unusable(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path),
        // redb tells a foreign file by this kind; others are the file system's.
        DatabaseError::Storage(StorageError::Io(source))
            if source.kind() != io::ErrorKind::InvalidData
                && source.kind() != io::ErrorKind::UnexpectedEof =>
        {
            StoreError::Io { path, source }
        }
        other => StoreError::Corrupt {
            path,
            what: other.to_string(),
        },
    }
}

fn put<T: Serialize>(
    transaction: &WriteTransaction,
    table: Table,
    edits: &BTreeMap<Id, Edit<T>>,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(table)?;
    for (id, edit) in edits {
        let key = id.to_string();
        match &edit.after {
            Some(value) => table.insert(key.as_str(), json(value)?.as_slice())?,
            None => table.remove(key.as_str())?,
        };
    }
    Ok(())
}

fn put_meta<T: Serialize>(
    transaction: &WriteTransaction,
    key: &str,
    value: &T,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(META)?;
    table.insert(key, json(value)?.as_slice())?;
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Io(error.into()))
}

fn meta_value<T: DeserializeOwned>(read: &ReadTransaction, key: &str) -> Result<T, String> {
    let table = read
        .open_table(META)
        .map_err(|error| missing("meta", error))?;
    let value = table
        .get(key)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("no {key} in table meta"))?;
    serde_json::from_slice(value.value()).map_err(|error| format!("{key} in table meta: {error}"))
}

fn values<T: DeserializeOwned>(read: &ReadTransaction, table: Table) -> Result<Vec<T>, String> {
    let rows = rows(read, table)?;
    Ok(rows.into_iter().map(|(_, value)| value).collect())
}

fn rows<T: DeserializeOwned>(
    read: &ReadTransaction,
    table: Table,
) -> Result<Vec<(String, T)>, String> {
    let name = redb::TableHandle::name(&table).to_owned();
    let open = read
        .open_table(table)
        .map_err(|error| missing(&name, error))?;
    let mut found = Vec::new();
    for row in open.iter().map_err(|error| error.to_string())? {
        let (key, value) = row.map_err(|error| error.to_string())?;
        let key = key.value().to_owned();
        let value = serde_json::from_slice(value.value())
            .map_err(|error| format!("{key} in table {name}: {error}"))?;
        found.push((key, value));
    }
    Ok(found)
}

fn creation((key, value): (String, Creation)) -> Result<(Id, Creation), String> {
    let id = key
        .parse()
        .map_err(|error| format!("table creations: {error}"))?;
    Ok((id, value))
}

fn missing(table: &str, error: TableError) -> String {
    format!("table {table}: {error}")
}

#[cfg(test)]
mod tests;
