//! Programs at their hooks: attached once, replaced without a gap, found again by their pins.
//! Which hook program belongs where is the plan's; how a hook takes it is in `tcx`, `clsact`,
//! `cgroup` and `tracepoint`.

use std::{collections::BTreeSet, fs, io, path::Path};

use nix::net::if_::if_nametoindex;

use super::{
    cgroup::Cgroup,
    clsact,
    error::{During, failure, if_file_there},
    layout::{Layout, attachment_of, pin_name},
    pin::{LinkState, Pin, inspect},
    programs::Programs,
    report::AttachedProgram,
    tcx, tracepoint,
};
use crate::{kernel::KernelError, model::IfName, plan::Attachment};

/// Which filter of clsact goes with a pin. All versions of netd use the same place for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// The one that is there.
    Any,
    /// Only one of the pinned program: a successor's stays.
    OfPin,
}

/// The hooks of this host.
pub(super) struct Hooks {
    layout: Layout,
    /// Pins of other ABI versions: their links go as their successors come.
    older: Vec<Layout>,
    tcx: bool,
}

impl Hooks {
    /// With tcx, or with clsact for kernels that have none.
    pub(super) fn new(layout: Layout, older: Vec<Layout>, tcx: bool) -> Hooks {
        Hooks { layout, older, tcx }
    }

    /// Attaches, or replaces what is attached. Attaching what is in order changes nothing.
    pub(super) fn attach(
        &self,
        programs: &mut Programs,
        attachment: &Attachment,
    ) -> Result<(), KernelError> {
        let doing = || format!("attach {}", pin_name(attachment));
        // A directory that somebody removed took its links along; they can be made again.
        self.layout.make_directories().during(doing)?;
        programs.demand(&self.layout, attachment.program())?;
        let done = match attachment {
            Attachment::Tc {
                link,
                hook,
                program,
            } => {
                let pin = self.layout.link(attachment);
                let ifindex = ifindex(link).during(doing)?;
                if self.tcx {
                    self.clear_unless_link(attachment)?;
                    let place = tcx::Place::new(link, ifindex, *hook, *program);
                    tcx::attach(programs, &place, &pin)
                } else {
                    clear_unless_program(&pin).during(doing)?;
                    let place = clsact::Place::new(link, ifindex, *hook, *program);
                    clsact::attach(programs, &place, &self.layout)
                }
            }
            Attachment::Cgroup(program) => {
                let pin = self.layout.link(attachment);
                let new = self.layout.incoming().join(pin_name(attachment));
                Cgroup::find().and_then(|root| root.attach(programs, *program, &pin, &new))
            }
            Attachment::Tracepoint(program) => {
                let pin = self.layout.link(attachment);
                let new = self.layout.incoming().join(pin_name(attachment));
                tracepoint::attach(programs, *program, &pin, &new)
            }
        };
        done.during(doing)?;
        self.remove_older(attachment).during(doing)
    }

    /// Detaches; what is not attached is success.
    pub(super) fn detach(&self, attachment: &Attachment) -> Result<(), KernelError> {
        detach_pin(&self.layout, attachment, Filter::Any)
            .during(|| format!("detach {}", pin_name(attachment)))
    }

    /// Whether the program of the loaded object is where it belongs and its pin is there. A pin that
    /// leads elsewhere, since its device is gone or has another name now, is removed: nobody would
    /// ask for it again, and the hook it may still be at would refuse the program.
    pub(super) fn attached(
        &self,
        programs: &Programs,
        attachment: &Attachment,
    ) -> Result<bool, KernelError> {
        let doing = || format!("look for {}", pin_name(attachment));
        let pin = self.layout.link(attachment);
        let Some(found) = inspect(&pin).during(doing)? else {
            return Ok(false);
        };
        match attachment {
            Attachment::Tc {
                link,
                hook,
                program,
            } => {
                let id = programs.id(*program);
                let device = ifindex(link).ok();
                let lost = match (&found, device) {
                    (Pin::Link(state), Some(device)) => !tcx::is_at(state, device, *hook),
                    (_, device) => device.is_none(),
                };
                if lost {
                    self.forget(&pin, link).during(doing)?;
                    return Ok(false);
                }
                match (found, device) {
                    (Pin::Link(state), _) => Ok(self.tcx && Some(state.program) == id),
                    (Pin::Program { id: pinned }, Some(device)) if !self.tcx => {
                        let place = clsact::Place::new(link, device, *hook, *program);
                        Ok(Some(pinned) == id && clsact::attached(&place).during(doing)? == id)
                    }
                    _ => Ok(false),
                }
            }
            Attachment::Cgroup(program) => {
                let id = programs.id(*program);
                let root = Cgroup::find().during(doing)?;
                let in_order = |state: &LinkState| Some(state.program) == id && root.is_at(state);
                Ok(matches!(found, Pin::Link(state) if in_order(&state)))
            }
            Attachment::Tracepoint(program) => {
                let id = programs.id(*program);
                let in_order =
                    |state: &LinkState| Some(state.program) == id && tracepoint::is_at(state);
                Ok(matches!(found, Pin::Link(state) if in_order(&state)))
            }
        }
    }

