//! `netd network …`.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Client, Connection, Failure, Printed,
    client::segment,
    filters::{self, Filters},
    format::InspectFormat,
    labels, network_ls,
    subnets::{self, Typed},
    until, verbs,
};
use crate::frontends::api::{
    Code,
    network_request::{ConnectRequest, DisconnectRequest, EndpointRequest, NetworkCreate},
    prune_request::PruneRequest,
    reports::{Created, Done, Pruned},
};

/// `netd network`.
#[derive(Debug, Subcommand)]
pub enum NetworkVerb {
    /// Create a network; prints its id
    #[command(
        after_help = "Example:\n  netd network create --subnet 10.9.0.0/24 -o com.docker.network.driver.mtu=1400 app"
    )]
    Create(Box<CreateArgs>),
    /// List networks
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  netd network ls --filter driver=bridge -q"
    )]
    Ls(network_ls::LsArgs),
    /// Show networks with what is connected to them, as JSON
    #[command(after_help = "Example:\n  netd network inspect -f '{{json .Containers}}' app")]
    Inspect(InspectArgs),
    /// Remove networks
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  netd network rm app"
    )]
    Rm(RmArgs),
    /// Remove all networks that nothing is connected to
    #[command(after_help = "Example:\n  netd network prune -f")]
    Prune(PruneArgs),
    /// Connect sandboxes to a network, each by itself: one that cannot be is told, the rest is done
    #[command(after_help = "Example:\n  netd network connect --ip 10.9.0.9 --alias db app web")]
    Connect(ConnectArgs),
    /// Disconnect sandboxes from a network, each by itself: one that cannot be is told, the rest is done
    #[command(after_help = "Example:\n  netd network disconnect app web")]
    Disconnect(DisconnectArgs),
}

/// `netd network create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Driver: bridge or macvlan
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge")]
    driver: String,
    /// Subnet; without one the next free default pool is taken; 0.0.0.0/24 is any free one of that size
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<String>,
    /// Gateway of a subnet; without it the subnet's first address
    #[arg(long, value_name = "IP")]
    gateway: Vec<String>,
    /// Part of a subnet that automatic addresses come from
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<String>,
    /// Address that is never given out
    #[arg(long, value_name = "NAME=IP")]
    aux_address: Vec<String>,
    /// Nothing goes out, nothing comes in from outside
    #[arg(long)]
    internal: bool,
    /// Sandboxes get IPv4 addresses
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    ipv4: bool,
    /// Sandboxes get IPv6 addresses
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    ipv6: bool,
    /// Shown by inspect
    #[arg(long)]
    attachable: bool,
    /// Make no network, but keep subnets and options for others to be made from
    #[arg(long)]
    config_only: bool,
    /// Take subnets, options and labels from a network that was made with --config-only
    #[arg(long, value_name = "NETWORK")]
    config_from: Option<String>,
    /// Who gives addresses: default, or null for nobody
    #[arg(long, value_name = "DRIVER", default_value = "default")]
    ipam_driver: String,
    /// local is all there is
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Label
    #[arg(long, value_name = "K[=V]")]
    label: Vec<String>,
    /// Driver option
    #[arg(short, long, value_name = "K=V")]
    opt: Vec<String>,
    /// Take the subnet although the host has a route into it
    #[arg(long)]
    force: bool,
    /// The network's name
    name: String,
    #[command(flatten)]
    connection: Connection,
}

