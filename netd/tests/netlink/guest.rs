//! A namespace that somebody else made: of a process that only waits.

use std::{
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use netd::kernel::netns;

/// A process in a network namespace of its own.
pub struct Guest(Child);

impl Guest {
    /// Starts it.
    pub fn start() -> Guest {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo ready; exec sleep 600"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        Guest(child)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its namespace.
    pub fn path(&self) -> PathBuf {
        netns::process_path(self.0.id())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
