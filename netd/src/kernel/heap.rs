//! Memory that was freed goes back to the kernel. glibc keeps it: where small things that stay lie
//! between large ones that come and go, for good.

/// From this size on (octets) memory is mapped for itself and goes back when it is freed: buffers of
/// 64 KiB come and go with each netlink socket, and leave holes that nothing else fills.
#[cfg(target_env = "gnu")]
const MAPPED: i32 = 32 * 1024;
/// Heaps in all. By default each thread may have its own, whose holes the others cannot use.
#[cfg(target_env = "gnu")]
const HEAPS: i32 = 2;

/// Sets how the C library keeps memory; to be called once, before there are other threads.
pub fn prepare() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt changes the allocator's own parameters and is not to be called while another
    // thread does (mallopt(3)); values that it refuses change nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}

/// Gives back what whole pages of the heap hold nothing. Walks the free lists: some milliseconds
/// where a thousand endpoints were compared. Nothing where the C library has no such call.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions and may be called from any thread: it takes the
    // allocator's own locks and gives up only memory in which nothing is allocated (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
