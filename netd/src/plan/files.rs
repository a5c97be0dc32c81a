//! The text of a sandbox's resolv.conf, hosts and hostname, as Docker writes them.

use std::{fmt::Write, net::IpAddr};

use super::{SandboxFiles, scene::Scene};
use crate::model::{
    HostFacts, Sandbox,
    sandbox::{DnsSettings, Mode},
};

/// Where netd's resolver is asked; rewritten by the socket programs.
const RESOLVER: &str = "127.0.0.11";

pub(super) fn files(scene: &Scene<'_>, sandbox: &Sandbox) -> SandboxFiles {
    let resolv_conf = if scene.uses_resolver(sandbox) {
        resolver_conf(scene.facts, &sandbox.dns)
    } else {
        direct_conf(scene, sandbox)
    };
    SandboxFiles {
        sandbox: sandbox.id,
        resolv_conf,
        hosts: hosts(scene, sandbox),
        hostname: format!("{}\n", sandbox.hostname),
    }
}

/// On a network with names: netd's resolver; `ndots:0` unless somebody set ndots.
fn resolver_conf(facts: &HostFacts, settings: &DnsSettings) -> String {
    let mut options = options(facts, settings).to_vec();
    if !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    let mut text = search_line(search(facts, settings));
    let _ = writeln!(text, "nameserver {RESOLVER}");
    text + &options_line(&options)
}

/// Elsewhere: the given servers or the host's; a sandbox that is not the host gets those that it
/// can reach, and the fallback stands in where there are none.
fn direct_conf(scene: &Scene<'_>, sandbox: &Sandbox) -> String {
    let (facts, settings) = (scene.facts, &sandbox.dns);
    let host = match sandbox.mode {
        Mode::Host => &facts.resolv_conf.servers,
        Mode::Bridge | Mode::None | Mode::Shared(_) => &facts.external_servers,
    };
    let given = &settings.servers;
    let mut servers: Vec<&IpAddr> = if given.is_empty() { host } else { given }.iter().collect();
    if servers.is_empty() {
        servers.extend(&scene.settings.dns_fallback);
    }
    let mut lines = String::new();
    for server in servers {
        let _ = writeln!(lines, "nameserver {server}");
    }
    let search = search_line(search(facts, settings));
    let options = options_line(options(facts, settings));
    // Unchanged, the lines stand as in most hosts' files; changed, as Docker writes them.
    if *settings == DnsSettings::default() {
        lines + &search + &options
    } else {
        search + &lines + &options
    }
}

/// The search domains that apply: the given ones, else the host's; a lone `.` means none.
fn search<'a>(facts: &'a HostFacts, settings: &'a DnsSettings) -> &'a [String] {
    let search = if settings.search.is_empty() {
        &facts.resolv_conf.search
    } else {
        &settings.search
    };
    if search.iter().all(|domain| domain == ".") {
        &[]
    } else {
        search
    }
}

/// The options that apply: the given ones, else the host's.
pub(super) fn options<'a>(facts: &'a HostFacts, settings: &'a DnsSettings) -> &'a [String] {
    if settings.options.is_empty() {
        &facts.resolv_conf.options
    } else {
        &settings.options
    }
}

fn search_line(search: &[String]) -> String {
    line("search", search)
}

fn options_line(options: &[String]) -> String {
    line("options", options)
}

fn line(keyword: &str, words: &[String]) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!("{keyword} {}\n", words.join(" "))
    }
}

/// What every sandbox's hosts begins with, but for one that is the host.
const LOCALHOST: &str = "127.0.0.1\tlocalhost\n\
     ::1\tlocalhost ip6-localhost ip6-loopback\n\
     fe00::0\tip6-localnet\n\
     ff00::0\tip6-mcastprefix\n\
     ff02::1\tip6-allnodes\n\
     ff02::2\tip6-allrouters\n";

fn hosts(scene: &Scene<'_>, sandbox: &Sandbox) -> String {
    let mut text = match sandbox.mode {
        Mode::Host => scene.facts.hosts.clone(),
        Mode::Bridge | Mode::None | Mode::Shared(_) => LOCALHOST.to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, address) in &sandbox.extra_hosts {
        let _ = writeln!(text, "{address}\t{name}");
    }
    for (alias, target, endpoint) in scene.state.live_links(sandbox) {
        let mut linked = format!("{alias} {}", target.hostname);
        if *alias != target.name {
            let _ = write!(linked, " {}", target.name);
        }
        for address in &endpoint.addresses {
            let _ = writeln!(text, "{}\t{linked}", address.addr());
        }
    }
    let names = names(sandbox.hostname.as_str());
    for endpoint in scene.state.endpoints_of_sandbox(sandbox.id) {
        for address in &endpoint.addresses {
            let _ = writeln!(text, "{}\t{names}", address.addr());
        }
    }
    text
}

/// A hostname with a domain stands before its bare form, as in Docker.
fn names(hostname: &str) -> String {
    match hostname.split_once('.') {
        Some((bare, _)) => format!("{hostname} {bare}"),
        None => hostname.to_owned(),
    }
}
