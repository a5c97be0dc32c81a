//! Network namespaces: made, kept by a bind mount, entered for a moment by a thread of its own,
//! told apart by cookie and by device and inode of their nsfs file. A thread that entered one never
//! does anything else: it ends with the closure.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    thread,
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{
        socket::{AddressFamily, SockFlag, SockType, getsockopt, socket, sockopt::GetStruct},
        statfs::{FsType, fstatfs},
    },
};

use crate::model::sandbox::Joined;

/// `f_type` of a namespace file (NSFS_MAGIC, include/uapi/linux/magic.h).
const NSFS: FsType = FsType(0x6e73_6673);

/// `SO_NETNS_COOKIE`: the cookie of the socket's network namespace.
#[derive(Clone, Copy)]
struct NetnsCookie;

nix::getsockopt_impl!(
    NetnsCookie,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64,
    GetStruct<u64>
);

/// Where a namespace's file is: what `st_dev` and `st_ino` say. Unique among namespaces that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// What is wrong with a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The path leads nowhere.
    #[error("no network namespace at {0}")]
    Missing(PathBuf),
    /// The path leads to something else.
    #[error("{0} is not a network namespace")]
    Other(PathBuf),
    /// The path leads to another namespace than it did.
    #[error("{0} is no longer the namespace it was")]
    Replaced(PathBuf),
    /// It is the agent's own.
    #[error("{0} is the host's own network namespace")]
    Host(PathBuf),
    /// A call failed.
    #[error("{doing}: {source}")]
    Call {
        /// Which.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn call<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> NamespaceError {
    move |source| NamespaceError::Call {
        doing,
        source: source.into(),
    }
}

/// Makes a namespace and binds it to `path`, whose directory [`prepare_directory`] made. A
/// namespace that is there is success.
pub fn make(path: &Path) -> Result<(), NamespaceError> {
    match open(path) {
        Ok(_) => return Ok(()),
        Err(NamespaceError::Missing(_) | NamespaceError::Other(_)) => {}
        Err(error) => return Err(error),
    }
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(call("make the namespace's file"))?;
    alone(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(call("unshare(CLONE_NEWNET)"))?;
        mount(
            Some("/proc/thread-self/ns/net"),
            path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .map_err(call("bind the namespace to its file"))
    })?
}

/// Makes the directory of namespace files a mount point of its own that passes mounts on, as
/// `ip netns` does: a namespace removed here then also goes from mount namespaces that copied it.
pub fn prepare_directory(directory: &Path) -> Result<(), NamespaceError> {
    std::fs::create_dir_all(directory).map_err(call("make the directory of namespaces"))?;
    let none = None::<&str>;
    let share = || {
        let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(Some("none"), directory, none, flags, none)
    };
    match share() {
        // Not a mount point yet.
        Err(Errno::EINVAL) => {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(directory), directory, none, flags, none)
                .map_err(call("bind the directory of namespaces"))?;
            share().map_err(call("share the directory of namespaces"))
        }
        other => other.map_err(call("share the directory of namespaces")),
    }
}

/// Undoes [`prepare_directory`].
pub fn remove_directory(directory: &Path) -> Result<(), NamespaceError> {
    match umount2(directory, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(call("unmount the directory of namespaces")(errno)),
    }
    absent(std::fs::remove_dir(directory)).map_err(call("remove the directory of namespaces"))
}

/// Unmounts a namespace's file and removes it; one that is not there is success.
pub fn remove(path: &Path) -> Result<(), NamespaceError> {
    // As long as something is mounted there: two agents may have mounted over each other.
    while match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) => true,
        Err(Errno::EINVAL | Errno::ENOENT) => false,
        Err(errno) => return Err(call("unmount the namespace's file")(errno)),
    } {}
    absent(std::fs::remove_file(path)).map_err(call("remove the namespace's file"))
}

/// Opens a namespace's file. Whether it is a *network* namespace shows when it is entered. The path
/// may be a user's: nothing but a namespace is really opened, a FIFO would wait for its writer and
/// a device might do something.
pub fn open(path: &Path) -> Result<File, NamespaceError> {
    let found = match File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(path)
    {
        Ok(found) => found,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) || error.raw_os_error() == Some(libc::ESRCH) =>
        {
            return Err(NamespaceError::Missing(path.to_owned()));
        }
        Err(error) => return Err(call("find the namespace's file")(error)),
    };
    if fstatfs(&found).map_err(call("fstatfs"))?.filesystem_type() != NSFS {
        return Err(NamespaceError::Other(path.to_owned()));
    }
    let again = format!("/proc/thread-self/fd/{}", found.as_raw_fd());
    File::open(again).map_err(call("open the namespace's file"))
}

/// Device and inode of an open namespace file.
pub fn identity(file: &File) -> Result<Identity, NamespaceError> {
    let metadata = file.metadata().map_err(call("fstat"))?;
    Ok(Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// Opens a joined namespace, if its path still leads to it.
pub fn open_joined(joined: &Joined) -> Result<File, NamespaceError> {
    let file = open(&joined.path)?;
    let wanted = Identity {
        device: joined.device,
        inode: joined.inode,
    };
    // Inodes of nsfs are used again: the cookie is not, but costs a thread to ask for.
    if identity(&file)? == wanted && cookie(&file)? == joined.cookie {
        Ok(file)
    } else {
        Err(NamespaceError::Replaced(joined.path.clone()))
    }
}

/// What netd remembers of a namespace that it is given by path: `--netns PATH`, or
/// [`process_path`] of `--pid`. The host's own is refused.
pub fn identify(path: &Path) -> Result<Joined, NamespaceError> {
    let file = open(path)?;
    let cookie = cookie(&file).map_err(|error| match error {
        NamespaceError::Call { source, .. } if source.raw_os_error() == Some(libc::EINVAL) => {
            NamespaceError::Other(path.to_owned())
        }
        other => other,
    })?;
    let Identity { device, inode } = identity(&file)?;
    if cookie == own_cookie()? {
        return Err(NamespaceError::Host(path.to_owned()));
    }
    Ok(Joined {
        cookie,
        device,
        inode,
        path: path.to_owned(),
    })
}

/// The namespace file of a process.
pub fn process_path(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

/// The cookie of a namespace.
pub fn cookie(file: &File) -> Result<u64, NamespaceError> {
    in_namespace(file, own_cookie)?
}

/// The cookie of the calling thread's namespace.
pub fn own_cookie() -> Result<u64, NamespaceError> {
    let any = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(call("socket"))?;
    socket_cookie(&any)
}

/// The cookie of the namespace that a socket was opened in.
pub fn socket_cookie(socket: &impl AsFd) -> Result<u64, NamespaceError> {
    getsockopt(socket, NetnsCookie).map_err(call("getsockopt(SO_NETNS_COOKIE)"))
}

/// Runs `inside` in a namespace, on a thread of its own, and waits for it.
pub fn in_namespace<T: Send>(
    file: &File,
    inside: impl FnOnce() -> T + Send,
) -> Result<T, NamespaceError> {
    alone(|| {
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(call("setns"))?;
        Ok(inside())
    })?
}

/// Runs `body` on a thread that ends with it.
fn alone<T: Send>(body: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, body)
            .map_err(call("start a thread"))?
            .join()
            .map_err(|_| call("thread in a namespace")(io::Error::other("panicked")))
    })
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
