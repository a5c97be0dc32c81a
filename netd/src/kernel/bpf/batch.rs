//! Many entries of a hash map by one call into the kernel (BPF_MAP_LOOKUP_BATCH and
//! BPF_MAP_DELETE_BATCH, Linux 5.6), which aya does not have. Knows no map.
//!
//! The kernel keeps the place of such a walk by bucket. So it comes to an end whatever happens to the map
//! meanwhile, and tells no entry twice; BPF_MAP_GET_NEXT_KEY begins anew where its key is gone. What
//! comes or goes during the walk is told or is not.

use std::{io, os::fd::AsFd, os::fd::AsRawFd};

use aya::{
    Pod,
    maps::{MapData, MapError},
    sys::SyscallError,
};
use aya_obj::generated::bpf_cmd;

/// Entries at a time. Keys and values of flows are some 700 kB.
pub(super) const BATCH: usize = 4_096;
/// How often a bucket is tried that somebody else holds (EBUSY, up to Linux 6.11).
const ATTEMPTS: u32 = 100;

/// Where a walk stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the first entry.
    #[default]
    Start,
    /// What the kernel calls a batch: the bucket that comes next.
    Bucket(u32),
    /// Behind the last entry.
    End,
}

/// Entries that were read at once.
pub(super) struct Batch<K, V> {
    keys: Vec<K>,
    /// One a key, or one a CPU and key.
    values: Vec<V>,
}

impl<K, V> Batch<K, V> {
    /// How many entries.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Each with its value.
    pub(super) fn entries(self) -> impl Iterator<Item = (K, V)> {
        self.keys.into_iter().zip(self.values)
    }

    /// Each with its values of all CPUs.
    pub(super) fn per_cpu(&self) -> impl Iterator<Item = (&K, &[V])> {
        let cpus = self.values.len() / self.keys.len().max(1);
        self.keys.iter().zip(self.values.chunks_exact(cpus.max(1)))
    }
}

/// All entries of a hash map, in batches.
pub(super) struct Batches<'a, K, V> {
    map: &'a MapData,
    cpus: Option<usize>,
    place: Place,
    entry: std::marker::PhantomData<(K, V)>,
}

/// A walk over a map.
pub(super) fn batches<K: Pod, V: Pod>(map: &MapData) -> Batches<'_, K, V> {
    Batches {
        map,
        cpus: None,
        place: Place::Start,
        entry: std::marker::PhantomData,
    }
}

/// A walk over a map that has a value for each of so many CPUs.
pub(super) fn batches_per_cpu<K: Pod, V: Pod>(map: &MapData, cpus: usize) -> Batches<'_, K, V> {
    Batches {
        cpus: Some(cpus),
        ..batches(map)
    }
}

impl<K: Pod, V: Pod> Iterator for Batches<'_, K, V> {
    type Item = Result<Batch<K, V>, MapError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.place == Place::End {
            return None;
        }
        let read = match self.cpus {
            None => read(self.map, &mut self.place, BATCH),
            Some(cpus) => read_wide(self.map, &mut self.place, BATCH, cpus),
        };
        if read.is_err() {
            self.place = Place::End;
        }
        Some(read)
    }
}

/// Reads some entries behind `place`, and moves it: no more than `most`, but where a bucket has more of
/// them. Fewer, or none, may come before the end.
pub(super) fn read<K: Pod, V: Pod>(
    map: &MapData,
    place: &mut Place,
    most: usize,
) -> Result<Batch<K, V>, MapError> {
    read_wide(map, place, most, 1)
}

fn read_wide<K: Pod, V: Pod>(
    map: &MapData,
    place: &mut Place,
    most: usize,
    width: usize,
) -> Result<Batch<K, V>, MapError> {
    let mut room = most.max(1);
    let mut attempts = 0;
    loop {
        if *place == Place::End {
            return Ok(Batch {
                keys: Vec::new(),
                values: Vec::new(),
            });
        }
        let (batch, done) = look_up(map, place, room, width);
        match done {
            Ok(()) => return Ok(batch),
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => room *= 2,
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                attempts += 1;
                if batch.len() > 0 {
                    return Ok(batch);
                }
                if attempts == ATTEMPTS {
                    return Err(failed("bpf_map_lookup_batch", error));
                }
            }
            Err(error) => return Err(failed("bpf_map_lookup_batch", error)),
        }
    }
}

