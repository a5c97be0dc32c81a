//! The rules that Docker Engine 20.10.24 writes (the one in Debian 12; compared with recorded ones by
//! this module's tests), in the form of `iptables-save`, which `iptables-restore` loads.
//!
//! The order is the history's: rules of a network are inserted before those of older ones, rules of a
//! published port are appended. So a connection to a port passes, in `nat`, the rules of all ports
//! published before it, and in `filter` once more; and every new connection to a container passes the
//! hairpin rule of every published port in POSTROUTING.

use std::fmt::Write;

use super::history::{History, Network, Port};

/// The tables `filter` and `nat`.
pub fn docker(history: &History) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = filter(&mut text, history).and_then(|()| nat(&mut text, history));
    text
}

fn filter(text: &mut String, history: &History) -> std::fmt::Result {
    let policy = if history.forward_drop {
        "DROP"
    } else {
        "ACCEPT"
    };
    writeln!(text, "*filter")?;
    writeln!(text, ":INPUT ACCEPT [0:0]")?;
    writeln!(text, ":FORWARD {policy} [0:0]")?;
    writeln!(text, ":OUTPUT ACCEPT [0:0]")?;
    for chain in ["", "-ISOLATION-STAGE-1", "-ISOLATION-STAGE-2", "-USER"] {
        writeln!(text, ":DOCKER{chain} - [0:0]")?;
    }
    writeln!(text, "-A FORWARD -j DOCKER-USER")?;
    writeln!(text, "-A FORWARD -j DOCKER-ISOLATION-STAGE-1")?;
    for Network { bridge, .. } in newest_first(history) {
        writeln!(
            text,
            "-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        )?;
        writeln!(text, "-A FORWARD -o {bridge} -j DOCKER")?;
        writeln!(text, "-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT")?;
        writeln!(text, "-A FORWARD -i {bridge} -o {bridge} -j ACCEPT")?;
    }
    for port in &history.ports {
        let (bridge, protocol) = (history.bridge(port), port.protocol.name());
        writeln!(
            text,
            "-A DOCKER -d {}/32 ! -i {bridge} -o {bridge} -p {protocol} -m {protocol} --dport {} -j ACCEPT",
            port.container, port.container_port
        )?;
    }
    for Network { bridge, .. } in newest_first(history) {
        writeln!(
            text,
            "-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2"
        )?;
    }
    writeln!(text, "-A DOCKER-ISOLATION-STAGE-1 -j RETURN")?;
    for Network { bridge, .. } in newest_first(history) {
        writeln!(text, "-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP")?;
    }
    writeln!(text, "-A DOCKER-ISOLATION-STAGE-2 -j RETURN")?;
    writeln!(text, "-A DOCKER-USER -j RETURN")?;
    writeln!(text, "COMMIT")
}

fn nat(text: &mut String, history: &History) -> std::fmt::Result {
    writeln!(text, "*nat")?;
    for chain in ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"] {
        writeln!(text, ":{chain} ACCEPT [0:0]")?;
    }
    writeln!(text, ":DOCKER - [0:0]")?;
    // With the proxy, 127/8 is left to it.
    let not_loopback = if history.proxy {
        "! -d 127.0.0.0/8 "
    } else {
        ""
    };
    writeln!(text, "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")?;
    writeln!(
        text,
        "-A OUTPUT {not_loopback}-m addrtype --dst-type LOCAL -j DOCKER"
    )?;
    for Network { bridge, subnet } in newest_first(history) {
        if !history.proxy {
            // The host's own connections by loopback and to its own addresses.
            writeln!(
                text,
                "-A POSTROUTING -o {bridge} -m addrtype --src-type LOCAL -j MASQUERADE"
            )?;
        }
        writeln!(
            text,
            "-A POSTROUTING -s {subnet} ! -o {bridge} -j MASQUERADE"
        )?;
    }
    // A container that dials its own published port (hairpin).
    for port in &history.ports {
        let (own, protocol) = (port.container, port.protocol.name());
        writeln!(
            text,
            "-A POSTROUTING -s {own}/32 -d {own}/32 -p {protocol} -m {protocol} --dport {} -j MASQUERADE",
            port.container_port
        )?;
    }
    if history.proxy {
        for Network { bridge, .. } in newest_first(history) {
            writeln!(text, "-A DOCKER -i {bridge} -j RETURN")?;
        }
    }
    for port in &history.ports {
        writeln!(text, "-A DOCKER {}", translation(history, port))?;
    }
    writeln!(text, "COMMIT")
}

fn translation(history: &History, port: &Port) -> String {
    let host = port.host.map(|host| format!("-d {host}/32 "));
    let others = history
        .proxy
        .then(|| format!("! -i {} ", history.bridge(port)));
    let protocol = port.protocol.name();
    format!(
        "{}{}-p {protocol} -m {protocol} --dport {} -j DNAT --to-destination {}:{}",
        host.unwrap_or_default(),
        others.unwrap_or_default(),
        port.host_port,
        port.container,
        port.container_port
    )
}

fn newest_first(history: &History) -> impl Iterator<Item = &Network> {
    history.networks.iter().rev()
}
