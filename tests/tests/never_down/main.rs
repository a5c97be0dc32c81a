//! What happens to a host in its life while traffic runs: an agent killed, stopped, replaced by one
//! with other programs; rules and sysctls of others; links down, up, replaced; other people's programs;
//! a container removed. Nothing is lost, or it is repaired within seconds, and what is lost is counted.

mod flood;
mod lost;
mod others;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, spawn},
    time::{Duration, Instant},
};

use netd_tests::lab::{
    App, EchoServer, Namespace, Traffic, addresses::*, asks, gets_no_answer, patient, reaches,
    tcp_exchange, udp_exchange,
};

use flood::Flood;

const PORT: u16 = 7000;
/// Of the bulk and the datagrams.
const FLOOD: u16 = 7001;
const PUBLISH: &str = "-p 8080:7000/tcp -p 8080:7000/udp -p 8081:7001/tcp -p 8081:7001/udp";
/// The promise is seconds; a busy test machine gets more.
const SOON: Duration = Duration::from_secs(20);
/// For what only the walk over everything finds (the promise is 30 s).
const WALK: Duration = Duration::from_secs(60);
fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// Every journey: bulk and datagrams in one direction, questions and answers, new connections.
struct All {
    floods: Vec<(Flood, u64)>,
    traffic: Vec<Traffic>,
    _servers: [EchoServer; 2],
}

impl All {
    fn start(app: &App) -> All {
        let (lab, client) = (&app.lab, &app.client);
        let servers = [
            EchoServer::start(&app.web, PORT),
            EchoServer::start(lab.outside(), PORT),
        ];
        let web = lab.address("web", "app").to_string();
        let listen = |namespace: &Namespace, port| {
            let any = SocketAddr::new("0.0.0.0".parse().expect("an address"), port);
            namespace.tcp_listen(any).expect("a server")
        };
        let bind = |namespace: &Namespace, port| {
            namespace.udp_bind(at("0.0.0.0", port)).expect("a server")
        };
        let (inside, outside) = (listen(&app.web, FLOOD), listen(lab.outside(), FLOOD));
        // Datagrams of one sender each: a server of its own.
        let floods = vec![
            (Flood::bulk(client, at(&web, FLOOD), &inside), 1 << 16),
            (Flood::bulk(lab.outside(), at(HOST, 8081), &inside), 1 << 16),
            (Flood::bulk(client, at(PUBLIC, FLOOD), &outside), 1 << 16),
            (
                Flood::datagrams(client, at(&web, 7002), bind(&app.web, 7002)),
                50,
            ),
            (
                Flood::datagrams(lab.outside(), at(HOST, 8081), bind(&app.web, FLOOD)),
                50,
            ),
            (
                Flood::datagrams(client, at(PUBLIC, FLOOD), bind(lab.outside(), FLOOD)),
                50,
            ),
        ];
        let web6 = SocketAddr::new(lab.address6("web", "app"), PORT);
        let traffic = vec![
            Traffic::udp(client, web6).expect("UDP"),
            Traffic::tcp(lab.outside(), at(HOST6, 8080)).expect("TCP"),
            Traffic::connections(lab.outside(), at(HOST, 8080)),
            Traffic::connections(client, at(PUBLIC, PORT)),
            Traffic::connections(client, at(&web, PORT)),
        ];
        All {
            floods,
            traffic,
            _servers: servers,
        }
    }

    #[track_caller]
    fn flows_on(&self) {
        self.traffic.iter().for_each(|traffic| traffic.flows_on(20));
        for (flood, more) in &self.floods {
            flood.flows_on(*more);
        }
    }

    #[track_caller]
    fn end(self) {
        for traffic in self.traffic {
            traffic.end();
        }
        for (flood, _) in self.floods {
            flood.end();
        }
    }
}

