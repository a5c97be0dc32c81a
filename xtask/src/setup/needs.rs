//! The list of what netd's builds and tests need beside stable Rust, and why. Finds; never installs.

use std::path::Path;

use crate::{shell, toolchain};

/// What somebody is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Build the BPF object and netd.
    Build,
    /// That, the demo, the tests and the checks.
    Test,
    /// That, and tests on other kernels in virtual machines.
    Machine,
    /// That of testing, and measuring real container engines.
    Real,
    /// Build bpf-linker from source. Asked for by set-up itself, when it is missing.
    BuildLinker,
    /// Compile for BPF with Debian's compiler. Asked for by set-up itself, when no other is there.
    Compile,
}

/// A Debian package, and how to see without the package manager that its content is there.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Debian's name.
    pub package: &'static str,
    /// For people.
    pub why: &'static str,
    probe: Probe,
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    Program(&'static str),
    Path(&'static str),
}

const fn program(
    purpose: Purpose,
    package: &'static str,
    name: &'static str,
    why: &'static str,
) -> Need {
    Need {
        package,
        why,
        probe: Probe::Program(name),
        purpose,
    }
}

const fn path(
    purpose: Purpose,
    package: &'static str,
    path: &'static str,
    why: &'static str,
) -> Need {
    Need {
        package,
        why,
        probe: Probe::Path(path),
        purpose,
    }
}

/// Debian's compiler is 1.96; its `core` for BPF comes prebuilt.
const NEEDS: [Need; 32] = [
    program(Purpose::Build, "gcc", "cc", "links Rust programs"),
    path(
        Purpose::Compile,
        "rustc-web",
        "/usr/bin/rustc",
        "the compiler of the BPF object",
    ),
    path(
        Purpose::Compile,
        "cargo-web",
        "/usr/bin/cargo",
        "the cargo that goes with it",
    ),
    path(
        Purpose::Compile,
        "libstd-rust-web-dev-bpf",
        "/usr/lib/rustlib/bpfel-unknown-none/lib",
        "Rust's core library for BPF",
    ),
    program(
        Purpose::BuildLinker,
        "g++",
        "c++",
        "the C++ library that LLVM links to",
    ),
    path(
        Purpose::BuildLinker,
        "llvm-22-dev",
        "/usr/lib/llvm-22/bin/llvm-config",
        "the LLVM of bpf-linker",
    ),
    path(
        Purpose::Test,
        "rust-web-clippy",
        "/usr/bin/clippy-driver",
        "checks the BPF programs",
    ),
    program(
        Purpose::Test,
        "iproute2",
        "ip",
        "namespaces and links of labs",
    ),
    program(
        Purpose::Test,
        "util-linux",
        "nsenter",
        "enters the namespaces of labs",
    ),
    program(
        Purpose::Test,
        "bpftool",
        "bpftool",
        "shows maps, programs and links",
    ),
    program(
        Purpose::Test,
        "tcpdump",
        "tcpdump",
        "captures packets and judges checksums",
    ),
    program(
        Purpose::Test,
        "ethtool",
        "ethtool",
        "switches offloads while checksums are judged",
    ),
    program(Purpose::Test, "iputils-ping", "ping", "a real client"),
    program(Purpose::Test, "traceroute", "traceroute", "a real client"),
    program(
        Purpose::Test,
        "iputils-tracepath",
        "tracepath",
        "a real client",
    ),
    program(Purpose::Test, "curl", "curl", "a real client"),
    program(Purpose::Test, "bind9-dnsutils", "dig", "a real client"),
    program(
        Purpose::Test,
        "musl-tools",
        "musl-gcc",
        "another C library's way of asking for names",
    ),
    program(
        Purpose::Test,
        "socat",
        "socat",
        "servers and clients of the demo",
    ),
    program(
        Purpose::Test,
        "wireguard-tools",
        "wg",
        "a tunnel of the kernel's own",
    ),
    program(
        Purpose::Test,
        "nftables",
        "nft",
        "the rules of others that netd has to live with",
    ),
    program(
        Purpose::Test,
        "iptables",
        "iptables-nft",
        "the rules that netd is measured against",
    ),
    path(
        Purpose::Test,
        "aardvark-dns",
        "/usr/lib/podman/aardvark-dns",
        "the name server that netd is measured against",
    ),
    path(
        Purpose::Real,
        "docker.io",
        "/usr/sbin/dockerd",
        "Docker Engine, as a whole",
    ),
    path(
        Purpose::Real,
        "podman",
        "/usr/bin/podman",
        "Podman, as a whole",
    ),
    path(
        Purpose::Real,
        "netavark",
        "/usr/lib/podman/netavark",
        "what makes Podman's networks",
    ),
    path(
        Purpose::Test,
        "fonts-dejavu-core",
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "the letters of plots",
    ),
    program(
        Purpose::Machine,
        "qemu-system-x86",
        "qemu-system-x86_64",
        "boots other kernels",
    ),
    // Without its BIOS QEMU starts nothing; --no-install-recommends leaves it out.
    path(
        Purpose::Machine,
        "seabios",
        "/usr/share/seabios/bios-256k.bin",
        "the BIOS of virtual machines",
    ),
    program(
        Purpose::Test,
        "busybox-static",
        "busybox",
        "the small programs of virtual machines and of containers",
    ),
    program(
        Purpose::Machine,
        "cpio",
        "cpio",
        "packs what virtual machines boot to",
    ),
    program(
        Purpose::Machine,
        "kmod",
        "depmod",
        "knows what kernel modules depend on",
    ),
];

/// What the purpose needs and this machine lacks.
pub fn missing(purpose: Purpose) -> Vec<Need> {
    NEEDS
        .into_iter()
        .filter(|need| need.purpose == purpose || covers(purpose, need.purpose))
        .filter(|need| !need.is_there())
        .collect()
}

/// Testing needs all that building needs, and testing elsewhere what testing here needs.
fn covers(purpose: Purpose, part: Purpose) -> bool {
    match purpose {
        Purpose::Test => part == Purpose::Build,
        Purpose::Machine | Purpose::Real => matches!(part, Purpose::Build | Purpose::Test),
        _ => false,
    }
}

impl Need {
    fn is_there(&self) -> bool {
        match self.probe {
            Probe::Program(name) => shell::find(name).is_some(),
            // Debian's plain compiler has the same path and is far too old.
            Probe::Path("/usr/bin/rustc" | "/usr/bin/cargo") => {
                toolchain::debian_compiler_is_new_enough()
            }
            Probe::Path(path) => Path::new(path).exists(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_package_is_named_twice() {
        let names: BTreeSet<&str> = NEEDS.iter().map(|need| need.package).collect();
        assert_eq!(names.len(), NEEDS.len());
    }

    #[test]
    fn testing_covers_building() {
        let of = |purpose| {
            NEEDS
                .iter()
                .filter(|need| need.purpose == purpose || covers(purpose, need.purpose))
                .count()
        };
        assert!(of(Purpose::Test) > of(Purpose::Build));
        assert_eq!(of(Purpose::Compile), 3);
    }
}
