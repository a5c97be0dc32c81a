//! `netd port`: published ports of a sandbox, a range as one line.

use clap::Args;

use super::{Connection, Failure, Printed, client::segment, publish};
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
    show(&args.sandbox, wanted, &list.ports)
}

fn show(
    sandbox: &str,
    wanted: Option<(u16, Transport)>,
    ports: &[PublishedPortReport],
) -> Result<Printed, Failure> {
    let mut printed = Printed::default();
    let published = ports.iter().filter(|port| port.published);
    let Some((wanted, transport)) = wanted else {
        for port in published {
            let (inside, host) = (range(port.target), range(port.host));
            let address = bracketed(&port.host_address);
            printed.line(&format!("{inside}/{} -> {address}:{host}", port.protocol));
        }
        return Ok(printed);
    };
    let protocol = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
    };
    for port in published.filter(|port| port.protocol == protocol) {
        if (port.target.0..=port.target.1).contains(&wanted) {
            // A host range for one port has been cut to the one that was free.
            let host = port.host.0 + (wanted - port.target.0);
            printed.line(&format!("{}:{host}", bracketed(&port.host_address)));
        }
    }
    if printed.out.is_empty() {
        let text = format!("No public port '{wanted}/{protocol}' published for {sandbox}");
        return Err(Failure::refused(text));
    }
    Ok(printed)
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

    use super::{PublishedPortReport, Transport, show};

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
        .assert_eq(&all.out);
        let one = show("web", Some((80, Transport::Tcp)), &ports).unwrap();
        assert_eq!(one.out, "0.0.0.0:8080\n[::]:8080\n");
        let inner = show("web", Some((60, Transport::Udp)), &ports).unwrap();
        assert_eq!(inner.out, "127.0.0.1:7007\n");
        let none = show("web", Some((80, Transport::Tcp)), &ports[2..]).unwrap_err();
        assert_eq!(none.message, "No public port '80/tcp' published for web");
        // Reserved ports are not public.
        ports.iter_mut().for_each(|port| port.published = false);
        assert_eq!(show("web", None, &ports).unwrap().out, "");
    }
}
