//! Two TLS endpoints and the bytes between them, without a socket.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::HOST;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// How the bytes are carried.
#[derive(Clone, Copy, Debug)]
pub struct Carrier {
    /// Bytes handed over at once.
    pub chunk: usize,
    /// Bytes that reach the server before the line is cut.
    pub to_server: usize,
    /// Bytes that reach the client before the line is cut.
    pub to_client: usize,
}

impl Default for Carrier {
    fn default() -> Self {
        Self { chunk: usize::MAX, to_server: usize::MAX, to_client: usize::MAX }
    }
}

/// Both ends, after all bytes were carried.
pub struct Ends {
    pub client: ClientConnection,
    pub server: ServerConnection,
    /// Bytes carried to the server and to the client.
    pub carried: [usize; 2],
}

/// Which side ended a handshake, and why.
#[derive(Debug)]
pub struct Failed {
    pub side: Side,
    pub error: rustls::Error,
}

/// Shakes hands.
pub fn connect(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<Ends, Failed> {
    carry(client, server, Carrier::default())
}

/// Shakes hands over a line with faults.
pub fn carry(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    carrier: Carrier,
) -> Result<Ends, Failed> {
    let mut client: Connection =
        ClientConnection::new(client, ServerName::IpAddress(HOST.into())).unwrap().into();
    let mut server: Connection = ServerConnection::new(server).unwrap().into();
    let mut left = [carrier.to_server, carrier.to_client];
    loop {
        let there = move_bytes(&mut client, &mut server, carrier.chunk, &mut left[0])
            .map_err(|error| Failed { side: Side::Server, error })?;
        let back = move_bytes(&mut server, &mut client, carrier.chunk, &mut left[1])
            .map_err(|error| Failed { side: Side::Client, error })?;
        if there + back == 0 {
            break;
        }
    }
    let carried = [carrier.to_server - left[0], carrier.to_client - left[1]];
    match (client, server) {
        (Connection::Client(client), Connection::Server(server)) => {
            Ok(Ends { client, server, carried })
        }
        _ => unreachable!("each was made from its own kind"),
    }
}

fn move_bytes(
    from: &mut Connection,
    to: &mut Connection,
    chunk: usize,
    left: &mut usize,
) -> Result<usize, rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    bytes.truncate(*left);
    *left -= bytes.len();
    for mut piece in bytes.chunks(chunk) {
        while !piece.is_empty() {
            to.read_tls(&mut piece).unwrap();
            to.process_new_packets()?;
        }
    }
    Ok(bytes.len())
}
