//! The two TLS configurations, and the verifiers behind them (PROTOCOL, section 2).
//!
//! Both verifiers decide by the one certificate that is shown, never by a chain or a name, and
//! leave the handshake's signature to rustls. Sessions are not resumed, because a resumed one
//! skips them: no tickets, no session storage, no early data, on either side.
//!
//! A verifier that refuses hands its [`Refusal`] through rustls; [`Refusal::of`] finds it again.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use voiddht_wire::NodeId;

use crate::certificate::Certificate;
use crate::identity::Identity;
use crate::key_exchange::KeyExchange;
use crate::policy::Policy;
use crate::proof::Refusal;
use crate::provider::{SIGNATURE_SCHEMES, algorithms, provider};

/// The protocol's name in ALPN. A peer that does not negotiate it speaks the legacy dialect.
pub const ALPN: &[u8] = b"voiddht/1";

/// What a listener is configured with; once for a node. Clients are asked for a certificate, and
/// must show one where the policy is self-certifying.
pub fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let verifier = Arc::new(ClientVerifier { policy: identity.policy() });
    let resolver = Arc::new(SingleCertAndKey::from(identity.certified_key()));
    let mut config = ServerConfig::builder_with_provider(provider(identity.key_exchange()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider's cipher suites are those of TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// What one dial is configured with, after the server has pushed a certificate: the handshake
/// succeeds with that certificate alone. Costs less than a microsecond.
///
/// # Errors
/// What can be refused before a handshake: a certificate that is not for this network's policy,
/// or another node than the `expected` one.
pub fn client_config(
    identity: &Identity,
    pushed: Certificate,
    expected: Option<NodeId>,
) -> Result<Arc<ClientConfig>, Refusal> {
    pushed.check_policy(identity.policy())?;
    if let Some(expected) = expected.filter(|id| *id != pushed.node_id()) {
        return Err(Refusal::OtherNode { expected, shown: pushed.node_id() });
    }
    let mut config = identity.client_template().clone();
    config.dangerous().set_certificate_verifier(Arc::new(ServerVerifier { pushed }));
    Ok(Arc::new(config))
}

/// The part of a client's configuration that all dials share. Its verifier accepts the node's own
/// certificate only; each dial puts its own in its place.
pub(crate) fn client_template(
    key: &Arc<CertifiedKey>,
    own: &Certificate,
    key_exchange: &KeyExchange,
) -> ClientConfig {
    let verifier = Arc::new(ServerVerifier { pushed: own.clone() });
    let resolver = Arc::new(SingleCertAndKey::from(key.clone()));
    let mut config = ClientConfig::builder_with_provider(provider(key_exchange))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider's cipher suites are those of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config
}

/// Judges a server: its certificate must be the pushed one.
#[derive(Debug)]
struct ServerVerifier {
    pushed: Certificate,
}

/// Judges a client: its certificate must hold by itself.
#[derive(Debug)]
struct ClientVerifier {
    policy: Policy,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !intermediates.is_empty() {
            return Err(Refusal::MoreThanOneCertificate.into());
        }
        // All else that parsing checks holds for these bytes already.
        if shown != self.pushed.der() {
            return Err(Refusal::Swapped.into());
        }
        self.pushed.check_self_signature().map_err(Refusal::from)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Refusal::NothingProved.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURE_SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.policy == Policy::SelfCertifying
    }

    /// None: a certificate of ours has no issuer.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !intermediates.is_empty() {
            return Err(Refusal::MoreThanOneCertificate.into());
        }
        let certificate = Certificate::parse_der(shown, self.policy, now.as_secs());
        certificate
            .and_then(|certificate| certificate.check_self_signature())
            .map_err(Refusal::from)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Refusal::NothingProved.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURE_SCHEMES.to_vec()
    }
}
