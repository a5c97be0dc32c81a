//! Where pins are, and what their names mean. Makes directories, touches no pin.
//!
//! ```text
//! BPFFS/v2/maps/FLOWS                            one per map of the object
//! BPFFS/v2/programs/<hash of the object>/<name>  one per loaded program
//! BPFFS/v2/links/ingress-eth0-from_uplink        a tcx link; with clsact the program itself
//! BPFFS/v2/links/cgroup-root-sock_connect4       a cgroup link
//! BPFFS/v2/links/tracepoint-kfree_skb-…          a link of a tracepoint
//! BPFFS/v2/qdiscs/eth0                           clsact alone: netd added the qdisc
//! BPFFS/v2/incoming/…                            on its way to `links` by rename
//! ```
//!
//! bpffs reserves names with a dot (`bpf_lookup` in kernel/bpf/inode.c), interfaces have them
//! (`eth0.100`): a dot is written `%2e`, a percent sign `%25`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use netd_common::abi::{ABI_VERSION, Program};

use super::tracepoint;
use crate::{
    model::IfName,
    plan::{Attachment, TcHook},
};

/// The directories of one ABI version.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Of this agent's ABI, below netd's directory in bpffs.
    pub(super) fn current(bpffs: &Path) -> Layout {
        Layout::of_version(bpffs, ABI_VERSION)
    }

    /// Of another ABI.
    pub(super) fn of_version(bpffs: &Path, version: u32) -> Layout {
        Layout {
            root: bpffs.join(format!("v{version}")),
        }
    }

    /// The version that a directory's name stands for.
    pub(super) fn version(name: &str) -> Option<u32> {
        let digits = name.strip_prefix('v')?;
        let version = digits.parse().ok()?;
        (format!("{version}") == digits).then_some(version)
    }

    /// Makes those that are not there.
    pub(super) fn make_directories(&self) -> io::Result<()> {
        for directory in ["maps", "programs", "links", "qdiscs", "incoming"] {
            fs::create_dir_all(self.root.join(directory))?;
        }
        Ok(())
    }

    /// All of this version.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The maps.
    pub(super) fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    /// A map.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.root.join("maps").join(name)
    }

    /// Programs of all objects.
    pub(super) fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    /// The links.
    pub(super) fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The pin of an attachment.
    pub(super) fn link(&self, attachment: &Attachment) -> PathBuf {
        self.root.join("links").join(pin_name(attachment))
    }

    /// Pins that will be renamed over others.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// The mark of a clsact qdisc that netd added.
    pub(super) fn qdisc(&self, link: &IfName) -> PathBuf {
        self.root.join("qdiscs").join(escape(link.as_str()))
    }
}

/// `ingress-eth0-from_uplink`.
pub(super) fn pin_name(attachment: &Attachment) -> String {
    match attachment {
        Attachment::Tc {
            link,
            hook,
            program,
        } => {
            let link = escape(link.as_str());
            format!("{}-{link}-{}", hook_name(*hook), program.name())
        }
        Attachment::Cgroup(program) => format!("cgroup-root-{}", program.name()),
        Attachment::Tracepoint(program) => {
            format!("tracepoint-{}-{}", tracepoint::NAME, program.name())
        }
    }
}

/// The attachment with that pin; `None` where the name is not one of netd's.
pub(super) fn attachment_of(pin: &str) -> Option<Attachment> {
    let (hook, rest) = pin.split_once('-')?;
    let (link, program) = rest.rsplit_once('-')?;
    let program = Program::ALL
        .into_iter()
        .find(|known| known.name() == program)?;
    let attachment = match (hook, link) {
        ("cgroup", "root") => Attachment::Cgroup(program),
        ("tracepoint", tracepoint::NAME) => Attachment::Tracepoint(program),
        ("ingress", _) => tc(link, TcHook::Ingress, program)?,
        ("egress", _) => tc(link, TcHook::Egress, program)?,
        _ => return None,
    };
    (pin_name(&attachment) == pin).then_some(attachment)
}

fn tc(link: &str, hook: TcHook, program: Program) -> Option<Attachment> {
    let link = unescape(link).parse().ok()?;
    Some(Attachment::Tc {
        link,
        hook,
        program,
    })
}

/// As in pin names and messages.
pub(super) fn hook_name(hook: TcHook) -> &'static str {
    match hook {
        TcHook::Ingress => "ingress",
        TcHook::Egress => "egress",
    }
}

fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('.', "%2e")
}

fn unescape(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use netd_common::abi::Program;
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{Layout, attachment_of, pin_name};
    use crate::plan::{Attachment, TcHook};

    fn ingress(link: &str) -> Attachment {
        Attachment::Tc {
            link: link.parse().expect("an interface name"),
            hook: TcHook::Ingress,
            program: Program::FromUplink,
        }
    }

    #[test]
    fn dots_and_percents_are_escaped() {
        assert_eq!(
            pin_name(&ingress("eth0.100")),
            "ingress-eth0%2e100-from_uplink"
        );
        assert_eq!(pin_name(&ingress("a%2eb")), "ingress-a%252eb-from_uplink");
        assert_eq!(
            pin_name(&Attachment::Cgroup(Program::SockConnect4)),
            "cgroup-root-sock_connect4"
        );
        let tracepoint = Attachment::Tracepoint(Program::RedirectFailed);
        let pin = "tracepoint-kfree_skb-redirect_failed";
        assert_eq!(pin_name(&tracepoint), pin);
        assert_eq!(attachment_of(pin), Some(tracepoint));
    }

    #[test]
    fn foreign_pins_mean_nothing() {
        for pin in [
            "",
            "ingress",
            "ingress-eth0",
            "ingress-eth0-nothing",
            "ingress--from_uplink",
            "sideways-eth0-from_uplink",
            "cgroup-other-sock_connect4",
            "tracepoint-consume_skb-redirect_failed",
            "ingress-a.b-from_uplink",
            "ingress-0123456789abcdef-from_uplink",
        ] {
            assert_eq!(attachment_of(pin), None, "{pin}");
        }
    }

    #[test]
    fn only_exact_versions() {
        assert_eq!(Layout::version("v12"), Some(12));
        for name in ["v", "v01", "v+1", "v-1", "x1", "v99999999999"] {
            assert_eq!(Layout::version(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back(link in "[!-.0-9;-~]{1,15}", program in 0..Program::ALL.len(), egress: bool) {
            let Ok(link) = link.parse() else { return Ok(()) };
            let hook = if egress { TcHook::Egress } else { TcHook::Ingress };
            let attachment = Attachment::Tc { link, hook, program: Program::ALL[program] };
            prop_assert_eq!(attachment_of(&pin_name(&attachment)), Some(attachment));
        }
    }
}
