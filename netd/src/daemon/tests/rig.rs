//! A whole agent over the kernel in memory, with store and socket: lines that a user types go in.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use expect_test::Expect;
use tokio::{
    net::UnixListener,
    sync::{Notify, mpsc},
};

use super::{CountedIds, FakeKernel, HostFacts, UplinkFacts};
use crate::{
    daemon::{
        Control, Parts,
        agent::Agent,
        looks::{Stop, looks},
        report::{self, Host, Process},
        resolver::Resolver,
        shown::Shown,
        store::Store,
    },
    dns::Table,
    frontends::{
        api::{door::Door, drop_events::DropLog, events::EventLog, server},
        cli::{Parsed, Printed, parse},
    },
    kernel::fake::FakeReader,
    state::{Settings, State},
};

/// An agent on a thread of its own, with a store and a socket in a directory of its own.
pub struct Rig {
    directory: PathBuf,
    ends: Ends,
    /// How long walks over the flows take.
    pub walks: FakeReader,
    thread: Option<JoinHandle<()>>,
}

/// What ends when the agent is told to stop.
#[derive(Clone, Default)]
struct Ends {
    walks: Stop,
    socket: Arc<Notify>,
}

impl Rig {
    pub fn new() -> Rig {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("netd-api-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let mut rig = Rig {
            directory,
            ends: Ends::default(),
            walks: FakeReader::default(),
            thread: None,
        };
        rig.start();
        rig
    }

    pub fn start(&mut self) {
        self.ends = Ends::default();
        let (directory, ends) = (self.directory.clone(), self.ends.clone());
        let walks = self.walks.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(&directory, ends, walks, ready));
        });
        is_ready.recv().unwrap();
        self.thread = Some(thread);
    }

    pub fn stop(&mut self) {
        self.tell_to_stop();
        self.thread.take().unwrap().join().unwrap();
        std::fs::remove_file(self.socket()).unwrap();
    }

    /// As a signal does.
    pub fn tell_to_stop(&self) {
        self.ends.walks.ask();
        self.ends.socket.notify_one();
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("netd.sock")
    }

    pub fn run(&self, line: &str) -> Printed {
        let socket = self.socket().display().to_string();
        let words = ["netd"].into_iter().chain(line.split_whitespace());
        // A tilde stands for a space inside a word.
        let words = words.map(|word| word.replace('~', " "));
        let words = words.chain(["--socket".to_owned(), socket]).map(Into::into);
        match parse(words) {
            Parsed::Verb(verb) => verb.run().expect("a verb of the socket"),
            Parsed::Printed(printed) => printed,
        }
    }

    /// Runs a line that must succeed.
    pub fn out(&self, line: &str) -> String {
        let printed = self.run(line);
        assert_eq!((printed.exit, printed.messages.as_str()), (0, ""), "{line}");
        printed.out
    }

    /// Runs a line that must be refused.
    pub fn refused(&self, line: &str, expected: Expect) {
        let printed = self.run(line);
        assert_eq!((printed.exit, printed.out.as_str()), (1, ""), "{line}");
        expected.assert_eq(&printed.messages);
    }

    /// A request as it stands; status line and body come back.
    pub fn raw(&self, head: &str, body: &[u8]) -> (String, String) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let length = body.len();
        let head = format!(
            "{head} HTTP/1.1\r\nHost: netd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.lines().next().unwrap_or_default();
        (status.to_owned(), body.to_owned())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn serve(
    directory: &Path,
    ends: Ends,
    walks: FakeReader,
    ready: std::sync::mpsc::Sender<()>,
) {
    let (store, stored) = Store::open(directory).unwrap();
    let mut facts = HostFacts {
        local_ports: (32_768, 60_999),
        ..HostFacts::default()
    };
    let uplink = UplinkFacts {
        ifindex: 4_000_000,
        mtu: 1500,
        l3: false,
        v4: "198.18.0.1".parse().ok(),
        v6: None,
    };
    facts.uplinks.insert("up0".parse().unwrap(), uplink);
    let mut kernel = FakeKernel::new(facts);
    kernel.add_foreign_link("up0");
    kernel.reader = walks.clone();
    let ids = CountedIds::starting_at(stored.meta.attaches * 1000 + 1);
    let parts = (stored.networks, stored.sandboxes, stored.endpoints);
    let state = State::from_records(stored.meta, parts.0, parts.1, parts.2).unwrap();
    let mut control = Control::new(Parts {
        store: Shown::new(store, state.clone()),
        state,
        kernel,
        ids: Box::new(ids),
        settings: Settings::default(),
        table: Table::new(),
        namespaces: "/run/netd/netns".into(),
        upstreams: Vec::new(),
        events: EventLog::new(0),
    });
    control.start(7).await.unwrap();
    let process = Process {
        version: report::version(),
        hook: "tcx".to_owned(),
        run_dir: "/run/netd".into(),
        state_dir: directory.to_owned(),
        bpffs: "/sys/fs/bpf/netd".into(),
    };
    let (door, calls) = Door::new(
        control.store().state(),
        looks(walks, control.store().state(), ends.walks),
        process.run_dir.clone(),
        process.version.clone(),
        control.events().clone(),
        DropLog::default(),
    );
    let listener = UnixListener::bind(directory.join("netd.sock")).unwrap();
    let serving = tokio::spawn(server::serve(listener, door, async move {
        ends.socket.notified().await
    }));
    let mut agent = Agent {
        control,
        creations: stored.creations,
        resolver: Resolver::new(directory.join("no-namespace"), Table::new()),
        process,
        describe: Box::new(|_, _| Host::default()),
        ready: Instant::now(),
    };
    ready.send(()).unwrap();
    let (_events, events) = mpsc::channel(1);
    agent.work(calls, events).await;
    serving.await.unwrap().unwrap();
}
