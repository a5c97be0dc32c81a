//! The built BPF object, read and loaded for tests. Loads into the kernel but attaches nothing:
//! what is loaded goes when the test ends.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{Program as Loaded, ProgramError, ProgramInfo},
};
use netd_common::abi::{Program, maps};
use nix::{errno::Errno, unistd::Uid};
use zerocopy::{Immutable, IntoBytes};

/// Entries of the large preallocated maps in tests: enough for every packet, at once allocated.
const SMALL: u32 = 16_384;

/// Tries to load a program, as many as libbpf has.
const LOAD_TRIES: u32 = 5;

/// What `cargo xtask build-ebpf` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// What the agent loads.
    Plain,
    /// What it loads for `--log-level trace`.
    Log,
}

impl Object {
    /// Both.
    pub const ALL: [Object; 2] = [Object::Plain, Object::Log];

    /// The object's bytes.
    pub fn read(self) -> Vec<u8> {
        let name = match self {
            Object::Plain => "netd-ebpf.o",
            Object::Log => "netd-ebpf-log.o",
        };
        let path = root().join("target/bpf").join(name);
        fs::read(&path).unwrap_or_else(|error| {
            panic!(
                "cannot read {} ({error}): run `cargo xtask build-ebpf` first",
                path.display()
            )
        })
    }

    /// Makes the object's maps, with few entries; loads no program yet.
    pub fn open(self) -> Ebpf {
        require_root();
        let mut loader = EbpfLoader::new();
        for map in [maps::FLOWS, maps::NEW_FLOWS, maps::DROPS] {
            loader.map_max_entries(map, SMALL);
        }
        loader
            .load(&self.read())
            .unwrap_or_else(|error| panic!("{self:?}: the maps cannot be made: {error:#?}"))
    }
}

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Fails where BPF cannot be used, rather than skipping the test.
pub fn require_root() {
    assert!(
        Uid::effective().is_root(),
        "this test loads BPF programs and needs root; `cargo xtask test` runs every tier"
    );
}

/// Gives a program to the verifier, whose log is the panic message if it refuses.
pub fn load(ebpf: &mut Ebpf, program: Program) -> ProgramInfo {
    let name = program.name();
    let loaded = ebpf
        .program_mut(name)
        .unwrap_or_else(|| panic!("the object has no program {name}"));
    let mut tries = 0;
    loop {
        let result = match loaded {
            Loaded::SchedClassifier(classifier) => classifier.load(),
            Loaded::CgroupSockAddr(sock_addr) => sock_addr.load(),
            Loaded::CgroupSock(sock) => sock.load(),
            Loaded::RawTracePoint(tracepoint) => tracepoint.load(),
            other => panic!("{name} has an unexpected type: {:?}", other.prog_type()),
        };
        tries += 1;
        match result {
            Ok(()) => break,
            Err(error) if is_interrupted(&error) && tries < LOAD_TRIES => {}
            Err(error) => panic!("the verifier refuses {name}: {error}\n{error:?}"),
        }
    }
    loaded
        .info()
        .unwrap_or_else(|error| panic!("{name} has no program info: {error}"))
}

/// Whether the verifier gave up because a signal was pending: no word about the program.
fn is_interrupted(error: &ProgramError) -> bool {
    matches!(error, ProgramError::LoadError { io_error, .. }
        if io_error.raw_os_error() == Some(Errno::EAGAIN as i32))
}

/// A key or value as aya takes it, without unsafe code: its bytes.
pub fn raw<const N: usize>(value: &(impl IntoBytes + Immutable)) -> [u8; N] {
    let bytes = value.as_bytes();
    bytes
        .try_into()
        .unwrap_or_else(|_| panic!("{} octets, not {N}", bytes.len()))
}
