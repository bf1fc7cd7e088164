//! Which secrets others use: a look at what some contacts push, for `dht doctor`.
//!
//! A node seals its certificate with its first secret, so what it pushes says how far it has come in a
//! rotation. Open connections do not: the side that did not dial them is not asked again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;
use voiddht_identity::network::{Fingerprint, PushError};

use crate::context::Context;
use crate::handshake;
use crate::handshake::error::HandshakeError;

/// What contacts pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Contacts by the secret that they sealed their certificate with.
    pub(crate) by_secret: BTreeMap<Fingerprint, usize>,
    /// Contacts whose push no secret of this node opens.
    pub(crate) unopened: usize,
}

impl Survey {
    fn note(&mut self, pushed: Result<Option<Fingerprint>, HandshakeError>) {
        match pushed {
            Ok(Some(secret)) => *self.by_secret.entry(secret).or_default() += 1,
            Err(HandshakeError::Push(PushError::OtherNetwork)) => self.unopened += 1,
            // Gone, busy, or another node by now: it says nothing of its secret.
            Ok(None) | Err(_) => {}
        }
    }
}

/// Reads what is pushed at these addresses, side by side.
pub(crate) async fn survey(context: &Arc<Context>, contacts: Vec<SocketAddr>) -> Survey {
    let mut probes = JoinSet::new();
    for address in contacts {
        let context = Arc::clone(context);
        probes.spawn(async move {
            let pushed = handshake::fetch_push(&context, address).await;
            pushed.map(|pushed| pushed.sealed_with)
        });
    }
    let mut survey = Survey::default();
    while let Some(ended) = probes.join_next().await {
        if let Ok(pushed) = ended {
            survey.note(pushed);
        }
    }
    survey
}
