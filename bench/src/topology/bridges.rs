//! Networks as Docker makes them: a bridge with the gateway's address, and a veth pair for each
//! container whose other end is its eth0.

use anyhow::Result;
use netd_tests::lab::{Lab, Namespace};

use super::{BRIDGES, CONTAINERS, Network};

/// The bridges on the lab's host, and the containers on them.
pub fn containers(lab: &Lab) -> Result<[Namespace; 3]> {
    let host = lab.host();
    // Docker does so itself when it starts.
    host.sysctl("net.ipv4.ip_forward", "1")?;
    for network in [Network::One, Network::Two] {
        let bridge = bridge(network);
        host.run_checked(&format!("ip link add {bridge} type bridge"))?;
        let length = network.subnet().prefix_len();
        let gateway = network.gateway();
        host.run_checked(&format!("ip addr add {gateway}/{length} dev {bridge}"))?;
        host.run_checked(&format!("ip link set {bridge} up"))?;
    }
    // Rules see bridged packets only where a mode says so.
    host.sysctl("net.bridge.bridge-nf-call-iptables", "0")?;
    host.sysctl("net.bridge.bridge-nf-call-ip6tables", "0")?;
    Ok([container(lab, 0)?, container(lab, 1)?, container(lab, 2)?])
}

fn bridge(network: Network) -> &'static str {
    match network {
        Network::One => BRIDGES[0],
        Network::Two => BRIDGES[1],
    }
}

fn container(lab: &Lab, index: usize) -> Result<Namespace> {
    let (name, network, address) = CONTAINERS[index];
    let (host, container) = (lab.host(), lab.namespace(name)?);
    let bridge = bridge(network);
    host.run_checked(&format!(
        "ip link add veth-{name} type veth peer name eth0 netns {}",
        container.path().display()
    ))?;
    host.run_checked(&format!("ip link set veth-{name} master {bridge} up"))?;
    let length = network.subnet().prefix_len();
    container.run_checked(&format!("ip addr add {address}/{length} dev eth0"))?;
    container.run_checked("ip link set eth0 up")?;
    container.run_checked(&format!("ip route add default via {}", network.gateway()))?;
    Ok(container)
}
