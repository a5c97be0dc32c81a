//! Addresses, routes and neighbours, there and back, each twice; what is observed, and what `ip`
//! says.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netd::{
    model::Id,
    plan::{Action, Key, Place, action::Route},
};

use crate::scratch::{endpoint_mac, ifname, run, run_in, sandbox, scratch};

fn nets(texts: &[&str]) -> BTreeSet<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn addresses_there_and_back() {
    scratch(|host| {
        host.network(1);
        let place = sandbox(1);
        let wanted = nets(&["172.18.0.1/16", "2001:db8::1/64", "fe80::42/64"]);
        let before = host.link(place, "eth0").addresses;
        assert_eq!(
            before,
            BTreeSet::new(),
            "the kernel's own link-local address is left out"
        );
        for address in &wanted {
            let (link, address) = (ifname("eth0"), *address);
            host.twice(Action::AddAddress {
                place,
                link,
                address,
            });
        }
        assert_eq!(host.link(place, "eth0").addresses, wanted);
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        let text = run_in(&path, "ip address show dev eth0");
        assert!(
            text.contains("inet 172.18.0.1/16 brd 172.18.255.255 scope global eth0"),
            "{text}"
        );
        assert!(
            text.contains("inet6 2001:db8::1/64 scope global nodad"),
            "{text}"
        );
        for address in wanted {
            host.twice(Action::RemoveAddress {
                place,
                link: ifname("eth0"),
                address,
            });
        }
        assert_eq!(host.link(place, "eth0").addresses, BTreeSet::new());
        for place in [place, sandbox(2)] {
            // Neither the link nor the namespace needs to be there for what is absent.
            let address = "172.18.0.1/16".parse().unwrap();
            host.twice(Action::RemoveAddress {
                place,
                link: ifname("eth7"),
                address,
            });
        }
    });
}

#[test]
fn an_address_with_another_prefix_is_told() {
    scratch(|host| {
        host.network(1);
        let (place, link) = (sandbox(1), ifname("eth0"));
        let address = |text: &str| Action::AddAddress {
            place,
            link: link.clone(),
            address: text.parse().unwrap(),
        };
        host.twice(address("2001:db8::1/64"));
        let text = host.refused(address("2001:db8::1/80"));
        assert!(text.contains("exists"), "{text}");
    });
}

#[test]
fn routes_there_and_back() {
    scratch(|host| {
        host.network(1);
        let (place, link) = (sandbox(1), ifname("eth0"));
        for address in ["172.18.0.1/16", "2001:db8::1/64"] {
            let address = address.parse().unwrap();
            host.once(Action::AddAddress {
                place,
                link: link.clone(),
                address,
            });
        }
        let route = |destination: &str, via: Option<&str>, local| Route {
            destination: destination.parse().unwrap(),
            via: via.map(|via| via.parse().unwrap()),
            link: if local { ifname("lo") } else { ifname("eth0") },
            local,
            source: None,
        };
        let through_eth0 = BTreeSet::from([
            route("0.0.0.0/0", Some("172.18.255.254"), false),
            route("::/0", Some("2001:db8::fe"), false),
            route("192.0.2.0/24", None, false),
            route("2001:db8:1::/64", None, false),
        ]);
        let local = BTreeSet::from([route("0.0.0.0/0", None, true), route("::/0", None, true)]);
        for route in through_eth0.iter().chain(&local) {
            host.twice(Action::AddRoute {
                place,
                route: route.clone(),
            });
        }
        assert_eq!(host.link(place, "eth0").routes, through_eth0);
        assert_eq!(host.link(place, "lo").routes, local);
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        let text = run_in(&path, "ip route show proto 178");
        assert!(
            text.contains("default via 172.18.255.254 dev eth0"),
            "{text}"
        );
        let text = run_in(&path, "ip route get 203.0.113.9 from 172.18.0.1");
        assert!(text.starts_with("local 203.0.113.9"), "AnyIP: {text}");

        let replaced = route("0.0.0.0/0", Some("172.18.255.253"), false);
        host.twice(Action::AddRoute {
            place,
            route: replaced.clone(),
        });
        let routes = host.link(place, "eth0").routes;
        assert!(
            routes.contains(&replaced) && routes.len() == 4,
            "{routes:?}"
        );

        for route in through_eth0.iter().skip(1).chain(&local).chain([&replaced]) {
            host.twice(Action::RemoveRoute {
                place,
                route: route.clone(),
            });
        }
        host.twice(Action::RemoveRoute {
            place: sandbox(2),
            route: replaced,
        });
        assert_eq!(host.link(place, "eth0").routes, BTreeSet::new());
        assert_eq!(host.link(place, "lo").routes, BTreeSet::new());
    });
}

