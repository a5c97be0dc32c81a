//! The body that asks for a sandbox, and what it means. Unknown fields are refused.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::port_request::{
    ExposedRequest, HostPort, PortRequest, Ports, PublishRequest, Transport, UnpublishRequest,
};
use super::{
    ApiError,
    network_request::{EndpointRequest, is_false, name},
};
use crate::{
    model::{network::Owner, sandbox::DnsSettings},
    state::request::{EndpointSpec, SandboxSpec},
};

/// Asks for a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxCreate {
    /// 64 hexadecimal digits; the same id and body again gets the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The 12-digit id unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The 12-digit id unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Path of a network namespace to join; without it and `pid` netd makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// A process whose network namespace is joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// In order; none: the default network. `host` and `none` stand alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Attachment>,
    /// Published ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRequest>,
    /// Ports that links open and `publish_all` publishes, besides those in `ports`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<ExposedRequest>,
    /// Exposed ports that `ports` does not name are published at any free host ports.
    #[serde(skip_serializing_if = "is_false")]
    pub publish_all: bool,
    /// `NAME=VALUE`: what its commands get, and what links tell of it. The last of a name wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Resolver settings.
    #[serde(skip_serializing_if = "DnsRequest::is_empty")]
    pub dns: DnsRequest,
    /// More lines of /etc/hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// User labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A network to be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Name, id or id prefix.
    pub network: String,
    /// Addresses, aliases, MAC.
    #[serde(default, skip_serializing_if = "is_default")]
    pub endpoint: EndpointRequest,
}

/// Resolver settings; what is empty is the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsRequest {
    /// Name servers.
    #[schema(value_type = Vec<String>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options such as `ndots:1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A line of /etc/hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// An IP address or `host-gateway`.
    pub address: String,
}

fn is_default(endpoint: &EndpointRequest) -> bool {
    *endpoint == EndpointRequest::default()
}

impl DnsRequest {
    fn is_empty(&self) -> bool {
        *self == DnsRequest::default()
    }
}

impl SandboxCreate {
    /// What is asked for, and the namespace to identify before the change, if one is to be joined.
    pub fn check(self) -> Result<(SandboxSpec, Option<PathBuf>), ApiError> {
        let namespace = match (self.netns, self.pid) {
            (Some(_), Some(_)) => return Err(conflicting("netns and pid")),
            (Some(path), None) if path.starts_with('/') => Some(path.into()),
            (Some(path), None) => {
                return Err(ApiError::bad(format!(
                    "netns {path} is not an absolute path"
                )));
            }
            (None, Some(pid)) => Some(format!("/proc/{pid}/ns/net").into()),
            (None, None) => None,
        };
        let dns = DnsSettings {
            servers: self.dns.servers,
            search: plain_words("dns-search", self.dns.search)?,
            options: plain_words("dns-option", self.dns.options)?,
        };
        let (share, attached) = shared(self.networks)?;
        let spec = SandboxSpec {
            name: self.name.as_deref().map(name).transpose()?,
            id: self.id.as_deref().map(super::parse_id).transpose()?,
            owner: Owner::Netd,
            hostname: self.hostname.as_deref().map(name).transpose()?,
            namespace: None,
            share,
            networks: networks(attached)?,
            ports: self
                .ports
                .into_iter()
                .map(PortRequest::check)
                .collect::<Result<_, _>>()?,
            exposed: self
                .exposed
                .into_iter()
                .map(ExposedRequest::check)
                .collect::<Result<_, _>>()?,
            publish_all: self.publish_all,
            env: variables(self.env)?,
            dns,
            extra_hosts: self
                .extra_hosts
                .into_iter()
                .map(ExtraHost::check)
                .collect::<Result<_, _>>()?,
            labels: self.labels,
        };
        Ok((spec, namespace))
    }
}

fn conflicting(what: &str) -> ApiError {
    ApiError::bad(format!("conflicting options: {what}"))
}

