//! The generated rules against recorded ones of a real engine with the same history.

use std::net::Ipv4Addr;

use super::{History, Network, Port, Protocol, docker, nftables};

fn network(bridge: &str, subnet: &str) -> Network {
    Network {
        bridge: bridge.to_owned(),
        subnet: subnet.parse().unwrap(),
    }
}

/// `[ADDRESS:]PORT:PORT/PROTOCOL`, the way ports are published, for the container 172.X.0.Y.
fn port(network: usize, container: &str, text: &str) -> Port {
    let (ports, protocol) = text.split_once('/').unwrap();
    let mut parts = ports.rsplit(':');
    let mut number = || parts.next().unwrap().parse().unwrap();
    let (container_port, host_port) = (number(), number());
    Port {
        network,
        protocol: match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            unknown => panic!("{unknown}"),
        },
        host: parts.next().map(|host| host.parse().unwrap()),
        host_port,
        container: container.parse().unwrap(),
        container_port,
    }
}

/// A recording without its remarks and with its packet counters at zero.
fn plain(recorded: &str) -> String {
    recorded
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| match line.split_once(" [") {
            Some((chain, _)) if line.starts_with(':') => format!("{chain} [0:0]\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn default_network_with_every_kind_of_port() {
    let history = History {
        proxy: true,
        forward_drop: true,
        networks: vec![network("docker0", "172.17.0.0/16")],
        ports: vec![
            port(0, "172.17.0.2", "8080:80/tcp"),
            port(0, "172.17.0.3", "127.0.0.1:8081:80/tcp"),
            port(0, "172.17.0.4", "32768:80/tcp"),
            port(0, "172.17.0.4", "32768:53/udp"),
            port(0, "172.17.0.5", "7002:7002/tcp"),
            port(0, "172.17.0.5", "7001:7001/tcp"),
            port(0, "172.17.0.5", "7000:7000/tcp"),
            port(0, "172.17.0.5", "5353:53/udp"),
        ],
    };
    let recorded = include_str!("../../fixtures/docker-default-bridge.rules");
    assert_eq!(docker(&history), plain(recorded));
}

#[test]
fn without_the_userland_proxy() {
    let history = History {
        proxy: false,
        forward_drop: false,
        networks: vec![
            network("docker0", "172.17.0.0/16"),
            network("br-dd3dec91b5a7", "172.18.0.0/16"),
        ],
        ports: vec![
            port(0, "172.17.0.2", "8080:80/tcp"),
            port(0, "172.17.0.3", "127.0.0.1:8081:80/tcp"),
            port(0, "172.17.0.4", "5300:53/udp"),
        ],
    };
    let recorded = include_str!("../../fixtures/docker-noproxy.rules");
    assert_eq!(docker(&history), plain(recorded));
}

#[test]
fn port_on_a_network_of_the_users() {
    let history = History {
        proxy: true,
        forward_drop: true,
        networks: vec![
            network("docker0", "172.17.0.0/16"),
            network("br-0596d26bced8", "172.19.0.0/16"),
        ],
        ports: vec![port(1, "172.19.0.3", "8080:80/tcp")],
    };
    let recorded = include_str!("../../fixtures/docker-user-network.rules");
    assert_eq!(docker(&history), plain(recorded));
}

/// However many ports, rules stay as many; they grow in maps.
#[test]
fn nftables_rules_do_not_grow_with_ports() {
    let with = |count: u16| {
        let history = History {
            proxy: false,
            forward_drop: true,
            networks: vec![network("br", "10.0.0.0/24")],
            ports: (0..count)
                .map(|number| Port {
                    network: 0,
                    protocol: Protocol::Tcp,
                    host: None,
                    host_port: 20_000 + number,
                    container: Ipv4Addr::new(10, 0, 0, 2),
                    container_port: 80,
                })
                .collect(),
        };
        let text = nftables(&history, false);
        let elements = text.matches(": 10.0.0.2 . 80").count();
        (elements, text.lines().count() - elements)
    };
    let (one, rules) = with(1);
    assert_eq!((one, with(1000)), (1, (1000, rules)));
}
