//! `netd sandbox …`.

use std::{collections::BTreeMap, net::IpAddr};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Connection, Failure, Printed, attachment,
    client::segment,
    format::{InspectFormat, TextFormat},
    labels,
    live_ports::{self, PublishArgs, UnpublishArgs},
    publish, sandbox_ls, verbs,
};
use crate::frontends::api::{
    Code,
    reports::{Created, Done, EnvReport},
    sandbox_request::{Attachment, DnsRequest, ExtraHost, SandboxCreate},
};

/// `netd sandbox`.
#[derive(Debug, Subcommand)]
pub enum SandboxVerb {
    /// Create a sandbox; prints its id
    #[command(after_help = "Example:\n  netd sandbox create --name web --network app -p 8080:80")]
    Create(Box<CreateArgs>),
    /// List sandboxes
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  netd sandbox ls --no-trunc"
    )]
    Ls(sandbox_ls::LsArgs),
    /// Show sandboxes as JSON
    #[command(after_help = "Example:\n  netd sandbox inspect -f '{{.SandboxKey}}' web")]
    Inspect(InspectArgs),
    /// Remove sandboxes
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  netd sandbox rm web"
    )]
    Rm(RmArgs),
    /// Print the variables that a sandbox's commands get, those of its links first
    #[command(after_help = "Example:\n  netd sandbox env web")]
    Env(EnvArgs),
    /// Publish ports of a sandbox that runs
    #[command(after_help = "Example:\n  netd sandbox publish web -p 8081:81")]
    Publish(PublishArgs),
    /// Unpublish ports of a sandbox that runs, and end the connections to them
    #[command(after_help = "Example:\n  netd sandbox unpublish web 8081/tcp")]
    Unpublish(UnpublishArgs),
}

/// `netd sandbox create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name; without it the 12-digit id
    #[arg(long)]
    name: Option<String>,
    /// Id of 64 hexadecimal digits; the same id and flags again change nothing
    #[arg(long)]
    id: Option<String>,
    /// Host name; without it the 12-digit id
    #[arg(long)]
    hostname: Option<String>,
    /// Network namespace to join; without it netd makes one
    #[arg(long, value_name = "PATH", conflicts_with = "pid")]
    netns: Option<String>,
    /// Process whose network namespace to join
    #[arg(long)]
    pid: Option<u32>,
    /// Network: NAME, host, none, or name=NAME,alias=A,ip=IP,ip6=IP,mac-address=MAC,gw-priority=N
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
    /// Name in the first network besides the sandbox's own
    #[arg(long, value_name = "NAME")]
    network_alias: Vec<String>,
    /// Another name for a sandbox of the first network, known in this sandbox alone. On the default
    /// network it must exist, and its exposed ports are open to this sandbox
    #[arg(long, value_name = "SANDBOX[:ALIAS]")]
    link: Vec<String>,
    /// IPv4 address in the first network
    #[arg(long, value_name = "IP")]
    ip: Option<String>,
    /// IPv6 address in the first network
    #[arg(long, value_name = "IP")]
    ip6: Option<String>,
    /// MAC address of the interface in the first network
    #[arg(long, value_name = "MAC")]
    mac_address: Option<String>,
    /// Publish ports: [[IP]:][PORT[-PORT]]:PORT[-PORT][/tcp|udp|sctp] or PORT[/PROTO]
    #[arg(short, long, value_name = "SPEC")]
    publish: Vec<String>,
    /// Publish all exposed ports at any free host ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Expose ports: for --publish-all, and to sandboxes that link to this one
    #[arg(long, value_name = "PORT[-PORT][/PROTO]")]
    expose: Vec<String>,
    /// Variable of the sandbox's commands, and of those of sandboxes that link to this one
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Name server
    #[arg(long, value_name = "IP")]
    dns: Vec<String>,
    /// Search domain
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Resolver option
    #[arg(long, value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Line of /etc/hosts
    #[arg(long, value_name = "NAME:IP|host-gateway")]
    add_host: Vec<String>,
    /// Label
    #[arg(short, long, value_name = "K[=V]")]
    label: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `netd sandbox inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Names, ids or id prefixes
    #[arg(required = true, value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    #[command(flatten)]
    format: InspectFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `netd sandbox env`.
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// Name, id or id prefix
    sandbox: String,
    #[command(flatten)]
    format: TextFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `netd sandbox rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Say nothing of sandboxes that do not exist; remove those in its namespace with it
    #[arg(short, long)]
    force: bool,
    /// Names, ids or id prefixes
    #[arg(required = true, value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out the verb.
pub fn run(verb: SandboxVerb) -> Result<Printed, Failure> {
    match verb {
        SandboxVerb::Create(args) => create(*args),
        SandboxVerb::Ls(args) => sandbox_ls::run(&args),
        SandboxVerb::Inspect(args) => inspect(&args),
        SandboxVerb::Rm(args) => rm(&args),
        SandboxVerb::Env(args) => env(&args),
        SandboxVerb::Publish(args) => live_ports::publish(&args),
        SandboxVerb::Unpublish(args) => live_ports::unpublish(&args),
    }
}

