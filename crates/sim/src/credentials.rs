//! Certificates of hosts, and what handshakes prove of them.
//!
//! A world has no TLS. Where [`NetworkConfig::certificates`](crate::NetworkConfig::certificates) is
//! set, each host has a certificate of its own, and one handshake in memory makes the proof that
//! every later connection with it hands to its peers. Elsewhere all hosts show one certificate, and
//! connections come without a proof: there are no pins.
//!
//! Keys come from the operating system. No run depends on them: sessions compare certificates,
//! and do not order them.

use std::net::{IpAddr, Ipv4Addr};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ConnectionCommon, ServerConnection, SideData};
use voiddht_identity::{
    Certificate, Identity, KeyKind, ProvedPeer, client_config, dialed_peer, server_config,
};
use voiddht_session::Proved;
use voiddht_wire::NodeId;
use voiddht_wire::peer::NodeInfo;

use crate::host_id::HostId;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The certificates of a world.
pub(crate) struct Credentials {
    /// Dials every host once; its certificate is also the one of hosts without their own.
    witness: Identity,
    /// By host; empty where hosts have none of their own.
    proofs: Vec<ProvedPeer>,
    is_used: bool,
}

impl Credentials {
    /// Those of a world in which hosts have certificates of their own, or not.
    ///
    /// # Panics
    /// If the operating system gives no randomness.
    pub(crate) fn new(is_used: bool) -> Self {
        Self { witness: identity(NodeId::default(), HOST), proofs: Vec::new(), is_used }
    }

    /// Makes those of the next host.
    pub(crate) fn add(&mut self, info: NodeInfo) {
        if self.is_used {
            let identity = identity(info.id, info.address.ip());
            self.proofs.push(proof_of(&identity, &self.witness));
        }
    }

    /// The certificate that a host shows.
    pub(crate) fn certificate(&self, host: HostId) -> Certificate {
        let own = self.proofs.get(host.index()).map(ProvedPeer::certificate);
        own.unwrap_or(self.witness.certificate()).clone()
    }

    /// What the host of this ID proves in a handshake.
    pub(crate) fn proved(&self, host: HostId, id: NodeId) -> Proved {
        let own = self.proofs.get(host.index());
        let fingerprint = own.map_or([0; 32], |own| own.certificate().fingerprint());
        Proved { id, fingerprint }
    }

    /// The proof of that, for pins.
    pub(crate) fn proof(&self, host: HostId) -> Option<ProvedPeer> {
        self.proofs.get(host.index()).cloned()
    }
}

#[allow(clippy::expect_used, reason = "only a broken system gives no randomness")]
fn identity(id: NodeId, host: IpAddr) -> Identity {
    Identity::generate_with_id(KeyKind::Ed25519, id, host).expect("the system gives randomness")
}

/// What a node proves to the witness that dials it.
#[allow(clippy::expect_used, reason = "both ends are this crate's own")]
fn proof_of(node: &Identity, witness: &Identity) -> ProvedPeer {
    let pushed = node.certificate().clone();
    let config = client_config(witness, pushed.clone(), None).expect("the certificate is valid");
    let name = ServerName::IpAddress(HOST.into());
    let mut here = ClientConnection::new(config, name).expect("the configuration is complete");
    let mut there =
        ServerConnection::new(server_config(node)).expect("the configuration is complete");
    while here.is_handshaking() || there.is_handshaking() {
        carry(&mut here, &mut there);
        carry(&mut there, &mut here);
    }
    dialed_peer(&here, &pushed, witness).expect("the handshake has ended well")
}

/// Brings what one end of a handshake has written to the other.
#[allow(clippy::expect_used, reason = "both ends are in memory, and accept each other")]
fn carry<A: SideData, B: SideData>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("memory takes all");
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).expect("memory gives all");
        to.process_new_packets().expect("both accept each other");
    }
}
