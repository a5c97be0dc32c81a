//! The kernel modules that netd and its labs use, with those that they depend on, as `depmod` knows
//! them. Copies; loads nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};

use super::kernel::Kernel;
use crate::shell;

/// Loaded at start. The kernel would ask for most of them by itself; a missing one is told then.
pub const LOADED: [&str; 8] = [
    "veth",
    "bridge",
    "tun",
    "dummy",
    "sch_ingress",
    "cls_bpf",
    "act_bpf",
    "8021q",
];
/// There when somebody asks for them: rules of others in some tests.
const ON_DEMAND: [&str; 16] = [
    "nf_tables",
    "nf_conntrack",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_chain_nat",
    "nft_fib_inet",
    "nft_reject_inet",
    "nft_limit",
    "ipip",
    "ipvlan",
    "macvlan",
    "sctp",
    "sit",
    "vxlan",
    "wireguard",
];

/// Copies the modules below `root`. One that the kernel does not have is left out: built in, or
/// missed by the test that needs it.
pub fn copy(kernel: &Kernel, root: &Path) -> Result<()> {
    index(&kernel.unpacked, &kernel.release)?;
    let place = Path::new("lib/modules").join(&kernel.release);
    let (from, to) = (kernel.unpacked.join(&place), root.join(&place));
    let text = fs::read_to_string(from.join("modules.dep")).context("depmod wrote no list")?;
    let dependencies = parse(&text);
    for path in closure(&dependencies) {
        let target = to.join(path);
        fs::create_dir_all(target.parent().unwrap_or(&to))?;
        fs::copy(from.join(path), target)?;
    }
    for list in [
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ] {
        fs::copy(from.join(list), to.join(list)).with_context(|| format!("no {list}"))?;
    }
    index(root, &kernel.release)
}

fn index(root: &Path, release: &str) -> Result<()> {
    shell::run(
        shell::clean_command("depmod")
            .arg("-b")
            .arg(root)
            .arg(release),
    )
}

/// Path of a module → paths of all that it depends on.
fn parse(text: &str) -> BTreeMap<&str, Vec<&str>> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (path, needs.split_whitespace().collect()))
        .collect()
}

fn closure<'a>(dependencies: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    dependencies
        .iter()
        .filter(|(path, _)| {
            let name = name_of(path);
            LOADED.contains(&name) || ON_DEMAND.contains(&name)
        })
        .flat_map(|(path, needs)| needs.iter().copied().chain([*path]))
        .collect()
}

/// `veth` of `kernel/drivers/net/veth.ko.xz`.
fn name_of(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_with_what_they_depend_on() {
        let list = "kernel/net/bridge/bridge.ko.xz: kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz\n\
                    kernel/net/802/stp.ko.xz: kernel/net/llc/llc.ko.xz\n\
                    kernel/sound/beep.ko.xz:\n";
        let paths: Vec<&str> = closure(&parse(list)).into_iter().collect();
        assert_eq!(
            paths,
            [
                "kernel/net/802/stp.ko.xz",
                "kernel/net/bridge/bridge.ko.xz",
                "kernel/net/llc/llc.ko.xz"
            ]
        );
    }
}
