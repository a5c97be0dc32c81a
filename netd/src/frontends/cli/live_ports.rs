//! `netd sandbox publish` and `unpublish`: ports of a sandbox that runs.

use clap::Args;

use super::{Connection, Failure, Printed, client::segment, publish};
use crate::frontends::api::{
    reports::{Done, Published},
    sandbox_request::{PublishRequest, UnpublishRequest},
};

/// `netd sandbox publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The sandbox
    sandbox: String,
    /// Publish ports: [[IP]:][PORT[-PORT]]:PORT[-PORT][/tcp|udp] or PORT[/PROTO]
    #[arg(short, long, value_name = "SPEC", required = true)]
    publish: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `netd sandbox unpublish`.
#[derive(Debug, Args)]
pub struct UnpublishArgs {
    /// The sandbox
    sandbox: String,
    /// Host ports, a range as it was published
    #[arg(required = true, value_name = "[IP:]PORT[-PORT][/PROTO]")]
    ports: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out `publish`.
pub fn publish(args: &PublishArgs) -> Result<Printed, Failure> {
    let ports = args.publish.iter().map(|spec| publish::parse(spec));
    let body = PublishRequest {
        ports: ports.collect::<Result<_, _>>()?,
    };
    let client = args.connection.client()?;
    let published: Published = client.post(&path(&args.sandbox), &body)?;
    let mut printed = Printed::default();
    let warnings = published.warnings.iter();
    warnings.for_each(|text| printed.warning(text));
    Ok(printed)
}

/// Carries out `unpublish`.
pub fn unpublish(args: &UnpublishArgs) -> Result<Printed, Failure> {
    let ports = args.ports.iter().map(|text| publish::host_port(text));
    let body = UnpublishRequest {
        ports: ports.collect::<Result<_, _>>()?,
    };
    let client = args.connection.client()?;
    let _: Done = client.delete_what(&path(&args.sandbox), &body)?;
    Ok(Printed::default())
}

fn path(sandbox: &str) -> String {
    format!("/sandboxes/{}/ports", segment(sandbox))
}
