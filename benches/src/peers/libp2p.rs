//! libp2p-kad, the Kademlia of rust-libp2p: TCP with TCP_NODELAY, TLS, yamux, 20 replicas. Nodes learn
//! where others listen by the identify protocol, without which kad takes no inbound peer into its
//! table. PUT returns when all replicas have confirmed (`Quorum::All`). GET takes the first record
//! that comes and ends the search, as its user may; there is no vote.
//!
//! Not at its default: nodes are servers (for the lack of a public address they would be clients),
//! idle connections stay (the default closes them after ten seconds, and all would begin again),
//! and a node's store holds more than 1024 records (or PUTs would fail before the end).

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::StreamExt;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, GetRecordOk, QueryId, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, tcp, tls, yamux};
use tokio::sync::{mpsc, oneshot};

use crate::network::{Death, Found, Item, Network};
use crate::threads::Threads;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/benches/kad/1.0.0");
/// Contacts of a node that has joined: as many as a bucket holds.
const ENOUGH_CONTACTS: usize = 20;
/// Longer than a run.
const IDLE: Duration = Duration::from_secs(3600);
const MOST_RECORDS: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<mpsc::Sender<Command>>,
    threads: Threads,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

#[derive(Debug)]
enum Command {
    Join { peer: PeerId, address: Multiaddr },
    CountContacts(oneshot::Sender<usize>),
    Put { record: Record, done: oneshot::Sender<Result<()>> },
    Get { key: RecordKey, found: oneshot::Sender<Option<Found>> },
}

/// The waiters for the end of a query.
#[derive(Debug)]
enum Waiting {
    Put(oneshot::Sender<Result<()>>),
    Get(oneshot::Sender<Option<Found>>),
}

impl Network for Nodes {
    async fn start(count: usize, doomed: usize) -> Result<Self> {
        let threads = Threads::start(count, doomed)?;
        let (mut nodes, mut first) = (Vec::new(), None);
        for index in 0..count {
            let (commands, inbox) = mpsc::channel(1024);
            let (listening, address) = oneshot::channel();
            threads.of(index).spawn(run(inbox, listening));
            let own = address.await.context("a node has not started")?;
            match &first {
                None => first = Some(own),
                Some((peer, address)) => {
                    let (peer, address) = (*peer, address.clone());
                    commands.send(Command::Join { peer, address }).await?;
                }
            }
            nodes.push(commands);
        }
        for node in &nodes {
            while ask(node, Command::CountContacts).await? < ENOUGH_CONTACTS.min(count - 1) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(Self { nodes, threads })
    }

    async fn put(&self, node: usize, item: &Item) -> Result<()> {
        let record = Record::new(item.key.to_vec(), item.value.to_vec());
        ask(&self.nodes[node], |done| Command::Put { record, done }).await?
    }

    async fn get(&self, node: usize, item: &Item) -> Result<Option<Found>> {
        let key = RecordKey::new(&item.key);
        ask(&self.nodes[node], |found| Command::Get { key, found }).await
    }

    async fn kill(&mut self, death: Death) -> Result<()> {
        self.threads.kill(death)
    }
}

async fn ask<T>(
    node: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T> {
    let (sender, answer) = oneshot::channel();
    node.send(command(sender)).await?;
    Ok(answer.await?)
}

fn swarm() -> Result<Swarm<Behaviour>> {
    let builder = SwarmBuilder::with_new_identity().with_tokio().with_tcp(
        tcp::Config::default().nodelay(true),
        tls::Config::new,
        yamux::Config::default,
    )?;
    let builder = builder.with_behaviour(|key| {
        let id = key.public().to_peer_id();
        let limits = MemoryStoreConfig { max_records: MOST_RECORDS, ..Default::default() };
        let store = MemoryStore::with_config(id, limits);
        let mut kad = kad::Behaviour::with_config(id, store, kad::Config::new(PROTOCOL));
        kad.set_mode(Some(kad::Mode::Server));
        let config = identify::Config::new(PROTOCOL.to_string(), key.public());
        Behaviour { kad, identify: identify::Behaviour::new(config) }
    })?;
    let mut swarm =
        builder.with_swarm_config(|config| config.with_idle_connection_timeout(IDLE)).build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    Ok(swarm)
}

/// Drives a node until its command channel is closed.
async fn run(mut inbox: mpsc::Receiver<Command>, listening: oneshot::Sender<(PeerId, Multiaddr)>) {
    // Without a node no listening address is reported, which is an error there.
    let Ok(mut swarm) = swarm() else { return };
    let (mut listening, mut waiting) = (Some(listening), HashMap::new());
    loop {
        tokio::select! {
            command = inbox.recv() => {
                let Some(command) = command else { return };
                handle_command(&mut swarm, &mut waiting, command);
            }
            event = swarm.select_next_some() => match event {
                SwarmEvent::NewListenAddr { address, .. } => {
                    let own = *swarm.local_peer_id();
                    if let Some(listening) = listening.take() {
                        // The caller may have given up.
                        let _ = listening.send((own, address));
                    }
                }
                SwarmEvent::Behaviour(BehaviourEvent::Identify(
                    identify::Event::Received { peer_id, info, .. },
                )) => {
                    for address in info.listen_addrs {
                        swarm.behaviour_mut().kad.add_address(&peer_id, address);
                    }
                }
                SwarmEvent::Behaviour(BehaviourEvent::Kad(
                    kad::Event::OutboundQueryProgressed { id, result, .. },
                )) => handle_result(&mut swarm, &mut waiting, id, result),
                _ => {}
            },
        }
    }
}

fn handle_command(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut HashMap<QueryId, Waiting>,
    command: Command,
) {
    let kad = &mut swarm.behaviour_mut().kad;
    match command {
        Command::Join { peer, address } => {
            kad.add_address(&peer, address);
            // It knows a peer now, so this cannot fail.
            let _ = kad.bootstrap();
        }
        Command::CountContacts(answer) => {
            let contacts = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
            let _ = answer.send(contacts);
        }
        Command::Put { record, done } => match kad.put_record(record, Quorum::All) {
            Ok(id) => drop(waiting.insert(id, Waiting::Put(done))),
            Err(error) => drop(done.send(Err(error.into()))),
        },
        Command::Get { key, found } => {
            waiting.insert(kad.get_record(key), Waiting::Get(found));
        }
    }
}

/// Notifies the waiting caller; a GET goes on only until the first record.
fn handle_result(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut HashMap<QueryId, Waiting>,
    id: QueryId,
    result: QueryResult,
) {
    match (waiting.remove(&id), result) {
        (Some(Waiting::Put(done)), QueryResult::PutRecord(result)) => {
            let _ = done.send(result.map(drop).map_err(anyhow::Error::from));
        }
        (Some(Waiting::Get(answer)), QueryResult::GetRecord(result)) => {
            let found = match result {
                Ok(GetRecordOk::FoundRecord(found)) => Some(Found {
                    value: Bytes::from(found.record.value),
                    own_store: Some(found.peer.is_none()),
                }),
                _ => None,
            };
            let _ = answer.send(found);
            if let Some(mut query) = swarm.behaviour_mut().kad.query_mut(&id) {
                query.finish();
            }
        }
        _ => {}
    }
}
