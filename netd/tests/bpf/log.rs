//! The programs' log, with the object that has log calls alone.

use std::{
    io,
    sync::{Arc, Mutex},
};

use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use netd::{
    kernel::bpf::{Bpf, BpfOptions},
    plan::Entry,
};
use netd_common::{
    DropReason,
    abi::{Program, endpoint::Endpoint},
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use crate::host::{Host, eventually};

/// What `tracing` printed in this process.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("no writer panicked");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().expect("no writer panicked");
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn programs_log_to_tracing_when_they_are_asked_to() {
    let printed = Printed::default();
    let writer = printed.clone();
    // As the agent filters its log: of libraries only what looks wrong.
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("netd", LevelFilter::TRACE);
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    registry().with(layer.with_filter(filter)).init();
    let host = Host::new();
    let (mut quiet, _) = host.open();
    packet(&host, &mut quiet);
    let ids = quiet.programs().expect("programs");
    drop(quiet);
    assert!(!printed.text().contains("network 77"));

    let options = BpfOptions {
        log: true,
        ..host.options()
    };
    let (mut logging, report) = Bpf::open(&options).expect("open");
    assert!(report.loaded);
    assert_ne!(logging.programs().expect("programs"), ids);
    packet(&host, &mut logging);
    let dropped = format!(
        "network 77 endpoint 0: dropped for reason {}",
        DropReason::UnknownEthertype as u16
    );
    eventually("a line about the packet", || {
        printed
            .text()
            .lines()
            .any(|line| line.contains("TRACE") && line.contains(&dropped))
    });
    drop(logging);
    let (_, report) = host.open();
    assert!(report.loaded, "back to the object without log calls");
}

/// Hands `from_endpoint` a packet without an ethertype, from an endpoint of the network 77.
fn packet(host: &Host, bpf: &mut Bpf) {
    // The kernel's test packets come from lo.
    let endpoint = Endpoint {
        ifindex: 1,
        network: 77,
        ..Endpoint::default()
    };
    bpf.put(&Entry::Interface(1, endpoint)).expect("put");
    let directory = std::fs::read_dir(host.pin("programs"))
        .expect("programs")
        .next();
    let path = directory.expect("an object").expect("entry").path();
    let program = Program::FromEndpoint.name();
    let program = SchedClassifier::from_pin(path.join(program)).expect("the program");
    let bytes = [0_u8; 64];
    let run = TestRunOptions {
        data_in: Some(&bytes),
        ..TestRunOptions::default()
    };
    program.test_run(run).expect("a test run");
}
