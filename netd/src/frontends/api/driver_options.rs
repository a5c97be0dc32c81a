//! `--driver` and `--opt` of the bridge driver: Docker's keys, parsed as Docker parses them. An unknown
//! key or a bad value is refused by name, where Docker would ignore it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{ApiError, macvlan_options};
use crate::{
    model::{
        BadSysctl, IfName, InterfaceSysctl,
        network::{GatewayMode, GatewayOptions},
    },
    state::request::DriverSpec,
};

const PREFIX: &str = "com.docker.network.";
/// Drivers of Docker for Windows.
const WINDOWS: [&str; 5] = ["nat", "transparent", "l2bridge", "l2tunnel", "ics"];
/// Letters that an interface's number is put behind: 15 are all that a name may have.
const LONGEST_PREFIX: usize = 11;
const KEYS: [&str; 11] = [
    "bridge.name",
    "bridge.enable_icc",
    "bridge.enable_ip_masquerade",
    "bridge.host_binding_ipv4",
    "container_iface_prefix",
    "bridge.gateway_mode_ipv4",
    "bridge.gateway_mode_ipv6",
    "bridge.trusted_host_interfaces",
    "host_ipv4",
    "host_ipv6",
    "driver.mtu",
];
/// Not Docker's.
const DHCP_SERVER: &str = "netd.bridge.dhcp_server";

/// A driver by its name, `bridge` unless given, with its options.
pub fn driver(
    name: Option<&str>,
    options: &BTreeMap<String, String>,
) -> Result<DriverSpec, ApiError> {
    match name {
        None | Some("" | "bridge") => bridge(options),
        Some("macvlan") => macvlan_options::macvlan(options),
        Some(name @ ("host" | "null")) => {
            let text = format!("only one instance of {name:?} network is allowed");
            Err(ApiError::bad(text))
        }
        Some(name @ ("ipvlan" | "overlay")) => {
            let text = format!("driver {name} is not built yet");
            Err(ApiError::bad(text).hint("-d bridge or -d macvlan"))
        }
        Some(name) if WINDOWS.contains(&name) => {
            let text = format!("driver {name} exists on Windows only");
            Err(ApiError::bad(text).hint("-d bridge or -d macvlan"))
        }
        Some(name) => {
            let text = format!("plugin {name:?} not found");
            Err(ApiError::bad(text).hint("-d bridge or -d macvlan"))
        }
    }
}

/// The bridge driver's options as far as they are given.
pub fn bridge(options: &BTreeMap<String, String>) -> Result<DriverSpec, ApiError> {
    let mut name = None;
    let mut icc = None;
    let mut masquerade = None;
    let mut mtu = None;
    let mut host_binding = None;
    let mut interface_prefix = None;
    let mut gateway = GatewayOptions::default();
    for (key, value) in options {
        match key.strip_prefix(PREFIX) {
            Some("bridge.name") => {
                name = Some(
                    value
                        .parse::<IfName>()
                        .map_err(|bad| failed(key, value, bad))?,
                );
            }
            Some("bridge.enable_icc") => icc = Some(boolean(key, value)?),
            Some("bridge.enable_ip_masquerade") => masquerade = Some(boolean(key, value)?),
            Some("bridge.host_binding_ipv4") => {
                let address: Ipv4Addr = value.parse().map_err(|_| failed(key, value, "nil ip"))?;
                host_binding = Some(address.into());
            }
            Some("container_iface_prefix") => interface_prefix = Some(prefix(key, value)?),
            Some("driver.mtu") => mtu = Some(octets(key, value)?),
            Some("bridge.gateway_mode_ipv4") => gateway.modes[0] = mode(key, value)?,
            Some("bridge.gateway_mode_ipv6") => gateway.modes[1] = mode(key, value)?,
            Some("bridge.trusted_host_interfaces") => gateway.trusted = interfaces(key, value)?,
            Some("host_ipv4") => gateway.egress[0] = Some(source::<Ipv4Addr>(key, value)?),
            Some("host_ipv6") => gateway.egress[1] = Some(source::<Ipv6Addr>(key, value)?),
            None if key == DHCP_SERVER => gateway.dhcp_server = boolean(key, value)?,
            _ => {
                let known = KEYS.map(|key| format!("{PREFIX}{key}"));
                let known = format!("{}, {DHCP_SERVER}", known.join(", "));
                return Err(unknown("bridge", key, &known));
            }
        }
    }
    Ok(DriverSpec::Bridge {
        name,
        icc,
        masquerade,
        mtu,
        host_binding,
        interface_prefix,
        gateway,
    })
}

