//! What a change costs does not grow with what else is there: counted in netlink messages.

use netd::plan::{Key, Place};

use crate::scratch::{Scratch, endpoint_mac, ifname, sandbox, scratch};

/// Messages that making and looking at one more endpoint costs.
fn cost_of_one_more(host: &mut Scratch, number: u8) -> u64 {
    let before = host.stack.received();
    host.endpoint(number);
    let name = format!("nd{number}");
    let address = format!("172.18.0.{number}").parse().unwrap();
    let found = host.observe([
        Key::Namespace(sandbox(number)),
        Key::Link(Place::Host, ifname("br")),
        Key::Link(Place::Host, ifname(&name)),
        Key::Link(sandbox(number), ifname("eth0")),
        Key::Fdb(ifname(&name), endpoint_mac(number)),
        Key::Neighbour(Place::Host, ifname("br"), address),
        Key::Sysctl(Place::Host, "net/ipv4/conf/br/forwarding".into()),
    ]);
    assert_eq!((found.links.len(), found.neighbours.len()), (3, 1));
    host.stack.received() - before
}

#[test]
fn one_more_endpoint_costs_the_same_among_many() {
    scratch(|host| {
        host.network(2);
        let among_few = cost_of_one_more(host, 3);
        for number in 4..80 {
            host.endpoint(number);
        }
        let among_many = cost_of_one_more(host, 80);
        assert_eq!(among_few, among_many);
        assert!(among_few < 80, "{among_few}");
    });
}
