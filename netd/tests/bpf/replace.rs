//! A new program takes the place of the old one while packets pass: none is lost.

use std::{collections::BTreeSet, fs};

use netd::{
    kernel::bpf::{Bpf, Mechanism},
    plan::TcHook,
};

use crate::host::{Host, Neighbour, ping_counts, programs_at, uplink};

#[test]
fn tcx_programs_are_replaced_without_a_lost_packet() {
    replace_under_traffic(Mechanism::Probed);
}

#[test]
fn clsact_programs_are_replaced_without_a_lost_packet() {
    replace_under_traffic(Mechanism::Clsact);
}

/// Adding a clsact qdisc can cost a packet (the kernel stops the device's queue for it), so the
/// first programs are there before the traffic.
fn replace_under_traffic(mechanism: Mechanism) {
    let host = Host::new();
    let neighbour = Neighbour::behind("up0");
    let mut loaded = vec![load_and_attach(&host, mechanism)];
    let mut ping = neighbour.ping(1_500);
    while ping.try_wait().expect("ping").is_none() {
        loaded.push(load_and_attach(&host, mechanism));
    }
    assert!(
        loaded.len() > 2,
        "only {} replacements in the time",
        loaded.len()
    );
    assert_eq!(loaded.len(), loaded.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(ping_counts(ping), (1_500, 1_500));
    assert_eq!(programs_at("up0", TcHook::Ingress), 1);
}

/// Loads anew, attaches at both hooks; the kernel's id of a program.
fn load_and_attach(host: &Host, mechanism: Mechanism) -> u32 {
    let (mut bpf, report) = Bpf::open_with(&host.options(), mechanism).expect("open");
    assert!(report.loaded);
    for hook in [TcHook::Ingress, TcHook::Egress] {
        let attachment = uplink("up0", hook);
        bpf.attach(&attachment).expect("attach");
        assert!(bpf.attached(&attachment).expect("attached"));
    }
    fs::remove_dir_all(host.pin("programs")).expect("forget the programs");
    bpf.programs().expect("programs")[0].id
}
