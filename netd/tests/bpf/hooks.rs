//! Attaching: never twice, made again when severed, replaced, detached; tcx, clsact and cgroups.

use std::{collections::BTreeSet, fs};

use aya::programs::loaded_links;
use netd::{
    kernel::bpf::{Bpf, Mechanism, unpin_all},
    plan::{Attachment, TcHook},
};
use netd_common::abi::Program;

use crate::host::{Host, clsact_count, eventually, programs_at, run, tcx_count, uplink};

#[test]
fn attaching_twice_does_not_stack() {
    let host = Host::new();
    run("ip", &["link", "add", "up.7", "type", "veth"]);
    let attachment = uplink("up.7", TcHook::Egress);
    let (mut bpf, _) = host.open();
    for _ in 0..3 {
        bpf.attach(&attachment).expect("attach");
    }
    drop(bpf);
    let (mut bpf, _) = host.open();
    bpf.attach(&attachment).expect("attach");
    assert_eq!(programs_at("up.7", TcHook::Egress), 1);
    assert_eq!(
        bpf.attachments().expect("attachments"),
        BTreeSet::from([attachment])
    );
}

#[test]
fn a_link_of_a_device_that_was_made_anew_is_remade() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let attachment = uplink("up0", TcHook::Ingress);
    let (mut bpf, _) = host.open();
    bpf.attach(&attachment).expect("attach");
    run("ip", &["link", "del", "up0"]);
    assert!(!bpf.attached(&attachment).expect("attached"));
    assert_eq!(bpf.attachments().expect("attachments"), BTreeSet::new());
    let error = bpf.attach(&attachment).expect_err("no device");
    assert!(
        error.to_string().contains("there is no link up0"),
        "{error}"
    );
    run("ip", &["link", "add", "up0", "type", "veth"]);
    assert!(!bpf.attached(&attachment).expect("attached"));
    bpf.attach(&attachment).expect("attach");
    assert!(bpf.attached(&attachment).expect("attached"));
    assert_eq!(programs_at("up0", TcHook::Ingress), 1);
}

#[test]
fn a_link_follows_the_name_not_the_device() {
    let host = Host::new();
    run(
        "ip",
        &[
            "link", "add", "up0", "type", "veth", "peer", "name", "other",
        ],
    );
    let attachment = uplink("up0", TcHook::Ingress);
    let (mut bpf, report) = host.open();
    bpf.attach(&attachment).expect("attach");
    run("ip", &["link", "set", "up0", "name", "away"]);
    run("ip", &["link", "set", "other", "name", "up0"]);
    assert!(!bpf.attached(&attachment).expect("attached"));
    bpf.attach(&attachment).expect("attach");
    assert!(bpf.attached(&attachment).expect("attached"));
    // A filter of clsact, which no pin holds, stays with its device.
    let left = usize::from(!report.tcx);
    eventually("the other device is free", || {
        programs_at("away", TcHook::Ingress) == left
    });
}

#[test]
fn a_renamed_device_takes_its_program_under_the_new_name() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let (former, latter) = (
        uplink("up0", TcHook::Ingress),
        uplink("away", TcHook::Ingress),
    );
    let (mut bpf, _) = host.open();
    bpf.attach(&former).expect("attach");
    run("ip", &["link", "set", "up0", "name", "away"]);
    assert!(!bpf.attached(&former).expect("attached"));
    bpf.attach(&latter).expect("attach");
    assert!(bpf.attached(&latter).expect("attached"));
    assert_eq!(programs_at("away", TcHook::Ingress), 1);
    assert_eq!(
        bpf.attachments().expect("attachments"),
        BTreeSet::from([latter])
    );
}

#[test]
fn a_link_that_was_forced_off_is_noticed() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let (mut bpf, _) = host.open();
    let both = [
        uplink("up0", TcHook::Ingress),
        Attachment::Cgroup(Program::SockConnect4),
    ];
    for attachment in &both {
        bpf.attach(attachment).expect("attach");
        assert!(bpf.attached(attachment).expect("attached"));
    }
    for one in bpf.attached_programs().expect("attached programs") {
        match one.link {
            Some(id) => run("bpftool", &["link", "detach", "id", &id.to_string()]),
            None => run("tc", &["filter", "del", "dev", "up0", "ingress"]),
        };
    }
    for attachment in &both {
        assert!(
            !bpf.attached(attachment).expect("attached"),
            "{attachment:?}"
        );
        bpf.attach(attachment).expect("attach");
        assert!(
            bpf.attached(attachment).expect("attached"),
            "{attachment:?}"
        );
    }
}

#[test]
fn removed_pins_are_made_again() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let attachment = uplink("up0", TcHook::Ingress);
    let (mut bpf, _) = host.open();
    bpf.attach(&attachment).expect("attach");
    fs::remove_dir_all(host.pin("")).expect("remove all pins");
    assert_eq!(bpf.attachments().expect("attachments"), BTreeSet::new());
    assert!(!bpf.attached(&attachment).expect("attached"));
    bpf.attach(&attachment).expect("attach");
    assert!(bpf.attached(&attachment).expect("attached"));
    eventually("the old link is gone", || {
        programs_at("up0", TcHook::Ingress) == 1
    });
}

#[test]
fn detaching_is_complete_and_repeatable() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let attachment = uplink("up0", TcHook::Ingress);
    let (mut bpf, _) = host.open();
    bpf.attach(&attachment).expect("attach");
    bpf.detach(&attachment).expect("detach");
    assert!(!bpf.attached(&attachment).expect("attached"));
    eventually("no program is left", || {
        programs_at("up0", TcHook::Ingress) == 0
    });
    bpf.detach(&attachment)
        .expect("detach what is not attached");
    bpf.detach(&uplink("nowhere", TcHook::Egress))
        .expect("detach from no device");
}

