//! The Mainline DHT of BitTorrent, as the crate `mainline` has it: UDP, no encryption, 20 replicas.
//! Values are immutable (BEP 44): the key is the value's hash, so the first answer is the right one
//! and ends the search. Each node has a thread of its own; the library starts it. A node may know fewer
//! than 20 others until it has made searches: it has joined when it has ended one for its own ID.
//!
//! Not at its default: nodes are servers and listen on 127.0.0.1, and hold more than 1000 values
//! (or the oldest would be gone before they are got).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::future::join_all;
use mainline::async_dht::AsyncDht;
use mainline::{Dht, Id, ServerSettings};

use crate::network::{Death, Found, Item, Network};

const MOST_VALUES: usize = 1 << 13;

#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Running>,
    doomed: usize,
    /// Under which ID each value was put.
    ids: Mutex<HashMap<[u8; 32], Id>>,
    /// The sockets of unresponsive nodes: nothing reads from them.
    mute: Vec<UdpSocket>,
}

#[derive(Debug)]
struct Running {
    dht: AsyncDht,
    address: SocketAddrV4,
}

impl Network for Nodes {
    async fn start(count: usize, doomed: usize) -> Result<Self> {
        let mut nodes: Vec<Running> = Vec::new();
        for _ in 0..count {
            let first: Vec<SocketAddrV4> =
                nodes.first().map(|node| node.address).into_iter().collect();
            let dht = Dht::builder()
                .server_mode()
                .server_settings(ServerSettings {
                    max_immutable_values: MOST_VALUES,
                    ..ServerSettings::default()
                })
                .bootstrap(&first)
                .bind_address(Ipv4Addr::LOCALHOST)
                .build()?
                .as_async();
            let address = dht.info().await.local_addr();
            nodes.push(Running { dht, address });
        }
        join_all(nodes.iter().map(|node| async {
            while !node.dht.bootstrapped().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }))
        .await;
        Ok(Self { nodes, doomed, ids: Mutex::default(), mute: Vec::new() })
    }

    async fn put(&self, node: usize, item: &Item) -> Result<()> {
        let id = self.nodes[node].dht.put_immutable(&item.value).await?;
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(item.key, id);
        Ok(())
    }

    async fn get(&self, node: usize, item: &Item) -> Result<Option<Found>> {
        let id = self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(&item.key).copied();
        let id = id.context("a value that was not put")?;
        let value = self.nodes[node].dht.get_immutable(id).await;
        Ok(value.map(|value| Found { value: Bytes::from(value), own_store: None }))
    }

    async fn kill(&mut self, death: Death) -> Result<()> {
        let doomed = self.nodes.split_off(self.nodes.len() - self.doomed);
        let addresses: Vec<SocketAddrV4> = doomed.iter().map(|node| node.address).collect();
        drop(doomed);
        for address in addresses {
            // Each thread ends when its command channel is closed.
            let socket = loop {
                match UdpSocket::bind(address) {
                    Ok(socket) => break socket,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            };
            if death == Death::Silent {
                self.mute.push(socket);
            }
        }
        Ok(())
    }
}
