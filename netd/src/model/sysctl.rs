//! Sysctls of one interface, as `com.docker.network.endpoint.sysctls` names them: the interface is called
//! IFNAME there, since nobody knows its name before it is made.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::IfName;

/// Octets of a part of a name, and of a value: more than any sysctl of an interface has.
const LONGEST: usize = 64;

/// `net.ipv4.conf.IFNAME.log_martians=1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceSysctl {
    /// `ipv4`, `ipv6` or `mpls`.
    family: String,
    /// `conf` or `neigh`.
    table: String,
    /// `log_martians`.
    name: String,
    /// As the kernel shows it once it is set.
    pub value: String,
}

impl InterfaceSysctl {
    /// The key below /proc/sys, with slashes, for an interface.
    pub fn key(&self, interface: &IfName) -> String {
        let InterfaceSysctl {
            family,
            table,
            name,
            ..
        } = self;
        format!("net/{family}/{table}/{interface}/{name}")
    }

    /// Whether IPv6 is off on the interface by it.
    pub fn switches_ipv6_off(&self) -> bool {
        let what = (&*self.family, &*self.table, &*self.name);
        what == ("ipv6", "conf", "disable_ipv6") && self.value != "0"
    }
}

/// Why a text is no [`InterfaceSysctl`], with Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSysctl {
    /// No interface's.
    #[error(
        "unrecognised network interface sysctl '{0}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
    )]
    Form(String),
    /// Without a value.
    #[error("expected sysctl '{0}' to have format name=value")]
    Value(String),
    /// More than one dot behind the interface.
    #[error("expected sysctl '{0}' to have format net.X.Y.IFNAME.Z")]
    Name(String),
}

impl FromStr for InterfaceSysctl {
    type Err = BadSysctl;

    fn from_str(text: &str) -> Result<InterfaceSysctl, BadSysctl> {
        let parts: Vec<&str> = text.splitn(5, '.').collect();
        let &[
            "net",
            family @ ("ipv4" | "ipv6" | "mpls"),
            table,
            "IFNAME" | "ifname",
            last,
        ] = parts.as_slice()
        else {
            return Err(BadSysctl::Form(text.to_owned()));
        };
        let Some((name, value)) = last.split_once('=') else {
            return Err(BadSysctl::Value(text.to_owned()));
        };
        // They become parts of a path.
        if !is_word(table) || !is_word(name) {
            return Err(BadSysctl::Name(text.to_owned()));
        }
        if value.is_empty() || value.len() > LONGEST || value.contains(char::is_control) {
            return Err(BadSysctl::Value(text.to_owned()));
        }
        Ok(InterfaceSysctl {
            family: family.to_owned(),
            table: table.to_owned(),
            name: name.to_owned(),
            value: as_shown(value),
        })
    }
}

impl fmt::Display for InterfaceSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InterfaceSysctl {
            family,
            table,
            name,
            value,
        } = self;
        write!(f, "net.{family}.{table}.IFNAME.{name}={value}")
    }
}

fn is_word(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-');
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(letter)
}

/// What the kernel shows of a value: numbers are read with C's prefixes and shown without
/// (`proc_dointvec`), `stable_secret` is shown as a whole address. Else netd would take what it has set
/// for somebody else's.
fn as_shown(value: &str) -> String {
    let value = value.trim();
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", value),
    };
    let number = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    match (number, value.parse::<Ipv6Addr>()) {
        (Ok(0), _) => "0".to_owned(),
        (Ok(number), _) => format!("{sign}{number}"),
        (_, Ok(address)) => {
            let groups = address.segments().map(|group| format!("{group:04x}"));
            groups.join(":")
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::InterfaceSysctl;

    fn read(text: &str) -> Result<String, String> {
        let read = text.parse::<InterfaceSysctl>();
        read.map(|s| s.to_string()).map_err(|bad| bad.to_string())
    }

    #[test]
    fn the_interface_has_no_name_yet() {
        let sysctl: InterfaceSysctl = "net.ipv4.conf.IFNAME.log_martians=1".parse().unwrap();
        let key = sysctl.key(&"eth3".parse().unwrap());
        assert_eq!(key, "net/ipv4/conf/eth3/log_martians");
        for text in [
            "net.ipv6.neigh.ifname.mcast_solicit=7",
            "net.mpls.conf.IFNAME.input=1",
        ] {
            let again = text.replace("ifname", "IFNAME");
            assert_eq!(read(text), Ok(again));
        }
    }

    #[test]
    fn values_are_what_the_kernel_shows() {
        for (given, shown) in [
            ("0x10", "16"),
            ("010", "8"),
            ("-0", "0"),
            (" 1 ", "1"),
            ("-1", "-1"),
            ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"),
            ("a", "a"),
        ] {
            let sysctl = format!("net.ipv6.conf.IFNAME.x={given}");
            let sysctl: InterfaceSysctl = sysctl.parse().unwrap();
            assert_eq!(sysctl.value, shown, "{given}");
        }
    }

    #[test]
    fn others_are_refused_with_dockers_words() {
        let form = |text: &str| {
            format!(
                "unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
        };
        for text in [
            "",
            "net.ipv4.conf.eth0.log_martians=1",
            "net.core.conf.IFNAME.x=1",
            "net.ipv4.ip_forward=1",
            "kernel.ipv4.conf.IFNAME.x=1",
        ] {
            assert_eq!(read(text), Err(form(text)));
        }
        let bad = "net.ipv4.conf.IFNAME.log_martians";
        assert_eq!(
            read(bad),
            Err(format!("expected sysctl '{bad}' to have format name=value"))
        );
        for bad in [
            "net.ipv4.conf.IFNAME.a.b=1",
            "net.ipv4.co/nf.IFNAME.a=1",
            "net.ipv4.conf.IFNAME./../../../kernel/hostname=1",
            "net.ipv4.conf.IFNAME.=1",
        ] {
            let text = format!("expected sysctl '{bad}' to have format net.X.Y.IFNAME.Z");
            assert_eq!(read(bad), Err(text));
        }
    }
}
