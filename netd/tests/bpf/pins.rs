//! Opening: fresh, again, over what does not fit, after another ABI; and leaving nothing.

use std::{collections::BTreeSet, fs, path::Path};

use aya::{
    maps::{HashMap, MapData, MapInfo, loaded_maps},
    programs::{SchedClassifier, loaded_links, loaded_programs},
};
use netd::{
    kernel::bpf::{Bpf, BpfOptions, Found, Mechanism, unpin_all},
    plan::{Attachment, Entry, EntryKey, TcHook},
};
use netd_common::abi::{Program, host::Uplink};

use crate::host::{Host, eventually, programs_at, run, uplink};

/// Loaded with their first attachment.
const ON_DEMAND: [Program; 2] = [Program::FromUplinkL3, Program::ToUplinkL3];

fn loaded(bpf: &mut Bpf) -> BTreeSet<Program> {
    let programs = bpf.programs().expect("programs");
    programs.iter().map(|one| one.program).collect()
}

fn without(programs: &[Program]) -> BTreeSet<Program> {
    let all = Program::ALL.into_iter();
    all.filter(|one| !programs.contains(one)).collect()
}

/// An uplink's program of those on demand.
fn without_ethernet(link: &str, hook: TcHook) -> Attachment {
    let program = match hook {
        TcHook::Ingress => Program::FromUplinkL3,
        TcHook::Egress => Program::ToUplinkL3,
    };
    Attachment::Tc {
        link: link.parse().expect("a name"),
        hook,
        program,
    }
}

/// The maps of a loaded program.
fn maps_of(bpf: &mut Bpf, program: Program) -> BTreeSet<u32> {
    let programs = bpf.programs().expect("programs");
    let mut programs = programs.iter();
    let id = programs
        .find(|one| one.program == program)
        .expect("loaded")
        .id;
    let mut all = loaded_programs().filter_map(Result::ok);
    let info = all.find(|info| info.id() == id).expect("in the kernel");
    ids(info
        .map_ids()
        .expect("maps")
        .unwrap_or_default()
        .into_iter())
}

#[test]
fn a_fresh_start_mounts_loads_and_pins() {
    let host = Host::new();
    let (mut bpf, report) = host.open();
    assert_eq!(report.found, Found::Fresh);
    assert_eq!(report.mounted.as_deref(), Some(host.bpffs.as_path()));
    assert_eq!(report.replaced_maps, []);
    assert!(report.loaded);
    assert_eq!(loaded(&mut bpf), without(&ON_DEMAND));
    assert_eq!(bpf.attachments().expect("attachments"), BTreeSet::new());
    assert!(host.pin("maps/FLOWS").exists());
}

#[test]
fn what_few_hosts_need_is_loaded_when_it_is_needed() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let attachment = without_ethernet("up0", TcHook::Ingress);
    let (mut bpf, _) = host.open();
    assert!(!bpf.attached(&attachment).expect("attached"));
    bpf.attach(&attachment).expect("attach");
    assert!(bpf.attached(&attachment).expect("attached"));
    assert_eq!(loaded(&mut bpf), without(&[Program::ToUplinkL3]));
    let entry = Entry::Uplink(7, Uplink::default());
    bpf.put(&entry).expect("put");
    let programs = bpf.programs().expect("programs");
    let shared = maps_of(&mut bpf, Program::FromUplinkL3);
    assert!(shared.is_subset(&map_ids(&host.pin("maps"))), "{shared:?}");
    drop(bpf);

    // By a successor with the same object it is found,
    let (mut bpf, report) = host.open();
    assert!(!report.loaded);
    assert_eq!(bpf.programs().expect("programs"), programs);
    assert!(bpf.attached(&attachment).expect("attached"));
    drop(bpf);

    // by one with another it is replaced.
    let object = fs::read_dir(host.pin("programs")).expect("programs").next();
    let object = object.expect("an object").expect("entry").path();
    fs::rename(&object, object.with_file_name("0123456789abcdef")).expect("another object");
    let (mut bpf, report) = host.open();
    assert!(report.loaded);
    assert_eq!(loaded(&mut bpf), without(&ON_DEMAND));
    assert!(!bpf.attached(&attachment).expect("attached"));
    bpf.attach(&attachment).expect("attach");
    assert!(bpf.attached(&attachment).expect("attached"));
    assert_eq!(bpf.entry(&entry.key()).expect("entry"), Some(entry));
}

#[test]
fn without_its_maps_nothing_is_loaded_later() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let (mut bpf, _) = host.open();
    fs::remove_file(host.pin("maps/FLOWS")).expect("unpin");
    let attachment = without_ethernet("up0", TcHook::Egress);
    let refused = bpf.attach(&attachment).expect_err("a refusal").to_string();
    assert!(
        refused.contains("the pin of map FLOWS is gone; restart the agent"),
        "{refused}"
    );
    assert!(!host.pin("maps/FLOWS").exists(), "a map that nobody fills");
}

