//! A per-CPU counter, changed in place.

/// Changes what a look-up in a per-CPU map found, if it found something.
pub fn update<T>(found: Option<*mut T>, change: impl FnOnce(&mut T)) {
    if let Some(counter) = found {
        // SAFETY: the pointer comes from a look-up, so the memory stays this CPU's entry until the
        // program has ended, and a tc program is not interrupted by another on its CPU.
        change(unsafe { &mut *counter });
    }
}
