//! `netd inspect`: any object by name or id.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Connection, Failure, Printed, client::segment, format::InspectFormat, verbs};
use crate::frontends::api::Code;

/// `netd inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Names, ids or id prefixes; a sandbox goes before a network of the same name
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Only objects of this kind
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
    #[command(flatten)]
    format: InspectFormat,
    #[command(flatten)]
    connection: Connection,
}

/// What there is to inspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Sandbox,
    Network,
}

/// Carries out the verb.
pub fn run(args: &InspectArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    verbs::inspect_each(&args.names, &args.format, "netd inspect", |name| {
        let name_in_path = segment(name);
        let sandbox = || client.get::<Value>(&format!("/sandboxes/{name_in_path}"));
        let network = || client.get::<Value>(&format!("/networks/{name_in_path}"));
        match args.kind {
            Some(Kind::Sandbox) => return sandbox(),
            Some(Kind::Network) => return network(),
            None => {}
        }
        let sandbox = sandbox();
        let missing = |code| Some(code) == sandbox.as_ref().err().and_then(|f| f.code);
        if !missing(Code::NoSuchSandbox) {
            return sandbox;
        }
        network().map_err(|failure| match failure.code {
            Some(Code::NoSuchNetwork) => Failure::refused(format!("No such object: {name}"))
                .hint("netd sandbox ls; netd network ls"),
            _ => failure,
        })
    })
}
