//! What is dropped is told one by one: with reason, program, network, sandbox and tuple; of a flood
//! only some, with the number of the rest, also of those that found the ring full; and an agent that
//! comes later goes on telling.

use std::{net::IpAddr, time::Duration};

use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use netd_common::{
    DropReason,
    abi::{drops::EventBudget, maps},
    limits::{DROP_EVENT_RING, DROP_EVENTS_BURST},
    packet::testing::{Frame, Payload, cut},
};
use netd_tests::{
    bpf::raw,
    lab::{App, Background, EXPERIMENTAL, Namespace, addresses::*, ethernet, pins},
};
use serde_json::{Value, json};
use zerocopy::FromBytes as _;

const LIMIT: Duration = Duration::from_secs(15);

fn events(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}

#[test]
fn a_dropped_packet_is_told() {
    let mut app = App::start("drop-events");
    let lab = &app.lab;
    lab.netd("network create --internal inner");
    lab.netd("sandbox create --name kept --network inner");
    let kept = lab.sandbox("kept");
    kept.ok(&format!("ip route add {PUBLIC} via {}", inner_gateway(lab)));
    let follow = lab
        .host()
        .spawn("netd drops --follow -f json")
        .expect("netd drops");
    let text = lab.host().spawn("netd drops --follow").expect("netd drops");
    let source = lab.address("kept", "inner");
    let seen = |output: &str| {
        output.contains("internal-network") && output.contains(&format!("{PUBLIC}:9"))
    };
    // Who follows is told of what comes then: so again and again.
    lab.wait_until("the drop is told", LIMIT, || {
        say(&kept, PUBLIC);
        seen(&follow.stdout()) && seen(&text.stdout())
    });
    let told = events(&follow.stdout());
    let event = told
        .iter()
        .find(|event| event["destination"] == format!("{PUBLIC}:9"))
        .expect("the event");
    assert_eq!(event["reason"], "internal-network");
    assert_eq!(event["program"], "from_endpoint");
    assert_eq!(event["network"], "inner");
    assert_eq!(event["sandbox"], "kept");
    assert_eq!(event["protocol"], "udp");
    let from = event["source"].as_str().expect("a source");
    assert!(from.starts_with(&format!("{source}:")), "{from}");
    assert_eq!(event["bytes"], 20 + 8 + 5);
    let line = text.stdout();
    assert!(
        line.contains("internal-network from_endpoint network=inner sandbox=kept udp"),
        "{line}"
    );

    // A successor of the agent reads the same ring.
    app.agent.kill();
    for _ in 0..50 {
        say(&kept, PUBLIC);
    }
    app.agent.start_again().expect("the agent");
    let lab = &app.lab;
    let follow = lab
        .host()
        .spawn("netd drops --follow -f json")
        .expect("netd drops");
    lab.wait_until("the drop is told again", LIMIT, || {
        say(&kept, PUBLIC);
        seen(&follow.stdout())
    });
}

fn inner_gateway(lab: &netd_tests::lab::Lab) -> String {
    // An internal network gives no default route; its bridge has the first address.
    let inspected = lab.netd_json("network inspect inner");
    let gateway = inspected[0]["IPAM"]["Config"][0]["Gateway"].as_str();
    let gateway = gateway.expect("a gateway");
    gateway.split('/').next().expect("an address").to_owned()
}

fn say(from: &netd_tests::lab::Namespace, to: &str) {
    let to: std::net::IpAddr = to.parse().expect("an address");
    let socket = from
        .udp_bind("0.0.0.0:0".parse().expect("any"))
        .expect("a socket");
    socket.send_to(b"hello", (to, 9)).expect("to send");
}

#[test]
fn of_a_flood_some_is_told_and_the_rest_counted() {
    let app = App::with(
        "drop-flood",
        "-o com.docker.network.bridge.enable_icc=false",
        "",
    );
    let lab = &app.lab;
    let follow = lab
        .host()
        .spawn("netd drops --follow -f json")
        .expect("netd drops");
    let web = lab.address("web", "app").to_string();
    lab.wait_until("drops are told", LIMIT, || {
        say(&app.client, &web);
        follow.stdout().contains("icc-off")
    });
    const FLOOD: u64 = 5_000;
    let before = lab.drops("icc-off");
    for _ in 0..FLOOD {
        say(&app.client, &web);
    }
    let mut dropped = 0;
    lab.wait_until("all of them are counted", LIMIT, || {
        lab.drops("icc-off") >= before + FLOOD
    });
    // The next one says how many there were besides.
    lab.wait_until("the rest is told by its number", LIMIT, || {
        say(&app.client, &web);
        let told = events(&follow.stdout());
        told.iter()
            .any(|event| event["untold"].as_u64().unwrap_or(0) > 100)
    });
    for event in events(&follow.stdout()) {
        dropped += 1 + event["untold"].as_u64().expect("a number");
    }
    let told = events(&follow.stdout()).len() as u64;
    assert!(told < FLOOD / 4, "{told} of {FLOOD} events");
    assert!(dropped <= lab.drops("icc-off"), "{dropped}");
}