/// The numbers of the programs at the hooks of packets.
fn programs(app: &App) -> BTreeSet<String> {
    let listing = app.lab.host().ok(
        "sh -c 'for link in /sys/fs/bpf/netd/v*/links/*gress-*; do bpftool link show pinned $link; done'",
    );
    let rests = listing.split("prog ").skip(1);
    rests
        .filter_map(|rest| rest.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn an_agent_may_die_and_be_replaced_by_one_with_other_programs() {
    let mut app = App::with("upgrade", "", PUBLISH);
    let all = All::start(&app);
    all.flows_on();
    let mut former = programs(&app);
    assert!(!former.is_empty());
    for (arguments, kill) in [
        // The object with log calls, and back.
        ("--log-level trace", true),
        ("", false),
        ("--log-level trace", false),
        ("", true),
    ] {
        if kill {
            app.agent.kill();
        } else {
            assert!(app.agent.stop().succeeded());
        }
        all.flows_on();
        app.agent = app.lab.agent(arguments);
        all.flows_on();
        let now = programs(&app);
        assert!(now.is_disjoint(&former), "{former:?}, then {now:?}");
        former = now;
    }
    all.end();
}

#[test]
fn rules_and_sysctls_of_others_stop_nothing_for_long() {
    const SYSCTLS: &str = "net.ipv4.ip_forward = 0
net.ipv4.conf.all.rp_filter = 1
net.ipv4.conf.default.rp_filter = 1
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.conf.all.accept_source_route = 0
net.ipv4.conf.all.log_martians = 0
net.ipv6.conf.all.forwarding = 0
net.ipv6.conf.all.accept_ra = 0
net.ipv6.conf.default.accept_ra = 0
";
    let app = App::with("others", "", PUBLISH);
    let lab = &app.lab;
    let written = lab.world().write("/run/lab/sysctl.conf", SYSCTLS);
    written.expect("a file");
    let rules =
        "table ip x {\n chain y { type filter hook forward priority 0; policy accept; }\n}\n";
    lab.world().write("/run/lab/rules", rules).expect("a file");
    lab.host().ok("nft -f /run/lab/rules");
    let all = All::start(&app);
    all.flows_on();
    for command in [
        "nft flush ruleset",
        "iptables -F",
        "iptables -t nat -F",
        "ip6tables -F",
        // What `sysctl --system` does, of the network.
        "sysctl -q -p /run/lab/sysctl.conf",
        "sysctl -q -p /run/lab/sysctl.conf",
    ] {
        lab.host().ok(command);
        all.flows_on();
    }
    all.end();
    // What the sysctls undid is done again.
    the_bridge_forwards(&app);
}

/// Again, and it is said. (To write the value that `ip_forward` has already resets nothing; that of
/// IPv6 does.)
#[track_caller]
fn the_bridge_forwards(app: &App) {
    let lab = &app.lab;
    let bridge = lab.bridge_of("app");
    lab.wait_until("the bridge forwards", SOON, || {
        ["ipv4", "ipv6"].iter().all(|family| {
            let key = format!("net.{family}.conf.{bridge}.forwarding");
            lab.host().read_sysctl(&key).is_ok_and(|value| value == "1")
        })
    });
    app.says(&format!(
        "repaired: set sysctl net/ipv6/conf/{bridge}/forwarding in the host to 1"
    ));
}

#[track_caller]
fn everything_works_soon(app: &App, what: &str, limit: Duration) {
    let (lab, short) = (&app.lab, patient(Duration::from_millis(500)));
    let web = SocketAddr::new(lab.address("web", "app"), PORT);
    for (from, to) in [
        (&app.client, web),
        (&app.client, at(PUBLIC, PORT)),
        (&app.client, at(PUBLIC6, PORT)),
        (lab.outside(), at(HOST, 8080)),
        (lab.outside(), at(HOST6, 8080)),
    ] {
        lab.wait_until(&format!("{what}: {} to {to}", from.name()), limit, || {
            udp_exchange(from, to, short).is_ok() && tcp_exchange(from, to, short).is_ok()
        });
    }
}

#[test]
fn links_go_down_come_up_and_are_replaced() {
    let app = App::with("links", "", PUBLISH);
    let lab = &app.lab;
    let _servers = [
        EchoServer::start(&app.web, PORT),
        EchoServer::start(lab.outside(), PORT),
    ];
    everything_works_soon(&app, "at first", SOON);
    let bridge = lab.bridge_of("app");
    let host = lab.host();
    // netd's own come up by themselves.
    for link in [
        bridge.clone(),
        lab.host_side("web", "app"),
        "netd-dns".to_owned(),
    ] {
        host.ok(&format!("ip link set {link} down"));
        everything_works_soon(&app, &format!("{link} was down"), SOON);
        app.says(&format!("repaired: set {link} in the host up"));
    }
    // The host's own is its administrator's.
    let routes = || {
        host.ok(&format!("ip route replace default via {OUTSIDE}"));
        host.ok(&format!("ip -6 route replace default via {OUTSIDE6}"));
    };
    host.ok("ip link set eth0 down");
    host.ok("ip link set eth0 up");
    host.ok(&format!("ip addr replace {HOST6}/64 dev eth0 nodad"));
    routes();
    everything_works_soon(&app, "the uplink was down", SOON);
    // Another one in its place, with another name and number.
    let outside = lab.outside();
    host.ok("ip link delete eth0");
    let path = outside.path();
    let path = path.display();
    host.ok(&format!(
        "ip link add wan0 type veth peer name host0 netns {path}"
    ));
    for (namespace, link, v4, v6) in [
        (host, "wan0", HOST, HOST6),
        (outside, "host0", OUTSIDE, OUTSIDE6),
    ] {
        if namespace.name() == outside.name() {
            namespace.ok("ip addr flush dev eth0 scope global");
        }
        namespace.ok(&format!("ip link set {link} up"));
        namespace.ok(&format!("ip addr add {v4}/24 dev {link}"));
        namespace.ok(&format!("ip addr add {v6}/64 dev {link} nodad"));
    }
    routes();
    everything_works_soon(&app, "the uplink was replaced", SOON);
    for (to, seen) in [(PUBLIC, HOST), (PUBLIC6, HOST6)] {
        let to = to.parse().expect("an address");
        assert_eq!(reaches(&app.client, to, PORT).to_string(), seen);
    }
    let log = app.agent.log();
    assert!(log.contains("wan0"), "it says so: {log}");
}

#[test]
fn a_container_removed_under_traffic_leaves_nothing_to_inherit() {
    let app = App::with("removed", "", PUBLISH);
    let lab = &app.lab;
    let web = lab.address("web", "app");
    let server = EchoServer::start(&app.web, PORT);
    asks(lab.outside(), at(HOST, 8080));
    let peers = [
        (lab.outside().clone(), at(HOST, 8080)),
        (app.client.clone(), SocketAddr::new(web, PORT)),
    ];
    // They go on sending, whatever happens.
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<JoinHandle<()>> = peers
        .iter()
        .map(|(from, to)| {
            let any = "0.0.0.0:0".parse().expect("an address");
            let socket = from.udp_bind(any).expect("a socket");
            socket.connect(*to).expect("connected");
            let until = Arc::clone(&stop);
            spawn(move || {
                while !until.load(Ordering::Relaxed) {
                    // An ICMP error of the last one is no matter.
                    let _ = socket.send(b"are you still there?");
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
        })
        .collect();
    let streams: Vec<TcpStream> = peers
        .iter()
        .map(|(from, to)| from.tcp_connect(*to, SOON).expect("a connection"))
        .collect();
    lab.wait_until("flows", SOON, || {
        lab.netd("flow ls").contains(&web.to_string())
    });
    drop(server);
    lab.netd("sandbox rm -f web");
    // At once.
    for (from, to) in &peers {
        gets_no_answer(from, *to);
    }
    let flows = lab.netd("flow ls");
    assert!(!flows.contains(&web.to_string()), "{flows}");
    // Another one with its address, which publishes nothing: what was meant for the first does not arrive.
    lab.netd(&format!(
        "sandbox create --name heir --network name=app,ip={web}"
    ));
    let heir = lab.sandbox("heir");
    let socket = heir.udp_bind(at("0.0.0.0", PORT)).expect("a socket");
    let patience = Some(Duration::from_millis(100));
    socket.set_read_timeout(patience).expect("a socket option");
    let (client, mut strangers) = (lab.address("client", "app"), 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
            // A neighbour may well send to the address again.
            strangers += u32::from(from.ip() != client);
        }
    }
    assert_eq!(strangers, 0, "inherited from outside");
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().expect("a sender");
    }
    // Old connections do not come to life.
    for mut stream in streams {
        stream.set_read_timeout(patience).expect("a socket option");
        let _ = stream.write_all(b"hello\n");
        assert!(!matches!(stream.read(&mut [0; 64]), Ok(1..)), "inherited");
    }
}
