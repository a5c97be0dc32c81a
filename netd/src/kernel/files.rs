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

/// The directory of all sandboxes' files.
pub fn directory(run_dir: &Path) -> PathBuf {
    run_dir.join("sandboxes")
}

/// The directory of one sandbox's files.
pub fn sandbox_directory(run_dir: &Path, sandbox: Id) -> PathBuf {
    directory(run_dir).join(sandbox.to_string())
}

/// Writes a sandbox's files. They are often bind-mounted into a container, so a file that is there
/// keeps its inode and only its contents change.
pub fn write(run_dir: &Path, files: &SandboxFiles) -> io::Result<()> {
    let SandboxFiles {
        sandbox,
        resolv_conf,
        hosts,
        hostname,
    } = files;
    let directory = sandbox_directory(run_dir, *sandbox);
    fs::create_dir_all(&directory)?;
    for (name, text) in [
        (RESOLV_CONF, resolv_conf),
        (HOSTS, hosts),
        (HOSTNAME, hostname),
    ] {
        let path = directory.join(name);
        if fs::read_to_string(&path).ok().as_ref() == Some(text) {
            continue;
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(path)?
            .write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Reads a sandbox's files; `None` if one of them is missing or is no text.
pub fn read(run_dir: &Path, sandbox: Id) -> io::Result<Option<SandboxFiles>> {
    let directory = sandbox_directory(run_dir, sandbox);
    let text = |name: &str| match fs::read_to_string(directory.join(name)) {
        Ok(text) => Ok(Some(text)),
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
