//! Mutated packets, a million for each program, on all CPUs, and random octets. What is mutated comes in
//! batches that begin without flows and depend on the seed and the batch's number alone, so that one can
//! be repeated.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use netd_common::abi::{Program, drops::DropKey};
use netd_tests::bpf::{Host, Input, Kernel, Output, PROGRAMS, World, action};

use crate::{
    compare_flows, conversations,
    dice::{Dice, HOOKS},
    is_not_for_test_runs, number, words,
};

/// Packets that each program decides, at least. `PACKETS=number` asks for more, or on an emulated
/// machine for fewer.
const PACKETS: u64 = 1_000_000;
/// Packets of a batch, at most: none of the tests' tables is full after it.
const BATCH: u64 = 4_096;
/// Packets after which fragments are forgotten: far below a second, after which the kernel forgets some.
const FRAGMENTS_LAST: u64 = 64;
/// ICMP errors after which there may be more: fewer than may be made at once.
const ERRORS_LAST: u32 = 40;
/// Mutants of a packet in its conversation.
const MUTANTS: u32 = 24;
/// Of random octets: packets of each length, and the longest.
const EACH: u32 = 50;
const LONGEST: usize = 128;
/// The seed of an ordinary run, so that a failure is of the change at hand.
const SEED: u64 = 0x6e65_7464;

/// What is decided, and how much of it has been.
pub struct Run {
    seed: u64,
    packets: u64,
    only: Option<u64>,
    /// Where the packets are.
    pub world: World,
    files: Vec<File>,
    recorded: Vec<Input>,
    decided: [AtomicU64; PROGRAMS.len()],
    next: AtomicU64,
    failed: AtomicBool,
    faults: Mutex<Vec<String>>,
}

/// A conversation.
struct File {
    packets: Vec<Packet>,
}

/// A packet, and the places of the programs that decide it.
struct Packet {
    input: Input,
    by: [Option<usize>; 2],
}

impl File {
    fn reaches(&self, place: usize) -> bool {
        self.packets.iter().any(|packet| packet.reaches(place))
    }
}

impl Packet {
    fn reaches(&self, place: usize) -> bool {
        self.by.contains(&Some(place))
    }
}

impl Run {
    /// With the environment's wishes.
    pub fn new() -> Run {
        let world = World::new();
        let (mut files, mut recorded) = (Vec::new(), Vec::new());
        for (_, vectors) in conversations(&world) {
            let mut host = Host::new(world.clone());
            let packets = vectors.into_iter().map(|vector| {
                let input = vector.input;
                let fate = host.decide(&input, &mut Vec::new());
                recorded.push(input.clone());
                let by = [Some(input.program), fate.handed_to].map(|by| by.and_then(place));
                Packet { input, by }
            });
            let packets = packets.collect();
            files.push(File { packets });
        }
        Run {
            seed: number("SEED").unwrap_or(SEED),
            packets: number("PACKETS").unwrap_or(PACKETS),
            only: number("BATCH"),
            world,
            files,
            recorded,
            decided: Default::default(),
            next: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            faults: Mutex::default(),
        }
    }

