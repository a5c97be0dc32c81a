//! Who may know whom. model ← state ← plan compute and are pure; kernel, daemon and frontends touch
//! the world; netd-common knows no BPF library; labs and tooling never depend on netd.

use super::{Finding, paths, source::Source};

/// What a part of the workspace may not name, outside tests as well as in them.
struct Layer {
    /// Beginning of its files' paths.
    files: &'static str,
    /// Modules of its own crate.
    crate_modules: &'static [&'static str],
    /// Modules inside them that may be named all the same.
    except: &'static [&'static str],
    /// Paths of other crates, by their beginning.
    foreign: &'static [&'static str],
    why: &'static str,
}

/// Whatever touches the world or differs from call to call.
const IMPURE: &[&str] = &[
    "tokio",
    "aya",
    "aya_log",
    "nix",
    "libc",
    "rtnetlink",
    "redb",
    "axum",
    "hyper",
    "clap",
    "getrandom",
    "tracing",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::io",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "Instant::now",
    "SystemTime::now",
];

/// Modules of the bench that make or take samples.
const BENCH_TOUCHES: &[&str] = &[
    "dns", "drive", "load", "machine", "modes", "real", "recorder", "report", "run", "sections",
    "topology",
];

const LAYERS: [Layer; 15] = [
    Layer {
        files: "netd/src/model/",
        crate_modules: &[
            "state",
            "plan",
            "kernel",
            "daemon",
            "dns",
            "frontends",
            "telemetry",
        ],
        except: &[],
        foreign: IMPURE,
        why: "model is pure and knows no other layer",
    },
    Layer {
        files: "netd/src/state/",
        crate_modules: &["kernel", "daemon", "dns", "frontends", "telemetry"],
        except: &[],
        foreign: IMPURE,
        why: "state is pure and knows model and the host's facts",
    },
    Layer {
        files: "netd/src/plan/",
        crate_modules: &["kernel", "daemon", "dns", "frontends", "telemetry"],
        except: &[],
        foreign: IMPURE,
        why: "plan is pure and knows model and state",
    },
    Layer {
        files: "netd/src/kernel/",
        crate_modules: &["state", "daemon", "dns", "frontends"],
        except: &[],
        foreign: &["axum", "hyper", "clap", "redb", "hickory_proto"],
        why: "kernel sees plan, never state",
    },
    Layer {
        files: "netd/src/daemon/",
        crate_modules: &[],
        except: &[],
        foreign: &["aya", "aya_log", "rtnetlink"],
        why: "daemon asks the kernel layer",
    },
    Layer {
        files: "netd/src/frontends/",
        crate_modules: &["kernel", "daemon", "dns", "plan"],
        // `netd exec` enters a sandbox.
        except: &["kernel::netns"],
        foreign: &["aya", "rtnetlink", "redb"],
        why: "frontends see model and state's vocabulary",
    },
    Layer {
        files: "netd/src/dns/",
        crate_modules: &["state", "kernel", "daemon", "frontends"],
        // A socket stays in the namespace that it was made in.
        except: &["kernel::netns"],
        foreign: &["aya", "rtnetlink", "redb", "axum", "clap"],
        why: "dns answers from the table that it is given",
    },
    Layer {
        files: "netd/src/telemetry/",
        crate_modules: &["state", "plan", "kernel", "frontends"],
        except: &[],
        foreign: &["aya", "rtnetlink", "redb"],
        why: "telemetry prints what it is given",
    },
    Layer {
        files: "netd-common/src/",
        crate_modules: &[],
        except: &[],
        foreign: &[
            "aya",
            "aya_ebpf",
            "aya_log_ebpf",
            "std",
            "libc",
            "nix",
            "tokio",
            "netd",
        ],
        why: "netd-common is no_std and knows neither the kernel nor its libraries",
    },
    Layer {
        files: "netd-ebpf/src/",
        crate_modules: &[],
        except: &[],
        foreign: &["std", "aya", "netd"],
        why: "netd-ebpf is the kernel's side",
    },
    Layer {
        files: "tests/",
        crate_modules: &[],
        except: &[],
        foreign: &["netd"],
        why: "labs see netd from outside only",
    },
    Layer {
        files: "bench/src/stats",
        crate_modules: BENCH_TOUCHES,
        except: &[],
        foreign: IMPURE,
        why: "what is made of samples is computed from them alone",
    },
    Layer {
        files: "bench/src/targets",
        crate_modules: BENCH_TOUCHES,
        except: &[],
        foreign: IMPURE,
        why: "what is made of samples is computed from them alone",
    },
    Layer {
        files: "bench/",
        crate_modules: &[],
        except: &[],
        foreign: &["netd"],
        why: "the bench sees netd from outside, as it sees all modes",
    },
    Layer {
        files: "xtask/",
        crate_modules: &[],
        except: &[],
        foreign: &["netd", "netd_common", "aya"],
        why: "tooling builds before netd does",
    },
];

