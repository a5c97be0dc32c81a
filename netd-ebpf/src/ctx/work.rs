//! The working memory of decisions: one slot per CPU.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use netd_common::packet::Work;

/// Not among the maps that are pinned: it means nothing between two packets.
#[btf_map]
static WORK: PerCpuArray<Work, 1> = PerCpuArray::new();

/// This CPU's slot; the kernel has always one.
pub fn work() -> Option<&'static mut Work> {
    let work = WORK.get_ptr_mut(0)?;
    // SAFETY: a tc program stays on its CPU with softirqs off, and none of ours runs within
    // another, so nothing else has this slot meanwhile; any bytes are a valid `Work`.
    Some(unsafe { &mut *work })
}
