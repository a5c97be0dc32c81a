//! Names answered in the datapath (design journey 8): what a question asks, the answer to it, and
//! where 127.0.0.11 really is. Plain functions over fixed arrays, so that BPF and host run the same;
//! never answers what it does not know for certain: that goes to the agent, which knows all of it.

pub mod answer;
pub mod datagram;
pub mod exchange;
pub mod message;
pub mod onward;
pub mod question;
pub mod stub;

pub use datagram::{Datagram, Turn};
pub use exchange::{Exchange, Names};
pub use question::Question;

#[cfg(test)]
mod tests;
