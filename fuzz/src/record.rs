//! Records of the store, each on a line: refused, or a state that gives them back.

use netd::{
    daemon::store::Creation,
    model::{Endpoint, Network, Sandbox},
    state::{Meta, State},
};
use serde::{Serialize, de::DeserializeOwned};

/// Whatever the store holds: no panic, and what is read is what is written.
pub fn record(bytes: &[u8]) {
    let (mut networks, mut sandboxes, mut endpoints) = (Vec::new(), Vec::new(), Vec::new());
    let mut meta = Meta::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(([kind], text)) = line.split_first_chunk() else {
            continue;
        };
        match kind {
            b'n' => networks.extend(json::<Network>(text)),
            b's' => sandboxes.extend(json::<Sandbox>(text)),
            b'e' => endpoints.extend(json::<Endpoint>(text)),
            b'm' => meta = json(text).unwrap_or(meta),
            b'c' => drop(json::<Creation>(text)),
            _ => {}
        }
    }
    let count = (networks.len(), sandboxes.len(), endpoints.len());
    match State::from_records(meta, networks, sandboxes, endpoints) {
        Ok(state) => {
            let of_state = (
                state.networks().count(),
                state.sandboxes().count(),
                state.endpoints().count(),
            );
            assert_eq!(of_state, count);
        }
        Err(contradiction) => assert!(!contradiction.to_string().is_empty()),
    }
}

fn json<T: Serialize + DeserializeOwned>(text: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(text).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    let twice = serde_json::to_vec(&again).expect("and written again");
    assert_eq!(written, twice);
    Some(read)
}
