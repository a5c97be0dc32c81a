//! Bodies that ask for networks and connections, and what they mean. Unknown fields are refused.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiError, announce_options,
    driver_options::{self, EndpointOptions},
};
use crate::{
    model::{
        Name,
        endpoint::BadLink,
        network::{Ipam, Owner},
    },
    state::{
        Refusal,
        request::{EndpointSpec, NetworkSpec, SubnetSpec},
    },
};

/// Asks for a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkCreate {
    /// 64 hexadecimal digits; the same id and body again gets the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 63.
    pub name: String,
    /// `bridge` (unless given) or `macvlan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// For `bridge` at most one of each family; a family without one gets a free piece of the default
    /// pools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<SubnetRequest>,
    /// Endpoints get IPv4 addresses; true unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<bool>,
    /// Endpoints get IPv6 addresses.
    #[serde(skip_serializing_if = "is_false")]
    pub ipv6: bool,
    /// Nothing goes out, nothing comes in from outside.
    #[serde(skip_serializing_if = "is_false")]
    pub internal: bool,
    /// Shown by inspect.
    #[serde(skip_serializing_if = "is_false")]
    pub attachable: bool,
    /// No network, but subnets and options that others are made from.
    #[serde(skip_serializing_if = "is_false")]
    pub config_only: bool,
    /// The network made with `config_only` whose subnets, options and labels this one takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_from: Option<String>,
    /// Who gives addresses: `default`, or `null` for nobody. `default` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam_driver: Option<String>,
    /// User labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Driver options with Docker's keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// A subnet may overlap a route of the host.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
}

/// One subnet of a network that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetRequest {
    /// `10.1.0.0/24`; with the unspecified address (`0.0.0.0/24`, `::/64`) a free one of that size.
    pub subnet: String,
    /// Where automatic addresses come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    /// The first free address unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Addresses that are never given out, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aux_addresses: BTreeMap<String, String>,
}

/// How a sandbox is to be connected to a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointRequest {
    /// IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip6: Option<String>,
    /// More addresses, link-local ones: valid on this network alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<String>,
    /// Options for the driver: `com.docker.network.endpoint.ifname` and `….sysctls`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// `02:42:0a:01:00:02`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// Names in this network besides the sandbox's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// `TARGET:ALIAS`: what a name of this network is called in this sandbox alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// The highest of a sandbox's connections has the default gateway.
    #[serde(skip_serializing_if = "is_zero")]
    pub gw_priority: i32,
}

/// Asks for a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectRequest {
    /// Name, id or id prefix.
    pub sandbox: String,
    /// Addresses, aliases, MAC.
    #[serde(default)]
    pub endpoint: EndpointRequest,
}

/// Asks for the end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisconnectRequest {
    /// Name, id or id prefix.
    pub sandbox: String,
    /// No error where there is no such sandbox or connection.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i32) -> bool {
    *value == 0
}

impl NetworkCreate {
    /// What is asked for, checked as far as that needs no state.
    pub fn check(self) -> Result<NetworkSpec, ApiError> {
        if self.name == "default" {
            return Err(Refusal::PredefinedName(self.name).into());
        }
        let ipam = ipam(self.ipam_driver.as_deref())?;
        let (announce, options) = announce_options::split(&self.options)?;
        let driver = if self.config_only {
            self.config()?
        } else {
            driver_options::driver(self.driver.as_deref(), &options)?
        };
        let subnets = self.subnets.into_iter().map(SubnetRequest::check);
        let subnets: Vec<SubnetSpec> = subnets.collect::<Result<_, _>>()?;
        let pool = |a: &SubnetSpec| a.pool;
        for (i, one) in subnets.iter().map(pool).enumerate() {
            let any = one.addr().is_unspecified();
            let overlaps = |other: IpNet| !any && (one.contains(&other) || other.contains(&one));
            if subnets.iter().map(pool).skip(i + 1).any(overlaps) {
                let text = "multiple overlapping subnet configuration is not supported";
                return Err(ApiError::bad(text));
            }
        }
        Ok(NetworkSpec {
            name: name(&self.name)?,
            id: self.id.as_deref().map(super::parse_id).transpose()?,
            owner: Owner::Netd,
            driver,
            config_from: self.config_from.as_deref().map(name).transpose()?,
            subnets,
            ipam,
            ipv4: self.ipv4.unwrap_or(true),
            ipv6: self.ipv6,
            internal: self.internal,
            attachable: self.attachable,
            labels: self.labels,
            options: self.options,
            announce,
            force: self.force,
        })
    }
}

fn ipam(driver: Option<&str>) -> Result<Ipam, ApiError> {
    match driver {
        None | Some("" | "default") => Ok(Ipam::Default),
        Some("null") => Ok(Ipam::None),
        Some(name) => {
            let text = format!("plugin {name:?} not found");
            Err(ApiError::bad(text).hint("--ipam-driver default"))
        }
    }
}

impl SubnetRequest {
    fn check(self) -> Result<SubnetSpec, ApiError> {
        let aux = self.aux_addresses.into_iter();
        Ok(SubnetSpec {
            pool: cidr("subnet", &self.subnet)?.trunc(),
            range: match &self.ip_range {
                Some(range) => Some(cidr("ip-range", range)?.trunc()),
                None => None,
            },
            gateway: match &self.gateway {
                Some(gateway) => Some(address(gateway)?),
                None => None,
            },
            aux: aux
                .map(|(name, text)| Ok((name, address(&text)?)))
                .collect::<Result<_, ApiError>>()?,
        })
    }
}

