//! `cargo xtask bench`: the same work through netd and through what people have now, measured side
//! by side in one run. `record` is what a run leaves; everything else makes or shows it.

pub mod dns;
pub mod load;
pub mod record;
pub mod rules;
pub mod sections;
