//! The same packet, decided twice: by netd-common on the host, and by the programs in the kernel.
//! Action, bytes, drop counter and flows must be the same. Where a redirect leads the kernel does
//! not tell a test run: that is what the labs show.

mod dice;
mod many;

use std::{collections::BTreeMap, env, fmt::Write as _};

use netd_common::abi::flow::{Flow, FlowKey};
use netd_tests::bpf::{Host, Input, Kernel, Output, Vector, World, hex, over_bare_links, read_all};

use crate::many::Run;

/// `SEED=number` for other mutated and random packets, `BATCH=number` for one batch of those alone.
#[test]
fn packets_have_the_same_fate_in_the_kernel() {
    let run = Run::new();
    // The programs are loaded once for all of it: on an emulated machine that takes longest.
    Kernel::with(&run.world, |kernel| {
        recorded(kernel, &run.world);
        run.random_octets(kernel);
        run.mutated(kernel);
    });
}

/// What is recorded, at links without Ethernet headers as well.
fn conversations(world: &World) -> Vec<(String, Vec<Vector>)> {
    let mut files = read_all(world);
    files.extend(over_bare_links(&files, world));
    files
}

fn recorded(kernel: &mut Kernel, world: &World) {
    let mut faults = String::new();
    let mut without_resolver = world.clone();
    without_resolver.config.resolver_ifindex = 0;
    kernel.fill(&without_resolver);
    same_fate(kernel, &without_resolver, &mut faults);
    faults += "with a resolver:\n";
    kernel.fill(world);
    same_fate(kernel, world, &mut faults);
    assert_eq!(faults, "with a resolver:\n");
}

fn same_fate(kernel: &mut Kernel, world: &World, faults: &mut String) {
    for (file, vectors) in conversations(world) {
        let mut host = Host::new(world.clone());
        for vector in &vectors {
            if let Some((verdict, fault)) = compare(kernel, &mut host, &vector.input) {
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

/// The host's verdict and what differs, if anything does. What the kernel does not take for a test is
/// not decided.
fn compare(kernel: &mut Kernel, host: &mut Host, input: &Input) -> Option<(String, String)> {
    let found = kernel.run(input);
    if found.is_err() && is_not_for_test_runs(&input.bytes) {
        return None;
    }
    let (expected, verdict) = host.run(input);
    let fault = match found {
        Err(error) => format!("the kernel does not run it: {error}"),
        Ok(found) if found != expected => {
            format!("\nhost {}\nkernel {}", words(&expected), words(&found))
        }
        Ok(_) => return None,
    };
    Some((verdict, fault))
}

fn words(output: &Output) -> String {
    let (action, dropped) = (output.action, output.dropped);
    format!("{action} {dropped:?}\n{}", hex(&output.bytes))
}

/// Whether the kernel refuses a test run of such a packet since 6.18: without a whole IP header behind
/// what it takes for an Ethernet header.
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
