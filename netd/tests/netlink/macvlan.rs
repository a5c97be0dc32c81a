//! Macvlan interfaces, there and back: made in a sandbox, marked, heard of, read back, deleted. On this
//! kernel there may be no VLAN and no dummy interfaces: then the reason is told.

use std::path::PathBuf;

use netd::{
    kernel::events::{self, Event},
    model::{Id, IfName, macvlan::MacvlanMode},
    plan::{Action, Key, Place, observed::LinkKind},
};

use crate::scratch::{Scratch, ifname, run, run_in, sandbox, scratch};

fn create(place: Place, name: &str, mode: MacvlanMode) -> Action {
    Action::CreateMacvlan {
        place,
        name: ifname(name),
        parent: ifname("up0"),
        mode,
        mac: Some(crate::scratch::MAC),
        mtu: Some(1400),
    }
}

fn inside(host: &Scratch) -> PathBuf {
    host.run_dir.join("netns").join(Id([1; 32]).to_string())
}

fn delete(place: Place, link: IfName) -> Action {
    Action::DeleteLink { place, link }
}

#[test]
fn there_and_back() {
    scratch(|host| {
        run("ip link add up0 type veth peer name up1");
        run("ip link set up0 up");
        // As most hosts have: older kernels then want no new link of that name, wherever it goes.
        run("ip link add eth0 type veth peer name eth1");
        let place = sandbox(1);
        host.twice(Action::MakeNamespace(place));
        // Left behind by an agent that was killed.
        run_in(
            &inside(host),
            "ip link add nd-half-made group 1852142692 type bridge",
        );
        host.twice(create(place, "eth0", MacvlanMode::Private));
        let state = host.link(place, "eth0");
        assert_eq!(state.kind, LinkKind::Macvlan(MacvlanMode::Private));
        assert_eq!((state.ours, state.up, state.mtu), (true, false, 1400));
        assert_eq!(state.mac, crate::scratch::MAC);
        let text = run_in(&inside(host), "ip -d link show eth0");
        for wanted in [
            "alias netd:endpoint:eth0",
            "group default",
            "macvlan mode private",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        host.twice(delete(place, ifname("eth0")));
        let key = Key::Link(place, ifname("eth0"));
        assert!(host.observe([key]).links.is_empty());
        // In a namespace that is gone there is nothing to delete.
        host.twice(Action::RemoveNamespace(place));
        host.twice(delete(place, ifname("eth0")));
    });
}

#[test]
fn others_interfaces_are_not_taken() {
    scratch(|host| {
        run("ip link add up0 type veth peer name up1");
        let place = sandbox(1);
        host.once(Action::MakeNamespace(place));
        run_in(&inside(host), "ip link add eth0 type bridge");
        let text = host.refused(create(place, "eth0", MacvlanMode::Bridge));
        assert!(
            text.contains("interface eth0 exists and is not netd's"),
            "{text}"
        );
        let text = host.refused(delete(place, ifname("eth0")));
        assert!(text.contains("is not netd's"), "{text}");
    });
}

#[test]
fn what_happens_to_it_inside_is_heard() {
    scratch(|host| {
        run("ip link add up0 type veth peer name up1");
        let place = sandbox(1);
        host.once(Action::MakeNamespace(place));
        host.once(create(place, "eth0", MacvlanMode::Bridge));
        let mut events = events::subscribe(host.stack.numbers()).unwrap();
        run_in(&inside(host), "ip link delete eth0");
        let heard = host.runtime.clone().block_on(async {
            let wanted = Event::Link {
                place,
                name: ifname("eth0"),
                deleted: true,
            };
            let limit = std::time::Duration::from_secs(30);
            tokio::time::timeout(limit, async {
                while let Some(event) = events.recv().await {
                    if event == wanted {
                        return true;
                    }
                }
                false
            })
            .await
        });
        assert!(heard.unwrap_or(false), "nothing was heard of it");
    });
}

#[test]
fn parents_of_netds_own() {
    scratch(|host| {
        run("ip link add up0 type veth peer name up1");
        let vlan = Action::CreateVlan {
            name: ifname("up0.10"),
            base: ifname("up0"),
            id: 10,
        };
        let dummy = Action::CreateDummy {
            name: ifname("dm-1"),
            mtu: Some(9000),
        };
        for (action, name, kind) in [
            (vlan, "up0.10", LinkKind::Vlan(10)),
            (dummy, "dm-1", LinkKind::Dummy),
        ] {
            let made = host.runtime.clone().block_on(host.stack.execute(&action));
            if let Err(error) = made {
                let text = error.to_string();
                assert!(text.contains("Operation not supported"), "{text}");
                continue;
            }
            host.once(action);
            let state = host.link(Place::Host, name);
            assert_eq!((state.kind, state.ours), (kind, true));
            host.twice(delete(Place::Host, ifname(name)));
        }
    });
}
