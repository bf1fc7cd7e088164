//! How rows are laid out, and (in `tables`) the tables of the database. Drawn in `docs/storage.md`.
//!
//! Integers are big-endian, so that keys order as numbers do. A change of any of this is a new
//! [`SCHEMA_VERSION`]; a change of the files' names or of redb's own file format is a new
//! [`crate::identity_file::DIRECTORY_FORMAT`], which an older version reads before it touches the
//! database.

use voiddht_core::diversity::{AddressPrefix, prefixes};
use voiddht_core::kept::{KeptRow, KeptState};
use voiddht_core::quota::{Account, Charge, Owner};
use voiddht_core::record::{Bill, StoredClass};
use voiddht_core::time::WallTime;
use voiddht_wire::address::ADDRESS_BYTES;
use voiddht_wire::id::ID_BYTES;
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::{Key, NodeId, PeerAddress};

use crate::clock::{Age, Reading, Stamp};
use crate::loaded::Pin;

#[cfg(feature = "redb")]
pub(crate) mod tables;

/// The version of the tables.
pub(crate) const SCHEMA_VERSION: u32 = 2;
/// The version before, of which all is read: it has no tables of kept values, and rows of records
/// that do not say their class.
pub(crate) const SCHEMA_WITHOUT_KEPT: u32 = 1;

/// Bytes of a secret's fingerprint.
pub(crate) const FINGERPRINT_BYTES: usize = 8;
/// `version u64 · deadline u64 · class u8`.
pub(crate) const RECORD_BYTES: usize = OLD_RECORD_BYTES + 1;
/// `version u64 · deadline u64`.
pub(crate) const OLD_RECORD_BYTES: usize = 16;
/// `version u64 · until u64 · published u64 · ttl u16 · replication u8 · state u8 · signed u8`; the two
/// times are milliseconds since 1970, 0 for none.
pub(crate) const KEPT_BYTES: usize = 8 + 8 + 8 + 2 + 1 + 1 + 1;
/// `charge u8 · owner u8 · node ID 32 · address 18`.
pub(crate) const ACCOUNT_BYTES: usize = 1 + 1 + ID_BYTES + ADDRESS_BYTES;
/// `deadline u64 · key 32`.
pub(crate) const EXPIRY_BYTES: usize = 8 + ID_BYTES;
/// `age u64 · milliseconds since boot u64 · wall clock u64 · boot known u8 · boot ID 16`.
const STAMP_BYTES: usize = 8 + 8 + 8 + 1 + 16;
/// `address 18 · last seen u64`, before the certificate.
const PIN_FIXED_BYTES: usize = ADDRESS_BYTES + 8;

/// A leaf of redb with one row of fixed key and variable value: `type u8 · 0 u8 · pairs u16 · end
/// of value u32`, then key and value.
const REDB_LEAF_BYTES: usize = 8;
const _: () = assert!(
    REDB_LEAF_BYTES + ID_BYTES + MAX_VALUE_BYTES <= 65_536,
    "the largest value fits a page of 64 KiB"
);

/// What is kept of a record beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordRow {
    /// The publisher's clock.
    pub(crate) version: u64,
    /// The directory's age at which the record expires.
    pub(crate) deadline: Age,
    /// What was verified of the value; `None` in rows of an earlier version.
    pub(crate) class: Option<StoredClass>,
}

impl RecordRow {
    pub(crate) fn encode(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&self.version.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.deadline.0.to_be_bytes());
        bytes[16] = match self.class {
            None => 0,
            Some(StoredClass::Plain) => 1,
            Some(StoredClass::Signed) => 2,
            Some(StoredClass::ContentAddressed) => 3,
        };
        bytes
    }

    /// A class that is not known is verified again.
    pub(crate) fn decode(bytes: &[u8; RECORD_BYTES]) -> Self {
        let class = match bytes[16] {
            1 => Some(StoredClass::Plain),
            2 => Some(StoredClass::Signed),
            3 => Some(StoredClass::ContentAddressed),
            _ => None,
        };
        Self { version: u64_at(bytes, 0), deadline: Age(u64_at(bytes, 8)), class }
    }

    pub(crate) fn decode_old(bytes: &[u8; OLD_RECORD_BYTES]) -> Self {
        Self { version: u64_at(bytes, 0), deadline: Age(u64_at(bytes, 8)), class: None }
    }
}

pub(crate) fn encode_kept(row: &KeptRow) -> [u8; KEPT_BYTES] {
    let millis = |time: Option<WallTime>| time.map_or(0, WallTime::as_millis).to_be_bytes();
    let mut bytes = [0; KEPT_BYTES];
    bytes[..8].copy_from_slice(&row.version.to_be_bytes());
    bytes[8..16].copy_from_slice(&millis(row.until));
    bytes[16..24].copy_from_slice(&millis(row.published));
    bytes[24..26].copy_from_slice(&row.ttl.to_be_bytes());
    bytes[26] = row.replication;
    bytes[27] = match row.state {
        KeptState::Kept => 0,
        KeptState::Superseded => 1,
        KeptState::Ended => 2,
    };
    bytes[28] = u8::from(row.class == Some(StoredClass::Signed));
    bytes
}

