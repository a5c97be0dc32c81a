//! `--network`: a name, or Docker's long form `name=…,alias=…,ip=…` (cli/opts/network.go).

use super::Failure;
use crate::frontends::api::{network_request::EndpointRequest, sandbox_request::Attachment};

/// One `--network`.
pub fn parse(text: &str) -> Result<Attachment, Failure> {
    if !text.contains('=') {
        return Ok(Attachment {
            network: text.to_owned(),
            endpoint: EndpointRequest::default(),
        });
    }
    let mut network = String::new();
    let mut endpoint = EndpointRequest::default();
    for field in text.split(',') {
        let Some((key, value)) = field.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Failure::usage(format!("invalid field {field}")));
        };
        let value = value.trim().to_owned();
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => network = value,
            "alias" => endpoint.aliases.push(value),
            "ip" => endpoint.ip = Some(value),
            "ip6" => endpoint.ip6 = Some(value),
            "mac-address" => endpoint.mac_address = Some(value),
            "gw-priority" => {
                let bad = |_| Failure::usage(format!("invalid gw-priority: {value}"));
                endpoint.gw_priority = value.parse().map_err(bad)?;
            }
            "link-local-ip" => endpoint.link_local_ips.push(value),
            "driver-opt" => {
                let (key, value) = value.split_once('=').unwrap_or((&value, ""));
                endpoint
                    .driver_opts
                    .insert(key.to_owned(), value.to_owned());
            }
            other => return Err(Failure::usage(format!("invalid field key {other}"))),
        }
    }
    if network.is_empty() {
        return Err(Failure::usage("network name/id is not specified"));
    }
    Ok(Attachment { network, endpoint })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn good_ones() {
        for (text, expected) in [
            ("app", r#"{"network":"app"}"#),
            ("name=app", r#"{"network":"app"}"#),
            (
                "name=app,alias=a,alias=b,ip=10.1.0.9,ip6=fd00::9,mac-address=02:42:0a:01:00:09,gw-priority=-3",
                r#"{"network":"app","endpoint":{"ip":"10.1.0.9","ip6":"fd00::9","mac_address":"02:42:0a:01:00:09","aliases":["a","b"],"gw_priority":-3}}"#,
            ),
            (
                "name=app,link-local-ip=169.254.9.9,driver-opt=a=b",
                r#"{"network":"app","endpoint":{"link_local_ips":["169.254.9.9"],"driver_opts":{"a":"b"}}}"#,
            ),
            (
                "NAME=app, alias=x",
                r#"{"network":"app","endpoint":{"aliases":["x"]}}"#,
            ),
        ] {
            let json = serde_json::to_string(&parse(text).unwrap()).unwrap();
            assert_eq!(json, expected, "{text}");
        }
    }

    #[test]
    fn bad_ones() {
        for (text, expected) in [
            ("alias=a", "network name/id is not specified"),
            ("name=app,colour=red", "invalid field key colour"),
            ("name=app,bare", "invalid field bare"),
            ("name=app,=x", "invalid field =x"),
            ("name=app,gw-priority=x", "invalid gw-priority: x"),
        ] {
            assert_eq!(parse(text).expect_err(text).message, expected, "{text}");
        }
    }
}
