//! What netd tells about its objects, for tests that need an address or a counter.

use std::{net::IpAddr, time::Duration};

use serde_json::{Deserializer, Value};

use super::{Lab, patience::patient};

impl Lab {
    /// A sandbox's IPv4 address on a network.
    #[track_caller]
    pub fn address(&self, sandbox: &str, network: &str) -> IpAddr {
        self.endpoint_address(sandbox, network, "IPAddress")
    }

    /// Its IPv6 address.
    #[track_caller]
    pub fn address6(&self, sandbox: &str, network: &str) -> IpAddr {
        self.endpoint_address(sandbox, network, "GlobalIPv6Address")
    }

    /// The network's IPv4 gateway as the sandbox has it.
    #[track_caller]
    pub fn gateway(&self, sandbox: &str, network: &str) -> IpAddr {
        self.endpoint_address(sandbox, network, "Gateway")
    }

    /// The network's IPv6 gateway as the sandbox has it.
    #[track_caller]
    pub fn gateway6(&self, sandbox: &str, network: &str) -> IpAddr {
        self.endpoint_address(sandbox, network, "IPv6Gateway")
    }

    /// The MAC of a sandbox's endpoint.
    #[track_caller]
    pub fn mac(&self, sandbox: &str, network: &str) -> String {
        let endpoint = self.endpoint(sandbox, network);
        text(&endpoint, "MacAddress")
    }

    /// The host's side of the endpoint's veth pair.
    #[track_caller]
    pub fn host_side(&self, sandbox: &str, network: &str) -> String {
        // 11 digits, so that the name fits the kernel's 15 characters.
        let id = text(&self.endpoint(sandbox, network), "EndpointID");
        format!("nd{}", &id[..11])
    }

    /// The bridge of a network.
    #[track_caller]
    pub fn bridge_of(&self, network: &str) -> String {
        let inspected = self.netd_json(&format!("network inspect {network}"));
        format!("br-{}", &text(&inspected[0], "Id")[..12])
    }

    #[track_caller]
    fn endpoint(&self, sandbox: &str, network: &str) -> Value {
        let inspected = self.netd_json(&format!("sandbox inspect {sandbox}"));
        let endpoint = inspected[0]["Networks"][network].clone();
        assert!(
            endpoint.is_object(),
            "{sandbox} is not on {network}: {inspected:#}"
        );
        endpoint
    }

    #[track_caller]
    fn endpoint_address(&self, sandbox: &str, network: &str, key: &str) -> IpAddr {
        let endpoint = self.endpoint(sandbox, network);
        match text(&endpoint, key).parse() {
            Ok(address) => address,
            Err(error) => panic!("{key} of {sandbox} on {network}: {error}: {endpoint:#}"),
        }
    }

    /// How many packets were dropped for a reason, over all programs and networks.
    #[track_caller]
    pub fn drops(&self, reason: &str) -> u64 {
        let listing = self.netd("drops -f json");
        Deserializer::from_str(&listing)
            .into_iter::<Value>()
            .map(|value| match value {
                Ok(value) => packets(&value, reason),
                Err(error) => panic!("netd drops printed no JSON ({error}):\n{listing}"),
            })
            .sum()
    }

    /// Waits until `done` holds, looking every 50 ms; how long it took.
    ///
    /// # Panics
    /// If it does not hold within `limit`.
    #[track_caller]
    pub fn wait_until(&self, what: &str, limit: Duration, done: impl Fn() -> bool) -> Duration {
        let begin = std::time::Instant::now();
        while !done() {
            assert!(
                begin.elapsed() < patient(limit),
                "not within {limit:?}: {what}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        begin.elapsed()
    }
}

#[track_caller]
fn text(value: &Value, key: &str) -> String {
    match value[key].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no {key} in {value:#}"),
    }
}

/// Sum of `Packets` in the objects that name the reason.
fn packets(value: &Value, reason: &str) -> u64 {
    match value {
        Value::Array(values) => values.iter().map(|value| packets(value, reason)).sum(),
        Value::Object(fields) => {
            let named = fields.values().any(|value| value == reason);
            let count = fields.get("Packets").and_then(|count| match count {
                Value::String(text) => text.parse().ok(),
                other => other.as_u64(),
            });
            if named { count.unwrap_or(0) } else { 0 }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::packets;

    #[test]
    fn packets_of_one_reason_are_added() {
        let listing = json!([
            {"Reason": "icc-off", "Packets": 2},
            {"Reason": "icc-off", "Packets": "3"},
            {"Reason": "internal-network", "Packets": 7},
        ]);
        assert_eq!(packets(&listing, "icc-off"), 5);
    }
}
