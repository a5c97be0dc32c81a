//! What `netd run` is told: netd.toml and flags, which are the same list of keys. Flags win, unknown
//! keys are refused with their line. Checked once here; never read again later.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    flow::Flow,
    values::{AddressPool, BridgeAddress, Upstream},
};
use crate::{
    model::IfName,
    state::settings::DefaultAddresses,
    telemetry::{LogFormat, LogLevel},
};

/// Where the configuration is unless `--config` says otherwise; it may be missing there.
pub const DEFAULT_FILE: &str = "/etc/netd/netd.toml";

/// Keys as far as they were given, in the file or as flags: the same struct reads both, so that
/// every flag is a key of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Directory of the socket, namespaces and sandboxes' files; emptied by a reboot
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_dir: Option<PathBuf>,
    /// Directory of the store; survives a reboot
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// Directory of the pinned maps and programs, on a BPF file system (mounted if absent)
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpffs: Option<PathBuf>,
    /// Address and subnet of the default network's bridge, e.g. 172.17.0.1/16
    #[arg(long, value_name = "CIDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bip: Option<BridgeAddress>,
    /// Part of the default network's subnet that addresses are given from; without bip all of it
    #[arg(long, value_name = "CIDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_cidr: Option<IpNet>,
    /// The default network speaks IPv6, too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<bool>,
    /// IPv6 address and subnet of the default network's bridge
    #[arg(long, value_name = "CIDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bip6: Option<IpNet>,
    /// The same as fixed-cidr, for IPv6
    #[arg(long, value_name = "CIDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_cidr_v6: Option<IpNet>,
    /// Interface of the default network
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<IfName>,
    /// Whether sandboxes of the default network may talk to each other without a link [true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icc: Option<bool>,
    /// Where automatic subnets come from, cut into subnets of the size; in order
    #[arg(long, value_name = "CIDR,size=N")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address_pool: Vec<AddressPool>,
    /// Interfaces that lead outside; without it all but lo, netd's own and enslaved ones
    #[arg(long, value_name = "IFACE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uplink: Vec<IfName>,
    /// Where the agent forwards questions; without it the host's name servers
    #[arg(long, value_name = "IP[:PORT]")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_upstream: Vec<Upstream>,
    /// Name servers where the host has none (that sandboxes can reach) [8.8.8.8 8.8.4.4]
    #[arg(long, value_name = "IP")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_fallback: Vec<IpAddr>,
    /// How ports are published
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "Publish::is_empty")]
    pub publish: Publish,
    /// Ports, limits and timeouts of flows
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "Flow::is_empty")]
    pub flow: Flow,
    /// Published container ports may be dialled directly, by the container's own address, from anywhere
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_direct_routing: bool,
    /// What is logged; trace also loads programs that log packets
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// How it is logged
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}

/// The table `publish`; its flags begin with `--publish-`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Host address of ports that are published without one; without it all addresses
    #[arg(long = "publish-default-address", value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_address: Option<IpAddr>,
}

impl Publish {
    fn is_empty(&self) -> bool {
        *self == Publish::default()
    }
}

