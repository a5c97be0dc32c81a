//! Events of the host and of sandboxes arrive, and tell them apart.

use std::time::{Duration, Instant};

use netd::{
    kernel::events::{Event, subscribe, subscribe_within},
    model::Id,
    plan::{Action, Place},
};
use tokio::sync::mpsc::Receiver;

use crate::{
    guest::Guest,
    scratch::{ifname, run, run_in, sandbox, scratch},
};

/// Waits for an event, at most two seconds.
fn wait(events: &mut Receiver<Event>, wanted: &Event) {
    let end = Instant::now() + Duration::from_secs(2);
    let mut others = Vec::new();
    while Instant::now() < end {
        match events.try_recv() {
            Ok(event) if event == *wanted => return,
            Ok(event) => others.push(event),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    panic!("no {wanted:?} but {others:?}");
}

#[test]
fn host_and_sandbox_are_told_apart() {
    scratch(|host| {
        let mut events = subscribe(host.stack.numbers()).unwrap();
        host.network(2);
        let (place, name) = (Place::Host, ifname("br"));
        wait(
            &mut events,
            &Event::Link {
                place,
                name,
                deleted: false,
            },
        );

        let address = "172.18.0.2/16".parse().unwrap();
        let (place, link) = (sandbox(2), ifname("eth0"));
        host.once(Action::AddAddress {
            place,
            link,
            address,
        });
        let ifindex = host.link(place, "eth0").ifindex;
        wait(&mut events, &Event::Address { place, ifindex });
        std::thread::sleep(Duration::from_millis(200));
        while events.try_recv().is_ok() {}

        let path = host.run_dir.join("netns").join(Id([2; 32]).to_string());
        run_in(&path, "ip address del 172.18.0.2/16 dev eth0");
        wait(&mut events, &Event::Address { place, ifindex });
        let through = Some(ifindex);
        let route = Event::Route {
            place,
            ifindex: through,
        };
        wait(&mut events, &route);

        run_in(&path, "ip link set eth0 down");
        let name = ifname("eth0");
        wait(
            &mut events,
            &Event::Link {
                place,
                name,
                deleted: false,
            },
        );

        run("ip link del nd1");
        let (place, name) = (Place::Host, ifname("nd1"));
        wait(
            &mut events,
            &Event::Link {
                place,
                name,
                deleted: true,
            },
        );

        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let (place, ifindex) = (Place::Host, None);
        wait(&mut events, &Event::Forwarding { place, ifindex });
    });
}

#[test]
fn an_agent_that_starts_anew_hears_the_sandboxes() {
    scratch(|host| {
        host.network(1);
        host.stack = netd::kernel::stack::Stack::open(&host.run_dir, Vec::new()).unwrap();
        let mut events = subscribe(host.stack.numbers()).unwrap();
        host.observe_all();
        let path = host.run_dir.join("netns").join(Id([1; 32]).to_string());
        run_in(&path, "ip link del eth0");
        let (place, name) = (sandbox(1), ifname("eth0"));
        wait(
            &mut events,
            &Event::Link {
                place,
                name,
                deleted: true,
            },
        );
    });
}

#[test]
fn namespaces_of_others_are_not_told() {
    scratch(|host| {
        let mut events = subscribe(host.stack.numbers()).unwrap();
        let guest = Guest::start();
        let pid = guest.pid();
        run(&format!(
            "ip link add theirs type veth peer name inside netns {pid}"
        ));
        run_in(&guest.path(), "ip address add 192.0.2.1/24 dev inside");
        let (place, name) = (Place::Host, ifname("theirs"));
        wait(
            &mut events,
            &Event::Link {
                place,
                name,
                deleted: false,
            },
        );
        std::thread::sleep(Duration::from_millis(200));
        while let Ok(event) = events.try_recv() {
            assert!(!matches!(event, Event::Address { .. }), "{event:?}");
        }
    });
}

#[test]
fn lost_messages_are_told() {
    scratch(|host| {
        // Nobody takes from a queue of one, and the kernel's buffer has its smallest size.
        let mut events = subscribe_within(host.stack.numbers(), 1, 1).unwrap();
        host.network(1);
        for number in 0..40 {
            run(&format!("ip link add name p{number} type bridge"));
        }
        wait(&mut events, &Event::Lost);
        std::thread::sleep(Duration::from_millis(200));
        while events.try_recv().is_ok() {}
        // And it goes on: with that little room, perhaps by telling that more was lost.
        run("ip link del p1");
        let end = Instant::now() + Duration::from_secs(2);
        let told = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(5));
            events.try_recv()
        })
        .take_while(|_| Instant::now() < end)
        .any(|event| event.is_ok());
        assert!(told, "nothing is told any more");
    });
}
