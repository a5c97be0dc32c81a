//! Drop events with the names of their reasons, programs, networks and sandboxes, told to who follows.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use netd_common::{
    Addr, DropReason,
    abi::{Program, drops::DropEvent},
};

use super::flows::{end, protocol};
use crate::{
    daemon::{agent::unix_now, answer::monotonic_now},
    frontends::api::drop_events::{DropEventShape, DropLog},
    kernel::bpf::DropEvents,
    state::State,
};

/// How often the ring is looked at while somebody follows.
const PAUSE: Duration = Duration::from_millis(50);
/// The same while nobody does: often enough that it does not fill, so that who comes finds it working.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// Reads events and tells them to who follows, for as long as the agent lives.
pub async fn tell_drops(mut events: DropEvents, log: DropLog, state: Arc<RwLock<State>>) {
    loop {
        let read = events.take();
        if log.is_followed() {
            let offset = unix_now().saturating_sub(monotonic_now());
            {
                let state = state.read().unwrap_or_else(PoisonError::into_inner);
                for event in read {
                    log.tell(drop_event(&event, &state, offset));
                }
            }
            tokio::time::sleep(PAUSE).await;
        } else {
            let _ = tokio::time::timeout(LONG_PAUSE, log.somebody()).await;
        }
    }
}

/// An event in the API's words. `offset`: what Unix time has more than CLOCK_MONOTONIC, in nanoseconds.
pub fn drop_event(event: &DropEvent, state: &State, offset: u64) -> DropEventShape {
    let reason = DropReason::from_number(event.reason);
    let program = Program::from_number(event.program);
    let network = match event.network {
        0 => String::new(),
        index => state
            .network_numbered(index)
            .map_or_else(|| format!("#{index}"), |network| network.name.to_string()),
    };
    let endpoint = state.endpoint_numbered(event.endpoint);
    let sandbox = endpoint.and_then(|endpoint| state.sandbox(endpoint.sandbox?));
    let has_ports = matches!(event.protocol, 1 | 6 | 17 | 58 | 132)
        && (event.source_port, event.destination_port) != ([0; 2], [0; 2]);
    let address = |address: Addr, port| {
        if event.source.is_none() && event.destination.is_none() {
            String::new()
        } else if has_ports {
            end(address, port)
        } else {
            IpAddr::from(address).to_string()
        }
    };
    DropEventShape {
        time_nano: offset.saturating_add(event.time),
        reason: reason.map_or_else(|| event.reason.to_string(), |r| r.name().to_owned()),
        explanation: reason.map_or("", DropReason::explanation).trim().to_owned(),
        program: program.map_or_else(|| event.program.to_string(), |p| p.name().to_owned()),
        network,
        sandbox: sandbox.map_or_else(String::new, |sandbox| sandbox.name.to_string()),
        ifindex: event.ifindex,
        protocol: match event.source.is_none() && event.destination.is_none() {
            true => String::new(),
            false => protocol(event.protocol).into_owned(),
        },
        source: address(event.source, event.source_port),
        destination: address(event.destination, event.destination_port),
        bytes: event.octets,
        untold: event.untold,
        missed: 0,
    }
}

#[cfg(test)]
mod tests {
    use netd_common::Addr;

    use super::{DropEvent, State, drop_event};

    #[test]
    fn events_get_their_names() {
        let event = DropEvent {
            version: 1,
            reason: 16,
            program: 1,
            protocol: 17,
            time: 5,
            network: 7,
            endpoint: 3,
            ifindex: 12,
            octets: 60,
            untold: 2,
            source_port: 5_353_u16.to_be_bytes(),
            destination_port: 53_u16.to_be_bytes(),
            source: Addr::v4([172, 18, 0, 2]),
            destination: Addr::v4([172, 18, 0, 3]),
            ..DropEvent::default()
        };
        let state = State::default();
        let shape = drop_event(&event, &state, 1_000);
        let tuple = |event: &DropEvent| {
            let shape = drop_event(event, &state, 0);
            [shape.protocol, shape.source, shape.destination]
        };
        assert_eq!(
            (
                shape.time_nano,
                shape.reason.as_str(),
                shape.network.as_str()
            ),
            (1_005, "icc-off", "#7")
        );
        assert_eq!(tuple(&event), ["udp", "172.18.0.2:5353", "172.18.0.3:53"]);
        let portless = DropEvent {
            protocol: 2,
            ..event
        };
        assert_eq!(tuple(&portless), ["2", "172.18.0.2", "172.18.0.3"]);
        let unread = DropEvent {
            reason: 999,
            source: Addr::NONE,
            destination: Addr::NONE,
            ..event
        };
        assert_eq!(tuple(&unread), ["", "", ""]);
        assert_eq!(drop_event(&unread, &state, 0).reason, "999");
    }
}
