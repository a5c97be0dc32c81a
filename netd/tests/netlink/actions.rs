//! Actions on links, sysctls and files, there and back, each twice; what is observed, and what
//! `ip` and `bridge` say.

use std::{collections::BTreeSet, os::unix::fs::MetadataExt};

use netd::{
    model::{Id, IfName},
    plan::{Action, Key, Place, SandboxFiles, observed::LinkKind},
};

use crate::scratch::{MAC, endpoint_mac, ifname, output, run, run_in, sandbox, scratch};

fn delete(link: IfName) -> Action {
    Action::DeleteLink {
        place: Place::Host,
        link,
    }
}

#[test]
fn bridge_there_and_back() {
    scratch(|host| {
        let br = ifname("br-0123456789ab");
        host.twice(Action::CreateBridge {
            name: br.clone(),
            mac: MAC,
            mtu: 1400,
        });
        let state = host.link(Place::Host, br.as_str());
        assert_eq!((state.kind, state.ours), (LinkKind::Bridge, true));
        assert_eq!((state.mac, state.mtu, state.up), (MAC, 1400, false));
        let text = run("ip -d link show br-0123456789ab");
        for wanted in [
            "alias netd:bridge:br-0123456789ab",
            "stp_state 0",
            "mcast_snooping 0",
            "group default",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        host.twice(Action::SetUp {
            place: Place::Host,
            link: br.clone(),
            up: true,
        });
        assert!(host.link(Place::Host, br.as_str()).up);
        host.twice(Action::SetUp {
            place: Place::Host,
            link: br.clone(),
            up: false,
        });
        assert!(!host.link(Place::Host, br.as_str()).up);
        host.twice(delete(br.clone()));
        assert_eq!(host.find(Place::Host, br.as_str()), None);
    });
}

#[test]
fn the_bridges_mtu_stays_when_its_ports_go() {
    scratch(|host| {
        let br = ifname("br");
        host.network(0);
        let place = Place::Host;
        host.once(delete(br.clone()));
        host.once(Action::CreateBridge {
            name: br,
            mac: MAC,
            mtu: 9000,
        });
        host.endpoint(1);
        assert_eq!(host.link(place, "br").mtu, 9000);
        host.once(delete(ifname("nd1")));
        assert_eq!(
            (host.link(place, "br").mtu, host.link(place, "br").mac),
            (9000, MAC)
        );
    });
}

#[test]
fn veth_pair_there_and_back() {
    scratch(|host| {
        let (place, nd) = (sandbox(1), ifname("nd0123456789a"));
        host.twice(Action::MakeNamespace(place));
        host.twice(Action::CreateVeth {
            host: nd.clone(),
            place,
            inside: ifname("eth0"),
            mac: endpoint_mac(1),
            mtu: 1400,
        });
        let outer = host.link(Place::Host, nd.as_str());
        assert_eq!(
            (outer.kind, outer.ours, outer.mtu),
            (LinkKind::Veth, true, 1400)
        );
        let inner = host.link(place, "eth0");
        assert_eq!(
            (inner.kind, inner.ours, inner.mtu),
            (LinkKind::Veth, false, 1400)
        );
        assert_eq!((inner.mac, inner.up), (endpoint_mac(1), false));
        let text = run("ip -d link show nd0123456789a");
        assert!(text.contains("alias netd:endpoint:nd0123456789a"), "{text}");
        assert!(text.contains("addrgenmode none"), "{text}");

        host.twice(Action::SetMtu {
            place,
            link: ifname("eth0"),
            mtu: 1300,
        });
        host.twice(Action::SetMac {
            place,
            link: ifname("eth0"),
            mac: endpoint_mac(7),
        });
        let inner = host.link(place, "eth0");
        assert_eq!((inner.mac, inner.mtu), (endpoint_mac(7), 1300));

        host.twice(delete(nd));
        assert_eq!(host.find(place, "eth0"), None);
        host.twice(Action::RemoveNamespace(place));
    });
}

#[test]
fn a_pair_whose_inside_is_gone_is_made_anew() {
    scratch(|host| {
        let pair = |mac| Action::CreateVeth {
            host: ifname("nd1"),
            place: sandbox(1),
            inside: ifname("eth0"),
            mac: endpoint_mac(mac),
            mtu: 1500,
        };
        host.once(Action::MakeNamespace(sandbox(1)));
        host.once(pair(1));
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        run_in(&path, "ip link set eth0 name other");
        host.once(pair(2));
        assert_eq!(host.link(sandbox(1), "eth0").mac, endpoint_mac(2));
        assert_eq!(host.find(sandbox(1), "other"), None);
    });
}

#[test]
fn a_name_inside_that_is_taken_is_told() {
    scratch(|host| {
        host.once(Action::MakeNamespace(sandbox(1)));
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        run_in(&path, "ip link add eth0 type bridge");
        let text = host.refused(Action::CreateVeth {
            host: ifname("nd1"),
            place: sandbox(1),
            inside: ifname("eth0"),
            mac: endpoint_mac(1),
            mtu: 1500,
        });
        assert!(
            text.starts_with("create veth pair nd1 and eth0 in sandbox 010101010101: "),
            "{text}"
        );
        assert!(text.contains("File exists"), "{text}");
        assert_eq!(host.find(Place::Host, "nd1"), None);
    });
}

#[test]
fn port_there_and_back() {
    scratch(|host| {
        host.network(1);
        let (nd, mac) = (ifname("nd1"), endpoint_mac(9));
        host.twice(Action::SetMaster {
            link: nd.clone(),
            bridge: ifname("br"),
        });
        host.twice(Action::ClosePort(nd.clone()));
        host.twice(Action::AddFdb {
            link: nd.clone(),
            mac,
        });
        let strange = endpoint_mac(7);
        let entries = [endpoint_mac(1), mac, strange].map(|mac| Key::Fdb(nd.clone(), mac));
        let link = Key::Link(Place::Host, nd.clone());
        let mut found = host.observe([link].into_iter().chain(entries));
        let port = found.links.remove(&(Place::Host, nd.clone())).unwrap();
        assert_eq!((port.master, port.closed), (Some(ifname("br")), true));
        assert_eq!(port.fdb, BTreeSet::from([endpoint_mac(1), mac]));
        let flags = run("bridge -d link show dev nd1");
        for wanted in [
            "isolated on",
            "learning off",
            "flood off",
            "mcast_flood off",
            "bcast_flood off",
        ] {
            assert!(flags.contains(wanted), "{wanted}: {flags}");
        }
        let entries = run("bridge fdb show dev nd1");
        assert!(
            entries.contains("02:42:ac:12:00:09 master br static"),
            "{entries}"
        );
        run("bridge link set dev nd1 mcast_flood on");
        assert!(!host.link(Place::Host, "nd1").closed);
    });
}

#[test]
fn sysctls_of_both_places() {
    scratch(|host| {
        host.network(1);
        let forwarding = "net/ipv4/conf/br/forwarding".to_owned();
        let quiet = "net/ipv4/conf/eth0/arp_notify".to_owned();
        for (place, key) in [(Place::Host, forwarding), (sandbox(1), quiet)] {
            let value = |host: &mut crate::scratch::Scratch| {
                let mut found = host.observe([Key::Sysctl(place, key.clone())]);
                found.sysctls.remove(&(place, key.clone()))
            };
            assert_eq!(value(host).as_deref(), Some("0"));
            host.twice(Action::SetSysctl {
                place,
                key: key.clone(),
                value: "1".into(),
            });
            assert_eq!(value(host).as_deref(), Some("1"));
        }
        // A link that netd made takes its sysctls along: nothing to remember.
        assert!(!host.run_dir.join("sysctl.json").exists());
        let key = "net/ipv4/conf/gone/forwarding".to_owned();
        let found = host.observe([Key::Sysctl(Place::Host, key.clone())]);
        assert!(found.sysctls.is_empty());
        let text = host.refused(Action::SetSysctl {
            place: Place::Host,
            key,
            value: "1".into(),
        });
        assert!(text.contains("No such file or directory"), "{text}");
    });
}

#[test]
fn files_keep_their_inode() {
    scratch(|host| {
        let sandbox = Id([5; 32]);
        let files = |text: &str| SandboxFiles {
            sandbox,
            resolv_conf: format!("nameserver {text}\n"),
            hosts: "127.0.0.1 localhost\n".to_owned(),
            hostname: format!("{text}\n"),
        };
        let path = host
            .run_dir
            .join("sandboxes")
            .join(sandbox.to_string())
            .join("resolv.conf");
        host.twice(Action::WriteFiles(files("192.0.2.100")));
        let inode = path.metadata().unwrap().ino();
        host.twice(Action::WriteFiles(files("192.0.2.1")));
        assert_eq!(path.metadata().unwrap().ino(), inode);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "nameserver 192.0.2.1\n"
        );
        let found = host.observe([Key::Files(sandbox)]).files;
        assert_eq!(found.get(&sandbox), Some(&files("192.0.2.1")));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(host.observe([Key::Files(sandbox)]).files.len(), 0);
        host.twice(Action::RemoveFiles(sandbox));
        assert!(!path.parent().unwrap().exists());
    });
}

