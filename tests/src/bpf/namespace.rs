//! A network namespace with the world's interfaces, addresses and routes, for the time of a test.
//! Nothing is ever sent in it: the programs run on packets that are handed to them.

use std::{fs, process::Command, thread};

use nix::sched::{CloneFlags, unshare};

use super::{
    World,
    routes::{NEIGHBOURS, ROUTES},
};

/// Does `job` in a new namespace that has the world's interfaces. The thread and the namespace end
/// with it; a panic goes on in the caller.
pub fn inside<R: Send>(world: &World, job: impl FnOnce() -> R + Send) -> R {
    let result = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (as root)");
            build(world);
            job()
        });
        thread.join()
    });
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn build(world: &World) {
    ip("link set lo up");
    for link in &world.links {
        let (name, ifindex) = (link.name, link.ifindex);
        if link.is_bridge {
            ip(&format!("link add name {name} index {ifindex} type bridge"));
        } else {
            let peer = format!("{name}-in");
            ip(&format!(
                "link add name {name} index {ifindex} type veth peer name {peer}"
            ));
            ip(&format!("link set dev {peer} up"));
        }
        ip(&format!("link set dev {name} mtu {} up", link.mtu));
        for address in link.addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            ip(&format!("addr add {address} dev {name}{nodad}"));
        }
        if link.is_bridge {
            // As the agent does: bpf_fib_lookup asks for a forwarding interface.
            for family in ["ipv4", "ipv6"] {
                let path = format!("/proc/sys/net/{family}/conf/{name}/forwarding");
                fs::write(&path, "1").unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        }
    }
    for (_, words, _) in ROUTES {
        if !words.is_empty() {
            ip(&format!("route add {words}"));
        }
    }
    for words in NEIGHBOURS {
        ip(&format!("neigh add {words} nud permanent"));
    }
}

fn ip(line: &str) {
    // A MAC has single colons.
    let family = if line.contains("::") { "-6" } else { "-4" };
    let output = Command::new("ip")
        .arg(family)
        .args(line.split_whitespace())
        .output()
        .expect("ip runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {line}: {text}");
}
