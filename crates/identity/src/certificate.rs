//! A peer's certificate, read strictly (PROTOCOL, section 2).
//!
//! Reading has two parts. [`Certificate::parse_der`] checks the form: every byte, the two
//! extensions, the validity, the policy. [`Certificate::check_self_signature`] checks the one thing
//! that costs real work, and remembers the answer. The verifiers (`verifier`) do both before
//! a handshake succeeds, so a [`crate::ProvedPeer`]'s certificate has passed both; a certificate
//! that was only pushed has passed the first.
//!
//! Three readers see each certificate, and must agree: the DER walk of `der.rs`, which allows one
//! encoding; webpki, whose key is the one that checks the handshake; and x509-parser, which alone
//! shows extensions and validity.

mod error;
mod key;
mod pem;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};
use voiddht_wire::NodeId;
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::nom::Parser as _;
use x509_parser::x509::X509Version;

pub use error::{CertificateError, DerError};
pub(crate) use pem::encode as encode_pem;
pub use pem::pushed_length;

/// Whether what was pushed is a certificate in the clear, of whatever kind, in PEM or DER.
pub(crate) fn is_certificate(pushed: &[u8]) -> bool {
    pem::sniff(pushed).is_ok_and(|der| {
        x509_parser::parse_x509_certificate(&der).is_ok_and(|(rest, _)| rest.is_empty())
    })
}

use crate::der;
use crate::policy::{KeyKind, Policy};
use crate::provider::signature_holds;

/// How far a certificate's validity may be missed, in seconds: a day, for clocks that are wrong.
pub const VALIDITY_GRACE_SECONDS: i64 = 24 * 60 * 60;

/// Object identifier 0.9.2342.19200300.100.1.1 (userId), as the content of its DER.
const ID_EXTENSION: [u8; 10] = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01];
/// Object identifier 2.5.29.17 (subjectAltName), likewise.
const ADDRESS_EXTENSION: [u8; 3] = [0x55, 0x1d, 0x11];
/// SEQUENCE of one [7] iPAddress of 16 bytes.
const ADDRESS_START: [u8; 4] = [0x30, 18, 0x87, 16];

/// A certificate whose form has been checked. Made only by its parser; cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: CertificateDer<'static>,
    node_id: NodeId,
    address: IpAddr,
    kind: KeyKind,
    /// Where the SubjectPublicKeyInfo stands in the DER.
    spki: Range<usize>,
    /// SHA-256 of the DER.
    fingerprint: [u8; 32],
    /// Whether the node ID is the SHA-256 of the key.
    certifies_itself: bool,
    /// Whether the certificate's own signature holds, once it has been checked.
    self_signature: OnceLock<bool>,
}

/// Whether a certificate's validity matters: not to the node whose own it is.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// Seconds since 1970.
    At(u64),
    /// Any time will do.
    Ignored,
}

impl Certificate {
    /// Reads a certificate from DER and checks all of its form. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn parse_der(der: &[u8], policy: Policy, now: u64) -> Result<Self, CertificateError> {
        Self::parse(der, policy, Clock::At(now))
    }

    /// Reads a certificate as it was pushed, in PEM or DER, without its length.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn parse_pushed(pushed: &[u8], policy: Policy, now: u64) -> Result<Self, CertificateError> {
        Self::parse_der(&pem::sniff(pushed)?, policy, now)
    }

    pub(crate) fn parse(
        der: &[u8],
        policy: Policy,
        clock: Clock,
    ) -> Result<Self, CertificateError> {
        pem::check_length(der.len())?;
        check_der(der)?;
        let (_, x509) = X509CertificateParser::new()
            .with_deep_parse_extensions(false)
            .parse(der)
            .map_err(|_| CertificateError::NotACertificate)?;
        if x509.version != X509Version::V3 {
            return Err(CertificateError::Version(x509.version.0.saturating_add(1)));
        }
        if x509.subject.as_raw() != x509.issuer.as_raw() {
            return Err(CertificateError::NotSelfIssued);
        }
        let (kind, spki) = read_key(der, &x509)?;
        let (node_id, address) = read_extensions(&x509)?;
        check_validity(&x509, clock)?;
        check_second_reader(der, &der[spki.clone()])?;
        let certifies_itself = key_id(&der[spki.clone()]) == node_id;
        let certificate = Self(Arc::new(Inner {
            der: CertificateDer::from(der.to_vec()),
            node_id,
            address,
            kind,
            spki,
            fingerprint: Sha256::digest(der).into(),
            certifies_itself,
            self_signature: OnceLock::new(),
        }));
        certificate.check_policy(policy)?;
        Ok(certificate)
    }

    /// Checks that the certificate may be shown under this policy.
    ///
    /// # Errors
    /// [`CertificateError::IdNotKeyHash`].
    pub fn check_policy(&self, policy: Policy) -> Result<(), CertificateError> {
        match policy {
            Policy::SelfCertifying if !self.0.certifies_itself => {
                Err(CertificateError::IdNotKeyHash)
            }
            Policy::SelfCertifying | Policy::Tofu => Ok(()),
        }
    }

    /// Checks that the certificate's own key signed it: some 40 µs, and once for this value and
    /// all its clones. TLS does not check this, because it does not need to: the handshake's
    /// signature covers the certificate. It is needed where a certificate is kept or passed on.
    ///
    /// # Errors
    /// [`CertificateError::WrongSelfSignature`].
    pub fn check_self_signature(&self) -> Result<(), CertificateError> {
        if *self.0.self_signature.get_or_init(|| self.self_signature_holds()) {
            Ok(())
        } else {
            Err(CertificateError::WrongSelfSignature)
        }
    }

    fn self_signature_holds(&self) -> bool {
        let Ok([signed, _, signature]) = outer_parts(&self.0.der) else { return false };
        // The first byte of a bit string counts its unused bits; a signature has none.
        let [0, signature @ ..] = signature.content else { return false };
        signature_holds(self.0.kind, self.0.kind.public_key(self.spki()), signed.raw, signature)
    }

    /// The certificate, byte for byte.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// The node that it names.
    pub fn node_id(&self) -> NodeId {
        self.0.node_id
    }

    /// The address in its subject alternative name, an IPv4 one unmapped: what its owner says of
    /// itself. Nothing may rest on it; peers of the original network often say ::1.
    pub fn address(&self) -> IpAddr {
        self.0.address
    }

    /// The kind of its key.
    pub fn key_kind(&self) -> KeyKind {
        self.0.kind
    }

    /// The public key: SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.0.der[self.0.spki.clone()]
    }

    /// The SHA-256 of the whole certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    /// Whether both certificates have the same key: the holder of one can authenticate as the
    /// other.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.spki() == other.spki()
    }
}

