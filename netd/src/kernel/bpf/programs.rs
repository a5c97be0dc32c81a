//! The loaded programs: loaded from the object and pinned, or found pinned by an agent that
//! carried the same object. What few hosts need is loaded when it is needed. Attaches nothing.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Result as Anyway;
use aya::{
    Ebpf, EbpfLoader,
    maps::MapInfo,
    programs::{
        CgroupAttachMode, CgroupSock, CgroupSockAddr, CgroupSockAddrAttachType,
        CgroupSockAttachType, ProgramError, ProgramFd, ProgramInfo, RawTracePoint, SchedClassifier,
        links::FdLink,
    },
};
use netd_common::abi::Program;

use super::{
    error::{During, failure, if_file_there},
    layout::Layout,
    log::LogReader,
    object,
    pin::{Pin, inspect},
    report::LoadedProgram,
};
use crate::kernel::KernelError;

/// Loaded when they are to be attached for the first time: most hosts have no uplink without Ethernet
/// headers, and verifying these takes as long as all others together.
const ON_DEMAND: [Program; 2] = [Program::FromUplinkL3, Program::ToUplinkL3];
/// How much of the verifier's log an error carries.
const VERIFIER_LINES: usize = 40;
/// How often a load is tried.
const LOAD_TRIES: u32 = 5;

/// A program by what it can be attached to.
pub(super) enum Handle {
    /// Of a tc hook, or tail-called from one.
    Classifier(SchedClassifier),
    /// Of a socket hook of cgroups.
    Socket(CgroupSockAddr),
    /// Of a bind hook of cgroups.
    Bind(CgroupSock),
    /// Of a tracepoint.
    Tracepoint(RawTracePoint),
}

enum Kind {
    Classifier,
    Socket(CgroupSockAddrAttachType),
    Bind(CgroupSockAttachType),
    Tracepoint,
}

fn kind(program: Program) -> Kind {
    match program {
        Program::FromEndpoint
        | Program::ToEndpoint
        | Program::FromUplink
        | Program::ToUplink
        | Program::Dns
        | Program::Icmp
        | Program::Fragments
        | Program::FromUplinkL3
        | Program::ToUplinkL3 => Kind::Classifier,
        Program::RedirectFailed => Kind::Tracepoint,
        Program::SockPostBind4 => Kind::Bind(CgroupSockAttachType::PostBind4),
        Program::SockPostBind6 => Kind::Bind(CgroupSockAttachType::PostBind6),
        Program::SockConnect4 => Kind::Socket(CgroupSockAddrAttachType::Connect4),
        Program::SockSendmsg4 => Kind::Socket(CgroupSockAddrAttachType::UDPSendMsg4),
        Program::SockRecvmsg4 => Kind::Socket(CgroupSockAddrAttachType::UDPRecvMsg4),
        Program::SockGetpeername4 => Kind::Socket(CgroupSockAddrAttachType::GetPeerName4),
        Program::SockConnect6 => Kind::Socket(CgroupSockAddrAttachType::Connect6),
        Program::SockSendmsg6 => Kind::Socket(CgroupSockAddrAttachType::UDPSendMsg6),
        Program::SockRecvmsg6 => Kind::Socket(CgroupSockAddrAttachType::UDPRecvMsg6),
        Program::SockGetpeername6 => Kind::Socket(CgroupSockAddrAttachType::GetPeerName6),
    }
}

struct Loaded {
    id: u32,
    handle: Handle,
}

/// All programs of the object, those on demand as far as they were needed.
pub(super) struct Programs {
    /// Of this object's pins.
    directory: PathBuf,
    loaded: BTreeMap<Program, Loaded>,
}

impl Programs {
    /// The programs that an agent with the same object pinned, if all are there, but for those on
    /// demand, and use the maps that are pinned now.
    pub(super) fn reopen(
        layout: &Layout,
        fingerprint: &str,
        maps: &BTreeMap<String, u32>,
    ) -> Result<Option<Programs>, KernelError> {
        let directory = layout.programs().join(fingerprint);
        for program in Program::ALL {
            let path = directory.join(program.name());
            let doing = || format!("check the pinned program {}", path.display());
            if ON_DEMAND.contains(&program) && !path.try_exists().during(doing)? {
                continue;
            }
            if !is_current(&path, program, maps).during(doing)? {
                return Ok(None);
            }
        }
        Programs::from_pins(directory).map(Some)
    }

    /// Loads the object, with maps that are pinned taken from there and others made and pinned;
    /// pins the programs. With log calls those on demand, too: their log has one reader.
    pub(super) fn load(
        layout: &Layout,
        log: bool,
        maps: impl Iterator<Item = String>,
    ) -> Result<(Programs, Option<LogReader>), KernelError> {
        let bytes = object::bytes(log);
        let mut object = prepare(layout, log, maps)?;
        let directory = layout.programs().join(object::fingerprint(bytes));
        if_file_there(fs::remove_dir_all(&directory))
            .and_then(|_| fs::create_dir(&directory))
            .during(|| format!("make {}", directory.display()))?;
        for program in Program::ALL {
            if log || !ON_DEMAND.contains(&program) {
                load_one(&mut object, program, &directory.join(program.name()))?;
            }
        }
        let reader = log.then(|| LogReader::start(&mut object)).transpose()?;
        Ok((Programs::from_pins(directory)?, reader))
    }

