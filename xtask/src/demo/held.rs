//! A lab that stays after the demo: it hangs on a process of its own, which ends it when told to.
//! Ends no process that it has not started.

use std::{
    fs,
    io::{BufRead, BufReader, Write, stdout},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{SigSet, Signal, kill},
    unistd::{Pid, dup2_stderr, dup2_stdout},
};
use serde::{Deserialize, Serialize};

use super::{Place, play, stage::Stage};
use crate::workspace;

/// How long the lab's end may take.
const END: Duration = Duration::from_secs(10);

/// Where a kept lab is found again.
#[derive(Serialize, Deserialize)]
struct Held {
    /// The process that holds it.
    pid: i32,
    /// Its start, in ticks since boot: a number that is used again would not have the same.
    started: u64,
    /// The agent, in whose mount namespace everything is.
    agent: u32,
    host: PathBuf,
    outside: PathBuf,
    attacker: PathBuf,
}

/// One kept lab at a time.
pub fn refuse_second() -> Result<()> {
    match Held::find() {
        Some(_) => bail!("a lab is kept already; `cargo xtask demo --end` ends it"),
        None => Ok(()),
    }
}

/// Starts the process that plays the demo and then holds the lab; returns when it has been played.
pub fn start() -> Result<()> {
    let itself = std::env::current_exe()?;
    // A session of its own, so that closing the terminal does not end it.
    let mut child = Command::new("setsid")
        .arg(itself)
        .args(["demo", "--hold"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the process that holds the lab")?;
    let output = child.stdout.take().context("no output")?;
    for line in BufReader::new(output).lines() {
        println!("{}", line?);
    }
    // It closes its output when the demo is over.
    match Held::find() {
        Some(_) => Ok(()),
        None => bail!("the demo failed ({})", child.wait()?),
    }
}

/// Plays the demo and holds its lab until SIGTERM.
pub fn hold() -> Result<()> {
    let mut ending = SigSet::empty();
    ending.add(Signal::SIGTERM);
    ending.add(Signal::SIGINT);
    // Before any thread is started, so that all of them leave these signals to this one.
    ending.thread_block()?;
    let mut stage = Stage::open()?;
    play::all(&mut stage)?;
    let path = |place| stage.namespace(place).path();
    let (host, outside, attacker) = (
        path(Place::Host),
        path(Place::Outside),
        path(Place::Attacker),
    );
    let pid = i32::try_from(std::process::id())?;
    let held = Held {
        pid,
        started: started(pid).context("/proc does not tell our start")?,
        agent: stage.agent()?.pid(),
        host,
        outside,
        attacker,
    };
    fs::write(file(), serde_json::to_vec_pretty(&held)?)?;
    stdout().flush()?;
    let nothing = fs::File::options().write(true).open("/dev/null")?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    ending.wait()?;
    stage.close();
    fs::remove_file(file())?;
    Ok(())
}

/// Says how to enter and how to end.
pub fn explain() {
    println!(
        "\nThe lab is still there:\n  \
         cargo xtask demo --enter host       a shell on the host (netd network ls, netd exec web -- …)\n  \
         cargo xtask demo --enter outside    a shell on the other side of the uplink\n  \
         cargo xtask demo --end              end it; nothing is left behind"
    );
}

/// Replaces this process by a shell in the lab.
pub fn enter(place: Place) -> Result<()> {
    let held = Held::require()?;
    let (network, name) = match place {
        Place::Host => (&held.host, "host"),
        Place::Outside => (&held.outside, "outside"),
        Place::Attacker => (&held.attacker, "attacker"),
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let failed = Command::new("nsenter")
        .arg(format!("--net={}", network.display()))
        .arg(format!("--mount=/proc/{}/ns/mnt", held.agent))
        .args(["--wd=/", "--", "bash", "--norc", "-i"])
        .env("PATH", format!("/run/lab/bin:{path}:/usr/sbin:/sbin"))
        .env("PS1", format!("netd demo {name}\\$ "))
        .exec();
    Err(failed).context("cannot start nsenter")
}

/// Ends the kept lab and waits until it is gone.
pub fn end() -> Result<()> {
    let held = Held::require()?;
    kill(Pid::from_raw(held.pid), Signal::SIGTERM)?;
    let deadline = Instant::now() + END;
    while started(held.pid) == Some(held.started) {
        if Instant::now() > deadline {
            bail!("process {} does not end", held.pid);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("The lab is gone.");
    Ok(())
}

impl Held {
    /// The kept lab, if its process lives.
    fn find() -> Option<Held> {
        let held: Held = serde_json::from_slice(&fs::read(file()).ok()?).ok()?;
        (started(held.pid) == Some(held.started)).then_some(held)
    }

    fn require() -> Result<Held> {
        Held::find().context("no lab is kept; `cargo xtask demo --keep` makes one")
    }
}

fn file() -> PathBuf {
    workspace::root().join("target/demo.json")
}

/// Start time of a process (proc(5), field 22 of stat); the name before it may hold anything.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has ended, whether or not its parent has looked.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_start_is_found_and_that_of_no_process_is_not() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(started(own).is_some());
        assert_eq!(started(i32::MAX), None);
    }
}
