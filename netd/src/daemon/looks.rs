//! What people look at of the datapath: read, and put into the API's words, on the caller's thread. Waits
//! for nobody, holds nobody up, and ends when the agent is to stop.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use super::{
    answer::{host_failure, monotonic_now},
    report,
};
use crate::{
    frontends::api::{ApiError, Code, door::Looks, reports::FlowReport},
    kernel::{KernelError, Reader},
    state::State,
};

/// That the agent is to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// It is.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Looks through `reader`, with the names of `state`.
pub fn looks(reader: impl Reader, state: Arc<RwLock<State>>, stop: Stop) -> Looks {
    let reader = Arc::new(reader);
    let names = {
        let state = state.clone();
        move || report::Names::of(&state.read().unwrap_or_else(PoisonError::into_inner))
    };
    let (flows, ends) = (reader.clone(), stop.clone());
    let (drops, fills) = (reader.clone(), reader);
    Looks {
        flows: Arc::new(move || {
            let mut records = flows.flows(&mut || !ends.is_asked()).map_err(failed)?;
            let names = names();
            let reports = report::flows(&mut records, &names, monotonic_now());
            written(reports.map(|report| match ends.is_asked() {
                true => Err(ApiError::stopping()),
                false => Ok(report),
            }))
        }),
        drops: Arc::new(move || {
            let records = drops.drops().map_err(failed)?;
            let state = state.read().unwrap_or_else(PoisonError::into_inner);
            Ok(report::drops(&records, &state))
        }),
        maps: Arc::new(move || {
            let fills = fills.map_fill(&mut || !stop.is_asked()).map_err(failed)?;
            Ok(report::maps(&fills))
        }),
    }
}

/// The JSON text of a [`FlowList`](crate::frontends::api::reports::FlowList), which there never is as a
/// whole.
fn written<'a>(
    reports: impl Iterator<Item = Result<FlowReport<'a>, ApiError>>,
) -> Result<Vec<u8>, ApiError> {
    let mut text = br#"{"flows":["#.to_vec();
    for (number, report) in reports.enumerate() {
        if number > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &report?)
            .map_err(|error| ApiError::new(Code::HostFailure, error.to_string()))?;
    }
    text.extend_from_slice(b"]}");
    Ok(text)
}

fn failed(error: KernelError) -> ApiError {
    match error.is_stopped() {
        true => ApiError::stopping(),
        false => host_failure(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{FlowReport, written};
    use crate::frontends::api::{ApiError, Code, reports::FlowList};

    #[test]
    fn flows_are_written_as_the_list_that_they_are() {
        let flow = FlowReport::example();
        for count in [0, 1, 3] {
            let flows = vec![flow.clone(); count];
            let text = written(flows.clone().into_iter().map(Ok)).expect("written");
            assert_eq!(text, serde_json::to_vec(&FlowList { flows }).expect("text"));
        }
        let ended = written([Ok(flow), Err(ApiError::stopping())].into_iter());
        assert_eq!(ended.map_err(|error| error.code), Err(Code::Stopping));
    }
}
