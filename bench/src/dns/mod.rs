//! Questions for names, as a load: a client that costs little and checks each answer, an upstream
//! that is never what is waited for, and the resolvers compared.

mod beds;
mod burst;
mod client;
pub mod cores;
mod message;
mod upstream;

pub use beds::{Bed, aardvark, netd};
pub use client::{Asked, Client};
pub use message::{Questions, fresh_name};
pub use upstream::Upstream;