impl EndpointRequest {
    /// What is asked for.
    pub fn check(self) -> Result<EndpointSpec, ApiError> {
        let family =
            |text: &str, family| ApiError::bad(format!("invalid {family} address: {text}"));
        let EndpointRequest {
            ip,
            ip6,
            link_local_ips,
            driver_opts,
            mac_address,
            aliases,
            links,
            gw_priority,
        } = self;
        let EndpointOptions {
            name: interface,
            sysctls,
        } = driver_options::endpoint(&driver_opts)?;
        Ok(EndpointSpec {
            ip: match ip {
                Some(text) => Some(text.parse().map_err(|_| family(&text, "IPv4"))?),
                None => None,
            },
            ip6: match ip6 {
                Some(text) => Some(text.parse().map_err(|_| family(&text, "IPv6"))?),
                None => None,
            },
            link_local: link_local_ips
                .iter()
                .map(|text| link_local(text))
                .collect::<Result<_, _>>()?,
            interface,
            sysctls,
            driver_opts,
            mac: match mac_address {
                Some(text) => Some(
                    text.parse()
                        .map_err(|_| ApiError::bad(format!("{text} is not a valid mac address")))?,
                ),
                None => None,
            },
            aliases: aliases
                .iter()
                .map(|alias| name(alias))
                .collect::<Result<_, _>>()?,
            links: links
                .iter()
                .map(|link| {
                    link.parse()
                        .map_err(|bad: BadLink| ApiError::bad(bad.to_string()))
                })
                .collect::<Result<_, _>>()?,
            gateway_priority: gw_priority,
        })
    }
}

fn link_local(text: &str) -> Result<IpAddr, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad(format!("invalid link-local IP address: {text}")))
}

pub(super) fn name(text: &str) -> Result<Name, ApiError> {
    text.parse().map_err(|bad| Refusal::BadName(bad).into())
}

fn cidr(what: &str, text: &str) -> Result<IpNet, ApiError> {
    text.parse().map_err(|_| {
        ApiError::bad(format!(
            "invalid {what} {text}: invalid CIDR address: {text}"
        ))
    })
}

fn address(text: &str) -> Result<IpAddr, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad(format!("invalid IP address: {text}")))
}

#[cfg(test)]
mod tests {
    use super::NetworkCreate;

    fn refused(json: &str) -> String {
        match serde_json::from_str::<NetworkCreate>(json) {
            Ok(request) => request.check().expect_err(json).message,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_full_body_is_understood() {
        let json = r#"{"name":"n","ipv6":true,"labels":{"a":"b"},
            "subnets":[{"subnet":"10.78.0.7/24","ip_range":"10.78.0.64/26","gateway":"10.78.0.254","aux_addresses":{"x":"10.78.0.9"}},
                       {"subnet":"fd00:77::/64"}],
            "options":{"com.docker.network.driver.mtu":"1400"}}"#;
        let request: NetworkCreate = serde_json::from_str(json).unwrap();
        // What the command line sends is what the server reads.
        let again = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<NetworkCreate>(&again).unwrap(),
            request
        );
        let spec = request.check().unwrap();
        assert_eq!(spec.subnets[0].pool.to_string(), "10.78.0.0/24");
        assert_eq!(spec.subnets[0].range.unwrap().to_string(), "10.78.0.64/26");
        assert_eq!(spec.subnets[1].gateway, None);
        assert!(spec.ipv6 && !spec.internal);
    }

    #[test]
    fn bad_bodies_are_refused_with_the_reason() {
        for (json, text) in [
            (
                r#"{"name":"n","colour":1}"#,
                "unknown field `colour`, expected one of `id`, `name`, `driver`, `subnets`, `ipv4`, `ipv6`, `internal`, `attachable`, `config_only`, `config_from`, `ipam_driver`, `labels`, `options`, `force` at line 1 column 20",
            ),
            (
                r#"{"name":"default"}"#,
                "operation is not permitted on predefined default network",
            ),
            (
                r#"{}"#,
                "invalid name (), only [a-zA-Z0-9][a-zA-Z0-9_.-]* with at most 63 characters are allowed",
            ),
            (
                r#"{"name":"n","driver":"host"}"#,
                "only one instance of \"host\" network is allowed",
            ),
            (
                r#"{"name":"n","config_only":true,"internal":true}"#,
                "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
            ),
            (
                r#"{"name":"n","config_only":true,"config_from":"cfg"}"#,
                "a configuration network cannot depend on another configuration network",
            ),
            (
                r#"{"name":"n","ipam_driver":"nosuch"}"#,
                "plugin \"nosuch\" not found",
            ),
            (
                r#"{"name":"n","driver":"overlay"}"#,
                "driver overlay is not built yet",
            ),
            (
                r#"{"name":"n","driver":"nat"}"#,
                "driver nat exists on Windows only",
            ),
            (
                r#"{"name":"n","driver":"weave"}"#,
                "plugin \"weave\" not found",
            ),
            (
                r#"{"name":"n","id":"12"}"#,
                "invalid id: \"12\" is not 64 hexadecimal digits",
            ),
            (
                r#"{"name":"n","subnets":[{"subnet":"10.78.0.0/33"}]}"#,
                "invalid subnet 10.78.0.0/33: invalid CIDR address: 10.78.0.0/33",
            ),
            (
                r#"{"name":"n","subnets":[{"subnet":"10.78.0.5"}]}"#,
                "invalid subnet 10.78.0.5: invalid CIDR address: 10.78.0.5",
            ),
            (
                r#"{"name":"n","subnets":[{"subnet":"10.78.0.0/24","gateway":"x"}]}"#,
                "invalid IP address: x",
            ),
            (
                r#"{"name":"n","subnets":[{"subnet":"10.78.0.0/24"},{"subnet":"10.78.0.0/25"}]}"#,
                "multiple overlapping subnet configuration is not supported",
            ),
        ] {
            assert_eq!(refused(json), text, "{json}");
        }
    }
}
