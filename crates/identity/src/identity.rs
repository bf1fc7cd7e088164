//! This node's own key and certificate: made once, before the first connection is accepted.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, PublicKeyData, SanType,
    SignatureAlgorithm, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use voiddht_wire::NodeId;
use zeroize::{Zeroize, Zeroizing};

use crate::certificate::{Certificate, CertificateError, Clock, DerError, encode_pem, key_id};
use crate::der;
use crate::key_exchange::KeyExchange;
use crate::policy::{KeyKind, Policy};
use crate::provider::{ALPN, provider, random_id};
use crate::verifier::ServerVerifier;

/// Object identifier of the extension that carries the Kademlia ID (userId).
const ID_EXTENSION: [u64; 7] = [0, 9, 2342, 19_200_300, 100, 1, 1];
/// From the start of 1970 to the last second that a certificate can name (RFC 5280, 4.1.2.5): no
/// peer's clock matters.
const NOT_AFTER: (i32, u8, u8) = (9999, 12, 31);
const LAST_SECOND_OF_DAY: Duration = Duration::from_secs(24 * 60 * 60 - 1);

/// Why an identity could not be made or taken up again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// The provider could not make a key or a random number.
    #[error("no key could be made: {0}")]
    Make(String),
    /// The bytes are not a private key that can be used.
    #[error("the private key cannot be read: {0}")]
    Key(rustls::Error),
    /// The certificate breaks a rule.
    #[error("the own certificate is refused: {0}")]
    Certificate(#[from] CertificateError),
    /// The certificate is another key's.
    #[error("the certificate does not belong to the private key")]
    Mismatch,
}

/// The key, the certificate and the ID of this node. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    certificate: Certificate,
    policy: Policy,
    /// The private key for the store, wiped when the last clone is gone.
    key_der: Zeroizing<Vec<u8>>,
    /// The private key and the certificate for TLS.
    certified: Arc<CertifiedKey>,
    /// What every dial's configuration is a copy of.
    client: ClientConfig,
    /// The key exchange groups of both configurations.
    key_exchange: KeyExchange,
    /// The length and the PEM, as a server pushes them.
    pushed: Bytes,
}

impl Identity {
    /// Makes a new key, and a certificate for it that names `host`. Under the self-certifying
    /// policy the ID follows from the key, otherwise it is random.
    ///
    /// # Errors
    /// [`IdentityError::Make`] where the operating system gives no randomness.
    pub fn generate(kind: KeyKind, policy: Policy, host: IpAddr) -> Result<Self, IdentityError> {
        let key = make_key(kind)?;
        let id = match policy {
            Policy::SelfCertifying => key_id(&key.subject_public_key_info()),
            Policy::Tofu => NodeId::from_bytes(
                random_id().map_err(|error| IdentityError::Make(error.to_string()))?,
            ),
        };
        Self::make(key, policy, id, host)
    }

    /// Makes a new key, and a certificate that claims a given ID: possible only where IDs are
    /// trusted on first use. Peers that know the ID under another key will ask its owner.
    ///
    /// # Errors
    /// [`IdentityError::Make`], as above.
    pub fn generate_with_id(
        kind: KeyKind,
        id: NodeId,
        host: IpAddr,
    ) -> Result<Self, IdentityError> {
        Self::make(make_key(kind)?, Policy::Tofu, id, host)
    }

    /// Takes up a stored identity: a private key in PKCS #8, and its certificate.
    ///
    /// # Errors
    /// Where the two do not belong together, or the certificate is not one for this policy. Its
    /// validity is not held against the clock: it is the peers' business.
    pub fn from_parts(
        key_pkcs8_der: &[u8],
        certificate_der: &[u8],
        policy: Policy,
    ) -> Result<Self, IdentityError> {
        let certificate = Certificate::parse(certificate_der, policy, Clock::Ignored)?;
        certificate.check_self_signature()?;
        // The reader borrows the key, so that no copy of it is left behind unwiped.
        let borrowed = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key_pkcs8_der));
        let signer = any_supported_type(&borrowed).map_err(IdentityError::Key)?;
        let public = signer.public_key().ok_or(IdentityError::Mismatch)?;
        if public.as_ref() != certificate.spki() {
            return Err(IdentityError::Mismatch);
        }
        let certified = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer));
        let key_exchange = KeyExchange::classical();
        Ok(Self(Arc::new(Inner {
            client: client_template(&certified, &certificate, &key_exchange),
            key_exchange,
            pushed: pushed(&certificate),
            key_der: Zeroizing::new(key_pkcs8_der.to_vec()),
            certificate,
            policy,
            certified,
        })))
    }

    fn make(key: KeyPair, policy: Policy, id: NodeId, host: IpAddr) -> Result<Self, IdentityError> {
        let certificate = parameters(id, host)
            .self_signed(&key)
            .map_err(|error| IdentityError::Make(error.to_string()))?;
        let mut key = PrivatePkcs8KeyDer::from(key);
        let first_version = first_version(key.secret_pkcs8_der());
        key.zeroize();
        Self::from_parts(&first_version?, certificate.der(), policy)
    }

    /// The same key and ID with a certificate that names `host`: for a node whose address has
    /// changed since its certificate was made. Peers take the new certificate without asking,
    /// because it has the key that they know.
    ///
    /// # Errors
    /// [`IdentityError::Make`] if the key cannot sign.
    pub fn with_host(&self, host: IpAddr) -> Result<Self, IdentityError> {
        if self.certificate().address() == host.to_canonical() {
            return Ok(self.clone());
        }
        let kind = self.certificate().key_kind();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(&self.0.key_der[..]),
            algorithm(kind),
        )
        .map_err(|error| IdentityError::Make(error.to_string()))?;
        Self::make(key, self.policy(), self.node_id(), host)
    }

    /// The node's ID.
    pub fn node_id(&self) -> NodeId {
        self.0.certificate.node_id()
    }

    /// The node's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// The policy of the network that this identity is for.
    pub fn policy(&self) -> Policy {
        self.0.policy
    }

    /// What a server sends at once on each connection: a length of four bytes, and the certificate
    /// in PEM.
    pub fn pushed(&self) -> Bytes {
        self.0.pushed.clone()
    }

    /// The private key in PKCS #8, for the store. Wiped when dropped.
    pub fn private_key_der(&self) -> Zeroizing<Vec<u8>> {
        self.0.key_der.clone()
    }

    /// The same identity with other key exchange groups than [`KeyExchange::classical`]'s.
    pub fn with_key_exchange(&self, key_exchange: KeyExchange) -> Self {
        let Inner { certificate, policy, key_der, certified, pushed, .. } = &*self.0;
        Self(Arc::new(Inner {
            client: client_template(certified, certificate, &key_exchange),
            key_exchange,
            certificate: certificate.clone(),
            policy: *policy,
            key_der: key_der.clone(),
            certified: Arc::clone(certified),
            pushed: pushed.clone(),
        }))
    }

    /// The key exchange groups that it offers and takes.
    pub fn key_exchange(&self) -> &KeyExchange {
        &self.0.key_exchange
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.0.certified.clone()
    }

    pub(crate) fn client_template(&self) -> &ClientConfig {
        &self.0.client
    }
}

