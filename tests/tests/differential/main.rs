//! The same packet, decided twice: by netd-common on the host, and by the programs in the kernel.
//! Action, bytes, drop counter and flows must be the same. Where a redirect leads the kernel does
//! not tell a test run: that is what the labs show.

mod dice;
mod many;

use std::{collections::BTreeMap, env, fmt::Write as _};

use netd_common::abi::flow::{Flow, FlowKey};
use netd_tests::bpf::{Host, Input, Kernel, Output, World, hex, read_all};

#[test]
fn recorded_packets_have_the_same_fate_in_the_kernel() {
    let world = World::new();
    let mut faults = String::new();
    // The programs are loaded once: on an emulated machine that takes longest.
    Kernel::with(&world, |kernel| {
        same_fate(kernel, &world, &mut faults);
        let mut without_resolver = world.clone();
        without_resolver.config.resolver_ifindex = 0;
        kernel.fill(&without_resolver);
        faults += "without a resolver:\n";
        same_fate(kernel, &without_resolver, &mut faults);
    });
    assert_eq!(faults, "without a resolver:\n");
}

fn same_fate(kernel: &mut Kernel, world: &World, faults: &mut String) {
    for (file, vectors) in read_all(world) {
        let mut host = Host::new(world.clone());
        for vector in &vectors {
            let (expected, verdict) = host.run(&vector.input);
            if let Some(fault) = compare(kernel, &vector.input, &expected) {
                let _ = writeln!(faults, "{file} [{}] ({verdict}): {fault}", vector.title);
            }
        }
        if let Some(fault) = compare_flows(kernel, &host) {
            let _ = writeln!(faults, "{file}: {fault}");
        }
        kernel.forget_flows();
        kernel.forget_fragments();
    }
}

/// What an environment variable says, if it is set.
fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let parsed = text.parse();
    Some(parsed.unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// What differs, if anything does.
fn compare(kernel: &mut Kernel, input: &Input, expected: &Output) -> Option<String> {
    match kernel.run(input) {
        Err(_) if is_not_for_test_runs(&input.bytes) => None,
        Err(error) => Some(format!("the kernel does not run it: {error}")),
        Ok(found) if found != *expected => Some(format!(
            "\nhost {}\nkernel {}",
            words(expected),
            words(&found)
        )),
        Ok(_) => None,
    }
}

fn words(output: &Output) -> String {
    let (action, dropped) = (output.action, output.dropped);
    format!("{action} {dropped:?}\n{}", hex(&output.bytes))
}

/// Whether the kernel refuses a test run of such a packet since 6.18: without a whole IP header.
fn is_not_for_test_runs(bytes: &[u8]) -> bool {
    let needed = match bytes.get(12..14) {
        Some([0x08, 0x00]) => 20,
        Some([0x86, 0xdd]) => 40,
        _ => 0,
    };
    bytes.len() < 14 + needed
}

fn compare_flows(kernel: &Kernel, host: &Host) -> Option<String> {
    let tables = host.tables();
    let expected = [&tables.flows, &tables.new_flows];
    for (name, found, expected) in [("FLOWS", 0), ("NEW_FLOWS", 1)]
        .map(|(name, at)| (name, timeless(&kernel.flows()[at]), timeless(expected[at])))
    {
        if found == expected {
            continue;
        }
        let only = |a: &BTreeMap<FlowKey, Flow>, b: &BTreeMap<FlowKey, Flow>| {
            let mut entries: Vec<_> = a
                .iter()
                .filter(|(key, flow)| b.get(key) != Some(flow))
                .collect();
            entries.truncate(3);
            format!("{entries:#?}")
        };
        return Some(format!(
            "{name}: {} entries, {} expected; found only {}, expected only {}",
            found.len(),
            expected.len(),
            only(&found, &expected),
            only(&expected, &found)
        ));
    }
    None
}

/// Flows without their moments.
fn timeless(flows: &BTreeMap<FlowKey, Flow>) -> BTreeMap<FlowKey, Flow> {
    let without = |(key, flow): (&FlowKey, &Flow)| {
        let flow = Flow {
            created: 0,
            last_seen: 0,
            ..*flow
        };
        (*key, flow)
    };
    flows.iter().map(without).collect()
}