    /// Removes a pin, and the mark of a qdisc that went with its device.
    fn forget(&self, pin: &Path, link: &IfName) -> io::Result<()> {
        if_file_there(fs::remove_file(pin))?;
        if ifindex(link).is_err() {
            if_file_there(fs::remove_file(self.layout.qdisc(link)))?;
        }
        Ok(())
    }

    /// All attachments that have a pin, in order or not.
    pub(super) fn pinned(&self) -> Result<BTreeSet<Attachment>, KernelError> {
        pinned(&self.layout).during(|| format!("list {}", self.layout.links().display()))
    }

    /// For `netd status`.
    pub(super) fn list(&self, programs: &Programs) -> Result<Vec<AttachedProgram>, KernelError> {
        let mut list = Vec::new();
        for attachment in self.pinned()? {
            let pin = self.layout.link(&attachment);
            let found = inspect(&pin).during(|| format!("look at {}", pin.display()))?;
            let (link, program) = match found {
                Some(Pin::Link(state)) => (Some(state.id), state.program),
                Some(Pin::Program { id }) => (None, id),
                Some(Pin::Map(_)) | None => continue,
            };
            list.push(AttachedProgram {
                in_order: self.attached(programs, &attachment)?,
                attachment,
                link,
                program,
            });
        }
        Ok(list)
    }

    /// Removes what is left of other ABI versions.
    pub(super) fn remove_older_versions(&mut self) -> Result<(), KernelError> {
        for layout in self.older.drain(..) {
            remove_version(&layout, Filter::OfPin)?;
        }
        Ok(())
    }

    fn remove_older(&self, attachment: &Attachment) -> anyhow::Result<()> {
        for layout in &self.older {
            if let Attachment::Tc { link, .. } = attachment {
                clsact::take_over(link, layout, &self.layout)?;
            }
            detach_pin(layout, attachment, Filter::OfPin)?;
        }
        Ok(())
    }

    /// With tcx, a pin that is no link was left by an agent that used clsact.
    fn clear_unless_link(&self, attachment: &Attachment) -> Result<(), KernelError> {
        let pin = self.layout.link(attachment);
        let found = inspect(&pin).during(|| format!("look at {}", pin.display()))?;
        match found {
            None | Some(Pin::Link(_)) => Ok(()),
            Some(Pin::Map(_) | Pin::Program { .. }) => self.detach(attachment),
        }
    }
}

fn clear_unless_program(pin: &Path) -> anyhow::Result<()> {
    match inspect(pin)? {
        None | Some(Pin::Program { .. }) => Ok(()),
        Some(Pin::Map(_) | Pin::Link(_)) => Ok(fs::remove_file(pin)?),
    }
}

/// Detaches all that is pinned in one version's directory, and removes the directory.
pub(super) fn remove_version(layout: &Layout, filter: Filter) -> Result<(), KernelError> {
    let doing = || format!("remove {}", layout.root().display());
    for attachment in pinned(layout).during(doing)? {
        detach_pin(layout, &attachment, filter)
            .during(|| format!("detach {}", pin_name(&attachment)))?;
    }
    if_file_there(fs::remove_dir_all(layout.root())).during(doing)?;
    Ok(())
}

fn pinned(layout: &Layout) -> anyhow::Result<BTreeSet<Attachment>> {
    let Some(entries) = if_file_there(fs::read_dir(layout.links()))? else {
        return Ok(BTreeSet::new());
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(attachment_of));
    }
    Ok(found)
}

fn detach_pin(layout: &Layout, attachment: &Attachment, filter: Filter) -> anyhow::Result<()> {
    let pin = layout.link(attachment);
    if let (
        Some(Pin::Program { id }),
        Attachment::Tc {
            link,
            hook,
            program,
        },
    ) = (inspect(&pin)?, attachment)
    {
        // A link that is gone took its qdisc and filters along.
        if let Ok(ifindex) = ifindex(link) {
            let place = clsact::Place::new(link, ifindex, *hook, *program);
            if filter == Filter::Any || clsact::attached(&place)? == Some(id) {
                clsact::detach(&place, layout)?;
            }
        }
    }
    if_file_there(fs::remove_file(&pin))?;
    Ok(())
}

fn ifindex(link: &IfName) -> Result<u32, KernelError> {
    if_nametoindex(link.as_str()).map_err(|error| match error {
        nix::errno::Errno::ENODEV => failure("find the link", format!("there is no link {link}")),
        error => failure("find the link", error),
    })
}
