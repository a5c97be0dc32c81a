//! When it counts, and the loop of all work that is one operation after the other.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Options, Outcome};
use crate::{load::latency::Durations, record::Unit};

/// The time that does not count and the time that does.
#[derive(Clone, Copy)]
pub struct Clock {
    /// From here on it counts.
    pub warm: Instant,
    /// Up to here.
    pub end: Instant,
}

impl Clock {
    /// Beginning now.
    pub fn start(warm_up: f64, seconds: f64) -> Clock {
        let warm = Instant::now() + Duration::from_secs_f64(warm_up);
        Clock {
            warm,
            end: warm + Duration::from_secs_f64(seconds),
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// With its right answer.
    Right,
    /// With another one.
    Wrong,
    /// Without any in time.
    Lost,
    /// It could not be begun, and no other could: all source ports had their turn.
    Over,
}

/// Does `one` after the other, with numbers from 0, until the time or the ports are over.
pub fn one_by_one(options: &Options, mut one: impl FnMut(u64) -> Result<Fate>) -> Result<Outcome> {
    let clock = options.clock();
    let mut durations = Durations::new()?;
    let (mut sent, mut done, mut lost, mut wrong) = (0, 0, 0, 0);
    let mut begin = Instant::now();
    let mut counted_from = None;
    let mut counted = 0;
    // At least one counts, also where this process did not get to run in its time.
    while begin < clock.end || counted == 0 {
        let counts = begin >= clock.warm;
        if counts && counted_from.is_none() {
            counted_from = Some(begin);
        }
        let fate = one(sent)?;
        if fate == Fate::Over {
            break;
        }
        let end = Instant::now();
        sent += 1;
        counted += u64::from(counts);
        match fate {
            Fate::Right if counts => {
                done += 1;
                durations.add(end - begin);
            }
            Fate::Right | Fate::Over => {}
            Fate::Wrong => wrong += 1,
            Fate::Lost => lost += 1,
        }
        begin = end;
    }
    let seconds = counted_from.map_or(0.0, |from| (begin - from).as_secs_f64());
    anyhow::ensure!(seconds > 0.0, "over before it counted");
    Ok(Outcome {
        work: options.work,
        value: done as f64 / seconds,
        unit: Unit::PerSecond,
        seconds,
        done,
        sent,
        lost,
        wrong,
        retransmitted: 0,
        latency: durations.summary(),
    })
}
