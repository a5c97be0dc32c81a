//! How long tests wait for what has to happen: longer where the machine is emulated. Says nothing about
//! how long nothing may happen.

use std::{sync::OnceLock, time::Duration};

/// Asks for so many times the usual patience.
const VARIABLE: &str = "PATIENCE";

/// A limit for what has to happen, as `PATIENCE` stretches it.
pub fn patient(limit: Duration) -> Duration {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let factor = FACTOR.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{VARIABLE} is a number, not {text:?}")),
        Err(_) => 1,
    });
    limit * *factor
}
