//! `netd status` and `netd version`.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::{Connection, Failure, Printed, flow::age, format::TextFormat};
use crate::frontends::api::reports::{StatusReport, VersionReport};

/// `netd status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Wait so long for an agent that is not ready yet
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true
    )]
    wait: u64,
    #[command(flatten)]
    format: TextFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `netd version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    #[command(flatten)]
    format: TextFormat,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out `netd status`.
pub fn run(args: &StatusArgs) -> Result<Printed, Failure> {
    let client = args.connection.client()?;
    let end = Instant::now() + Duration::from_secs(args.wait);
    let report: StatusReport = loop {
        match client.get("/status") {
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
            answer => break answer?,
        }
    };
    let text = || Ok(Printed::text(text(&report)));
    args.format.print(&[&report], "netd status", text)
}

/// Who speaks and who answers, with the names of `docker version`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    client: Client,
    /// Null without an agent.
    server: Option<Server>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    version: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Server {
    version: String,
    api_version: u32,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: u32,
    map_abi: u32,
    kernel_version: String,
}

/// Carries out `netd version`: the command line's own version also without an agent.
pub fn version(args: &VersionArgs) -> Result<Printed, Failure> {
    let agent: Result<VersionReport, Failure> = args.connection.client()?.get("/version");
    let server = agent.clone().ok().map(|agent| Server {
        version: agent.version,
        api_version: agent.api_max,
        min_api_version: agent.api_min,
        map_abi: agent.abi,
        kernel_version: agent.kernel,
    });
    let client = Client {
        version: env!("CARGO_PKG_VERSION"),
    };
    let versions = [Versions { client, server }];
    args.format
        .print(&versions, "netd version", || Ok(version_text(&agent)))
}

fn version_text(agent: &Result<VersionReport, Failure>) -> Printed {
    let mut printed = Printed::text(format!("netd {}\n", env!("CARGO_PKG_VERSION")));
    match agent {
        Ok(agent) => printed.line(&format!(
            "agent {}, API v{} to v{}, map ABI {}, kernel {}",
            agent.version, agent.api_min, agent.api_max, agent.abi, agent.kernel
        )),
        Err(failure) => printed.line(&format!("agent: {}", failure.message)),
    }
    printed
}

fn text(report: &StatusReport) -> String {
    let StatusReport {
        version,
        pid,
        uptime,
        revision,
        hook,
        run_dir,
        state_dir,
        bpffs,
        uplinks,
        networks,
        sandboxes,
        endpoints,
        programs,
        maps,
        sysctls,
    } = report;
    let mut lines = vec![
        format!(
            "Agent: netd {} (pid {pid}, up {})",
            version.version,
            age(*uptime)
        ),
        format!("Kernel: {}, {hook}", version.kernel),
        format!("Directories: {run_dir}, {state_dir}, {bpffs}"),
        format!(
            "Objects: {networks} networks, {sandboxes} sandboxes, {endpoints} endpoints (revision {revision})"
        ),
        format!("Uplinks: {}", or_none(&uplinks.join(", "))),
        format!(
            "Programs: {}",
            if programs.is_empty() { "none" } else { "" }
        )
        .trim_end()
        .to_owned(),
    ];
    lines.extend(programs.iter().map(|program| {
        let link = program
            .link
            .map_or(String::new(), |id| format!(", link {id}"));
        let order = if program.in_order {
            ""
        } else {
            ", NOT IN ORDER"
        };
        let (name, target, hook) = (&program.program, &program.target, &program.hook);
        format!("  {name} at {target} {hook}{link}{order}")
    }));
    lines.push("Maps:".to_owned());
    lines.extend(maps.iter().map(|map| {
        let percent = map.used * 100 / map.capacity.max(1);
        format!(
            "  {} {} of {} ({percent} %)",
            map.name, map.used, map.capacity
        )
    }));
    lines.push(
        format!(
            "Sysctls changed: {}",
            if sysctls.is_empty() { "none" } else { "" }
        )
        .trim_end()
        .to_owned(),
    );
    lines.extend(sysctls.iter().map(|sysctl| {
        let former = sysctl.former.as_ref();
        let former = former.map_or(String::new(), |value| format!(" (was {value})"));
        format!("  {} = {}{former}", sysctl.key, sysctl.value)
    }));
    lines.push(String::new());
    lines.join("\n")
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{StatusReport, VersionReport, text};
    use crate::frontends::api::reports::{MapReport, ProgramReport, SysctlReport};

    #[test]
    fn status_is_readable() {
        let mut report = StatusReport {
            version: VersionReport {
                version: "0.1.0".to_owned(),
                api_min: 1,
                api_max: 1,
                abi: 1,
                kernel: "6.12.1".to_owned(),
            },
            pid: 7,
            uptime: 61,
            revision: 9,
            hook: "tcx".to_owned(),
            run_dir: "/run/netd".to_owned(),
            state_dir: "/var/lib/netd".to_owned(),
            bpffs: "/sys/fs/bpf/netd".to_owned(),
            uplinks: vec!["eth0".to_owned()],
            networks: 4,
            sandboxes: 2,
            endpoints: 3,
            programs: vec![ProgramReport {
                program: "from_uplink".to_owned(),
                target: "eth0".to_owned(),
                hook: "ingress".to_owned(),
                link: Some(12),
                in_order: true,
            }],
            maps: vec![MapReport {
                name: "FLOWS".to_owned(),
                used: 26,
                capacity: 524_288,
            }],
            sysctls: vec![SysctlReport {
                key: "net/ipv4/conf/netd0/forwarding".to_owned(),
                value: "1".to_owned(),
                former: None,
            }],
        };
        expect![[r#"
            Agent: netd 0.1.0 (pid 7, up 61s)
            Kernel: 6.12.1, tcx
            Directories: /run/netd, /var/lib/netd, /sys/fs/bpf/netd
            Objects: 4 networks, 2 sandboxes, 3 endpoints (revision 9)
            Uplinks: eth0
            Programs:
              from_uplink at eth0 ingress, link 12
            Maps:
              FLOWS 26 of 524288 (0 %)
            Sysctls changed:
              net/ipv4/conf/netd0/forwarding = 1
        "#]]
        .assert_eq(&text(&report));
        report.programs.clear();
        report.sysctls.clear();
        report.uplinks.clear();
        assert!(
            text(&report).contains("Programs: none\n") && text(&report).contains("Uplinks: none\n")
        );
    }
}
