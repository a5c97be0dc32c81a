//! `netd network ls`: networks as a table, with Docker's filters.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Connection, Failure, Printed,
    filters::{Filter, Filters, is_like},
    format::ListFormat,
    labels, verbs,
};
use crate::frontends::api::{network_shape::NetworkShape, reports::NetworkList};

/// `netd network ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// driver=, name=, id= (a part or a regular expression), label=K[=V], scope=, type=custom|builtin,
    /// dangling=true|false
    #[arg(long, value_name = "K=V")]
    filter: Vec<String>,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Those of other owners (Docker, Podman, CNI), too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    format: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const KEYS: [&str; 7] = ["driver", "name", "id", "label", "scope", "type", "dangling"];

/// Carries out the verb.
pub fn run(args: &LsArgs) -> Result<Printed, Failure> {
    let filters = Filters::parse(&args.filter, &KEYS)?;
    filters.among("type", &["custom", "builtin"])?;
    // What is connected is not in a list: the agent looks.
    let path = match filters.switch("dangling")? {
        Some(dangling) => format!("/networks?dangling={dangling}"),
        None => "/networks".to_owned(),
    };
    let list: NetworkList = args.connection.client()?.get(&path)?;
    let shown = list
        .networks
        .iter()
        .filter(|network| args.all || network.owner == "netd")
        .filter(|network| passes(network, &filters));
    let rows: Vec<Value> = shown.map(|network| row(network, args.no_trunc)).collect();
    let mut columns = vec![
        ("NETWORK ID", "ID"),
        ("NAME", "Name"),
        ("DRIVER", "Driver"),
        ("SCOPE", "Scope"),
    ];
    columns.extend(args.all.then_some(("OWNER", "Owner")));
    args.format.print(&columns, &rows, "netd network ls")
}

fn passes(network: &NetworkShape, filters: &Filters) -> bool {
    filters.pass(&network.labels, |Filter { key, value }| {
        match key.as_str() {
            "driver" => network.driver == *value,
            "name" => is_like(&network.name, value),
            "id" => is_like(&network.id, value),
            "scope" => network.scope == *value,
            "type" => (value == "builtin") == network.is_predefined(),
            // `dangling` was the agent's.
            _ => true,
        }
    })
}

fn row(network: &NetworkShape, no_trunc: bool) -> Value {
    json!({
        "CreatedAt": verbs::shown_time(&network.created),
        "Driver": network.driver,
        "ID": verbs::shown_id(&network.id, no_trunc),
        "IPv4": network.enable_ipv4.to_string(),
        "IPv6": network.enable_ipv6.to_string(),
        "Internal": network.internal.to_string(),
        "Labels": labels::text(&network.labels),
        "Name": network.name,
        "Owner": network.owner,
        "Scope": network.scope,
    })
}
