//! Certificate errors: one variant for each rule.

use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;

pub use crate::der::DerError;

/// Why a certificate is refused. One variant for each rule of PROTOCOL, section 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CertificateError {
    /// A pushed certificate of no bytes was announced.
    #[error("the pushed certificate is empty")]
    Empty,
    /// More was announced than any certificate needs. Nothing was allocated for it.
    #[error("a pushed certificate of {0} bytes, more than the {MAX_CERTIFICATE_BYTES} allowed")]
    TooLong(u64),
    /// Neither DER's SEQUENCE nor PEM's first line.
    #[error("the pushed certificate is neither PEM nor DER")]
    NeitherPemNorDer,
    /// PEM without its last line, or with anything but one certificate between its lines.
    #[error("the PEM text is not one certificate between its first and its last line")]
    PemForm,
    /// PEM whose last line is followed by something.
    #[error("the PEM text goes on after its last line")]
    PemTrailing,
    /// PEM whose lines are not Base64.
    #[error("the PEM text is not Base64")]
    PemBase64,
    /// Bytes after the certificate.
    #[error("{0} bytes follow the certificate")]
    TrailingBytes(usize),
    /// Not DER.
    #[error("the certificate is not DER: {0}")]
    Der(#[from] DerError),
    /// DER, but not a certificate's.
    #[error("the bytes are DER, but not a certificate")]
    NotACertificate,
    /// A version other than 3; the number is the one that people use, 1 to 3.
    #[error("the certificate has version {0} instead of 3")]
    Version(u32),
    /// The issuer is not the subject.
    #[error("the certificate is not its own issuer")]
    NotSelfIssued,
    /// A key of another kind than Ed25519, P-256 or RSA with 2048 bits.
    #[error("the key is neither Ed25519 nor P-256 nor RSA with 2048 bits")]
    KeyKind,
    /// A signature algorithm that is not the one of the key's kind.
    #[error("the certificate's signature algorithm is not the one of its key")]
    SignatureAlgorithm,
    /// No extension with the Kademlia ID.
    #[error("the certificate has no Kademlia ID extension")]
    MissingId,
    /// More than one extension with a Kademlia ID.
    #[error("the certificate has more than one Kademlia ID extension")]
    RepeatedId,
    /// A Kademlia ID that is not 32 bytes.
    #[error("the Kademlia ID has {0} bytes instead of 32")]
    IdLength(usize),
    /// A critical Kademlia ID extension, which other TLS libraries refuse.
    #[error("the Kademlia ID extension is marked critical")]
    CriticalId,
    /// No subject alternative name.
    #[error("the certificate has no subject alternative name")]
    MissingAddress,
    /// More than one subject alternative name extension.
    #[error("the certificate has more than one subject alternative name extension")]
    RepeatedAddress,
    /// A subject alternative name that is not one IP address of 16 bytes.
    #[error("the subject alternative name is not one IP address of 16 bytes")]
    AddressForm,
    /// Another extension marked critical: what it demands is not known here (RFC 5280, 4.2).
    #[error("the certificate has a critical extension that is not known here")]
    UnknownCritical,
    /// Its validity begins more than a day from now.
    #[error("the certificate is valid only from {not_before} (seconds since 1970)")]
    NotYetValid {
        /// Seconds since 1970.
        not_before: i64,
    },
    /// Its validity ended more than a day ago.
    #[error("the certificate expired at {not_after} (seconds since 1970)")]
    Expired {
        /// Seconds since 1970.
        not_after: i64,
    },
    /// Its key did not sign it.
    #[error("the certificate's self-signature is invalid")]
    WrongSelfSignature,
    /// Under the self-certifying policy, an ID that is not the key's hash.
    #[error(
        "the Kademlia ID is not the SHA-256 of the key; \
         peers with chosen IDs are admitted only with --identity tofu"
    )]
    IdNotKeyHash,
}
