//! Files below the run directory: a sandbox's resolv.conf, hosts and hostname, and netd's own notes.
//! Nothing outside the run directory is written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{model::Id, plan::SandboxFiles};

const RESOLV_CONF: &str = "resolv.conf";
const HOSTS: &str = "hosts";
const HOSTNAME: &str = "hostname";
/// The directory beside them with what netd wrote last.
const WRITTEN: &str = "written";

/// The directory of all sandboxes' files.
pub fn directory(run_dir: &Path) -> PathBuf {
    run_dir.join("sandboxes")
}

/// The directory of one sandbox's files.
pub fn sandbox_directory(run_dir: &Path, sandbox: Id) -> PathBuf {
    directory(run_dir).join(sandbox.to_string())
}

/// Writes a sandbox's files. They are often bind-mounted into a container, so a file that is there
/// keeps its inode and only its contents change. What was changed inside stays changed: besides each
/// file lies what netd wrote last, and the difference is somebody else's.
pub fn write(run_dir: &Path, files: &SandboxFiles) -> io::Result<()> {
    let SandboxFiles {
        sandbox,
        resolv_conf,
        hosts,
        hostname,
    } = files;
    let directory = sandbox_directory(run_dir, *sandbox);
    let written = directory.join(WRITTEN);
    fs::create_dir_all(&written)?;
    for (name, text) in [
        (RESOLV_CONF, resolv_conf),
        (HOSTS, hosts),
        (HOSTNAME, hostname),
    ] {
        let path = directory.join(name);
        let found = fs::read_to_string(&path).ok();
        let last = fs::read_to_string(written.join(name)).ok();
        let merged = match (&found, &last) {
            (Some(found), Some(last)) => &merge(found, last, text),
            _ => text,
        };
        if found.as_ref() != Some(merged) {
            put(&path, merged)?;
        }
        // Last: a note that is too old only finds lines changed that are as they should be.
        if last.as_ref() != Some(text) {
            put(&written.join(name), text)?;
        }
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?
        .write_all(text.as_bytes())
}

/// What a file should be that netd last wrote as `last`, wants as `wanted`, and that is `found`:
/// lines that somebody added stay, lines that somebody removed do not come back. Where nothing of
/// netd's is left, somebody has taken the file over, and it stays as it is.
fn merge(found: &str, last: &str, wanted: &str) -> String {
    if found == last {
        return wanted.to_owned();
    }
    let [last, wanted]: [Vec<&str>; 2] = [last, wanted].map(|text| text.lines().collect());
    let is_ours = |line: &&str| last.contains(line) || wanted.contains(line);
    let Some(first) = found.lines().position(|line| is_ours(&line)) else {
        return found.to_owned();
    };
    let found: Vec<&str> = found.lines().collect();
    let removed = |line: &&str| last.contains(line) && !found.contains(line);
    let (before, after) = found.split_at(first);
    let lines = before
        .iter()
        .chain(wanted.iter().filter(|line| !removed(line)))
        .chain(after.iter().filter(|line| !is_ours(line)));
    lines.flat_map(|line| [*line, "\n"]).collect()
}

/// Reads what netd last wrote to a sandbox's files, whatever was made of them since; `None` if one of
/// them is missing.
pub fn read(run_dir: &Path, sandbox: Id) -> io::Result<Option<SandboxFiles>> {
    let directory = sandbox_directory(run_dir, sandbox);
    let written = directory.join(WRITTEN);
    let text = |name: &str| match fs::read_to_string(written.join(name)) {
        Ok(text) => Ok(directory.join(name).exists().then_some(text)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    };
    match (text(RESOLV_CONF)?, text(HOSTS)?, text(HOSTNAME)?) {
        (Some(resolv_conf), Some(hosts), Some(hostname)) => Ok(Some(SandboxFiles {
            sandbox,
            resolv_conf,
            hosts,
            hostname,
        })),
        _ => Ok(None),
    }
}

/// Removes a sandbox's files; none there is success.
pub fn remove_sandbox(run_dir: &Path, sandbox: Id) -> io::Result<()> {
    absent(fs::remove_dir_all(sandbox_directory(run_dir, sandbox)))
}

/// The sandboxes that have files, whole or not.
pub fn list(run_dir: &Path) -> io::Result<Vec<Id>> {
    let entries = match fs::read_dir(directory(run_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<Id>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes one of netd's own files whole or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    fs::rename(&beside, path)
}

/// Removes a file; one that is not there is success.
pub fn remove(path: &Path) -> io::Result<()> {
    absent(fs::remove_file(path))
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAST: &str = "search a\nnameserver 127.0.0.11\noptions ndots:0\n";
    const WANTED: &str = "search b\nnameserver 127.0.0.11\noptions ndots:0\n";

    #[test]
    fn what_somebody_changed_stays_changed() {
        let merged = |found: &str| merge(found, LAST, WANTED);
        assert_eq!(merged(LAST), WANTED);
        assert_eq!(
            merged(
                "# mine\nsearch a\nnameserver 127.0.0.11\noptions ndots:0\nnameserver 9.9.9.9\n"
            ),
            "# mine\nsearch b\nnameserver 127.0.0.11\noptions ndots:0\nnameserver 9.9.9.9\n"
        );
        assert_eq!(
            merged("search a\nnameserver 9.9.9.9\noptions ndots:0"),
            "search b\noptions ndots:0\nnameserver 9.9.9.9\n"
        );
        assert_eq!(merged("nameserver 9.9.9.9\n"), "nameserver 9.9.9.9\n");
        assert_eq!(merged(""), "");
    }

    #[test]
    fn files_keep_their_inode_and_what_was_added() {
        use std::os::unix::fs::MetadataExt;

        let run_dir = std::env::temp_dir().join(format!("netd-files-{}", std::process::id()));
        let files = |search: &str| SandboxFiles {
            sandbox: Id([7; 32]),
            resolv_conf: format!("search {search}\nnameserver 127.0.0.11\n"),
            hosts: "127.0.0.1\tlocalhost\n".to_owned(),
            hostname: "web\n".to_owned(),
        };
        let path = sandbox_directory(&run_dir, Id([7; 32])).join(HOSTS);
        write(&run_dir, &files("a")).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        fs::write(&path, "127.0.0.1\tlocalhost\n192.0.2.1\tmine\n").unwrap();
        assert_eq!(
            read(&run_dir, Id([7; 32])).unwrap(),
            Some(files("a")),
            "no drift"
        );
        write(&run_dir, &files("b")).unwrap();
        assert_eq!(read(&run_dir, Id([7; 32])).unwrap(), Some(files("b")));
        let hosts = fs::read_to_string(&path).unwrap();
        assert_eq!(hosts, "127.0.0.1\tlocalhost\n192.0.2.1\tmine\n");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        fs::remove_file(&path).unwrap();
        assert_eq!(read(&run_dir, Id([7; 32])).unwrap(), None);
        write(&run_dir, &files("b")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1\tlocalhost\n");
        remove_sandbox(&run_dir, Id([7; 32])).unwrap();
        fs::remove_dir_all(&run_dir).unwrap();
    }

    proptest! {
        #[test]
        fn merging_loses_nothing_of_others_and_settles(
            found in "([a-d]\n){0,6}", last in "([a-c]\n){0,4}", wanted in "([a-c]\n){0,4}",
        ) {
            let once = merge(&found, &last, &wanted);
            let others = found.lines().filter(|line| *line == "d").count();
            prop_assert_eq!(once.lines().filter(|line| *line == "d").count(), others);
            prop_assert_eq!(merge(&once, &wanted, &wanted), once);
        }
    }
}