/// An Ethernet header, which a raw IP socket does not want.
const ETHERNET: usize = 14;

/// A datagram to port 9 from port 5353.
fn datagram(macs: [&str; 2], source: IpAddr, destination: IpAddr, hops: u8) -> Vec<u8> {
    let frame = Frame {
        to: [0; 6],
        from: [0; 6],
        source: source.into(),
        destination: destination.into(),
        hops,
        payload: Payload::Udp(5_353, 9, b"hello".repeat(20)),
    };
    let bytes = frame.bytes();
    let mut whole = ethernet(macs[0], macs[1], u16::from_be_bytes([bytes[12], bytes[13]]));
    whole.truncate(ETHERNET);
    whole.extend_from_slice(&bytes[ETHERNET..]);
    whole
}

/// Lets it happen until an event with all of these fields is told.
#[track_caller]
fn is_told(app: &App, follow: &Background, fields: &Value, happen: impl Fn()) {
    let expected = fields.as_object().expect("fields");
    let fits = |event: &Value| expected.iter().all(|(name, value)| event[name] == *value);
    app.lab.wait_until(&format!("told: {fields}"), LIMIT, || {
        happen();
        events(&follow.stdout()).iter().any(fits)
    });
}

/// One of each program that drops, of each family, with and without a tuple.
#[test]
fn each_program_tells_what_it_knows() {
    let app = App::start("drop-table");
    let lab = &app.lab;
    let (host, attacker) = (lab.host(), lab.attacker());
    lab.netd("network create --ipv6 -o com.docker.network.bridge.enable_icc=false closed");
    for name in ["one", "two"] {
        lab.netd(&format!("sandbox create --name {name} --network closed"));
    }
    let one = lab.sandbox("one");
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let (web, client) = (lab.address("web", "app"), lab.address("client", "app"));
    let [one6, two6] = ["one", "two"].map(|name| lab.address6(name, "closed"));
    let [to_web, own] = ["web", "client"].map(|name| lab.mac(name, "app"));
    let follow = host.spawn("netd drops --follow -f json").expect("follows");
    let told = |fields: Value, happen: &dyn Fn()| is_told(&app, &follow, &fields, happen);
    let frame = |from: &Namespace, link: &str, bytes: &[u8]| {
        from.send_frame(link, bytes).expect("a frame");
    };

    attacker.ok(&format!("ip route add {web}/32 via {HOST}"));
    told(
        json!({"reason": "direct-routing", "program": "from_uplink", "network": "app", "sandbox": "",
               "protocol": "udp", "destination": format!("{web}:9")}),
        &|| say(attacker, &web.to_string()),
    );

    // What no endpoint takes of the host's stack.
    let bridge = lab.bridge_of("app");
    told(
        json!({"reason": "host-traffic", "program": "to_endpoint", "network": "app", "sandbox": "web",
               "protocol": "", "source": "", "destination": ""}),
        &|| {
            let foreign = ethernet(&to_web, "02:00:00:00:be:ef", EXPERIMENTAL);
            frame(host, &bridge, &foreign);
        },
    );

    // A router, made so by others, sends on what claims to be a sandbox's.
    host.sysctl("net.ipv4.ip_forward", "1").expect("sysctl");
    for link in ["all", "eth0"] {
        host.sysctl(&format!("net.ipv4.conf.{link}.rp_filter"), "0")
            .expect("sysctl");
    }
    attacker.ok(&format!("ip route replace {PUBLIC}/32 via {HOST}"));
    let forged = datagram([&to_web, &own], web, ip(PUBLIC), 64).split_off(ETHERNET);
    told(
        json!({"reason": "untranslated", "program": "to_uplink", "network": "app", "sandbox": "",
               "protocol": "udp", "source": format!("{web}:5353"),
               "destination": format!("{PUBLIC}:9")}),
        &|| {
            let packets = [forged.clone()];
            attacker.send_packets(&packets).expect("a packet");
        },
    );

    let spent = datagram([&to_web, &own], client, ip(PUBLIC), 1);
    told(
        json!({"reason": "ttl-expired", "program": "from_endpoint", "network": "app",
               "sandbox": "client", "source": format!("{client}:5353"),
               "destination": format!("{PUBLIC}:9"), "bytes": 20 + 8 + 100}),
        &|| frame(&app.client, "eth0", &spent),
    );

    told(
        json!({"reason": "icc-off", "program": "from_endpoint", "network": "closed", "sandbox": "one",
               "protocol": "udp", "destination": format!("[{two6}]:9")}),
        &|| {
            let socket = one.udp_bind("[::]:0".parse().expect("any"));
            let socket = socket.expect("a socket");
            socket.send_to(b"hello", (two6, 9)).expect("to send");
        },
    );
    assert!(
        events(&follow.stdout()).iter().any(|event| event["source"]
            .as_str()
            .is_some_and(|source| source.starts_with(&format!("[{one6}]:")))),
        "{}",
        follow.stdout()
    );

    let loopback = datagram([&to_web, &own], client, ip("127.0.0.5"), 64);
    told(
        json!({"reason": "loopback-address", "program": "from_endpoint", "network": "app",
               "sandbox": "client", "destination": "127.0.0.5:9"}),
        &|| frame(&app.client, "eth0", &loopback),
    );

    // Nobody knows the ports of what waited for them in vain; who sent it is known.
    let whole = datagram([&to_web, &own], client, ip(PUBLIC), 64);
    let later = cut(&whole, 48, 7).pop().expect("a fragment");
    told(
        json!({"reason": "fragment-timeout", "program": "from_endpoint", "network": "app",
               "sandbox": "client", "protocol": "udp", "source": client.to_string(),
               "destination": PUBLIC}),
        &|| frame(&app.client, "eth0", &later),
    );
}

