//! The BPF objects that this binary carries, and what they say of their maps. Loads nothing.

use std::collections::BTreeMap;

use aya_obj::{EbpfSectionKind, Object};

use super::{
    error::{During, failure},
    pin::MapShape,
};
use crate::kernel::KernelError;

static PLAIN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netd-ebpf.o"));
static LOGGING: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netd-ebpf-log.o"));

/// The bytes of the object with or without log calls.
pub(super) fn bytes(log: bool) -> &'static [u8] {
    if log { LOGGING } else { PLAIN }
}

/// Names an object among the pins: programs of an agent that carried the same bytes need not be
/// loaded again. 16 hex digits (FNV-1a; who may write to bpffs needs no collision to do harm).
pub(super) fn fingerprint(object: &[u8]) -> String {
    let hash = object.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The maps that outlive the agent: all that the object defines, but the compiler's own (`.rodata`)
/// and aya-log's.
pub(super) fn map_shapes(object: &[u8]) -> Result<BTreeMap<String, MapShape>, KernelError> {
    let parsed = Object::parse(object).during(|| "read the embedded BPF object".into())?;
    let shapes: BTreeMap<String, MapShape> = parsed
        .maps
        .iter()
        .filter(|(name, map)| {
            let defined = matches!(
                map.section_kind(),
                EbpfSectionKind::Maps | EbpfSectionKind::BtfMaps
            );
            defined && !name.starts_with("AYA_")
        })
        .map(|(name, map)| (name.clone(), shape(map)))
        .collect();
    if shapes.is_empty() {
        return Err(failure("read the embedded BPF object", "it defines no map"));
    }
    Ok(shapes)
}

fn shape(map: &aya_obj::Map) -> MapShape {
    MapShape {
        kind: map.map_type(),
        key: map.key_size(),
        value: map.value_size(),
        entries: map.max_entries(),
        flags: map.map_flags(),
    }
}

#[cfg(test)]
mod tests {
    use netd_common::abi::{Program, maps};

    use super::{bytes, fingerprint, map_shapes};

    #[test]
    fn both_objects_have_the_same_pinned_maps() {
        let plain = map_shapes(bytes(false)).expect("shapes of the plain object");
        let logging = map_shapes(bytes(true)).expect("shapes of the object with log calls");
        assert_eq!(plain, logging);
        for name in [maps::ENDPOINTS, maps::FLOWS, maps::TAIL_CALLS] {
            assert!(plain.contains_key(name), "{name}");
        }
    }

    #[test]
    fn every_program_is_in_both_objects() {
        for log in [false, true] {
            let object = aya_obj::Object::parse(bytes(log)).expect("a BPF object");
            for program in Program::ALL {
                assert!(object.programs.contains_key(program.name()), "{program:?}");
            }
        }
    }

    #[test]
    fn fingerprints_are_fnv() {
        assert_eq!(fingerprint(b""), "cbf29ce484222325");
        assert_eq!(fingerprint(b"a"), "af63dc4c8601ec8c");
    }
}
