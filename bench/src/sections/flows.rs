//! New flows, by how many established ones are in the table. Those are TCP connections to the
//! published port whose ends have gone without a word, so that nothing but the table is fuller.

use anyhow::{Context, Result, ensure};

use super::stands::{Stand, Wanted, take_turns};
use crate::{
    drive::Job,
    plan::Plan,
    record::{Cores, Group},
    recorder::Recorder,
    topology::Path,
};

/// Works of this section.
pub const WORKS: [&str; 2] = ["udp-new-flows", "tcp-crr"];
/// Modes that have a table of flows; of the two kinds of iptables the usual one.
const MODES: [&str; 3] = ["iptables-nft", "nftables", "netd"];
/// Flows in the table.
const SCALES: [u64; 3] = [0, 10_000, 200_000];
/// Those of a quick run.
const QUICK: [u64; 2] = [0, 1_000];
/// Who dials.
const PATH: Path = Path::PublishedOutside;
/// Seconds for which netfilter keeps connections that are over and datagrams that were answered
/// once. By default 120 and 30, in which time measuring itself would fill its table (262,144); netd
/// has 10 for the one, and a table of its own that evicts for the other.
const TIMEOUTS: [(&str, &str); 2] = [
    ("net.netfilter.nf_conntrack_tcp_timeout_time_wait", "10"),
    ("net.netfilter.nf_conntrack_udp_timeout", "10"),
];

/// Measures.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    if !plan.wants(PATH.name()) {
        return Ok(());
    }
    let scales: &[u64] = if plan.quick { &QUICK } else { &SCALES };
    let mut stands = Vec::new();
    for scale in scales {
        let wanted = Wanted {
            section: "flows",
            modes: &MODES,
            paths: &[PATH],
            ports: 1,
            scale: *scale,
        };
        for mut stand in wanted.set_up(plan, recorder) {
            fill(&mut stand).with_context(|| stand.driven.mode.name())?;
            stands.push(stand);
        }
    }
    let jobs: Vec<Job> = WORKS
        .into_iter()
        .filter(|work| plan.wants(work))
        .map(|work| Job {
            work,
            path: PATH,
            cores: Cores::Same,
            during: plan.sample,
            limit: u64::MAX,
        })
        .collect();
    take_turns(plan, recorder, Group::Flows, &mut stands, &jobs)?;
    for stand in &stands {
        let flows = stand.driven.mode.flows()?;
        let (name, scale) = (stand.driven.mode.name(), stand.scale);
        recorder.say(&format!("flows, {name} at {scale}: {flows} at the end"));
        ensure!(flows >= scale, "{name}: only {flows} of {scale} flows left");
    }
    Ok(())
}

fn fill(stand: &mut Stand) -> Result<()> {
    if stand.driven.mode.name() != "netd" {
        let host = stand.driven.mode.place().host();
        for (name, seconds) in TIMEOUTS {
            host.sysctl(name, seconds)?;
        }
    }
    if stand.scale == 0 {
        return Ok(());
    }
    stand.driven.hold(stand.scale)?;
    let flows = stand.driven.mode.flows()?;
    let scale = stand.scale;
    ensure!(flows >= scale, "its table has {flows} of {scale} flows");
    Ok(())
}
