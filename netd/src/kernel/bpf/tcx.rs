//! tcx links (kernel 6.6 and newer): pinned, so that they outlive the agent, and updated in place,
//! so that no packet passes between the old program and the new one.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
    tc::{SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions},
};
use netd_common::abi::Program;

use super::{
    pin::{LinkState, Pin, inspect},
    programs::Programs,
};
use crate::{model::IfName, plan::TcHook};

/// `enum bpf_attach_type`: BPF_TCX_INGRESS and BPF_TCX_EGRESS.
const INGRESS: u32 = 46;
const EGRESS: u32 = 47;

/// How long a hook may take to let go of a program.
const GRACE: Duration = Duration::from_secs(2);

/// A hook of a link.
pub(super) struct Place<'a> {
    link: &'a IfName,
    ifindex: u32,
    hook: TcHook,
    program: Program,
}

impl<'a> Place<'a> {
    pub(super) fn new(link: &'a IfName, ifindex: u32, hook: TcHook, program: Program) -> Place<'a> {
        Place {
            link,
            ifindex,
            hook,
            program,
        }
    }
}

/// Asks the kernel, by a question that only kernels with tcx understand.
pub(super) fn is_supported() -> bool {
    SchedClassifier::query_tcx("lo", TcAttachType::Ingress).is_ok()
}

/// Updates the pinned link if it is at that place; else removes it (the device is gone or was made
/// anew, or has another name now) and makes one.
pub(super) fn attach(programs: &mut Programs, place: &Place<'_>, pin: &Path) -> anyhow::Result<()> {
    let wanted = programs.id(place.program);
    let classifier = programs.classifier(place.program)?;
    match inspect(pin)? {
        Some(Pin::Link(state)) if is_at(&state, place.ifindex, place.hook) => {
            if Some(state.program) != wanted {
                let old = FdLink::from(PinnedLink::from_pin(pin)?);
                let id = classifier.attach_to_link(SchedClassifierLink::try_from(old)?)?;
                // The pin keeps the link; aya would close it with the program.
                drop(classifier.take_link(id)?);
            }
            return Ok(());
        }
        Some(_) => fs::remove_file(pin)?,
        None => {}
    }
    let id = create(classifier, place)?;
    FdLink::try_from(classifier.take_link(id)?)?.pin(pin)?;
    Ok(())
}

/// A hook takes a program once, and a link whose pin was removed lets go of its program only after
/// a grace period: then wait for that.
fn create(
    classifier: &mut SchedClassifier,
    place: &Place<'_>,
) -> Result<SchedClassifierLinkId, ProgramError> {
    let end = Instant::now() + GRACE;
    loop {
        let created = classifier.attach_with_options(
            place.link.as_str(),
            attach_type(place.hook),
            TcAttachOptions::TcxOrder(order(place.program)),
        );
        match created {
            Err(ProgramError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::EEXIST) && Instant::now() < end =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            created => return created,
        }
    }
}

/// Whether a link is a tcx link of that device and hook.
pub(super) fn is_at(state: &LinkState, ifindex: u32, hook: TcHook) -> bool {
    let attach_type = match hook {
        TcHook::Ingress => INGRESS,
        TcHook::Egress => EGRESS,
    };
    state.kind == "tcx" && state.ifindex == ifindex && state.attach_type == attach_type
}

fn attach_type(hook: TcHook) -> TcAttachType {
    match hook {
        TcHook::Ingress => TcAttachType::Ingress,
        TcHook::Egress => TcAttachType::Egress,
    }
}

/// On endpoints nobody sees a packet before netd. On uplinks netd comes last: a redirect ends the
/// chain, and what others filter there must stay filtered.
fn order(program: Program) -> LinkOrder {
    match program {
        Program::FromUplink | Program::ToUplink => LinkOrder::last(),
        _ => LinkOrder::first(),
    }
}
