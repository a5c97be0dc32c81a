//! `inspect` against what Docker 20.10 printed for the same objects (tests/fixtures): every field it
//! has is there with the same value, and what is more is listed here.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use serde_json::{Map, Value};

use super::{network_shape::NetworkShape, sandbox_shape::SandboxShape};
use crate::model::{
    Endpoint, Id, Network, PortRange, Protocol, PublishedPort, Sandbox,
    endpoint::Given,
    network::{BridgeOptions, Driver, Ipam, Lifetime, Owner, Scope, Subnet},
    sandbox::{DnsSettings, Mode, Namespace},
};
use crate::state::view::{EndpointView, NetworkView, PortView, SandboxView};

const USER: &str = include_str!("../../../tests/fixtures/docker-20.10/network-inspect-user.json");
const OPTIONS: &str =
    include_str!("../../../tests/fixtures/docker-20.10/network-inspect-options.json");
const SETTINGS_USER: &str =
    include_str!("../../../tests/fixtures/docker-20.10/network-settings-user.json");
const SETTINGS_DEFAULT: &str =
    include_str!("../../../tests/fixtures/docker-20.10/network-settings-default.json");

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let object = value.as_object().cloned().unwrap_or_default();
    let entry = |(key, value): (String, Value)| (key, value.as_str().unwrap().to_owned());
    object.into_iter().map(entry).collect()
}

fn network(docker: &Value) -> Network {
    let subnets = docker["IPAM"]["Config"].as_array().unwrap().iter();
    let subnet = |config: &Value| Subnet {
        pool: text(config, "Subnet").parse().unwrap(),
        range: text(config, "IPRange").parse().ok(),
        gateway: text(config, "Gateway").parse().ok(),
        aux: map(&config["AuxiliaryAddresses"])
            .into_iter()
            .map(|(name, address)| (name, address.parse().unwrap()))
            .collect(),
        automatic: false,
        last: None,
    };
    Network {
        id: text(docker, "Id").parse().unwrap(),
        index: 1,
        name: text(docker, "Name").parse().unwrap(),
        owner: Owner::Netd,
        driver: Driver::Bridge(BridgeOptions {
            name: "br0".parse().unwrap(),
            icc: true,
            masquerade: true,
            mtu: 1500,
            host_binding: None,
            interface_prefix: None,
            gateway: Default::default(),
        }),
        scope: Scope::Local,
        lifetime: Lifetime::UntilRemoved,
        ipam: Ipam::Default,
        subnets: subnets.map(subnet).collect(),
        ipv4: true,
        ipv6: false,
        internal: false,
        attachable: false,
        config_from: None,
        labels: map(&docker["Labels"]),
        options: map(&docker["Options"]),
        created: 0,
        predefined: text(docker, "Name") == "bridge",
        announce: None,
    }
}

fn endpoint(id: &str, network: Id, sandbox: Id, addresses: &[String], mac: &str) -> Endpoint {
    Endpoint {
        id: id.parse().unwrap(),
        index: 1,
        generation: 1,
        network,
        sandbox: Some(sandbox),
        host_interface: "nd0".parse().unwrap(),
        interface: "eth0".parse().unwrap(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        link_local: Vec::new(),
        driver_opts: BTreeMap::new(),
        sysctls: Vec::new(),
        mac: mac.parse().unwrap(),
        given: Given::default(),
        aliases: Vec::new(),
        links: Vec::new(),
        gateway_priority: 0,
    }
}

fn sandbox(id: &str, name: &str) -> Sandbox {
    Sandbox {
        id: id.parse().unwrap(),
        index: 1,
        name: name.parse().unwrap(),
        owner: Owner::Netd,
        hostname: name.parse().unwrap(),
        namespace: Namespace::Made,
        mode: Mode::Bridge,
        ports: Vec::new(),
        dns: DnsSettings::default(),
        exposed: Vec::new(),
        env: Vec::new(),
        links: Vec::new(),
        extra_hosts: Vec::new(),
        labels: BTreeMap::new(),
        next_interface: 1,
        next_of_prefix: BTreeMap::new(),
        created: 0,
    }
}

fn view(network: &Network, sandbox: &Sandbox, endpoint: Endpoint) -> EndpointView {
    EndpointView {
        endpoint,
        network: network.clone(),
        sandbox: Some((sandbox.id, sandbox.name.to_string())),
        is_gateway: [true, false],
        dns_names: Vec::new(),
    }
}

/// Fields of `new` that `old` lacks, by path; panics where a field of `old` is missing or differs.
fn additions(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        assert_eq!(new, old, "{path}");
        return;
    };
    let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    for key in keys(old) {
        let value = new
            .get(&key)
            .unwrap_or_else(|| panic!("{path}/{key} is missing"));
        additions(&old[&key], value, &format!("{path}/{key}"), found);
    }
    found.extend(
        keys(new)
            .into_iter()
            .filter(|key| !old.contains_key(key))
            .map(|key| format!("{path}/{key}")),
    );
}

