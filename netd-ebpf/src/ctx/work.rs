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

/// This CPU's slot, if the packet at `address` is the last that was handed over here; forgets that. For
/// who runs when the kernel frees a packet that was redirected.
pub fn handed_over(address: u64) -> Option<&'static Work> {
    let work = WORK.get_ptr_mut(0)?;
    // SAFETY: the memory is this CPU's entry. The kernel carries out a redirect on the CPU where the
    // program has ended, with softirqs off: no tc program runs meanwhile, and whatever one left is a
    // valid `Work`.
    unsafe {
        if (*work).handed_over != address {
            return None;
        }
        (*work).handed_over = 0;
        Some(&*work)
    }
}