pub(crate) fn decode_kept(key: Key, bytes: &[u8; KEPT_BYTES]) -> Option<KeptRow> {
    let time =
        |at| Some(u64_at(bytes, at)).filter(|millis| *millis != 0).map(WallTime::from_millis);
    let state = match bytes[27] {
        0 => KeptState::Kept,
        1 => KeptState::Superseded,
        2 => KeptState::Ended,
        _ => return None,
    };
    let class = match bytes[28] {
        0 => None,
        1 => Some(StoredClass::Signed),
        _ => return None,
    };
    Some(KeptRow {
        key,
        ttl: u16::from_be_bytes([bytes[24], bytes[25]]),
        replication: bytes[26],
        version: u64_at(bytes, 0),
        until: time(8),
        published: time(16),
        state,
        class,
    })
}

/// The owner is 0 for a node, 1 for a host, and 2 for a network; the last two follow from the
/// address, and have the node ID 0.
pub(crate) fn encode_bill(bill: &Bill) -> [u8; ACCOUNT_BYTES] {
    let Bill { account: Account { owner, address }, charge } = bill;
    let mut bytes = [0; ACCOUNT_BYTES];
    bytes[0] = u8::from(*charge == Charge::Copy);
    match owner {
        Owner::Node(id) => bytes[2..2 + ID_BYTES].copy_from_slice(&id.to_bytes()),
        Owner::Host(_) => bytes[1] = 1,
        Owner::Site(_) => bytes[1] = 2,
    }
    bytes[2 + ID_BYTES..].copy_from_slice(&address.to_bytes());
    bytes
}

pub(crate) fn decode_bill(bytes: &[u8; ACCOUNT_BYTES]) -> Option<Bill> {
    let [charge, owner, rest @ ..] = bytes;
    let (id, address) = rest.split_first_chunk::<ID_BYTES>()?;
    let address = PeerAddress::from_bytes(address.first_chunk::<ADDRESS_BYTES>()?);
    let owner = match owner {
        0 => Owner::Node(NodeId::from_bytes(*id)),
        1 => Owner::Host(AddressPrefix::host(&address)),
        2 => Owner::Site(prefixes(&address).next()?),
        _ => return None,
    };
    let charge = match charge {
        0 => Charge::Publication,
        1 => Charge::Copy,
        _ => return None,
    };
    Some(Bill { account: Account { owner, address }, charge })
}

pub(crate) fn encode_expiry(deadline: Age, key: &[u8; ID_BYTES]) -> [u8; EXPIRY_BYTES] {
    let mut bytes = [0; EXPIRY_BYTES];
    bytes[..8].copy_from_slice(&deadline.0.to_be_bytes());
    bytes[8..].copy_from_slice(key);
    bytes
}

pub(crate) fn decode_expiry(bytes: &[u8; EXPIRY_BYTES]) -> (Age, [u8; ID_BYTES]) {
    let mut key = [0; ID_BYTES];
    key.copy_from_slice(&bytes[8..]);
    (Age(u64_at(bytes, 0)), key)
}

pub(crate) fn encode_stamp(stamp: &Stamp) -> [u8; STAMP_BYTES] {
    let Reading { boot, since_boot, wall } = stamp.reading;
    let mut bytes = [0; STAMP_BYTES];
    bytes[..8].copy_from_slice(&stamp.age.0.to_be_bytes());
    bytes[8..16].copy_from_slice(&since_boot.to_be_bytes());
    bytes[16..24].copy_from_slice(&wall.as_millis().to_be_bytes());
    if let Some(boot) = boot {
        bytes[24] = 1;
        bytes[25..].copy_from_slice(&boot);
    }
    bytes
}

pub(crate) fn decode_stamp(bytes: &[u8]) -> Option<Stamp> {
    let bytes: &[u8; STAMP_BYTES] = bytes.try_into().ok()?;
    let boot = match bytes[24] {
        0 => None,
        1 => Some(bytes[25..].try_into().ok()?),
        _ => return None,
    };
    let reading = Reading {
        boot,
        since_boot: u64_at(bytes, 8),
        wall: WallTime::from_millis(u64_at(bytes, 16)),
    };
    Some(Stamp { age: Age(u64_at(bytes, 0)), reading })
}

pub(crate) fn encode_pin(pin: &Pin) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PIN_FIXED_BYTES + pin.certificate_der.len());
    bytes.extend_from_slice(&pin.address.to_bytes());
    bytes.extend_from_slice(&pin.last_seen.as_millis().to_be_bytes());
    bytes.extend_from_slice(&pin.certificate_der);
    bytes
}

pub(crate) fn decode_pin(node_id: NodeId, bytes: &[u8]) -> Option<Pin> {
    let (address, rest) = bytes.split_first_chunk::<ADDRESS_BYTES>()?;
    let (last_seen, certificate) = rest.split_first_chunk::<8>()?;
    Some(Pin {
        node_id,
        address: PeerAddress::from_bytes(address),
        last_seen: WallTime::from_millis(u64::from_be_bytes(*last_seen)),
        certificate_der: certificate.to_vec(),
    })
}

