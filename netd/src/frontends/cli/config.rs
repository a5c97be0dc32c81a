//! `netd config …`: the configuration file, without an agent.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, Printed};
use crate::frontends::config::{DEFAULT_FILE, Settings};

/// `netd config`.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Say whether the file is right, and if not, in which line
    #[command(after_help = "Example:\n  netd config check --config ./netd.toml")]
    Check(ConfigArgs),
    /// Print what results of file and defaults, as a file
    #[command(after_help = "Example:\n  netd config show")]
    Show(ConfigArgs),
}

/// Flags of both.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file; /etc/netd/netd.toml unless given, which may be missing
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Carries out the verb.
pub fn run(verb: &ConfigVerb) -> Result<Printed, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused(error.to_string());
    let (ConfigVerb::Check(args) | ConfigVerb::Show(args)) = verb;
    let settings = Settings::read(args.config.as_deref()).map_err(|error| refused(&error))?;
    settings.clone().check().map_err(|error| refused(&error))?;
    match verb {
        ConfigVerb::Check(args) => {
            let default = PathBuf::from(DEFAULT_FILE);
            let file = args.config.as_ref().unwrap_or(&default);
            Ok(Printed::text(format!("{}: in order\n", file.display())))
        }
        ConfigVerb::Show(_) => {
            let text = toml::to_string(&settings.with_defaults()).map_err(|e| refused(&e))?;
            Ok(Printed::text(text))
        }
    }
}
