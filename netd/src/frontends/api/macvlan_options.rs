//! `--opt` of the macvlan driver: Docker's keys. An unknown key or a bad value is refused by name.

use std::collections::BTreeMap;

use super::{
    ApiError,
    driver_options::{boolean, failed, octets, unknown},
};
use crate::{
    model::{
        IfName,
        macvlan::{HOST_ACCESS, MacvlanMode},
    },
    state::request::DriverSpec,
};

const PARENT: &str = "parent";
const MODE: &str = "macvlan_mode";
const MTU: &str = "com.docker.network.driver.mtu";

/// The macvlan driver's options as far as they are given.
pub fn macvlan(options: &BTreeMap<String, String>) -> Result<DriverSpec, ApiError> {
    let (mut parent, mut mode, mut mtu, mut host_access) = (None, None, None, false);
    for (key, value) in options {
        match key.as_str() {
            // As in Docker an empty one is none.
            PARENT if value.is_empty() => {}
            PARENT => {
                let name = value.parse::<IfName>();
                parent = Some(name.map_err(|bad| failed(key, value, bad))?);
            }
            MODE if value.is_empty() => {}
            MODE => mode = Some(self::mode(value)?),
            MTU => mtu = Some(octets(key, value)?),
            HOST_ACCESS => host_access = boolean(key, value)?,
            _ => {
                let known = [PARENT, MODE, MTU, HOST_ACCESS].join(", ");
                return Err(unknown("macvlan", key, &known));
            }
        }
    }
    Ok(DriverSpec::Macvlan {
        parent,
        mode,
        mtu,
        host_access,
    })
}

fn mode(value: &str) -> Result<MacvlanMode, ApiError> {
    let mut all = MacvlanMode::ALL.into_iter();
    all.find(|mode| mode.name() == value).ok_or_else(|| {
        let text = format!(
            "requested macvlan mode '{value}' is not valid, 'bridge' mode is the macvlan driver default"
        );
        ApiError::bad(text).hint("one of bridge, private, vepa, passthru")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::macvlan;
    use crate::{model::macvlan::MacvlanMode, state::request::DriverSpec};

    fn parse(options: &[(&str, &str)]) -> Result<DriverSpec, String> {
        let owned = options.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        macvlan(&BTreeMap::from_iter(owned)).map_err(|error| error.message)
    }

    #[test]
    fn dockers_keys_are_understood() {
        let spec = DriverSpec::Macvlan {
            parent: Some("eth0.10".parse().unwrap()),
            mode: Some(MacvlanMode::Vepa),
            mtu: Some(1400),
            host_access: false,
        };
        let given = [
            ("parent", "eth0.10"),
            ("macvlan_mode", "vepa"),
            ("com.docker.network.driver.mtu", "1400"),
            ("netd.macvlan.host_access", "False"),
        ];
        assert_eq!(parse(&given), Ok(spec));
        let none = DriverSpec::Macvlan {
            parent: None,
            mode: None,
            mtu: None,
            host_access: true,
        };
        let given = [
            ("parent", ""),
            ("macvlan_mode", ""),
            ("netd.macvlan.host_access", "1"),
        ];
        assert_eq!(parse(&given), Ok(none));
    }

    #[test]
    fn others_are_refused_by_name() {
        for (key, value, text) in [
            (
                "macvlan_mode",
                "bogus",
                "requested macvlan mode 'bogus' is not valid, 'bridge' mode is the macvlan driver default",
            ),
            (
                "parent",
                "averyveryverylongname",
                "failed to parse parent value: averyveryverylongname (invalid interface name: \"averyveryverylongname\")",
            ),
            (
                "com.docker.network.driver.mtu",
                "20",
                "invalid MTU number: 20",
            ),
            (
                "netd.macvlan.host_access",
                "yes",
                "failed to parse netd.macvlan.host_access value: yes (strconv.ParseBool: parsing \"yes\": invalid syntax)",
            ),
            (
                "netd.macvlan.host_access",
                "",
                "failed to parse netd.macvlan.host_access value:  (strconv.ParseBool: parsing \"\": invalid syntax)",
            ),
            (
                "com.docker.network.bridge.name",
                "x",
                "unknown option com.docker.network.bridge.name of driver macvlan",
            ),
        ] {
            assert_eq!(parse(&[(key, value)]).unwrap_err(), text, "{key}={value}");
        }
    }
}
