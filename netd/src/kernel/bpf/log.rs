//! The programs' own log, of the object with log calls alone: a thread hands it to `tracing`.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use aya::Ebpf;
use aya_log::EbpfLogger;
use tracing_log::LogTracer;

use super::error::During;
use crate::kernel::KernelError;

/// How long a record may wait. The ring takes 128 KiB until then; more is lost, as logs may be.
const PERIOD: Duration = Duration::from_millis(20);

/// Ends the reading when dropped.
pub(super) struct LogReader {
    _stop: Sender<()>,
}

impl LogReader {
    /// Reads the object's log until the reader is dropped. Its programs must be loaded.
    pub(super) fn start(object: &mut Ebpf) -> Result<LogReader, KernelError> {
        let doing = || "read the log of the BPF programs".to_owned();
        let mut logger = EbpfLogger::init_with_logger(object, LogTracer::new()).during(doing)?;
        let (stop, stopped) = channel::<()>();
        thread::Builder::new()
            .name("bpf-log".into())
            .spawn(move || {
                while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                    logger.flush();
                }
            })
            .during(doing)?;
        Ok(LogReader { _stop: stop })
    }
}
