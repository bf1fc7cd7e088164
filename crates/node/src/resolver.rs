//! Resolves names of configured peers, without blocking the driver.
//!
//! The system's resolver blocks, for half a minute where no name server answers, so each lookup has
//! its own thread, which the end of the node does not wait for. A name has one lookup at a time:
//! with a name service that hangs, there are no more threads than configured names.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use voiddht_core::configured::{MAX_ADDRESSES, PeerName, ResolveError};
use voiddht_wire::PeerAddress;

/// How long a lookup may take. The system's resolver asks the next server after five seconds.
pub const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// See the module's description. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    under_way: Arc<Mutex<BTreeSet<PeerName>>>,
}

/// A name that is being looked up; when dropped, it may be looked up again.
struct Lookup {
    resolver: Resolver,
    name: PeerName,
}

impl Resolver {
    /// The addresses of a name, those of the own family first.
    pub(crate) async fn resolve(
        &self,
        name: PeerName,
        own: IpAddr,
    ) -> Result<Vec<PeerAddress>, ResolveError> {
        let Some(lookup) = self.begin(name) else { return Err(ResolveError::TimedOut) };
        let (asking, answer) = oneshot::channel();
        let thread = std::thread::Builder::new().name("resolver".into());
        let started = thread.spawn(move || {
            let found = look_up(lookup.name.as_str());
            drop(lookup);
            // The deadline may have passed.
            let _ = asking.send(found);
        });
        if let Err(error) = started {
            tracing::debug!(%error, "no thread for the name service");
            return Err(ResolveError::Unavailable);
        }
        match timeout(RESOLVE_DEADLINE, answer).await {
            Ok(Ok(Ok(found))) if found.is_empty() => Err(ResolveError::NoAddress),
            Ok(Ok(Ok(found))) => Ok(in_order(found, own)),
            Ok(Ok(Err(error))) => Err(reason(&error)),
            Ok(Err(_)) => Err(ResolveError::Unavailable),
            Err(_) => Err(ResolveError::TimedOut),
        }
    }

    fn begin(&self, name: PeerName) -> Option<Lookup> {
        let is_new = self.under_way().insert(name.clone());
        is_new.then(|| Lookup { resolver: self.clone(), name })
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, BTreeSet<PeerName>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.resolver.under_way().remove(&self.name);
    }
}

/// The addresses of `HOST:PORT`. Blocks for as long as the system's resolver does.
pub(crate) fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    // RFC 6761, section 6.3; a static binary in an empty root has no file to look it up in.
    if let Some((host, port)) = name.rsplit_once(':')
        && host.trim_end_matches('.').eq_ignore_ascii_case("localhost")
        && let Ok(port) = port.parse()
    {
        let loopback: [IpAddr; 2] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        return Ok(loopback.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    Ok(name.to_socket_addrs()?.collect())
}

/// Those of the own family first, else as the name service gave them. Where there are more than
/// are tried, both families keep a share.
fn in_order(mut found: Vec<SocketAddr>, own: IpAddr) -> Vec<PeerAddress> {
    let mut seen = BTreeSet::new();
    found.retain(|address| seen.insert(*address));
    let (mut like, mut unlike): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv4() == own.is_ipv4());
    let reserved = unlike.len().min(MAX_ADDRESSES / 4);
    like.truncate(MAX_ADDRESSES - reserved);
    unlike.truncate(MAX_ADDRESSES - like.len());
    like.into_iter().chain(unlike).map(PeerAddress::from).collect()
}

/// What the system's resolver said, as far as the standard library passes it on: a text.
fn reason(error: &io::Error) -> ResolveError {
    let text = error.to_string();
    let is_temporary = text.contains("Temporary failure") || text.contains("try again");
    if is_temporary { ResolveError::Unavailable } else { ResolveError::NoAddress }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn localhost_has_both_families_the_own_first() {
        let name = PeerName::new("localhost:7402").unwrap();
        let found = |own: &str| {
            let (name, own) = (name.clone(), own.parse().unwrap());
            async move { Resolver::default().resolve(name, own).await.unwrap() }
        };
        let (four, six) = (address("127.0.0.1:7402").into(), address("[::1]:7402").into());
        assert_eq!(found("127.0.0.1").await, [four, six]);
        assert_eq!(found("::1").await, [six, four]);
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_has_no_address() {
        // RFC 6761, section 6.4: no such name exists. Without a name service, none can be asked.
        let name = PeerName::new("peer.invalid:7402").unwrap();
        let found = Resolver::default().resolve(name, address("127.0.0.1:1").ip()).await;
        assert!(matches!(found, Err(ResolveError::NoAddress | ResolveError::Unavailable)));
    }

    #[test]
    fn a_name_is_looked_up_once_at_a_time() {
        let resolver = Resolver::default();
        let name = PeerName::new("example.org:1").unwrap();
        let first = resolver.begin(name.clone());
        assert!(first.is_some() && resolver.begin(name.clone()).is_none());
        drop(first);
        assert!(resolver.begin(name).is_some());
    }

    #[test]
    fn both_families_keep_a_share_of_many_addresses() {
        let six: Vec<_> = (1..=20).map(|n| address(&format!("[2001:db8::{n}]:1"))).collect();
        let four: Vec<_> = (1..=20).map(|n| address(&format!("192.0.2.{n}:1"))).collect();
        let found: Vec<_> = six.iter().chain(&four).copied().collect();
        let tried = in_order(found, four[0].ip());
        assert_eq!(tried.len(), MAX_ADDRESSES);
        assert!(tried[..6].iter().all(|address| address.ip().is_ipv4()));
        assert!(tried[6..].iter().all(|address| address.ip().is_ipv6()));
        assert_eq!(in_order(four.clone(), six[0].ip()).len(), MAX_ADDRESSES);
    }
}
