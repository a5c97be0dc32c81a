//! Pinned maps filled with entries that mean nothing, until they are full.

use std::time::Duration;

use aya::maps::{HashMap, LpmTrie, Map, MapData, PerCpuHashMap, PerCpuValues, lpm_trie::Key};
use netd_common::abi::{
    ABI_VERSION,
    flow::{Flow, FlowKey},
    maps,
};
use netd_tests::lab::Lab;
use zerocopy::FromBytes as _;

/// Adds entries until there is no room, or removes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Until the kernel refuses one, or as many as the map has room for, where it evicts.
    Fill,
    /// Those that are still there.
    Empty,
}

/// Does the job on an open map that has room for so many; how many entries it concerned.
pub type Shape = fn(Map, u32, Job) -> u32;

/// Does the job on the lab's map of that name.
///
/// # Panics
/// If the map was full of other things.
#[track_caller]
pub fn junk(lab: &Lab, name: &str, shape: Shape, job: Job) -> u32 {
    let path = format!("/sys/fs/bpf/netd/v{ABI_VERSION}/maps/{name}");
    // On the thread that sees the lab's bpffs.
    let count = lab.host().on(move || {
        let data = MapData::from_pin(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let room = data.info().expect("map info").max_entries();
        let map = Map::from_map_data(data).expect("a known type of map");
        shape(map, room, job)
    });
    assert!(job == Job::Empty || count > 0, "{name} takes nothing");
    count
}

/// The established flows' keys. (Thousands of flows are more than a listing is made for.)
pub fn established(lab: &Lab) -> Vec<FlowKey> {
    const FLOW: usize = size_of::<Flow>();
    let path = format!("/sys/fs/bpf/netd/v{ABI_VERSION}/maps/{}", maps::FLOWS);
    lab.host().on(move || {
        let data = MapData::from_pin(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let map = Map::from_map_data(data).expect("a known type of map");
        let map: HashMap<_, [u8; size_of::<FlowKey>()], [u8; FLOW]> =
            HashMap::try_from(map).expect("its types");
        // One that is deleted meanwhile ends the walk, or begins it anew: it is looked at again.
        let keys = map.keys().filter_map(Result::ok);
        keys.map(|key| FlowKey::read_from_bytes(&key).expect("its size"))
            .collect()
    })
}

/// A key that nobody has: no index, ifindex or address is so large.
fn key<const N: usize>(number: u32) -> [u8; N] {
    let mut key = [0xa5; N];
    let place = key.last_chunk_mut::<4>().expect("four octets");
    *place = (0x8000_0000 | number).to_ne_bytes();
    key
}

/// A hash map.
pub fn hash<const K: usize, const V: usize>(map: Map, room: u32, job: Job) -> u32 {
    let mut map: HashMap<_, [u8; K], [u8; V]> = HashMap::try_from(map).expect("its types");
    each(
        room,
        |number| match job {
            Job::Fill => map.insert(key(number), [0; V], 0).is_ok(),
            Job::Empty => map.remove(&key(number)).is_ok(),
        },
        job,
    )
}

/// A hash map with a value for each CPU.
pub fn per_cpu<const K: usize, const V: usize>(map: Map, room: u32, job: Job) -> u32 {
    let mut map: PerCpuHashMap<_, [u8; K], [u8; V]> =
        PerCpuHashMap::try_from(map).expect("its types");
    let cpus = aya::util::nr_cpus().expect("the number of CPUs");
    each(
        room,
        |number| match job {
            Job::Fill => {
                let values = PerCpuValues::try_from(vec![[0; V]; cpus]).expect("one each");
                map.insert(key(number), values, 0).is_ok()
            }
            Job::Empty => map.remove(&key(number)).is_ok(),
        },
        job,
    )
}

/// A trie, with keys of full length.
pub fn trie<const K: usize, const V: usize>(map: Map, room: u32, job: Job) -> u32 {
    let mut map: LpmTrie<_, [u8; K], [u8; V]> = LpmTrie::try_from(map).expect("its types");
    each(
        room,
        |number| {
            let key = Key::new(8 * K as u32, key(number));
            match job {
                Job::Fill => map.insert(&key, [0; V], 0).is_ok(),
                Job::Empty => map.remove(&key).is_ok(),
            }
        },
        job,
    )
}

/// Fills up to the first that is refused for good; empties all of them.
fn each(room: u32, mut done: impl FnMut(u32) -> bool, job: Job) -> u32 {
    // A map that allocates as it is filled has no memory in store now and then (ENOMEM).
    const TRIES: u32 = 50;
    let mut count = 0;
    for number in 0..=room {
        let mut tries = 0;
        while !done(number) {
            tries += 1;
            if job == Job::Empty || tries == TRIES {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match job {
            Job::Fill if tries == TRIES => break,
            Job::Empty if tries != 0 => {}
            _ => count += 1,
        }
    }
    count
}
