//! A host of its own for each test: a thread in a new network and mount namespace, with a run
//! directory. All of it goes with the thread.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use netd::{
    kernel::stack::Stack,
    model::{Id, IfName, Mac},
    plan::{Action, Key, Observed, Place, observed::LinkState},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::Uid,
};
use tokio::runtime::{Builder, Runtime};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The host of a test.
pub struct Scratch {
    pub stack: Stack,
    pub run_dir: PathBuf,
    pub runtime: Rc<Runtime>,
}

/// Runs a test in a host of its own.
pub fn scratch(test: impl FnOnce(&mut Scratch) + Send + 'static) {
    assert!(
        Uid::effective().is_root(),
        "this test makes network namespaces: run it as root"
    );
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let run_dir =
        std::env::temp_dir().join(format!("netd-netlink-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&run_dir).unwrap();
    let guard = Directory(run_dir.clone());
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        // On the test's own thread, which is in the test's namespaces.
        let runtime = Rc::new(Builder::new_current_thread().enable_all().build().unwrap());
        let _entered = runtime.enter();
        let stack = Stack::open(&run_dir, Vec::new()).unwrap();
        let runtime = runtime.clone();
        test(&mut Scratch {
            stack,
            run_dir,
            runtime,
        });
    };
    let result = thread::spawn(body).join();
    drop(guard);
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    /// Carries an action out, twice: the second time it finds everything done.
    pub fn twice(&mut self, action: Action) {
        for time in ["first", "second"] {
            if let Err(error) = self.runtime.block_on(self.stack.execute(&action)) {
                panic!("{time} {action:?}: {error}");
            }
        }
    }

    /// Carries an action out.
    pub fn once(&mut self, action: Action) {
        self.runtime.block_on(self.stack.execute(&action)).unwrap();
    }

    /// The error of an action that must fail.
    pub fn refused(&mut self, action: Action) -> String {
        self.runtime
            .block_on(self.stack.execute(&action))
            .unwrap_err()
            .to_string()
    }

    /// What some keys name.
    pub fn observe(&mut self, keys: impl IntoIterator<Item = Key>) -> Observed {
        let mut found = Observed::default();
        for key in keys.into_iter().collect::<BTreeSet<Key>>() {
            let observed = self.stack.observe(&key, &mut found);
            self.runtime.block_on(observed).unwrap();
        }
        found
    }

    /// A link that must exist.
    pub fn link(&mut self, place: Place, name: &str) -> LinkState {
        self.find(place, name)
            .unwrap_or_else(|| panic!("no {name} in {place:?}"))
    }

    /// A link.
    pub fn find(&mut self, place: Place, name: &str) -> Option<LinkState> {
        let key = (place, ifname(name));
        self.observe([Key::Link(place, ifname(name))])
            .links
            .remove(&key)
    }

    /// Everything of netd's.
    pub fn observe_all(&mut self) -> Observed {
        let mut found = Observed::default();
        let observed = self.stack.observe_host(&mut found);
        let pairs = self.runtime.block_on(observed).unwrap();
        for place in self.stack.inside().unwrap() {
            let observed = self.stack.observe_inside(place, &pairs, &mut found);
            self.runtime.block_on(observed).unwrap();
        }
        found
    }

    /// A network of one bridge `br` and `count` endpoints; all is up.
    pub fn network(&mut self, count: u8) {
        self.once(Action::CreateBridge {
            name: ifname("br"),
            mac: MAC,
            mtu: 1500,
        });
        self.once(Action::SetUp {
            place: Place::Host,
            link: ifname("br"),
            up: true,
        });
        for number in 1..=count {
            self.endpoint(number);
        }
    }

    /// An endpoint `nd<number>` of that network, with its sandbox.
    pub fn endpoint(&mut self, number: u8) {
        let (place, host) = (sandbox(number), ifname(&format!("nd{number}")));
        let mac = endpoint_mac(number);
        let address = format!("172.18.0.{number}").parse().unwrap();
        for action in [
            Action::MakeNamespace(place),
            Action::CreateVeth {
                host: host.clone(),
                place,
                inside: ifname("eth0"),
                mac,
                mtu: 1500,
            },
            Action::SetMaster {
                link: host.clone(),
                bridge: ifname("br"),
            },
            Action::ClosePort(host.clone()),
            Action::AddFdb {
                link: host.clone(),
                mac,
            },
            Action::AddNeighbour {
                place: Place::Host,
                link: ifname("br"),
                address,
                mac,
            },
            Action::SetUp {
                place: Place::Host,
                link: host,
                up: true,
            },
            Action::SetUp {
                place,
                link: ifname("eth0"),
                up: true,
            },
        ] {
            self.once(action);
        }
    }
}

/// The bridge's MAC.
pub const MAC: Mac = Mac([0x02, 0x42, 1, 2, 3, 4]);

/// An endpoint's MAC.
pub fn endpoint_mac(number: u8) -> Mac {
    Mac([0x02, 0x42, 172, 18, 0, number])
}

/// A sandbox.
pub fn sandbox(number: u8) -> Place {
    Place::Sandbox(Id([number; 32]))
}

/// An interface name.
pub fn ifname(name: &str) -> IfName {
    name.parse().unwrap()
}

/// Runs a command in the test's host; what it printed.
pub fn run(line: &str) -> String {
    let output = output(line);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {text}{errors}");
    text
}

/// Runs a command in the test's host.
pub fn output(line: &str) -> Output {
    let mut words = line.split_whitespace();
    Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap()
}

/// Runs a command in a namespace of the test's host, entered by its path.
pub fn run_in(path: &Path, line: &str) -> String {
    run(&format!("nsenter --net={} {line}", path.display()))
}