/// `netd network inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Names, ids or id prefixes
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    #[command(flatten)]
    format: InspectFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `netd network rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Say nothing of networks that do not exist
    #[arg(short, long)]
    force: bool,
    /// Names, ids or id prefixes
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `netd network prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those with until= (made before that time, or that long ago), label=K[=V] or label!=K[=V]
    #[arg(long, value_name = "K=V")]
    filter: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `netd network connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// IPv4 address
    #[arg(long, value_name = "IP")]
    ip: Option<String>,
    /// IPv6 address
    #[arg(long, value_name = "IP")]
    ip6: Option<String>,
    /// One more address, link-local: 169.254.… or fe80:…
    #[arg(long, value_name = "IP")]
    link_local_ip: Vec<String>,
    /// MAC address of the interface inside
    #[arg(long, value_name = "MAC")]
    mac_address: Option<String>,
    /// Driver option: com.docker.network.endpoint.ifname=NAME
    #[arg(long, value_name = "K=V")]
    driver_opt: Vec<String>,
    /// The highest of a sandbox's connections has the default gateway
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    gw_priority: i32,
    /// Name in this network besides the sandbox's own
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Another name for a sandbox of this network, known in the connected sandbox alone
    #[arg(long, value_name = "SANDBOX[:ALIAS]")]
    link: Vec<String>,
    /// The network
    network: String,
    /// The sandboxes
    #[arg(required = true, value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `netd network disconnect`.
#[derive(Debug, Args)]
pub struct DisconnectArgs {
    /// Say nothing of sandboxes that do not exist or are not connected
    #[arg(short, long)]
    force: bool,
    /// The network
    network: String,
    /// The sandboxes
    #[arg(required = true, value_name = "SANDBOX")]
    sandboxes: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out the verb.
pub fn run(verb: NetworkVerb) -> Result<Printed, Failure> {
    match verb {
        NetworkVerb::Create(args) => create(*args),
        NetworkVerb::Ls(args) => network_ls::run(&args),
        NetworkVerb::Inspect(args) => inspect(&args),
        NetworkVerb::Rm(args) => rm(&args),
        NetworkVerb::Prune(args) => prune(&args),
        NetworkVerb::Connect(args) => connect(args),
        NetworkVerb::Disconnect(args) => disconnect(args),
    }
}

fn create(args: CreateArgs) -> Result<Printed, Failure> {
    check_scope(args.scope.as_deref())?;
    let body = NetworkCreate {
        id: None,
        name: args.name,
        driver: Some(args.driver),
        subnets: subnets::match_up(&Typed {
            subnets: &args.subnet,
            gateways: &args.gateway,
            ranges: &args.ip_range,
            aux: &args.aux_address,
        })?,
        ipv4: (!args.ipv4).then_some(false),
        ipv6: args.ipv6,
        internal: args.internal,
        attachable: args.attachable,
        config_only: args.config_only,
        config_from: args.config_from,
        ipam_driver: Some(args.ipam_driver),
        labels: labels::pairs(&args.label),
        options: labels::pairs(&args.opt),
        force: args.force,
    };
    let created: Created = args.connection.client()?.post("/networks", &body)?;
    Ok(verbs::created(&created))
}

fn check_scope(scope: Option<&str>) -> Result<(), Failure> {
    match scope {
        None | Some("" | "local") => Ok(()),
        Some("swarm") => Err(Failure::refused(
            "cannot create a swarm scoped network when swarm is not active",
        )),
        Some(other) => Err(Failure::usage(format!("invalid scope: {other}")).hint("local")),
    }
}

fn inspect(args: &InspectArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    verbs::inspect_each(
        &args.networks,
        &args.format,
        "netd network inspect",
        |name| client.get::<Value>(&format!("/networks/{}", segment(name))),
    )
}

fn rm(args: &RmArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    let mut printed = Printed::default();
    for network in &args.networks {
        let removed: Result<Done, Failure> =
            client.delete(&format!("/networks/{}", segment(network)));
        match removed {
            Ok(_) => printed.line(network),
            Err(failure) if args.force && failure.code == Some(Code::NoSuchNetwork) => {}
            Err(failure) => printed.failure(&failure),
        }
    }
    Ok(printed)
}

fn prune(args: &PruneArgs) -> Result<Printed, Failure> {
    let request = prune_request(&args.filter)?;
    let question = "WARNING! This will remove all networks not used by at least one sandbox.";
    if !args.force && !verbs::confirmed(question)? {
        return Ok(Printed::default());
    }
    let pruned: Pruned = args
        .connection
        .client()?
        .post("/networks/prune", &request)?;
    let mut printed = Printed::default();
    if !pruned.networks.is_empty() {
        printed.line("Deleted Networks:");
        pruned.networks.iter().for_each(|name| printed.line(name));
    }
    Ok(printed)
}

fn prune_request(filter: &[String]) -> Result<PruneRequest, Failure> {
    let filters = Filters::parse(filter, &["until", "label", "label!"])?;
    let mut untils = filters.values("until");
    let until = match (untils.next(), untils.next()) {
        (None, _) => None,
        (Some(text), None) => {
            let seconds = until::seconds(text, SystemTime::now());
            Some(seconds.ok_or_else(|| filters::bad("until", text))?)
        }
        (Some(_), Some(_)) => return Err(Failure::usage("more than one until filter specified")),
    };
    let owned = |key| filters.values(key).map(str::to_owned).collect();
    Ok(PruneRequest {
        until,
        labels: owned("label"),
        without_labels: owned("label!"),
    })
}

fn connect(args: ConnectArgs) -> Result<Printed, Failure> {
    let one_alone = [
        ("ip", args.ip.is_some()),
        ("ip6", args.ip6.is_some()),
        ("link-local-ip", !args.link_local_ip.is_empty()),
        ("mac-address", args.mac_address.is_some()),
    ];
    let given = one_alone.iter().find(|(_, given)| *given);
    if let ([_, _, ..], Some((flag, _))) = (&args.sandboxes[..], given) {
        let count = args.sandboxes.len();
        let text = format!("--{flag} is for one sandbox, and there are {count}");
        return Err(Failure::usage(text));
    }
    let endpoint = EndpointRequest {
        ip: args.ip,
        ip6: args.ip6,
        link_local_ips: args.link_local_ip,
        driver_opts: labels::pairs(&args.driver_opt),
        mac_address: args.mac_address,
        aliases: args.alias,
        links: args.link,
        gw_priority: args.gw_priority,
    };
    let path = format!("/networks/{}/connect", segment(&args.network));
    each(&args.connection, args.sandboxes, |client, sandbox| {
        let endpoint = endpoint.clone();
        client.post(&path, &ConnectRequest { sandbox, endpoint })
    })
}

fn disconnect(args: DisconnectArgs) -> Result<Printed, Failure> {
    let path = format!("/networks/{}/disconnect", segment(&args.network));
    let force = args.force;
    each(&args.connection, args.sandboxes, |client, sandbox| {
        client.post(&path, &DisconnectRequest { sandbox, force })
    })
}

fn each(
    connection: &Connection,
    sandboxes: Vec<String>,
    run: impl Fn(&Client, String) -> Result<Done, Failure>,
) -> Result<Printed, Failure> {
    let client = connection.client()?;
    let mut printed = Printed::default();
    for sandbox in sandboxes {
        if let Err(failure) = run(&client, sandbox) {
            printed.failure(&failure);
        }
    }
    Ok(printed)
}
