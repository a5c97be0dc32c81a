//! Published ports as one text, runs of ports joined: the PORTS column of `netd sandbox ls`.

use super::port::{bracketed, range};
use crate::frontends::api::sandbox_shape::Bindings;

/// Host ports that lead to ports inside, side by side.
struct Run {
    address: String,
    protocol: String,
    host: (u16, u16),
    inside: (u16, u16),
}

impl Run {
    /// Whether the pair of ports goes on where this ends; then it is taken in.
    fn takes(&mut self, next: &Run) -> bool {
        let follows = self.host.1.checked_add(1) == Some(next.host.0)
            && self.inside.1.checked_add(1) == Some(next.inside.0);
        let same = self.address == next.address && self.protocol == next.protocol;
        if same && follows {
            self.host.1 = next.host.1;
            self.inside.1 = next.inside.1;
        }
        same && follows
    }

    fn text(&self) -> String {
        let (host, inside) = (range(self.host), range(self.inside));
        let address = bracketed(&self.address);
        format!("{address}:{host}->{inside}/{}", self.protocol)
    }
}

/// `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`, as `docker ps` has it; ports that no network carries
/// stand alone.
pub fn text(bindings: &Bindings) -> String {
    let mut singles = Vec::new();
    let mut reserved = Vec::new();
    for (port, held) in bindings {
        let Some(held) = held else {
            reserved.push(port.clone());
            continue;
        };
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let inside: u16 = number.parse().unwrap_or_default();
        singles.extend(held.iter().map(|binding| {
            let host: u16 = binding.host_port.parse().unwrap_or_default();
            Run {
                address: binding.host_ip.clone(),
                protocol: protocol.to_owned(),
                host: (host, host),
                inside: (inside, inside),
            }
        }));
    }
    singles.sort_by(|a, b| {
        let key = |run: &Run| {
            (
                run.protocol.clone(),
                run.address.clone(),
                run.inside,
                run.host,
            )
        };
        key(a).cmp(&key(b))
    });
    let mut runs: Vec<Run> = Vec::new();
    for single in singles {
        if !runs.last_mut().is_some_and(|run| run.takes(&single)) {
            runs.push(single);
        }
    }
    let shown = runs.iter().map(Run::text).chain(reserved);
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Bindings, text};
    use crate::frontends::api::sandbox_shape::Binding;

    #[test]
    fn runs_are_joined_and_nothing_else() {
        let held = |address: &str, port: u16| Binding {
            host_ip: address.to_owned(),
            host_port: port.to_string(),
        };
        let both = |port| Some(vec![held("0.0.0.0", port), held("::", port)]);
        let bindings = Bindings::from([
            ("80/tcp".to_owned(), both(8080)),
            ("81/tcp".to_owned(), both(8081)),
            ("82/tcp".to_owned(), both(9000)),
            ("81/udp".to_owned(), Some(vec![held("127.0.0.1", 8081)])),
            ("65535/tcp".to_owned(), Some(vec![held("0.0.0.0", 65535)])),
            ("99/tcp".to_owned(), None),
        ]);
        assert_eq!(
            text(&bindings),
            "0.0.0.0:8080-8081->80-81/tcp, 0.0.0.0:9000->82/tcp, 0.0.0.0:65535->65535/tcp, \
             [::]:8080-8081->80-81/tcp, [::]:9000->82/tcp, 127.0.0.1:8081->81/udp, 99/tcp"
        );
    }
}
