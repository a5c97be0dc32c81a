//! Joins an error with what was being done. Never decides whether an error matters.

use std::io;

use aya::maps::MapError;

use crate::kernel::KernelError;

/// `result.during(|| "pin FLOWS".into())`.
pub(super) trait During<T> {
    /// Names the step, only when it failed.
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, KernelError>;
}

impl<T, E: Into<anyhow::Error>> During<T> for Result<T, E> {
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, KernelError> {
        self.map_err(|source| KernelError {
            doing: doing(),
            source: source.into(),
        })
    }
}

/// An error without a cause of its own.
pub(super) fn failure(doing: impl Into<String>, why: impl std::fmt::Display) -> KernelError {
    KernelError {
        doing: doing.into(),
        source: anyhow::anyhow!("{why}"),
    }
}

/// The errno behind a map operation, where there is one.
pub(super) fn errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error(),
        MapError::IoError(error) => error.raw_os_error(),
        MapError::KeyNotFound | MapError::ElementNotFound => Some(libc::ENOENT),
        _ => None,
    }
}

/// Absence as a value: a look-up or a delete that found nothing is no error.
pub(super) fn if_there<T>(result: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same for files.
pub(super) fn if_file_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
