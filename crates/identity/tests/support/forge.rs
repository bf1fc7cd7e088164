//! Certificates made by hand, so that each can be wrong in one way and right in all others.
//!
//! This is a DER writer of its own, apart from the one that makes real certificates: a mistake in
//! either shows.

use data_encoding::HEXLOWER;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use voiddht_identity::KeyKind;

pub const ID_OID: &str = "0992268993f22c640101";
pub const ADDRESS_OID: &str = "551d11";
const COMMON_NAME_OID: &str = "550403";

/// SEQUENCE, and the other tags that a certificate needs.
pub const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OCTET_STRING: u8 = 4;
const OID: u8 = 6;
const UTF8_STRING: u8 = 12;
const UTC_TIME: u8 = 23;
const GENERALIZED_TIME: u8 = 24;

/// One element.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match content.len() {
        length @ ..0x80 => element.push(length as u8),
        length @ ..0x100 => element.extend([0x81, length as u8]),
        length => {
            element.push(0x82);
            element.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    element.extend(content);
    element
}

/// An object identifier, from the hexadecimal digits of its content.
pub fn oid(hex: &str) -> Vec<u8> {
    element(OID, &[&HEXLOWER.decode(hex.as_bytes()).unwrap()])
}

/// A name of one common name.
pub fn name(common: &str) -> Vec<u8> {
    let value = element(UTF8_STRING, &[common.as_bytes()]);
    let attribute = element(SEQUENCE, &[&oid(COMMON_NAME_OID), &value]);
    element(SEQUENCE, &[&element(SET, &[&attribute])])
}

/// An extension.
pub fn extension(oid_hex: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { element(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    element(SEQUENCE, &[&oid(oid_hex), &critical, &element(OCTET_STRING, &[value])])
}

/// A subject alternative name of such names, each its tag and its content.
pub fn alternative_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let names: Vec<u8> =
        names.iter().flat_map(|(tag, content)| element(*tag, &[content])).collect();
    extension(ADDRESS_OID, false, &element(SEQUENCE, &[&names]))
}

/// A time with a year of four digits, such as `20270115080000Z`.
pub fn time(text: &str) -> Vec<u8> {
    match text.strip_prefix("20") {
        Some(short) if text < "2050" => element(UTC_TIME, &[short.as_bytes()]),
        _ => element(GENERALIZED_TIME, &[text.as_bytes()]),
    }
}

/// A certificate before it is written.
pub struct Forge {
    pub key: KeyPair,
    /// The signing key; the key itself where this is `None`.
    pub signer: Option<KeyPair>,
    /// 2 means version 3; `None` leaves it out, which means version 1.
    pub version: Option<u8>,
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    pub not_before: Vec<u8>,
    pub not_after: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
    /// The algorithm inside what is signed, and the one beside it.
    pub algorithms: [Vec<u8>; 2],
    /// What follows the signature within the certificate.
    pub after_signature: Vec<u8>,
}

impl Forge {
    /// A certificate with nothing wrong, under both policies.
    pub fn right(kind: KeyKind) -> Self {
        let (algorithm, signed_with) = match kind {
            KeyKind::Ed25519 => (&rcgen::PKCS_ED25519, "300506032b6570"),
            KeyKind::EcdsaP256 => (&rcgen::PKCS_ECDSA_P256_SHA256, "300a06082a8648ce3d040302"),
            KeyKind::Rsa2048 => (&rcgen::PKCS_RSA_SHA256, "300d06092a864886f70d01010b0500"),
        };
        let signed_with = HEXLOWER.decode(signed_with.as_bytes()).unwrap();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let id: [u8; 32] = Sha256::digest(key.subject_public_key_info()).into();
        Self {
            key,
            signer: None,
            version: Some(2),
            issuer: name("a node"),
            subject: name("a node"),
            not_before: time("20200101000000Z"),
            not_after: time("20490101000000Z"),
            extensions: vec![alternative_names(&[(0x87, &[0; 16])]), extension(ID_OID, false, &id)],
            algorithms: [signed_with.clone(), signed_with],
            after_signature: Vec::new(),
        }
    }

    /// A right Ed25519 certificate with other extensions.
    pub fn with_extensions(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
        Self::with(|forge| change(&mut forge.extensions))
    }

    /// A right Ed25519 certificate, changed.
    pub fn with(change: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut forge = Self::right(KeyKind::Ed25519);
        change(&mut forge);
        forge.der()
    }

    /// A right Ed25519 certificate with an ID extension of its own.
    pub fn with_id(id: &[u8]) -> Vec<u8> {
        Self::with_extensions(|extensions| extensions[1] = extension(ID_OID, false, id))
    }

    /// The certificate.
    pub fn der(&self) -> Vec<u8> {
        let version =
            self.version.map(|version| element(0xa0, &[&element(INTEGER, &[&[version]])]));
        let validity = element(SEQUENCE, &[&self.not_before, &self.not_after]);
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            element(0xa3, &[&element(SEQUENCE, &[&self.extensions.concat()])])
        };
        let signed = element(
            SEQUENCE,
            &[
                &version.unwrap_or_default(),
                &element(INTEGER, &[&[1]]),
                &self.algorithms[0],
                &self.issuer,
                &validity,
                &self.subject,
                &self.key.subject_public_key_info(),
                &extensions,
            ],
        );
        let signature = self.signer.as_ref().unwrap_or(&self.key).sign(&signed).unwrap();
        let signature = element(BIT_STRING, &[&[0], &signature]);
        element(SEQUENCE, &[&signed, &self.algorithms[1], &signature, &self.after_signature])
    }

    /// What a peer with this certificate hands to rustls, whether or not it is right.
    pub fn shown(&self) -> Arc<SingleCertAndKey> {
        shown(&self.der(), self.key.serialized_der())
    }
}

/// What a peer hands to rustls that shows these certificates and signs with that key.
pub fn shown_chain(certificates: &[&[u8]], key: &[u8]) -> Arc<SingleCertAndKey> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let chain = certificates.iter().map(|der| der.to_vec().into()).collect();
    // Not the constructor that checks that key and certificate belong together.
    let key = CertifiedKey::new(chain, any_supported_type(&key).unwrap());
    Arc::new(SingleCertAndKey::from(key))
}

/// The same with one certificate.
pub fn shown(certificate: &[u8], key: &[u8]) -> Arc<SingleCertAndKey> {
    shown_chain(&[certificate], key)
}
