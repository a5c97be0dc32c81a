//! Links on the default network: exposed ports are open to the linking sandbox although its
//! neighbours are kept apart, the names and variables are its alone, and a link ends with its target.
//! Docker's answers to the same history were recorded. Needs root.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netd_tests::lab::{
    EchoServer, Lab, addresses::*, asks, gets_no_answer, is_kept_from, tcp_exchange, udp_exchange,
};

const LIMIT: Duration = Duration::from_secs(10);

/// c1 exposes 80 to 81 of TCP and 53 of UDP and publishes 80; c2 is a stranger; c3 has a link.
fn history(name: &str, agent: &str) -> (Lab, netd_tests::lab::Agent) {
    let lab = Lab::new(name);
    let agent = lab.agent(agent);
    lab.netd("sandbox create --name c1 --hostname h1 --expose 81 --expose 53/udp -p 8080:80 --env FOO=bar");
    lab.netd("sandbox create --name c2 --hostname h2");
    lab.netd("sandbox create --name c3 --hostname h3 --link c1:mylink --env OWN=1");
    (lab, agent)
}

#[test]
fn a_link_opens_exposed_ports_to_its_sandbox_alone() {
    let (lab, mut agent) = history("links-icc", "--icc=false --ipv6");
    let [c1, c2, c3] = ["c1", "c2", "c3"].map(|name| lab.sandbox(name));
    let _servers = [53, 80, 81, 82].map(|port| EchoServer::start(&c1, port));
    let _asked = EchoServer::start(&c3, 7000);
    // The agent will not always be there to be asked.
    let families = [
        ["c1", "c3"].map(|name| lab.address(name, "bridge")),
        ["c1", "c3"].map(|name| lab.address6(name, "bridge")),
    ];
    let opened = || {
        for [at_c1, at_c3] in families {
            let c1_at = |port| SocketAddr::new(at_c1, port);
            for port in [80, 81] {
                let seen = tcp_exchange(&c3, c1_at(port), LIMIT).expect("an exposed port");
                assert_eq!(seen.ip(), at_c3);
            }
            udp_exchange(&c3, c1_at(53), LIMIT).expect("an exposed port");
        }
    };
    let closed = |[at_c1, at_c3]: [IpAddr; 2]| {
        let c1_at = |port| SocketAddr::new(at_c1, port);
        // Not exposed; of the other protocol; not the linking sandbox; the other way round.
        gets_no_answer(&c3, c1_at(82));
        assert!(udp_exchange(&c3, c1_at(80), Duration::from_millis(700)).is_err());
        gets_no_answer(&c2, c1_at(80));
        gets_no_answer(&c1, SocketAddr::new(at_c3, 7000));
        is_kept_from(&c3, at_c1, 82);
    };
    opened();
    families.into_iter().for_each(closed);
    // Published ports stay reachable, by an address of the host.
    let published = SocketAddr::new(lab.gateway("c2", "bridge"), 8080);
    tcp_exchange(&c2, published, LIMIT).expect("published");
    assert!(lab.drops("icc-off") > 0);
    // The agent is not needed.
    agent.kill();
    opened();
    closed(families[1]);
    agent.start_again().expect("the agent");
    opened();
    closed(families[0]);
}

