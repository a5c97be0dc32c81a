//! Modes at scales, side by side: set up before anything is measured, and measured in turns.

use anyhow::Result;

use crate::{
    drive::{Driven, Job},
    modes,
    plan::Plan,
    record::{Group, Sample},
    recorder::Recorder,
    topology::{self, Path},
};

/// A mode at a scale.
pub struct Stand {
    /// What it is measured with.
    pub driven: Driven,
    /// As records tell it.
    pub scale: u64,
    /// Paths that it does not have.
    absent: Vec<Path>,
}

/// Which stands a section has.
pub struct Wanted<'a> {
    /// The section's name.
    pub section: &'a str,
    /// Modes, as far as the plan wants them.
    pub modes: &'a [&'static str],
    /// Paths, as far as the plan wants them.
    pub paths: &'a [Path],
    /// Published ports.
    pub ports: u16,
    /// As records tell it.
    pub scale: u64,
}

impl Wanted<'_> {
    /// Sets them up. What cannot be had becomes a gap.
    pub fn set_up(&self, plan: &Plan, recorder: &mut Recorder) -> Vec<Stand> {
        let Wanted { section, scale, .. } = *self;
        let mut stands = Vec::new();
        for name in self.modes.iter().filter(|name| plan.wants(name)) {
            let what = format!("{section}, {name} at {scale}");
            match self.stand(name, plan) {
                Ok(mut stand) => {
                    for (path, why) in stand.find_absent(self.paths) {
                        recorder.gap(format!("{what}, {}", path.name()), why);
                    }
                    recorder.say(&format!("{what}: ready"));
                    stands.push(stand);
                }
                Err(error) => recorder.gap(what, format!("{error:#}")),
            }
        }
        stands
    }

    fn stand(&self, name: &str, plan: &Plan) -> Result<Stand> {
        let mode = modes::start(name, &plan.netd, &topology::ports(self.ports))?;
        Ok(Stand {
            driven: Driven::start(mode, topology::last_port(self.ports))?,
            scale: self.scale,
            absent: Vec::new(),
        })
    }
}

impl Stand {
    /// Whether it has the path.
    pub fn has(&self, path: Path) -> bool {
        !self.absent.contains(&path)
    }

    /// Tries each path; those that are not there, with why.
    fn find_absent(&mut self, paths: &[Path]) -> Vec<(Path, String)> {
        let mut why = Vec::new();
        for path in paths {
            if let Err(error) = self.driven.probe(*path) {
                self.absent.push(*path);
                why.push((*path, format!("{error:#}")));
            }
        }
        why
    }
}

/// Measures every job on every stand, round by round.
///
/// # Errors
/// If something arrived damaged, or a path that was there is no more.
pub fn take_turns(
    plan: &Plan,
    recorder: &mut Recorder,
    group: Group,
    stands: &mut [Stand],
    jobs: &[Job],
) -> Result<()> {
    for round in 0..plan.rounds {
        let (number, rounds) = (round + 1, plan.rounds);
        recorder.say(&format!("{group:?}: round {number} of {rounds}"));
        for job in jobs {
            for stand in stands.iter_mut() {
                if !stand.has(job.path) {
                    continue;
                }
                let sample = stand.driven.sample(job, group, stand.scale, round)?;
                tell_losses(recorder, &sample);
                recorder.sample(sample);
            }
        }
        recorder.save()?;
    }
    Ok(())
}

/// Tells the progress of what a sample has lost, if anything.
pub fn tell_losses(recorder: &Recorder, sample: &Sample) {
    let Sample {
        row, mode, lost, ..
    } = sample;
    if *lost > 0 {
        let (work, path) = (&row.work, &row.path);
        recorder.say(&format!("{mode}, {work}, {path}: {lost} lost"));
    }
}
