//! An established connection, and new ones, beside a flood and without. The flood shares the core with
//! client and server, so that what it takes from them is what its packets cost.

use anyhow::Result;

use super::stands::{Stand, Wanted, tell_losses};
use crate::{
    drive::Job,
    floods::{self, Flood},
    plan::Plan,
    record::{Cores, Group, Row, Sample, Unit},
    recorder::Recorder,
    topology::Path,
};

/// Works of this section; the last one is the flood's own rate.
pub const WORKS: [&str; 3] = ["tcp-rr", "tcp-crr", PACKETS];
/// Packets a second that the flood has reached.
pub const PACKETS: &str = "flood-packets";
/// Of the kinds of rules the usual one.
pub const MODES: [&str; 3] = ["none", "iptables-nft", "netd"];
/// That of a quick run, whose build is slow.
const QUICK_RATE: u32 = 2_000;
/// Seconds for which netfilter keeps connections that are over. By default 120, in which time those that are
/// measured would take half of its table, and keep the flood from it; netd has 10. What the flood leaves stays
/// as long as it does by default.
const TIME_WAIT: (&str, &str) = ("net.netfilter.nf_conntrack_tcp_timeout_time_wait", "10");
/// Who dials.
const PATHS: [Path; 2] = [Path::PublishedOutside, Path::Outwards];

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    let wanted = |path: &Path| plan.wants(path.name());
    let paths: Vec<Path> = PATHS.into_iter().filter(wanted).collect();
    let mut stands = Wanted {
        section: "flood",
        modes: &MODES,
        paths: &paths,
        ports: 1,
        scale: 0,
    }
    .set_up(plan, recorder);
    for stand in &stands {
        let mode = &stand.driven.mode;
        if mode.name() == "iptables-nft" {
            mode.place().host().sysctl(TIME_WAIT.0, TIME_WAIT.1)?;
        }
    }
    for round in 0..plan.rounds {
        let (number, rounds) = (round + 1, plan.rounds);
        recorder.say(&format!("Flood: round {number} of {rounds}"));
        for flood in floods::ALL.into_iter().filter(|one| wanted(&one.path)) {
            for work in floods::ORDINARY {
                let turn = Turn { flood, work, round };
                if plan.wants(work) || plan.wants(PACKETS) {
                    turn.take(plan, recorder, &mut stands)?;
                }
            }
        }
        recorder.save()?;
    }
    Ok(())
}

/// One work beside one flood, with every mode.
struct Turn {
    flood: Flood,
    work: &'static str,
    round: u32,
}

impl Turn {
    fn take(&self, plan: &Plan, recorder: &mut Recorder, stands: &mut [Stand]) -> Result<()> {
        let rate = if plan.quick { QUICK_RATE } else { floods::RATE };
        for stand in stands.iter_mut().filter(|stand| stand.has(self.flood.path)) {
            let quiet = self.sample(plan, stand, 0)?;
            let mut flood = self.flood.start(&stand.driven, rate)?;
            let beside = self.sample(plan, stand, rate)?;
            let packets = self.packets(&beside, flood.rate()?);
            drop(flood);
            for sample in [quiet, beside, packets] {
                tell_losses(recorder, &sample);
                if plan.wants(&sample.row.work) {
                    recorder.sample(sample);
                }
            }
        }
        Ok(())
    }

    fn sample(&self, plan: &Plan, stand: &mut Stand, rate: u32) -> Result<Sample> {
        let job = Job {
            work: self.work,
            path: self.flood.path,
            cores: Cores::Same,
            during: plan.sample,
            limit: u64::MAX,
        };
        let mut sample = stand
            .driven
            .sample(&job, Group::Flood, rate.into(), self.round)?;
        self.flood.name.clone_into(&mut sample.row.path);
        Ok(sample)
    }

    /// The flood's own rate.
    fn packets(&self, beside: &Sample, value: f64) -> Sample {
        Sample {
            row: Row {
                work: PACKETS.to_owned(),
                unit: Unit::PerSecond,
                ..beside.row.clone()
            },
            mode: beside.mode.clone(),
            round: self.round,
            value,
            latency: None,
            lost: 0,
        }
    }
}
