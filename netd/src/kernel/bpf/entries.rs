//! The maps that the agent writes, entry by entry: look-up, put, delete, walk. One match over
//! [`EntryKey`] for each; a new map does not compile until it is in all of them.

use std::{borrow::BorrowMut, collections::BTreeSet, thread, time::Duration};

use aya::{
    Pod,
    maps::{HashMap, IterableMap, LpmTrie, MapData, MapError, PerCpuValues},
    util::nr_cpus,
};
use netd_common::abi::{endpoint::EndpointStats, host::Config};
use zerocopy::FromZeros;

use super::{
    batch,
    error::{During, errno, if_there},
    key_text::{KeyText, map_of},
    maps::{Hash, Maps, lpm},
    pod::Raw,
};
use crate::{
    kernel::{KernelError, MapFull},
    plan::{Entry, EntryKey},
};

/// Replace or create (BPF_ANY).
const ANY: u64 = 0;
/// Create only.
const NOEXIST: u64 = 1;
/// How often an entry is tried again for which the kernel has no memory at hand. What maps without
/// preallocation give out is put by in the background, so that many entries at once may find nothing.
const ATTEMPTS: u32 = 100;
/// How long to wait for that in between.
const REFILL: Duration = Duration::from_millis(2);

/// The agent's entries. Prefixes of the tries are remembered: a trie answers a look-up with the
/// longest prefix that fits, which need not be the one that was asked for.
pub(super) struct Entries {
    prefixes: BTreeSet<EntryKey>,
}

impl Entries {
    /// Reads which prefixes there are.
    pub(super) fn open(maps: &Maps) -> Result<Entries, KernelError> {
        let mut prefixes = BTreeSet::new();
        for entry in subnets(maps).chain(ports(maps)) {
            prefixes.insert(
                entry
                    .during(|| "read the prefixes of the maps".into())?
                    .key(),
            );
        }
        Ok(Entries { prefixes })
    }

    /// One look-up.
    pub(super) fn get(&self, maps: &Maps, key: &EntryKey) -> Result<Option<Entry>, KernelError> {
        if is_prefix(key) && !self.prefixes.contains(key) {
            return Ok(None);
        }
        let found =
            match *key {
                EntryKey::Endpoint(key) => look_up(&maps.endpoints, Raw(key))
                    .map(|value| Some(Entry::Endpoint(key, value?))),
                EntryKey::Interface(ifindex) => look_up(&maps.interfaces, ifindex)
                    .map(|value| Some(Entry::Interface(ifindex, value?))),
                EntryKey::EndpointStats(index) => if_there(maps.endpoint_stats.get(&index, 0))
                    .map(|value| value.map(|_| Entry::EndpointStats(index))),
                EntryKey::Subnet(bits, address) => {
                    if_there(maps.subnets.get(&lpm(bits, address), 0))
                        .map(|value| Some(Entry::Subnet(bits, address, value?.0)))
                }
                EntryKey::Trusted(key) => if_there(maps.trusted.get(&Raw(key), 0))
                    .map(|value| value.map(|_| Entry::Trusted(key))),
                EntryKey::HostAddress(address) => look_up(&maps.host_addresses, Raw(address))
                    .map(|value| Some(Entry::HostAddress(address, value?))),
                EntryKey::Uplink(ifindex) => look_up(&maps.uplinks, ifindex)
                    .map(|value| Some(Entry::Uplink(ifindex, value?))),
                EntryKey::Config => config(maps),
                EntryKey::Port(bits, key) => if_there(maps.ports.get(&lpm(bits, key), 0))
                    .map(|value| Some(Entry::Port(bits, key, value?.0))),
                EntryKey::Link(key) => look_up(&maps.links, Raw(key))
                    .map(|value| Some(Entry::Link(key, Box::new(value?)))),
                EntryKey::Name(key) => look_up(&maps.names, Raw(key))
                    .map(|value| Some(Entry::Name(key, Box::new(value?)))),
                EntryKey::Scopes(sandbox) => {
                    look_up(&maps.scopes, sandbox).map(|value| Some(Entry::Scopes(sandbox, value?)))
                }
                EntryKey::Resolver(cookie) => look_up(&maps.resolvers, cookie)
                    .map(|value| Some(Entry::Resolver(cookie, value?))),
            };
        found.during(|| format!("look up {}", KeyText(key)))
    }

    /// Puts one, over what is there. Counters that are there are kept.
    pub(super) fn put(&mut self, maps: &mut Maps, entry: &Entry) -> Result<(), KernelError> {
        let mut done = insert(maps, entry);
        for _ in 0..ATTEMPTS {
            if !matches!(&done, Err(error) if errno(error) == Some(libc::ENOMEM)) {
                break;
            }
            thread::sleep(REFILL);
            done = insert(maps, entry);
        }
        let key = entry.key();
        done.map_err(|error| explain(error, &key))
            .during(|| format!("put {}", KeyText(&key)))?;
        if is_prefix(&key) {
            self.prefixes.insert(key);
        }
        Ok(())
    }

