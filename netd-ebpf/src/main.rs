//! netd's BPF object: adapters that carry out what netd-common's packet logic decides. Compares no
//! header field itself.
#![no_std]
#![no_main]
// For the one atomic operation of `ctx::counter`.
#![feature(asm_experimental_arch)]

mod counters;
mod ctx;
#[cfg(feature = "log")]
mod log;
mod maps;
mod programs;
mod tables;
mod verdict;

/// The helpers that need it (routes, redirects) are for GPL-compatible programs only.
// SAFETY: nothing reads this static as anything but the bytes that the kernel looks for in this
// section.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never reached: `cargo xtask build-ebpf` refuses an object that holds a panic, and the verifier
/// refuses an endless loop.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
