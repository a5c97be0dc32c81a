//! Sysctls below /proc/sys/net. What that directory shows depends on the network namespace of the
//! task that looks, so a sandbox's are read and written by a thread inside it.
//!
//! Former values of the host's own sysctls (not those of a link that netd made, which go with it)
//! are noted in RUN_DIR/sysctl.json, so that `netd down` can put them back.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{files, netns, places::Places};
use crate::{model::IfName, plan::Place};

/// Octets of the longest sysctl: every second port, one by one.
const LONGEST: usize = 256 * 1024;

/// What netd sets in the resolver's namespace.
pub const OF_RESOLVER: [&str; 3] = [
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/eth0/rp_filter",
    "net/ipv4/conf/eth0/accept_local",
];

/// What netd sets of a bridge.
pub fn of_bridge(bridge: &IfName) -> [String; 3] {
    [
        format!("net/ipv4/conf/{bridge}/forwarding"),
        format!("net/ipv6/conf/{bridge}/forwarding"),
        format!("net/ipv6/conf/{bridge}/accept_ra"),
    ]
}

/// What was there before netd changed it, and what netd made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The host's value.
    pub former: String,
    /// netd's.
    pub ours: String,
}

/// A key that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("invalid sysctl key {0:?}")]
pub struct BadKey(String);

/// The link whose IPv6 a key switches off, if it is such a key.
pub fn ipv6_switch_of(key: &str) -> Option<IfName> {
    let name = key.strip_prefix("net/ipv6/conf/")?;
    name.strip_suffix("/disable_ipv6")?.parse().ok()
}

/// Reads a sysctl; `None` where there is no such key or namespace.
pub fn read(places: &Places, place: Place, key: &str) -> Result<Option<String>, anyhow::Error> {
    let path = path(key)?;
    let text = if place == Place::Host {
        whole(&path)
    } else {
        match places.namespace(place)? {
            None => return Ok(None),
            Some(file) => netns::in_namespace(&file, || whole(&path))?,
        }
    };
    match text {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether IPv6 is off in a namespace: the kernel has none, or loopback has none there. A namespace
/// that is gone says nothing: what needs it will tell.
pub fn without_ipv6(namespace: &Path) -> Result<bool, anyhow::Error> {
    let file = match netns::open(namespace) {
        Ok(file) => file,
        Err(netns::NamespaceError::Missing(_) | netns::NamespaceError::Other(_)) => {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    let path = path("net/ipv6/conf/lo/disable_ipv6")?;
    match netns::in_namespace(&file, || whole(&path))? {
        Ok(text) => Ok(text.trim_end() != "0"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Reads a file of /proc/sys at once: a second read of one gives nothing, and the standard library's
/// first is of 32 octets.
fn whole(path: &Path) -> io::Result<String> {
    let mut buffer = vec![0; LONGEST];
    let length = File::open(path)?.read(&mut buffer)?;
    buffer.truncate(length);
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

/// What a sysctl of the host is without netd: as it was before netd changed it, or as somebody has
/// set it since. Empty where there is none.
pub fn own_value(run_dir: &Path, key: &str) -> Result<String, anyhow::Error> {
    let now = match whole(&path(key)?) {
        Ok(text) => text.trim_end().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let noted = changes(run_dir)?.remove(key);
    Ok(match noted {
        Some(change) if change.ours == now => change.former,
        _ => now,
    })
}

/// Writes a sysctl. `remember` says where to note the former value, where it is the host's own.
pub fn write(
    places: &Places,
    place: Place,
    key: &str,
    value: &str,
    remember: Option<&Path>,
) -> Result<(), anyhow::Error> {
    let path = path(key)?;
    if place != Place::Host {
        let file = places.require(place)?;
        netns::in_namespace(&file, || fs::write(path, value))??;
        return Ok(());
    }
    let former = whole(&path)?.trim_end().to_owned();
    if former == value {
        return Ok(());
    }
    if let Some(run_dir) = remember {
        let mut changes = changes(run_dir)?;
        let ours = value.to_owned();
        let former = match changes.remove(key) {
            Some(change) if change.ours == former => change.former,
            // Not noted yet, or somebody has set it since: that is the host's value now.
            _ => former,
        };
        if former != ours {
            changes.insert(key.to_owned(), Change { former, ours });
        }
        // Noted before it is changed: after a crash in between nothing is lost.
        files::replace(&memory(run_dir), &serde_json::to_vec(&changes)?)?;
    }
    fs::write(path, line(value))?;
    Ok(())
}

/// A write of nothing changes nothing: an empty list of ports is an empty line.
fn line(value: &str) -> String {
    format!("{value}\n")
}

/// The host's sysctls that netd changed.
pub fn changes(run_dir: &Path) -> Result<BTreeMap<String, Change>, anyhow::Error> {
    match fs::read(memory(run_dir)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

/// Puts one of the host's sysctls back, unless somebody else has changed it since or its link is
/// gone; says whether it did.
pub fn restore(key: &str, change: &Change) -> Result<bool, anyhow::Error> {
    let path = path(key)?;
    match whole(&path) {
        Ok(now) if now.trim_end() == change.ours => {
            fs::write(path, line(&change.former))?;
            Ok(true)
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Forgets what netd changed.
pub fn forget(run_dir: &Path) -> io::Result<()> {
    files::remove(&memory(run_dir))
}

/// The link whose own sysctl a key is (`net/ipv4/conf/LINK/forwarding`).
pub fn link_of(key: &str) -> Option<&str> {
    let mut parts = key.split('/');
    let (net, family, table, link) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let named = net == "net"
        && matches!(family, "ipv4" | "ipv6")
        && matches!(table, "conf" | "neigh")
        && !matches!(link, "all" | "default")
        && parts.next().is_some();
    named.then_some(link)
}

fn memory(run_dir: &Path) -> PathBuf {
    run_dir.join("sysctl.json")
}

fn path(key: &str) -> Result<PathBuf, BadKey> {
    let fine = key.starts_with("net/")
        && key
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'));
    if fine {
        Ok(Path::new("/proc/sys").join(key))
    } else {
        Err(BadKey(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_net() {
        assert!(path("net/ipv4/conf/eth0.1/forwarding").is_ok());
        for bad in [
            "",
            "net",
            "kernel/hostname",
            "net/../kernel/x",
            "/net/x",
            "net//x",
            "net/x/",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_links_own_sysctls_are_told_apart() {
        assert_eq!(link_of("net/ipv4/conf/br-1/forwarding"), Some("br-1"));
        assert_eq!(link_of("net/ipv6/neigh/br-1/mcast_solicit"), Some("br-1"));
        assert_eq!(link_of("net/ipv4/conf/all/forwarding"), None);
        assert_eq!(link_of("net/ipv4/ip_local_reserved_ports"), None);
    }
}
