//! Which upstreams were silent of late: they are asked after the others, and now and then besides
//! them, so that no question waits for one that is still dead. Asks nobody itself.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::{
    limits::{MAX_SILENT, MAX_UPSTREAMS, UPSTREAM_PENALTY},
    upstreams::{Place, Upstreams},
};

/// What is remembered; an upstream may be dead for one place and alive for another.
#[derive(Debug, Default)]
pub struct Health(Mutex<HashMap<(Place, SocketAddr), Instant>>);

/// In which order upstreams are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The well ones first.
    pub servers: Vec<SocketAddr>,
    /// To be asked at once besides the first.
    pub probe: Option<SocketAddr>,
}

impl Health {
    /// The first upstreams of a set in the order to ask them now.
    pub fn order(&self, upstreams: &Upstreams, now: Instant) -> Order {
        let servers = upstreams.servers.iter().copied().take(MAX_UPSTREAMS);
        let mut order = Order {
            servers: servers.collect(),
            probe: None,
        };
        let mut silent = self.lock();
        if silent.is_empty() {
            return order;
        }
        let key = |server: &SocketAddr| (upstreams.place.clone(), *server);
        order
            .servers
            .sort_by_key(|server| silent.contains_key(&key(server)));
        // The first one is asked anyway.
        for server in order.servers.iter().skip(1) {
            if let Some(due) = silent.get_mut(&key(server)).filter(|due| **due <= now) {
                *due = now + UPSTREAM_PENALTY;
                order.probe = Some(*server);
                break;
            }
        }
        order
    }

    /// It did not answer in time, or cannot be reached.
    pub fn is_silent(&self, place: &Place, server: SocketAddr, now: Instant) {
        let mut silent = self.lock();
        if silent.len() >= MAX_SILENT {
            silent.clear();
        }
        let due = silent.entry((place.clone(), server));
        due.or_insert(now + UPSTREAM_PENALTY);
    }

    /// It answered.
    pub fn is_well(&self, place: &Place, server: SocketAddr) {
        let mut silent = self.lock();
        if !silent.is_empty() {
            silent.remove(&(place.clone(), server));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Place, SocketAddr), Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_come_last_and_are_probed_now_and_then() {
        let servers: Vec<SocketAddr> = ["192.0.2.1:53", "192.0.2.2:53"]
            .map(|text| text.parse().unwrap())
            .into();
        let upstreams = Upstreams {
            place: Place::Host,
            servers: servers.clone(),
        };
        let elsewhere = Upstreams {
            place: Place::Namespace(std::path::Path::new("/x").into()),
            ..upstreams.clone()
        };
        let order = |servers: [usize; 2], probe: Option<usize>| Order {
            servers: servers.map(|at| upstreams.servers[at]).into(),
            probe: probe.map(|at| upstreams.servers[at]),
        };
        let (health, start) = (Health::default(), Instant::now());
        assert_eq!(health.order(&upstreams, start), order([0, 1], None));
        health.is_silent(&Place::Host, servers[0], start);
        assert_eq!(health.order(&upstreams, start), order([1, 0], None));
        assert_eq!(health.order(&elsewhere, start), order([0, 1], None));
        let later = start + UPSTREAM_PENALTY;
        assert_eq!(health.order(&upstreams, later), order([1, 0], Some(0)));
        assert_eq!(health.order(&upstreams, later), order([1, 0], None), "once");
        health.is_well(&Place::Host, servers[0]);
        assert_eq!(health.order(&upstreams, later), order([0, 1], None));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (health, now) = (Health::default(), Instant::now());
        for port in 0..=MAX_SILENT as u16 {
            health.is_silent(&Place::Host, ([192, 0, 2, 1], port).into(), now);
        }
        assert!(health.lock().len() <= MAX_SILENT);
    }
}
