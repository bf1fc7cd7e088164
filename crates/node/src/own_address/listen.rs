//! Where a node listens for peers, and which addresses follow from that.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;
use voiddht_wire::PeerAddress;

use super::{Addresses, has_address, unspecified_like};
use crate::settings::Settings;

/// Listens for peers as the settings say.
///
/// # Errors
/// The address and why it cannot be listened on.
pub(crate) async fn bind(
    settings: &Settings,
) -> Result<(TcpListener, Addresses), (SocketAddr, io::Error)> {
    let wanted = SocketAddr::new(settings.listen.unwrap_or(settings.host), settings.p2p_port);
    let listener = match TcpListener::bind(wanted).await {
        Err(error)
            if error.kind() == io::ErrorKind::AddrNotAvailable && may_be_translated(settings) =>
        {
            let all = SocketAddr::new(unspecified_like(settings.host), settings.p2p_port);
            tracing::info!(
                announced = %settings.host, bound = %all,
                "this machine does not have the announced address: bound to all addresses"
            );
            TcpListener::bind(all).await.map_err(|error| (all, error))?
        }
        bound => bound.map_err(|error| (wanted, error))?,
    };
    let bound = listener.local_addr().map_err(|error| (wanted, error))?;
    let announced_port = settings.announce_port.unwrap_or(bound.port());
    let addresses = Addresses {
        bound,
        source: source(bound.ip(), settings.host),
        announced: PeerAddress::new(settings.host, announced_port),
        lost: None,
    };
    Ok((listener, addresses))
}

/// Whether the announced address may be one that only a router has: then the operator gave it, and
/// no other one to listen on.
fn may_be_translated(settings: &Settings) -> bool {
    settings.listen.is_none() && !settings.follow_address
}

/// The address to dial from: the bound one, or the announced one where the node listens on all
/// addresses. A host with several would otherwise be seen at another one.
fn source(bound: IpAddr, announced: IpAddr) -> Option<IpAddr> {
    if !bound.is_unspecified() {
        return Some(bound);
    }
    Some(announced).filter(|announced| !announced.is_unspecified() && has_address(*announced))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// RFC 5737: an address that no machine has.
    const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_announced_address_that_only_a_router_has_is_not_bound() {
        let settings =
            Settings { host: FOREIGN, announce_port: Some(17402), ..Settings::loopback() };
        let (_listener, addresses) = bind(&settings).await.unwrap();
        assert!(addresses.bound.ip().is_unspecified());
        assert_eq!(addresses.announced, PeerAddress::new(FOREIGN, 17402));
        assert_eq!(addresses.source, None);
    }

    #[tokio::test]
    async fn an_address_to_listen_on_that_the_machine_lacks_is_an_error() {
        let wrong = Settings { listen: Some(FOREIGN), ..Settings::loopback() };
        let (at, error) = bind(&wrong).await.unwrap_err();
        assert_eq!((at.ip(), error.kind()), (FOREIGN, io::ErrorKind::AddrNotAvailable));
        let derived = Settings { host: FOREIGN, follow_address: true, ..Settings::loopback() };
        assert!(bind(&derived).await.is_err());
    }

    #[tokio::test]
    async fn a_node_dials_from_the_announced_address_where_the_machine_has_it() {
        let all = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let settings = Settings { listen: Some(all), ..Settings::loopback() };
        let (_listener, addresses) = bind(&settings).await.unwrap();
        assert_eq!((addresses.bound.ip(), addresses.source), (all, Some(LOOPBACK)));
        let everywhere = Settings { host: all, ..Settings::loopback() };
        let (_listener, addresses) = bind(&everywhere).await.unwrap();
        assert_eq!(addresses.source, None);
        assert_eq!(addresses.announced.port(), addresses.bound.port());
    }
}