#[test]
fn a_program_of_another_hook_is_refused() {
    let host = Host::new();
    run("ip", &["link", "add", "up0", "type", "veth"]);
    let (mut bpf, _) = host.open();
    let wrong = Attachment::Tc {
        link: "up0".parse().expect("a name"),
        hook: TcHook::Ingress,
        program: Program::SockConnect4,
    };
    bpf.attach(&wrong).expect_err("a socket program at a link");
    bpf.attach(&Attachment::Cgroup(Program::FromUplink))
        .expect_err("a tc program at a cgroup");
    assert_eq!(bpf.attachments().expect("attachments"), BTreeSet::new());
}

#[test]
fn clsact_replaces_notices_and_cleans_up() {
    let host = Host::new();
    run("ip", &["link", "add", "up.0", "type", "veth"]);
    let both = [
        uplink("up.0", TcHook::Ingress),
        uplink("up.0", TcHook::Egress),
    ];
    let open = || Bpf::open_with(&host.options(), Mechanism::Clsact).expect("open");
    let (mut bpf, report) = open();
    assert!(!report.tcx);
    for attachment in &both {
        assert!(!bpf.attached(attachment).expect("attached"));
        bpf.attach(attachment).expect("attach");
        bpf.attach(attachment).expect("attach again");
        assert!(bpf.attached(attachment).expect("attached"));
    }
    drop(bpf);
    fs::remove_dir_all(host.pin("programs")).expect("forget the programs");
    let (mut bpf, report) = open();
    assert!(report.loaded);
    assert!(
        !bpf.attached(&both[0]).expect("attached"),
        "the program is another"
    );
    bpf.attach(&both[0]).expect("replace");
    bpf.attach(&both[1]).expect("replace");
    assert_eq!(clsact_count("up.0", TcHook::Ingress), 1);

    run("tc", &["qdisc", "del", "dev", "up.0", "clsact"]);
    assert!(
        !bpf.attached(&both[0]).expect("attached"),
        "the qdisc is gone"
    );
    bpf.attach(&both[0]).expect("attach");
    bpf.attach(&both[1]).expect("attach");
    assert_eq!(
        bpf.attachments().expect("attachments"),
        BTreeSet::from(both)
    );
    drop(bpf);
    unpin_all(&host.bpffs).expect("unpin all");
    assert!(!run("tc", &["qdisc", "show", "dev", "up.0"]).contains("clsact"));
}

#[test]
fn a_clsact_qdisc_of_others_stays() {
    let host = Host::new();
    run("ip", &["link", "add", "up.0", "type", "veth"]);
    run("tc", &["qdisc", "add", "dev", "up.0", "clsact"]);
    let (mut bpf, _) = Bpf::open_with(&host.options(), Mechanism::Clsact).expect("open");
    bpf.attach(&uplink("up.0", TcHook::Ingress))
        .expect("attach");
    bpf.detach(&uplink("up.0", TcHook::Ingress))
        .expect("detach");
    assert_eq!(clsact_count("up.0", TcHook::Ingress), 0);
    assert!(run("tc", &["qdisc", "show", "dev", "up.0"]).contains("clsact"));
}

#[test]
fn from_clsact_to_tcx_and_back() {
    let host = Host::new();
    run("ip", &["link", "add", "up.0", "type", "veth"]);
    let attachment = uplink("up.0", TcHook::Ingress);
    for mechanism in [Mechanism::Clsact, Mechanism::Probed, Mechanism::Clsact] {
        let (mut bpf, report) = Bpf::open_with(&host.options(), mechanism).expect("open");
        let tcx = usize::from(report.tcx);
        if report.tcx {
            assert!(!bpf.attached(&attachment).expect("attached"));
        }
        bpf.attach(&attachment).expect("attach");
        assert!(bpf.attached(&attachment).expect("attached"));
        assert_eq!(clsact_count("up.0", TcHook::Ingress), 1 - tcx);
        eventually("only this mechanism", || {
            tcx_count("up.0", TcHook::Ingress) == tcx
        });
    }
}

#[test]
fn two_agents_share_the_root_cgroup() {
    let host = Host::new();
    let attachment = Attachment::Cgroup(Program::SockConnect4);
    let other = Host {
        bpffs: host.bpffs.with_file_name("other"),
    };
    let (mut first, _) = host.open();
    let (mut second, _) = other.open();
    first.attach(&attachment).expect("attach");
    second.attach(&attachment).expect("attach");
    let link = |bpf: &mut Bpf| {
        let attached = bpf.attached_programs().expect("attached programs");
        assert!(attached.iter().all(|one| one.in_order), "{attached:?}");
        attached[0].link.expect("a link")
    };
    let (one, two) = (link(&mut first), link(&mut second));
    assert_ne!(one, two);

    drop(first);
    fs::remove_dir_all(host.pin("programs")).expect("forget the programs");
    let (mut first, _) = host.open();
    assert!(
        !first.attached(&attachment).expect("attached"),
        "an old program"
    );
    first.attach(&attachment).expect("replace");
    let renewed = link(&mut first);
    eventually("the old link is gone, the other agent's is not", || {
        let ids: BTreeSet<u32> = loaded_links()
            .filter_map(|link| Some(link.ok()?.id()))
            .collect();
        !ids.contains(&one) && ids.contains(&two) && ids.contains(&renewed)
    });
    assert!(second.attached(&attachment).expect("attached"));
}
