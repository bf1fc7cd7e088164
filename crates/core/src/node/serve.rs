//! Answering peers: PING, STORE, FIND_NODE, FIND_VALUE. And keeping records, for peers and for
//! this node's own PUTs: in memory at once, acknowledged once the disk has them.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::Key;
use voiddht_wire::peer::{Body, ErrorCode, Header, Message, NodeInfo, Record};

use super::Node;
use crate::contact::Contact;
use crate::event::{CommandId, Notice, Outcome, Output, StoredRecord, Ticket, Write};
use crate::label::Limit;
use crate::peer::{ConnectionId, Peer};
use crate::quota::{Account, Charge};
use crate::record::order::Class;
use crate::record::{Bill, Offer, Refusal};
use crate::scope;
use crate::time::BootTime;

/// Groups of writes that the disk has not confirmed. Beyond it, new STOREs are refused with
/// ERROR 13; each takes about 150 bytes.
const MAX_UNSYNCED: usize = 8192;

/// A requester that waits for the disk.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The acknowledgement of a peer's STORE.
    Reply { connection: ConnectionId, request: Header },
    /// This node's own copy of a PUT.
    Operation(u64),
    /// The command by which a value is kept.
    Keep,
    /// The command by which a value is kept no longer.
    Unkeep(CommandId),
}

/// Writes on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    waiting: BTreeMap<Ticket, (Key, Waiting)>,
    next: u64,
    /// Records that are held and not on disk as they are held, each with the last write that was
    /// to bring it there. No more of them than records.
    volatile: BTreeMap<Key, Ticket>,
}

impl Unsynced {
    fn begin(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }

    /// Whether a record that is held will be found after a restart.
    fn is_durable(&self, key: &Key) -> bool {
        !self.volatile.contains_key(key)
    }

    fn end(&mut self, ticket: Ticket, durable: bool) -> Option<(Key, Waiting)> {
        let (key, waiting) = self.waiting.remove(&ticket)?;
        if durable && self.volatile.get(&key) == Some(&ticket) {
            self.volatile.remove(&key);
        }
        Some((key, waiting))
    }
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// From a peer, whose account it is charged to. It is verified before it is held.
    Peer(Bill),
    /// From a local program. The PUT has verified it, and it is charged to no account.
    Verified(Class),
}

/// What became of a record that an own PUT wants kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is kept already.
    Now,
    /// It is kept, and counts once the disk has it.
    OnceDurable,
    /// It cannot be kept.
    Refused,
}

impl Node {
    pub(super) fn serve(&mut self, connection: ConnectionId, peer: Peer, message: Message) {
        let Message { header, body } = message;
        if let Err(quota) = self.quota.admit(&Account::from(&peer), self.now.mono) {
            self.notice(Notice::LimitReached { limit: quota.into() });
            return self.reply(connection, &header, Body::Error(ErrorCode::Busy));
        }
        if header.port != 0 {
            self.heard_from(&peer, header.port);
        } else if body == Body::Ping {
            self.handle_farewell(&peer);
        }
        if body == Body::Ping && header.port != 0 {
            self.dial_back(&peer, header.port);
        }
        if body == (Body::FindNode { target: self.own.id.as_key() }) && header.port != 0 {
            self.ask_back(&peer, header.port);
        }
        let reply = match body {
            Body::Ping => Body::PingReply { observed: Some(peer.remote()) },
            Body::FindNode { target } => self.nodes_near(&target, &peer, header.port),
            Body::FindValue { key } => match self.held(&key) {
                Some(record) => Body::FindValueReply(record),
                None => self.nodes_near(&key, &peer, header.port),
            },
            Body::Store(record) => match self.serve_store(connection, &peer, &header, record) {
                Some(reply) => reply,
                None => return,
            },
            // A request of a later version.
            Body::Unknown { .. } => Body::Error(ErrorCode::BadRequest),
            // A reply is no request: the caller has told them apart.
            _ => return,
        };
        self.reply(connection, &header, reply);
    }

    /// The record of this key, as FIND_VALUE_REPLY and hand-over carry it. In its last second its
    /// ttl reads 0: it is still found, and no longer copied.
    pub(super) fn held(&self, key: &Key) -> Option<Record> {
        let record = self.records.get(key, self.now.boot)?;
        Some(Record {
            key: *key,
            value: record.value.clone(),
            ttl: self.ttl_left(record.expires),
            version: Some(record.version),
            maintenance: false,
        })
    }

