//! The peer that a finished handshake authenticated, or why it authenticated none.
//!
//! Only the two functions here construct a [`ProvedPeer`]. They rely on the verifiers of
//! [`crate::tls`], and check again for signs that those were skipped: an unfinished handshake, a
//! resumed session, an older protocol.

use std::io;
use std::sync::Arc;

use rustls::{
    ClientConnection, CommonState, HandshakeKind, OtherError, ProtocolVersion, ServerConnection,
};
use voiddht_core::peer::Peer;
use voiddht_wire::peer::Dialect;
use voiddht_wire::{NodeId, PeerAddress};

use crate::certificate::{Certificate, CertificateError};
use crate::identity::Identity;
use crate::policy::Policy;
use crate::tls::ALPN;

/// A peer whose certificate TLS has authenticated: form, own signature, policy, and possession of
/// the key.
#[derive(Clone, Debug)]
pub struct ProvedPeer {
    certificate: Certificate,
    dialect: Dialect,
}

/// The peer that opened a connection to this node.
#[derive(Clone, Debug)]
pub enum AcceptedPeer {
    /// A node that has authenticated.
    Proved(ProvedPeer),
    /// A client without a certificate, as peers of the original network are. Only where trust is on
    /// first use. It speaks the legacy dialect, and what it says of itself is only a hint.
    Unproved,
}

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

/// The proof behind a connection that this node dialled. `pushed` is what the server pushed, and
/// what the connection was configured with by [`crate::client_config`].
///
/// # Errors
/// Why nothing is proved.
pub fn dialed_peer(
    connection: &ClientConnection,
    pushed: &Certificate,
    identity: &Identity,
) -> Result<ProvedPeer, Refusal> {
    check_handshake(connection)?;
    pushed.check_policy(identity.policy())?;
    match connection.peer_certificates() {
        Some([shown]) if shown == pushed.der() => {}
        Some([_]) => return Err(Refusal::Swapped),
        Some([_, _, ..]) => return Err(Refusal::MoreThanOneCertificate),
        Some([]) | None => return Err(Refusal::NoCertificate),
    }
    pushed.check_self_signature()?;
    let dialect = dialect(connection, identity.policy())?;
    Ok(ProvedPeer { certificate: pushed.clone(), dialect })
}

/// The proof behind a connection that this node accepted with [`crate::server_config`]. `now` is in
/// seconds since 1970.
///
/// # Errors
/// Why nothing is proved.
pub fn accepted_peer(
    connection: &ServerConnection,
    identity: &Identity,
    now: u64,
) -> Result<AcceptedPeer, Refusal> {
    check_handshake(connection)?;
    let shown = match connection.peer_certificates() {
        Some([shown]) => shown,
        Some([_, _, ..]) => return Err(Refusal::MoreThanOneCertificate),
        Some([]) | None => return unproved(connection, identity.policy()),
    };
    // The verifier has checked these very bytes, the signature among them.
    let certificate = Certificate::parse_der(shown, identity.policy(), now)?;
    let dialect = dialect(connection, identity.policy())?;
    Ok(AcceptedPeer::Proved(ProvedPeer { certificate, dialect }))
}

fn unproved(connection: &CommonState, policy: Policy) -> Result<AcceptedPeer, Refusal> {
    match (policy, connection.alpn_protocol()) {
        (_, Some(ALPN)) => Err(Refusal::NoCertificateInV1),
        (Policy::SelfCertifying, _) => Err(Refusal::NoCertificate),
        (Policy::Tofu, _) => Ok(AcceptedPeer::Unproved),
    }
}

fn check_handshake(connection: &CommonState) -> Result<(), Refusal> {
    let full = matches!(
        connection.handshake_kind(),
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
    );
    let version = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    if full && version && !connection.is_handshaking() {
        Ok(())
    } else {
        Err(Refusal::NothingProved)
    }
}

fn dialect(connection: &CommonState, policy: Policy) -> Result<Dialect, Refusal> {
    match (connection.alpn_protocol(), policy) {
        (Some(ALPN), _) => Ok(Dialect::V1),
        (_, Policy::Tofu) => Ok(Dialect::Legacy),
        (_, Policy::SelfCertifying) => Err(Refusal::LegacyDialect),
    }
}

impl ProvedPeer {
    /// The peer's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The peer's ID.
    pub fn node_id(&self) -> NodeId {
        self.certificate.node_id()
    }

    /// What is spoken on this connection.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The peer as the core knows it; `remote` is where its packets come from.
    pub fn peer(&self, remote: PeerAddress) -> Peer {
        // Not assumed: this value exists only where it was proved.
        Peer::danger_assume_proved(self.node_id(), remote)
    }

    /// A peer for tests of what follows a handshake.
    #[cfg(test)]
    pub(crate) fn assume(certificate: Certificate) -> Self {
        Self { certificate, dialect: Dialect::V1 }
    }
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

    #[test]
    fn a_handshake_that_has_not_begun_proves_nothing() {
        let host = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        let policy = Policy::SelfCertifying;
        let kind = crate::policy::KeyKind::Ed25519;
        let identity = Identity::generate(kind, policy, host).unwrap();
        let server = ServerConnection::new(crate::server_config(&identity)).unwrap();
        let refusal = accepted_peer(&server, &identity, 0).unwrap_err();
        assert_eq!(refusal, Refusal::NothingProved);
    }
}
