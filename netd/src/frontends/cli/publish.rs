//! `-p`: Docker's port syntax, parsed as its command line parses it (go-connections, nat/parse.go).

use std::net::{IpAddr, Ipv6Addr};

use super::Failure;
use crate::frontends::api::sandbox_request::{
    ExposedRequest, HostPort, PortRequest, Ports, Transport,
};

/// `[[IP]:][PORT[-PORT]]:PORT[-PORT][/tcp|udp|sctp]` or `PORT[/PROTO]`.
pub fn parse(spec: &str) -> Result<PortRequest, Failure> {
    let (address, host, inside) = split(spec);
    let (inside, protocol) = match inside.split_once('/') {
        Some((inside, protocol)) => (inside, transport(protocol)?),
        None => (inside, Transport::Tcp),
    };
    let host_address = address_of(address)?;
    if inside.is_empty() {
        return Err(Failure::usage(format!("no port specified: {spec}<empty>")));
    }
    let bad_inside = || Failure::usage(format!("invalid containerPort: {inside}"));
    let target = ports(inside)
        .filter(|ports| ports.first != 0)
        .ok_or_else(bad_inside)?;
    let bad_host = || Failure::usage(format!("invalid hostPort: {host}"));
    let host_ports = match host {
        "" => None,
        // Port 0 is any free one, as for bind(2).
        "0" => None,
        _ => Some(
            ports(host)
                .filter(|ports| ports.first != 0)
                .ok_or_else(bad_host)?,
        ),
    };
    if let Some(host_ports) = host_ports
        && count(target) > 1
        && count(host_ports) != count(target)
    {
        return Err(Failure::usage(format!(
            "invalid ranges specified for container and host Ports: {inside} and {host}"
        )));
    }
    Ok(PortRequest {
        host_address,
        host: host_ports,
        target,
        protocol,
    })
}

/// `PORT[-PORT][/PROTO]` of `--expose`.
pub fn exposed(text: &str) -> Result<ExposedRequest, Failure> {
    if text.contains(':') {
        let text = format!("invalid port format for --expose: {text}");
        return Err(Failure::usage(text));
    }
    let (inside, protocol) = match text.split_once('/') {
        Some((inside, protocol)) => (inside, transport(protocol)?),
        None => (text, Transport::Tcp),
    };
    let bad = || Failure::usage(format!("invalid range format for --expose: {text}"));
    let ports = ports(inside).filter(|ports| ports.first != 0);
    Ok(ExposedRequest {
        ports: ports.ok_or_else(bad)?,
        protocol,
    })
}

/// `PORT[/PROTO]` of `netd port`.
pub fn private_port(text: &str) -> Result<(u16, Transport), Failure> {
    let (port, protocol) = match text.split_once('/') {
        Some((port, protocol)) => (port, transport(protocol)?),
        None => (text, Transport::Tcp),
    };
    let number = number(port).filter(|port| *port != 0);
    let bad = || Failure::usage(format!("invalid port: {text}"));
    Ok((number.ok_or_else(bad)?, protocol))
}

/// `[IP:]PORT[-PORT][/PROTO]` of `netd sandbox unpublish`: the host's side.
pub fn host_port(text: &str) -> Result<HostPort, Failure> {
    let (front, protocol) = match text.split_once('/') {
        Some((front, protocol)) => (front, transport(protocol)?),
        None => (text, Transport::Tcp),
    };
    let (address, host) = front.rsplit_once(':').unwrap_or(("", front));
    let bad = || Failure::usage(format!("invalid hostPort: {host}"));
    Ok(HostPort {
        host_address: address_of(address)?,
        host: ports(host)
            .filter(|ports| ports.first != 0)
            .ok_or_else(bad)?,
        protocol,
    })
}

/// Address, host ports, ports inside: the last two colons count, so that IPv6 needs no brackets.
fn split(spec: &str) -> (&str, &str, &str) {
    let Some((front, inside)) = spec.rsplit_once(':') else {
        return ("", "", spec);
    };
    match front.rsplit_once(':') {
        Some((address, host)) => (address, host, inside),
        None => ("", front, inside),
    }
}

fn transport(protocol: &str) -> Result<Transport, Failure> {
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Transport::Tcp),
        "udp" => Ok(Transport::Udp),
        "sctp" => Ok(Transport::Sctp),
        other => Err(Failure::usage(format!("invalid proto: {other}"))),
    }
}

fn address_of(text: &str) -> Result<Option<IpAddr>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let parsed = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => text.parse::<IpAddr>(),
    };
    let bad = |_| Failure::usage(format!("invalid IP address: {text}"));
    parsed.map(Some).map_err(bad)
}

/// `8000` or `8000-8002`.
fn ports(text: &str) -> Option<Ports> {
    match text.split_once('-') {
        None => number(text).map(|first| Ports { first, last: None }),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            let last = match first == last {
                true => None,
                false => Some(last),
            };
            last.is_none_or(|last| last > first)
                .then_some(Ports { first, last })
        }
    }
}

/// Digits only: `u16::from_str` takes a plus sign as well.
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn count(ports: Ports) -> u32 {
    u32::from(ports.last.unwrap_or(ports.first)) - u32::from(ports.first) + 1
}

#[cfg(test)]
mod tests {
    use super::{Transport, parse, private_port};
    use crate::frontends::api::sandbox_request::SandboxCreate;

    /// As JSON, which is what is sent.
    fn json(spec: &str) -> String {
        serde_json::to_string(&parse(spec).unwrap()).unwrap()
    }