#[test]
fn links_of_others_are_left_alone() {
    scratch(|host| {
        run("ip link add theirs type bridge");
        run("ip link property add dev theirs altname alsotheirs");
        for name in ["theirs", "alsotheirs"] {
            let name = ifname(name);
            let text = host.refused(Action::CreateBridge {
                name: name.clone(),
                mac: MAC,
                mtu: 1500,
            });
            let wanted = format!("create bridge {name}: interface {name} exists and is not netd's");
            assert_eq!(text, wanted);
        }
        let text = host.refused(delete(ifname("theirs")));
        assert!(text.contains("is not netd's"), "{text}");
        host.twice(delete(ifname("alsotheirs")));
        assert!(!host.link(Place::Host, "theirs").ours);
        assert!(output("ip link show theirs").status.success());
    });
}

#[test]
fn half_made_links_are_finished() {
    scratch(|host| {
        // What an agent leaves that dies between making a link and marking it.
        let group = netd::kernel::netlink::mark::HALF_MADE;
        run("ip link add name br type bridge");
        run(&format!("ip link set dev br group {group}"));
        assert!(host.link(Place::Host, "br").ours);
        host.twice(Action::CreateBridge {
            name: ifname("br"),
            mac: MAC,
            mtu: 1500,
        });
        let text = run("ip link show br");
        assert!(
            text.contains("alias netd:bridge:br") && text.contains("group default"),
            "{text}"
        );
    });
}

#[test]
fn what_needs_a_link_says_which() {
    scratch(|host| {
        let link = ifname("none");
        let text = host.refused(Action::SetUp {
            place: Place::Host,
            link: link.clone(),
            up: true,
        });
        assert_eq!(
            text,
            "set none in the host up: interface none does not exist"
        );
        let text = host.refused(Action::ClosePort(link));
        assert_eq!(
            text,
            "close bridge port none: interface none does not exist"
        );
        let link = ifname("eth0");
        let text = host.refused(Action::SetUp {
            place: sandbox(3),
            link,
            up: true,
        });
        assert!(text.contains("no network namespace at "), "{text}");
    });
}