    /// Loads and pins a program that was not needed until now, with the maps that are pinned.
    pub(super) fn demand(&mut self, layout: &Layout, program: Program) -> Result<(), KernelError> {
        if self.loaded.contains_key(&program) {
            return Ok(());
        }
        let maps = object::map_shapes(object::bytes(false))?;
        // Others would be made, which nobody fills.
        if let Some(gone) = maps.keys().find(|map| !layout.map(map).exists()) {
            return Err(failure(
                format!("load program {}", program.name()),
                format!("the pin of map {gone} is gone; restart the agent"),
            ));
        }
        let mut object = prepare(layout, false, maps.into_keys())?;
        let path = self.directory.join(program.name());
        if_file_there(fs::remove_file(&path)).during(|| format!("clean up {}", path.display()))?;
        load_one(&mut object, program, &path)?;
        self.loaded.insert(program, open_pin(program, &path)?);
        Ok(())
    }

    /// Removes the pins of other objects' programs. What of them is attached stays attached.
    pub(super) fn forget_others(layout: &Layout, log: bool) -> Result<(), KernelError> {
        let current = object::fingerprint(object::bytes(log));
        let doing = || format!("clean up {}", layout.programs().display());
        for entry in fs::read_dir(layout.programs()).during(doing)? {
            let entry = entry.during(doing)?;
            if *entry.file_name() != *current {
                fs::remove_dir_all(entry.path()).during(doing)?;
            }
        }
        Ok(())
    }

    fn from_pins(directory: PathBuf) -> Result<Programs, KernelError> {
        let mut loaded = BTreeMap::new();
        for program in Program::ALL {
            let path = directory.join(program.name());
            if !ON_DEMAND.contains(&program) || path.exists() {
                loaded.insert(program, open_pin(program, &path)?);
            }
        }
        Ok(Programs { directory, loaded })
    }

    /// The kernel's id of a program, if it is loaded.
    pub(super) fn id(&self, program: Program) -> Option<u32> {
        self.loaded.get(&program).map(|loaded| loaded.id)
    }

    /// For the array of tail calls.
    pub(super) fn fd(&self, program: Program) -> Result<&ProgramFd, KernelError> {
        let fd = match &self.one(program)?.handle {
            Handle::Classifier(classifier) => classifier.fd(),
            Handle::Socket(socket) => socket.fd(),
            Handle::Bind(bind) => bind.fd(),
            Handle::Tracepoint(tracepoint) => tracepoint.fd(),
        };
        fd.during(|| format!("use program {}", program.name()))
    }

    /// A program that can be attached to a link.
    pub(super) fn classifier(
        &mut self,
        program: Program,
    ) -> Result<&mut SchedClassifier, KernelError> {
        match self.loaded.get_mut(&program).map(|one| &mut one.handle) {
            Some(Handle::Classifier(classifier)) => Ok(classifier),
            _ => Err(wrong_hook(program, "a link")),
        }
    }

    /// Attaches a program to a cgroup.
    pub(super) fn attach_to_cgroup(&mut self, program: Program, root: File) -> Anyway<FdLink> {
        let mode = CgroupAttachMode::Single;
        match self.loaded.get_mut(&program).map(|one| &mut one.handle) {
            Some(Handle::Socket(socket)) => {
                let id = socket.attach(root, mode)?;
                Ok(socket.take_link(id)?.try_into()?)
            }
            Some(Handle::Bind(bind)) => {
                let id = bind.attach(root, mode)?;
                Ok(bind.take_link(id)?.try_into()?)
            }
            _ => Err(wrong_hook(program, "a cgroup").into()),
        }
    }

    /// Attaches a program to the tracepoint of that name.
    pub(super) fn attach_to_tracepoint(&mut self, program: Program, name: &str) -> Anyway<FdLink> {
        match self.loaded.get_mut(&program).map(|one| &mut one.handle) {
            Some(Handle::Tracepoint(tracepoint)) => {
                let id = tracepoint.attach(name)?;
                Ok(tracepoint.take_link(id)?.into())
            }
            _ => Err(wrong_hook(program, "a tracepoint").into()),
        }
    }

    /// What the kernel says of each.
    pub(super) fn list(&self) -> Result<Vec<LoadedProgram>, KernelError> {
        self.loaded
            .iter()
            .map(|(program, loaded)| {
                let info = match &loaded.handle {
                    Handle::Classifier(classifier) => classifier.info(),
                    Handle::Socket(socket) => socket.info(),
                    Handle::Bind(bind) => bind.info(),
                    Handle::Tracepoint(tracepoint) => tracepoint.info(),
                };
                info.map(|info| describe(*program, &info))
                    .during(|| format!("read program {}", program.name()))
            })
            .collect()
    }

