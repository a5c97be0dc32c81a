//! The packets in `tests/fixtures/packets`, decided on the host. Needs neither root nor the BPF
//! object. `BLESS=1` writes what is expected anew; `differential.rs` asks the kernel the same.

use std::{env, fmt::Write as _};

use netd_tests::bpf::{Host, World, over_bare_links, read_all, write_all};

#[test]
fn packets_have_the_expected_fate() {
    let world = World::new();
    let mut faults = String::new();
    let mut count = 0;
    for (file, mut vectors) in read_all(&world) {
        let mut host = Host::new(world.clone());
        for vector in &mut vectors {
            let (output, verdict) = host.run(&vector.input);
            if !vector.is_met(&output, &verdict) {
                let _ = writeln!(faults, "{file} [{}]: {verdict}", vector.title);
            }
            vector.verdict = verdict;
            vector.bytes = output.bytes;
            count += 1;
        }
        if env::var_os("BLESS").is_some() {
            write_all(&file, &vectors, &world);
            faults.clear();
        }
    }
    assert!(
        faults.is_empty(),
        "{faults}If that is meant: BLESS=1 cargo test -p netd-tests --test vectors, and read the diff."
    );
    assert!(count > 100, "only {count} packets were found");
}

#[test]
fn links_without_ethernet_headers_make_no_difference() {
    let world = World::new();
    let (mut faults, mut count) = (String::new(), 0);
    for (file, vectors) in over_bare_links(&read_all(&world), &world) {
        let mut host = Host::new(world.clone());
        for vector in &vectors {
            let (_, verdict) = host.run(&vector.input);
            if verdict != vector.verdict {
                let (title, expected) = (&vector.title, &vector.verdict);
                let _ = writeln!(faults, "{file} [{title}]: {verdict}, not {expected}");
            }
            count += 1;
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(count > 100, "only {count} packets were found");
}
