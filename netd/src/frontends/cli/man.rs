//! `netd man`: the manual pages, one a verb, made of the verbs' help.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory};

use super::{Cli, Failure, Printed};

/// `netd man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Where the pages go, such as /usr/local/share/man/man1; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Carries out the verb.
pub fn run(args: &ManArgs) -> Result<Printed, Failure> {
    let directory = args.directory.display();
    let refused = |error: std::io::Error| Failure::refused(format!("{directory}: {error}"));
    fs::create_dir_all(&args.directory).map_err(refused)?;
    let command = Cli::command().disable_help_flag(true);
    clap_mangen::generate_to(command, &args.directory).map_err(refused)?;
    Ok(Printed::default())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ManArgs, run};

    #[test]
    fn every_verb_has_a_page() {
        let name = format!("netd-man-{}", std::process::id());
        let directory = std::env::temp_dir().join(name).join("man1");
        run(&ManArgs {
            directory: directory.clone(),
        })
        .unwrap();
        for page in [
            "netd",
            "netd-run",
            "netd-network-create",
            "netd-sandbox-env",
        ] {
            let text = fs::read_to_string(directory.join(format!("{page}.1"))).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
        }
        let page = fs::read_to_string(directory.join("netd-network-create.1")).unwrap();
        assert!(page.contains("Example:"), "{page}");
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    }
}
