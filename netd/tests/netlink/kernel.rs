//! The whole of it: network stack and BPF together, as the agent uses them.

use std::collections::BTreeSet;

use netd::{
    kernel::{HostKernel, HostOptions, Kernel, down::down},
    plan::{Action, Attachment, Entry, EntryKey, Key, Place, TcHook},
};
use netd_common::abi::{Program, endpoint::Endpoint};

use crate::scratch::{Scratch, ifname, run, sandbox, scratch};

fn open(host: &Scratch) -> HostKernel {
    let options = HostOptions {
        run_dir: host.run_dir.clone(),
        bpffs: host.run_dir.join("bpf"),
        uplinks: Vec::new(),
        log: false,
    };
    HostKernel::open(&options).unwrap().0
}

#[test]
fn what_is_made_is_observed_after_a_restart_and_goes_with_down() {
    scratch(|host| {
        let before = run("ip -o link show");
        host.network(2);
        let runtime = host.runtime.clone();
        let mut kernel = open(host);
        let link = ifname("nd1");
        let attachment = Attachment::Tc {
            link: link.clone(),
            hook: TcHook::Ingress,
            program: Program::FromEndpoint,
        };
        let ifindex = host.link(Place::Host, "nd1").ifindex;
        let value = Endpoint {
            ifindex,
            index: 7,
            ..Endpoint::default()
        };
        let entry = Entry::Interface(ifindex, value);
        for action in [
            Action::Attach(attachment.clone()),
            Action::Put(entry.clone()),
            Action::EndFlows(vec![netd::model::PublishedPort {
                host_address: "0.0.0.0".parse().unwrap(),
                host: netd::model::PortRange { first: 7, last: 7 },
                requested: None,
                target: netd::model::PortRange { first: 7, last: 7 },
                protocol: netd::model::Protocol::Tcp,
            }]),
        ] {
            for _ in 0..2 {
                runtime.block_on(kernel.execute(&action)).unwrap();
            }
        }
        let keys = BTreeSet::from([
            Key::Namespace(sandbox(1)),
            Key::Link(Place::Host, link),
            Key::Attachment(attachment.clone()),
            Key::Entry(EntryKey::Interface(ifindex)),
            Key::Entry(EntryKey::Interface(ifindex + 1000)),
        ]);
        let found = runtime.block_on(kernel.observe(&keys)).unwrap();
        assert_eq!((found.namespaces.len(), found.links.len()), (1, 1));
        assert_eq!(found.attachments, BTreeSet::from([attachment.clone()]));
        assert_eq!(found.entries.values().collect::<Vec<_>>(), [&entry]);

        let all = runtime.block_on(kernel.observe_all()).unwrap();
        drop(kernel);
        let mut kernel = open(host);
        assert_eq!(runtime.block_on(kernel.observe_all()).unwrap(), all);
        assert_eq!(runtime.block_on(kernel.observe(&keys)).unwrap(), found);
        assert_eq!((all.namespaces.len(), all.links.len()), (2, 5));

        for action in [
            Action::Detach(attachment),
            Action::Delete(EntryKey::Interface(ifindex)),
        ] {
            for _ in 0..2 {
                runtime.block_on(kernel.execute(&action)).unwrap();
            }
        }
        let found = runtime.block_on(kernel.observe(&keys)).unwrap();
        assert!(found.attachments.is_empty() && found.entries.is_empty());
        drop(kernel);

        let bpffs = host.run_dir.join("bpf");
        let undone = down(&host.run_dir, &bpffs);
        assert!(undone.failed.is_empty(), "{:?}", undone.failed);
        assert!(
            undone
                .done
                .iter()
                .any(|line| line.starts_with("detach programs"))
        );
        assert_eq!(run("ip -o link show"), before);
    });
}