    pub(super) fn restore_record(&mut self, record: StoredRecord, remaining: Duration) {
        let offer = Offer {
            key: record.key,
            value: record.value,
            version: record.version,
            expires: self.now.boot + remaining,
            maintenance: true,
        };
        match self.records.restore(record.bill, offer, record.class, self.now) {
            Ok(_) => self.upkeep_restored(record.key),
            Err(_) => {
                self.persist(vec![Write::RemoveRecord(record.key)]);
            }
        }
    }

    /// Keeps this node's own copy of a PUT.
    pub(super) fn keep_for_put(&mut self, record: Record, class: Class, operation: u64) -> Kept {
        if self.leaving.is_some() || self.is_client() {
            return Kept::Refused;
        }
        match self.keep(record, Source::Verified(class)) {
            Ok(None) => Kept::Now,
            Ok(Some(record)) => match self.persist_record(record, Waiting::Operation(operation)) {
                true => Kept::OnceDurable,
                false => Kept::Refused,
            },
            Err(_) => Kept::Refused,
        }
    }

    pub(super) fn handle_persisted(&mut self, ticket: Ticket, durable: bool) {
        match self.unsynced.end(ticket, durable) {
            Some((key, Waiting::Reply { connection, request })) => {
                let stored = Body::StoreReply { key };
                let body = if durable { stored } else { Body::Error(ErrorCode::Busy) };
                self.reply(connection, &request, body);
            }
            Some((_, Waiting::Operation(id))) => self.kept_for_operation(id, durable),
            Some((key, Waiting::Keep)) => self.kept_is_written(&key, durable),
            Some((_, Waiting::Unkeep(id))) if durable => {
                self.answer(id, Outcome::Unkept { was_listed: true });
            }
            Some((_, Waiting::Unkeep(id))) => self.answer(id, Outcome::Busy),
            None => {}
        }
    }

    /// Asks for writes without waiting for their completion.
    pub(super) fn persist(&mut self, writes: Vec<Write>) {
        for write in &writes {
            if let Write::RemoveRecord(key) = write {
                self.unsynced.volatile.remove(key);
            }
        }
        let ticket = self.unsynced.begin();
        self.outputs.push_back(Output::Persist { ticket, writes });
    }

    /// Asks for a record to be written, for a requester that waits for it. False, and nothing
    /// is asked, where too many wait already.
    fn persist_record(&mut self, record: StoredRecord, waiting: Waiting) -> bool {
        let key = record.key;
        self.unsynced.volatile.insert(key, Ticket(self.unsynced.next));
        self.persist_for(key, vec![Write::PutRecord(record)], waiting)
    }

    /// Asks for writes on behalf of a caller that waits for them. False, and nothing is asked, where
    /// too many wait already.
    pub(super) fn persist_for(&mut self, key: Key, writes: Vec<Write>, waiting: Waiting) -> bool {
        let ticket = self.unsynced.begin();
        if self.unsynced.waiting.len() >= MAX_UNSYNCED {
            self.notice(Notice::LimitReached { limit: Limit::MaxUnsynced });
            return false;
        }
        self.unsynced.waiting.insert(ticket, (key, waiting));
        self.outputs.push_back(Output::Persist { ticket, writes });
        true
    }

    fn serve_store(
        &mut self,
        connection: ConnectionId,
        peer: &Peer,
        header: &Header,
        record: Record,
    ) -> Option<Body> {
        if self.leaving.is_some() || self.has_just_resumed() || self.is_client() {
            // What a leaving node has, it is handing over; what came now would be forgotten. What a
            // client took, no lookup would find.
            return Some(Body::Error(ErrorCode::Busy));
        }
        let key = record.key;
        let maintenance = record.maintenance;
        if record.ttl == 0 {
            return Some(Body::Error(ErrorCode::BadRequest));
        }
        self.note_published(peer, &record);
        let bill = self.bill_of(peer, &record);
        match self.keep(record, Source::Peer(bill)) {
            Ok(None) => Some(Body::StoreReply { key }),
            Ok(Some(record)) => {
                let waiting = Waiting::Reply { connection, request: *header };
                let asked = self.persist_record(record, waiting);
                (!asked).then_some(Body::Error(ErrorCode::Busy))
            }
            Err(refusal) => {
                if maintenance && refusal.is_by_order() {
                    self.bring_up_to_date(key, peer);
                }
                Some(Body::Error(match refusal {
                    Refusal::Full { .. } => ErrorCode::Busy,
                    Refusal::FutureVersion => ErrorCode::FutureVersion,
                    _ => ErrorCode::NotAcceptable,
                }))
            }
        }
    }

