//! netd beside what Docker 20.10 was recorded to do (tests/fixtures/docker-20.10): its commands are
//! typed again and answers compared, sandboxes and networks with the same history are inspected and
//! compared field by field. What may differ stands in docs/differences.toml. Needs root.

use netd_tests::lab::Lab;

mod compare;
mod differences;
mod inspect;
mod recording;
mod replay;
mod words;

/// What the host of the recordings had in /etc/resolv.conf.
const RESOLV_CONF: &str = "nameserver 198.18.0.2\nsearch lab.example.test\noptions ndots:1\n";

/// A lab whose host has what the recordings' had: its name servers, and a link `up0`.
fn recorded_host(name: &str) -> Lab {
    let lab = Lab::new(name);
    let written = lab.world().write("/run/lab/resolv.conf", RESOLV_CONF);
    written.expect("the host's resolv.conf");
    let host = lab.host();
    host.ok("ip link set eth0 down");
    host.ok("ip link set eth0 name up0");
    host.ok("ip link set up0 up");
    lab
}
