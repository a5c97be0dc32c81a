//! netd beside what Docker 20.10 was recorded to do (tests/fixtures/docker-20.10): its commands are
//! typed again and answers compared, sandboxes and networks with the same history are inspected and
//! compared field by field. What may differ stands in docs/differences.toml. Needs root.

mod compare;
mod differences;
mod inspect;
mod recording;
mod replay;
mod words;
