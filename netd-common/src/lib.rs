//! What both sides of the kernel line agree on: the bytes in the maps, the drop reasons, the
//! limits, and the packet logic itself. No I/O, no clock, no allocation, no unsafe code; knows
//! neither aya nor tokio.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(not(target_arch = "bpf"))]
extern crate alloc;

pub mod abi;
pub mod addr;
pub mod drop_reason;
pub mod limits;
pub mod packet;

pub use addr::Addr;
pub use drop_reason::DropReason;
