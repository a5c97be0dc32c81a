//! The table `flow` of netd.toml: source ports, limits and timeouts of flows. Its flags begin with
//! `--flow-`. Checks values, applies none.

use std::{fmt, num::NonZeroU32, str::FromStr};

use netd_common::packet::flow::Timeouts;
use serde::{Deserialize, Serialize};

use super::values::BadValue;
use crate::state::FlowSettings;

/// Keys as far as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Source ports of masqueraded flows; without it what ip_local_port_range leaves of 1024-65535
    #[arg(long = "flow-ports", value_name = "LOW-HIGH[,LOW-HIGH]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<SourcePorts>,
    /// Established flows that one endpoint may have, 0: no limit of its own [131072]
    #[arg(long = "flow-per-endpoint", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_endpoint: Option<u32>,
    /// Seconds that an established TCP connection may be silent [8000]
    #[arg(long = "flow-tcp-established", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_established: Option<NonZeroU32>,
    /// Seconds for a TCP connection that is being opened [60]
    #[arg(long = "flow-tcp-opening", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_opening: Option<NonZeroU32>,
    /// Seconds for a TCP connection after both FINs or a RST [10]
    #[arg(long = "flow-tcp-closing", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_closing: Option<NonZeroU32>,
    /// Seconds for a UDP flow whose originator spoke again after an answer [180]
    #[arg(long = "flow-udp-established", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_established: Option<NonZeroU32>,
    /// Seconds for any other UDP flow [60]
    #[arg(long = "flow-udp-new", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_new: Option<NonZeroU32>,
    /// Seconds for an ICMP echo [30]
    #[arg(long = "flow-icmp", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp: Option<NonZeroU32>,
}

impl Flow {
    pub(super) fn is_empty(&self) -> bool {
        *self == Flow::default()
    }

    /// These where they say something, else the others.
    pub(super) fn over(self, file: Flow) -> Flow {
        Flow {
            ports: self.ports.or(file.ports),
            per_endpoint: self.per_endpoint.or(file.per_endpoint),
            tcp_established: self.tcp_established.or(file.tcp_established),
            tcp_opening: self.tcp_opening.or(file.tcp_opening),
            tcp_closing: self.tcp_closing.or(file.tcp_closing),
            udp_established: self.udp_established.or(file.udp_established),
            udp_new: self.udp_new.or(file.udp_new),
            icmp: self.icmp.or(file.icmp),
        }
    }

    /// What they mean.
    pub fn settings(&self) -> FlowSettings {
        let default = FlowSettings::default();
        let seconds = |given: Option<NonZeroU32>, default: u64| {
            given.map_or(default, |seconds| seconds.get().into())
        };
        let times = default.timeouts;
        FlowSettings {
            ports: self.ports.map(|ports| ports.0),
            per_endpoint: self.per_endpoint.unwrap_or(default.per_endpoint),
            timeouts: Timeouts {
                tcp_established: seconds(self.tcp_established, times.tcp_established),
                tcp_opening: seconds(self.tcp_opening, times.tcp_opening),
                tcp_closing: seconds(self.tcp_closing, times.tcp_closing),
                udp_established: seconds(self.udp_established, times.udp_established),
                udp_new: seconds(self.udp_new, times.udp_new),
                icmp: seconds(self.icmp, times.icmp),
            },
        }
    }
}

/// `flow.ports`: one or two closed intervals, in order, apart from each other; an interval that is not
/// there is [1, 0].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourcePorts(pub [[u16; 2]; 2]);

const NOTHING: [u16; 2] = [1, 0];

impl FromStr for SourcePorts {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<SourcePorts, BadValue> {
        let bad = || BadValue::SourcePorts(text.to_owned());
        let interval = |part: &str| {
            let (low, high) = part.trim().split_once('-')?;
            let (low, high) = (low.parse::<u16>().ok()?, high.parse::<u16>().ok()?);
            (1 <= low && low <= high).then_some([low, high])
        };
        let mut parts = text.split(',');
        let first = parts.next().and_then(interval).ok_or_else(bad)?;
        let second = match parts.next() {
            Some(part) => interval(part).ok_or_else(bad)?,
            None => NOTHING,
        };
        let apart = second == NOTHING || first[1] < second[0];
        if !apart || parts.next().is_some() {
            return Err(bad());
        }
        Ok(SourcePorts([first, second]))
    }
}

impl fmt::Display for SourcePorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [[low, high], second] = self.0;
        write!(f, "{low}-{high}")?;
        if second != NOTHING {
            write!(f, ",{}-{}", second[0], second[1])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, SourcePorts};
    use crate::state::FlowSettings;

    #[test]
    fn ports_are_one_or_two_ranges() {
        for (text, ports) in [
            ("1024-32767", [[1024, 32_767], [1, 0]]),
            ("5000-5000", [[5000, 5000], [1, 0]]),
            ("1-9,20-65535", [[1, 9], [20, 65_535]]),
        ] {
            let parsed: SourcePorts = text.parse().expect(text);
            assert_eq!(parsed.0, ports);
            assert_eq!(parsed.to_string(), text);
        }
        for text in [
            "",
            "1024",
            "0-9",
            "9-8",
            "1-9,5-20",
            "20-30,1-9",
            "1-2,4-5,7-8",
            "1-65536",
            "a-b",
            "1-9,",
        ] {
            let error = text.parse::<SourcePorts>().expect_err(text).to_string();
            assert_eq!(
                error,
                format!("{text:?} is not LOW-HIGH or LOW-HIGH,LOW-HIGH such as 1024-32767")
            );
        }
    }

    #[test]
    fn what_is_not_given_is_as_by_default() {
        assert_eq!(Flow::default().settings(), FlowSettings::default());
        let given: Flow = toml::from_str("udp_new = 5\nper_endpoint = 0").expect("a table");
        let settings = given.settings();
        assert_eq!((settings.timeouts.udp_new, settings.per_endpoint), (5, 0));
        let zero = toml::from_str::<Flow>("icmp = 0").expect_err("no time at all");
        assert!(zero.message().contains("nonzero"), "{zero}");
    }
}
