//! `netd run`: everything the agent needs, opened in order, and taken down in order. The datapath
//! outlives it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::unistd::geteuid;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::{
    Control, Parts,
    agent::{Agent, End, unix_now},
    lock::Lock,
    looks::{Stop, looks},
    report::{self, Host, Process},
    resolver::Resolver,
    shown::Shown,
    store::{Store, Stored},
};
use crate::{
    dns::Table,
    frontends::{
        api::{
            door::Door,
            drop_events::DropLog,
            events::EventLog,
            reports::{ProgramReport, SysctlReport},
            server,
        },
        config::Config,
    },
    kernel::{HostKernel, HostOptions, Kernel, descriptors, events::Event, places, sysctl},
    model::Id,
    plan::{Attachment, TcHook},
    state::{AddressPool, IdSource, Settings, State},
    telemetry::LogLevel,
};

/// How long requests under way may take when the agent is told to stop.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the last answer may take to leave.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Runs the agent until it is told to stop. Needs root, in the network namespace that is to be the
/// host's.
pub fn run(config: &Config) -> Result<(), anyhow::Error> {
    if !geteuid().is_root() {
        bail!("netd run needs root: it makes interfaces and loads BPF programs");
    }
    let _lock = Lock::take(&config.run_dir)?;
    if let Err(error) = descriptors::raise_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    // The task that owns the state is on this thread, whose calls into the kernel block. Its netlink
    // requests, one at a time, block a worker instead: socket and DNS server have the other two.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_all()
        .build()
        .context("no runtime")?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(PATIENCE);
    result
}

async fn serve(config: &Config) -> Result<(), anyhow::Error> {
    let (mut agent, events) = open(config).await?;
    // Before the socket: who sees that may stop the agent at once, and it shall stop in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = server::listen(&server::socket_path(&config.run_dir))
        .with_context(|| format!("the socket in {}", config.run_dir.display()))?;
    let shown = agent.control.store().state();
    let version = agent.process.version.clone();
    let log = agent.control.events().clone();
    let ends = Ends {
        walks: Stop::default(),
        socket: Arc::default(),
        events: log.clone(),
        drops: DropLog::default(),
    };
    let drops = ends.drops.clone();
    let telling = drop_reader(&mut agent, &drops);
    let looks = looks(
        agent.control.kernel().reader()?,
        shown.clone(),
        ends.walks.clone(),
    );
    let run_dir = config.run_dir.clone();
    let (door, calls) = Door::new(shown, looks, run_dir, version, log, drops);
    let closed = ends.socket.clone();
    let mut serving = tokio::spawn(server::serve(listener, door, async move {
        closed.notified().await;
    }));
    notify(&[NotifyState::Ready]);
    tracing::info!(run_dir = %config.run_dir.display(), "ready");
    let ending = ends.clone();
    // A task of its own: it is told while the work waits for the kernel, too.
    let told = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // When the last request is answered, the work ends by itself.
        ending.close();
    });
    let end = tokio::select! {
        end = agent.work(calls, events) => end,
        () = async {
            let _ = told.await;
            tokio::time::sleep(PATIENCE).await;
        } => End::Stopped,
    };
    notify(&[NotifyState::Stopping]);
    ends.close();
    if let Some(telling) = telling {
        telling.abort();
    }
    let served = tokio::time::timeout(LAST_ANSWER, &mut serving).await;
    if served.is_err() {
        tracing::warn!("clients that did not go on were cut off");
        serving.abort();
    }
    agent.resolver.stop().await;
    // The next agent makes it anew; until then it says that there is no agent.
    let _ = fs::remove_file(server::socket_path(&config.run_dir));
    match end {
        End::Stopped => tracing::info!("stopped; the datapath goes on"),
        End::Down => tracing::info!("everything undone"),
    }
    Ok(())
}

/// What ends when the agent stops.
#[derive(Clone)]
struct Ends {
    walks: Stop,
    socket: Arc<Notify>,
    events: EventLog,
    drops: DropLog,
}

impl Ends {
    fn close(&self) {
        self.walks.ask();
        self.socket.notify_one();
        self.events.close();
        self.drops.close();
    }
}

/// Begins to tell of drops; without that the agent is whole in all else.
fn drop_reader(agent: &mut Agent<HostKernel>, drops: &DropLog) -> Option<JoinHandle<()>> {
    match agent.control.kernel().bpf().drop_events() {
        Ok(events) => {
            let state = agent.control.store().state();
            Some(tokio::spawn(report::tell_drops(
                events,
                drops.clone(),
                state,
            )))
        }
        Err(error) => {
            tracing::error!(%error, "drops are counted, but not told one by one");
            None
        }
    }
}