/// Checks one Rust file.
pub(super) fn check(source: &Source<'_>) -> Vec<Finding> {
    let Some(layer) = LAYERS
        .iter()
        .find(|layer| source.file.starts_with(layer.files))
    else {
        return Vec::new();
    };
    let module = paths::module_of(source.file);
    paths::of(&source.code, &module)
        .into_iter()
        .filter(|named| !(layer.allows_in_tests(&named.path) && source.is_test(named.line)))
        .filter_map(|named| {
            let broken = layer.forbids(&named.path)?;
            Some(Finding {
                file: source.file.to_owned(),
                line: named.line,
                message: format!("names `{broken}`: {}", layer.why),
            })
        })
        .collect()
}

impl Layer {
    /// The part of the path that may not be named.
    fn forbids(&self, path: &[String]) -> Option<String> {
        if path.first().is_some_and(|first| first == "crate") {
            let module = path.get(1)?;
            let inner = path.get(2).map(|inner| format!("{module}::{inner}"));
            let excepted = inner.is_some_and(|inner| self.except.contains(&inner.as_str()));
            let forbidden = self.crate_modules.contains(&module.as_str());
            return (forbidden && !excepted).then(|| format!("crate::{module}"));
        }
        let path = path.join("::");
        self.foreign
            .iter()
            .find(|foreign| {
                path.strip_prefix(**foreign)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            })
            .map(|foreign| (*foreign).to_owned())
    }

    /// Unit tests run on a laptop: they may use the standard library.
    fn allows_in_tests(&self, path: &[String]) -> bool {
        path.first().is_some_and(|first| first == "std")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(file: &str, text: &str) -> Vec<String> {
        check(&Source::new(file, text))
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn each_layer_keeps_to_itself() {
        let broken = |file, text| messages(file, text).len();
        assert_eq!(broken("netd/src/model/a.rs", "use crate::state::X;"), 1);
        assert_eq!(
            broken("netd/src/state/a.rs", "use crate::{model::X, kernel::Y};"),
            1
        );
        assert_eq!(
            broken(
                "netd/src/plan/a.rs",
                "use std::{collections::BTreeMap, fs};"
            ),
            1
        );
        assert_eq!(
            broken("netd/src/plan/a.rs", "use std::net::{IpAddr, UdpSocket};"),
            1
        );
        assert_eq!(
            broken("netd/src/plan/a.rs", "let t = std::time::Instant::now();"),
            1
        );
        assert_eq!(
            broken("netd/src/kernel/a.rs", "use super::super::state::X;"),
            1
        );
        assert_eq!(
            broken("netd/src/kernel/bpf/a.rs", "use crate::plan::Action;"),
            0
        );
        assert_eq!(broken("netd/src/kernel/a.rs", "use rtnetlink::Handle;"), 0);
        assert_eq!(broken("netd/src/daemon/a.rs", "use rtnetlink::Handle;"), 1);
        assert_eq!(
            broken("netd/src/frontends/a.rs", "use crate::state::Request;"),
            0
        );
        assert_eq!(
            broken("netd/src/frontends/a.rs", "use crate::plan::Action;"),
            1
        );
        assert_eq!(
            broken("netd/src/dns/a.rs", "use crate::kernel::{netns, Kernel};"),
            1
        );
        assert_eq!(broken("netd-common/src/a.rs", "use std::vec::Vec;"), 1);
        assert_eq!(
            broken(
                "netd-common/src/a.rs",
                "\n#[cfg(test)]\nmod tests {\n use std::vec::Vec;\n}"
            ),
            0
        );
        assert_eq!(broken("tests/tests/a.rs", "use netd::model::X;"), 1);
        assert_eq!(broken("tests/tests/a.rs", "use netd_common::abi;"), 0);
    }

    #[test]
    fn a_finding_says_what_and_why() {
        assert_eq!(
            messages("netd/src/kernel/a.rs", "use crate::state;"),
            ["names `crate::state`: kernel sees plan, never state"]
        );
    }
}