#[test]
fn a_closed_port_of_a_link_says_so() {
    let (lab, _agent) = history("links-closed", "--icc=false");
    let c3 = lab.sandbox("c3");
    let exposed = SocketAddr::new(lab.address("c1", "bridge"), 53);
    let socket = c3.udp_bind("0.0.0.0:0".parse().expect("an address"));
    let socket = socket.expect("a socket");
    socket.connect(exposed).expect("an address");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket.send(b"anybody?").expect("a datagram");
    let error = socket.recv(&mut [0; 16]).expect_err("nobody is there");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn names_and_variables_are_the_linking_sandboxs() {
    let (lab, _agent) = history("links-names", "");
    let (c1, c3) = (lab.address("c1", "bridge"), lab.address("c3", "bridge"));
    let hosts = |name: &str| {
        let text = lab
            .host()
            .ok(&format!("netd exec {name} -- cat /etc/hosts"));
        let own: Vec<String> = text.lines().skip(6).map(str::to_owned).collect();
        own.join("\n")
    };
    assert_eq!(hosts("c3"), format!("{c1}\tmylink h1 c1\n{c3}\th3"));
    assert_eq!(hosts("c1"), format!("{c1}\th1"));
    let env = lab.netd("sandbox env c3");
    assert_eq!(env.lines().count(), 16, "{env}");
    assert!(
        env.starts_with(&format!("MYLINK_PORT=udp://{c1}:53")),
        "{env}"
    );
    assert!(
        env.ends_with("MYLINK_NAME=/c3/mylink\nMYLINK_ENV_FOO=bar\nOWN=1"),
        "{env}"
    );
    let inside = lab.host().ok("netd exec c3 -- env");
    for line in env.lines() {
        assert!(
            inside.lines().any(|inner| inner == line),
            "{line}: {inside}"
        );
    }
    let c1_env = lab.host().ok("netd exec c1 -- env");
    assert!(!c1_env.contains("MYLINK") && c1_env.contains("FOO=bar"));
    let inspected = &lab.netd_json("sandbox inspect c1 c3");
    assert_eq!(inspected[0]["Ports"]["81/tcp"], serde_json::Value::Null);
    let exposed = inspected[0]["ExposedPorts"].as_object().expect("an object");
    assert_eq!(
        exposed.keys().collect::<Vec<_>>(),
        ["53/udp", "80/tcp", "81/tcp"]
    );
    assert_eq!(inspected[1]["Links"][0], "/c1:/c3/mylink");
}

#[test]
fn a_link_ends_with_its_target() {
    let (lab, _agent) = history("links-end", "--icc=false");
    lab.netd("sandbox rm c1");
    let hosts = lab.host().ok("netd exec c3 -- cat /etc/hosts");
    assert!(!hosts.contains("mylink"), "{hosts}");
    assert_eq!(lab.netd("sandbox env c3"), "OWN=1");
    // One of the same name is another one.
    lab.netd("sandbox create --name c1 --expose 81");
    let _server = EchoServer::start(&lab.sandbox("c1"), 81);
    let address = lab.address("c1", "bridge");
    gets_no_answer(&lab.sandbox("c3"), SocketAddr::new(address, 81));
    let refused = lab.netd_refuses("sandbox create --name c4 --link nosuch:x");
    assert_eq!(
        refused.stderr,
        "netd: could not get sandbox for nosuch: No such sandbox: nosuch\ntry: netd sandbox ls\n"
    );
    assert!(!lab.netd("sandbox ls").contains("c4"));
}

#[test]
fn neighbours_are_kept_apart_or_not_as_the_agent_is_told() {
    let (lab, mut agent) = history("links-restart", "");
    let [c1, c2] = ["c1", "c2"].map(|name| lab.sandbox(name));
    let _server = EchoServer::start(&c1, 82);
    let to = SocketAddr::new(lab.address("c1", "bridge"), 82);
    asks(&c2, to);
    agent.stop();
    drop(agent);
    let mut agent = lab.agent("--icc=false");
    gets_no_answer(&c2, to);
    agent.stop();
    drop(agent);
    let _agent = lab.agent("--icc=true");
    asks(&c2, to);
}

#[test]
fn exposed_ports_are_published_for_both_families_at_one_port() {
    let lab = Lab::new("links-all");
    let _agent = lab.agent("--ipv6");
    lab.netd("sandbox create --name web -P --expose 7000 --expose 7010-7012/udp");
    let shown = lab.netd("port web");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    let port = |line: &str| line.rsplit_once(':').expect("a port").1.to_owned();
    assert_eq!(port(lines[0]), port(lines[1]));
    assert!(lines[0].starts_with("7000/tcp -> 0.0.0.0:"), "{shown}");
    assert!(lines[1].starts_with("7000/tcp -> [::]:"), "{shown}");
    assert!(lines[2].starts_with("7010-7012/udp -> 0.0.0.0:"), "{shown}");
    assert!(lines[3].starts_with("7010-7012/udp -> [::]:"), "{shown}");
    assert_eq!(port(lines[2]), port(lines[3]));
    let number = port(lines[0]).parse().expect("a number");
    let range = port(lines[2]);
    let (first, last) = range.split_once('-').expect("a range");
    let [first, last] = [first, last].map(|port| port.parse::<u16>().expect("a number"));
    assert_eq!(last, first + 2);
    let web = lab.sandbox("web");
    let _server = EchoServer::start(&web, 7000);
    for (inside, outside) in [(7010, first), (7011, first + 1), (7012, last)] {
        // One at a time: who answers is the one that is meant.
        let _server = EchoServer::start(&web, inside);
        for (from, to) in [
            (lab.host(), lab.gateway("web", "bridge")),
            (lab.host(), lab.gateway6("web", "bridge")),
            (lab.outside(), ip(HOST)),
            (lab.outside(), ip(HOST6)),
        ] {
            tcp_exchange(from, SocketAddr::new(to, number), LIMIT).expect("published");
            udp_exchange(from, SocketAddr::new(to, outside), LIMIT).expect("published");
        }
    }
}

fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}
