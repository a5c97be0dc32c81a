//! `netd config …`: the configuration file, without an agent.

use std::{fmt, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, Printed, format::TextFormat};
use crate::frontends::config::{DEFAULT_FILE, Settings};

/// `netd config`.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Say whether the file is right, and if not, in which line
    #[command(after_help = "Example:\n  netd config check --config ./netd.toml")]
    Check(ConfigArgs),
    /// Print what results of file and defaults, as a file
    #[command(after_help = "Example:\n  netd config show")]
    Show(ShowArgs),
}

/// `netd config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    file: ConfigArgs,
    #[command(flatten)]
    format: TextFormat,
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
    match verb {
        ConfigVerb::Check(args) => {
            read(args)?;
            let default = PathBuf::from(DEFAULT_FILE);
            let file = args.config.as_ref().unwrap_or(&default);
            Ok(Printed::text(format!("{}: in order\n", file.display())))
        }
        ConfigVerb::Show(args) => {
            let settings = read(&args.file)?.with_defaults();
            args.format.print(&[&settings], "netd config show", || {
                let text = toml::to_string(&settings).map_err(|error| refused(&error))?;
                Ok(Printed::text(text))
            })
        }
    }
}

/// What the file says, if it is right.
fn read(args: &ConfigArgs) -> Result<Settings, Failure> {
    let settings = Settings::read(args.config.as_deref()).map_err(|error| refused(&error))?;
    settings.clone().check().map_err(|error| refused(&error))?;
    Ok(settings)
}

fn refused(error: &dyn fmt::Display) -> Failure {
    Failure::refused(error.to_string())
}
