//! Labels under which things are counted and logged: kinds, purposes, outcomes, limits.
//!
//! Each is a closed enum, so that every table of counters has a slot for every label by its type,
//! and a label without a counter does not compile. [`label!`](crate::label!) declares one.

use voiddht_wire::peer::{Body, ErrorCode};

use crate::quota::QuotaReached;

/// Declares an enum of labels: each variant with the name that logs and metrics show.
#[macro_export]
macro_rules! label {
    (
        $(#[$doc:meta])*
        $vis:vis enum $label:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $label {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $label {
            /// Every label, in the order of their slots.
            $vis const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];
            /// Slots of a table that is indexed by this label.
            $vis const COUNT: usize = Self::ALL.len();

            /// The name in logs and metrics.
            $vis const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The index of this label in a table of [`Self::COUNT`] slots.
            $vis const fn slot(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $label {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

label! {
    /// Kinds of requests between peers.
    pub enum RequestKind {
        /// PING.
        Ping = "ping",
        /// STORE.
        Store = "store",
        /// FIND_NODE.
        FindNode = "find_node",
        /// FIND_VALUE.
        FindValue = "find_value",
    }
}

impl RequestKind {
    /// The kind of this message; `None` if it is a reply.
    pub fn of(body: &Body) -> Option<Self> {
        match body {
            Body::Ping => Some(Self::Ping),
            Body::Store(_) => Some(Self::Store),
            Body::FindNode { .. } => Some(Self::FindNode),
            Body::FindValue { .. } => Some(Self::FindValue),
            Body::PingReply { .. }
            | Body::StoreReply { .. }
            | Body::FindNodeReply { .. }
            | Body::FindValueReply(_)
            | Body::Error(_)
            | Body::Unknown { .. } => None,
        }
    }
}

label! {
    /// Why a request was sent.
    pub enum RequestPurpose {
        /// A GET, a PUT or a lookup.
        Operation = "operation",
        /// To join by a peer whose ID is not known yet.
        Seed = "seed",
        /// To find out whether a contact responds.
        Liveness = "liveness",
        /// To bring a copy of a record to where it belongs.
        Upkeep = "upkeep",
        /// To bring a newer signed value to a node that returned an older one.
        Repair = "repair",
        /// To learn how this node is seen from outside.
        Reach = "reach",
        /// To say that this node leaves.
        Farewell = "farewell",
    }
}

label! {
    /// Why a peer refused a STORE of this node.
    pub enum StoreRejection {
        /// It has a newer version, or one that outranks this one.
        Superseded = "superseded",
        /// The version is from the future for its clock.
        FutureVersion = "future_version",
        /// It is busy, full, or a quota is reached.
        Busy = "busy",
        /// Any other error.
        Other = "other",
    }
}

impl StoreRejection {
    /// The reason that an error code names.
    pub fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotAcceptable => Self::Superseded,
            ErrorCode::FutureVersion => Self::FutureVersion,
            ErrorCode::Busy => Self::Busy,
            ErrorCode::BadRequest | ErrorCode::NotFound | ErrorCode::Internal => Self::Other,
        }
    }
}

label! {
    /// How a request ended.
    pub enum RequestOutcome {
        /// The peer answered what was asked, or took what its dialect has no answer to.
        Answered = "answered",
        /// The peer answered with an error.
        Refused = "refused",
        /// Nothing came in time.
        TimedOut = "timed_out",
        /// It could not be delivered.
        Undelivered = "undelivered",
    }
}

label! {
    /// Kinds of operations.
    pub enum OperationKind {
        /// Finds a value.
        Get = "get",
        /// Stores a value.
        Put = "put",
        /// Finds the closest nodes.
        Lookup = "lookup",
    }
}

label! {
    /// What an operation was started for.
    pub enum OperationPurpose {
        /// A user's command.
        Command = "command",
        /// Joining.
        Join = "join",
        /// Refreshing a bucket or the estimate of the network's size.
        Refresh = "refresh",
        /// Finding where records belong.
        Upkeep = "upkeep",
        /// Republishing kept values.
        Keep = "keep",
    }
}

label! {
    /// What a node's own lookup is for.
    pub enum LookupPurpose {
        /// Joining.
        Join = "join",
        /// Refreshing a bucket or the estimate of the network's size.
        Refresh = "refresh",
        /// Finding where records belong.
        Upkeep = "upkeep",
        /// Finding where kept values are republished.
        Keep = "keep",
    }
}

impl From<LookupPurpose> for OperationPurpose {
    fn from(purpose: LookupPurpose) -> Self {
        match purpose {
            LookupPurpose::Join => Self::Join,
            LookupPurpose::Refresh => Self::Refresh,
            LookupPurpose::Upkeep => Self::Upkeep,
            LookupPurpose::Keep => Self::Keep,
        }
    }
}

label! {
    /// Limits of the core, by the names that settings and metrics have.
    pub enum Limit {
        /// Checks of listening addresses in progress, and peers that were dialled back.
        AddressChecks = "address_checks",
        /// Bytes held for one peer.
        BytesPerPeer = "bytes_per_peer",
        /// Bytes held for the peers of one address prefix.
        BytesPerPrefix = "bytes_per_prefix",
        /// Requests that were given up, remembered for replies that come later.
        GivenUpRequests = "given_up_requests",
        /// Requests of one lookup.
        LookupRequests = "lookup_requests",
        /// Contacts that left the routing table and are tried again.
        LostContacts = "lost_contacts",
        /// Memory that all records may take.
        MaxBytes = "max_bytes",
        /// Bytes of the values that this node keeps.
        MaxKeptBytes = "max_kept_bytes",
        /// Values that this node keeps.
        MaxKeptValues = "max_kept_values",
        /// Corrections of peers within an upkeep interval.
        MaxCorrections = "max_corrections",
        /// Operations in flight.
        MaxOperations = "max_operations",
        /// Records held.
        MaxRecords = "max_records",
        /// Signatures verified in a time, of one peer, one address prefix, or all.
        MaxSignatureChecks = "max_signature_checks",
        /// STOREs that wait for the disk.
        MaxUnsynced = "max_unsynced",
        /// Bytes handed to nodes that are new.
        NewcomerBytes = "newcomer_bytes",
        /// Nodes that joined or failed and whose records are to be moved.
        Movements = "movements",
        /// Nodes of which this node has a low opinion.
        Opinions = "opinions",
        /// Values published here and remembered for reads.
        Publications = "publications",
        /// Copies of records that wait to be sent.
        QueuedCopies = "queued_copies",
        /// Questions in progress of how others reach this node.
        ReachChecks = "reach_checks",
        /// Configured peers; further ones are ignored.
        ConfiguredPeers = "configured_peers",
        /// Records held for one peer.
        RecordsPerPeer = "records_per_peer",
        /// Records held for the peers of one address prefix.
        RecordsPerPrefix = "records_per_prefix",
        /// Addresses that a peer named and this node does not dial because of their scope.
        ReferralScope = "referral_scope",
        /// Addresses that did not answer, remembered so that they are not checked again.
        RefusedAddresses = "refused_addresses",
        /// Requests of one peer in a time.
        RequestsPerPeer = "requests_per_peer",
        /// Requests from one address prefix in a time.
        RequestsPerPrefix = "requests_per_prefix",
        /// Records to be sent to replicas that PUTs have missed.
        UnreachedReplicas = "unreached_replicas",
    }
}

impl From<QuotaReached> for Limit {
    fn from(quota: QuotaReached) -> Self {
        match quota {
            QuotaReached::PeerRequests => Self::RequestsPerPeer,
            QuotaReached::PrefixRequests => Self::RequestsPerPrefix,
            QuotaReached::SignatureChecks => Self::MaxSignatureChecks,
            QuotaReached::PeerRecords => Self::RecordsPerPeer,
            QuotaReached::PeerBytes => Self::BytesPerPeer,
            QuotaReached::PrefixRecords => Self::RecordsPerPrefix,
            QuotaReached::PrefixBytes => Self::BytesPerPrefix,
        }
    }
}

label! {
    /// Why a STORE was refused.
    pub enum RefusalReason {
        /// A limit is reached.
        Full = "full",
        /// A higher version is held.
        Older = "older",
        /// Another value of the same version is held, and the tie goes to it.
        Outranked = "outranked",
        /// The self-verifying value of the key is held.
        Outproved = "outproved",
        /// The version is too far ahead of this node's clock.
        FutureVersion = "future_version",
        /// No TTL remains, or the end of a signed value has passed.
        Expired = "expired",
        /// A signed value of this key whose signature is wrong or weak.
        BadSignature = "bad_signature",
        /// A signed value of this key whose delegation the owner has not signed.
        BadDelegation = "bad_delegation",
        /// A signed value of this key under a weak key of its owner or writer.
        WeakKey = "weak_key",
    }
}

crate::label! {
    /// How a publication of a kept value ended.
    pub enum KeptPublication {
        /// It was stored.
        Stored = "stored",
        /// Replicas hold a value that outranks it: it is read, and kept in place of this one, or
        /// keeping ends.
        Superseded = "superseded",
        /// It failed, and is tried again.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_places_in_all_and_names_are_distinct() {
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit.slot(), place);
        }
        let names: std::collections::BTreeSet<_> = Limit::ALL.map(Limit::name).into();
        assert_eq!(names.len(), Limit::COUNT);
    }
}
