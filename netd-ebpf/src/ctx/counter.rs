//! Counters, changed in place: those of a CPU, and those that all CPUs share.

/// Changes what a look-up in a per-CPU map found, if it found something.
pub fn update<T>(found: Option<*mut T>, change: impl FnOnce(&mut T)) {
    if let Some(counter) = found {
        // SAFETY: the pointer comes from a look-up, so the memory stays this CPU's entry until the
        // program has ended, and a tc program is not interrupted by another on its CPU.
        change(unsafe { &mut *counter });
    }
}

/// Adds to a counter that a look-up found, if it found one, whatever other CPUs do meanwhile.
pub fn add(found: Option<*mut u64>, change: i64) {
    let Some(counter) = found else {
        return;
    };
    // Rust has no atomic operations for the bpf target, the machine has this one.
    // SAFETY: the pointer comes from a look-up, so the memory stays an entry of the map until the
    // program has ended; entries are aligned to eight octets.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {change}",
            counter = in(reg) counter,
            change = in(reg) change,
        );
    }
}
