//! `cargo xtask bench`: the same work through netd and through what people have now, measured side
//! by side in one run. `record` is what a run leaves; everything else makes or shows it.

pub mod agent;
pub mod dns;
pub mod drive;
#[cfg(test)]
mod example;
pub mod floods;
pub mod load;
pub mod machine;
pub mod modes;
pub mod plan;
pub mod real;
pub mod record;
pub mod recorder;
pub mod report;
pub mod rules;
pub mod run;
pub mod sections;
pub mod stats;
pub mod targets;
pub mod topology;
