//! What a change tells the world: events, near Docker's in shape and order.

use std::collections::BTreeMap;

use super::{Change, change::Edit, table::State};
use crate::model::{Endpoint, Id, Network, Sandbox};

/// One thing that happened. Several of one change share its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of the change.
    pub revision: u64,
    /// Nanoseconds of Unix time.
    pub time: u64,
    /// What it happened to.
    pub object: Object,
    /// What happened.
    pub action: Action,
    /// Of the object.
    pub id: Id,
    /// `name`, `type`, `sandbox`; of sandboxes their labels, too.
    pub attributes: BTreeMap<String, String>,
}

/// What things happen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A network.
    Network,
    /// A sandbox.
    Sandbox,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Create,
    /// A sandbox was connected to the network.
    Connect,
    /// It was changed otherwise: ports were published, links ended.
    Update,
    /// A sandbox was disconnected from the network.
    Disconnect,
    /// It was removed.
    Destroy,
}

impl Object {
    /// As in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Object::Network => "network",
            Object::Sandbox => "sandbox",
        }
    }
}

impl Action {
    /// As in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Connect => "connect",
            Action::Update => "update",
            Action::Disconnect => "disconnect",
            Action::Destroy => "destroy",
        }
    }
}

/// What a change tells that was applied to `state`: what comes in the order in which it can be, what
/// goes the other way round.
pub fn events(change: &Change, state: &State, time: u64) -> Vec<Event> {
    let teller = Teller {
        change,
        state,
        time,
    };
    let (mut come, mut go) = (Vec::new(), Vec::new());
    for edit in change.networks.values() {
        teller.network(edit, &mut come, &mut go);
    }
    for edit in change.sandboxes.values() {
        teller.sandbox(edit, &mut come, &mut go);
    }
    for edit in change.endpoints.values() {
        teller.endpoint(edit, &mut come, &mut go);
    }
    go.reverse();
    go.into_iter().chain(come).collect()
}

struct Teller<'a> {
    change: &'a Change,
    state: &'a State,
    time: u64,
}

impl Teller<'_> {
    fn event(&self, object: Object, action: Action, id: Id, name: &str) -> Event {
        Event {
            revision: self.change.meta_after.revision,
            time: self.time,
            object,
            action,
            id,
            attributes: [("name".to_owned(), name.to_owned())].into(),
        }
    }

    fn about_network(&self, action: Action, network: &Network) -> Event {
        let name = network.name.as_str();
        let mut event = self.event(Object::Network, action, network.id, name);
        let driver = network.driver.name().to_owned();
        event.attributes.insert("type".to_owned(), driver);
        event
    }

    fn network(&self, edit: &Edit<Network>, come: &mut Vec<Event>, go: &mut Vec<Event>) {
        match (&edit.before, &edit.after) {
            (None, Some(network)) => come.push(self.about_network(Action::Create, network)),
            (Some(network), None) => go.push(self.about_network(Action::Destroy, network)),
            // The cursor of its addresses is nobody's business.
            (Some(before), Some(after)) if before.driver != after.driver => {
                come.push(self.about_network(Action::Update, after));
            }
            _ => {}
        }
    }

    fn sandbox(&self, edit: &Edit<Sandbox>, come: &mut Vec<Event>, go: &mut Vec<Event>) {
        let about = |action, sandbox: &Sandbox| {
            let name = sandbox.name.as_str();
            let mut event = self.event(Object::Sandbox, action, sandbox.id, name);
            let labels = sandbox.labels.clone();
            event.attributes = labels.into_iter().chain(event.attributes).collect();
            event
        };
        match (&edit.before, &edit.after) {
            (None, Some(sandbox)) => come.push(about(Action::Create, sandbox)),
            (Some(sandbox), None) => go.push(about(Action::Destroy, sandbox)),
            // Connecting counts its interfaces, which is told as a connection.
            (Some(before), Some(after)) => {
                let counted = Sandbox {
                    next_interface: after.next_interface,
                    ..before.clone()
                };
                if counted != *after {
                    come.push(about(Action::Update, after));
                }
            }
            (None, None) => {}
        }
    }

    fn endpoint(&self, edit: &Edit<Endpoint>, come: &mut Vec<Event>, go: &mut Vec<Event>) {
        let about = |action, endpoint: &Endpoint| {
            let edited = self.change.networks.get(&endpoint.network);
            let network = (self.state.network(endpoint.network))
                .or_else(|| edited.and_then(|edit| edit.before.as_ref()))?;
            let mut event = self.about_network(action, network);
            let sandbox = endpoint.sandbox?.to_string();
            event.attributes.insert("sandbox".to_owned(), sandbox);
            Some(event)
        };
        match (&edit.before, &edit.after) {
            (None, Some(endpoint)) => come.extend(about(Action::Connect, endpoint)),
            (Some(endpoint), None) => go.extend(about(Action::Disconnect, endpoint)),
            _ => {}
        }
    }
}