/// What an endpoint's options say of the interface inside.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Its name.
    pub name: Option<IfName>,
    /// Its sysctls, in the order in which they are given.
    pub sysctls: Vec<InterfaceSysctl>,
}

/// Options of an endpoint.
pub fn endpoint(options: &BTreeMap<String, String>) -> Result<EndpointOptions, ApiError> {
    const NAME: &str = "com.docker.network.endpoint.ifname";
    const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
    let mut found = EndpointOptions::default();
    for (key, value) in options {
        match key.as_str() {
            NAME => {
                let parsed = value.parse::<IfName>();
                found.name = Some(parsed.map_err(|bad| failed(key, value, bad))?);
            }
            SYSCTLS => {
                let each = value.split(',').map(str::parse);
                let parsed: Result<_, BadSysctl> = each.collect();
                found.sysctls = parsed
                    .map_err(|bad| ApiError::bad(format!("invalid endpoint settings:\n{bad}")))?;
            }
            _ => {
                let text = format!("unknown driver-opt {key}");
                return Err(ApiError::bad(text).hint(format!("one of {NAME}, {SYSCTLS}")));
            }
        }
    }
    Ok(found)
}

pub(super) fn unknown(driver: &str, key: &str, known: &str) -> ApiError {
    let text = format!("unknown option {key} of driver {driver}");
    ApiError::bad(text).hint(format!("one of {known}"))
}

pub(super) fn failed(key: &str, value: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::bad(format!("failed to parse {key} value: {value} ({why})"))
}

fn prefix(key: &str, value: &str) -> Result<IfName, ApiError> {
    let parsed = value
        .parse::<IfName>()
        .map_err(|bad| failed(key, value, bad))?;
    let with_number = value.len() <= LONGEST_PREFIX && value != "lo";
    with_number.then_some(parsed).ok_or_else(|| {
        failed(
            key,
            value,
            format!("at most {LONGEST_PREFIX} letters, not lo"),
        )
    })
}

fn mode(key: &str, value: &str) -> Result<GatewayMode, ApiError> {
    match value {
        "" | "nat" => Ok(GatewayMode::Nat),
        "nat-unprotected" => Ok(GatewayMode::NatUnprotected),
        "routed" => Ok(GatewayMode::Routed),
        "isolated" => Ok(GatewayMode::Isolated),
        _ => {
            let why = "one of nat, nat-unprotected, routed, isolated";
            Err(failed(key, value, why))
        }
    }
}

/// Names with colons between them, as Docker has them.
fn interfaces(key: &str, value: &str) -> Result<Vec<IfName>, ApiError> {
    value
        .split(':')
        .map(|name| name.parse().map_err(|bad| failed(key, value, bad)))
        .collect()
}

/// An address that packets may be from.
fn source<A: FromStr + Into<IpAddr>>(key: &str, value: &str) -> Result<IpAddr, ApiError> {
    let address: Option<IpAddr> = value.parse::<A>().ok().map(Into::into);
    address
        .filter(|a| !a.is_unspecified() && !a.is_multicast() && !a.is_loopback())
        .ok_or_else(|| failed(key, value, "no address to send from"))
}

/// The spellings of Go's `strconv.ParseBool`.
pub(super) fn boolean(key: &str, value: &str) -> Result<bool, ApiError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => {
            let why = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
            Err(failed(key, value, why))
        }
    }
}

