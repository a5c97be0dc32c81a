//! `netd network ls`: networks as a table, with Docker's filters.

use clap::Args;
use serde::{Serialize, Serializer};

use super::{
    Failure, Printed, client,
    filters::{Filter, Filters, is_like},
    format::Column,
    labels,
    listing::{Listing, shown_id, shown_time},
};
use crate::frontends::api::{network_shape::NetworkShape, reports::NetworkList};

/// `netd network ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// driver=, name=, id= (a part or a regular expression), label=K[=V], scope=, type=custom|builtin,
    /// dangling=true|false
    #[arg(long, value_name = "K=V")]
    filter: Vec<String>,
    #[command(flatten)]
    listing: Listing,
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
    let answer = args.listing.get(&path)?;
    let list: NetworkList = client::read(&answer)?;
    let shown = list
        .networks
        .iter()
        .filter(|network| args.listing.shows(&network.owner))
        .filter(|network| passes(network, &filters));
    let rows: Vec<Row<'_>> = shown.map(|network| row(network, &args.listing)).collect();
    let columns = columns(args.listing.all);
    args.listing.print(&columns, &rows, "netd network ls")
}

fn columns<'a>(with_owner: bool) -> Vec<Column<Row<'a>>> {
    let mut columns: Vec<Column<Row<'a>>> = vec![
        ("NETWORK ID", |row| row.id.into()),
        ("NAME", |row| row.name.into()),
        ("DRIVER", |row| row.driver.into()),
        ("SCOPE", |row| row.scope.into()),
    ];
    if with_owner {
        columns.push(("OWNER", |row| row.owner.into()));
    }
    columns
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

/// A network with Docker's names for its fields, which are all texts there.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    created_at: String,
    driver: &'a str,
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "IPv4", serialize_with = "as_text")]
    ipv4: bool,
    #[serde(rename = "IPv6", serialize_with = "as_text")]
    ipv6: bool,
    #[serde(serialize_with = "as_text")]
    internal: bool,
    labels: String,
    name: &'a str,
    owner: &'a str,
    scope: &'a str,
}

fn row<'a>(network: &'a NetworkShape, listing: &Listing) -> Row<'a> {
    Row {
        created_at: shown_time(&network.created),
        driver: &network.driver,
        id: shown_id(&network.id, listing.no_trunc),
        ipv4: network.enable_ipv4,
        ipv6: network.enable_ipv6,
        internal: network.internal,
        labels: labels::text(&network.labels),
        name: &network.name,
        owner: &network.owner,
        scope: &network.scope,
    }
}

fn as_text<S: Serializer>(value: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *value { "true" } else { "false" })
}
