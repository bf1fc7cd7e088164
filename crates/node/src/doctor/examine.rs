//! The doctor's questions to the node and its contacts.

use std::net::IpAddr;

use tokio::time::Instant;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::label::{RefusalReason, RequestKind};
use voiddht_core::node::DIAL_BACK_PAUSE;

use super::findings::Findings;
use super::{DIAL_BACK_PATIENCE, Examination};
use crate::handle::Handle;
use crate::network::survey::survey;
use crate::outcome::HandleError;
use crate::snapshot::SnapshotRequest;

impl Handle {
    /// Has some contacts look whether this node can be reached, looks at everything else that
    /// operators stumble over, and says what is to be mended. Takes some seconds where no contact
    /// dials back.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn examine(&self) -> Result<Examination, HandleError> {
        let context = &self.context;
        let begun = Instant::now();
        let Outcome::Reach { sightings } = self.command(Command::Reach).await? else {
            return Err(HandleError::Busy);
        };
        let answered = sightings.iter().filter(|one| one.answered);
        let hosts: Vec<IpAddr> = answered.map(|one| one.node.address.ip()).collect();
        // A contact that has just dialled back does not do so again, and need not be waited for.
        let recently = begun.checked_sub(DIAL_BACK_PAUSE).unwrap_or(begun);
        let came = context.callers.since(recently, &hosts);
        let awaited: Vec<_> = hosts.iter().copied().filter(|host| !came.contains(host)).collect();
        let contacts = match context.network {
            Some(_) => sightings.iter().map(|one| one.node.address.socket_addr()).collect(),
            None => Vec::new(),
        };
        let ((), survey) = tokio::join!(
            context.callers.wait_for(begun, &awaited, DIAL_BACK_PATIENCE),
            survey(context, contacts),
        );
        let dialed_back = context.callers.since(recently, &hosts);
        let snapshot = self.snapshot(SnapshotRequest::default()).await?;
        let counts = self.counts();
        Ok(Examination::of(&Findings {
            snapshot: &snapshot,
            own_address: context.own_address.now(),
            follows_address: context.own_address.follows(),
            sightings: &sightings,
            survey: &survey,
            dialed_back: &dialed_back,
            last_caller: context.callers.last(),
            wanted_connections: context.limits.connections,
            stores: counts.tally.served_of(RequestKind::Store),
            future_versions: counts.tally.stores_refused(RefusalReason::FutureVersion),
            free_bytes: self.free_bytes().await,
        }))
    }
}