    /// Mutated packets: as many as are wished for, by each program.
    pub fn mutated(&self, kernel: &mut Kernel) {
        println!("SEED={} PACKETS={}", self.seed, self.packets);
        let begin = Instant::now();
        // Each loads the programs, which for few packets takes longer than deciding them.
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let threads = cores.min(self.packets.div_ceil(BATCH));
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| Kernel::with(&self.world, |kernel| self.work(kernel)));
            }
            self.work(kernel);
        });
        println!("{:?} in {:?}", self.counts(), begin.elapsed());
        let faults = self.faults.lock().expect("no thread panics with it");
        assert!(
            faults.is_empty(),
            "SEED={}: {}",
            self.seed,
            faults.join("\n")
        );
        let decided = PROGRAMS.iter().zip(&self.decided);
        let few: Vec<_> = decided
            .filter(|(_, decided)| decided.load(Ordering::Relaxed) < self.packets)
            .collect();
        assert!(self.only.is_some() || few.is_empty(), "too few: {few:?}");
    }

    /// Random octets at each hook, of each length from none on.
    pub fn random_octets(&self, kernel: &mut Kernel) {
        let mut dice = Dice::new(self.seed, 0);
        let mut pair = Pair::new(kernel, &self.world);
        let mut input = self.recorded[0].clone();
        for hook in HOOKS {
            let mut own = self.recorded.clone();
            own.retain(|input| input.program == hook);
            for length in 0..=LONGEST {
                for _ in 0..EACH {
                    dice.random(&own, length, &mut input);
                    if let Some(fault) = pair.decide(&input) {
                        panic!("SEED={}: {fault}", self.seed);
                    }
                }
            }
            if let Some(fault) = pair.compare_state() {
                panic!(
                    "SEED={}: random octets at {}: {fault}",
                    self.seed,
                    hook.name()
                );
            }
            pair.begin();
        }
    }

    fn work(&self, kernel: &mut Kernel) {
        while let Some(number) = self.next() {
            if let Some(fault) = self.batch(kernel, number) {
                self.failed.store(true, Ordering::Relaxed);
                let mut faults = self.faults.lock().expect("nobody panics with it");
                faults.push(format!("BATCH={number}, {fault}"));
            }
        }
    }

    /// The next batch whose program has not decided enough yet.
    fn next(&self) -> Option<u64> {
        if self.failed.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(only) = self.only {
            return (self.next.fetch_add(1, Ordering::Relaxed) == 0).then_some(only);
        }
        let lacks = |at: usize| self.decided[at].load(Ordering::Relaxed) < self.packets;
        while (0..PROGRAMS.len()).any(lacks) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if lacks(number as usize % PROGRAMS.len()) {
                return Some(number);
            }
        }
        None
    }

    /// A batch for one program; what differs, if anything does.
    fn batch(&self, kernel: &mut Kernel, number: u64) -> Option<String> {
        let focus = number as usize % PROGRAMS.len();
        let mut dice = Dice::new(self.seed, number);
        let mut pair = Pair::new(kernel, &self.world);
        let size = BATCH.min(self.packets);
        let fault = if HOOKS.contains(&PROGRAMS[focus]) {
            self.at_hook(&mut pair, &mut dice, focus, size)
        } else {
            self.in_conversations(&mut pair, &mut dice, focus, size)
        };
        for (sum, more) in self.decided.iter().zip(pair.decided) {
            sum.fetch_add(more, Ordering::Relaxed);
        }
        fault.or_else(|| pair.compare_state())
    }

    /// Mutants of what was recorded at a hook, and some of the rest, which leaves flows and fragments.
    fn at_hook(&self, pair: &mut Pair, dice: &mut Dice, focus: usize, size: u64) -> Option<String> {
        let packets = self.files.iter().flat_map(|file| &file.packets);
        let own: Vec<&Input> = packets
            .filter(|packet| packet.reaches(focus))
            .map(|packet| &packet.input)
            .collect();
        let mut input = self.recorded[0].clone();
        while pair.rounds < size {
            let original = match dice.below(4) {
                0 => dice.one(&self.recorded),
                _ => dice.one(&own),
            };
            dice.mutate(original, 0, &mut input);
            if dice.below(16) == 0 {
                let other = dice.one(&self.recorded);
                input.program = other.program;
                input.ifindex = other.ifindex;
                input.ingress = other.ingress;
            }
            if let Some(fault) = pair.decide(&input) {
                return Some(fault);
            }
        }
        None
    }

    /// Recorded conversations as they are, and between, mutants of those packets that reach the
    /// program: else hardly any would, without its flow and with a wrong header.
    fn in_conversations(
        &self,
        pair: &mut Pair,
        dice: &mut Dice,
        focus: usize,
        size: u64,
    ) -> Option<String> {
        let files: Vec<&File> = self
            .files
            .iter()
            .filter(|file| file.reaches(focus))
            .collect();
        let mut input = self.recorded[0].clone();
        while pair.rounds < size {
            for packet in &dice.one(&files).packets {
                if let Some(fault) = pair.decide(&packet.input) {
                    return Some(fault);
                }
                let mutants = if packet.reaches(focus) { MUTANTS } else { 0 };
                for _ in 0..mutants {
                    // Most of them behind the addresses.
                    let behind = match packet.input.program {
                        Program::FromUplinkL3 | Program::ToUplinkL3 => 20,
                        _ => 34,
                    };
                    let from = *dice.one(&[0, behind, behind, behind]);
                    dice.mutate(&packet.input, from, &mut input);
                    if let Some(fault) = pair.decide(&input) {
                        return Some(fault);
                    }
                }
            }
            if let Some(fault) = pair.compare_state() {
                return Some(fault);
            }
            pair.begin();
        }
        None
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = PROGRAMS.iter().zip(&self.decided);
        counts
            .map(|(program, count)| (program.name(), count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// Both sides of the comparison, and what has been compared.
struct Pair<'a> {
    kernel: &'a mut Kernel,
    host: Host,
    rounds: u64,
    decided: [u64; PROGRAMS.len()],
    /// What the kernel's counters should be.
    drops: BTreeMap<DropKey, u64>,
    errors: u32,
    expected: Vec<u8>,
    found: Vec<u8>,
}

impl<'a> Pair<'a> {
    fn new(kernel: &'a mut Kernel, world: &World) -> Pair<'a> {
        let mut pair = Pair {
            drops: kernel.drops(),
            kernel,
            host: Host::new(world.clone()),
            rounds: 0,
            decided: Default::default(),
            errors: ERRORS_LAST,
            expected: Vec::new(),
            found: Vec::new(),
        };
        pair.begin();
        pair
    }

    /// Forgets what packets have left.
    fn begin(&mut self) {
        self.host.forget_flows();
        self.host.forget_fragments();
        self.kernel.forget_flows();
        self.kernel.forget_fragments();
    }

    /// A packet on both sides; what differs, if anything does.
    fn decide(&mut self, input: &Input) -> Option<String> {
        if self.errors >= ERRORS_LAST {
            self.kernel.allow_errors();
            self.errors = 0;
        }
        if self.rounds.is_multiple_of(FRAGMENTS_LAST) && self.host.has_fragments() {
            self.kernel.forget_fragments();
            self.host.forget_fragments();
        }
        let round = self.rounds;
        self.rounds += 1;
        let found = self.kernel.decide(input, &mut self.found);
        if found.is_err() && is_not_for_test_runs(&input.bytes) {
            return None;
        }
        let fate = self.host.decide(input, &mut self.expected);
        match found {
            Err(error) => return Some(format!("the kernel does not run {input:?}: {error}")),
            Ok((action, _)) if action == fate.action && self.found == self.expected => {}
            Ok((action, _)) => {
                let output = |action, bytes: &[u8]| Output {
                    action,
                    bytes: bytes.to_vec(),
                    dropped: None,
                };
                return Some(format!(
                    "packet {round} ({}):\nhost {}\nkernel {}\nof {input:?}",
                    self.host.words(&fate),
                    words(&output(fate.action, &self.expected)),
                    words(&output(action, &self.found))
                ));
            }
        }
        for program in [Some(input.program), fate.handed_to] {
            if let Some(at) = program.and_then(place) {
                self.decided[at] += 1;
            }
        }
        if let Some(key) = fate.dropped {
            *self.drops.entry(key).or_default() += 1;
            self.errors += u32::from(fate.action == action::REDIRECT);
        }
        None
    }

    /// Counters and flows.
    fn compare_state(&self) -> Option<String> {
        compare_drops(&self.drops, &self.kernel.drops())
            .or_else(|| compare_flows(self.kernel, &self.host))
    }
}

fn place(program: Program) -> Option<usize> {
    PROGRAMS.iter().position(|other| *other == program)
}

fn compare_drops(
    expected: &BTreeMap<DropKey, u64>,
    found: &BTreeMap<DropKey, u64>,
) -> Option<String> {
    let keys = expected.keys().chain(found.keys());
    let differing: BTreeMap<_, _> = keys
        .map(|key| (key, (expected.get(key), found.get(key))))
        .filter(|(_, (expected, found))| expected != found)
        .collect();
    (!differing.is_empty()).then(|| format!("drops on the host and in the kernel: {differing:#?}"))
}
