//! When work goes on that nobody waits for: not while requests wait, nor right behind one, since who
//! makes several sends the next at once; but never put off for longer than each kind of work bears.
//! Pure: the time is an argument.

use std::time::{Duration, Instant};

use super::background::{SLACK, SLICE};

/// How long events are gathered before what they name is compared: a change of somebody else's
/// often comes in several.
const SETTLE: Duration = Duration::from_millis(50);
/// How often memory that was freed is given back. The first time is right after the start, which
/// needs the most.
const TRIM: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// Nothing begins for so long after an answer. A program that makes one sandbox after the other is back
/// within a millisecond; a slice takes ten.
const BREATH: Duration = Duration::from_millis(5);
/// How much later than it is due work may begin because of requests.
const PATIENCE: Duration = Duration::from_millis(500);

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Neighbours of one sandbox are told of its addresses.
    Announce,
    /// What events named is compared.
    Settle,
    /// The background walk goes on by a slice.
    Slice,
    /// The walk for flows that are over goes on by a slice.
    Collect,
    /// What is done each second.
    Second,
    /// Memory is given back.
    Trim,
}

impl Task {
    const ALL: [Task; 6] = [
        Task::Announce,
        Task::Settle,
        Task::Slice,
        Task::Collect,
        Task::Second,
        Task::Trim,
    ];

    fn patience(self) -> Duration {
        match self {
            // A walk has a time by which it has to be through, a slice has none.
            Task::Slice => SLACK,
            Task::Announce | Task::Settle | Task::Collect | Task::Second | Task::Trim => PATIENCE,
        }
    }
}

/// When each kind of work is due.
#[derive(Clone, Copy, Debug)]
pub struct Upkeep {
    announce: Option<Instant>,
    settle: Option<Instant>,
    slice: Instant,
    collect: Instant,
    second: Instant,
    trim: Instant,
    answered: Option<Instant>,
    /// Requests have had their turn since work was last done.
    turn: bool,
}

impl Upkeep {
    /// Everything that comes again and again is due at once.
    pub fn start(now: Instant) -> Upkeep {
        Upkeep {
            announce: None,
            settle: None,
            slice: now,
            collect: now,
            second: now,
            trim: now,
            answered: None,
            turn: false,
        }
    }

