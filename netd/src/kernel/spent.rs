//! How long the host was waited for, by kind of call. Measured where the calls are made; decides
//! nothing, and is told with the answer to each change.

use std::time::{Duration, Instant};

use crate::plan::{Action, Key, Place};

/// Sums since the kernel layer was opened, or between two looks at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Links, addresses, routes, neighbours: netlink requests until their answers.
    pub netlink: Duration,
    /// Namespaces made, opened, entered and left, and sysctls inside them.
    pub namespaces: Duration,
    /// `bpf(2)` and the files of bpffs.
    pub bpf: Duration,
    /// Other files: the host's sysctls, sandboxes' files.
    pub files: Duration,
}

/// Which of the sums a call belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Netlink,
    Namespaces,
    Bpf,
    Files,
}

impl Spent {
    /// What was added since an earlier look.
    pub fn since(self, earlier: Spent) -> Spent {
        Spent {
            netlink: self.netlink.saturating_sub(earlier.netlink),
            namespaces: self.namespaces.saturating_sub(earlier.namespaces),
            bpf: self.bpf.saturating_sub(earlier.bpf),
            files: self.files.saturating_sub(earlier.files),
        }
    }

    fn add(&mut self, kind: Kind, duration: Duration) {
        *match kind {
            Kind::Netlink => &mut self.netlink,
            Kind::Namespaces => &mut self.namespaces,
            Kind::Bpf => &mut self.bpf,
            Kind::Files => &mut self.files,
        } += duration;
    }
}

/// Reads the clock only where the kind changes: thousands of map entries are one stretch.
pub(super) struct Meter {
    kind: Kind,
    since: Instant,
}

impl Meter {
    /// Begins a stretch.
    pub(super) fn start(kind: Kind) -> Meter {
        Meter {
            kind,
            since: Instant::now(),
        }
    }

    /// The next call is of this kind.
    pub(super) fn turn(&mut self, kind: Kind, spent: &mut Spent) {
        if kind != self.kind {
            let now = Instant::now();
            spent.add(self.kind, now - self.since);
            *self = Meter { kind, since: now };
        }
    }

    /// Ends the last stretch.
    pub(super) fn stop(self, spent: &mut Spent) {
        spent.add(self.kind, self.since.elapsed());
    }
}

pub(super) fn of_key(key: &Key) -> Kind {
    match key {
        Key::Namespace(_) => Kind::Namespaces,
        Key::Link(..) | Key::Fdb(..) | Key::Neighbour(..) | Key::Route(..) => Kind::Netlink,
        Key::Sysctl(place, _) => of_sysctl(*place),
        Key::Files(_) => Kind::Files,
        Key::Attachment(_) | Key::Entry(_) => Kind::Bpf,
    }
}

pub(super) fn of_action(action: &Action) -> Kind {
    match action {
        Action::MakeNamespace(_) | Action::JoinNamespace { .. } | Action::RemoveNamespace(_) => {
            Kind::Namespaces
        }
        Action::SetSysctl { place, .. } => of_sysctl(*place),
        Action::WriteFiles(_) | Action::RemoveFiles(_) => Kind::Files,
        Action::Attach(_)
        | Action::Detach(_)
        | Action::Put(_)
        | Action::Delete(_)
        | Action::EndFlows(_) => Kind::Bpf,
        Action::CreateBridge { .. }
        | Action::CreateVeth { .. }
        | Action::CreateVlan { .. }
        | Action::CreateDummy { .. }
        | Action::CreateMacvlan { .. }
        | Action::DeleteLink { .. }
        | Action::SetMaster { .. }
        | Action::SetUp { .. }
        | Action::SetMtu { .. }
        | Action::SetMac { .. }
        | Action::ClosePort(_)
        | Action::AddAddress { .. }
        | Action::RemoveAddress { .. }
        | Action::AddRoute { .. }
        | Action::RemoveRoute { .. }
        | Action::AddNeighbour { .. }
        | Action::RemoveNeighbour { .. }
        | Action::AddFdb { .. } => Kind::Netlink,
    }
}

fn of_sysctl(place: Place) -> Kind {
    match place {
        Place::Host => Kind::Files,
        Place::Sandbox(_) | Place::Resolver => Kind::Namespaces,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_go_to_their_kinds() {
        let mut spent = Spent::default();
        let start = Instant::now() - Duration::from_secs(5);
        let mut meter = Meter {
            kind: Kind::Netlink,
            since: start,
        };
        meter.turn(Kind::Netlink, &mut spent);
        assert_eq!((meter.since, spent), (start, Spent::default()));
        meter.turn(Kind::Bpf, &mut spent);
        assert!(spent.netlink >= Duration::from_secs(5));
        meter.since = start;
        meter.stop(&mut spent);
        assert!(spent.bpf >= Duration::from_secs(5));
        let more = Spent {
            files: Duration::from_secs(1),
            ..spent
        };
        let added = Spent {
            files: Duration::from_secs(1),
            ..Spent::default()
        };
        assert_eq!(more.since(spent), added);
        assert_eq!(spent.since(more), Spent::default());
    }
}
