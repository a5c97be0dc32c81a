//! QEMU with software emulation: started, its console's lines handed on, ended at the latest when its
//! time is over. Where KVM is offered it may still not work (nested virtual machines), so it is not used.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::shell;

/// How the init's last line begins; the exit status follows.
pub const ENDED: &str = "netd-vm: the tests ended with";

/// Memory for the initramfs, twice while it is unpacked, and for the labs' maps; MiB.
const MEMORY: &str = "3072";
const PROCESSORS: &str = "2";
/// All that QEMU can emulate, less what a real processor is quick at and an emulated one slow: copying by
/// `rep movsb`, an octet at a time, the switches around each access to a user's memory, and a fifth
/// level of page tables.
const PROCESSOR: &str = "max,-erms,-fsrm,-smap,-smep,-la57";
/// What the kernel is told. There is nobody to keep secrets from: the detours that keep them cost an
/// emulated processor most. Pages are cleared once, and in a loop of stores. Namespaces come and go all
/// the time, and each end waits for RCU. Whether the timer ticks is not asked: on a busy host it seems not to.
const KERNEL: &str = "console=ttyS0 quiet panic=-1 rdinit=/init mitigations=off nokaslr audit=0 \
                      nowatchdog rcupdate.rcu_expedited=1 clearcpuid=rep_good init_on_alloc=0 \
                      no_timer_check";

/// A running QEMU; killed when dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots and waits for the end, handing on each line of the console; the tests' exit status.
pub fn boot(
    kernel: &Kernel,
    image: &Path,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<i32> {
    let deadline = Instant::now() + limit;
    let mut machine = start(kernel, image)?;
    let stdout = machine.0.stdout.take().context("QEMU has no console")?;
    let lines = read(stdout);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(text) => {
                if let Some(status) = text.strip_prefix(ENDED) {
                    return status
                        .trim()
                        .parse()
                        .with_context(|| format!("not a status: {text}"));
                }
                line(&text);
            }
            Err(RecvTimeoutError::Timeout) => {
                bail!("the tests did not end within {} s", limit.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the machine went off before the tests ended")
            }
        }
    }
}

fn start(kernel: &Kernel, image: &Path) -> Result<Machine> {
    let child = shell::clean_command("qemu-system-x86_64")
        .args(["-accel", "tcg,thread=multi", "-cpu", PROCESSOR])
        .args(["-m", MEMORY, "-smp", PROCESSORS])
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.vmlinuz)
        .arg("-initrd")
        .arg(image)
        .args(["-append", KERNEL])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    Ok(Machine(child))
}

/// The console's lines, as they come. A serial line ends them with CR LF.
fn read(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line);
            if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}
