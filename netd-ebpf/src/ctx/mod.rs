//! What the kernel hands to a program, read and written by value. The only place besides
//! `tables.rs` with unsafe code; decides nothing.

pub mod bind;
pub mod counter;
pub mod dial;
pub mod events;
pub mod exchange;
pub mod fib;
pub mod handover;
pub mod parking;
pub mod quote;
pub mod skb;
pub mod sock_addr;
pub mod sockets;
pub mod work;
