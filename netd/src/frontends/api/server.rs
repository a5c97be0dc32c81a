//! The socket: who may connect, and serving until told to stop.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use nix::unistd::Group;
use tokio::net::UnixListener;

use super::{door::Door, routes};

/// Members may do what root may do with netd.
const GROUP: &str = "netd";

/// Below the run directory.
pub fn socket_path(run_dir: &Path) -> PathBuf {
    run_dir.join("netd.sock")
}

/// Listens at `path`, root:netd 0660 (root:root where there is no such group). The caller holds the
/// run directory's lock: a socket that is there already is a dead agent's.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Until the mode is set, the umask keeps everybody but root from connecting (write permission).
    let listener = UnixListener::bind(path)?;
    let group = Group::from_name(GROUP).map_err(io::Error::from)?;
    chown(
        path,
        Some(0),
        Some(group.map_or(0, |group| group.gid.as_raw())),
    )?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves until `stop` resolves; requests under way are finished.
pub async fn serve(
    listener: UnixListener,
    door: Door,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, routes::router(door))
        .with_graceful_shutdown(stop)
        .await
}
