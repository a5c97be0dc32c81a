//! Memory that was freed goes back to the kernel. glibc keeps it: where small things that stay lie
//! between large ones that come and go, for good.

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
