//! `netd port`: published ports of a sandbox, a range as one line.

use clap::Args;
use serde::Serialize;

use super::{Connection, Failure, Printed, client::segment, format::TextFormat, publish};
use crate::frontends::api::{
    reports::{PortList, PublishedPortReport},
    sandbox_request::Transport,
};

/// `netd port`.
#[derive(Debug, Args)]
pub struct PortArgs {
    /// The sandbox
    sandbox: String,
    /// Only the host ports of this one
    #[arg(value_name = "PORT[/PROTO]")]
    port: Option<String>,
    #[command(flatten)]
    format: TextFormat,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out the verb.
pub fn run(args: &PortArgs) -> Result<Printed, Failure> {
    let wanted = args
        .port
        .as_deref()
        .map(publish::private_port)
        .transpose()?;
    let path = format!("/sandboxes/{}/ports", segment(&args.sandbox));
    let list: PortList = args.connection.client()?.get(&path)?;
    let found = found(&args.sandbox, wanted, &list.ports)?;
    let text = || Ok(show(&found, wanted.is_some()));
    args.format.print(&found, "netd port", text)
}

/// What is published: a port, or a range as one.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    /// `80/tcp`, `80-82/tcp`.
    port: String,
    host_ip: String,
    host_port: String,
}

fn found(
    sandbox: &str,
    wanted: Option<(u16, Transport)>,
    ports: &[PublishedPortReport],
) -> Result<Vec<Found>, Failure> {
    let published = ports.iter().filter(|port| port.published);
    let Some((wanted, transport)) = wanted else {
        let whole = published.map(|port| Found {
            port: format!("{}/{}", range(port.target), port.protocol),
            host_ip: port.host_address.clone(),
            host_port: range(port.host),
        });
        return Ok(whole.collect());
    };
    let protocol = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
    };
    let has = |port: &&PublishedPortReport| {
        port.protocol == protocol && (port.target.0..=port.target.1).contains(&wanted)
    };
    let one = published.filter(has).map(|port| Found {
        port: format!("{wanted}/{protocol}"),
        host_ip: port.host_address.clone(),
        // A host range for one port has been cut to the one that was free.
        host_port: (port.host.0 + (wanted - port.target.0)).to_string(),
    });
    let found: Vec<Found> = one.collect();
    if found.is_empty() {
        let text = format!("No public port '{wanted}/{protocol}' published for {sandbox}");
        return Err(Failure::refused(text));
    }
    Ok(found)
}

/// As Docker prints it: of one port where it is published, of all also what they are.
fn show(found: &[Found], of_one: bool) -> Printed {
    let mut printed = Printed::default();
    for Found {
        port,
        host_ip,
        host_port,
    } in found
    {
        let host = format!("{}:{host_port}", bracketed(host_ip));
        printed.line(&match of_one {
            true => host,
            false => format!("{port} -> {host}"),
        });
    }
    printed
}

/// IPv6 addresses in brackets, as Docker 23 and later print them.
pub fn bracketed(address: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]"),
        false => address.to_owned(),
    }
}

/// `80` or `80-82`.
pub fn range((first, last): (u16, u16)) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Failure, PublishedPortReport, Transport};

    fn port(
        address: &str,
        host: (u16, u16),
        target: (u16, u16),
        protocol: &str,
    ) -> PublishedPortReport {
        PublishedPortReport {
            host_address: address.to_owned(),
            host,
            target,
            protocol: protocol.to_owned(),
            published: true,
        }
    }

    fn show(
        sandbox: &str,
        wanted: Option<(u16, Transport)>,
        ports: &[PublishedPortReport],
    ) -> Result<String, Failure> {
        let found = super::found(sandbox, wanted, ports)?;
        Ok(super::show(&found, wanted.is_some()).out)
    }

    #[test]
    fn ports_are_shown_as_docker_shows_them() {
        let mut ports = vec![
            port("0.0.0.0", (8080, 8080), (80, 80), "tcp"),
            port("::", (8080, 8080), (80, 80), "tcp"),
            port("127.0.0.1", (7000, 7099), (53, 152), "udp"),
        ];
        let all = show("web", None, &ports).unwrap();
        expect![[r#"
            80/tcp -> 0.0.0.0:8080
            80/tcp -> [::]:8080
            53-152/udp -> 127.0.0.1:7000-7099
        "#]]
        .assert_eq(&all);
        let one = show("web", Some((80, Transport::Tcp)), &ports).unwrap();
        assert_eq!(one, "0.0.0.0:8080\n[::]:8080\n");
        let inner = show("web", Some((60, Transport::Udp)), &ports).unwrap();
        assert_eq!(inner, "127.0.0.1:7007\n");
        let none = show("web", Some((80, Transport::Tcp)), &ports[2..]).unwrap_err();
        assert_eq!(none.message, "No public port '80/tcp' published for web");
        // Reserved ports are not public.
        ports.iter_mut().for_each(|port| port.published = false);
        assert_eq!(show("web", None, &ports).unwrap(), "");
    }
}
