//! What readers are shown is what is saved, also when a change failed half-way.

use std::sync::PoisonError;

use super::{CountedIds, FakeKernel, HostFacts, create, network, sandbox};
use crate::{
    daemon::{
        Control, Parts,
        shown::Shown,
        store::{Store, Stored},
    },
    dns::Table,
    frontends::api::events::EventLog,
    kernel::Kernel,
    state::{Request, Settings, State},
};

fn check<K: Kernel>(control: &mut Control<K, Shown>) {
    let shown = control.store().state();
    let shown = shown.read().unwrap_or_else(PoisonError::into_inner);
    assert!(
        *shown == *control.state(),
        "readers are shown something else"
    );
}

#[tokio::test]
async fn readers_see_what_is_saved() {
    let name = format!("netd-shown-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let (store, _) = Store::open(&directory).unwrap();
    let mut control = Control::new(Parts {
        state: State::default(),
        kernel: FakeKernel::new(HostFacts::default()),
        store: Shown::new(store, State::default()),
        ids: Box::new(CountedIds::starting_at(1)),
        settings: Settings::default(),
        table: Table::new(),
        namespaces: "/run/netd/netns".into(),
        upstreams: Vec::new(),
        events: EventLog::new(0),
    });
    control.start(7).await.unwrap();
    check(&mut control);
    let requests: [Request; 3] = [
        Request::NetworkCreate(network("app")),
        create(sandbox("a", &["app"])),
        create(sandbox("b", &["app"])),
    ];
    for request in &requests {
        control.handle(request, 7).await.unwrap();
        check(&mut control);
    }
    for step in 0..12 {
        control.kernel().failing.insert(step);
        let failed = control.handle(&create(sandbox("c", &["app"])), 7).await;
        assert!(failed.is_err(), "step {step}");
        control.kernel().failing.clear();
        check(&mut control);
    }
    let saved = control.state().clone();
    drop(control);
    let (_, stored) = Store::open(&directory).unwrap();
    let Stored {
        networks,
        sandboxes,
        endpoints,
        meta,
        ..
    } = stored;
    let reopened = State::from_records(meta, networks, sandboxes, endpoints).unwrap();
    assert!(reopened == saved, "the store has something else");
    std::fs::remove_dir_all(&directory).unwrap();
}
