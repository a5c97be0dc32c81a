//! `--subnet`, `--gateway`, `--ip-range`, `--aux-address` of `network create`, matched up as Docker's
//! command line does it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Failure;
use crate::frontends::api::network_request::SubnetRequest;

/// What was typed, each flag in order.
pub struct Typed<'a> {
    /// `--subnet`.
    pub subnets: &'a [String],
    /// `--gateway`.
    pub gateways: &'a [String],
    /// `--ip-range`.
    pub ranges: &'a [String],
    /// `--aux-address NAME=IP`.
    pub aux: &'a [String],
}

/// One request per subnet, with what is inside it. Subnets that are none go on to the agent, which
/// refuses them.
pub fn match_up(typed: &Typed<'_>) -> Result<Vec<SubnetRequest>, Failure> {
    let Typed {
        subnets,
        gateways,
        ranges,
        aux,
    } = typed;
    if subnets.is_empty() && !(gateways.is_empty() && ranges.is_empty()) {
        let text = "every ip-range or gateway must have a corresponding subnet";
        return Err(Failure::usage(text));
    }
    let mut matched: Vec<SubnetRequest> = subnets
        .iter()
        .map(|subnet| SubnetRequest {
            subnet: subnet.clone(),
            ..SubnetRequest::default()
        })
        .collect();
    for range in *ranges {
        let network = range.parse::<IpNet>().map(|range| range.network()).ok();
        let subnet = find(&mut matched, network).ok_or_else(|| none("range", range))?;
        if subnet.ip_range.replace(range.clone()).is_some() {
            return Err(Failure::usage(
                "cannot configure multiple ranges on the same subnet",
            ));
        }
    }
    for gateway in *gateways {
        let subnet = find(&mut matched, gateway.parse().ok());
        let subnet = subnet.ok_or_else(|| none("gateway", gateway))?;
        if subnet.gateway.replace(gateway.clone()).is_some() {
            return Err(Failure::usage(
                "cannot configure multiple gateways on the same subnet",
            ));
        }
    }
    for entry in *aux {
        let (name, address) = entry.split_once('=').unwrap_or((entry, ""));
        let subnet = find(&mut matched, address.parse().ok());
        let subnet = subnet.ok_or_else(|| none("aux-address", address))?;
        let former = subnet
            .aux_addresses
            .insert(name.to_owned(), address.to_owned());
        if former.is_some() {
            return Err(Failure::usage(format!("aux-address {name} is given twice")));
        }
    }
    Ok(matched)
}

fn find(subnets: &mut [SubnetRequest], address: Option<IpAddr>) -> Option<&mut SubnetRequest> {
    let address = address?;
    let inside = |subnet: &IpNet| subnet.contains(&address);
    subnets.iter_mut().find(|request| {
        let subnet = request.subnet.parse::<IpNet>();
        subnet.is_ok_and(|subnet| inside(&subnet))
    })
}

fn none(what: &str, value: &str) -> Failure {
    Failure::usage(format!("no matching subnet for {what} {value}"))
}

#[cfg(test)]
mod tests {
    use super::{Typed, match_up};

    fn run(
        subnets: &[&str],
        gateways: &[&str],
        ranges: &[&str],
        aux: &[&str],
    ) -> Result<String, String> {
        let own = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let typed = Typed {
            subnets: &own(subnets),
            gateways: &own(gateways),
            ranges: &own(ranges),
            aux: &own(aux),
        };
        match match_up(&typed) {
            Ok(matched) => Ok(serde_json::to_string(&matched).unwrap()),
            Err(failure) => Err(failure.message),
        }
    }

    #[test]
    fn each_goes_to_its_subnet() {
        let matched = run(
            &["10.90.0.0/16", "fd00:9::/64"],
            &["fd00:9::1", "10.90.0.254"],
            &["10.90.5.0/28"],
            &["srv1=10.90.5.1", "srv6=fd00:9::5", "srv2=10.90.5.2"],
        );
        assert_eq!(
            matched.unwrap(),
            r#"[{"subnet":"10.90.0.0/16","ip_range":"10.90.5.0/28","gateway":"10.90.0.254","aux_addresses":{"srv1":"10.90.5.1","srv2":"10.90.5.2"}},{"subnet":"fd00:9::/64","gateway":"fd00:9::1","aux_addresses":{"srv6":"fd00:9::5"}}]"#
        );
        assert_eq!(run(&[], &[], &[], &[]).unwrap(), "[]");
    }

    #[test]
    fn what_fits_nowhere_is_refused_with_dockers_texts() {
        let subnet: &[&str] = &["10.78.0.0/24"];
        for (result, text) in [
            (
                run(subnet, &["10.79.0.1"], &[], &[]),
                "no matching subnet for gateway 10.79.0.1",
            ),
            (
                run(subnet, &["bad"], &[], &[]),
                "no matching subnet for gateway bad",
            ),
            (
                run(&[], &["10.79.0.1"], &[], &[]),
                "every ip-range or gateway must have a corresponding subnet",
            ),
            (
                run(&[], &[], &["10.78.0.0/25"], &[]),
                "every ip-range or gateway must have a corresponding subnet",
            ),
            (
                run(subnet, &[], &["10.79.0.0/25"], &[]),
                "no matching subnet for range 10.79.0.0/25",
            ),
            (
                run(subnet, &[], &[], &["a=10.79.0.1"]),
                "no matching subnet for aux-address 10.79.0.1",
            ),
            (
                run(subnet, &[], &[], &["foo"]),
                "no matching subnet for aux-address ",
            ),
            (
                run(subnet, &["10.78.0.1", "10.78.0.2"], &[], &[]),
                "cannot configure multiple gateways on the same subnet",
            ),
            (
                run(subnet, &[], &["10.78.0.0/25", "10.78.0.128/25"], &[]),
                "cannot configure multiple ranges on the same subnet",
            ),
        ] {
            assert_eq!(result.unwrap_err(), text);
        }
    }
}