#[test]
fn a_second_start_changes_nothing() {
    let host = Host::new();
    run("ip", &["link", "add", "up.0", "type", "veth"]);
    let attachment = uplink("up.0", TcHook::Ingress);
    let entry = Entry::Uplink(7, Uplink::default());

    let (mut bpf, _) = host.open();
    bpf.put(&entry).expect("put");
    bpf.attach(&attachment).expect("attach");
    let programs = bpf.programs().expect("programs");
    let attached = bpf.attached_programs().expect("attached programs");
    drop(bpf);

    let (mut bpf, report) = host.open();
    assert_eq!(report.found, Found::Reopened);
    assert_eq!((report.loaded, report.mounted), (false, None));
    assert_eq!(bpf.programs().expect("programs"), programs);
    assert_eq!(bpf.entry(&entry.key()).expect("entry"), Some(entry));
    assert!(bpf.attached(&attachment).expect("attached"));
    bpf.attach(&attachment).expect("attach again");
    assert_eq!(bpf.attached_programs().expect("attached"), attached);
    assert!(
        attached
            .iter()
            .all(|one| one.in_order && one.link.is_some() == report.tcx)
    );
}

#[test]
fn a_map_that_does_not_fit_is_replaced_and_reported() {
    let host = Host::new();
    let (mut bpf, _) = host.open();
    bpf.put(&Entry::Uplink(7, Uplink::default())).expect("put");
    let before = bpf.programs().expect("programs");
    drop(bpf);
    let small: HashMap<MapData, u32, u32> = HashMap::create(10, 0).expect("a map");
    let pin = host.pin("maps/UPLINKS");
    fs::remove_file(&pin).expect("unpin");
    small.pin(&pin).expect("pin the other map");

    let (mut bpf, report) = host.open();
    let names: Vec<&str> = (report.replaced_maps.iter())
        .map(|map| map.name.as_str())
        .collect();
    assert_eq!(names, ["UPLINKS"]);
    assert!(
        report
            .to_string()
            .contains("map UPLINKS was replaced: value size 4, not ")
    );
    assert!(
        report.loaded,
        "programs that use the old map must not be used on"
    );
    assert_ne!(bpf.programs().expect("programs"), before);
    assert_eq!(bpf.entry(&EntryKey::Uplink(7)).expect("entry"), None);
    bpf.put(&Entry::Uplink(8, Uplink::default())).expect("put");
}

/// As after an upgrade to an object that has one more.
#[test]
fn a_map_that_is_not_there_is_made_beside_the_others() {
    let host = Host::new();
    let entry = Entry::Uplink(7, Uplink::default());
    let (mut bpf, _) = host.open();
    bpf.put(&entry).expect("put");
    drop(bpf);
    let (maps, pin) = (host.pin("maps"), host.pin("maps/DROP_EVENTS"));
    fs::remove_file(&pin).expect("unpin");
    let others = map_ids(&maps);
    let object = fs::read_dir(host.pin("programs")).expect("programs").next();
    let object = object.expect("an object").expect("entry").path();
    fs::rename(&object, object.with_file_name("0123456789abcdef")).expect("another object");

    let (mut bpf, report) = host.open();
    assert_eq!(report.found, Found::Reopened);
    assert_eq!(report.replaced_maps, []);
    assert!(report.loaded);
    assert!(pin.exists());
    assert!(map_ids(&maps).is_superset(&others));
    assert_eq!(bpf.entry(&entry.key()).expect("entry"), Some(entry));
    bpf.drop_events().expect("the ring");
}

#[test]
fn a_program_in_the_place_of_a_map_is_replaced() {
    let host = Host::new();
    let (bpf, _) = host.open();
    drop(bpf);
    let pin = host.pin("maps/NAMES");
    let directory = fs::read_dir(host.pin("programs")).expect("programs").next();
    let dns = directory
        .expect("an object")
        .expect("entry")
        .path()
        .join("dns");
    fs::remove_file(&pin).expect("unpin");
    let mut program = SchedClassifier::from_pin(dns).expect("the program");
    program.pin(&pin).expect("pin it as a map");

    let (_, report) = host.open();
    assert_eq!(report.replaced_maps.len(), 1);
    assert_eq!(report.replaced_maps[0].why, "it is a program");
}

#[test]
fn what_is_no_bpf_object_is_refused() {
    let host = Host::new();
    let (bpf, _) = host.open();
    drop(bpf);
    let pin = host.pin("maps/NAMES");
    fs::remove_file(&pin).expect("unpin");
    fs::create_dir(&pin).expect("a directory");
    let error = Bpf::open(&host.options()).err().expect("a refusal");
    assert!(
        error.to_string().contains("is not a BPF object; remove it"),
        "{error}"
    );
}

#[test]
fn a_directory_with_files_is_not_mounted_over() {
    let host = Host::new();
    fs::create_dir(&host.bpffs).expect("a directory");
    fs::write(host.bpffs.join("precious"), "").expect("a file");
    let error = Bpf::open(&host.options()).err().expect("a refusal");
    assert!(
        error
            .to_string()
            .contains("is not empty and not a BPF file system"),
        "{error}"
    );
    assert!(host.bpffs.join("precious").exists());
}

