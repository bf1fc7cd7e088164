//! What a service manager is told: that the node serves, how it is, that it is alive, that it
//! stops. The protocol is that of sd_notify(3); without a manager, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;
use voiddht_node::Handle;

/// How long closing connections and the database may take, at the end: on a slow disk.
const CLOSING: Duration = Duration::from_secs(10);

/// The node listens on both ports.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The settings are being read again; [`ready`] ends that.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    tell(&states);
}

/// One line about how the node is.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// The node was asked to stop, and may take that long for it: a manager that would lose patience
/// earlier waits. What closing takes beside that is added.
pub fn stopping(deadline: Duration) {
    let patience = u32::try_from((deadline + CLOSING).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping"),
        NotifyState::ExtendTimeoutUsec(patience),
    ]);
}

/// If the manager enables its watchdog, notifies it as long as the node's own task answers; a
/// node that hangs is restarted. Ends with the node; never, where no sign is wanted.
pub async fn keep_alive(node: Handle) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // sd_watchdog_enabled(3) recommends half of it.
    let mut ticks = tokio::time::interval((patience / 2).max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        match node.status().await {
            Ok(_) => tell(&[NotifyState::Watchdog]),
            Err(_) => return,
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager cannot be told");
    }
}