    /// Deletes one; absent is success.
    pub(super) fn delete(&mut self, maps: &mut Maps, key: &EntryKey) -> Result<(), KernelError> {
        let done = match *key {
            EntryKey::Endpoint(key) => remove(&mut maps.endpoints, Raw(key)),
            EntryKey::Interface(ifindex) => end_interface(maps, ifindex),
            EntryKey::EndpointStats(index) => end_counters(maps, index),
            EntryKey::Subnet(bits, address) => remove_prefix(&mut maps.subnets, bits, address),
            EntryKey::Trusted(key) => maps.trusted.remove(&Raw(key)),
            EntryKey::HostAddress(address) => remove(&mut maps.host_addresses, Raw(address)),
            EntryKey::Uplink(ifindex) => remove(&mut maps.uplinks, ifindex),
            EntryKey::Config => maps.config.set(0, Raw(Config::default()), ANY),
            EntryKey::Port(bits, key) => remove_prefix(&mut maps.ports, bits, key),
            EntryKey::Link(key) => remove(&mut maps.links, Raw(key)),
            EntryKey::Name(key) => remove(&mut maps.names, Raw(key)),
            EntryKey::Scopes(sandbox) => remove(&mut maps.scopes, sandbox),
            EntryKey::Resolver(cookie) => remove(&mut maps.resolvers, cookie),
        };
        if_there(done).during(|| format!("delete {}", KeyText(key)))?;
        self.prefixes.remove(key);
        Ok(())
    }

    /// All entries of all maps that the agent writes.
    pub(super) fn walk(&mut self, maps: &Maps) -> Result<Vec<Entry>, KernelError> {
        let entries: Vec<Entry> = walk(maps)
            .collect::<Result<_, _>>()
            .during(|| "read the maps".into())?;
        self.prefixes = entries.iter().map(Entry::key).filter(is_prefix).collect();
        Ok(entries)
    }
}

fn insert(maps: &mut Maps, entry: &Entry) -> Result<(), MapError> {
    match entry {
        Entry::Endpoint(key, value) => maps.endpoints.insert(Raw(*key), Raw(*value), ANY),
        Entry::Interface(ifindex, value) => maps.interfaces.insert(ifindex, Raw(*value), ANY),
        Entry::EndpointStats(index) => start_counters(maps, *index),
        Entry::Subnet(bits, address, value) => {
            maps.subnets.insert(&lpm(*bits, *address), Raw(*value), ANY)
        }
        Entry::Trusted(key) => maps.trusted.insert(Raw(*key), 1, ANY),
        Entry::HostAddress(address, value) => {
            maps.host_addresses.insert(Raw(*address), Raw(*value), ANY)
        }
        Entry::Uplink(ifindex, value) => maps.uplinks.insert(ifindex, Raw(*value), ANY),
        Entry::Config(value) => maps.config.set(0, Raw(*value), ANY),
        Entry::Port(bits, key, value) => maps.ports.insert(&lpm(*bits, *key), Raw(*value), ANY),
        Entry::Link(key, value) => maps.links.insert(Raw(*key), Raw(**value), ANY),
        Entry::Name(key, value) => maps.names.insert(Raw(*key), Raw(**value), ANY),
        Entry::Scopes(sandbox, value) => maps.scopes.insert(sandbox, Raw(*value), ANY),
        Entry::Resolver(cookie, value) => maps.resolvers.insert(cookie, Raw(*value), ANY),
    }
}

fn is_prefix(key: &EntryKey) -> bool {
    matches!(key, EntryKey::Subnet(..) | EntryKey::Port(..))
}

type Found = Result<Entry, MapError>;