/// Certificates are equal when every byte is.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("node_id", &self.node_id())
            .field("address", &self.address())
            .field("kind", &self.key_kind())
            .finish_non_exhaustive()
    }
}

/// The node ID that a key has under the self-certifying policy: the SHA-256 of its
/// SubjectPublicKeyInfo.
pub(crate) fn key_id(spki: &[u8]) -> NodeId {
    NodeId::from_bytes(Sha256::digest(spki).into())
}

/// One element, nothing after it, DER throughout, and three parts on its first level.
fn check_der(bytes: &[u8]) -> Result<(), CertificateError> {
    let (_, rest) = der::read(bytes)?;
    if !rest.is_empty() {
        return Err(CertificateError::TrailingBytes(rest.len()));
    }
    der::check(bytes)?;
    outer_parts(bytes).map(|_| ())
}

/// What is signed, the algorithm, the signature (RFC 5280, section 4.1).
fn outer_parts(bytes: &[u8]) -> Result<[der::Element<'_>; 3], CertificateError> {
    let (certificate, _) = der::read(bytes)?;
    let (signed, rest) = der::read(certificate.content)?;
    let (algorithm, rest) = der::read(rest)?;
    let (signature, rest) = der::read(rest)?;
    if rest.is_empty() {
        Ok([signed, algorithm, signature])
    } else {
        Err(CertificateError::NotACertificate)
    }
}

/// The key's kind and where it stands, if the certificate is signed as such a key signs.
fn read_key(
    bytes: &[u8],
    x509: &X509Certificate<'_>,
) -> Result<(KeyKind, Range<usize>), CertificateError> {
    let spki = x509.public_key().raw;
    let kind = KeyKind::of_spki(spki).ok_or(CertificateError::KeyKind)?;
    let [_, algorithm, _] = outer_parts(bytes)?;
    if algorithm.raw != kind.signature_algorithm() {
        return Err(CertificateError::SignatureAlgorithm);
    }
    let start = bytes
        .windows(spki.len())
        .position(|window| std::ptr::eq(window, spki))
        .ok_or(CertificateError::NotACertificate)?;
    Ok((kind, start..start + spki.len()))
}

fn read_extensions(x509: &X509Certificate<'_>) -> Result<(NodeId, IpAddr), CertificateError> {
    let (mut id, mut address) = (None, None);
    for extension in x509.extensions() {
        let oid = extension.oid.as_bytes();
        if oid == ID_EXTENSION {
            if extension.critical {
                return Err(CertificateError::CriticalId);
            }
            if id.replace(extension.value).is_some() {
                return Err(CertificateError::RepeatedId);
            }
        } else if oid == ADDRESS_EXTENSION {
            // Critical or not, it is understood here.
            if address.replace(extension.value).is_some() {
                return Err(CertificateError::RepeatedAddress);
            }
        } else if extension.critical {
            return Err(CertificateError::UnknownCritical);
        }
    }
    let id = id.ok_or(CertificateError::MissingId)?;
    let id = id.try_into().map_err(|_| CertificateError::IdLength(id.len()))?;
    let address = address.ok_or(CertificateError::MissingAddress)?;
    let address: [u8; 16] = address
        .strip_prefix(&ADDRESS_START)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(CertificateError::AddressForm)?;
    Ok((NodeId::from_bytes(id), Ipv6Addr::from(address).to_canonical()))
}

fn check_validity(x509: &X509Certificate<'_>, clock: Clock) -> Result<(), CertificateError> {
    let Clock::At(now) = clock else { return Ok(()) };
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let not_before = x509.validity().not_before.timestamp();
    let not_after = x509.validity().not_after.timestamp();
    if now < not_before.saturating_sub(VALIDITY_GRACE_SECONDS) {
        Err(CertificateError::NotYetValid { not_before })
    } else if now > not_after.saturating_add(VALIDITY_GRACE_SECONDS) {
        Err(CertificateError::Expired { not_after })
    } else {
        Ok(())
    }
}

/// The key that the handshake will be checked with must be the key that was read here.
fn check_second_reader(bytes: &[u8], spki: &[u8]) -> Result<(), CertificateError> {
    let der = CertificateDer::from(bytes);
    match ParsedCertificate::try_from(&der) {
        Ok(second) if second.subject_public_key_info().as_ref() == spki => Ok(()),
        _ => Err(CertificateError::NotACertificate),
    }
}