fn check_network(fixture: &str) -> Vec<String> {
    let docker: Value = serde_json::from_str(fixture).unwrap();
    let docker = &docker[0];
    let network = network(docker);
    let containers = docker["Containers"].as_object().unwrap().iter();
    let connected = containers.map(|(id, container)| {
        let sandbox = sandbox(id, text(container, "Name"));
        let address = [text(container, "IPv4Address").to_owned()];
        let (endpoint_id, mac) = (text(container, "EndpointID"), text(container, "MacAddress"));
        let endpoint = endpoint(endpoint_id, network.id, sandbox.id, &address, mac);
        view(&network, &sandbox, endpoint)
    });
    let shape = NetworkShape::new(&NetworkView {
        endpoints: connected.collect(),
        members: Vec::new(),
        network: network.clone(),
        usage: Vec::new(),
    });
    let mut new = serde_json::to_value(shape).unwrap();
    new["Created"] = docker["Created"].clone();
    let mut found = Vec::new();
    additions(docker, &new, "", &mut found);
    found
}

#[test]
fn networks_are_shown_as_docker_shows_them() {
    assert_eq!(check_network(USER), ["/EnableIPv4", "/Owner"]);
    assert_eq!(check_network(OPTIONS), ["/EnableIPv4", "/Owner"]);
}

fn check_settings(fixture: &str, name: &str, sandbox_id: &str, aliases: &[&str]) -> Vec<String> {
    let docker: Value = serde_json::from_str(fixture).unwrap();
    let connection = &docker["Networks"][name];
    let mut sandbox = sandbox(sandbox_id, "a2");
    sandbox.ports = ["0.0.0.0", "::"]
        .map(|address| PublishedPort {
            host_address: address.parse::<IpAddr>().unwrap(),
            host: PortRange {
                first: 8080,
                last: 8080,
            },
            requested: Some(PortRange {
                first: 8080,
                last: 8080,
            }),
            target: PortRange {
                first: 80,
                last: 80,
            },
            protocol: Protocol::Tcp,
        })
        .to_vec();
    let gateway = text(connection, "Gateway");
    let address = format!(
        "{}/{}",
        text(connection, "IPAddress"),
        connection["IPPrefixLen"]
    );
    let docker_network = serde_json::json!({
        "Name": name, "Id": connection["NetworkID"],
        "IPAM": {"Config": [{"Subnet": address, "Gateway": gateway}]},
    });
    let mut network = network(&docker_network);
    network.subnets[0].pool = network.subnets[0].pool.trunc();
    let mac = text(connection, "MacAddress");
    let id = text(connection, "EndpointID");
    let mut endpoint = endpoint(id, network.id, sandbox.id, &[address], mac);
    endpoint.aliases = aliases.iter().map(|alias| alias.parse().unwrap()).collect();
    let ports = sandbox.ports.iter().map(|port| PortView {
        port: port.clone(),
        target: Some(endpoint.id),
    });
    let view = SandboxView {
        ports: ports.collect(),
        links: Vec::new(),
        endpoints: vec![view(&network, &sandbox, endpoint)],
        mode_network: None,
        holder: sandbox.clone(),
        sandbox,
    };
    let shape = SandboxShape::new(&view, Path::new("/run/netd"));
    assert_eq!(shape.sandbox_key, format!("/run/netd/netns/{sandbox_id}"));
    let mut new = serde_json::to_value(shape.network_settings).unwrap();
    for own in ["SandboxID", "SandboxKey"] {
        new[own] = docker[own].clone();
    }
    let mut found = Vec::new();
    additions(&docker, &new, "", &mut found);
    found
}

#[test]
fn sandboxes_are_shown_as_docker_shows_containers() {
    let id = "420fc56917863770328fe97f8723310209479c864d47e9bbc5e1090c0ef41de4";
    let more = |name: &str| {
        [
            format!("/Networks/{name}/GwPriority"),
            format!("/Networks/{name}/DNSNames"),
        ]
    };
    let found = check_settings(SETTINGS_USER, "app", id, &["svc", "other"]);
    assert_eq!(found, more("app"));
    let found = check_settings(SETTINGS_DEFAULT, "bridge", id, &[]);
    assert_eq!(found, more("bridge"));
}

#[test]
fn ports_that_no_network_carries_are_null() {
    let mut alone = sandbox(&"a".repeat(64), "alone");
    alone.ports = vec![PublishedPort {
        host_address: "0.0.0.0".parse().unwrap(),
        host: PortRange {
            first: 7000,
            last: 7001,
        },
        requested: None,
        target: PortRange {
            first: 53,
            last: 54,
        },
        protocol: Protocol::Udp,
    }];
    let mut view = SandboxView {
        ports: vec![PortView {
            port: alone.ports[0].clone(),
            target: None,
        }],
        links: Vec::new(),
        endpoints: Vec::new(),
        mode_network: None,
        holder: alone.clone(),
        sandbox: alone,
    };
    let shape = SandboxShape::new(&view, Path::new("/run/netd"));
    let json = serde_json::to_string(&shape.ports).unwrap();
    assert_eq!(json, r#"{"53/udp":null,"54/udp":null}"#);
    view.sandbox.mode = Mode::None;
    let shape = SandboxShape::new(&view, Path::new("/run/netd"));
    assert_eq!(shape.networks.keys().collect::<Vec<_>>(), ["none"]);
}