/// Opens store and host, brings the host to what it should be, starts the DNS server.
async fn open(
    config: &Config,
) -> Result<(Agent<HostKernel>, mpsc::Receiver<Event>), anyhow::Error> {
    let began = Instant::now();
    let (store, stored) = open_store(&config.state_dir)?;
    let reading = began.elapsed();
    let (kernel, report) = HostKernel::open(&HostOptions {
        run_dir: config.run_dir.clone(),
        bpffs: config.bpffs.clone(),
        uplinks: config.uplinks.clone(),
        log: config.log_level == LogLevel::Trace,
    })?;
    tracing::info!("maps and programs: {report}");
    let process = Process {
        version: report::version(),
        hook: if report.tcx { "tcx" } else { "clsact" }.to_owned(),
        run_dir: config.run_dir.clone(),
        state_dir: config.state_dir.clone(),
        bpffs: config.bpffs.clone(),
    };
    // From before the first look on, so that nothing is missed between look and listening.
    let events = kernel.events().context("netlink events")?;
    let Stored {
        networks,
        sandboxes,
        endpoints,
        creations,
        meta,
        boot: former,
    } = stored;
    let began = Instant::now();
    let (known, living) = (networks.len(), sandboxes.len());
    let state = State::from_records(meta, networks, sandboxes, endpoints)
        .with_context(|| format!("{}", config.state_dir.display()))?;
    let milliseconds = (reading + began.elapsed()).as_secs_f64() * 1e3;
    tracing::info!("read {known} networks and {living} sandboxes, milliseconds={milliseconds:.3}");
    let table = Table::new();
    let log = EventLog::new(state.revision());
    let namespaces = places::directory(&config.run_dir);
    let mut control = Control::new(Parts {
        store: Shown::new(store, state.clone()),
        state,
        kernel,
        ids: Box::new(RandomIds),
        settings: settings(config),
        table: table.clone(),
        namespaces: namespaces.clone(),
        upstreams: config.dns_upstreams.clone(),
        events: log,
    });
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("boot id")?;
    if !former.is_empty() && former != boot.trim() {
        tracing::info!("the host was booted since: namespaces are made again");
        control.forget_joined(unix_now())?;
    }
    control.store().store.set_boot(boot.trim())?;
    let done = control.start(unix_now()).await?;
    tracing::info!(steps = done.done.len(), "the host is as it should be");
    // Only now: until its successor was there, an older program carried the packets.
    if let Err(error) = control.kernel().bpf().remove_older_versions() {
        tracing::warn!(%error, "pins of an older version are left");
    }
    let mut resolver = Resolver::new(namespaces.join("resolver"), table);
    resolver.keep();
    let run_dir = config.run_dir.clone();
    let agent = Agent {
        control,
        creations,
        resolver,
        process,
        describe: Box::new(move |kernel, state| host_report(kernel, state, &run_dir)),
        ready: Instant::now(),
    };
    Ok((agent, events))
}

fn open_store(state_dir: &Path) -> Result<(Store, Stored), anyhow::Error> {
    let (store, stored) = Store::open(state_dir)?;
    fs::set_permissions(state_dir, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("{}", state_dir.display()))?;
    Ok((store, stored))
}

fn settings(config: &Config) -> Settings {
    let default = Settings::default();
    let pools: Vec<AddressPool> = config
        .address_pools
        .iter()
        .map(|pool| AddressPool {
            base: pool.base,
            size: pool.size,
        })
        .collect();
    Settings {
        bridge: config.bridge.clone(),
        default_network: config.default_network,
        address_pools: if pools.is_empty() {
            default.address_pools
        } else {
            pools
        },
        dns_fallback: if config.dns_fallback.is_empty() {
            default.dns_fallback
        } else {
            config.dns_fallback.clone()
        },
        publish_address: config.publish_address,
        icc: config.icc,
        allow_direct_routing: config.allow_direct_routing,
        flows: config.flow.settings(),
        ..default
    }
}

/// Ids from the kernel's random numbers.
struct RandomIds;

impl IdSource for RandomIds {
    fn next(&mut self) -> Id {
        let mut bytes = [0; 32];
        // Since it seeded itself at boot, getrandom(2) does not fail on the kernels that netd needs.
        getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
        Id(bytes)
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// Attached programs and changed sysctls. What cannot be read is left out and told in the log.
fn host_report(kernel: &mut HostKernel, state: &State, run_dir: &Path) -> Host {
    let programs = kernel.bpf().attached_programs().unwrap_or_else(|error| {
        tracing::warn!(%error, "attached programs are not known");
        Vec::new()
    });
    let programs = programs.iter().map(|attached| {
        let (program, target, hook) = match &attached.attachment {
            Attachment::Tc {
                link,
                hook,
                program,
            } => {
                let hook = match hook {
                    TcHook::Ingress => "ingress",
                    TcHook::Egress => "egress",
                };
                (*program, link.to_string(), hook)
            }
            Attachment::Cgroup(program) => (*program, "cgroup2".to_owned(), "cgroup"),
            Attachment::Tracepoint(program) => (*program, "kernel".to_owned(), "tracepoint"),
        };
        ProgramReport {
            program: program.name().to_owned(),
            target,
            hook: hook.to_owned(),
            link: attached.link,
            in_order: attached.in_order,
        }
    });
    Host {
        programs: programs.collect(),
        sysctls: sysctls(state, run_dir),
    }
}

/// Those of netd's bridges, and the host's own with their former values.
fn sysctls(state: &State, run_dir: &Path) -> Vec<SysctlReport> {
    let bridges = state.networks().filter_map(|network| network.bridge());
    let own = bridges.flat_map(|bridge| sysctl::of_bridge(&bridge.name));
    let own = own.filter_map(|key| {
        let value = fs::read_to_string(Path::new("/proc/sys").join(&key)).ok()?;
        let value = value.trim_end().to_owned();
        // Without IPv6 netd leaves a bridge's IPv6 sysctls as they are.
        let ours = if key.ends_with("/accept_ra") {
            "0"
        } else {
            "1"
        };
        (value == ours).then_some(SysctlReport {
            key,
            value,
            former: None,
        })
    });
    let hosts = sysctl::changes(run_dir).unwrap_or_else(|error| {
        tracing::warn!(%error, "changed sysctls are not known");
        Default::default()
    });
    let hosts = hosts.into_iter().map(|(key, change)| SysctlReport {
        key,
        value: change.ours,
        former: Some(change.former),
    });
    own.chain(hosts).collect()
}
