//! Why a handshake has failed, and what the core is notified of.

use std::io;

use voiddht_core::configured::Service;
use voiddht_core::event::Undelivered;
use voiddht_identity::Refusal;
use voiddht_identity::certificate::CertificateError;
use voiddht_identity::network::{ProofError, PushError};

use super::deadlines::{CERTIFICATE_DEADLINE, TLS_DEADLINE};
use crate::service;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// This process or machine could not even try.
    #[error("no socket: {0}")]
    NoSocket(io::Error),
    /// No connection: no process listens there, or there is no route.
    #[error("{0}")]
    Unreachable(io::Error),
    /// Something else than a node listens there.
    #[error("this is not a node's port for peers, but {0}")]
    NoNode(Service),
    /// This very node listens there.
    #[error("this node itself is there")]
    OwnNode,
    /// Another process with this node's key.
    #[error("another process has this node's identity")]
    DuplicateIdentity,
    /// Too slow.
    #[error("no certificate within {CERTIFICATE_DEADLINE:?}")]
    LateCertificate,
    /// Too slow.
    #[error("no TLS handshake within {TLS_DEADLINE:?}")]
    LateTls,
    /// The other side went away.
    #[error("the connection ended during the handshake: {0}")]
    Cut(io::Error),
    /// The other side broke a rule of TLS.
    #[error("{0}")]
    Tls(io::Error),
    /// The other side is not the expected node, or did not authenticate.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// What was pushed is not a certificate of this private network.
    #[error("{0}")]
    Push(#[from] PushError),
    /// The other side did not prove that it has a secret of this private network.
    #[error("{0}")]
    Membership(#[from] ProofError),
    /// The connection ended where the other side's proof was due.
    #[error("the peer closed the connection before it proved its membership: {0}")]
    NoProof(io::Error),
    /// Too slow.
    #[error("no proof of membership within {TLS_DEADLINE:?}")]
    LateProof,
}

impl HandshakeError {
    /// What the core is notified of.
    pub(crate) fn undelivered(&self) -> Undelivered {
        match self {
            Self::NoSocket(_) => Undelivered::LocalLimit,
            Self::Unreachable(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Undelivered::Refused,
                io::ErrorKind::TimedOut => Undelivered::DialTimeout,
                _ => Undelivered::Unreachable,
            },
            Self::NoNode(service) => Undelivered::NotAPeerPort(*service),
            Self::OwnNode => Undelivered::OwnNode,
            Self::DuplicateIdentity => Undelivered::DuplicateIdentity,
            Self::LateCertificate | Self::LateTls | Self::LateProof => Undelivered::DialTimeout,
            Self::Cut(_) | Self::NoProof(_) => Undelivered::ConnectionLost,
            Self::Tls(_) => Undelivered::WrongIdentity,
            Self::Push(PushError::PublicNode) => Undelivered::PublicNetwork,
            Self::Push(PushError::OtherNetwork) | Self::Membership(_) => Undelivered::OtherNetwork,
            Self::Refused(refusal) => refused(refusal),
        }
    }

    /// Whether a service that is no node fails in this way: it waits for a request of its own protocol, or
    /// ends the connection at a ClientHello.
    pub(crate) fn may_be_no_node(&self) -> bool {
        matches!(self, Self::LateCertificate | Self::Cut(_))
    }

    /// Whether the other side broke a rule, rather than being slow or gone.
    pub(crate) fn is_violation(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Refused(_) | Self::Push(_) | Self::Membership(_))
    }
}

/// What a refused peer is, as far as its refusal tells.
fn refused(refusal: &Refusal) -> Undelivered {
    match refusal {
        Refusal::Certificate(CertificateError::IdNotKeyHash)
        | Refusal::LegacyDialect
        | Refusal::NoCertificate => Undelivered::OtherPolicy { option: "--identity tofu" },
        // A length that no certificate has: other bytes stood in its place.
        Refusal::Certificate(CertificateError::TooLong(length)) => {
            let bytes = u32::try_from(*length).unwrap_or(u32::MAX).to_be_bytes();
            Undelivered::NotAPeerPort(service::of_first_bytes(bytes))
        }
        Refusal::Certificate(CertificateError::Empty) => Undelivered::NotAPeerPort(Service::Other),
        // As long as it says it is, and no certificate: sealed, perhaps. The random bytes of a sealed one
        // may begin as DER does.
        Refusal::Certificate(
            CertificateError::NeitherPemNorDer
            | CertificateError::TrailingBytes(_)
            | CertificateError::Der(_)
            | CertificateError::NotACertificate,
        ) => Undelivered::OtherNetwork,
        _ => Undelivered::WrongIdentity,
    }
}