    #[test]
    fn good_specs() {
        for (spec, expected) in [
            ("80", r#"{"target":{"first":80},"protocol":"tcp"}"#),
            ("53/udp", r#"{"target":{"first":53},"protocol":"udp"}"#),
            ("53/UDP", r#"{"target":{"first":53},"protocol":"udp"}"#),
            (
                "8080:80",
                r#"{"host":{"first":8080},"target":{"first":80},"protocol":"tcp"}"#,
            ),
            (
                "7000/sctp",
                r#"{"target":{"first":7000},"protocol":"sctp"}"#,
            ),
            ("0:80", r#"{"target":{"first":80},"protocol":"tcp"}"#),
            (":80", r#"{"target":{"first":80},"protocol":"tcp"}"#),
            (
                "127.0.0.1::80",
                r#"{"host_address":"127.0.0.1","target":{"first":80},"protocol":"tcp"}"#,
            ),
            (
                "127.0.0.1:8080:80/tcp",
                r#"{"host_address":"127.0.0.1","host":{"first":8080},"target":{"first":80},"protocol":"tcp"}"#,
            ),
            (
                "[::1]:8080:80",
                r#"{"host_address":"::1","host":{"first":8080},"target":{"first":80},"protocol":"tcp"}"#,
            ),
            (
                "[::]::80",
                r#"{"host_address":"::","target":{"first":80},"protocol":"tcp"}"#,
            ),
            (
                "::1:8080:80",
                r#"{"host_address":"::1","host":{"first":8080},"target":{"first":80},"protocol":"tcp"}"#,
            ),
            (
                "8000-8002:80",
                r#"{"host":{"first":8000,"last":8002},"target":{"first":80},"protocol":"tcp"}"#,
            ),
            (
                "8000-8002:80-82/udp",
                r#"{"host":{"first":8000,"last":8002},"target":{"first":80,"last":82},"protocol":"udp"}"#,
            ),
            (
                "80-82",
                r#"{"target":{"first":80,"last":82},"protocol":"tcp"}"#,
            ),
            (
                "9-9:80",
                r#"{"host":{"first":9},"target":{"first":80},"protocol":"tcp"}"#,
            ),
        ] {
            assert_eq!(json(spec), expected, "{spec}");
        }
    }

    #[test]
    fn bad_specs_are_refused_with_dockers_texts() {
        for (spec, text) in [
            ("99999:80", "invalid hostPort: 99999"),
            ("abc:80", "invalid hostPort: abc"),
            ("+80:80", "invalid hostPort: +80"),
            ("8002-8000:80-82", "invalid hostPort: 8002-8000"),
            ("0-5:80", "invalid hostPort: 0-5"),
            ("8080:abc", "invalid containerPort: abc"),
            ("80:0", "invalid containerPort: 0"),
            ("80:-1", "invalid containerPort: -1"),
            ("8080:", "no port specified: 8080:<empty>"),
            ("", "no port specified: <empty>"),
            (
                "8000-8002:80-81",
                "invalid ranges specified for container and host Ports: 80-81 and 8000-8002",
            ),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("80:80:80:80", "invalid IP address: 80:80"),
            ("[1.2.3.4]:80:80", "invalid IP address: [1.2.3.4]"),
            ("80/foo", "invalid proto: foo"),
        ] {
            let failure = parse(spec).expect_err(spec);
            assert_eq!(
                (failure.message.as_str(), failure.exit),
                (text, 2),
                "{spec}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(spec in "[0-9:./a-z\\[\\]+-]{0,24}") {
            let _ = private_port(&spec);
            if let Ok(request) = parse(&spec) {
                // What the command line lets through, the agent does not call malformed.
                let body = SandboxCreate {
                    ports: vec![request],
                    ..SandboxCreate::default()
                };
                proptest::prop_assert!(body.check().is_ok(), "{spec}");
            }
        }
    }

    #[test]
    fn host_ports() {
        let json = |text| serde_json::to_string(&super::host_port(text).unwrap()).unwrap();
        for (text, expected) in [
            ("8080", r#"{"host":{"first":8080},"protocol":"tcp"}"#),
            (
                "127.0.0.1:8000-8002/udp",
                r#"{"host_address":"127.0.0.1","host":{"first":8000,"last":8002},"protocol":"udp"}"#,
            ),
            (
                "[::]:80/tcp",
                r#"{"host_address":"::","host":{"first":80},"protocol":"tcp"}"#,
            ),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
        for bad in ["", "0", "x", "80/x", "1.2.3:80", "8002-8000", ":", "80:"] {
            assert_eq!(super::host_port(bad).expect_err(bad).exit, 2, "{bad}");
        }
    }

    #[test]
    fn exposed_ports() {
        let json = |text| serde_json::to_string(&super::exposed(text).unwrap()).unwrap();
        assert_eq!(json("80"), r#"{"ports":{"first":80},"protocol":"tcp"}"#);
        let range = r#"{"ports":{"first":7000,"last":7009},"protocol":"udp"}"#;
        assert_eq!(json("7000-7009/udp"), range);
        for (bad, text) in [
            ("80:80", "invalid port format for --expose: 80:80"),
            ("9-8", "invalid range format for --expose: 9-8"),
            ("0", "invalid range format for --expose: 0"),
            ("", "invalid range format for --expose: "),
            ("80/x", "invalid proto: x"),
        ] {
            let failure = super::exposed(bad).expect_err(bad);
            assert_eq!((failure.message.as_str(), failure.exit), (text, 2), "{bad}");
        }
    }

    #[test]
    fn private_ports() {
        assert_eq!(private_port("80").unwrap(), (80, Transport::Tcp));
        assert_eq!(private_port("53/udp").unwrap(), (53, Transport::Udp));
        for bad in ["", "0", "x", "80/", "70000", "80-81"] {
            assert_eq!(private_port(bad).expect_err(bad).exit, 2);
        }
    }
}
