//! What a pin is. aya trusts a pin to be what its caller expects (a map's look-up would read a
//! link's `bpf_link_info` as if it were a map's); here the kernel is asked first. And how a link takes the
//! place of a pinned one.

use std::{collections::HashMap, fs, io, os::fd::AsRawFd, path::Path};

use aya::{
    maps::{MapData, MapError},
    programs::links::FdLink,
};
use std::os::fd::AsFd;

use super::error::{errno, if_file_there};

/// A pinned object, as `/proc/self/fdinfo` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// A map.
    Map(MapShape),
    /// A program.
    Program {
        /// The kernel's id of it.
        id: u32,
    },
    /// A link.
    Link(LinkState),
}

/// What two versions of a map must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapShape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Octets of a key.
    pub key: u32,
    /// Octets of a value (on one CPU).
    pub value: u32,
    /// Capacity.
    pub entries: u32,
    /// `BPF_F_…` at creation.
    pub flags: u32,
}

impl MapShape {
    /// What differs from the map that is wanted.
    pub(super) fn difference(&self, wanted: &MapShape) -> Option<String> {
        let fields = [
            ("map type", self.kind, wanted.kind),
            ("key size", self.key, wanted.key),
            ("value size", self.value, wanted.value),
            ("capacity", self.entries, wanted.entries),
            ("flags", self.flags, wanted.flags),
        ];
        let differing = fields.iter().filter(|(_, is, should)| is != should);
        let texts: Vec<String> = differing
            .map(|(what, is, should)| format!("{what} {is}, not {should}"))
            .collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }
}

/// A link and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkState {
    /// The kernel's id of it.
    pub id: u32,
    /// The program it runs.
    pub program: u32,
    /// `tcx`, `cgroup`, …
    pub kind: String,
    /// Of tcx: the device; 0 when it is gone or the link was forced off.
    pub ifindex: u32,
    /// `enum bpf_attach_type`.
    pub attach_type: u32,
    /// Of cgroup links; 0 when the cgroup is gone or the link was forced off.
    pub cgroup: u64,
}

/// Reads what is pinned at `path`; `None` where nothing is. Directories and other files that are
/// no BPF objects are an error.
pub(super) fn inspect(path: &Path) -> io::Result<Option<Pin>> {
    // aya opens any pin by this name; what it believes about the object is not used.
    let opened = match MapData::from_pin(path) {
        Ok(opened) => opened,
        Err(error) if errno(&error) == Some(libc::ENOENT) => return Ok(None),
        Err(error) => return Err(not_an_object(path, error)),
    };
    let fd = opened.fd().as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
    parse(&text).map(Some).ok_or_else(|| {
        io::Error::other(format!(
            "{} is neither map, program nor link",
            path.display()
        ))
    })
}

/// Makes a link, unless the pinned one is `in_order`, and lets it take the place of the old one's pin: the
/// old program goes when the new one is there. For a moment both run. (aya 0.14 cannot update links but
/// those of tcx.)
pub(super) fn replace_link(
    pin: &Path,
    new: &Path,
    in_order: impl FnOnce(&LinkState) -> bool,
    make: impl FnOnce() -> anyhow::Result<FdLink>,
) -> anyhow::Result<()> {
    if let Some(Pin::Link(state)) = inspect(pin)?
        && in_order(&state)
    {
        return Ok(());
    }
    let link = make()?;
    if_file_there(fs::remove_file(new))?;
    link.pin(new)?;
    fs::rename(new, pin)?;
    Ok(())
}

fn not_an_object(path: &Path, error: MapError) -> io::Error {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() => {
            io::Error::other(format!("{} is not a BPF object; remove it", path.display()))
        }
        _ => match error {
            MapError::SyscallError(error) => error.io_error,
            error => io::Error::other(error),
        },
    }
}

/// Lines are `key:\tvalue`; some kernels add a name in brackets after a number.
fn parse(text: &str) -> Option<Pin> {
    let fields: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    let number = |key| fields.get(key).and_then(|value| leading_number(value));
    let small = |key| number(key).and_then(|value| u32::try_from(value).ok());
    if let Some(kind) = small("map_type") {
        return Some(Pin::Map(MapShape {
            kind,
            key: small("key_size")?,
            value: small("value_size")?,
            entries: small("max_entries")?,
            flags: small("map_flags")?,
        }));
    }
    if let Some(kind) = fields.get("link_type") {
        return Some(Pin::Link(LinkState {
            id: small("link_id")?,
            program: small("prog_id").unwrap_or(0),
            kind: (*kind).to_owned(),
            ifindex: small("ifindex").unwrap_or(0),
            attach_type: small("attach_type").unwrap_or(0),
            cgroup: number("cgroup_id").unwrap_or(0),
        }));
    }
    fields.get("prog_type")?;
    Some(Pin::Program {
        id: small("prog_id")?,
    })
}

fn leading_number(text: &str) -> Option<u64> {
    let text = text.split_whitespace().next()?;
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkState, MapShape, Pin, parse};

    #[test]
    fn a_map() {
        let text = "pos:\t0\nflags:\t02\nmap_type:\t1\nkey_size:\t20\nvalue_size:\t76\n\
                    max_entries:\t10\nmap_flags:\t0x1\nmap_extra:\t0x0\nmemlock:\t0\nmap_id:\t7\n";
        let shape = MapShape {
            kind: 1,
            key: 20,
            value: 76,
            entries: 10,
            flags: 1,
        };
        assert_eq!(parse(text), Some(Pin::Map(shape)));
    }

    #[test]
    fn a_tcx_link() {
        let text = "flags:\t02\nlink_type:\ttcx\nlink_id:\t9\nprog_tag:\t3b185187f1855c4c\n\
                    prog_id:\t44\nifindex:\t12\nattach_type:\t46 (tcx_ingress)\n";
        let state = LinkState {
            id: 9,
            program: 44,
            kind: "tcx".into(),
            ifindex: 12,
            attach_type: 46,
            cgroup: 0,
        };
        assert_eq!(parse(text), Some(Pin::Link(state)));
    }

    #[test]
    fn a_program_and_something_else() {
        let text = "prog_type:\t3\nprog_jited:\t1\nprog_id:\t5\n";
        assert_eq!(parse(text), Some(Pin::Program { id: 5 }));
        assert_eq!(parse("pos:\t0\nmap_type:\tmany\n"), None);
    }
}
