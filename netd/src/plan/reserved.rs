//! Published ports that the kernel would pick for outgoing connections, which would lose their replies
//! to a sandbox: reserved by a sysctl, beside what the host has reserved itself.

use super::{Desired, Place, scene::Scene};

/// Below /proc/sys.
pub const RESERVED_PORTS: &str = "net/ipv4/ip_local_reserved_ports";

pub(super) fn links(scene: &Scene<'_>, desired: &mut Desired) {
    let mut all = scene.state.ports().within(scene.facts.local_ports);
    if !all.is_empty() {
        all.extend(scene.facts.reserved_ports.iter().copied());
    } else {
        all.clone_from(&scene.facts.reserved_ports);
    }
    let key = (Place::Host, RESERVED_PORTS.to_owned());
    desired.sysctls.insert(key, text(all));
}

/// As the kernel prints it: in order, what touches as one range.
fn text(mut ranges: Vec<crate::model::PortRange>) -> String {
    ranges.sort();
    let mut joined: Vec<crate::model::PortRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if u32::from(range.first) <= u32::from(last.last) + 1 => {
                last.last = last.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }
    let texts: Vec<String> = joined.iter().map(ToString::to_string).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::model::PortRange;

    #[test]
    fn as_the_kernel_prints_it() {
        let range = |first, last| PortRange { first, last };
        assert_eq!(text(vec![]), "");
        let ranges = vec![
            range(50_000, 50_000),
            range(40_000, 40_009),
            range(50_001, 50_001),
            range(40_005, 40_020),
            range(65_535, 65_535),
        ];
        assert_eq!(text(ranges), "40000-40020,50000-50001,65535");
    }
}