/// The sandbox of `container:NAME`, which takes nothing else (Docker's texts), and the other networks.
fn shared(asked: Vec<Attachment>) -> Result<(Option<String>, Vec<Attachment>), ApiError> {
    const PREFIX: &str = "container:";
    let is_shared = |attached: &Attachment| attached.network.starts_with(PREFIX);
    let (shared, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_shared);
    let Some(Attachment { network, endpoint }) = shared.first() else {
        return Ok((None, others));
    };
    let target = network.strip_prefix(PREFIX).unwrap_or_default();
    if target.is_empty() {
        let text = "invalid container format container:<name|id>";
        return Err(ApiError::bad(text));
    }
    if shared.len() > 1 {
        let text = "cannot attach both user-defined and non-user-defined network-modes";
        return Err(conflicting(text));
    }
    let spec = endpoint.clone().check()?;
    let only_user_defined = [
        (!spec.aliases.is_empty(), "network-scoped aliases are only"),
        (!spec.links.is_empty(), "links are only"),
    ];
    if let Some((_, what)) = only_user_defined.into_iter().find(|(given, _)| *given) {
        let text = format!("{what} supported for user-defined networks");
        return Err(ApiError::bad(text));
    }
    if spec.ip.is_some() || spec.ip6.is_some() {
        let text = "user specified IP address is supported on user defined networks only";
        return Err(ApiError::bad(text));
    }
    match spec {
        spec if spec.mac.is_some() => Err(conflicting("mac-address and the network mode")),
        spec if spec.gateway_priority != 0 => Err(conflicting("gw-priority and the network mode")),
        _ => Ok((Some(target.to_owned()), others)),
    }
}

/// `default` is `bridge`, as for Docker. What goes together is state's to say.
fn networks(asked: Vec<Attachment>) -> Result<Vec<(String, EndpointSpec)>, ApiError> {
    let check = |Attachment { network, endpoint }: Attachment| {
        let network = match network.as_str() {
            "default" => "bridge".to_owned(),
            _ => network,
        };
        Ok((network, endpoint.check()?))
    };
    asked.into_iter().map(check).collect()
}

/// `NAME=VALUE`, each name once: in the place of its first, with the value of its last.
fn variables(texts: Vec<String>) -> Result<Vec<(String, String)>, ApiError> {
    let mut all: Vec<(String, String)> = Vec::new();
    for text in texts {
        let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let Some((name, value)) = split.filter(|_| !text.contains('\0')) else {
            return Err(ApiError::bad(format!(
                "invalid environment variable: {text}"
            )));
        };
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => all.push((name.to_owned(), value.to_owned())),
        }
    }
    Ok(all)
}

impl ExtraHost {
    fn check(self) -> Result<(String, Option<IpAddr>), ApiError> {
        let bad_name = self.name.is_empty()
            || self.name.len() > 253
            || !self.name.chars().all(|c| c.is_ascii_graphic() && c != '#');
        if bad_name {
            return Err(ApiError::bad(format!(
                "bad format for add-host: {:?}",
                self.name
            )));
        }
        let address =
            match self.address.as_str() {
                "host-gateway" => None,
                text => Some(text.parse().map_err(|_| {
                    ApiError::bad(format!("invalid IP address in add-host: {text:?}"))
                })?),
            };
        Ok((self.name, address))
    }
}