fn u64_at<const N: usize>(bytes: &[u8; N], start: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[start..start + 8]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that lie on disks somewhere: a change here is a new [`SCHEMA_VERSION`].
    #[test]
    fn rows_are_laid_out_as_drawn() {
        for (number, class) in [
            (0, None),
            (1, Some(StoredClass::Plain)),
            (2, Some(StoredClass::Signed)),
            (3, Some(StoredClass::ContentAddressed)),
        ] {
            let row = RecordRow { version: 0x0102, deadline: Age(0x0304), class };
            assert_eq!(row.encode(), [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, number]);
            assert_eq!(RecordRow::decode(&row.encode()), row);
        }
        let old = RecordRow::decode_old(&[0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(old, RecordRow { version: 0x0102, deadline: Age(0x0304), class: None });

        let expiry = encode_expiry(Age(0x0506), &[9; ID_BYTES]);
        assert_eq!(expiry[..8], [0, 0, 0, 0, 0, 0, 5, 6]);
        assert_eq!(expiry[8..], [9; 32]);
        assert_eq!(decode_expiry(&expiry), (Age(0x0506), [9; ID_BYTES]));

        let wall = WallTime::from_millis(3);
        for (boot, known) in [(Some([7; 16]), 1), (None, 0)] {
            let stamp = Stamp { age: Age(1), reading: Reading { boot, since_boot: 2, wall } };
            let bytes = encode_stamp(&stamp);
            assert_eq!((bytes[7], bytes[15], bytes[23], bytes[24]), (1, 2, 3, known));
            assert_eq!(bytes[25..], boot.unwrap_or_default());
            assert_eq!(decode_stamp(&bytes), Some(stamp));
        }

        let node_id = NodeId::from_bytes([1; 32]);
        let address = PeerAddress::new([127, 0, 0, 1].into(), 7402);
        let pin = Pin { node_id, address, last_seen: wall, certificate_der: vec![4, 5] };
        let bytes = encode_pin(&pin);
        assert_eq!(bytes[..18], address.to_bytes());
        assert_eq!(bytes[18..], [0, 0, 0, 0, 0, 0, 0, 3, 4, 5]);
        assert_eq!(decode_pin(node_id, &bytes), Some(pin));
    }

    #[test]
    fn kept_values_are_laid_out_as_drawn() {
        let (key, time) = (Key::from_bytes([7; 32]), WallTime::from_millis);
        for (state_number, state) in
            [(0, KeptState::Kept), (1, KeptState::Superseded), (2, KeptState::Ended)]
        {
            let row = KeptRow {
                key,
                ttl: 0x0102,
                replication: 3,
                version: 4,
                until: Some(time(5)),
                published: None,
                state,
                class: Some(StoredClass::Signed),
            };
            let bytes = encode_kept(&row);
            assert_eq!((bytes[7], bytes[15], &bytes[16..24]), (4, 5, &[0; 8][..]));
            assert_eq!(bytes[24..], [1, 2, 3, state_number, 1]);
            assert_eq!(decode_kept(key, &bytes), Some(row));
        }
        assert_eq!(decode_kept(key, &[3; KEPT_BYTES]), None);
    }

    #[test]
    fn accounts_are_laid_out_as_drawn() {
        let address = PeerAddress::new([203, 0, 113, 7].into(), 7402);
        let owners = [
            (0, 9, Owner::Node(NodeId::from_bytes([9; 32]))),
            (1, 0, Owner::Host(AddressPrefix::host(&address))),
            (2, 0, Owner::Site(prefixes(&address).next().unwrap())),
        ];
        for (number, id, owner) in owners {
            for (charge_number, charge) in [(0, Charge::Publication), (1, Charge::Copy)] {
                let bill = Bill { account: Account { owner, address }, charge };
                let bytes = encode_bill(&bill);
                assert_eq!(bytes[..2], [charge_number, number]);
                assert_eq!((&bytes[2..34], &bytes[34..]), (&[id; 32][..], &address.to_bytes()[..]));
                assert_eq!(decode_bill(&bytes), Some(bill));
            }
        }
        assert_eq!(decode_bill(&[3; ACCOUNT_BYTES]), None);
    }

    #[test]
    fn rows_of_another_form_are_not_read() {
        assert_eq!(decode_stamp(&[0; STAMP_BYTES - 1]), None);
        assert_eq!(decode_stamp(&[2; STAMP_BYTES]), None);
        assert_eq!(decode_pin(NodeId::default(), &[0; PIN_FIXED_BYTES - 1]), None);
    }

    #[test]
    fn earlier_deadlines_come_first() {
        let row = |deadline, key| encode_expiry(Age(deadline), &[key; ID_BYTES]);
        assert!(row(255, 9) < row(256, 0) && row(256, 0) < row(256, 1));
    }
}
