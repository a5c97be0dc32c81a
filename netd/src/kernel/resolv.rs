//! resolv.conf: a pure parser. Lines that are not understood are ignored, as the C library does.

use std::net::IpAddr;

use crate::plan::facts::ResolvConf;

/// Parses a resolv.conf (resolv.conf(5)): every `nameserver`, the last `search` or `domain`, all
/// `options`. A scope (`fe80::1%eth0`) means nothing in another namespace: such servers are left out.
pub fn parse(text: &str) -> ResolvConf {
    let mut conf = ResolvConf::default();
    for line in text.lines() {
        // Comments begin in the first column (# and ;), and after white space in practice.
        let mut words = line
            .split_whitespace()
            .take_while(|word| !word.starts_with(['#', ';']));
        match words.next() {
            Some("nameserver") => {
                let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                if let Some(server) = server.filter(|server| !conf.servers.contains(server)) {
                    conf.servers.push(server);
                }
            }
            Some("search" | "domain") => {
                conf.search = words.map(str::to_owned).collect();
            }
            Some("options") => conf.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    conf
}

/// The servers that a container can reach: those that are not on the host's loopback.
pub fn external(conf: &ResolvConf) -> Vec<IpAddr> {
    let outside = |server: &IpAddr| match server.to_canonical() {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unspecified(),
    };
    conf.servers.iter().copied().filter(outside).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_file() {
        let conf = parse(
            "# made by hand\n; really\n\
             domain old.example\n\
             nameserver 127.0.0.53\nnameserver  2001:db8::1 # second\nnameserver 127.0.0.53\n\
             search a.example\tb.example\noptions edns0 ndots:2\noptions trust-ad\n",
        );
        assert_eq!(
            conf,
            ResolvConf {
                servers: vec![
                    "127.0.0.53".parse().unwrap(),
                    "2001:db8::1".parse().unwrap()
                ],
                search: vec!["a.example".into(), "b.example".into()],
                options: vec!["edns0".into(), "ndots:2".into(), "trust-ad".into()],
            }
        );
        assert_eq!(external(&conf), ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn bad_lines_are_ignored() {
        let conf =
            parse("nameserver\nnameserver x\nnameserver fe80::1%eth0\nnameservers 1.1.1.1\n\0\n");
        assert_eq!(conf, ResolvConf::default());
    }

    #[test]
    fn loopback_in_every_spelling_is_not_external() {
        let conf = parse("nameserver ::1\nnameserver ::ffff:127.0.0.1\nnameserver 0.0.0.0\n");
        assert_eq!(conf.servers.len(), 3);
        assert_eq!(external(&conf), Vec::<IpAddr>::new());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed(text in "\\PC*") {
            parse(&text);
        }
    }
}
