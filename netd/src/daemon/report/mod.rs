//! What the agent tells of datapath and host, in the API's words. Read on request only; changes
//! nothing.

mod drop_events;
mod drops;
mod flows;
mod status;

pub use drop_events::{drop_event, tell_drops};
pub use drops::drops;
pub use flows::{Names, flows};
pub use status::{Host, Process, Standing, maps, status, version};