/// 68 octets is what a bridge takes at least (RFC 791's minimum), 65,535 what a veth takes at most.
pub(super) fn octets(key: &str, value: &str) -> Result<u32, ApiError> {
    let number: i64 = value.parse().map_err(|_| {
        let why = format!("strconv.Atoi: parsing {value:?}: invalid syntax");
        failed(key, value, why)
    })?;
    u32::try_from(number)
        .ok()
        .filter(|octets| (68..=65_535).contains(octets))
        .ok_or_else(|| ApiError::bad(format!("invalid MTU number: {number}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::bridge;
    use crate::{
        model::network::{GatewayMode, GatewayOptions},
        state::request::DriverSpec,
    };

    fn parse(key: &str, value: &str) -> Result<DriverSpec, String> {
        let options = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        bridge(&options).map_err(|error| error.message)
    }

    #[test]
    fn dockers_keys_are_understood() {
        let options = [
            ("com.docker.network.bridge.name", "bropts"),
            ("com.docker.network.bridge.enable_icc", "F"),
            ("com.docker.network.bridge.enable_ip_masquerade", "0"),
            ("com.docker.network.bridge.host_binding_ipv4", "198.18.0.1"),
            ("com.docker.network.driver.mtu", "1400"),
            ("com.docker.network.container_iface_prefix", "wan"),
        ];
        let options = options.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let spec = bridge(&BTreeMap::from(options)).unwrap();
        let expected = DriverSpec::Bridge {
            name: Some("bropts".parse().unwrap()),
            icc: Some(false),
            masquerade: Some(false),
            mtu: Some(1400),
            host_binding: Some([198, 18, 0, 1].into()),
            interface_prefix: "wan".parse().ok(),
            gateway: GatewayOptions::default(),
        };
        assert_eq!(spec, expected);
    }

    #[test]
    fn how_a_network_meets_the_outside() {
        let options = [
            ("com.docker.network.bridge.gateway_mode_ipv4", "routed"),
            (
                "com.docker.network.bridge.gateway_mode_ipv6",
                "nat-unprotected",
            ),
            (
                "com.docker.network.bridge.trusted_host_interfaces",
                "eth1:eth2",
            ),
            ("com.docker.network.host_ipv4", "198.18.0.9"),
            ("com.docker.network.host_ipv6", "2001:db8::9"),
            ("netd.bridge.dhcp_server", "true"),
        ];
        let options = options.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let Ok(DriverSpec::Bridge { gateway, .. }) = bridge(&BTreeMap::from(options)) else {
            panic!("options of a bridge");
        };
        let expected = GatewayOptions {
            modes: [GatewayMode::Routed, GatewayMode::NatUnprotected],
            trusted: ["eth1", "eth2"].map(|name| name.parse().unwrap()).into(),
            egress: ["198.18.0.9", "2001:db8::9"].map(|text| text.parse().ok()),
            dhcp_server: true,
        };
        assert_eq!(gateway, expected);
    }

    #[test]
    fn others_are_refused_by_name() {
        for (key, value, text) in [
            (
                "unknown.option",
                "1",
                "unknown option unknown.option of driver bridge",
            ),
            (
                "com.docker.network.bridge.inhibit_ipv4",
                "1",
                "unknown option com.docker.network.bridge.inhibit_ipv4 of driver bridge",
            ),
            (
                "com.docker.network.bridge.gateway_mode_ipv4",
                "bridged",
                "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: bridged (one of nat, nat-unprotected, routed, isolated)",
            ),
            (
                "com.docker.network.bridge.trusted_host_interfaces",
                "eth1:",
                "failed to parse com.docker.network.bridge.trusted_host_interfaces value: eth1: (invalid interface name: \"\")",
            ),
            (
                "com.docker.network.host_ipv4",
                "2001:db8::9",
                "failed to parse com.docker.network.host_ipv4 value: 2001:db8::9 (no address to send from)",
            ),
            (
                "com.docker.network.host_ipv6",
                "::1",
                "failed to parse com.docker.network.host_ipv6 value: ::1 (no address to send from)",
            ),
            (
                "com.docker.network.driver.mtu",
                "abc",
                "failed to parse com.docker.network.driver.mtu value: abc (strconv.Atoi: parsing \"abc\": invalid syntax)",
            ),
            (
                "com.docker.network.driver.mtu",
                "-5",
                "invalid MTU number: -5",
            ),
            (
                "com.docker.network.driver.mtu",
                "20",
                "invalid MTU number: 20",
            ),
            (
                "com.docker.network.driver.mtu",
                "4294968796",
                "invalid MTU number: 4294968796",
            ),
            (
                "com.docker.network.bridge.enable_icc",
                "maybe",
                "failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing \"maybe\": invalid syntax)",
            ),
            (
                "com.docker.network.bridge.host_binding_ipv4",
                "999.1.1.1",
                "failed to parse com.docker.network.bridge.host_binding_ipv4 value: 999.1.1.1 (nil ip)",
            ),
            (
                "com.docker.network.container_iface_prefix",
                "twelve-chars",
                "failed to parse com.docker.network.container_iface_prefix value: twelve-chars (at most 11 letters, not lo)",
            ),
            (
                "com.docker.network.bridge.name",
                "averyveryverylongname",
                "failed to parse com.docker.network.bridge.name value: averyveryverylongname (invalid interface name: \"averyveryverylongname\")",
            ),
        ] {
            assert_eq!(parse(key, value).unwrap_err(), text, "{key}={value}");
        }
    }
}
