//! Networks that are only a configuration, and those that are made from one: what of a request comes
//! from where. Looks nothing up.

use super::{
    ApiError,
    network_request::{NetworkCreate, SubnetRequest},
};
use crate::{
    model::{
        Network,
        network::{Ipam, Subnet},
    },
    state::request::DriverSpec,
};

impl NetworkCreate {
    /// Fills in what a network made with `config_only` says; nothing of that may be given besides.
    pub fn fill_from(&mut self, config: &Network) -> Result<(), ApiError> {
        let families = self.ipv6 || self.ipv4 == Some(false);
        let driver = self.ipam_driver.as_deref().unwrap_or("default");
        let addresses = families || driver != "default" || !self.subnets.is_empty();
        if addresses || !self.labels.is_empty() {
            return Err(ApiError::bad(
                "user specified configurations are not supported if the network depends on a configuration network",
            ));
        }
        if !self.options.is_empty() {
            return Err(ApiError::bad(
                "network driver options are not supported if the network depends on a configuration network",
            ));
        }
        self.ipv4 = Some(config.ipv4);
        self.ipv6 = config.ipv6;
        self.ipam_driver = (config.ipam == Ipam::None).then(|| "null".to_owned());
        self.labels = config.labels.clone();
        self.options = config.options.clone();
        self.subnets = config
            .config_subnets()
            .iter()
            .map(SubnetRequest::of)
            .collect();
        Ok(())
    }

    /// Its options are checked by the driver of each network that is made from it.
    pub(super) fn config(&self) -> Result<DriverSpec, ApiError> {
        if self.internal || self.attachable {
            return Err(ApiError::bad(
                "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
            ));
        }
        if self.config_from.is_some() {
            return Err(ApiError::bad(
                "a configuration network cannot depend on another configuration network",
            ));
        }
        Ok(DriverSpec::Config)
    }
}

impl SubnetRequest {
    fn of(subnet: &Subnet) -> SubnetRequest {
        let aux = subnet.aux.iter();
        SubnetRequest {
            subnet: subnet.pool.to_string(),
            ip_range: subnet.range.map(|range| range.to_string()),
            gateway: subnet.gateway.map(|gateway| gateway.to_string()),
            aux_addresses: aux
                .map(|(name, ip)| (name.clone(), ip.to_string()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DriverSpec, Network, NetworkCreate};
    use crate::state::{Request, tests::Host};

    /// A network that was made with `--config-only` by this body.
    fn config(json: &str) -> Network {
        let request: NetworkCreate = serde_json::from_str(json).unwrap();
        let spec = request.check().unwrap();
        assert_eq!(spec.driver, DriverSpec::Config);
        let mut host = Host::new();
        assert_eq!(host.says(&Request::NetworkCreate(spec)), "ok");
        host.state.find_config("cfg").unwrap()
    }

    #[test]
    fn a_configuration_says_everything_or_nothing() {
        let config = config(
            r#"{"name":"cfg","config_only":true,"labels":{"a":"b"},"ipv4":false,
            "subnets":[{"subnet":"10.80.0.0/24","ip_range":"10.80.0.64/26","aux_addresses":{"x":"10.80.0.9"}}],
            "options":{"com.docker.network.driver.mtu":"1400"}}"#,
        );
        let fill = |json: &str| {
            let mut request: NetworkCreate = serde_json::from_str(json).unwrap();
            request.fill_from(&config).map_err(|error| error.message)?;
            Ok::<_, String>(request.check().unwrap())
        };
        let spec = fill(r#"{"name":"n","config_from":"cfg","internal":true}"#).unwrap();
        assert_eq!(spec.subnets[0].range.unwrap().to_string(), "10.80.0.64/26");
        assert_eq!(spec.subnets[0].gateway, None);
        assert!(!spec.ipv4);
        assert_eq!((spec.labels["a"].as_str(), spec.internal), ("b", true));
        assert!(matches!(
            spec.driver,
            DriverSpec::Bridge {
                mtu: Some(1400),
                ..
            }
        ));
        for body in [
            r#""ipv6":true"#,
            r#""ipv4":false"#,
            r#""ipam_driver":"null""#,
            r#""labels":{"k":""}"#,
            r#""subnets":[{"subnet":"10.1.0.0/24"}]"#,
        ] {
            assert_eq!(
                fill(&format!(r#"{{"name":"n","config_from":"cfg",{body}}}"#)).unwrap_err(),
                "user specified configurations are not supported if the network depends on a configuration network"
            );
        }
        assert_eq!(
            fill(r#"{"name":"n","config_from":"cfg","options":{"a":"b"}}"#).unwrap_err(),
            "network driver options are not supported if the network depends on a configuration network"
        );
    }
}
