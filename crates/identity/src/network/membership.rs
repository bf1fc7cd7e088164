//! A node's membership in a private network: its secrets, and its certificate sealed with the first.
//!
//! Made when the secrets are loaded, once, and shared by all connections. A connection holds on to the
//! membership that it began with, so that a reload does not change the rules in its middle.

use voiddht_wire::NodeId;

use super::push::{NONCE_BYTES, PushError, SealedPush};
use super::secrets::{Fingerprint, NetworkSecrets};
use super::session_proof::{EXPORTER_BYTES, PROOF_BYTES, ProofError, Session, Side};
use crate::certificate::Certificate;
use crate::identity::Identity;
use crate::policy::Policy;
use crate::refusal::Refusal;

/// See the module's description.
#[derive(Debug)]
pub struct Membership {
    secrets: NetworkSecrets,
    push: SealedPush,
    own: NodeId,
}

/// By which secrets the two sides of a connection proved their membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProvenBy {
    /// The secret of the peer's proof.
    pub peer: Fingerprint,
    /// The secret of this node's own proof.
    pub own: Fingerprint,
}

/// One proof that was made and one that is awaited: a connection whose TLS handshake is over.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    exporter: [u8; EXPORTER_BYTES],
    client: NodeId,
    server: NodeId,
    own_side: Side,
}

impl Membership {
    /// Seals the node's certificate with the first secret. `nonce` must be random, and new for each
    /// call. `None` for a certificate that is too long to be pushed.
    pub fn new(
        secrets: NetworkSecrets,
        identity: &Identity,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Self> {
        let certificate = identity.certificate().der();
        let push = SealedPush::seal(secrets.first(), certificate, nonce)?;
        Some(Self { secrets, push, own: identity.node_id() })
    }

    /// What is accepted, and with what this node proves.
    pub fn secrets(&self) -> &NetworkSecrets {
        &self.secrets
    }

    /// What a server sends first, the same on every connection.
    pub fn push(&self) -> &SealedPush {
        &self.push
    }

    /// Opens and reads the certificate that a server has pushed, and says with which secret it was
    /// sealed. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`OpenError::Push`] for what no secret opens, [`OpenError::Certificate`] for a member's
    /// certificate that breaks a rule.
    pub fn open(
        &self,
        pushed: &[u8],
        policy: Policy,
        now: u64,
    ) -> Result<(Certificate, Fingerprint), OpenError> {
        let opened = self.secrets.open_push(pushed)?;
        let certificate = Certificate::parse_der(&opened.certificate_der, policy, now);
        Ok((certificate.map_err(Refusal::from)?, opened.secret))
    }

    /// The proofs of a connection that this node dialled.
    pub fn as_client(&self, exporter: [u8; EXPORTER_BYTES], server: NodeId) -> Exchange {
        Exchange { exporter, client: self.own, server, own_side: Side::Client }
    }

    /// The proofs of a connection that this node accepted.
    pub fn as_server(&self, exporter: [u8; EXPORTER_BYTES], client: NodeId) -> Exchange {
        Exchange { exporter, client, server: self.own, own_side: Side::Server }
    }

    /// What this node sends first.
    pub fn prove(&self, exchange: &Exchange) -> [u8; PROOF_BYTES] {
        self.secrets.prove(&exchange.session(), exchange.own_side)
    }

    /// Checks what the peer sent first.
    ///
    /// # Errors
    /// [`ProofError`]: the connection is to be closed without a word.
    pub fn verify(
        &self,
        exchange: &Exchange,
        proof: &[u8; PROOF_BYTES],
    ) -> Result<ProvenBy, ProofError> {
        let peer = self.secrets.verify(&exchange.session(), exchange.own_side.other(), proof)?;
        Ok(ProvenBy { peer, own: self.secrets.first().fingerprint() })
    }
}

impl Exchange {
    fn session(&self) -> Session<'_> {
        Session { exporter: &self.exporter, client: self.client, server: self.server }
    }
}

/// Why a pushed certificate is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// No secret opens it.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A member pushed it, and it is refused.
    #[error(transparent)]
    Certificate(#[from] Refusal),
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::policy::KeyKind;

    const NOW: u64 = 1_800_000_000;

    fn member(secrets: &str) -> (Identity, Membership) {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let identity = Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, host).unwrap();
        let secrets = NetworkSecrets::parse(secrets).unwrap();
        let membership = Membership::new(secrets, &identity, [7; NONCE_BYTES]).unwrap();
        (identity, membership)
    }

    #[test]
    fn two_members_prove_themselves_to_each_other() {
        let (old, new) = ("ab".repeat(32), "cd".repeat(32));
        let (client_identity, client) = member(&format!("{old}\n{new}"));
        let (server_identity, server) = member(&format!("{new}\n{old}"));
        let exporter = [5; EXPORTER_BYTES];
        let of_client = client.as_client(exporter, server_identity.node_id());
        let of_server = server.as_server(exporter, client_identity.node_id());
        let [old, new] = [&client, &server].map(|one| one.secrets().first().fingerprint());
        let seen = server.verify(&of_server, &client.prove(&of_client));
        assert_eq!(seen, Ok(ProvenBy { peer: old, own: new }));
        let seen = client.verify(&of_client, &server.prove(&of_server));
        assert_eq!(seen, Ok(ProvenBy { peer: new, own: old }));
        // What a side sends is not what it awaits.
        let own = client.prove(&of_client);
        assert_eq!(client.verify(&of_client, &own), Err(ProofError::Wrong));
    }

    #[test]
    fn a_pushed_certificate_is_opened_and_read() {
        let (_, client) = member(&"ab".repeat(32));
        let (identity, server) = member(&"ab".repeat(32));
        let pushed = &server.push().as_bytes()[4..];
        let (certificate, secret) = client.open(pushed, Policy::SelfCertifying, NOW).unwrap();
        assert_eq!(&certificate, identity.certificate());
        assert_eq!(secret, server.secrets().first().fingerprint());
        let (_, other) = member(&"cd".repeat(32));
        let refused = other.open(pushed, Policy::SelfCertifying, NOW);
        assert_eq!(refused.unwrap_err(), PushError::OtherNetwork.into());
    }
}
