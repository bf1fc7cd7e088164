//! Answering peers: PING, STORE, FIND_NODE, FIND_VALUE. And holding records, for peers and for
//! this node's own PUTs: in memory at once, acknowledged once the disk has them.

use voiddht_wire::Key;
use voiddht_wire::peer::{Body, ErrorCode, Header, Message, NodeInfo, Record};

use super::Node;
use super::context::Context;
use super::unsynced::Waiting;
use super::values::{News, Source, Taken, held};
use crate::contact::Contact;
use crate::event::{Notice, Outcome, Ticket};
use crate::peer::{ConnectionId, Peer};
use crate::quota::{Account, Charge};
use crate::record::order::Class;
use crate::record::{Bill, Refusal};
use crate::scope;

/// What became of a record that an own PUT wants held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is held, and on disk.
    Now,
    /// It is held, and counts once the disk has it.
    OnceDurable,
    /// It cannot be held.
    Refused,
}

impl Node {
    pub(super) fn serve(&mut self, connection: ConnectionId, peer: Peer, message: Message) {
        let Message { header, body } = message;
        if let Err(quota) = self.quota.admit(&Account::from(&peer), self.cx.now.mono) {
            self.cx.notice(Notice::LimitReached { limit: quota.into() });
            return self.cx.reply(connection, &header, Body::Error(ErrorCode::Busy));
        }
        self.note_requester(&peer, &header, &body);
        let reply = match body {
            Body::Ping => Body::PingReply { observed: Some(peer.remote()) },
            Body::FindNode { target } => nodes_near(&self.cx, &target, &peer, header.port),
            Body::FindValue { key } => match held(&self.values.records, &key, self.cx.now.boot) {
                Some(record) => Body::FindValueReply(record),
                None => nodes_near(&self.cx, &key, &peer, header.port),
            },
            Body::Store(record) => match self.serve_store(connection, &peer, &header, record) {
                Some(reply) => reply,
                None => return,
            },
            // A request of a later version.
            Body::Unknown { .. } => Body::Error(ErrorCode::BadRequest),
            // A reply is no request: the caller has told them apart.
            Body::PingReply { .. }
            | Body::StoreReply { .. }
            | Body::FindNodeReply { .. }
            | Body::FindValueReply(_)
            | Body::Error(_) => return,
        };
        self.cx.reply(connection, &header, reply);
    }

    /// A request shows that its sender is alive, and what it wants to know.
    fn note_requester(&mut self, peer: &Peer, header: &Header, body: &Body) {
        if header.port == 0 {
            if *body == Body::Ping {
                self.handle_farewell(peer);
            }
            return;
        }
        self.contacts.heard_from(&mut self.cx, peer, header.port);
        match body {
            Body::Ping => self.contacts.dial_back(&mut self.cx, peer, header.port),
            Body::FindNode { target } if *target == self.cx.own.id.as_key() => {
                self.join.ask_back(&mut self.cx, peer, header.port);
            }
            _ => {}
        }
    }

    /// Holds this node's own copy of a PUT.
    pub(super) fn keep_for_put(&mut self, record: Record, class: Class, operation: u64) -> Kept {
        if self.cx.leaving.is_some() || self.cx.is_client() {
            return Kept::Refused;
        }
        match self.keep(record, Source::Verified(class)) {
            Ok(Taken { to_write: None, .. }) => Kept::Now,
            Ok(Taken { to_write: Some(record), .. }) => {
                match self.cx.persist_record(record, Waiting::Operation(operation)) {
                    true => Kept::OnceDurable,
                    false => Kept::Refused,
                }
            }
            Err(_) => Kept::Refused,
        }
    }

    pub(super) fn handle_persisted(&mut self, ticket: Ticket, durable: bool) {
        match self.cx.persisted(ticket, durable) {
            Some((key, Waiting::Reply { connection, request })) => {
                let stored = Body::StoreReply { key };
                let body = if durable { stored } else { Body::Error(ErrorCode::Busy) };
                self.cx.reply(connection, &request, body);
            }
            Some((_, Waiting::Operation(id))) => {
                self.operations.kept_locally(id, durable);
                self.drive(id);
            }
            Some((key, Waiting::Keep)) => self.keeper.is_written(&mut self.cx, &key, durable),
            Some((_, Waiting::Unkeep(id))) if durable => {
                self.cx.answer(id, Outcome::Unkept { was_listed: true });
            }
            Some((_, Waiting::Unkeep(id))) => self.cx.answer(id, Outcome::Busy),
            None => {}
        }
    }

