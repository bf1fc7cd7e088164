//! What rejects a peer's certificate inside TLS (PROTOCOL, section 2).
//!
//! Both verifiers decide by the one certificate that is shown, never by a chain or a name, and
//! leave the handshake's signature to rustls.
//!
//! A verifier that refuses hands its [`Refusal`] through rustls; [`Refusal::of`] finds it again.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::certificate::Certificate;
use crate::policy::Policy;
use crate::provider::{SIGNATURE_SCHEMES, algorithms};
use crate::refusal::Refusal;

/// Judges a server: its certificate must be the pushed one. Before that has arrived, none holds.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    pub(crate) pushed: Arc<OnceLock<Certificate>>,
}

/// Judges a client: its certificate must hold by itself.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) policy: Policy,
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
        let Some(pushed) = self.pushed.get() else {
            return Err(Refusal::NothingProved.into());
        };
        // All else that parsing checks holds for these bytes already.
        if shown != pushed.der() {
            return Err(Refusal::Swapped.into());
        }
        pushed.check_self_signature().map_err(Refusal::from)?;
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
