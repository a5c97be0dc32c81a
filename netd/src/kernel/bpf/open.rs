//! Finding or making everything at start: the file system, maps that fit, programs. Attaches
//! nothing; says what it found.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aya::maps::MapInfo;
use netd_common::abi::{Program, tail_calls};

use super::{
    attach::Hooks,
    bpffs,
    entries::Entries,
    error::{During, failure, if_file_there},
    freeing,
    layer::{Bpf, BpfOptions, Mechanism},
    layout::Layout,
    maps::Maps,
    object,
    pin::{MapShape, Pin, inspect},
    pod::Raw,
    programs::Programs,
    report::{Found, OpenReport, ReplacedMap},
    tcx,
};
use crate::kernel::KernelError;

pub(super) fn open(
    options: &BpfOptions,
    mechanism: Mechanism,
) -> Result<(Bpf, OpenReport), KernelError> {
    let mounted = bpffs::prepare(&options.bpffs)?;
    let layout = Layout::current(&options.bpffs);
    let older = other_versions(&options.bpffs, &layout)?;
    let was_there = layout.maps().is_dir();
    make_directories(&layout)?;

    let shapes = object::map_shapes(object::bytes(options.log))?;
    let replaced_maps = replace_misfits(&layout, &shapes)?;
    let reopened = match options.log {
        // The log's map is not pinned: these programs have to be loaded by who reads it.
        true => None,
        false => reopen(&layout, &shapes)?,
    };
    let loaded = reopened.is_none();
    let (programs, log) = match reopened {
        Some(programs) => (programs, None),
        None => Programs::load(&layout, options.log, shapes.keys().cloned())?,
    };
    check_shapes(&layout, &shapes)?;
    let mut maps = Maps::open(&layout)?;
    for (index, program) in [
        (tail_calls::DNS, Program::Dns),
        (tail_calls::ICMP, Program::Icmp),
        (tail_calls::FRAGMENTS, Program::Fragments),
    ] {
        maps.tail_calls
            .set(index, programs.fd(program)?, 0)
            .during(|| "fill the array of tail calls".into())?;
    }
    let counts_lost = find_freeing_places(&mut maps)?;
    Programs::forget_others(&layout, options.log)?;

    let tcx = match mechanism {
        Mechanism::Probed => tcx::is_supported(),
        Mechanism::Clsact => false,
    };
    let report = OpenReport {
        found: match was_there {
            true => Found::Reopened,
            false if older.is_empty() => Found::Fresh,
            false => Found::AbiChanged(older.keys().copied().collect()),
        },
        replaced_maps,
        loaded,
        mounted,
        tcx,
        counts_lost,
    };
    let entries = Entries::open(&maps)?;
    let hooks = Hooks::new(layout.clone(), older.into_values().collect(), tcx);
    Ok((
        Bpf::new(layout, maps, entries, programs, hooks, log),
        report,
    ))
}

/// Where the kernel frees packets whose redirect failed, unless that is known already, as from an earlier
/// agent; whether it is known now. A kernel that does not say is no reason not to start.
fn find_freeing_places(maps: &mut Maps) -> Result<bool, KernelError> {
    let doing = || "note where the kernel frees packets".to_owned();
    let Raw(known) = maps.freeing_places.get(&0, 0).during(doing)?;
    if known.are_known() {
        return Ok(true);
    }
    let Ok(places) = freeing::read() else {
        return Ok(false);
    };
    maps.freeing_places.set(0, Raw(places), 0).during(doing)?;
    Ok(places.are_known())
}

/// All versions in netd's directory.
pub(super) fn versions(bpffs: &Path) -> Result<BTreeMap<u32, Layout>, KernelError> {
    let doing = || format!("list {}", bpffs.display());
    let mut versions = BTreeMap::new();
    for entry in fs::read_dir(bpffs).during(doing)? {
        let entry = entry.during(doing)?;
        let version = entry.file_name().to_str().and_then(Layout::version);
        if let Some(version) = version
            && entry.file_type().during(doing)?.is_dir()
        {
            versions.insert(version, Layout::of_version(bpffs, version));
        }
    }
    Ok(versions)
}

fn other_versions(bpffs: &Path, current: &Layout) -> Result<BTreeMap<u32, Layout>, KernelError> {
    let mut versions = versions(bpffs)?;
    versions.retain(|_, layout| layout.root() != current.root());
    Ok(versions)
}

fn make_directories(layout: &Layout) -> Result<(), KernelError> {
    // What was on its way when an agent died is of no use.
    if_file_there(fs::remove_dir_all(layout.incoming()))
        .during(|| format!("clean up {}", layout.incoming().display()))?;
    layout
        .make_directories()
        .during(|| format!("make the directories of {}", layout.root().display()))
}

/// Unpins what is not the map that the object defines, so that it is made anew.
fn replace_misfits(
    layout: &Layout,
    shapes: &BTreeMap<String, MapShape>,
) -> Result<Vec<ReplacedMap>, KernelError> {
    let mut replaced = Vec::new();
    for (name, wanted) in shapes {
        let path = layout.map(name);
        let doing = || format!("check the pinned map {}", path.display());
        let why = match inspect(&path).during(doing)? {
            None => continue,
            Some(Pin::Map(shape)) => match shape.difference(wanted) {
                None => continue,
                Some(difference) => difference,
            },
            Some(Pin::Program { .. }) => "it is a program".to_owned(),
            Some(Pin::Link(_)) => "it is a link".to_owned(),
        };
        fs::remove_file(&path).during(doing)?;
        replaced.push(ReplacedMap {
            name: name.clone(),
            why,
        });
    }
    Ok(replaced)
}

/// The programs of an agent with the same object, if all its maps are there, too.
fn reopen(
    layout: &Layout,
    shapes: &BTreeMap<String, MapShape>,
) -> Result<Option<Programs>, KernelError> {
    let mut ids = BTreeMap::new();
    for name in shapes.keys() {
        let path: PathBuf = layout.map(name);
        let doing = || format!("open the map {}", path.display());
        if !path.try_exists().during(doing)? {
            return Ok(None);
        }
        let info = MapInfo::from_pin(&path).during(doing)?;
        ids.insert(name.clone(), info.id());
    }
    let fingerprint = object::fingerprint(object::bytes(false));
    Programs::reopen(layout, &fingerprint, &ids)
}

/// aya takes whatever is pinned: ask the kernel once more, after the load.
fn check_shapes(layout: &Layout, shapes: &BTreeMap<String, MapShape>) -> Result<(), KernelError> {
    for (name, wanted) in shapes {
        let path = layout.map(name);
        let doing = || format!("check the pinned map {}", path.display());
        match inspect(&path).during(doing)? {
            Some(Pin::Map(shape)) if shape.difference(wanted).is_none() => {}
            found => return Err(failure(doing(), format!("not as just made: {found:?}"))),
        }
    }
    Ok(())
}