/// Words of resolv.conf: white space or a newline in one would become another line.
fn plain_words(what: &str, words: Vec<String>) -> Result<Vec<String>, ApiError> {
    let good = |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic());
    match words.iter().find(|word| !good(word)) {
        Some(bad) => Err(ApiError::bad(format!("invalid {what}: {bad:?}"))),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::SandboxCreate;

    fn check(json: &str) -> Result<Option<PathBuf>, String> {
        let request: SandboxCreate = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let (_, namespace) = request.check().map_err(|error| error.message)?;
        Ok(namespace)
    }

    #[test]
    fn a_full_body_is_understood() {
        let json = r#"{"name":"web","hostname":"h","networks":[{"network":"app","endpoint":{"ip":"10.1.0.9","aliases":["w"]}}],
            "ports":[{"host":{"first":8080},"target":{"first":80}},{"host_address":"::1","target":{"first":53},"protocol":"udp"}],
            "dns":{"servers":["9.9.9.9"],"options":["ndots:1"]},
            "extra_hosts":[{"name":"db","address":"10.0.0.1"},{"name":"me","address":"host-gateway"}]}"#;
        let request: SandboxCreate = serde_json::from_str(json).unwrap();
        let again = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<SandboxCreate>(&again).unwrap(),
            request
        );
        let (spec, namespace) = request.check().unwrap();
        assert_eq!(namespace, None);
        assert_eq!(spec.networks[0].0, "app");
        assert_eq!(spec.ports[0].host.unwrap().last, 8080);
        assert_eq!(spec.extra_hosts[1], ("me".to_owned(), None));
    }

    #[test]
    fn a_namespace_is_named_by_path_or_process() {
        assert_eq!(check(r#"{"pid":7}"#), Ok(Some("/proc/7/ns/net".into())));
        assert_eq!(
            check(r#"{"netns":"/run/netns/a"}"#),
            Ok(Some("/run/netns/a".into()))
        );
        for (json, text) in [
            (
                r#"{"pid":7,"netns":"/a"}"#,
                "conflicting options: netns and pid",
            ),
            (r#"{"netns":"a"}"#, "netns a is not an absolute path"),
        ] {
            assert_eq!(check(json).unwrap_err(), text);
        }
    }

    #[test]
    fn bad_bodies_are_refused_with_the_reason() {
        for (json, text) in [
            (
                r#"{"networks":[{"network":"container:"}]}"#,
                "invalid container format container:<name|id>",
            ),
            (
                r#"{"networks":[{"network":"container:x","endpoint":{"aliases":["q"]}}]}"#,
                "network-scoped aliases are only supported for user-defined networks",
            ),
            (
                r#"{"networks":[{"network":"container:x","endpoint":{"links":["b:z"]}}]}"#,
                "links are only supported for user-defined networks",
            ),
            (
                r#"{"networks":[{"network":"container:x","endpoint":{"mac_address":"02:11:11:11:11:11"}}]}"#,
                "conflicting options: mac-address and the network mode",
            ),
            (
                r#"{"networks":[{"network":"container:x"},{"network":"container:y"}]}"#,
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            ),
            (
                r#"{"networks":[{"network":"a","endpoint":{"ip":"bad"}}]}"#,
                "invalid IPv4 address: bad",
            ),
            (
                r#"{"networks":[{"network":"a","endpoint":{"ip6":"1.2.3.4"}}]}"#,
                "invalid IPv6 address: 1.2.3.4",
            ),
            (
                r#"{"networks":[{"network":"a","endpoint":{"mac_address":"bad"}}]}"#,
                "bad is not a valid mac address",
            ),
            (
                r#"{"ports":[{"target":{"first":0}}]}"#,
                "invalid containerPort: 0",
            ),
            (
                r#"{"ports":[{"target":{"first":80},"host":{"first":9,"last":8}}]}"#,
                "invalid hostPort: 9-8",
            ),
            (
                r#"{"ports":[{"target":{"first":80,"last":81},"host":{"first":8000,"last":8002}}]}"#,
                "invalid ranges specified for container and host Ports: 80-81 and 8000-8002",
            ),
            (
                r#"{"ports":[{"target":{"first":80},"protocol":"dccp"}]}"#,
                "unknown variant `dccp`, expected one of `tcp`, `udp`, `sctp` at line 1 column 50",
            ),
            (
                r#"{"exposed":[{"ports":{"first":82,"last":80}}]}"#,
                "invalid exposed port: 82-80",
            ),
            (
                r#"{"env":["A=b","=c"]}"#,
                "invalid environment variable: =c",
            ),
            (r#"{"env":["A"]}"#, "invalid environment variable: A"),
            (
                r#"{"ports":[{"target":{"first":70000}}]}"#,
                "invalid value: integer `70000`, expected u16 at line 1 column 34",
            ),
            (
                r#"{"dns":{"search":["a b"]}}"#,
                "invalid dns-search: \"a b\"",
            ),
            (
                r#"{"dns":{"options":["ndots:0\nnameserver 6.6.6.6"]}}"#,
                "invalid dns-option: \"ndots:0\\nnameserver 6.6.6.6\"",
            ),
            (
                r#"{"extra_hosts":[{"name":"a","address":"bad"}]}"#,
                "invalid IP address in add-host: \"bad\"",
            ),
            (
                r#"{"extra_hosts":[{"name":"a b","address":"1.1.1.1"}]}"#,
                "bad format for add-host: \"a b\"",
            ),
            (
                r#"{"name":"-x"}"#,
                "invalid name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-]* with at most 63 characters are allowed",
            ),
            (
                r#"{"privileged":true}"#,
                "unknown field `privileged`, expected one of `id`, `name`, `hostname`, `netns`, `pid`, `networks`, `ports`, `exposed`, `publish_all`, `env`, `dns`, `extra_hosts`, `labels` at line 1 column 13",
            ),
        ] {
            assert_eq!(check(json).expect_err(json), text, "{json}");
        }
    }
}