    fn serve_store(
        &mut self,
        connection: ConnectionId,
        peer: &Peer,
        header: &Header,
        record: Record,
    ) -> Option<Body> {
        if self.cx.leaving.is_some() || self.cx.has_just_resumed() || self.cx.is_client() {
            // What a leaving node has, it is handing over; what came now would be forgotten. What a
            // client took, no lookup would find.
            return Some(Body::Error(ErrorCode::Busy));
        }
        let key = record.key;
        let maintenance = record.maintenance;
        if record.ttl == 0 {
            return Some(Body::Error(ErrorCode::BadRequest));
        }
        self.clocks.note_published(&mut self.cx, peer, &record);
        let bill = bill_of(&self.cx, peer, &record);
        match self.keep(record, Source::Peer(bill)) {
            Ok(Taken { to_write: None, .. }) => Some(Body::StoreReply { key }),
            Ok(Taken { to_write: Some(record), .. }) => {
                let waiting = Waiting::Reply { connection, request: *header };
                let asked = self.cx.persist_record(record, waiting);
                (!asked).then_some(Body::Error(ErrorCode::Busy))
            }
            Err(refusal) => {
                if maintenance && refusal.is_by_order() {
                    self.upkeep.correct(&mut self.cx, &self.values.records, key, peer);
                }
                Some(Body::Error(match refusal {
                    Refusal::Full { .. } => ErrorCode::Busy,
                    Refusal::FutureVersion => ErrorCode::FutureVersion,
                    _ => ErrorCode::NotAcceptable,
                }))
            }
        }
    }

    fn keep(&mut self, record: Record, source: Source) -> Result<Taken, Refusal> {
        let key = record.key;
        let taken = self.values.keep(&mut self.cx, record, source)?;
        match taken.news {
            News::Changed => self.upkeep.holds(&mut self.cx, key),
            News::Copy => self.upkeep.saw_copy(&mut self.cx, key),
            News::None => {}
        }
        Ok(taken)
    }
}

/// To which account of its sender a STORE is charged. A copy is one only where it may be: its
/// sender is a contact, and this node is among the closest.
fn bill_of(cx: &Context, peer: &Peer, record: &Record) -> Bill {
    let is_copy = record.maintenance
        && peer.is_proved()
        && cx.table.get(&peer.id()).is_some()
        && cx.own_rank(&record.key) < cx.config.k;
    let charge = if is_copy { Charge::Copy } else { Charge::Publication };
    Bill { account: Account::from(peer), charge }
}

/// The closest contacts to a point, this node among them where it is near enough, the one
/// that asks, and listens at `port`, left out: it knows itself. So are addresses that it would not
/// dial if it keeps to the same rules, and that are none of its business otherwise.
///
/// Its ID at another address is not left out: see [`duplicate`](super::duplicate).
fn nodes_near(cx: &Context, target: &Key, asking: &Peer, port: u16) -> Body {
    let k = cx.config.k;
    let mut nodes: Vec<NodeInfo> = Vec::with_capacity(k + 1);
    let remote = asking.remote();
    let useful = |contact: &Contact| scope::may_name(&remote, &contact.address());
    let responsive = |contact: &Contact| !contact.is_suspect() && useful(contact);
    cx.table.closest_where(target, k + 1, &mut nodes, responsive);
    if nodes.len() <= k {
        nodes.clear();
        cx.table.closest_where(target, k + 1, &mut nodes, useful);
    }
    let is_asking = |node: &NodeInfo| {
        node.id == asking.id()
            && (port == 0 || !asking.is_proved() || node.address == remote.with_port(port))
    };
    nodes.retain(|node| !is_asking(node));
    if let Some(told) = cx.announced_to(asking) {
        let own = target.distance(&cx.own.id);
        let place = nodes.partition_point(|node| target.distance(&node.id) < own);
        nodes.insert(place, told);
    }
    nodes.truncate(k);
    Body::FindNodeReply { nodes }
}
