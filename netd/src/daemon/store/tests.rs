//! The store against crashes, foreign files and newer versions. Uses a directory of its own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{Creation, FILE, META, NETWORKS, Store, StoreError, put, put_meta};
use crate::{
    model::{
        Id, Network,
        network::{BridgeOptions, Driver, Ipam, Lifetime, Owner, Scope},
    },
    state::{Change, Edit, Meta},
};

/// Removed when it goes out of scope, also when the test panics.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "netd-store-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    /// What a process killed now would leave: the page cache holds every write.
    fn crashed(&self) -> Directory {
        let copy = Directory::new();
        fs::copy(self.0.join(FILE), copy.0.join(FILE)).unwrap();
        copy
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn network(n: u8) -> Network {
    Network {
        id: Id([n; 32]),
        index: u32::from(n),
        name: format!("n{n}").parse().unwrap(),
        owner: Owner::Netd,
        driver: Driver::Bridge(BridgeOptions {
            name: format!("br-{n}").parse().unwrap(),
            icc: true,
            masquerade: true,
            mtu: 1500,
            host_binding: None,
            interface_prefix: None,
            gateway: Default::default(),
        }),
        scope: Scope::Local,
        lifetime: Lifetime::UntilRemoved,
        ipam: Ipam::Default,
        subnets: Vec::new(),
        ipv4: true,
        ipv6: false,
        internal: false,
        attachable: false,
        config_from: None,
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        options: BTreeMap::new(),
        created: 7,
        predefined: false,
        announce: None,
    }
}

fn meta(revision: u64) -> Meta {
    Meta {
        revision,
        attaches: 7,
        ..Meta::default()
    }
}

fn change(before: Option<&Network>, after: Option<&Network>, revision: u64) -> Change {
    let id = before.or(after).unwrap().id;
    let edit = Edit {
        before: before.cloned(),
        after: after.cloned(),
    };
    Change {
        networks: BTreeMap::from([(id, edit)]),
        meta_before: meta(revision - 1),
        meta_after: meta(revision),
        ..Change::default()
    }
}

fn revision(directory: &Path) -> (u64, usize) {
    let (_store, stored) = Store::open(directory).unwrap();
    (stored.meta.revision, stored.networks.len())
}

#[test]
fn what_was_saved_is_read_again() {
    let directory = Directory::new();
    let (one, two) = (network(1), network(2));
    let creation = Creation {
        body: "{}".to_owned(),
        warnings: vec!["w".to_owned()],
    };
    let (mut store, empty) = Store::open(&directory.0).unwrap();
    assert_eq!(empty, super::Stored::default());
    store.note_creation(one.id, creation.clone());
    store.save_change(&change(None, Some(&one), 1)).unwrap();
    store.note_creation(two.id, creation.clone());
    store.save_change(&change(None, Some(&two), 2)).unwrap();
    store.save_change(&change(Some(&one), None, 3)).unwrap();
    store.set_boot("b").unwrap();
    drop(store);

    let (_store, stored) = Store::open(&directory.0).unwrap();
    assert_eq!(stored.networks, std::slice::from_ref(&two));
    // The creation of what is gone is forgotten, so that its id can be used again.
    assert_eq!(stored.creations, BTreeMap::from([(two.id, creation)]));
    assert_eq!((stored.meta, stored.boot.as_str()), (meta(3), "b"));
}

#[test]
fn a_creation_is_kept_only_with_its_object() {
    let directory = Directory::new();
    let (one, two) = (network(1), network(2));
    let creation = Creation {
        body: "{}".to_owned(),
        warnings: Vec::new(),
    };
    let (mut store, _) = Store::open(&directory.0).unwrap();
    store.note_creation(two.id, creation);
    store.save_change(&change(None, Some(&one), 1)).unwrap();
    store.save_change(&change(None, Some(&two), 2)).unwrap();
    drop(store);
    assert!(Store::open(&directory.0).unwrap().1.creations.is_empty());
}

#[test]
fn a_kill_at_any_moment_leaves_the_last_acknowledged_change() {
    let directory = Directory::new();
    let (store, _) = Store::open(&directory.0).unwrap();
    assert_eq!(revision(&directory.crashed().0), (0, 0));
    for n in 1..=5 {
        let edits = change(None, Some(&network(n)), 1).networks;
        let mut halfway = None;
        store
            .write(|transaction| {
                put(transaction, NETWORKS, &edits)?;
                halfway = Some(directory.crashed());
                put_meta(transaction, "state", &meta(u64::from(n)))
            })
            .unwrap();
        let before = (u64::from(n) - 1, usize::from(n) - 1);
        assert_eq!(revision(&halfway.unwrap().0), before);
        let after = (u64::from(n), usize::from(n));
        assert_eq!(revision(&directory.crashed().0), after);
    }
}

#[test]
fn a_failed_transaction_changes_nothing() {
    let directory = Directory::new();
    let (store, _) = Store::open(&directory.0).unwrap();
    let edits = change(None, Some(&network(1)), 1).networks;
    let failed = store.write(|transaction| {
        put(transaction, NETWORKS, &edits)?;
        put_meta(transaction, "state", &meta(1))?;
        Err(redb::Error::ValueTooLarge(1))
    });
    assert!(matches!(failed, Err(StoreError::Write { .. })));
    drop(store);
    assert_eq!(revision(&directory.0), (0, 0));
}

#[test]
fn a_second_agent_is_refused() {
    let directory = Directory::new();
    let _first = Store::open(&directory.0).unwrap();
    let second = Store::open(&directory.0).map(|_| ());
    assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let directory = Directory::new();
    let (store, _) = Store::open(&directory.0).unwrap();
    store
        .write(|transaction| {
            let mut table = transaction.open_table(META)?;
            table.insert("schema", b"2".as_slice())?;
            Ok(())
        })
        .unwrap();
    drop(store);
    let error = Store::open(&directory.0).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, .. }));
    assert!(error.to_string().contains("run that netd"), "{error}");
}

#[test]
fn a_foreign_or_damaged_file_is_refused_and_left_alone() {
    let directory = Directory::new();
    let file = directory.0.join(FILE);
    let (mut store, _) = Store::open(&directory.0).unwrap();
    store
        .save_change(&change(None, Some(&network(1)), 1))
        .unwrap();
    drop(store);
    let whole = fs::read(&file).unwrap();
    let mut scribbled = whole.clone();
    scribbled
        .iter_mut()
        .take(4096)
        .for_each(|byte| *byte ^= 0x5a);
    let cut = whole[..whole.len() / 2].to_vec();
    for damaged in [b"[networks]\n".repeat(900), scribbled, cut] {
        fs::write(&file, &damaged).unwrap();
        let error = Store::open(&directory.0).map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("start afresh"), "{error}");
        assert!(fs::read(&file).unwrap() == damaged, "the file was changed");
    }
}

#[test]
fn a_value_that_is_not_understood_is_told_with_its_place() {
    let directory = Directory::new();
    let (store, _) = Store::open(&directory.0).unwrap();
    store
        .write(|transaction| {
            let mut table = transaction.open_table(NETWORKS)?;
            table.insert("abc", b"{\"id\":7}".as_slice())?;
            Ok(())
        })
        .unwrap();
    drop(store);
    let error = Store::open(&directory.0).map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("abc in table networks"),
        "{error}"
    );
}
