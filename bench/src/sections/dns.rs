//! Questions for names: how many a second a core answers, and how long one takes. Names of
//! containers (`dns-local`), names that have to be asked for elsewhere (`dns-forwarded`), and such
//! names asked for again (`dns-cached`: whoever keeps answers gains here).

use std::{net::UdpSocket, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    dns::{self, Asked, Bed, Client, Questions, cores, fresh_name},
    load::pin,
    plan::Plan,
    record::{Cores, Group, Row, Sample, Unit},
    recorder::Recorder,
};

/// Works of this section, in the order of the table.
pub const WORKS: &[&str] = &["dns-local", "dns-forwarded", "dns-cached"];

/// Names that `dns-cached` asks for, over and over.
const CACHED: u32 = 16;
/// Numbers of fresh names begin above those.
const FRESH: u32 = 1 << 16;
/// Before each measuring.
const WARM_UP: Duration = Duration::from_millis(50);
/// When a resolver that was just made should answer.
const READY: Duration = Duration::from_secs(10);

/// A resolver's mode, and how it is made with so many names.
type Make = (&'static str, fn(&Path, u16) -> Result<Bed>);

/// The resolvers that need no engine around them.
const RESOLVERS: [Make; 2] = [("netd", dns::netd), ("aardvark-dns", dns::aardvark)];
/// Names that they know.
const NAMES: u16 = 100;

/// The section. Resolvers take turns, work by work.
pub fn run(plan: &Plan, recorder: &mut Recorder) -> Result<()> {
    let names = if plan.quick { 3 } else { NAMES };
    let mut beds = Vec::new();
    for (mode, make) in RESOLVERS {
        if plan.wants(mode) {
            recorder.say(&format!("dns: {mode} with {names} names"));
            match make(&plan.netd, names) {
                Ok(bed) => beds.push(bed),
                Err(error) => recorder.gap(format!("dns with {mode}"), format!("{error:#}")),
            }
        }
    }
    let mut askers = beds.iter().map(Asker::new).collect::<Result<Vec<_>>>()?;
    for round in 0..plan.rounds {
        recorder.say(&format!("dns: round {}", round + 1));
        for work in WORKS.iter().filter(|work| plan.wants(work)) {
            for asker in &mut askers {
                for sample in asker.samples(work, round, plan.sample)? {
                    recorder.sample(sample);
                }
            }
        }
    }
    Ok(())
}

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
            latency: asked.latency.clone(),
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
        let (socket, questions, number) = self.parts(work)?;
        let before = self.bed.forwarded();
        let (asked, next) = std::thread::scope(|scope| {
            let asking = scope.spawn(|| -> Result<_> {
                pin(cores::FIRST)?;
                let mut client = Client::new(socket, questions, number)?;
                Ok((ask(&mut client)?, client.number()))
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
        self.number = self.number.max(next);
        Ok(asked)
    }

    fn client(&self, work: &str) -> Result<Client> {
        let (socket, questions, number) = self.parts(work)?;
        Client::new(socket, questions, number)
    }

    /// What a client is made of; the client itself stays on its thread.
    fn parts(&self, work: &str) -> Result<(UdpSocket, Questions, u32)> {
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
        Ok((self.bed.socket()?, questions, number))
    }
}
