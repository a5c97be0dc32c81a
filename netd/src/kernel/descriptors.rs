//! How many files the process may have open. Changes its own limit, nothing of the host's.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that the agent asks for: 2,000 forwarded questions with a few sockets each, clients'
/// connections, pins and namespaces, doubled. Shells and old units give 1,024.
const WANTED: u64 = 16_384;

/// Raises the soft limit as far as it is needed and the hard limit allows; the limit then.
pub fn raise_limit() -> Result<u64, nix::Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = WANTED.min(hard);
    if soft >= wanted {
        return Ok(soft);
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let after = raise_limit().unwrap();
        assert_eq!(after, before.max(WANTED.min(hard)));
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (after, hard));
    }
}
