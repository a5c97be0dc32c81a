//! `cargo xtask vm`: netd's tests on another kernel. Boots a Debian kernel in QEMU, without KVM, to an
//! initramfs made of this machine's programs and the compiled tests. Changes nothing outside
//! `target/vm`, and the virtual machine has no network.

mod choice;
mod image;
mod kernel;
mod machine;
mod modules;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    build_ebpf,
    setup::{self, Purpose},
};
use choice::Tests;
pub use kernel::Series;

/// What `vm` is asked for.
#[derive(Args)]
pub struct Wish {
    /// The kernel's series.
    #[arg(long, value_name = "SERIES")]
    kernel: Series,
    /// Give up after so many seconds. Emulation is some ten times slower than this machine.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// Test binaries of the labs' crate, each alone or as BINARY/FILTER; without any the verifier,
    /// the differential test and the journeys.
    #[arg(last = true, value_name = "TESTS")]
    tests: Vec<String>,
}

/// Sets up, builds, boots and runs; fails as the tests do.
pub fn run(wish: &Wish) -> Result<()> {
    setup::ensure(Purpose::Machine)?;
    build_ebpf::ensure()?;
    let tests = Tests::build(&wish.tests)?;
    let kernel = kernel::get(wish.kernel)?;
    let image = image::make(&kernel, &tests)?;
    println!("vm: booting Linux {}", kernel.release);
    let begin = Instant::now();
    let status = machine::boot(&kernel, &image, Duration::from_secs(wish.timeout))?;
    let took = begin.elapsed().as_secs_f32();
    if status != 0 {
        bail!(
            "tests failed on Linux {} ({took:.0} s; exit status {status})",
            kernel.release
        );
    }
    println!(
        "vm: all tests passed on Linux {} ({took:.0} s)",
        kernel.release
    );
    Ok(())
}
