//! Bodies of requests: read, checked, carried out on a state of their own.

use std::fmt::Debug;

use netd::{
    frontends::api::{
        network_request::{ConnectRequest, DisconnectRequest, NetworkCreate},
        prune_request::PruneRequest,
        sandbox_request::{PublishRequest, SandboxCreate, UnpublishRequest},
    },
    model::{HostFacts, Id},
    state::{Context, IdSource, Request, Settings, State},
};
use serde::{Serialize, de::DeserializeOwned};

/// Ids by number.
#[derive(Default)]
struct Counted(u8);

impl IdSource for Counted {
    fn next(&mut self) -> Id {
        self.0 = self.0.wrapping_add(1);
        let text = format!("{:02x}", self.0).repeat(32);
        text.parse().expect("an id")
    }
}

/// A host with a network `app` and a sandbox `web` on it.
struct Host {
    state: State,
    ids: Counted,
}

impl Host {
    fn new() -> Host {
        let mut host = Host {
            state: State::default(),
            ids: Counted::default(),
        };
        host.with_context(|state, context| state.predefine(context).map(|_| ()))
            .expect("predefined networks");
        for (which, body) in [
            (0, &br#"{"name":"app","ipv6":true}"#[..]),
            (3, br#"{"name":"web","networks":[{"network":"app"}]}"#),
        ] {
            let request = read(which, body).expect("a good body");
            assert!(host.carry_out(&request), "{request:?}");
        }
        host
    }

    /// A refusal changes nothing.
    fn carry_out(&mut self, request: &Request) -> bool {
        let before = self.state.clone();
        let done = self.with_context(|state, context| state.apply(request, context).map(|_| ()));
        if let Err(refusal) = &done {
            assert!(!refusal.to_string().is_empty());
            assert_eq!(self.state, before, "{refusal} of {request:?}");
        }
        done.is_ok()
    }

    fn with_context<T>(&mut self, job: impl FnOnce(&mut State, &mut Context) -> T) -> T {
        let mut context = Context {
            now: 1,
            ids: &mut self.ids,
            facts: &HostFacts::default(),
            settings: &Settings::default(),
            without_ipv6: false,
        };
        job(&mut self.state, &mut context)
    }
}

/// What is read says the same when it is written; what is carried out contradicts nothing.
pub fn request(bytes: &[u8]) {
    let Some(([which], body)) = bytes.split_first_chunk() else {
        return;
    };
    let Some(request) = read(*which, body) else {
        return;
    };
    let mut host = Host::new();
    // Twice: the second meets the first.
    for _ in 0..2 {
        host.carry_out(&request);
    }
    let state = &host.state;
    let records = State::from_records(
        state.meta().clone(),
        state.networks().cloned(),
        state.sandboxes().cloned(),
        state.endpoints().cloned(),
    );
    let read = records.unwrap_or_else(|contradiction| panic!("{contradiction} of {request:?}"));
    assert_eq!(read, *state);
}

fn read(which: u8, body: &[u8]) -> Option<Request> {
    let app = || "app".to_owned();
    let web = || "web".to_owned();
    match which % 7 {
        0 => {
            let spec = json::<NetworkCreate>(body)?.check().ok()?;
            Some(Request::NetworkCreate(spec))
        }
        1 => {
            let body = json::<ConnectRequest>(body)?;
            Some(Request::Connect {
                network: app(),
                sandbox: body.sandbox,
                endpoint: body.endpoint.check().ok()?,
            })
        }
        2 => {
            let body = json::<DisconnectRequest>(body)?;
            Some(Request::Disconnect {
                network: app(),
                sandbox: body.sandbox,
                force: body.force,
            })
        }
        3 => {
            let (spec, _) = json::<SandboxCreate>(body)?.check().ok()?;
            Some(Request::SandboxCreate(Box::new(spec)))
        }
        4 => Some(Request::Publish {
            sandbox: web(),
            ports: json::<PublishRequest>(body)?.check().ok()?,
        }),
        5 => Some(Request::Unpublish {
            sandbox: web(),
            ports: json::<UnpublishRequest>(body)?.check().ok()?,
        }),
        _ => Some(Request::NetworkPrune(json::<PruneRequest>(body)?.check())),
    }
}

fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(body: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(body).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(read, again);
    Some(read)
}
