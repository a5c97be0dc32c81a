//! Real engines as whole systems: Docker Engine with and without its userland proxy, Podman with
//! netavark and aardvark-dns. Each runs in a lab with an image that is made on the spot, so that
//! nothing is fetched and nothing is left. One round: what they take is not a matter of microseconds.

mod docker;
mod engine;
mod image;
mod podman;
mod rows;

use anyhow::Result;

use crate::{plan::Plan, recorder::Recorder};
use engine::Engine;

/// An engine: its mode's name, and how it is started.
type Start = (&'static str, fn(&Plan) -> Result<Engine>);

/// All of them.
const ENGINES: [Start; 3] = [
    ("docker", |plan| docker::start(plan, true)),
    ("docker-noproxy", |plan| docker::start(plan, false)),
    ("podman", podman::start),
];

/// Works that are measured with them.
pub const WORKS: &[&str] = &[
    "create",
    "publish",
    "publish-range",
    "dns-local",
    "dns-forwarded",
    "dns-cached",
];

/// The section: control-plane rows and questions for names with each engine in turn. What does not
/// run here is a gap.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    if !plan.real {
        return Ok(());
    }
    for (mode, start) in ENGINES {
        if !plan.wants(mode) {
            continue;
        }
        recorder.say(mode);
        let done = start(plan).and_then(|engine| {
            rows::control(&engine, plan, recorder)?;
            rows::dns(&engine, plan, recorder)
        });
        if let Err(error) = done {
            recorder.gap(mode, format!("{error:#}"));
        }
    }
    Ok(())
}
