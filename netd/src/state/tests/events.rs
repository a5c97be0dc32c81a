//! Events: what Docker tells of the same history, in the same order.

use super::{Host, create, network, port, sandbox};
use crate::state::{
    Request,
    event::events,
    request::{EndpointSpec, SandboxSpec},
};

fn told(host: &mut Host, request: &Request) -> Vec<String> {
    let (_, change) = host.apply(request).unwrap();
    let text = |event: crate::state::event::Event| {
        let attributes = event.attributes.iter();
        let keep = attributes.filter(|(key, _)| *key != "sandbox");
        let attributes: Vec<String> = keep.map(|(k, v)| format!("{k}={v}")).collect();
        let names = [event.object.name(), event.action.name()].join(" ");
        assert_eq!((event.revision, event.time), (host.state.revision(), 7));
        format!("{names} {}", attributes.join(","))
    };
    let told = events(&change, &host.state, 7);
    told.into_iter().map(text).collect()
}

#[test]
fn a_life_is_told_in_order() {
    let mut host = Host::new();
    let name = |text: &str| text.to_owned();
    let made = told(&mut host, &Request::NetworkCreate(network("app")));
    assert_eq!(made, ["network create name=app,type=bridge"]);
    let wish = SandboxSpec {
        labels: [(name("tier"), name("web"))].into(),
        ..sandbox("e1", &["app"])
    };
    assert_eq!(
        told(&mut host, &create(wish)),
        [
            "sandbox create name=e1,tier=web",
            "network connect name=app,type=bridge"
        ]
    );
    let connect = Request::Connect {
        network: name("bridge"),
        sandbox: name("e1"),
        endpoint: EndpointSpec::default(),
    };
    assert_eq!(
        told(&mut host, &connect),
        ["network connect name=bridge,type=bridge"]
    );
    let publish = Request::Publish {
        sandbox: name("e1"),
        ports: vec![port(Some((80, 80)), (80, 80))],
    };
    assert_eq!(
        told(&mut host, &publish),
        ["sandbox update name=e1,tier=web"]
    );
    let disconnect = Request::Disconnect {
        network: name("bridge"),
        sandbox: name("e1"),
        force: false,
    };
    assert_eq!(
        told(&mut host, &disconnect),
        ["network disconnect name=bridge,type=bridge"]
    );
    let remove = Request::SandboxRemove {
        sandbox: name("e1"),
        force: false,
    };
    assert_eq!(
        told(&mut host, &remove),
        [
            "network disconnect name=app,type=bridge",
            "sandbox destroy name=e1,tier=web"
        ]
    );
}