    /// To which account of its sender a STORE is charged. A copy is one only where it may be: its
    /// sender is a contact, and this node is among the closest.
    fn bill_of(&self, peer: &Peer, record: &Record) -> Bill {
        let is_copy = record.maintenance
            && peer.is_proved()
            && self.table.get(&peer.id()).is_some()
            && self.own_rank(&record.key) < self.config.k;
        let charge = if is_copy { Charge::Copy } else { Charge::Publication };
        Bill { account: Account::from(peer), charge }
    }

    /// Keeps a record in memory, charged to the account of the peer that brought it. What comes back must be
    /// written, if anything: a record that is held already may still be on its way to the disk, or
    /// have failed to reach it.
    fn keep(&mut self, record: Record, source: Source) -> Result<Option<StoredRecord>, Refusal> {
        let Record { key, value, ttl, version, maintenance } = record;
        let ttl = Duration::from_secs(ttl.into()).min(self.config.max_ttl);
        let version = version.unwrap_or_else(|| self.now.wall.as_millis());
        let expires = self.now.boot + ttl;
        let offer = Offer { key, value, version, expires, maintenance };
        let taken = match source {
            Source::Peer(bill) => self.records.offer_from(bill, offer, self.now),
            Source::Verified(class) => self.records.offer_verified(class, offer, self.now),
        };
        match taken {
            Ok(accepted) => {
                if let Some((account, used)) = accepted.gave_way {
                    let evicted = accepted.evicted.len();
                    self.notice(Notice::AccountLimited { account, used, evicted });
                }
                let gone: Vec<Write> =
                    accepted.evicted.into_iter().map(Write::RemoveRecord).collect();
                if !gone.is_empty() {
                    self.persist(gone);
                }
                if !accepted.changed {
                    if maintenance {
                        self.upkeep_saw_copy(key);
                    }
                    let on_disk = self.unsynced.is_durable(&key);
                    return Ok(if on_disk { None } else { self.stored(&key) });
                }
                self.upkeep_holds(key);
                if self.records.is_filling() && self.own_rank(&key) >= self.config.k {
                    self.records.mark_cached(&key, true);
                }
                Ok(self.stored(&key))
            }
            Err(refusal) => {
                if matches!(source, Source::Peer(_)) {
                    self.notice(Notice::StoreRefused { why: refusal.reason() });
                }
                if let Refusal::Full { limit } = refusal {
                    self.notice(Notice::LimitReached { limit });
                    if let Some((account, used)) = self.records.largest_account() {
                        self.notice(Notice::AccountLimited { account, used, evicted: 0 });
                    }
                }
                Err(refusal)
            }
        }
    }

    fn stored(&self, key: &Key) -> Option<StoredRecord> {
        let record = self.records.get(key, self.now.boot)?;
        Some(StoredRecord {
            key: *key,
            value: record.value.clone(),
            version: record.version,
            class: Some(record.class().into()),
            written: self.now.wall,
            expires: self.now.wall + record.expires.since(self.now.boot),
            bill: self.records.bill_of(record),
        })
    }

    /// The closest contacts to a point, this node among them where it is near enough, the one
    /// that asks, and listens at `port`, left out: it knows itself. So are addresses that it would not
    /// dial if it keeps to the same rules, and that are none of its business otherwise.
    ///
    /// Its ID at another address is not left out: see [`duplicate`](super::duplicate).
    fn nodes_near(&self, target: &Key, asking: &Peer, port: u16) -> Body {
        let k = self.config.k;
        let mut nodes: Vec<NodeInfo> = Vec::with_capacity(k + 1);
        let remote = asking.remote();
        let useful = |contact: &Contact| scope::may_name(&remote, &contact.address());
        let responsive = |contact: &Contact| !contact.is_suspect() && useful(contact);
        self.table.closest_where(target, k + 1, &mut nodes, responsive);
        if nodes.len() <= k {
            nodes.clear();
            self.table.closest_where(target, k + 1, &mut nodes, useful);
        }
        let is_asking = |node: &NodeInfo| {
            node.id == asking.id()
                && (port == 0 || !asking.is_proved() || node.address == remote.with_port(port))
        };
        nodes.retain(|node| !is_asking(node));
        if let Some(told) = self.announced_to(asking) {
            let own = target.distance(&self.own.id);
            let place = nodes.partition_point(|node| target.distance(&node.id) < own);
            nodes.insert(place, told);
        }
        nodes.truncate(k);
        Body::FindNodeReply { nodes }
    }

    fn reply(&mut self, connection: ConnectionId, to: &Header, body: Body) {
        let header = self.header(to.rpc_id);
        self.outputs.push_back(Output::Reply { connection, message: Message { header, body } });
    }

    /// How long a record that this node holds has left.
    pub(super) fn expires(&self, key: &Key) -> Option<BootTime> {
        self.records.get(key, self.now.boot).map(|record| record.expires)
    }
}