fn walk(maps: &Maps) -> impl Iterator<Item = Found> {
    let endpoints = (all(&maps.endpoints)).map(|e| e.map(|(k, v)| Entry::Endpoint(k.0, v.0)));
    let interfaces = (all(&maps.interfaces)).map(|e| e.map(|(k, v)| Entry::Interface(k, v.0)));
    let stats = (maps.endpoint_stats.keys()).map(|key| key.map(Entry::EndpointStats));
    let addresses =
        (all(&maps.host_addresses)).map(|e| e.map(|(k, v)| Entry::HostAddress(k.0, v.0)));
    let trusted = (all(&maps.trusted)).map(|e| e.map(|(k, _)| Entry::Trusted(k.0)));
    let uplinks = (all(&maps.uplinks)).map(|e| e.map(|(k, v)| Entry::Uplink(k, v.0)));
    let links = (all(&maps.links)).map(|e| e.map(|(k, v)| Entry::Link(k.0, Box::new(v.0))));
    let names = (all(&maps.names)).map(|e| e.map(|(k, v)| Entry::Name(k.0, Box::new(v.0))));
    let scopes = (all(&maps.scopes)).map(|e| e.map(|(k, v)| Entry::Scopes(k, v.0)));
    let resolvers = (all(&maps.resolvers)).map(|e| e.map(|(k, v)| Entry::Resolver(k, v.0)));
    endpoints
        .chain(interfaces)
        .chain(stats)
        .chain(subnets(maps))
        .chain(trusted)
        .chain(addresses)
        .chain(uplinks)
        .chain(config(maps).transpose())
        .chain(ports(maps))
        .chain(links)
        .chain(names)
        .chain(scopes)
        .chain(resolvers)
}

/// All entries of a hash map.
fn all<K: Pod, V: Pod>(
    map: &HashMap<MapData, K, V>,
) -> impl Iterator<Item = Result<(K, V), MapError>> {
    batch::batches(map.map()).flat_map(|batch| {
        let (entries, error) = match batch {
            Ok(batch) => (Some(batch.entries().map(Ok)), None),
            Err(error) => (None, Some(Err(error))),
        };
        entries.into_iter().flatten().chain(error)
    })
}

fn subnets(maps: &Maps) -> impl Iterator<Item = Found> {
    maps.subnets.iter().map(|entry| {
        entry.map(|(key, value)| Entry::Subnet(key.prefix_len(), key.data().0, value.0))
    })
}

fn ports(maps: &Maps) -> impl Iterator<Item = Found> {
    maps.ports
        .iter()
        .map(|entry| entry.map(|(key, value)| Entry::Port(key.prefix_len(), key.data().0, value.0)))
}

/// An array's element is always there; zeroes are what it holds before the agent has written it.
fn config(maps: &Maps) -> Result<Option<Entry>, MapError> {
    let Raw(config) = maps.config.get(&0, 0)?;
    Ok((config != Config::default()).then_some(Entry::Config(config)))
}

fn look_up<K: Pod, V>(map: &Hash<K, V>, key: K) -> Result<Option<V>, MapError>
where
    Raw<V>: Pod,
{
    if_there(map.get(&key, 0)).map(|value| value.map(|raw| raw.0))
}

fn remove<K: Pod, V>(map: &mut Hash<K, V>, key: K) -> Result<(), MapError>
where
    Raw<V>: Pod,
{
    map.remove(&key)
}

fn remove_prefix<T: BorrowMut<MapData>, K, V: Pod>(
    map: &mut LpmTrie<T, Raw<K>, V>,
    bits: u32,
    data: K,
) -> Result<(), MapError>
where
    Raw<K>: Pod,
{
    map.remove(&lpm(bits, data))
}

/// Zeroes on every CPU, unless they count already.
fn start_counters(maps: &mut Maps, index: u32) -> Result<(), MapError> {
    let cpus = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
    let zeroes = PerCpuValues::try_from(vec![Raw(EndpointStats::new_zeroed()); cpus])?;
    match maps.endpoint_stats.insert(index, zeroes, NOEXIST) {
        Err(error) if errno(&error) == Some(libc::EEXIST) => Ok(()),
        done => done,
    }
}

/// An endpoint's interface, and the fragments of its that wait for the first of their datagram. There
/// are few places for those, and mostly nothing in them.
fn end_interface(maps: &mut Maps, ifindex: u32) -> Result<(), MapError> {
    let done = maps.interfaces.remove(&ifindex);
    let places: Vec<u32> = maps.parked.keys().collect::<Result<_, _>>()?;
    for place in places {
        let parked = if_there(maps.parked.get(&place, 0))?;
        if parked.is_some_and(|Raw(parked)| parked.key.arrival == ifindex) {
            if_there(maps.parked.remove(&place))?;
        }
    }
    done
}

/// All counters of an endpoint, also those that the programs made by themselves.
fn end_counters(maps: &mut Maps, index: u32) -> Result<(), MapError> {
    let counts = if_there(maps.flow_counts.remove(&index));
    let collected = if_there(maps.flows_collected.remove(&index));
    let stats = maps.endpoint_stats.remove(&index);
    counts.and(collected).and(stats)
}

/// A full map says `E2BIG` (hash) or `ENOSPC` (trie), which says nothing to people.
fn explain(error: MapError, key: &EntryKey) -> anyhow::Error {
    let full = matches!(errno(&error), Some(libc::E2BIG | libc::ENOSPC));
    let error = anyhow::Error::from(error);
    match full {
        true => error.context(MapFull(map_of(key))),
        false => error,
    }
}
