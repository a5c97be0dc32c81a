//! `netd inspect`: any object by name or id.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Connection, Failure, Printed, client::segment, format::InspectFormat, verbs};
use crate::frontends::api::Code;

/// `netd inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Names, ids or id prefixes; a sandbox goes before a network of the same name, and an endpoint is
    /// found by its id
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
    #[value(alias = "container")]
    Sandbox,
    Network,
    Endpoint,
}

/// The order in which a name is looked for: `docker inspect` has containers before networks, too.
const KINDS: [Kind; 3] = [Kind::Sandbox, Kind::Network, Kind::Endpoint];

impl Kind {
    /// Where its objects are, and what is said where one is not.
    fn place(self) -> (&'static str, Code) {
        match self {
            Kind::Sandbox => ("sandboxes", Code::NoSuchSandbox),
            Kind::Network => ("networks", Code::NoSuchNetwork),
            Kind::Endpoint => ("endpoints", Code::NoSuchEndpoint),
        }
    }
}

/// Carries out the verb.
pub fn run(args: &InspectArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    verbs::inspect_each(&args.names, &args.format, "netd inspect", |name| {
        let get = |kind: Kind| {
            let (place, _) = kind.place();
            client.get::<Value>(&format!("/{place}/{}", segment(name)))
        };
        match args.kind {
            Some(kind) => get(kind),
            None => of_any_kind(name, get),
        }
    })
}

/// The first object of that name or id. What is said of all kinds is that there is none; what is wrong
/// otherwise, such as that the id is ambiguous, is said at once.
fn of_any_kind(name: &str, get: impl Fn(Kind) -> Result<Value, Failure>) -> Result<Value, Failure> {
    let mut meant = None;
    for kind in KINDS {
        match get(kind) {
            Err(failure) if failure.code == Some(kind.place().1) => {
                let hint = failure.hint.filter(|hint| hint.starts_with("did you mean"));
                meant = meant.or(hint);
            }
            found => return found,
        }
    }
    let ways = "netd sandbox ls; netd network ls".to_owned();
    let failure = Failure::refused(format!("No such object: {name}"));
    Err(failure.hint(meant.unwrap_or(ways)))
}
