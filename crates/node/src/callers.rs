//! Inbound connections by address: evidence that this node can be reached from there.
//!
//! Counts clients that connected and were sent the certificate, whether for a handshake or only for
//! a probe. The last few addresses are remembered, each with its time.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use voiddht_core::node::CALLER_PAUSE;

/// Addresses that are remembered, the latest: more than are asked to dial back at once.
const MAX_CALLERS: usize = 64;

/// The addresses that have connected to the peer port, with the time of the last connection.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    latest: Mutex<Vec<Caller>>,
    came: Notify,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "asked for by the doctor"))]
struct Caller {
    from: IpAddr,
    at: Instant,
    /// When the core was last notified of this address.
    reported: Instant,
    wall: SystemTime,
}

#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "asked for by the doctor"))]
impl Callers {
    /// Notes a connection from there. Returns whether the core is to be notified: at most once per
    /// address within [`CALLER_PAUSE`].
    pub(crate) fn note(&self, from: IpAddr) -> bool {
        let (from, at) = (from.to_canonical(), Instant::now());
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let reported = latest.iter().find(|known| known.from == from).map(|known| known.reported);
        let is_news = reported.is_none_or(|reported| at - reported >= CALLER_PAUSE);
        let reported = reported.filter(|_| !is_news).unwrap_or(at);
        let caller = Caller { from, at, reported, wall: SystemTime::now() };
        latest.retain(|known| known.from != caller.from);
        if latest.len() >= MAX_CALLERS {
            latest.remove(0);
        }
        latest.push(caller);
        drop(latest);
        self.came.notify_waiters();
        is_news
    }

    /// When a caller last connected, by the wall clock.
    pub(crate) fn last(&self) -> Option<SystemTime> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.last().map(|caller| caller.wall)
    }

    /// Which of these addresses have connected since that moment.
    pub(crate) fn since(&self, moment: Instant, of: &[IpAddr]) -> Vec<IpAddr> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let came = latest.iter().filter(|caller| caller.at >= moment).map(|caller| caller.from);
        came.filter(|from| of.contains(from)).collect()
    }

    /// Waits, not longer than `patience`, until each of these addresses has connected since
    /// that moment.
    pub(crate) async fn wait_for(&self, moment: Instant, of: &[IpAddr], patience: Duration) {
        let all = async {
            loop {
                let came = self.came.notified();
                let mut came = std::pin::pin!(came);
                came.as_mut().enable();
                if of.iter().all(|address| self.since(moment, &[*address]).len() == 1) {
                    return;
                }
                came.await;
            }
        };
        // A peer that has not connected by then will not.
        let _ = tokio::time::timeout(patience, all).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_callers_are_remembered_once_each() {
        let callers = Callers::default();
        assert_eq!(callers.last(), None);
        callers.note(ip(1));
        tokio::time::advance(Duration::from_secs(5)).await;
        let since = Instant::now();
        for last in 2..200 {
            callers.note(ip(last));
            callers.note(ip(199));
        }
        assert!(callers.last().is_some());
        assert_eq!(callers.since(since, &[ip(1), ip(198), ip(199)]), [ip(198), ip(199)]);
        assert_eq!(callers.latest.lock().unwrap().len(), MAX_CALLERS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_comes_again_soon_is_no_news() {
        let callers = Callers::default();
        assert!(callers.note(ip(1)) && callers.note(ip(2)));
        let mut notified = 0;
        for _ in 0..20 {
            tokio::time::advance(CALLER_PAUSE / 10).await;
            notified += u32::from(callers.note(ip(1)));
        }
        assert_eq!(notified, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_awaited_ends_the_wait_and_nobody_lets_it_end_by_itself() {
        let callers = Callers::default();
        let begun = Instant::now();
        callers.wait_for(begun, &[], Duration::from_secs(3)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let awaited = [ip(1), ip(2)];
        let waiting = callers.wait_for(begun, &awaited, Duration::from_secs(3));
        let coming = async {
            callers.note(ip(1));
            tokio::time::sleep(Duration::from_secs(1)).await;
            callers.note("::ffff:192.0.2.2".parse().unwrap());
        };
        tokio::join!(waiting, coming);
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        callers.wait_for(begun, &[ip(9)], Duration::from_secs(3)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
    }
}
