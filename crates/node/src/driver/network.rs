//! The private network's secrets change while the node runs.

use std::sync::Arc;

use voiddht_core::time::Now;
use voiddht_identity::network::Membership;
use voiddht_session::{Accepted, Input};

use super::Driver;
use crate::network::{NetworkReloadError, Remembering};

impl Driver {
    /// Goes on with other secrets of the private network.
    pub(super) fn reload_network(
        &mut self,
        now: Now,
        membership: Arc<Membership>,
    ) -> Result<Remembering, NetworkReloadError> {
        let network = self.context.network.as_ref().ok_or(NetworkReloadError::Public)?;
        let fingerprints = membership.secrets().fingerprints();
        let known = network.now().secrets().fingerprints();
        if !fingerprints.iter().any(|fingerprint| known.contains(fingerprint)) {
            return Err(NetworkReloadError::OtherNetwork);
        }
        let rows: Vec<_> = fingerprints.iter().map(|fingerprint| fingerprint.0).collect();
        let store = self.persistence.store();
        let remembering = store.map(|store| store.begin_remember_network(&rows));
        let accepted = Accepted::of(membership.secrets());
        self.session.handle_input(now, Input::SecretsChanged(accepted));
        network.replace(membership);
        Ok(remembering.map(Box::new))
    }
}