/// The whole configuration, built once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Socket, namespaces, sandboxes' files.
    pub run_dir: PathBuf,
    /// The store.
    pub state_dir: PathBuf,
    /// Pins.
    pub bpffs: PathBuf,
    /// The default network's addresses.
    pub default_network: DefaultAddresses,
    /// The default network's interface.
    pub bridge: IfName,
    /// Whether sandboxes of the default network may talk to each other without a link.
    pub icc: bool,
    /// Where automatic subnets come from; empty: Docker's default pools.
    pub address_pools: Vec<AddressPool>,
    /// Empty: every interface but lo, netd's own and enslaved ones.
    pub uplinks: Vec<IfName>,
    /// Empty: the host's.
    pub dns_upstreams: Vec<SocketAddr>,
    /// Host address of ports that are published without one; `None`: all.
    pub publish_address: Option<IpAddr>,
    /// Ports, limits and timeouts of flows.
    pub flow: Flow,
    /// Published container ports may be dialled directly from anywhere.
    pub allow_direct_routing: bool,
    /// Empty: Docker's.
    pub dns_fallback: Vec<IpAddr>,
    /// What is logged.
    pub log_level: LogLevel,
    /// How.
    pub log_format: LogFormat,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has a syntax error, an unknown key or a bad value.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A path that is not absolute.
    #[error("{key}: {} is not an absolute path", path.display())]
    Relative {
        /// The key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// Keys that do not go together.
    #[error("{key}: {why}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}

impl Settings {
    /// Reads a file; the default one may be missing.
    pub fn read(given: Option<&Path>) -> Result<Settings, BadConfig> {
        let path = given.unwrap_or(Path::new(DEFAULT_FILE));
        match fs::read_to_string(path) {
            Ok(text) => Settings::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => {
                Ok(Settings::default())
            }
            Err(source) => Err(BadConfig::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Parses a file's text; `path` is for errors.
    pub fn parse(text: &str, path: &Path) -> Result<Settings, BadConfig> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            BadConfig::Line {
                path: path.to_owned(),
                line: text.as_bytes()[..start]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count()
                    + 1,
                message: error.message().replace('\n', "; "),
            }
        })
    }

    /// These settings where they say something, else the others'.
    pub fn over(self, file: Settings) -> Settings {
        Settings {
            run_dir: self.run_dir.or(file.run_dir),
            state_dir: self.state_dir.or(file.state_dir),
            bpffs: self.bpffs.or(file.bpffs),
            bip: self.bip.or(file.bip),
            fixed_cidr: self.fixed_cidr.or(file.fixed_cidr),
            ipv6: self.ipv6.or(file.ipv6),
            bip6: self.bip6.or(file.bip6),
            fixed_cidr_v6: self.fixed_cidr_v6.or(file.fixed_cidr_v6),
            bridge: self.bridge.or(file.bridge),
            icc: self.icc.or(file.icc),
            address_pool: first_nonempty(self.address_pool, file.address_pool),
            uplink: first_nonempty(self.uplink, file.uplink),
            dns_upstream: first_nonempty(self.dns_upstream, file.dns_upstream),
            dns_fallback: first_nonempty(self.dns_fallback, file.dns_fallback),
            publish: Publish {
                default_address: (self.publish.default_address).or(file.publish.default_address),
            },
            flow: self.flow.over(file.flow),
            allow_direct_routing: self.allow_direct_routing || file.allow_direct_routing,
            log_level: self.log_level.or(file.log_level),
            log_format: self.log_format.or(file.log_format),
        }
    }

    /// Fills in the defaults, for `config show` too.
    pub fn with_defaults(self) -> Settings {
        let path = |given: Option<PathBuf>, default: &str| given.or_else(|| Some(default.into()));
        Settings {
            run_dir: path(self.run_dir, "/run/netd"),
            state_dir: path(self.state_dir, "/var/lib/netd"),
            bpffs: path(self.bpffs, "/sys/fs/bpf/netd"),
            bridge: self.bridge.or_else(|| "netd0".parse().ok()),
            icc: self.icc.or(Some(true)),
            log_level: self.log_level.or(Some(LogLevel::Info)),
            log_format: self.log_format.or(Some(LogFormat::Text)),
            ..self
        }
    }

    /// The configuration that these settings mean.
    pub fn check(self) -> Result<Config, BadConfig> {
        let settings = self.with_defaults();
        let default_network = settings.default_addresses()?;
        let absolute = |key, path: Option<PathBuf>| {
            let path = path.unwrap_or_default();
            if path.is_absolute() {
                Ok(path)
            } else {
                Err(BadConfig::Relative { key, path })
            }
        };
        Ok(Config {
            run_dir: absolute("run-dir", settings.run_dir)?,
            state_dir: absolute("state-dir", settings.state_dir)?,
            bpffs: absolute("bpffs", settings.bpffs)?,
            default_network,
            bridge: settings.bridge.expect("with_defaults names the bridge"),
            icc: settings.icc.unwrap_or(true),
            address_pools: settings.address_pool,
            uplinks: settings.uplink,
            dns_upstreams: settings.dns_upstream.iter().map(|up| up.0).collect(),
            publish_address: settings.publish.default_address,
            flow: settings.flow,
            allow_direct_routing: settings.allow_direct_routing,
            dns_fallback: settings.dns_fallback,
            log_level: settings.log_level.unwrap_or(LogLevel::Info),
            log_format: settings.log_format.unwrap_or(LogFormat::Text),
        })
    }
}

fn first_nonempty<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use clap::{Args, Command};
    use expect_test::{Expect, expect};

    use super::{Config, Settings};

    fn parse(text: &str) -> Result<Config, super::BadConfig> {
        Settings::parse(text, Path::new("netd.toml")).and_then(Settings::check)
    }

    fn refused(text: &str, expected: Expect) {
        expected.assert_eq(&parse(text).expect_err(text).to_string());
    }

    #[test]
    fn every_flag_is_a_key_of_the_same_name() {
        let full = r#"
            run-dir = "/a"
            state-dir = "/b"
            bpffs = "/c"
            bip = "10.9.0.1/24"
            fixed-cidr = "10.9.0.64/26"
            ipv6 = true
            bip6 = "fd00:9::1/64"
            fixed-cidr-v6 = "fd00:9::/80"
            bridge = "br9"
            icc = false
            address-pool = ["10.0.0.0/8,size=24", "base=fd00::/48,size=64"]
            uplink = ["eth0"]
            dns-upstream = ["9.9.9.9", "[fd00::53]:5353"]
            dns-fallback = ["9.9.9.9"]
            publish.default_address = "127.0.0.1"
            flow.ports = "1024-32767,61000-65535"
            flow.per_endpoint = 100
            flow.tcp_established = 1
            flow.tcp_opening = 2
            flow.tcp_closing = 3
            flow.udp_established = 4
            flow.udp_new = 5
            flow.icmp = 6
            allow-direct-routing = true
            log-level = "debug"
            log-format = "json"
        "#;
        let settings = Settings::parse(full, Path::new("x")).unwrap();
        let table = toml::Table::try_from(&settings).unwrap();
        let keys: BTreeSet<String> = table
            .iter()
            .flat_map(|(key, value)| match value.as_table() {
                Some(table) => (table.keys())
                    .map(|inner| format!("{key}-{}", inner.replace('_', "-")))
                    .collect(),
                None => vec![key.clone()],
            })
            .collect();
        let command = Settings::augment_args(Command::new("run"));
        let flags: BTreeSet<String> = command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .map(str::to_owned)
            .collect();
        assert_eq!(keys, flags);
        // What `config show` prints is read back as the same.
        let shown = toml::to_string(&settings).unwrap();
        assert_eq!(Settings::parse(&shown, Path::new("x")).unwrap(), settings);
    }

    #[test]
    fn flags_win_and_lists_are_replaced() {
        let file = Settings::parse(
            "bridge = 'a'\nuplink = ['u1', 'u2']\nlog-level = 'warn'",
            Path::new("x"),
        )
        .unwrap();
        let flags = Settings {
            bridge: Some("b".parse().unwrap()),
            uplink: vec!["u3".parse().unwrap()],
            ..Settings::default()
        };
        let config = flags.over(file).check().unwrap();
        assert_eq!(config.bridge.as_str(), "b");
        assert_eq!(config.uplinks, ["u3".parse().unwrap()]);
        assert_eq!(config.log_level, super::LogLevel::Warn);
        assert_eq!(config.run_dir, Path::new("/run/netd"));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        refused(
            "bridge = 'x'\n\nrundir = '/x'\n",
            expect![
                "netd.toml:3: unknown field `rundir`, expected one of `run-dir`, `state-dir`, `bpffs`, `bip`, `fixed-cidr`, `ipv6`, `bip6`, `fixed-cidr-v6`, `bridge`, `icc`, `address-pool`, `uplink`, `dns-upstream`, `dns-fallback`, `publish`, `flow`, `allow-direct-routing`, `log-level`, `log-format`"
            ],
        );
        refused(
            "bip = '172.17.0.0/16'",
            expect![[
                r#"netd.toml:1: "172.17.0.0/16" is not an address with a prefix length such as 172.17.0.1/16"#
            ]],
        );
        refused(
            "\nbip = '172.17.0.1'",
            expect![[
                r#"netd.toml:2: "172.17.0.1" is not an address with a prefix length such as 172.17.0.1/16"#
            ]],
        );
        refused(
            "bridge = 'a/b'",
            expect![[r#"netd.toml:1: invalid interface name: "a/b""#]],
        );
        refused(
            "address-pool = ['10.0.0.0/16,size=8']",
            expect![[
                r#"netd.toml:1: "10.0.0.0/16,size=8" is not CIDR,size=N such as 172.16.0.0/12,size=24"#
            ]],
        );
        refused(
            "address-pool = '10.0.0.0/16'",
            expect![[r#"netd.toml:1: invalid type: string "10.0.0.0/16", expected a sequence"#]],
        );
        refused(
            "dns-upstream = ['localhost']",
            expect![[
                r#"netd.toml:1: "localhost" is neither an IP address nor one with a port ([IPv6]:PORT)"#
            ]],
        );
        refused(
            "flow.ports = '80'",
            expect![[
                r#"netd.toml:1: "80" is not LOW-HIGH or LOW-HIGH,LOW-HIGH such as 1024-32767"#
            ]],
        );
        refused(
            "log-level = 'loud'",
            expect![
                "netd.toml:1: unknown variant `loud`, expected one of `error`, `warn`, `info`, `debug`, `trace`"
            ],
        );
        refused(
            "run-dir = 7",
            expect!["netd.toml:1: invalid type: integer `7`, expected path string"],
        );
        refused(
            "# c\nbridge = 'x'\nbridge = 'y'",
            expect!["netd.toml:3: duplicate key"],
        );
        refused(
            "[run]\nbridge = 'x'",
            expect![
                "netd.toml:1: unknown field `run`, expected one of `run-dir`, `state-dir`, `bpffs`, `bip`, `fixed-cidr`, `ipv6`, `bip6`, `fixed-cidr-v6`, `bridge`, `icc`, `address-pool`, `uplink`, `dns-upstream`, `dns-fallback`, `publish`, `flow`, `allow-direct-routing`, `log-level`, `log-format`"
            ],
        );
        refused(
            "bridge = ",
            expect!["netd.toml:1: string values must be quoted, expected literal string"],
        );
        refused(
            "run-dir = 'relative'",
            expect!["run-dir: relative is not an absolute path"],
        );
    }

    #[test]
    fn the_example_file_is_read_with_each_key_uncommented() {
        let example = include_str!("../../../../packaging/systemd/netd.toml");
        let text: String = example
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|key| key.contains(" = "))
                    .unwrap_or("")
            })
            .collect::<Vec<_>>()
            .join("\n");
        let settings = Settings::parse(&text, Path::new("netd.toml")).unwrap();
        let count = toml::Table::try_from(&settings).unwrap().len();
        assert_eq!(count, 19, "a key is missing in the example");
    }

    #[test]
    fn only_the_default_file_may_be_missing() {
        let missing = Path::new("/nonexistent/netd.toml");
        let error = Settings::read(Some(missing)).unwrap_err().to_string();
        assert_eq!(
            error,
            "/nonexistent/netd.toml: No such file or directory (os error 2)"
        );
    }
}