fn create(args: CreateArgs) -> Result<Printed, Failure> {
    let connection = args.connection.clone();
    let body = body(args)?;
    let created: Created = connection.client()?.post("/sandboxes", &body)?;
    Ok(verbs::created(&created))
}

/// What is sent.
fn body(args: CreateArgs) -> Result<SandboxCreate, Failure> {
    let networks = args.network.iter().map(|text| attachment::parse(text));
    let mut networks: Vec<Attachment> = networks.collect::<Result<_, _>>()?;
    let single = !args.network_alias.is_empty()
        || !args.link.is_empty()
        || args.ip.is_some()
        || args.ip6.is_some()
        || args.mac_address.is_some();
    if single {
        if networks.is_empty() {
            networks.push(Attachment {
                network: "bridge".to_owned(),
                ..Attachment::default()
            });
        }
        let endpoint = &mut networks[0].endpoint;
        endpoint.aliases.extend(args.network_alias);
        endpoint.links.extend(args.link);
        endpoint.ip = args.ip.or(endpoint.ip.take());
        endpoint.ip6 = args.ip6.or(endpoint.ip6.take());
        endpoint.mac_address = args.mac_address.or(endpoint.mac_address.take());
    }
    let ports = args.publish.iter().map(|spec| publish::parse(spec));
    let ports = ports.collect::<Result<Vec<_>, _>>()?;
    let hosts = args.add_host.iter().map(|text| extra_host(text));
    let exposed = args.expose.iter().map(|text| publish::exposed(text));
    let servers = args.dns.iter().map(|text| server(text));
    Ok(SandboxCreate {
        id: args.id,
        name: args.name,
        hostname: args.hostname,
        netns: args.netns,
        pid: args.pid,
        networks,
        ports,
        exposed: exposed.collect::<Result<_, _>>()?,
        publish_all: args.publish_all,
        env: args.env.into_iter().filter_map(variable).collect(),
        dns: DnsRequest {
            servers: servers.collect::<Result<_, _>>()?,
            search: args.dns_search,
            options: args.dns_option,
        },
        extra_hosts: hosts.collect::<Result<_, _>>()?,
        labels: labels::pairs(&args.label),
    })
}

/// A name alone takes its value from here, where there is one (Docker's rule).
fn variable(text: String) -> Option<String> {
    if text.contains('=') || text.is_empty() {
        return Some(text);
    }
    let value = std::env::var(&text).ok()?;
    Some(format!("{text}={value}"))
}

fn server(text: &str) -> Result<IpAddr, Failure> {
    let bad = |_| {
        Failure::usage(format!(
            "invalid argument {text:?} for \"--dns\" flag: {text} is not an ip address"
        ))
    };
    text.parse().map_err(bad)
}

/// `NAME:IP`; the first colon counts, since IPv6 has more. Docker takes `NAME=IP` and brackets too.
fn extra_host(text: &str) -> Result<ExtraHost, Failure> {
    let bad = |why: String| {
        Failure::usage(format!(
            "invalid argument {text:?} for \"--add-host\" flag: {why}"
        ))
    };
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, address)) = split.filter(|(name, _)| !name.is_empty()) else {
        return Err(bad(format!("bad format for add-host: {text:?}")));
    };
    let plain = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = plain.unwrap_or(address);
    if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
        return Err(bad(format!("invalid IP address in add-host: {address:?}")));
    }
    Ok(ExtraHost {
        name: name.to_owned(),
        address: address.to_owned(),
    })
}

fn inspect(args: &InspectArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    verbs::inspect_each(
        &args.sandboxes,
        &args.format,
        "netd sandbox inspect",
        |name| client.get::<Value>(&format!("/sandboxes/{}", segment(name))),
    )
}

fn env(args: &EnvArgs) -> Result<Printed, Failure> {
    let path = format!("/sandboxes/{}/env", segment(&args.sandbox));
    let report: EnvReport = args.connection.client()?.get(&path)?;
    let variables: BTreeMap<&str, &str> = report
        .env
        .iter()
        .filter_map(|line| line.split_once('='))
        .collect();
    args.format.print(&[variables], "netd sandbox env", || {
        let mut printed = Printed::default();
        report.env.iter().for_each(|line| printed.line(line));
        Ok(printed)
    })
}

fn rm(args: &RmArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    let mut printed = Printed::default();
    for sandbox in &args.sandboxes {
        let path = format!("/sandboxes/{}", segment(sandbox));
        let mut removed: Result<Done, Failure> = client.delete(&path);
        // Others are in its namespace.
        let in_use = removed.as_ref().err().and_then(|failure| failure.code) == Some(Code::InUse);
        if args.force && in_use {
            removed = client.delete(&format!("{path}?force=true"));
        }
        match removed {
            Ok(_) => printed.line(sandbox),
            Err(failure) if args.force && failure.code == Some(Code::NoSuchSandbox) => {}
            Err(failure) => printed.failure(&failure),
        }
    }
    Ok(printed)
}
