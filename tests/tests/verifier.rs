//! The kernel's verifier and the two BPF objects: every program loads, at the recorded cost; no
//! panic and no log call is in the one that the agent loads by default; maps have named fields.
//!
//! `BLESS=1 cargo test -p netd-tests --test verifier` records the costs anew.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf, process::Command};

use aya::{
    Ebpf,
    maps::{HashMap, Map},
};
use netd_common::{
    Addr,
    abi::{
        Program,
        endpoint::{Endpoint, EndpointKey},
        maps,
    },
};
use netd_tests::bpf::{self, Object};
use nix::sys::utsname::uname;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// Change of a recorded cost that passes, in percent: compilers differ a little.
const TOLERANCE: u32 = 10;
/// The same where the kernel is another than the recorded one: only explosions are found.
const TOLERANCE_ELSEWHERE: u32 = 400;

#[test]
fn every_program_loads_at_the_recorded_cost() {
    let counts = verify(Object::Plain);
    // Seen where a kernel's are not recorded: `cargo xtask vm -- verifier`.
    print!("{}", print(&counts));
    let path = recorded();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, print(&counts)).expect("the record can be written");
        return;
    }
    let text = fs::read_to_string(&path).expect("the record is in the repository");
    let (kernel, old) = parse(&text);
    let tolerance = if kernel == running_kernel() {
        TOLERANCE
    } else {
        TOLERANCE_ELSEWHERE
    };
    let mut faults = String::new();
    for program in Program::ALL {
        let name = program.name();
        let (new, old) = (counts[name], old.get(name).copied().unwrap_or(0));
        if new.abs_diff(old) * 100 > old.max(1) * tolerance {
            let _ = writeln!(
                faults,
                "{name}: {new} instructions verified, {old} recorded"
            );
        }
    }
    assert_eq!(old.len(), counts.len(), "programs in {}", path.display());
    assert!(
        faults.is_empty(),
        "{faults}more than {tolerance} % off on kernel {} (recorded on {kernel}). If that is \
         meant: BLESS=1 cargo test -p netd-tests --test verifier",
        running_kernel()
    );
}

#[test]
fn the_object_with_log_calls_loads_too() {
    verify(Object::Log);
}

#[test]
fn no_panic_is_left_in_either_object() {
    for object in Object::ALL {
        let panics: Vec<String> = symbols(object)
            .into_iter()
            .filter(|name| name.contains("panicking"))
            .collect();
        assert_eq!(panics, [""; 0], "{object:?}");
    }
}

#[test]
fn only_the_log_object_has_log_calls() {
    let logs = |object| {
        symbols(object)
            .iter()
            .any(|name| name.to_ascii_uppercase().contains("AYA_LOG"))
    };
    assert!(!logs(Object::Plain));
    assert!(logs(Object::Log));
}

#[test]
fn both_objects_have_type_information() {
    for object in Object::ALL {
        let bytes = object.read();
        let file = object::File::parse(&*bytes).expect("an ELF object");
        for section in [".BTF", ".BTF.ext", ".maps", "license"] {
            let size = file
                .section_by_name(section)
                .map_or(0, |found| found.size());
            assert!(size > 0, "{object:?} has no {section}");
        }
    }
}

/// As users look at a map: `bpftool map dump` names the fields of key and value.
#[test]
fn maps_are_dumped_with_named_fields() {
    for object in Object::ALL {
        let mut ebpf = object.open();
        let key = EndpointKey {
            network: 7,
            address: Addr::v4([172, 18, 0, 2]),
        };
        let value = Endpoint {
            ifindex: 4_711,
            mtu: 1_450,
            ..Endpoint::default()
        };
        let id = insert_endpoint(&mut ebpf, &key, &value);
        let output = Command::new("bpftool")
            .args(["--json", "map", "dump", "id", &id.to_string()])
            .output()
            .expect("bpftool runs (`cargo xtask setup` installs it)");
        let text = String::from_utf8_lossy(&output.stdout);
        let json: serde_json::Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text} {output:?}"));
        let entry = &json[0]["formatted"];
        assert_eq!(entry["key"]["network"], 7, "{text}");
        assert_eq!(entry["value"]["ifindex"], 4_711, "{text}");
        assert_eq!(entry["value"]["mtu"], 1_450, "{text}");
    }
}

/// Inserts into `ENDPOINTS`; the map's id.
fn insert_endpoint(ebpf: &mut Ebpf, key: &EndpointKey, value: &Endpoint) -> u32 {
    let map = ebpf.map_mut(maps::ENDPOINTS).expect("the map");
    let mut entries: HashMap<_, [u8; size_of::<EndpointKey>()], [u8; size_of::<Endpoint>()]> =
        HashMap::try_from(map).expect("its types");
    entries
        .insert(bpf::raw(key), bpf::raw(value), 0)
        .expect("room");
    let Some(Map::HashMap(data)) = ebpf.map(maps::ENDPOINTS) else {
        panic!("{} is no hash map", maps::ENDPOINTS);
    };
    data.info().expect("map info").id()
}

/// Loads every program; the verified instructions of each.
fn verify(object: Object) -> BTreeMap<&'static str, u32> {
    let mut ebpf = object.open();
    let mut counts = BTreeMap::new();
    for program in Program::ALL {
        let info = bpf::load(&mut ebpf, program);
        let count = info
            .verified_instruction_count()
            .expect("kernel 5.16 and later count");
        counts.insert(program.name(), count);
    }
    let expected: Vec<&str> = counts.keys().copied().collect();
    let mut found: Vec<&str> = ebpf.programs().map(|(name, _)| name).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "programs of the object and of the ABI");
    counts
}

fn symbols(object: Object) -> Vec<String> {
    let bytes = object.read();
    let file = object::File::parse(&*bytes).expect("an ELF object");
    file.symbols()
        .map(|symbol| symbol.name().expect("a name").to_owned())
        .collect()
}

fn recorded() -> PathBuf {
    bpf::root().join("tests/fixtures/verified-insns.txt")
}

/// Major and minor number, as "6.18".
fn running_kernel() -> String {
    let release = uname()
        .expect("uname")
        .release()
        .to_string_lossy()
        .into_owned();
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn print(counts: &BTreeMap<&str, u32>) -> String {
    let mut text = format!(
        "# Instructions that the verifier walks for each program of the plain object.\n\
         # Written by BLESS=1 cargo test -p netd-tests --test verifier.\n\
         kernel {}\n",
        running_kernel()
    );
    for (name, count) in counts {
        let _ = writeln!(text, "{name} {count}");
    }
    text
}

/// The recorded kernel and counts.
fn parse(text: &str) -> (String, BTreeMap<String, u32>) {
    let mut kernel = String::new();
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once(' ').expect("a name and a value");
        if name == "kernel" {
            value.clone_into(&mut kernel);
        } else {
            counts.insert(name.to_owned(), value.parse().expect("a number"));
        }
    }
    (kernel, counts)
}