    /// A request was answered.
    pub fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
        self.turn = true;
    }

    /// The kernel told of a change.
    pub fn told(&mut self, now: Instant) {
        self.settle = self.settle.or(Some(now + SETTLE));
    }

    /// An announcement is due then; one that is due already stays so until it is made.
    pub fn announces(&mut self, due: Option<Instant>) {
        self.announce = due.map(|due| self.announce.map_or(due, |waiting| waiting.min(due)));
    }

    /// All flows have been looked at. A walk over tables that are nearly empty is one slice, and takes as
    /// long as it takes to find that out: the next one has time.
    pub fn collected(&mut self, now: Instant) {
        self.collect = now + SECOND;
    }

    /// What has waited for as long as it may: it goes before the next request, but then that one goes.
    /// `walks`: the background walk goes on at all.
    pub fn overdue(&self, now: Instant, walks: bool) -> Option<Task> {
        if !self.turn {
            return None;
        }
        let over = self
            .pending(walks)
            .find(|(task, due)| now >= *due + task.patience());
        over.map(|(task, _)| task)
    }

    /// What comes next, and when it may begin if no request comes first.
    pub fn next(&self, walks: bool) -> (Instant, Task) {
        let begins = |(task, due): (Task, Instant)| {
            let rested = self.answered.map_or(due, |answered| answered + BREATH);
            (due.max(rested.min(due + task.patience())), task)
        };
        let first = self.pending(walks).map(begins).min_by_key(|(at, _)| *at);
        first.unwrap_or((self.second, Task::Second))
    }

    /// Work begins now: when it is due again. What was missed is left out; but a walk makes up for what
    /// requests have kept it from.
    pub fn begins(&mut self, task: Task, now: Instant) {
        self.turn = false;
        match task {
            Task::Announce => self.announce = None,
            Task::Settle => self.settle = None,
            Task::Slice => {
                let latest = now.checked_sub(2 * SLACK).unwrap_or(now);
                self.slice = self.slice.max(latest) + SLICE;
            }
            Task::Collect => self.collect = now + SLICE,
            Task::Second => self.second = now + SECOND,
            Task::Trim => self.trim = now + TRIM,
        }
    }

    fn pending(&self, walks: bool) -> impl Iterator<Item = (Task, Instant)> {
        let due = move |task| match task {
            Task::Announce => self.announce,
            Task::Settle => self.settle,
            Task::Slice => walks.then_some(self.slice),
            Task::Collect => Some(self.collect),
            Task::Second => Some(self.second),
            Task::Trim => Some(self.trim),
        };
        Task::ALL
            .into_iter()
            .filter_map(move |task| Some((task, due(task)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::background::SLICES;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// All done for now but the given work, which is due then.
    fn due(task: Task, at: Instant) -> Upkeep {
        let far = at + Duration::from_secs(86_400);
        let mut upkeep = Upkeep {
            announce: None,
            settle: None,
            slice: far,
            collect: far,
            second: far,
            trim: far,
            answered: None,
            turn: false,
        };
        match task {
            Task::Announce => upkeep.announces(Some(at)),
            Task::Settle => upkeep.settle = Some(at),
            Task::Slice => upkeep.slice = at,
            Task::Collect => upkeep.collect = at,
            Task::Second => upkeep.second = at,
            Task::Trim => upkeep.trim = at,
        }
        upkeep
    }

    #[test]
    fn an_idle_agent_works_when_work_is_due() {
        let now = Instant::now();
        for task in Task::ALL {
            let mut upkeep = due(task, now);
            assert_eq!(upkeep.next(true), (now, task));
            upkeep.begins(task, now);
            assert!(upkeep.next(true).0 > now, "{task:?}");
        }
    }

    #[test]
    fn nothing_begins_right_behind_a_request() {
        let now = Instant::now();
        for task in Task::ALL {
            let mut upkeep = due(task, now);
            upkeep.answered(now + MILLISECOND);
            assert_eq!(upkeep.overdue(now + MILLISECOND, true), None);
            assert_eq!(upkeep.next(true), (now + MILLISECOND + BREATH, task));
        }
    }

    #[test]
    fn requests_without_end_put_nothing_off_for_ever() {
        for task in Task::ALL {
            let start = Instant::now();
            let mut upkeep = due(task, start);
            let mut now = start;
            while upkeep.overdue(now, true).is_none() {
                upkeep.answered(now);
                if now < start + task.patience() {
                    assert!(upkeep.next(true).0 > now, "{task:?}");
                    now += MILLISECOND;
                }
                assert!(now <= start + task.patience(), "{task:?}");
            }
            assert_eq!(upkeep.overdue(now, true), Some(task));
            upkeep.begins(task, now);
            assert_eq!(upkeep.overdue(now, true), None, "requests have their turn");
        }
    }

    #[test]
    fn a_walk_is_through_in_time_whatever_comes_between() {
        // A request of 40 ms after the other, each a millisecond after the answer.
        let start = Instant::now();
        let (mut upkeep, mut now) = (due(Task::Slice, start), start);
        let mut slices = 0;
        while slices < SLICES {
            upkeep.answered(now);
            if upkeep.overdue(now, true).is_some() {
                upkeep.begins(Task::Slice, now);
                slices += 1;
                now += 10 * MILLISECOND;
                continue;
            }
            now += 41 * MILLISECOND;
        }
        assert!(now - start <= Duration::from_secs(30), "{:?}", now - start);
    }

    #[test]
    fn a_walk_that_fell_back_catches_up_where_it_is_quiet() {
        let start = Instant::now();
        let mut upkeep = due(Task::Slice, start);
        let now = start + Duration::from_secs(1);
        for _ in 0..10 {
            assert!(upkeep.next(true).0 <= now);
            upkeep.begins(Task::Slice, now);
        }
        // But not what an agent missed that stood still for an hour.
        let now = start + Duration::from_secs(3600);
        let mut slices = 0;
        while upkeep.next(true).0 <= now {
            upkeep.begins(Task::Slice, now);
            slices += 1;
            assert!(slices < SLICES, "without end");
        }
    }

    #[test]
    fn an_announcement_waits_from_when_it_was_first_due() {
        let now = Instant::now();
        let mut upkeep = due(Task::Announce, now);
        // Others come meanwhile, and are due when they are asked about.
        for milliseconds in 1..100 {
            upkeep.announces(Some(now + milliseconds * MILLISECOND));
        }
        assert_eq!(upkeep.next(true), (now, Task::Announce));
        // What is due later moves with what is left.
        upkeep.begins(Task::Announce, now);
        upkeep.announces(Some(now + PATIENCE));
        assert_eq!(upkeep.next(true), (now + PATIENCE, Task::Announce));
        upkeep.announces(None);
        assert_ne!(upkeep.next(true).1, Task::Announce);
    }

    #[test]
    fn a_walk_over_flows_rests_at_its_end() {
        let now = Instant::now();
        let mut upkeep = due(Task::Collect, now);
        upkeep.begins(Task::Collect, now);
        assert_eq!(upkeep.next(true), (now + SLICE, Task::Collect));
        upkeep.collected(now);
        assert_eq!(upkeep.next(true), (now + SECOND, Task::Collect));
    }

    #[test]
    fn events_are_gathered_from_the_first_one_on() {
        let now = Instant::now();
        let mut upkeep = due(Task::Trim, now + Duration::from_secs(10));
        upkeep.told(now);
        upkeep.told(now + 10 * MILLISECOND);
        assert_eq!(upkeep.next(true), (now + SETTLE, Task::Settle));
    }

    #[test]
    fn no_walk_where_everything_is_to_be_compared() {
        let now = Instant::now();
        let upkeep = due(Task::Slice, now);
        assert_ne!(upkeep.next(false).1, Task::Slice);
        assert_eq!(upkeep.overdue(now + 2 * SLACK, false), None);
    }
}
