//! Every target over its corpus: what was interesting once, or broke something, stays right. Needs
//! neither root nor a fuzzer.

use std::{fs, path::PathBuf};

use netd_fuzz::TARGETS;

/// Fewer are no corpus.
const FEWEST: usize = 10;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[test]
fn the_corpus_breaks_no_promise() {
    for (name, target) in TARGETS {
        let folder = corpus().join(name);
        let mut count = 0;
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("a file");
            // Shown by the test harness if it panics.
            println!("{}", path.display());
            target(&bytes);
            // What stops in the middle is a case of its own.
            for length in 0..bytes.len() {
                target(&bytes[..length]);
            }
            count += 1;
        }
        assert!(count >= FEWEST, "{name}: {count} files");
    }
}

/// Each file of the corpus with octets that are drawn anew in each run; the seed is printed.
#[test]
fn mutants_of_the_corpus_break_no_promise() {
    const MUTANTS: u64 = 20_000;
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH
            .elapsed()
            .map_or(1, |since| since.as_nanos() as u64),
    };
    println!("SEED={seed}");
    let mut random = Random(seed);
    for (name, target) in TARGETS {
        let files: Vec<Vec<u8>> = fs::read_dir(corpus().join(name))
            .expect("a corpus")
            .map(|entry| fs::read(entry.expect("an entry").path()).expect("a file"))
            .collect();
        for _ in 0..MUTANTS {
            let mut bytes = files[random.below(files.len())].clone();
            for _ in 0..=random.below(4) {
                mutate(&mut bytes, &files, &mut random);
            }
            target(&bytes);
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, files: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(4) {
        0 => bytes.insert(at, random.next() as u8),
        1 => bytes.truncate(at),
        // The end of another file.
        2 => {
            let other = &files[random.below(files.len())];
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            if let Some(octet) = bytes.get_mut(at) {
                *octet = match random.below(3) {
                    0 => [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff][random.below(8)],
                    _ => random.next() as u8,
                };
            }
        }
    }
}

/// SplitMix64: enough to choose.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