/// The budget of a reason, full again on each CPU; what it has lost and suppressed, of all of them.
fn refill(lab: &netd_tests::lab::Lab, reason: DropReason) -> (u64, u64) {
    const BUDGET: usize = size_of::<EventBudget>();
    let path = format!("{}/maps/{}", pins(), maps::EVENT_BUDGETS);
    // On the thread that sees the lab's bpffs.
    lab.host().on(move || {
        let data = MapData::from_pin(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let map = Map::from_map_data(data).expect("a known type of map");
        let mut map: PerCpuArray<_, [u8; BUDGET]> = PerCpuArray::try_from(map).expect("its types");
        let index = reason as u32;
        let values = map.get(&index, 0).expect("its values");
        let (mut lost, mut suppressed) = (0, 0);
        let full: Vec<[u8; BUDGET]> = (values.iter())
            .map(|value| {
                let budget = EventBudget::read_from_bytes(value).expect("its size");
                lost += budget.lost;
                suppressed += budget.suppressed;
                raw(&EventBudget {
                    earned_until: 0,
                    tokens: 0,
                    ..budget
                })
            })
            .collect();
        let full = PerCpuValues::try_from(full).expect("one each");
        map.set(index, full, 0).expect("to write");
        (lost, suppressed)
    })
}

/// While nobody reads, the ring fills: packets are dropped and counted all the same, and the next event
/// that finds room stands for those that found none.
#[test]
fn a_full_ring_costs_events_and_nothing_else() {
    const ICC: &str = "-o com.docker.network.bridge.enable_icc=false";
    let app = App::with("drop-ring", ICC, "");
    let lab = &app.lab;
    let web = lab.address("web", "app").to_string();
    say(&app.client, &web);
    let before = lab.drops("icc-off");
    app.agent.freeze();
    let mut sent = 0;
    let lost = loop {
        let (lost, suppressed) = refill(lab, DropReason::IccOff);
        assert_eq!(suppressed, 0, "there was a budget for each");
        if lost > 0 {
            break lost;
        }
        assert!(sent < u64::from(DROP_EVENT_RING), "{sent} events have room");
        for _ in 0..DROP_EVENTS_BURST {
            say(&app.client, &web);
        }
        sent += DROP_EVENTS_BURST;
    };
    app.agent.thaw();
    lab.wait_until("all of them are counted", LIMIT, || {
        lab.drops("icc-off") >= before + sent
    });
    let follow = lab.host().spawn("netd drops --follow -f json");
    let follow = follow.expect("netd drops");
    let told = || {
        events(&follow.stdout())
            .iter()
            .map(|event| event["untold"].as_u64().expect("a number"))
            .sum::<u64>()
    };
    lab.wait_until("the lost ones are told by their number", LIMIT, || {
        refill(lab, DropReason::IccOff);
        say(&app.client, &web);
        told() >= lost
    });
}