#[test]
fn routes_on_the_host_are_asked_one_by_one() {
    scratch(|host| {
        host.network(1);
        for address in ["192.0.2.1/32", "2001:db8::1/128"] {
            host.once(Action::AddAddress {
                place: Place::Host,
                link: ifname("br"),
                address: address.parse().unwrap(),
            });
        }
        run("ip link set dev br up");
        run("ip route add 198.51.100.9/32 dev br");
        let route = |destination: &str, source: &str| Route {
            destination: destination.parse().unwrap(),
            via: None,
            link: ifname("br"),
            local: false,
            source: source.parse().ok(),
        };
        let routes = [
            route("198.51.100.7/32", "192.0.2.1"),
            route("2001:db8:7::7/128", "2001:db8::1"),
        ];
        let key = |route: &Route| Key::Route(ifname("br"), route.destination);
        for route in &routes {
            assert!(host.observe([key(route)]).routes.is_empty());
            host.twice(Action::AddRoute {
                place: Place::Host,
                route: route.clone(),
            });
        }
        let found = host.observe(routes.iter().map(key)).routes;
        assert_eq!(
            found.values().collect::<Vec<_>>(),
            routes.iter().collect::<Vec<_>>()
        );
        assert_eq!(host.observe_all().routes, found);
        // Others' are neither seen nor replaced.
        let theirs = route("198.51.100.9/32", "192.0.2.1");
        assert!(host.observe([key(&theirs)]).routes.is_empty());
        let text = host.refused(Action::AddRoute {
            place: Place::Host,
            route: theirs.clone(),
        });
        assert!(text.contains("File exists"), "{text}");
        let gone = Key::Route(ifname("nosuch"), theirs.destination);
        assert!(host.observe([gone]).routes.is_empty());
        for route in routes {
            host.twice(Action::RemoveRoute {
                place: Place::Host,
                route: route.clone(),
            });
            assert!(host.observe([key(&route)]).routes.is_empty());
        }
        assert!(run("ip route show").contains("198.51.100.9"));
    });
}

#[test]
fn routes_of_others_are_not_removed() {
    scratch(|host| {
        host.network(1);
        let place = sandbox(1);
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        run_in(&path, "ip route add 192.0.2.0/24 dev eth0");
        let destination = "192.0.2.0/24".parse().unwrap();
        let route = Route {
            destination,
            via: None,
            link: ifname("eth0"),
            local: false,
            source: None,
        };
        host.twice(Action::RemoveRoute { place, route });
        let text = run_in(&path, "ip route show");
        assert!(text.contains("192.0.2.0/24"), "{text}");
        assert_eq!(host.link(place, "eth0").routes, BTreeSet::new());
    });
}

#[test]
fn neighbours_there_and_back() {
    scratch(|host| {
        host.network(1);
        let (place, link) = (Place::Host, ifname("br"));
        for address in ["172.18.0.9", "2001:db8::9"] {
            let address = address.parse().unwrap();
            let key = (place, link.clone(), address);
            let asked = Key::Neighbour(place, link.clone(), address);
            let mac = endpoint_mac(9);
            assert_eq!(host.observe([asked.clone()]).neighbours.len(), 0);
            host.twice(Action::AddNeighbour {
                place,
                link: link.clone(),
                address,
                mac,
            });
            assert_eq!(
                host.observe([asked.clone()]).neighbours.get(&key),
                Some(&mac)
            );
            let mac = endpoint_mac(8);
            host.twice(Action::AddNeighbour {
                place,
                link: link.clone(),
                address,
                mac,
            });
            assert_eq!(
                host.observe([asked.clone()]).neighbours.get(&key),
                Some(&mac)
            );
            let text = run("ip neighbour show dev br nud permanent");
            assert!(
                text.contains(&format!("{address} lladdr {mac} PERMANENT")),
                "{text}"
            );
            host.twice(Action::RemoveNeighbour {
                place,
                link: link.clone(),
                address,
            });
            assert_eq!(host.observe([asked]).neighbours.len(), 0);
        }
        let address = "172.18.0.9".parse().unwrap();
        host.twice(Action::RemoveNeighbour {
            place,
            link: ifname("none"),
            address,
        });
    });
}
