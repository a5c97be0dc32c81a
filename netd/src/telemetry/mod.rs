//! The agent's own log. Never written to by the command line, whose messages go to stderr as they are.

use std::io;

use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// `--log-level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what changed.
    Info,
    /// And every step.
    Debug,
    /// And what the programs say about packets.
    Trace,
}

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends what is logged from now on to stderr. Once per process; a second call changes nothing.
pub fn start(level: LogLevel, format: LogFormat) {
    // systemd's journal has its own clock; a terminal does not.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let text = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false);
    let layer = match (format, journal) {
        (LogFormat::Json, _) => tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .json()
            .flatten_event(true)
            .boxed(),
        (LogFormat::Text, true) => text.without_time().with_ansi(false).boxed(),
        (LogFormat::Text, false) => {
            let terminal = io::IsTerminal::is_terminal(&io::stderr());
            text.with_ansi(terminal).boxed()
        }
    };
    let installed = registry().with(layer.with_filter(filter(level))).try_init();
    if installed.is_err() {
        tracing::debug!("a log was already set up");
    }
}

/// netd's own events and its programs' by the level; of libraries only what looks wrong, since the
/// BPF loader alone tells each relocation.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("netd", level)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::{LogLevel, filter};

    #[test]
    fn libraries_are_quiet() {
        let debug = filter(LogLevel::Debug);
        assert!(debug.would_enable("netd::daemon", &Level::DEBUG));
        assert!(debug.would_enable("netd_ebpf::programs::dns", &Level::DEBUG));
        assert!(!debug.would_enable("aya_obj::relocation", &Level::DEBUG));
        assert!(debug.would_enable("aya::bpf", &Level::WARN));
        assert!(!filter(LogLevel::Error).would_enable("aya::bpf", &Level::WARN));
    }
}
