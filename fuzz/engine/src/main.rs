//! The program of every target: which one it is, its name says.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use netd_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    TARGET.get_or_init(|| netd_fuzz::target(env!("CARGO_BIN_NAME")))(bytes);
});
