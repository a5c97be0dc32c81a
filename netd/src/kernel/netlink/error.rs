//! What can go wrong on a netlink socket.

use std::io;

use nix::errno::Errno;
use rtnetlink::packet_core::NlasIterator;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused it.
    #[error("{}{}", .errno.desc(), .reason.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Why.
        errno: Errno,
        /// The kernel's own words (extended acknowledgement), where it has any.
        reason: Option<String>,
    },
    /// The socket failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// The kernel's answer is not understood.
    #[error("netlink answer not understood: {0}")]
    Answer(String),
    /// There is no message for what was asked: addresses of two families in one route, say.
    #[error("not expressible: {0}")]
    Inexpressible(String),
    /// A list changed under each of the attempts to read it.
    #[error("the list kept changing while it was read")]
    Interrupted,
    /// The link is not netd's, so it is left alone.
    #[error("interface {0} exists and is not netd's")]
    NotOurs(String),
    /// There is no such link.
    #[error("interface {0} does not exist")]
    NoLink(String),
}

impl NetlinkError {
    /// The kernel's reason, where it is the kernel that refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            NetlinkError::Refused { errno, .. } => Some(*errno),
            NetlinkError::Socket(error) => error.raw_os_error().map(Errno::from_raw),
            NetlinkError::Answer(_)
            | NetlinkError::Inexpressible(_)
            | NetlinkError::Interrupted
            | NetlinkError::NotOurs(_)
            | NetlinkError::NoLink(_) => None,
        }
    }

    /// From an NLMSG_ERROR with a code: `rest` is what follows the code, which is the header of
    /// the request alone (NETLINK_CAP_ACK) and then attributes (NETLINK_EXT_ACK).
    pub(super) fn refused(code: i32, rest: &[u8]) -> NetlinkError {
        const REQUEST_HEADER: usize = 16;
        const NLMSGERR_ATTR_MSG: u16 = 1;
        let attributes = rest.get(REQUEST_HEADER..).unwrap_or_default();
        let reason = NlasIterator::new(attributes)
            .filter_map(Result::ok)
            .find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)
            .map(|attribute| {
                String::from_utf8_lossy(attribute.value())
                    .trim_end_matches('\0')
                    .to_owned()
            });
        NetlinkError::Refused {
            errno: Errno::from_raw(code.saturating_abs()),
            reason,
        }
    }
}

/// Turns the errors that mean "it is so already" into success.
pub(super) trait Idempotent {
    /// `Ok(())` if it succeeded or failed with one of `fine`.
    fn or_fine(self, fine: &[Errno]) -> Result<(), NetlinkError>;
}

impl Idempotent for Result<(), NetlinkError> {
    fn or_fine(self, fine: &[Errno]) -> Result<(), NetlinkError> {
        match self {
            Err(error) if error.errno().is_some_and(|errno| fine.contains(&errno)) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_acknowledgement_is_told() {
        let mut rest = vec![0; 16];
        rest.extend_from_slice(&[9, 0, 1, 0]);
        rest.extend_from_slice(b"bad!\0\0\0\0");
        let error = NetlinkError::refused(-22, &rest);
        assert_eq!(error.to_string(), "Invalid argument (bad!)");
        assert_eq!(error.errno(), Some(Errno::EINVAL));
    }

    #[test]
    fn short_or_odd_errors_do_not_panic() {
        for rest in [&[][..], &[0; 7][..], &[0xff; 33][..]] {
            assert_eq!(
                NetlinkError::refused(i32::MIN, rest).errno(),
                Some(Errno::UnknownErrno)
            );
        }
    }

    #[test]
    fn fine_errors_are_success() {
        let exists = || Err(NetlinkError::refused(-17, &[]));
        assert!(exists().or_fine(&[Errno::EEXIST]).is_ok());
        assert!(exists().or_fine(&[Errno::ENOENT]).is_err());
    }
}
