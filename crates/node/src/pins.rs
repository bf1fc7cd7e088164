//! Views of a node's pins.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use voiddht_identity::PinRecord;
use voiddht_store::Pin;
use voiddht_wire::PeerAddress;

/// One pin: the certificate that is trusted for an ID, and where its owner was last reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinView {
    /// The node ID, 64 hexadecimal digits.
    pub id: String,
    /// SHA-256 of the certificate, likewise.
    pub certificate_sha256: String,
    /// Where the owner listens; `None` if it was never seen to.
    pub address: Option<SocketAddr>,
    /// When it was last seen, in milliseconds since 1970, to the hour.
    pub last_seen_ms: u64,
    /// Whether it is a member of the routing table; `None` where no node is running that has one.
    pub member: Option<bool>,
}

impl From<(PinRecord, bool)> for PinView {
    fn from((record, member): (PinRecord, bool)) -> Self {
        Self {
            id: record.node_id.to_string(),
            certificate_sha256: fingerprint(&record.certificate),
            address: listening(record.address),
            last_seen_ms: record.last_seen.as_millis(),
            member: Some(member),
        }
    }
}

/// A pin in the data directory of a node that is not running.
impl From<&Pin> for PinView {
    fn from(pin: &Pin) -> Self {
        Self {
            id: pin.node_id.to_string(),
            certificate_sha256: fingerprint(&pin.certificate_der),
            address: listening(pin.address),
            last_seen_ms: pin.last_seen.as_millis(),
            member: None,
        }
    }
}

/// A pin as it lies on disk.
pub(crate) fn stored(record: PinRecord) -> Pin {
    Pin {
        node_id: record.node_id,
        address: record.address,
        last_seen: record.last_seen,
        certificate_der: record.certificate,
    }
}

/// The same, read again.
pub(crate) fn restored(pin: Pin) -> PinRecord {
    PinRecord {
        node_id: pin.node_id,
        certificate: pin.certificate_der,
        address: pin.address,
        last_seen: pin.last_seen,
    }
}

fn fingerprint(certificate: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(certificate))
}

fn listening(address: PeerAddress) -> Option<SocketAddr> {
    (address.port() != 0).then(|| address.socket_addr())
}
