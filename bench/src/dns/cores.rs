//! Who runs on which core. Pinning is what makes figures of one run comparable.

/// Where clients run, and servers when both share a core.
pub const FIRST: usize = 0;

/// Another core, for whoever is not to share the first; the same one where there is no other.
pub fn second() -> usize {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (FIRST + 1).min(count - 1)
}
