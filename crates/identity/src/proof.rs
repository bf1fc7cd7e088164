//! The peer that a finished handshake authenticated, or why it authenticated none.
//!
//! Only the two functions here construct a [`ProvedPeer`]. They rely on the verifiers
//! (`verifier`), and check again for signs that those were skipped: an unfinished handshake, a
//! resumed session, an older protocol.

use rustls::{ClientConnection, CommonState, HandshakeKind, ProtocolVersion, ServerConnection};
use voiddht_core::peer::Peer;
use voiddht_wire::peer::Dialect;
use voiddht_wire::{NodeId, PeerAddress};

use crate::certificate::Certificate;
use crate::identity::Identity;
use crate::policy::Policy;
use crate::provider::ALPN;
use crate::refusal::Refusal;

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

#[cfg(test)]
mod tests {
    use super::*;

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