/// Never prints the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.0.certificate)
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

fn algorithm(kind: KeyKind) -> &'static SignatureAlgorithm {
    match kind {
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
        KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
    }
}

/// An RSA key of the default size is one of 2048 bits; `from_parts` would refuse another.
fn make_key(kind: KeyKind) -> Result<KeyPair, IdentityError> {
    KeyPair::generate_for(algorithm(kind)).map_err(|error| IdentityError::Make(error.to_string()))
}

/// A private key in the first version of PKCS #8 (RFC 5208), without the copy of the public key
/// that the second may have (RFC 5958): OpenSSL reads no other, and people have OpenSSL.
fn first_version(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let unreadable = |error| IdentityError::Make(format!("a new key is not PKCS #8: {error}"));
    let (key, _) = der::read(pkcs8).map_err(unreadable)?;
    let (version, rest) = der::read(key.content).map_err(unreadable)?;
    if version.content == [0] {
        return Ok(Zeroizing::new(pkcs8.to_vec()));
    }
    let (algorithm, rest) = der::read(rest).map_err(unreadable)?;
    let (private, _) = der::read(rest).map_err(unreadable)?;
    let content = [&[2, 1, 0], algorithm.raw, private.raw];
    let length = content.iter().map(|part| part.len()).sum::<usize>();
    // Only Ed25519 comes in the second version, and is short.
    let length = u8::try_from(length).ok().filter(|length| *length < 0x80);
    let length = length.ok_or(DerError::Length).map_err(unreadable)?;
    let mut first = Zeroizing::new(Vec::with_capacity(2 + usize::from(length)));
    first.extend([0x30, length]);
    content.iter().for_each(|part| first.extend_from_slice(part));
    Ok(first)
}

/// The certificate of PROTOCOL, section 2, column "ours".
fn parameters(id: NodeId, host: IpAddr) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    // A subject of its own: OpenSSL looks trust anchors up by subject and takes the first that
    // matches, so certificates that share one hide each other. See docs/trust.md.
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, id.to_string());
    parameters.subject_alt_names = vec![SanType::IpAddress(IpAddr::V6(mapped(host)))];
    parameters.custom_extensions =
        vec![CustomExtension::from_oid_content(&ID_EXTENSION, id.to_bytes().to_vec())];
    parameters.not_before = date_time_ymd(1970, 1, 1);
    let (year, month, day) = NOT_AFTER;
    parameters.not_after = date_time_ymd(year, month, day) + LAST_SECOND_OF_DAY;
    parameters
}

fn mapped(host: IpAddr) -> Ipv6Addr {
    match host {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn pushed(certificate: &Certificate) -> Bytes {
    let pem = encode_pem(certificate.der());
    let mut pushed = BytesMut::with_capacity(4 + pem.len());
    pushed.put_u32(pem.len() as u32);
    pushed.put_slice(&pem);
    pushed.freeze()
}

/// The part of a client's configuration that all dials share. Its verifier accepts the node's own
/// certificate only; each dial puts its own in its place.
fn client_template(
    key: &Arc<CertifiedKey>,
    own: &Certificate,
    key_exchange: &KeyExchange,
) -> ClientConfig {
    let pushed = Arc::new(OnceLock::from(own.clone()));
    let verifier = Arc::new(ServerVerifier { pushed });
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

#[cfg(test)]
mod tests;
