//! Why a connection's peer is refused, and how rustls carries the reason from a verifier to the caller.

use std::io;
use std::sync::Arc;

use rustls::OtherError;
use voiddht_wire::NodeId;

use crate::certificate::CertificateError;

/// Why a connection's peer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Its certificate breaks a rule.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It showed another certificate inside TLS than it pushed before.
    #[error("the certificate inside TLS is not the one that was pushed before it")]
    Swapped,
    /// It showed a chain.
    #[error("more than one certificate was shown")]
    MoreThanOneCertificate,
    /// It showed no certificate, where the policy or its own dialect demands one.
    #[error(
        "the peer showed no certificate; \
         peers of the original network are admitted only with --identity tofu"
    )]
    NoCertificate,
    /// It offered `voiddht/1`, whose peers authenticate, but showed no certificate.
    #[error("the peer speaks voiddht/1, in which both sides show a certificate, but showed none")]
    NoCertificateInV1,
    /// Someone is there, but not the node that was dialled.
    #[error("node {shown} is there instead of node {expected}")]
    OtherNode {
        /// The node that was dialled.
        expected: NodeId,
        /// The node that answered.
        shown: NodeId,
    },
    /// It does not speak `voiddht/1`, and the policy admits no other.
    #[error(
        "the peer does not speak voiddht/1; \
         peers of the original network are admitted only with --identity tofu"
    )]
    LegacyDialect,
    /// The handshake is not over, was not one of TLS 1.3, or resumed a session: the verifiers were
    /// not asked.
    #[error(
        "the handshake authenticated no peer: it is unfinished, resumed, or older than TLS 1.3"
    )]
    NothingProved,
}

impl Refusal {
    /// The reason in a failed handshake's error, if the peer broke a rule of ours rather than one
    /// of TLS.
    pub fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(OtherError(why))) => {
                why.downcast_ref().copied()
            }
            rustls::Error::NoCertificatesPresented => Some(Self::NoCertificate),
            _ => None,
        }
    }

    /// The same for the error that a stream over rustls returns.
    pub fn of_io(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().and_then(Self::of)
    }
}

/// How a verifier tells rustls.
impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        rustls::CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_again_in_whatever_rustls_wraps_around_it() {
        for refusal in [Refusal::Swapped, CertificateError::MissingId.into()] {
            let error = rustls::Error::from(refusal);
            assert_eq!(Refusal::of(&error), Some(refusal));
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(Refusal::of_io(&error), Some(refusal));
        }
        let of_tls = rustls::Error::from(rustls::CertificateError::BadSignature);
        assert_eq!(Refusal::of(&of_tls), None);
        assert_eq!(Refusal::of_io(&io::ErrorKind::TimedOut.into()), None);
        assert_eq!(Refusal::of_io(&io::Error::other("not TLS at all")), None);
    }
}
