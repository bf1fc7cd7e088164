//! Counts over a whole run.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_core::event::{Notice, RequestOutcome};
use voiddht_core::label::{Limit, LookupPurpose, RequestPurpose};
use voiddht_identity::Verdict;
use voiddht_session::{Limit as ConnectionLimit, TrustNotice};
use voiddht_wire::peer::Message;

use crate::traffic::frame_bytes;

/// Messages, requests and notices of all hosts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Messages and their frames' bytes, by kind.
    pub messages: BTreeMap<&'static str, (u64, u64)>,
    /// Requests by [`RequestOutcome`].
    pub requests: [u64; RequestOutcome::COUNT],
    /// Requests that ended, by [`RequestPurpose`].
    pub purposes: [u64; RequestPurpose::COUNT],
    /// Requests of the nodes' own lookups, by [`LookupPurpose`].
    pub lookup_requests: [u64; LookupPurpose::COUNT],
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that one of their nodes has closed: to make room, or because another one with the
    /// same peer serves.
    pub closed: u64,
    /// Connections that were not used though their handshake had ended well: for want of a slot, or
    /// because of a pin.
    pub turned_away: u64,
    /// Connections that broke.
    pub broken: u64,
    /// Dials that failed.
    pub failed_dials: u64,
    /// Times that a node found that it cannot be dialled.
    pub unreachable: u64,
    /// Probes of a listening address.
    pub probes: u64,
    /// Nodes that lost their last contact.
    pub isolated: u64,
    /// Attempts to join that failed.
    pub failed_joins: u64,
    /// Contacts that entered or left a routing table.
    pub contacts_added: u64,
    /// Contacts that left one.
    pub contacts_removed: u64,
    /// Rules that were broken, as honest nodes saw it, by rule.
    pub misbehaviour: BTreeMap<String, u64>,
    /// Bans by honest nodes.
    pub bans: u64,
    /// Records of the largest accounts that were dropped for others.
    pub gave_way: u64,
    /// Lookups for kept values.
    pub kept_lookups: u64,
    /// Limits that were reached.
    pub limits: BTreeMap<Limit, u64>,
    /// Limits of the connection layer that were reached.
    pub connection_limits: BTreeMap<ConnectionLimit, u64>,
    /// Connections that were refused because their ID is pinned to another key.
    pub pin_conflicts: u64,
    /// IDs that were reassigned to another key.
    pub takeovers: u64,
    /// Time that requests waited for, by those that timed out or failed.
    pub time_lost: Duration,
}

impl Tally {
    pub(crate) fn message(&mut self, message: &Message) {
        let (count, bytes) = self.messages.entry(message.body.name()).or_default();
        *count += 1;
        *bytes += frame_bytes(message) as u64;
    }

    pub(crate) fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Isolated => self.isolated += 1,
            Notice::JoinFailed { .. } => self.failed_joins += 1,
            Notice::ContactAdded(_) => self.contacts_added += 1,
            Notice::ContactRemoved(_) => self.contacts_removed += 1,
            Notice::RequestEnded { outcome, purpose, took, .. } => {
                self.requests[outcome.slot()] += 1;
                self.purposes[purpose.slot()] += 1;
                if matches!(outcome, RequestOutcome::TimedOut | RequestOutcome::Undelivered) {
                    self.time_lost += *took;
                }
            }
            Notice::LimitReached { limit } => *self.limits.entry(*limit).or_default() += 1,
            Notice::AccountLimited { evicted, .. } => self.gave_way += *evicted as u64,
            Notice::Misbehaviour { what, .. } => {
                *self.misbehaviour.entry(what.to_string()).or_default() += 1;
            }
            Notice::Banned { .. } => self.bans += 1,
            Notice::Unreachable { .. } => self.unreachable += 1,
            Notice::LookupEnded { purpose, report, .. } => {
                self.lookup_requests[purpose.slot()] += u64::from(report.asked);
                self.kept_lookups += u64::from(*purpose == LookupPurpose::Keep);
            }
            Notice::Joined { .. }
            | Notice::PeerChanged { .. }
            | Notice::Reachable
            | Notice::DuplicateIdentity { .. }
            | Notice::StoreRefused { .. }
            | Notice::StoreRejected { .. }
            | Notice::ClockWrong(_)
            | Notice::KeepPublished { .. }
            | Notice::KeepEnded { .. }
            | Notice::KeepAdopted { .. }
            | Notice::ClockRight => {}
        }
    }

    pub(crate) fn trust(&mut self, notice: &TrustNotice) {
        match notice {
            TrustNotice::Conflict { verdict: Verdict::Replaced, .. } => self.takeovers += 1,
            TrustNotice::Conflict { .. } => self.pin_conflicts += 1,
            TrustNotice::OwnerAsked { .. } | TrustNotice::Settled(_) => {}
        }
    }

    /// All messages, and all bytes of their frames.
    pub fn all_messages(&self) -> (u64, u64) {
        self.messages.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}