#[test]
fn programs_of_half_a_load_are_loaded_again() {
    let host = Host::new();
    let (bpf, _) = host.open();
    drop(bpf);
    let object = fs::read_dir(host.pin("programs")).expect("programs").next();
    let object = object.expect("an object").expect("entry").path();
    fs::remove_file(object.join("dns")).expect("unpin");
    let (_, report) = host.open();
    assert!(report.loaded);
    assert!(object.join("dns").exists());
}

#[test]
fn another_abi_starts_fresh_and_loses_its_links_to_their_successors() {
    change_abi(Mechanism::Probed);
}

#[test]
fn another_abi_starts_fresh_and_loses_its_filters_to_their_successors() {
    change_abi(Mechanism::Clsact);
}

fn change_abi(mechanism: Mechanism) {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let (here, gone) = (
        uplink("up0", TcHook::Ingress),
        uplink("up0", TcHook::Egress),
    );
    let open = || Bpf::open_with(&host.options(), mechanism).expect("open");
    let (mut bpf, _) = open();
    bpf.put(&Entry::Uplink(7, Uplink::default())).expect("put");
    bpf.attach(&here).expect("attach");
    bpf.attach(&gone).expect("attach");
    drop(bpf);
    fs::rename(host.pin(""), host.bpffs.join("v4000000")).expect("rename");

    let (mut bpf, report) = open();
    assert_eq!(report.found, Found::AbiChanged(vec![4_000_000]));
    assert_eq!(bpf.entry(&EntryKey::Uplink(7)).expect("entry"), None);
    assert!(!bpf.attached(&here).expect("attached"));
    bpf.attach(&here).expect("attach");
    eventually("the old link is gone", || {
        programs_at("up0", TcHook::Ingress) == 1
    });
    assert_eq!(programs_at("up0", TcHook::Egress), 1, "no successor yet");
    bpf.remove_older_versions().expect("remove older versions");
    eventually("all old links are gone", || {
        programs_at("up0", TcHook::Egress) == 0
    });
    assert!(!host.bpffs.join("v4000000").exists());
    assert!(bpf.attached(&here).expect("attached"));
    drop(bpf);
    unpin_all(&host.bpffs).expect("unpin all");
    assert!(!run("tc", &["qdisc", "show", "dev", "up0"]).contains("clsact"));
}

#[test]
fn unpin_all_leaves_nothing() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let (mut bpf, _) = host.open();
    bpf.attach(&uplink("up0", TcHook::Ingress)).expect("attach");
    bpf.attach(&Attachment::Cgroup(Program::SockConnect4))
        .expect("attach");
    bpf.collect_flows(10, &Default::default(), &|_| true)
        .expect("collect");
    let programs: BTreeSet<u32> = ids(bpf.programs().expect("programs").iter().map(|p| p.id));
    let attached = bpf.attached_programs().expect("attached programs");
    let links: BTreeSet<u32> = ids(attached.iter().filter_map(|one| one.link));
    let maps = map_ids(&host.pin("maps"));
    assert!(!links.is_empty());
    drop(bpf);

    unpin_all(&host.bpffs).expect("unpin all");
    eventually("links, programs and maps are gone", || {
        let left = loaded_links().filter_map(|link| Some(link.ok()?.id()));
        let left_programs = loaded_programs().filter_map(|program| Some(program.ok()?.id()));
        let left_maps = loaded_maps().filter_map(|map| Some(map.ok()?.id()));
        links.is_disjoint(&ids(left))
            && programs.is_disjoint(&ids(left_programs))
            && maps.is_disjoint(&ids(left_maps))
    });
    assert!(!mounted(&host.bpffs), "what was mounted is unmounted");
    unpin_all(&host.bpffs).expect("twice is success");
}

#[test]
fn pins_of_others_survive() {
    let host = Host::new();
    let (bpf, _) = host.open();
    drop(bpf);
    let foreign: HashMap<MapData, u32, u32> = HashMap::create(1, 0).expect("a map");
    foreign.pin(host.bpffs.join("theirs")).expect("pin");
    let options = BpfOptions {
        bpffs: host.bpffs.join("netd"),
        log: false,
    };
    let (bpf, report) = Bpf::open(&options).expect("open");
    assert_eq!(report.mounted, None);
    drop(bpf);
    let inside = options.bpffs.join("inside");
    let another: HashMap<MapData, u32, u32> = HashMap::create(1, 0).expect("a map");
    another.pin(&inside).expect("pin");
    unpin_all(&options.bpffs).expect("unpin all");
    assert!(inside.exists());
    fs::remove_file(inside).expect("unpin");
    unpin_all(&options.bpffs).expect("unpin all");
    assert!(!options.bpffs.exists());
    assert!(host.bpffs.join("theirs").exists());
}

fn mounted(point: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
    mounts.contains(point.to_str().expect("a path"))
}

fn map_ids(directory: &Path) -> BTreeSet<u32> {
    let pins = fs::read_dir(directory).expect("maps");
    ids(pins.map(|pin| {
        let path = pin.expect("entry").path();
        MapInfo::from_pin(path).expect("a map").id()
    }))
}

fn ids(all: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    all.collect()
}
