//! `cargo xtask bench`: the same work through netd and through what people have now, measured side
//! by side in one run. `record` is what a run leaves; everything else makes or shows it.

pub mod dns;
pub mod drive;
pub mod load;
pub mod machine;
pub mod modes;
pub mod plan;
pub mod real;
pub mod record;
pub mod recorder;
pub mod rules;
pub mod run;
pub mod sections;
pub mod topology;
