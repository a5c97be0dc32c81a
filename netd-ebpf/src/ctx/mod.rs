//! What the kernel hands to a program, read and written by value. The only place besides
//! `tables.rs` with unsafe code; decides nothing.

pub mod exchange;
pub mod sock_addr;
