//! The image that containers are made of: busybox and nothing else.

use std::path::Path;

use anyhow::{Context, Result};
use netd_tests::lab::Lab;

/// Its name.
pub const IMAGE: &str = "localhost/netd-bench";
/// Where Debian's busybox-static lies, by release.
const BUSYBOX: [&str; 2] = ["/usr/bin/busybox", "/bin/busybox"];
/// Where it is put together, in the lab.
const ROOT: &str = "/run/lab/image";

/// Packs its one layer in the lab; the archive's path.
pub fn make(lab: &Lab) -> Result<String> {
    let busybox = BUSYBOX
        .into_iter()
        .find(|path| Path::new(path).exists())
        .context("busybox is not installed (Debian: apt-get install busybox-static)")?;
    let archive = format!("{ROOT}.tar");
    for line in [
        format!("mkdir -p {ROOT}/bin {ROOT}/etc {ROOT}/proc {ROOT}/sys {ROOT}/dev"),
        format!("cp {busybox} {ROOT}/bin/busybox"),
        format!("tar -C {ROOT} -cf {archive} ."),
    ] {
        lab.host().run_checked(&line)?;
    }
    Ok(archive)
}
