//! What the host is, apart from netd.

use ipnet::IpNet;
use netd::kernel::stack::Stack;

use crate::scratch::{ifname, run, scratch};

#[test]
fn a_host_beside_docker() {
    scratch(|host| {
        host.network(1);
        for line in [
            "ip link set lo up",
            "ip link add up0 mtu 1450 type veth peer name other",
            "ip link set up0 up",
            "ip link set other up",
            "ip address add 198.51.100.7/24 dev up0",
            "ip address add 198.51.100.8/24 dev up0",
            "ip address add 2001:db8::7/64 dev up0 nodad",
            "ip route add default via 198.51.100.1 dev up0 src 198.51.100.8",
            "ip route add 10.0.0.0/8 via 198.51.100.1",
            "ip route add 128.0.0.0/1 via 198.51.100.1",
            "ip link add docker0 type bridge",
            "ip address add 172.17.0.1/16 dev docker0",
            "ip link set docker0 up",
            "ip link add theirs type veth peer name theirs2",
            "ip link set theirs master docker0",
            "ip address add 172.18.0.1/16 dev br",
            "ip tuntap add dev tun0 mode tun",
        ] {
            run(line);
        }
        let facts = host.runtime.block_on(host.stack.facts()).unwrap();
        let names: Vec<&str> = facts.uplinks.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["docker0", "other", "theirs2", "tun0", "up0"]);
        let up0 = facts.uplinks.get(&ifname("up0")).unwrap();
        assert_eq!((up0.mtu, up0.l3), (1450, false));
        assert_eq!(up0.v4, Some("198.51.100.8".parse().unwrap()));
        assert_eq!(up0.v6, Some("2001:db8::7".parse().unwrap()));
        assert!(facts.uplinks.get(&ifname("tun0")).unwrap().l3);
        let routes: Vec<String> = facts.routes.iter().map(IpNet::to_string).collect();
        assert_eq!(
            routes,
            [
                "10.0.0.0/8",
                "172.17.0.0/16",
                "198.51.100.0/24",
                "2001:db8::/64"
            ]
        );
        let gateway = facts.addresses.get(&"172.18.0.1".parse().unwrap()).unwrap();
        assert_eq!(gateway.link, ifname("br"));
        assert!(facts.addresses.contains_key(&"127.0.0.1".parse().unwrap()));
        assert_eq!(facts.local_ports, (32_768, 60_999));

        let mut narrowed = Stack::open(&host.run_dir, vec![ifname("up0")]).unwrap();
        let facts = host.runtime.block_on(narrowed.facts()).unwrap();
        assert_eq!(facts.uplinks.keys().collect::<Vec<_>>(), [&ifname("up0")]);
    });
}
