//! A network namespace of a lab: run programs in it, open sockets in it. It has no name on the
//! machine and ends with the last thread, process and socket in it.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns, unshare};

use super::{
    process::{Background, Finished},
    words::words,
    worker::Worker,
};

/// How long a program may run unless a test says otherwise.
const LIMIT: Duration = Duration::from_secs(20);

/// A network namespace, and the thread that lives in it.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    file: Arc<File>,
    worker: Arc<Worker>,
    environment: Arc<Vec<(String, String)>>,
}

impl Namespace {
    /// A new, empty one, with the mount namespace of `parent`'s thread. Loopback is up.
    pub(super) fn create(
        parent: &Worker,
        name: &str,
        environment: Arc<Vec<(String, String)>>,
    ) -> Result<Namespace> {
        let namespace = Namespace::enter(parent, name, environment, || {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")
        })?;
        namespace.run_checked("ip link set lo up")?;
        Ok(namespace)
    }

    /// One that exists: the file as seen in the lab's mount namespace.
    pub(super) fn open(
        parent: &Worker,
        name: &str,
        path: &Path,
        environment: Arc<Vec<(String, String)>>,
    ) -> Result<Namespace> {
        let path = path.to_owned();
        Namespace::enter(parent, name, environment, move || {
            let file = File::open(&path).with_context(|| format!("no namespace at {path:?}"))?;
            setns(file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("{path:?} is no network namespace"))
        })
    }

    fn enter(
        parent: &Worker,
        name: &str,
        environment: Arc<Vec<(String, String)>>,
        enter: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<Namespace> {
        let thread_name = name.to_owned();
        let worker = parent.on(move || Worker::start(&thread_name, enter))?;
        let file = worker
            .on(|| File::open("/proc/thread-self/ns/net"))
            .context("cannot open the thread's namespace")?;
        Ok(Namespace {
            name: name.to_owned(),
            file: Arc::new(file),
            worker: Arc::new(worker),
            environment,
        })
    }

    /// What the lab calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path by which other processes find it, as long as this process lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// The number by which the kernel shows it in `/proc/PID/ns/net`.
    pub fn inode(&self) -> u64 {
        self.file.metadata().map(|data| data.ino()).unwrap_or(0)
    }

    /// Does `job` on the thread that lives in the namespace. Sockets that it makes belong to the
    /// namespace wherever they are used later.
    pub fn on<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        self.worker.on(job)
    }

    /// Starts a program that runs on.
    pub fn spawn(&self, line: &str) -> Result<Background> {
        self.spawn_words(words(line))
    }

    /// The same, word by word.
    pub fn spawn_words(&self, words: Vec<String>) -> Result<Background> {
        let environment = Arc::clone(&self.environment);
        self.on(move || Background::start(&words, &environment))
            .with_context(|| format!("in {}", self.name))
    }

    /// Runs a program to its end.
    pub fn run(&self, line: &str) -> Result<Finished> {
        self.run_within(line, LIMIT)
    }

    /// The same with another limit.
    pub fn run_within(&self, line: &str, limit: Duration) -> Result<Finished> {
        self.spawn(line)?
            .wait(limit)
            .with_context(|| format!("in {}", self.name))
    }

    /// Runs a program that has to succeed; its standard output.
    pub fn run_checked(&self, line: &str) -> Result<String> {
        let finished = self.run(line)?;
        anyhow::ensure!(
            finished.succeeded(),
            "in {}: {}",
            self.name,
            finished.describe()
        );
        Ok(finished.stdout)
    }

    /// Runs a program that has to succeed; its standard output without the last line's end.
    ///
    /// # Panics
    /// If it fails, with all that it printed.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        match self.run_checked(line) {
            Ok(text) => text.trim_end().to_owned(),
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Runs a program that has to fail; how it ended.
    ///
    /// # Panics
    /// If it succeeds or cannot be started.
    #[track_caller]
    pub fn fails(&self, line: &str) -> Finished {
        match self.run(line) {
            Ok(finished) if !finished.succeeded() => finished,
            Ok(finished) => panic!("in {}, should fail: {}", self.name, finished.describe()),
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Sets a sysctl, `net.ipv4.ip_forward` style.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = value.to_owned();
        self.on(move || std::fs::write(&path, value).with_context(|| format!("cannot set {path}")))
    }

    /// Reads a sysctl of the namespace.
    pub fn read_sysctl(&self, name: &str) -> Result<String> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = self.on(move || std::fs::read_to_string(path))?;
        Ok(value.trim().to_owned())
    }

    /// A TCP connection from here.
    pub fn tcp_connect(&self, to: SocketAddr, limit: Duration) -> std::io::Result<TcpStream> {
        let stream = self.on(move || TcpStream::connect_timeout(&to, limit))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(stream)
    }

    /// A TCP listener here.
    pub fn tcp_listen(&self, at: SocketAddr) -> std::io::Result<TcpListener> {
        self.on(move || TcpListener::bind(at))
    }

    /// A UDP socket here.
    pub fn udp_bind(&self, at: SocketAddr) -> std::io::Result<UdpSocket> {
        self.on(move || UdpSocket::bind(at))
    }
}
