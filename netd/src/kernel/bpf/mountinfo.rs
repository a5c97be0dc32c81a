//! `/proc/thread-self/mountinfo`, as far as netd asks it: who mounted what, and where cgroup2 is.

use std::{fs, io, os::unix::ffi::OsStringExt, path::PathBuf};

/// A mount (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory of the file system that is mounted.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// The file system's type.
    pub kind: String,
    /// What the one who mounted it called its source.
    pub source: String,
}

/// All mounts that this process sees, in the order they were made.
pub(super) fn read() -> io::Result<Vec<Mount>> {
    Ok(parse(&fs::read("/proc/thread-self/mountinfo")?))
}

/// Where the whole cgroup2 hierarchy is mounted: alone or beside version 1 (hybrid).
pub fn cgroup2_root(mounts: &[Mount]) -> Option<&Mount> {
    mounts
        .iter()
        .find(|mount| mount.kind == "cgroup2" && mount.root.as_os_str() == "/")
}

/// The mounts of such a text. Lines that are none are left out.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    let mut after = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = after.next()?;
    let source = after.next()?;
    Some(Mount {
        root: path(root),
        point: path(point),
        kind: String::from_utf8_lossy(kind).into_owned(),
        source: String::from_utf8_lossy(&unescape(source)).into_owned(),
    })
}

fn path(field: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(unescape(field)))
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(octal);
        bytes.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => &after[3..],
            None => after,
        };
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{cgroup2_root, parse};

    const TEXT: &[u8] = b"\
25 30 0:23 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw,mode=755\n\
26 25 0:24 /system.slice /sys/fs/cgroup/part rw shared:5 - cgroup2 cgroup2 rw\n\
27 25 0:24 / /sys/fs/cgroup/uni\\040fied rw shared:5 master:1 - cgroup2 none rw\n\
28 25 0:30 / /run/b\\134pf rw - bpf netd rw\n\
broken line\n";

    #[test]
    fn hybrid_cgroups() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 4);
        let root = cgroup2_root(&mounts).expect("a cgroup2 mount");
        assert_eq!(root.point, Path::new("/sys/fs/cgroup/uni fied"));
        assert_eq!(root.source, "none");
        assert_eq!(mounts[3].point, Path::new("/run/b\\pf"));
        assert_eq!(
            (mounts[3].kind.as_str(), mounts[3].source.as_str()),
            ("bpf", "netd")
        );
    }
}
