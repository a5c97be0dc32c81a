//! `cargo xtask vm`: netd's tests on another kernel. Boots a Debian kernel in QEMU, without KVM, to an
//! initramfs made of this machine's programs and the compiled tests. Changes nothing outside
//! `target/vm`, and the virtual machine has no network.

mod choice;
mod image;
mod kernel;
mod machine;
mod modules;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum as _};

use crate::{
    build_ebpf,
    setup::{self, Purpose},
    test::Count,
};
use choice::Tests;
use kernel::Kernel;
pub use kernel::Series;

/// How long the tests of a kernel may take as one of many tiers: far longer than they do, for a machine
/// that is busy with other work.
const TIER_LIMIT: Duration = Duration::from_secs(1_500);

/// What `vm` is asked for.
#[derive(Args)]
pub struct Wish {
    /// The kernel's series.
    #[arg(long, value_name = "SERIES")]
    kernel: Series,
    /// Give up after so many seconds. Emulation is some twenty times slower than this machine.
    #[arg(long, value_name = "SECONDS", default_value_t = 1_500)]
    timeout: u64,
    /// Test binaries of the labs' crate, each alone or as BINARY/FILTER; without any the verifier,
    /// the differential test, the journeys in one lab, SCTP, VLANs and dummy interfaces.
    #[arg(last = true, value_name = "TESTS")]
    tests: Vec<String>,
}

/// Sets up, builds, boots and runs; fails as the tests do.
pub fn run(wish: &Wish) -> Result<()> {
    setup::ensure(Purpose::Machine)?;
    build_ebpf::ensure()?;
    let tests = Tests::build(&wish.tests)?;
    let kernel = kernel::get(wish.kernel)?;
    let limit = Duration::from_secs(wish.timeout);
    test_on(&kernel, &tests, limit, "").map(|_| ())
}

/// Fetches the kernels that are not there yet.
pub fn fetch() -> Result<()> {
    kernels().map(|_| ())
}

/// One after the other: apt knows one caller at a time.
fn kernels() -> Result<Vec<(Series, Kernel)>> {
    Series::value_variants()
        .iter()
        .map(|series| Ok((*series, kernel::get(*series)?)))
        .collect()
}

/// The tests that are run if none is named, on every series, all kernels at once: a test waits as well
/// as it computes, so one fills the pauses of the other. The objects are built. How many passed, and how
/// long each kernel took, for people.
pub fn everywhere() -> Result<(Count, String)> {
    setup::ensure(Purpose::Machine)?;
    let kernels = kernels()?;
    let tests = Tests::build(&[])?;
    let ran: Vec<Result<Ran>> = thread::scope(|scope| {
        let running: Vec<_> = kernels
            .iter()
            .map(|(series, kernel)| {
                let (tests, mark) = (&tests, format!("{} | ", series.name()));
                scope.spawn(move || test_on(kernel, tests, TIER_LIMIT, &mark))
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Ran>>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect()
    });
    let mut total = Count::default();
    let (mut times, mut faults) = (Vec::new(), Vec::new());
    for ((series, _), result) in kernels.iter().zip(ran) {
        match result {
            Ok(ran) => {
                total.add(ran.count);
                times.push(format!("Linux {} {:.0} s", series.name(), ran.seconds));
            }
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok((total, times.join(", ")))
}

/// Tests that passed on a kernel, and how long they took with its boot.
struct Ran {
    count: Count,
    seconds: f32,
}

/// Boots a kernel and runs the tests there, each line of the console printed behind `mark`.
fn test_on(kernel: &Kernel, tests: &Tests, limit: Duration, mark: &str) -> Result<Ran> {
    let image = image::make(kernel, tests)?;
    println!("{mark}vm: booting Linux {}", kernel.release);
    let begin = Instant::now();
    let mut count = Count::default();
    let status = machine::boot(kernel, &image, limit, |line| {
        count.read(line);
        println!("{mark}{line}");
    })?;
    let seconds = begin.elapsed().as_secs_f32();
    if status != 0 {
        bail!(
            "tests failed on Linux {} ({seconds:.0} s; exit status {status})",
            kernel.release
        );
    }
    if count.passed == 0 {
        bail!("no test ran on Linux {}", kernel.release);
    }
    println!(
        "{mark}vm: all tests passed on Linux {} ({seconds:.0} s; {count})",
        kernel.release
    );
    Ok(Ran { count, seconds })
}
