//! `down` leaves what was there before, and nothing else.

use netd::{
    kernel::down,
    model::Id,
    plan::{Action, Place, SandboxFiles},
};

use crate::scratch::{output, run, scratch};

#[test]
fn nothing_of_netds_is_left() {
    scratch(|host| {
        let key = "net/ipv4/ip_local_reserved_ports";
        let (forward, reserved) = (
            "/proc/sys/net/ipv4/conf/default/accept_local",
            format!("/proc/sys/{key}"),
        );
        std::fs::write(&reserved, "4000").unwrap();
        run("ip link add theirs type bridge");
        let before = run("ip -o link show");
        host.network(2);
        for value in ["4000,5000", "4000,5000-5001"] {
            let (key, value) = (key.to_owned(), value.to_owned());
            host.twice(Action::SetSysctl {
                place: Place::Host,
                key,
                value,
            });
        }
        let key = "net/ipv4/conf/default/accept_local".to_owned();
        host.once(Action::SetSysctl {
            place: Place::Host,
            key,
            value: "1".into(),
        });
        // Somebody else has changed it since: theirs to keep.
        std::fs::write(forward, "0").unwrap();
        host.once(Action::WriteFiles(SandboxFiles {
            sandbox: Id([1; 32]),
            resolv_conf: String::new(),
            hosts: String::new(),
            hostname: String::new(),
        }));

        let undone = down::undo_stack(&host.run_dir);
        assert!(undone.failed.is_empty(), "{:?}", undone.failed);
        for wanted in [
            "delete interface nd1",
            "delete interface br",
            "remove the namespace of sandbox 020202020202",
            "set sysctl net/ipv4/ip_local_reserved_ports back to 4000",
        ] {
            assert!(
                undone.done.iter().any(|line| line == wanted),
                "{wanted}: {:?}",
                undone.done
            );
        }
        assert_eq!(run("ip -o link show"), before);
        assert_eq!(std::fs::read_to_string(&reserved).unwrap().trim(), "4000");
        assert_eq!(std::fs::read_to_string(forward).unwrap().trim(), "0");
        assert_eq!(std::fs::read_dir(&host.run_dir).unwrap().count(), 0);
        assert!(
            !output(&format!("mountpoint -q {}/netns", host.run_dir.display()))
                .status
                .success()
        );

        let again = down::undo_stack(&host.run_dir);
        assert!(
            again.done.is_empty() && again.failed.is_empty(),
            "{again:?}"
        );
    });
}
