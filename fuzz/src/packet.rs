//! A packet at one of the hooks: the packet logic in a small world, as the BPF programs run it.

use std::sync::LazyLock;

use netd_common::abi::Program;
use netd_tests::bpf::{Host, Input, World, action};

const HOOKS: [Program; 4] = [
    Program::FromEndpoint,
    Program::ToEndpoint,
    Program::FromUplink,
    Program::ToUplink,
];
static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// Octets before the packet: which hook, which interface, by which one it came into the host.
const CHOICE: usize = 3;
/// Numbers of the world's interfaces are below.
const INTERFACES: u32 = 128;

/// A packet is dropped with a reason, waits, or has a fate, and never grows but by netd's own answer.
pub fn packet(bytes: &[u8]) {
    let Some(([hook, interface, ingress], packet)) = bytes.split_first_chunk::<CHOICE>() else {
        return;
    };
    let input = Input {
        program: HOOKS[usize::from(*hook) % HOOKS.len()],
        ifindex: u32::from(*interface) % INTERFACES,
        ingress: u32::from(*ingress) % INTERFACES,
        bytes: packet.to_vec(),
    };
    let mut host = Host::new(WORLD.clone());
    // Twice: the second meets what the first left in the flow table.
    for _ in 0..2 {
        let (output, words) = host.run(&input);
        let shot = output.action == action::SHOT;
        // An error that is sent in a packet's place is counted, too; a fragment that waits for the
        // first of its datagram is not lost.
        let waits = words == "kept";
        assert!(!shot || waits || output.dropped.is_some(), "{words}");
        if input.program == Program::FromEndpoint {
            assert_ne!(
                output.action,
                action::UNSPEC,
                "an endpoint's packet is netd's: {words}"
            );
        }
    }
}