/// Deletes those of the keys that are there; `deleted` is told the number of each, in order.
pub(super) fn delete<K: Pod>(
    map: &MapData,
    keys: &[K],
    mut deleted: impl FnMut(usize),
) -> Result<(), MapError> {
    let (mut from, mut attempts) = (0, 0);
    while let Some(rest @ [_, ..]) = keys.get(from..) {
        let (count, done) = delete_first(map, rest);
        (from..from + count).for_each(&mut deleted);
        from += count;
        match done {
            Ok(()) => {}
            // The next one is not there.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => from += 1,
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempts < ATTEMPTS => {
                attempts += 1;
            }
            Err(error) => return Err(failed("bpf_map_delete_batch", error)),
        }
    }
    Ok(())
}

fn failed(call: &'static str, io_error: io::Error) -> MapError {
    SyscallError { call, io_error }.into()
}

/// `struct { … } batch` of `union bpf_attr` (include/uapi/linux/bpf.h).
#[repr(C)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

impl Attributes {
    fn of(map: &MapData, keys: u64, count: usize) -> Attributes {
        Attributes {
            in_batch: 0,
            out_batch: 0,
            keys,
            values: 0,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            map_fd: map.fd().as_fd().as_raw_fd().cast_unsigned(),
            elem_flags: 0,
            flags: 0,
        }
    }
}

/// One call; what it read before it failed, too.
fn look_up<K: Pod, V: Pod>(
    map: &MapData,
    place: &mut Place,
    room: usize,
    width: usize,
) -> (Batch<K, V>, io::Result<()>) {
    // What the kernel writes per CPU has no gaps only so.
    assert!(width == 1 || size_of::<V>().is_multiple_of(8));
    let mut batch = Batch {
        keys: Vec::<K>::with_capacity(room),
        values: Vec::<V>::with_capacity(room * width),
    };
    let (from, mut next) = (*place, 0_u32);
    let mut attributes = Attributes::of(map, batch.keys.as_mut_ptr() as u64, room);
    attributes.values = batch.values.as_mut_ptr() as u64;
    attributes.out_batch = (&raw mut next) as u64;
    if let Place::Bucket(bucket) = &from {
        attributes.in_batch = std::ptr::from_ref(bucket) as u64;
    }
    // SAFETY: keys and values have room for `count` entries of the map, whose sizes aya compared with
    // those of K and V when it opened the handle (a value of a map per CPU: one each). A hash map's
    // place is a u32, which `next` and `bucket` are; all of them outlive the call.
    let done = unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attributes) };
    let errno = done.as_ref().err().and_then(io::Error::raw_os_error);
    let count = match errno {
        None | Some(libc::ENOENT | libc::EBUSY) => room.min(attributes.count as usize),
        Some(_) => 0,
    };
    // SAFETY: of `Pod` types any bytes are values, and the kernel wrote so many of them.
    unsafe {
        batch.keys.set_len(count);
        batch.values.set_len(count * width);
    }
    match errno {
        // The last of them.
        Some(libc::ENOENT) => {
            *place = Place::End;
            (batch, Ok(()))
        }
        None | Some(libc::EBUSY) => {
            *place = Place::Bucket(next);
            (batch, done)
        }
        Some(_) => (batch, done),
    }
}

/// One call; how many it deleted before it failed.
fn delete_first<K: Pod>(map: &MapData, keys: &[K]) -> (usize, io::Result<()>) {
    let mut attributes = Attributes::of(map, keys.as_ptr() as u64, keys.len());
    // SAFETY: `keys` has `count` keys of the map's size, and outlives the call.
    let done = unsafe { call(bpf_cmd::BPF_MAP_DELETE_BATCH, &mut attributes) };
    let errno = done.as_ref().err().and_then(io::Error::raw_os_error);
    let count = match errno {
        None | Some(libc::ENOENT | libc::EBUSY) => keys.len().min(attributes.count as usize),
        Some(_) => 0,
    };
    (count, done)
}

/// # Safety
/// What the addresses in `attributes` lead to is as the command wants it.
unsafe fn call(command: bpf_cmd, attributes: &mut Attributes) -> io::Result<()> {
    // SAFETY: the caller's; the kernel takes shorter attributes than its own for zeroes behind them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attributes),
            size_of::<Attributes>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
