//! `bip`, `fixed-cidr`, `ipv6`, `bip6`, `fixed-cidr-v6`: addresses of the default network, with
//! Docker's names and meanings. Checked against each other; whether they are free is state's to say.

use ipnet::IpNet;

use super::settings::{BadConfig, Settings};
use crate::state::settings::{DefaultAddresses, Fixed};

impl Settings {
    pub(super) fn default_addresses(&self) -> Result<DefaultAddresses, BadConfig> {
        let ipv6 = self.ipv6.unwrap_or(false);
        for (key, value) in [("bip6", self.bip6), ("fixed-cidr-v6", self.fixed_cidr_v6)] {
            if value.is_some() && !ipv6 {
                return Err(bad(
                    key,
                    "the default network has no IPv6 without ipv6 = true",
                ));
            }
        }
        let bip6 = |net: &IpNet| net.addr() == net.network();
        if self.bip6.as_ref().is_some_and(bip6) {
            return Err(bad(
                "bip6",
                "not an address with a prefix length such as fd00::1/64",
            ));
        }
        let bip = self.bip.map(|bip| bip.0);
        Ok(DefaultAddresses {
            v4: fixed(("bip", bip), ("fixed-cidr", self.fixed_cidr), false)?,
            v6: fixed(
                ("bip6", self.bip6),
                ("fixed-cidr-v6", self.fixed_cidr_v6),
                true,
            )?,
            ipv6,
        })
    }
}

fn fixed(
    (bip_key, bip): (&'static str, Option<IpNet>),
    (cidr_key, cidr): (&'static str, Option<IpNet>),
    ipv6: bool,
) -> Result<Fixed, BadConfig> {
    for (key, value) in [(bip_key, bip), (cidr_key, cidr)] {
        if value.is_some_and(|net| net.addr().is_ipv6() != ipv6) {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            return Err(bad(key, &format!("not {family}")));
        }
    }
    if let (Some(bip), Some(cidr)) = (bip, cidr)
        && !bip.trunc().contains(&cidr.trunc())
    {
        return Err(bad(
            cidr_key,
            &format!("{cidr} is not inside {}", bip.trunc()),
        ));
    }
    Ok(Fixed {
        bip,
        range: cidr.map(|cidr| cidr.trunc()),
    })
}

fn bad(key: &'static str, why: &str) -> BadConfig {
    let why = why.to_owned();
    BadConfig::Value { key, why }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Settings;

    fn check(text: &str) -> Result<String, String> {
        let settings = Settings::parse(text, Path::new("x")).map_err(|error| error.to_string())?;
        let config = settings.check().map_err(|error| error.to_string())?;
        let addresses = config.default_network;
        let shown = |net: Option<ipnet::IpNet>| net.map(|net| net.to_string()).unwrap_or_default();
        let [v4, v6] = [addresses.v4, addresses.v6]
            .map(|fixed| format!("{} {}", shown(fixed.bip), shown(fixed.range)));
        Ok(format!("{v4} | {v6} | {}", addresses.ipv6))
    }

    #[test]
    fn they_mean_what_docker_means() {
        for (text, expected) in [
            ("", "  |   | false"),
            ("bip = '10.1.0.1/16'", "10.1.0.1/16  |   | false"),
            (
                "bip = '10.1.0.1/16'\nfixed-cidr = '10.1.7.9/24'",
                "10.1.0.1/16 10.1.7.0/24 |   | false",
            ),
            (
                "ipv6 = true\nfixed-cidr-v6 = 'fd00:1::/64'\nbip6 = 'fd00:1::7/64'",
                "  | fd00:1::7/64 fd00:1::/64 | true",
            ),
        ] {
            assert_eq!(check(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (text, expected) in [
            (
                "bip6 = 'fd00::1/64'",
                "bip6: the default network has no IPv6 without ipv6 = true",
            ),
            ("fixed-cidr = 'fd00::/64'", "fixed-cidr: not IPv4"),
            (
                "ipv6 = true\nbip6 = 'fd00::/64'",
                "bip6: not an address with a prefix length such as fd00::1/64",
            ),
            (
                "bip = '10.1.0.1/24'\nfixed-cidr = '10.1.0.0/16'",
                "fixed-cidr: 10.1.0.0/16 is not inside 10.1.0.0/24",
            ),
        ] {
            assert_eq!(check(text).unwrap_err(), expected, "{text}");
        }
    }
}
