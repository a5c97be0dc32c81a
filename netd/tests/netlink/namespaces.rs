//! Namespaces: made, entered from elsewhere, joined, told apart.

use netd::{
    kernel::netns,
    model::Id,
    plan::{Action, Key, Place},
};

use crate::{
    guest::Guest,
    scratch::{Scratch, endpoint_mac, ifname, run, run_in, sandbox, scratch},
};

fn cookie(host: &mut Scratch, place: Place) -> Option<u64> {
    host.observe([Key::Namespace(place)])
        .namespaces
        .remove(&place)
}

#[test]
fn a_made_namespace_is_usable_by_path() {
    scratch(|host| {
        let place = sandbox(1);
        assert_eq!(cookie(host, place), None);
        host.twice(Action::MakeNamespace(place));
        let first = cookie(host, place).unwrap();
        assert_ne!(first, netns::own_cookie().unwrap());
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        let text = run_in(&path, "ip link show");
        assert!(text.contains("lo: <LOOPBACK,UP,LOWER_UP>"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
        // From a mount namespace that was made before: mounts and their end are passed on.
        host.twice(Action::RemoveNamespace(place));
        assert!(!path.exists());
        assert_eq!(cookie(host, place), None);
        host.once(Action::MakeNamespace(place));
        assert_ne!(cookie(host, place), Some(first));
    });
}

#[test]
fn a_namespace_file_without_its_mount_is_made_anew() {
    scratch(|host| {
        let place = sandbox(1);
        host.once(Action::MakeNamespace(place));
        let before = cookie(host, place);
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        run(&format!("umount {}", path.display()));
        assert_eq!(cookie(host, place), None);
        host.twice(Action::MakeNamespace(place));
        assert!(cookie(host, place).is_some() && cookie(host, place) != before);
    });
}

#[test]
fn the_resolvers_namespace() {
    scratch(|host| {
        host.twice(Action::MakeNamespace(Place::Resolver));
        host.twice(Action::CreateVeth {
            host: ifname("netd-dns"),
            place: Place::Resolver,
            inside: ifname("eth0"),
            mac: endpoint_mac(1),
            mtu: 1500,
        });
        let text = run("ip link show netd-dns");
        assert!(text.contains("alias netd:resolver:netd-dns"), "{text}");
        let found = host.observe_all();
        assert!(found.namespaces.contains_key(&Place::Resolver));
        let inside: Vec<&str> = found
            .links
            .keys()
            .filter(|(place, _)| *place == Place::Resolver)
            .map(|(_, name)| name.as_str())
            .collect();
        assert_eq!(inside, ["eth0", "lo"]);
        // The kernel's own addresses of lo are not netd's to keep or remove.
        assert!(host.link(Place::Resolver, "lo").addresses.is_empty());
        let sysctls = found
            .sysctls
            .keys()
            .filter(|(place, _)| *place == Place::Resolver);
        assert_eq!(sysctls.count(), 3);
    });
}

#[test]
fn a_joined_namespace_is_found_by_identity_and_not_kept() {
    scratch(|host| {
        let place = sandbox(1);
        let guest = Guest::start();
        let joined = netns::identify(&guest.path()).unwrap();
        host.twice(Action::JoinNamespace {
            place,
            joined: joined.clone(),
        });
        assert_eq!(cookie(host, place), Some(joined.cookie));
        host.twice(Action::CreateVeth {
            host: ifname("nd1"),
            place,
            inside: ifname("eth0"),
            mac: endpoint_mac(1),
            mtu: 1500,
        });
        assert_eq!(host.link(place, "eth0").mac, endpoint_mac(1));
        assert!(
            host.observe_all()
                .links
                .contains_key(&(place, ifname("eth0")))
        );

        let other = Guest::start();
        let mut wrong = netns::identify(&other.path()).unwrap();
        wrong.cookie = joined.cookie;
        let text = host.refused(Action::JoinNamespace {
            place,
            joined: wrong,
        });
        assert!(
            text.ends_with("is no longer the namespace it was"),
            "{text}"
        );

        drop(guest);
        assert_eq!(cookie(host, place), None);
        assert_eq!(host.find(place, "eth0"), None);
        // Nobody holds it: it ends, and the pair with it.
        let gone = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            host.find(Place::Host, "nd1").is_none()
        });
        assert!(gone, "the joined namespace is kept alive");
        host.twice(Action::RemoveNamespace(place));
    });
}

#[test]
fn only_network_namespaces_of_others_are_joined() {
    scratch(|host| {
        let text = |path: &str| netns::identify(path.as_ref()).unwrap_err().to_string();
        assert_eq!(text("/nowhere/net"), "no network namespace at /nowhere/net");
        assert_eq!(
            text("/etc/passwd"),
            "/etc/passwd is not a network namespace"
        );
        assert_eq!(
            text("/proc/self/ns/uts"),
            "/proc/self/ns/uts is not a network namespace"
        );
        let fifo = host.run_dir.join("fifo");
        run(&format!("mkfifo {}", fifo.display()));
        assert!(text(fifo.to_str().unwrap()).ends_with("is not a network namespace"));
        let own = "/proc/thread-self/ns/net";
        assert_eq!(
            text(own),
            format!("{own} is the host's own network namespace")
        );
        let guest = Guest::start();
        let path = guest.path();
        drop(guest);
        let text = netns::identify(&path).unwrap_err().to_string();
        assert_eq!(text, format!("no network namespace at {}", path.display()));
        assert!(host.stack.inside().unwrap().is_empty());
    });
}

#[test]
fn everything_is_found_again() {
    scratch(|host| {
        host.network(3);
        run("ip link add theirs type bridge");
        let found = host.observe_all();
        let keys: Vec<Key> = found
            .links
            .keys()
            .map(|(place, name)| Key::Link(*place, name.clone()))
            .chain(found.links.iter().flat_map(|((_, name), link)| {
                let macs = link.fdb.iter();
                macs.map(|mac| Key::Fdb(name.clone(), *mac))
            }))
            .chain(
                found
                    .sysctls
                    .keys()
                    .map(|(place, key)| Key::Sysctl(*place, key.clone())),
            )
            .chain(found.namespaces.keys().map(|place| Key::Namespace(*place)))
            .chain(
                found
                    .neighbours
                    .keys()
                    .map(|(place, name, address)| Key::Neighbour(*place, name.clone(), *address)),
            )
            .collect();
        assert_eq!(found.links.len(), 1 + 3 + 3);
        assert_eq!((found.namespaces.len(), found.neighbours.len()), (3, 3));
        // The bridge's three, and the reserved ports.
        assert_eq!(found.sysctls.len(), 4);
        assert_eq!(host.observe(keys), found);
        // And by an agent that starts anew.
        host.stack = netd::kernel::stack::Stack::open(&host.run_dir, Vec::new()).unwrap();
        assert_eq!(host.observe_all(), found);
    });
}