    fn one(&self, program: Program) -> Result<&Loaded, KernelError> {
        self.loaded
            .get(&program)
            .ok_or_else(|| wrong_hook(program, "anything"))
    }
}

fn describe(program: Program, info: &ProgramInfo) -> LoadedProgram {
    LoadedProgram {
        program,
        id: info.id(),
        tag: format!("{:016x}", info.tag()),
        verified_instructions: info.verified_instruction_count(),
        jited_octets: info.size_jitted(),
    }
}

fn wrong_hook(program: Program, what: &str) -> KernelError {
    failure(
        format!("attach program {}", program.name()),
        format!("it cannot be attached to {what}"),
    )
}

/// Takes the maps that are pinned, makes and pins the others; loads no program.
fn prepare(
    layout: &Layout,
    log: bool,
    maps: impl Iterator<Item = String>,
) -> Result<Ebpf, KernelError> {
    let names: Vec<String> = maps.collect();
    let mut loader = EbpfLoader::new();
    for name in &names {
        loader.map_pin_path(name, layout.map(name));
    }
    loader
        .load(object::bytes(log))
        .during(|| "create the BPF maps and prepare the programs".into())
}

fn load_one(object: &mut Ebpf, program: Program, path: &Path) -> Result<(), KernelError> {
    let name = program.name();
    let doing = || format!("load program {name}");
    let found = object
        .program_mut(name)
        .ok_or_else(|| failure(doing(), "the embedded object does not have it"))?;
    match kind(program) {
        Kind::Classifier => {
            let classifier: &mut SchedClassifier = found.try_into().during(doing)?;
            patiently(|| classifier.load()).during(doing)?;
            classifier.pin(path).during(doing)
        }
        Kind::Socket(_) => {
            let socket: &mut CgroupSockAddr = found.try_into().during(doing)?;
            patiently(|| socket.load()).during(doing)?;
            socket.pin(path).during(doing)
        }
        Kind::Bind(_) => {
            let bind: &mut CgroupSock = found.try_into().during(doing)?;
            patiently(|| bind.load()).during(doing)?;
            bind.pin(path).during(doing)
        }
        Kind::Tracepoint => {
            let tracepoint: &mut RawTracePoint = found.try_into().during(doing)?;
            patiently(|| tracepoint.load()).during(doing)?;
            tracepoint.pin(path).during(doing)
        }
    }
}

/// The verifier gives up with EAGAIN when a signal is pending (`do_check` in
/// kernel/bpf/verifier.c); libbpf tries five times as well, aya does not.
fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> anyhow::Result<()> {
    for _ in 1..LOAD_TRIES {
        match load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.raw_os_error() == Some(libc::EAGAIN) => {}
            done => return done.map_err(shortened),
        }
    }
    load().map_err(shortened)
}

/// The verifier may say megabytes; its last lines say what was wrong.
fn shortened(error: ProgramError) -> anyhow::Error {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        return error.into();
    };
    let log = verifier_log.to_string();
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.len().saturating_sub(VERIFIER_LINES);
    let end = lines.get(last..).unwrap_or_default().join("\n");
    anyhow::anyhow!("the kernel refused it: {io_error}; the verifier's last lines:\n{end}")
}

fn open_pin(program: Program, path: &Path) -> Result<Loaded, KernelError> {
    from_pin(program, path).during(|| format!("open the pinned program {}", path.display()))
}

fn from_pin(program: Program, path: &Path) -> anyhow::Result<Loaded> {
    let (info, handle) = match kind(program) {
        Kind::Classifier => {
            let classifier = SchedClassifier::from_pin(path)?;
            (classifier.info()?, Handle::Classifier(classifier))
        }
        Kind::Socket(attach_type) => {
            let socket = CgroupSockAddr::from_pin(path, attach_type)?;
            (socket.info()?, Handle::Socket(socket))
        }
        Kind::Bind(attach_type) => {
            let bind = CgroupSock::from_pin(path, attach_type)?;
            (bind.info()?, Handle::Bind(bind))
        }
        Kind::Tracepoint => {
            let tracepoint = RawTracePoint::from_pin(path)?;
            (tracepoint.info()?, Handle::Tracepoint(tracepoint))
        }
    };
    Ok(Loaded {
        id: info.id(),
        handle,
    })
}

/// Whether the pin is this program, and every map it uses that has the name of a pinned map is
/// that map.
fn is_current(path: &Path, program: Program, maps: &BTreeMap<String, u32>) -> anyhow::Result<bool> {
    match inspect(path) {
        Ok(Some(Pin::Program { .. })) => {}
        Ok(_) => return Ok(false),
        // Something that is no BPF object: loading anew clears the directory.
        Err(_) => return Ok(false),
    }
    let info = ProgramInfo::from_pin(path)?;
    if info.name_as_str() != Some(program.name()) {
        return Ok(false);
    }
    for id in info.map_ids()?.unwrap_or_default() {
        let used = MapInfo::from_id(id)?;
        let pinned = used.name_as_str().and_then(|name| maps.get(name));
        if pinned.is_some_and(|pinned| *pinned != id) {
            return Ok(false);
        }
    }
    Ok(true)
}
