//! Other people's TC programs beside netd's, and `sysctl --system`.

use aya::{
    Ebpf,
    programs::{
        LinkOrder, Program as Loaded, SchedClassifier, TcAttachType,
        tc::{SchedClassifierLinkId, TcAttachOptions},
    },
};
use netd_common::abi::Program;
use netd_tests::{
    bpf::{Object, load},
    lab::{App, EchoServer, Namespace, addresses::*},
};

use crate::{All, PORT, PUBLISH, SOON, WALK, everything_works_soon, the_bridge_forwards};

/// Other people's classic filters on an uplink, from before netd came and from after: netd's traffic
/// works and the host's own, and the filters stay.
#[test]
fn programs_of_others_before_and_after_ours() {
    let lab = netd_tests::lab::Lab::new("filters");
    // Everything is theirs, and goes on.
    let filter = |priority: u32| {
        format!(
            "tc filter add dev eth0 ingress protocol ip prio {priority} bpf bytecode '1,6 0 0 4294967295' direct-action"
        )
    };
    lab.host().ok("tc qdisc add dev eth0 clsact");
    lab.host().ok(&filter(100));
    let mut app = App::in_lab(lab, "", PUBLISH);
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(app.lab.outside(), PORT),
    ];
    everything_works_soon(&app, "theirs was first", SOON);
    app.lab.host().ok(&filter(50));
    everything_works_soon(&app, "theirs came after", SOON);
    app.lab
        .outside()
        .ok(&format!("ping -n -c 3 -i 0.2 -W 5 {HOST}"));
    app.agent.kill();
    app.agent.start_again().expect("the agent");
    everything_works_soon(&app, "started again", SOON);
    let filters = app.lab.host().ok("tc filter show dev eth0 ingress");
    assert_eq!(filters.matches("bytecode").count(), 2, "{filters}");
    // Somebody clears all filters: on kernels without tcx, netd's too.
    app.lab.host().ok("tc qdisc delete dev eth0 clsact");
    everything_works_soon(&app, "all filters were cleared", WALK);
    if !app.agent.has_tcx() {
        app.says("repaired: attach from_uplink at ingress of eth0");
        app.says("repaired: attach to_uplink at egress of eth0");
    }
}

/// A program of somebody else's on `eth0` that lets everything go on: netd's own over maps in which
/// there is nothing.
fn attach(host: &Namespace, order: LinkOrder) -> Foreign {
    host.on(|| {
        let mut ebpf = Object::Plain.open();
        load(&mut ebpf, Program::FromUplink);
        let Some(Loaded::SchedClassifier(program)) = ebpf.program_mut(Program::FromUplink.name())
        else {
            panic!("no program of packets");
        };
        let order = TcAttachOptions::TcxOrder(order);
        let link = program
            .attach_with_options("eth0", TcAttachType::Ingress, order)
            .expect("attached");
        Foreign {
            _link: link,
            _ebpf: ebpf,
        }
    })
}

struct Foreign {
    _link: SchedClassifierLinkId,
    // Detached with it.
    _ebpf: Ebpf,
}

/// The numbers of the programs on `eth0`, in their order.
fn chain(host: &Namespace) -> Vec<u32> {
    host.on(|| {
        let (_, programs) =
            SchedClassifier::query_tcx("eth0", TcAttachType::Ingress).expect("tcx (Linux 6.6)");
        programs.iter().map(|program| program.id()).collect()
    })
}

/// The same in tcx, before and after netd's.
#[test]
fn tcx_programs_of_others_before_and_after_ours() {
    let lab = netd_tests::lab::Lab::new("tcx");
    let asked = || SchedClassifier::query_tcx("eth0", TcAttachType::Ingress).is_ok();
    if !lab.host().on(asked) {
        // Before Linux 6.6.
        assert!(!lab.agent("").has_tcx());
        return;
    }
    let before = attach(lab.host(), LinkOrder::first());
    let mut app = App::in_lab(lab, "", PUBLISH);
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(app.lab.outside(), PORT),
    ];
    everything_works_soon(&app, "theirs was first", SOON);
    let after = attach(app.lab.host(), LinkOrder::last());
    let first = attach(app.lab.host(), LinkOrder::first());
    everything_works_soon(&app, "theirs are all around", SOON);
    let programs = chain(app.lab.host());
    assert_eq!(programs.len(), 4, "{programs:?}");
    app.agent.kill();
    app.agent.start_again().expect("the agent");
    everything_works_soon(&app, "started again", SOON);
    // In its place as before, not added once more.
    assert_eq!(chain(app.lab.host()), programs);
    drop((before, after, first));
    everything_works_soon(&app, "theirs are gone", SOON);
}

/// The command itself, with files of the network alone in place of the machine's, whose others would
/// be the machine's.
#[test]
fn sysctl_system_stops_nothing_for_long() {
    const FILES: &str = "net.ipv4.ip_forward = 0
net.ipv4.conf.all.forwarding = 0
net.ipv4.conf.*.rp_filter = 1
net.ipv4.conf.*.accept_local = 0
net.ipv4.conf.*.proxy_arp = 0
net.ipv6.conf.all.forwarding = 0
net.ipv6.conf.*.accept_ra = 0
";
    const SCRIPT: &str = "set -e
for directory in /etc/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d; do
    [ ! -d $directory ] || mount -t tmpfs netd-lab $directory
done
[ ! -e /etc/sysctl.conf ] || mount --bind /dev/null /etc/sysctl.conf
sysctl --system
";
    let app = App::with("sysctl-system", "", PUBLISH);
    let lab = &app.lab;
    for (path, text) in [
        ("/run/sysctl.d/50-host.conf", FILES),
        ("/run/lab/system", SCRIPT),
    ] {
        lab.world().write(path, text).expect("a file");
    }
    let all = All::start(&app);
    all.flows_on();
    for _ in 0..2 {
        let applied = lab.host().ok("unshare --mount sh /run/lab/system");
        assert!(applied.contains("50-host.conf"), "{applied}");
        assert!(!applied.contains("kernel."), "{applied}");
        all.flows_on();
    }
    all.end();
    the_bridge_forwards(&app);
}
