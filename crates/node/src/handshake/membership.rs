//! The private network's part of a handshake: the sealed push, and the proofs inside TLS.
//!
//! The side that was dialled sends nothing inside TLS, its proof included, before it has verified the
//! client's: an outsider learns nothing but the certificate that TLS shows it. The dialling side proves
//! first, may send requests at once, and uses nothing that comes before the server's proof is verified.
//! A connection keeps the secrets with which it began, whatever is reloaded meanwhile.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use voiddht_identity::network::{
    Exchange, Fingerprint, Membership, OpenError, PROOF_BYTES, ProvenBy, exporter,
};
use voiddht_identity::{Certificate, Identity, Refusal};
use voiddht_wire::NodeId;

use super::error::HandshakeError;
use crate::clock::wall_seconds;
use crate::context::Context;

/// What decides over a handshake: the node's identity, and its membership as it was at the beginning.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) identity: &'a Identity,
    pub(super) membership: Option<Arc<Membership>>,
}

/// The certificate that a server pushed.
#[derive(Debug)]
pub(crate) struct OpenedPush {
    pub(crate) certificate: Certificate,
    /// `None` in a public network.
    pub(crate) sealed_with: Option<Fingerprint>,
}

/// A proof that is due.
#[derive(Debug)]
pub(crate) struct AwaitedProof {
    membership: Arc<Membership>,
    exchange: Exchange,
    /// The handshake's own.
    pub(crate) deadline: Instant,
}

impl<'a> Rules<'a> {
    pub(super) fn of(context: &'a Context) -> Self {
        let membership = context.network.as_ref().map(|network| network.now());
        Self { identity: &context.identity, membership }
    }

    /// What this node sends first to a client, its length included.
    pub(super) fn pushed(&self) -> Bytes {
        match &self.membership {
            None => self.identity.pushed(),
            Some(membership) => membership.push().to_bytes(),
        }
    }

    /// Reads what a server has pushed.
    pub(super) fn open(&self, pushed: &[u8]) -> Result<OpenedPush, HandshakeError> {
        let policy = self.identity.policy();
        let Some(membership) = &self.membership else {
            let certificate = Certificate::parse_pushed(pushed, policy, wall_seconds());
            let certificate = certificate.map_err(Refusal::from)?;
            return Ok(OpenedPush { certificate, sealed_with: None });
        };
        match membership.open(pushed, policy, wall_seconds()) {
            Ok((certificate, secret)) => Ok(OpenedPush { certificate, sealed_with: Some(secret) }),
            Err(OpenError::Push(why)) => Err(why.into()),
            Err(OpenError::Certificate(why)) => Err(why.into()),
        }
    }
}

impl AwaitedProof {
    /// Checks what the server sent first.
    pub(crate) fn verify(&self, proof: &[u8; PROOF_BYTES]) -> Result<ProvenBy, HandshakeError> {
        Ok(self.membership.verify(&self.exchange, proof)?)
    }
}

/// Proves this node's membership to the server that it dialled, and says what to await of it.
pub(super) async fn prove(
    membership: Arc<Membership>,
    stream: &mut tokio_rustls::client::TlsStream<TcpStream>,
    server: NodeId,
    deadline: Instant,
) -> Result<AwaitedProof, HandshakeError> {
    let exporter = exporter(stream.get_ref().1).map_err(no_exporter)?;
    let exchange = membership.as_client(exporter, server);
    let proof = membership.prove(&exchange);
    timeout_at(deadline, send(stream, &proof))
        .await
        .map_err(|_| HandshakeError::LateProof)?
        .map_err(HandshakeError::Cut)?;
    Ok(AwaitedProof { membership, exchange, deadline })
}

/// Awaits the proof of a client, verifies it, and only then proves this node's own membership.
pub(super) async fn exchange(
    membership: &Membership,
    stream: &mut tokio_rustls::server::TlsStream<TcpStream>,
    client: NodeId,
    deadline: Instant,
) -> Result<ProvenBy, HandshakeError> {
    let exporter = exporter(stream.get_ref().1).map_err(no_exporter)?;
    let exchange = membership.as_server(exporter, client);
    let proven = timeout_at(deadline, async {
        let mut proof = [0; PROOF_BYTES];
        stream.read_exact(&mut proof).await.map_err(HandshakeError::NoProof)?;
        let proven = membership.verify(&exchange, &proof)?;
        send(stream, &membership.prove(&exchange)).await.map_err(HandshakeError::Cut)?;
        Ok(proven)
    });
    proven.await.map_err(|_| HandshakeError::LateProof)?
}

async fn send(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), proof: &[u8]) -> io::Result<()> {
    stream.write_all(proof).await?;
    stream.flush().await
}

/// Of a handshake that is over, rustls yields the exporter.
fn no_exporter(_: rustls::Error) -> HandshakeError {
    HandshakeError::Refused(Refusal::NothingProved)
}
