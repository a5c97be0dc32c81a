//! Questions for names: how many a second a core answers, and how long one takes. Names of
//! containers (`dns-local`), names that have to be asked for elsewhere (`dns-forwarded`), and such
//! names asked for again (`dns-cached`: whoever keeps answers gains here).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    dns::{Asked, Bed, Client, Questions, cores, fresh_name},
    record::{Cores, Group, Latency, Row, Sample, Unit},
};

/// Works of this section, in the order of the table.
pub const WORKS: [&str; 3] = ["dns-local", "dns-forwarded", "dns-cached"];

/// Names that `dns-cached` asks for, over and over.
const CACHED: u32 = 16;
/// Numbers of fresh names begin above those.
const FRESH: u32 = 1 << 16;
/// Before each measuring.
const WARM_UP: Duration = Duration::from_millis(50);
/// When a resolver that was just made should answer.
const READY: Duration = Duration::from_secs(10);
/// Points of a latency distribution's curve.
const POINTS: usize = 100;

/// What one resolver was asked so far.
pub struct Asker<'a> {
    bed: &'a Bed,
    /// The next fresh name.
    number: u32,
}

impl<'a> Asker<'a> {
    /// Waits until the resolver answers both kinds of names.
    pub fn new(bed: &'a Bed) -> Result<Asker<'a>> {
        let mut asker = Asker { bed, number: FRESH };
        for work in WORKS {
            let mut client = asker.client(work)?;
            client
                .wait_until_answered(READY)
                .with_context(|| format!("{} on {}", work, bed.mode))?;
            asker.number = asker.number.max(client.number());
        }
        Ok(asker)
    }

    /// One work for one round: its rate on one core, and the time of a question with client and
    /// resolver on different ones.
    pub fn samples(&mut self, work: &str, round: u32, during: Duration) -> Result<[Sample; 2]> {
        let bed = self.bed;
        let sample = |cores, unit, asked: &Asked, value| Sample {
            row: Row {
                group: Group::Dns,
                work: work.to_owned(),
                path: String::new(),
                scale: bed.names.len() as u64,
                cores,
                unit,
            },
            mode: bed.mode.clone(),
            round,
            value,
            latency: distribution(&asked.times),
            lost: asked.lost,
        };
        let rate = self.measure(work, cores::FIRST, |client| {
            client.rate(WARM_UP)?;
            client.rate(during)
        })?;
        let one = self.measure(work, cores::second(), |client| {
            client.latency(WARM_UP)?;
            client.latency(during)
        })?;
        ensure!(rate.answered > 0 && one.answered > 0, "no answer");
        let a_second = rate.answered as f64 / rate.seconds;
        let single = sample(Cores::Different, Unit::Nanoseconds, &one, 0.0);
        let median = single.latency.as_ref().map_or(0, |latency| latency.p50);
        Ok([
            sample(Cores::Same, Unit::PerSecond, &rate, a_second),
            Sample {
                value: median as f64,
                ..single
            },
        ])
    }

    /// Does `work` with a client on the first core and the resolver on `core`.
    fn measure(
        &mut self,
        work: &str,
        core: usize,
        ask: impl FnOnce(&mut Client) -> Result<Asked> + Send,
    ) -> Result<Asked> {
        self.bed.pin(core)?;
        let mut client = self.client(work)?;
        let before = self.bed.forwarded();
        let asked = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                cores::pin_thread(cores::FIRST)?;
                ask(&mut client)
            });
            asking.join().expect("the client does not panic")
        })?;
        let forwarded = self.bed.forwarded() - before;
        // Else a resolver would look fast by answering what it was not asked for.
        match work {
            "dns-local" => ensure!(forwarded == 0, "{forwarded} local names were forwarded"),
            "dns-forwarded" => ensure!(
                forwarded >= asked.answered,
                "{} answers, but {forwarded} questions upstream",
                asked.answered
            ),
            _ => (),
        }
        self.number = self.number.max(client.number());
        Ok(asked)
    }

    fn client(&self, work: &str) -> Result<Client> {
        let (questions, number) = match work {
            "dns-local" => (Questions::known(&self.bed.names)?, 0),
            "dns-forwarded" => (Questions::fresh()?, self.number),
            _ => {
                let names: Vec<_> = (0..CACHED)
                    .map(|number| (fresh_name(number), number.into()))
                    .collect();
                (Questions::known(&names)?, 0)
            }
        };
        Client::new(self.bed.socket()?, questions, number)
    }
}

/// Durations in nanoseconds, summed up; nothing where there are none.
fn distribution(times: &[u64]) -> Option<Latency> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    let at = |quantile: f64| sorted[(last as f64 * quantile).round() as usize];
    let curve = (0..=POINTS).map(|point| {
        let quantile = point as f64 / POINTS as f64;
        (quantile, at(quantile))
    });
    Some(Latency {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        curve: curve.collect(),
    })
}
