//! The same history as nftables rules: the strongest form that netfilter has for it on the kernels
//! that netd supports, so that a comparison with it is one with netfilter at its best.
//!
//! Why it is the strongest:
//! - Published ports are maps from port to address and port: one hash look-up however many there are,
//!   instead of a list in `nat` and another in `filter`. A key of one port has no concatenation to
//!   build; a map per protocol costs one comparison.
//! - What maps have translated is accepted by its connection's status, so `filter` needs no list.
//! - Packets of connections that exist pass one rule: `ct state` by mask is a load, a bitwise and and
//!   a comparison, all inlined by nf_tables; a verdict map would be a call and a hash.
//! - Interfaces are compared by index, not by name (4 octets instead of 16), and pairs of them by one
//!   verdict map, however many networks there are.
//! - Hairpin translation is one set of containers, not a rule per port.
//! - No counters: they would be written for each packet. (iptables has them in every rule.)
//!
//! Left out: flowtables, which take established routed connections past the rules altogether. No
//! container engine sets them up, they need a list of every device, connections in them are not
//! tracked in full (TCP windows, timeouts by state), and bridged packets never pass them.

use std::{collections::BTreeSet, fmt::Write};

use super::history::{History, Port, Protocol};

/// The ruleset's one table, for `nft -f`. Bridges have to exist when it is loaded. With `counters`
/// each rule counts, so that a test can see which ones are hit.
pub fn nftables(history: &History, counters: bool) -> String {
    let counter = if counters { "counter " } else { "" };
    let bridges: Vec<String> = history
        .networks
        .iter()
        .map(|network| format!("\"{}\"", network.bridge))
        .collect();
    let within: Vec<String> = bridges
        .iter()
        .map(|bridge| format!("{bridge} . {bridge} : accept"))
        .collect();
    let own: BTreeSet<_> = history.ports.iter().map(|port| port.container).collect();
    let own: Vec<String> = own.iter().map(|own| format!("{own} . {own}")).collect();

    let mut text = String::from("table ip containers {\n");
    named(&mut text, "set bridges", "iface_index", &bridges);
    named(
        &mut text,
        "map within",
        "iface_index . iface_index : verdict",
        &within,
    );
    named(&mut text, "set own", "ipv4_addr . ipv4_addr", &own);
    let mut translations = String::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        translations += &ports(&mut text, history, protocol, counter);
    }
    text += &format!(
        "\tchain published {{\n{translations}\t}}\n\
         \tchain prerouting {{\n\
         \t\ttype nat hook prerouting priority dstnat; policy accept;\n\
         \t\tfib daddr type local {counter}jump published\n\
         \t}}\n\
         \tchain output {{\n\
         \t\ttype nat hook output priority -100; policy accept;\n\
         \t\tfib daddr type local {counter}jump published\n\
         \t}}\n\
         \tchain forward {{\n\
         \t\ttype filter hook forward priority filter; policy drop;\n\
         \t\tct state established,related {counter}accept\n\
         \t\tct status dnat {counter}accept\n\
         \t\tiif . oif vmap @within\n\
         \t\tiif @bridges oif != @bridges {counter}accept\n\
         \t}}\n\
         \tchain postrouting {{\n\
         \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\tiif @bridges oif != @bridges {counter}masquerade\n\
         \t\tip saddr . ip daddr @own {counter}masquerade\n\
         \t\toif @bridges fib saddr type local {counter}masquerade\n\
         \t}}\n\
         }}\n"
    );
    text
}

/// Writes the maps of one protocol; returns the rules that use them.
fn ports(text: &mut String, history: &History, protocol: Protocol, counter: &str) -> String {
    let name = protocol.name();
    let of = |chosen: &dyn Fn(&Port) -> Option<String>| -> Vec<String> {
        history
            .ports
            .iter()
            .filter(|port| port.protocol == protocol)
            .filter_map(|port| {
                let key = chosen(port)?;
                Some(format!(
                    "{key} : {} . {}",
                    port.container, port.container_port
                ))
            })
            .collect()
    };
    let at_one = of(&|port| Some(format!("{} . {}", port.host?, port.host_port)));
    let at_all = of(&|port| port.host.is_none().then(|| port.host_port.to_string()));
    let mut rules = String::new();
    // A map is a rule's cost for every new connection: none for what is not published.
    if !at_one.is_empty() {
        let kind = "ipv4_addr . inet_service : ipv4_addr . inet_service";
        named(text, &format!("map {name}_at"), kind, &at_one);
        // The statement is the translation itself, and ends the rule where the map has the key.
        rules += &format!("\t\t{counter}dnat ip to ip daddr . {name} dport map @{name}_at\n");
    }
    if !at_all.is_empty() {
        let kind = "inet_service : ipv4_addr . inet_service";
        named(text, &format!("map {name}_ports"), kind, &at_all);
        rules += &format!("\t\t{counter}dnat ip to {name} dport map @{name}_ports\n");
    }
    rules
}

/// A set or map with its elements. Its size is given, so that the kernel takes its plain hash
/// instead of one that can grow.
fn named(text: &mut String, what: &str, kind: &str, elements: &[String]) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\t{what} {{\n\t\ttype {kind}\n");
    if !elements.is_empty() {
        let _ = write!(
            text,
            "\t\tsize {}\n\t\telements = {{\n\t\t\t{}\n\t\t}}\n",
            elements.len(),
            elements.join(",\n\t\t\t")
        );
    }
    text.push_str("\t}\n");
}
