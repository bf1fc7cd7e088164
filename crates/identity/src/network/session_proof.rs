//! The proof of membership: 34 bytes that each side sends first inside TLS.
//!
//! `flags u8 = 0 · 0 u8 · HMAC-SHA256(key, flags ‖ 0 ‖ exporter ‖ client's ID ‖ server's ID)`
//!
//! The exporter binds it to this TLS session: a man in the middle has two sessions with different
//! exporters, and a recorded proof fits no other session. Client and server are TLS's roles.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use rustls::ConnectionCommon;
use voiddht_wire::NodeId;

use super::secrets::{Fingerprint, NetworkSecret, NetworkSecrets};

/// Label of the exporter (RFC 8446, section 7.5); it has no context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-voiddht-network";
/// Bytes that the exporter yields.
pub const EXPORTER_BYTES: usize = 32;
/// Bytes of a proof.
pub const PROOF_BYTES: usize = 34;

/// Bit 0 of the flags is reserved for membership by node, which no build supports yet.
const FLAG_NODE_MEMBERSHIP: u8 = 1;

/// What the exporter yields for a connection whose handshake is over.
///
/// # Errors
/// What rustls says: the handshake is not over.
pub fn exporter<Data>(
    connection: &ConnectionCommon<Data>,
) -> Result<[u8; EXPORTER_BYTES], rustls::Error> {
    connection.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, None)
}

/// Which end of a TLS connection sends a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that dialled.
    Client,
    /// The one that was dialled.
    Server,
}

impl Side {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a proof is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// TLS's exporter of this connection.
    pub exporter: &'a [u8; EXPORTER_BYTES],
    /// The ID that the client's certificate has authenticated.
    pub client: NodeId,
    /// The ID that the server's certificate has authenticated.
    pub server: NodeId,
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProofError {
    /// Membership by node.
    #[error("membership by node is not supported")]
    NodeMembership,
    /// Another flag, or the reserved byte, is not 0.
    #[error("a reserved field of the proof is not 0")]
    Reserved,
    /// No secret of this node yields it.
    #[error("the proof of membership is wrong: the peer has none of this network's secrets")]
    Wrong,
}

impl Session<'_> {
    fn signed(&self) -> [u8; 2 + EXPORTER_BYTES + 64] {
        let mut signed = [0; 2 + EXPORTER_BYTES + 64];
        signed[2..34].copy_from_slice(self.exporter);
        signed[34..66].copy_from_slice(&self.client.to_bytes());
        signed[66..].copy_from_slice(&self.server.to_bytes());
        signed
    }

    fn tag(&self, secret: &NetworkSecret, side: Side) -> hmac::Tag {
        let key = match side {
            Side::Client => secret.client_key(),
            Side::Server => secret.server_key(),
        };
        hmac::sign(key, &self.signed())
    }
}

impl NetworkSecrets {
    /// The proof that `side` sends in this session, by the first secret.
    pub fn prove(&self, session: &Session<'_>, side: Side) -> [u8; PROOF_BYTES] {
        let mut proof = [0; PROOF_BYTES];
        proof[2..].copy_from_slice(session.tag(self.first(), side).as_ref());
        proof
    }

    /// Checks the proof that `side` has sent, and says which secret it has. Compares with every
    /// secret, in constant time, without an early end.
    ///
    /// # Errors
    /// [`ProofError`]: the connection is to be closed without a word.
    pub fn verify(
        &self,
        session: &Session<'_>,
        side: Side,
        proof: &[u8; PROOF_BYTES],
    ) -> Result<Fingerprint, ProofError> {
        match (proof[0], proof[1]) {
            (0, 0) => {}
            (FLAG_NODE_MEMBERSHIP, 0) => return Err(ProofError::NodeMembership),
            _ => return Err(ProofError::Reserved),
        }
        let mut found = None;
        for secret in self.iter() {
            let expected = session.tag(secret, side);
            if verify_slices_are_equal(expected.as_ref(), &proof[2..]).is_ok() {
                found = Some(secret.fingerprint());
            }
        }
        found.ok_or(ProofError::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn session(exporter: &[u8; 32]) -> Session<'_> {
        let client = NodeId::from_bytes([0x22; 32]);
        Session { exporter, client, server: NodeId::from_bytes([0x33; 32]) }
    }

    #[test]
    fn proofs_are_those_of_the_specification() {
        let secrets = NetworkSecrets::parse(ONE).unwrap();
        let expected = [
            (Side::Client, "a34aad5bb995c4ec69acc766d873b270693cc90c73bdb61131b7754017fc7b4c"),
            (Side::Server, "8f6dabd2e7383288570e84ae9bbdf7e7306520cecf1d9bdd9b7e89dc5798379a"),
        ];
        for (side, expected) in expected {
            let proof = secrets.prove(&session(&[0x11; 32]), side);
            assert_eq!(&proof[..2], &[0, 0]);
            assert_eq!(HEXLOWER.encode(&proof[2..]), expected, "{side:?}");
        }
    }

    #[test]
    fn a_proof_is_for_one_session_one_side_and_one_secret() {
        let two = "ab".repeat(32);
        let ours = NetworkSecrets::parse(&format!("{ONE}\n{two}")).unwrap();
        let theirs = NetworkSecrets::parse(&two).unwrap();
        let exporter = [0x11; 32];
        let session = session(&exporter);
        let proof = theirs.prove(&session, Side::Client);
        let fingerprint = theirs.first().fingerprint();
        assert_eq!(ours.verify(&session, Side::Client, &proof), Ok(fingerprint));

        let wrong = Err(ProofError::Wrong);
        assert_eq!(ours.verify(&session, Side::Server, &proof), wrong);
        let other = Session { exporter: &[0x12; 32], ..session };
        assert_eq!(ours.verify(&other, Side::Client, &proof), wrong);
        let other = Session { client: session.server, server: session.client, ..session };
        assert_eq!(ours.verify(&other, Side::Client, &proof), wrong);
        let only_one = NetworkSecrets::parse(ONE).unwrap();
        assert_eq!(only_one.verify(&session, Side::Client, &proof), wrong);
    }

    #[test]
    fn reserved_fields_are_refused_before_any_secret_is_used() {
        let secrets = NetworkSecrets::parse(ONE).unwrap();
        let exporter = [0x11; 32];
        let session = session(&exporter);
        let mut proof = secrets.prove(&session, Side::Client);
        for (flags, reserved, expected) in [
            (1, 0, ProofError::NodeMembership),
            (1, 1, ProofError::Reserved),
            (2, 0, ProofError::Reserved),
            (0, 1, ProofError::Reserved),
            (3, 0, ProofError::Reserved),
        ] {
            (proof[0], proof[1]) = (flags, reserved);
            assert_eq!(secrets.verify(&session, Side::Client, &proof), Err(expected));
        }
    }
}
