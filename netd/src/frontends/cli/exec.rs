//! `netd exec`: runs a command in a sandbox. The process joins the sandbox's network namespace,
//! sees its resolv.conf, hosts and hostname in mount and UTS namespaces of its own, and then *is*
//! the command: user, stdio, signals and exit code need no passing on. Changes nothing on the host.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    unistd::sethostname,
};
use serde::Deserialize;

use super::{
    Failure,
    client::{Client, segment},
};
use crate::{
    frontends::api::{reports::EnvReport, sandbox_shape::HOST_NAMESPACE},
    kernel::netns,
};

/// netd itself failed.
const FAILED: u8 = 125;
/// The command is there and cannot be run.
const CANNOT_RUN: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;

/// Sockets by which the C library would ask the host's resolver past the sandbox's resolv.conf
/// (nss-resolve, nscd).
const HOST_RESOLVERS: [&str; 3] = [
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/nscd/socket",
    "/var/run/nscd/socket",
];

/// Run a command in a sandbox
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example: netd exec web -- getent hosts db")]
pub struct Exec {
    /// Name, id or id prefix
    pub sandbox: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// What the API tells of a sandbox, as far as it is needed here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    hostname: String,
    sandbox_key: PathBuf,
    resolv_conf_path: PathBuf,
    hosts_path: PathBuf,
    hostname_path: PathBuf,
}

/// Becomes the command. Returns only if that fails.
pub fn run(exec: &Exec, client: &Client) -> Failure {
    let path = format!("/sandboxes/{}", segment(&exec.sandbox));
    let entered = client.get::<Target>(&path).and_then(|target| {
        // Before anything is done that a failure would leave half done.
        let report: EnvReport = client.get(&format!("{path}/env"))?;
        enter(&target).map(|()| report.env)
    });
    match entered {
        Ok(env) => become_command(&exec.command, &env),
        Err(failure) => Failure {
            exit: FAILED,
            ..failure
        },
    }
}

/// Moves this process into the sandbox.
fn enter(target: &Target) -> Result<(), Failure> {
    let is_host = target.sandbox_key == Path::new(HOST_NAMESPACE);
    if !is_host {
        let namespace = netns::open(&target.sandbox_key).map_err(|error| refused(&error))?;
        setns(&namespace, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| denied("join the sandbox's network namespace", errno))?;
    }
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(|errno| denied("make a mount namespace", errno))?;
    // What is mounted and unmounted on the host later shows here, but nothing the other way.
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(|errno| denied("part the mounts from the host's", errno))?;
    show(&target.resolv_conf_path, Path::new("/etc/resolv.conf"))?;
    show(&target.hosts_path, Path::new("/etc/hosts"))?;
    // Some hosts have no /etc/hostname; the name itself is set below.
    if Path::new("/etc/hostname").exists() {
        show(&target.hostname_path, Path::new("/etc/hostname"))?;
    }
    for socket in HOST_RESOLVERS.map(Path::new) {
        if socket.exists() {
            bind(Path::new("/dev/null"), socket)?;
        }
    }
    if is_host {
        return Ok(());
    }
    sethostname(&target.hostname).map_err(|errno| denied("set the hostname", errno))
}

/// Shows a file of the sandbox in the place of the host's, through symbolic links (resolv.conf
/// often is one).
fn show(file: &Path, place: &Path) -> Result<(), Failure> {
    let place = fs::canonicalize(place).map_err(|error| {
        let place = place.display();
        Failure::refused(format!(
            "nothing to show the sandbox's {place} in place of: {error}"
        ))
        .hint(format!("make {place} a file, it may be empty"))
    })?;
    bind(file, &place)
}

fn bind(file: &Path, place: &Path) -> Result<(), Failure> {
    let none = None::<&str>;
    mount(Some(file), place, none, MsFlags::MS_BIND, none).map_err(|errno| {
        let doing = format!("show {} as {}", file.display(), place.display());
        denied(&doing, errno)
    })
}

fn become_command(command: &[OsString], env: &[String]) -> Failure {
    let Some((program, arguments)) = command.split_first() else {
        return Failure::usage("no command");
    };
    // Sets SIGPIPE back to its default too, which Rust programs ignore.
    let variables = env.iter().filter_map(|text| text.split_once('='));
    let error = Command::new(program).args(arguments).envs(variables).exec();
    let program = program.display();
    let failure = |why: &str, exit| Failure {
        exit,
        ..Failure::refused(format!("exec: \"{program}\": {why}"))
    };
    match error.kind() {
        io::ErrorKind::NotFound => failure("executable file not found in $PATH", NOT_FOUND),
        io::ErrorKind::PermissionDenied => failure("permission denied", CANNOT_RUN),
        _ => failure(&error.to_string(), CANNOT_RUN),
    }
}

fn denied(doing: &str, errno: nix::errno::Errno) -> Failure {
    let failure = Failure::refused(format!("{doing}: {}", errno.desc()));
    match errno {
        nix::errno::Errno::EPERM | nix::errno::Errno::EACCES => failure.hint("sudo netd exec …"),
        _ => failure,
    }
}

fn refused(error: &netns::NamespaceError) -> Failure {
    Failure::refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        exec: Exec,
    }

    fn command(line: &[&str]) -> Option<(String, Vec<OsString>)> {
        let line = [&["exec"], line].concat();
        let Line { exec } = <Line as clap::Parser>::try_parse_from(line).ok()?;
        Some((exec.sandbox, exec.command))
    }

    #[test]
    fn the_commands_own_flags_are_left_alone() {
        let expected = Some((
            "web".to_owned(),
            vec!["ls".into(), "-l".into(), "--".into()],
        ));
        assert_eq!(command(&["web", "--", "ls", "-l", "--"]), expected);
        assert_eq!(command(&["web", "ls", "-l", "--"]), expected);
        assert_eq!(command(&["web"]), None);
        assert_eq!(command(&["web", "--"]), None);
    }

    #[test]
    fn unknown_fields_of_a_sandbox_do_not_matter() {
        let json = r#"{"Id": "x", "Hostname": "h", "SandboxKey": "/run/netd/netns/x",
            "ResolvConfPath": "/r", "HostsPath": "/h", "HostnamePath": "/n",
            "Networks": {"host": {"IPAddress": ""}}, "Ports": {}}"#;
        let target: Target = serde_json::from_str(json).unwrap();
        assert_eq!(target.sandbox_key, Path::new("/run/netd/netns/x"));
    }

    #[test]
    fn commands_that_cannot_be_run() {
        let exit = |program: &str| become_command(&[program.into()], &[]).exit;
        assert_eq!(exit("netd-no-such-command"), 127);
        assert_eq!(exit("/nonexistent/command"), 127);
        assert_eq!(exit("/etc/passwd"), 126);
        assert_eq!(exit("/etc"), 126);
    }
}
