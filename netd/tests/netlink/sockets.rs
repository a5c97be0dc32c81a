//! Connections: what they cost, how long they last, what they tell when they end.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use netd::{
    kernel::{
        netlink::{Socket, link},
        netns,
        stack::Stack,
    },
    plan::{Action, Place, action::Route},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    guest::Guest,
    scratch::{MAC, Scratch, ifname, run, sandbox, scratch},
};

/// Tasks that drive connections, when all that is to end has ended.
fn connections(host: &Scratch) -> usize {
    host.runtime.block_on(async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    });
    host.runtime.metrics().num_alive_tasks()
}

#[test]
fn connections_end_with_their_namespaces_and_are_not_too_many() {
    scratch(|host| {
        assert_eq!(connections(host), 1);
        for number in 1..=80 {
            host.once(Action::MakeNamespace(sandbox(number)));
        }
        assert_eq!(connections(host), 1 + 8);
        for number in 1..=80 {
            host.once(Action::RemoveNamespace(sandbox(number)));
        }
        assert_eq!(connections(host), 1);

        let guest = Guest::start();
        let joined = netns::identify(&guest.path()).unwrap();
        let place = sandbox(1);
        host.once(Action::JoinNamespace { place, joined });
        assert!(host.find(place, "lo").is_some());
        assert_eq!(connections(host), 1);
    });
}

fn a_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_request_whose_connection_ends_did_not_succeed() {
    scratch(|host| {
        let other = a_runtime();
        let socket = {
            let _entered = other.enter();
            Socket::open(Arc::default()).unwrap()
        };
        run("ip link add name theirs type bridge");
        let theirs = host.link(Place::Host, "theirs").ifindex;
        let (asked, unasked) = host.runtime.block_on(async {
            let mut request = pin!(link::delete(&socket, theirs));
            let polled = poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await;
            assert!(polled.is_pending());
            other.shutdown_background();
            (request.await, link::find(&socket, &ifname("theirs")).await)
        });
        let closed = "netlink socket: the connection ended before the answer came";
        assert_eq!(asked.unwrap_err().to_string(), closed);
        assert_eq!(unasked.unwrap_err().to_string(), closed);
        assert!(socket.is_closed());
        assert!(host.find(Place::Host, "theirs").is_some());
    });
}

#[test]
fn connections_that_ended_are_opened_anew() {
    scratch(|host| {
        let other = a_runtime();
        {
            let _entered = other.enter();
            host.stack = Stack::open(&host.run_dir, Vec::new()).unwrap();
            let make = Action::MakeNamespace(sandbox(1));
            other.block_on(host.stack.execute(&make)).unwrap();
        }
        other.shutdown_background();
        host.network(1);
        assert_eq!(host.link(sandbox(1), "eth0").mtu, 1500);
    });
}

#[test]
fn without_a_runtime_there_is_an_error() {
    scratch(|_| {
        let opened = std::thread::spawn(|| Socket::open(Arc::default()).err());
        let text = opened.join().unwrap().unwrap().to_string();
        assert!(text.contains("no reactor running"), "{text}");
    });
}

#[test]
fn the_kernels_own_words_are_told() {
    scratch(|host| {
        host.once(Action::CreateBridge {
            name: ifname("br"),
            mac: MAC,
            mtu: 1500,
        });
        host.once(Action::SetUp {
            place: Place::Host,
            link: ifname("br"),
            up: true,
        });
        let route = |via: &str| Action::AddRoute {
            place: Place::Host,
            route: Route {
                destination: "192.0.2.0/24".parse().unwrap(),
                via: Some(via.parse().unwrap()),
                link: ifname("br"),
                local: false,
                source: None,
            },
        };
        let text = host.refused(route("198.51.100.1"));
        assert_eq!(
            text,
            "add route 192.0.2.0/24 via 198.51.100.1 dev br in the host: \
             Network is unreachable (Nexthop has invalid gateway)"
        );
        let text = host.refused(Action::AddRoute {
            place: Place::Host,
            route: Route {
                destination: "2001:db8::/64".parse().unwrap(),
                via: Some("198.51.100.1".parse().unwrap()),
                link: ifname("br"),
                local: false,
                source: None,
            },
        });
        assert!(text.contains("not expressible: "), "{text}");
    });
}
