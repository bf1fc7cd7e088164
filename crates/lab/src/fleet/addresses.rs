//! Addresses for nodes: to each its own loopback address, with the usual ports. So a node that is
//! started again finds its ports free, whatever else runs on the machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use voiddht_cli::arguments::ports::{MODULE_PORT, P2P_PORT};
use voiddht_cli::outcome::Failure;

/// Networks 127.N.0.0/16 that are tried. 127.0.0.0/16 is used by others.
const NETWORKS: std::ops::RangeInclusive<u8> = 1..=254;
/// The port that says that a network is taken, on its last address.
const CLAIM_PORT: u16 = 7400;

/// A /16 of the loopback network that no other fleet uses.
#[derive(Debug)]
pub(super) struct Addresses {
    network: u8,
    given: u16,
    /// Held for as long as this lives.
    _claim: TcpListener,
}

impl Addresses {
    /// Takes a network that is free.
    pub(super) fn claim() -> Result<Self, Failure> {
        let claim = |network| {
            let last = Ipv4Addr::new(127, network, 255, 254);
            let claim = TcpListener::bind(SocketAddr::new(last.into(), CLAIM_PORT)).ok()?;
            Some(Self { network, given: 0, _claim: claim })
        };
        NETWORKS
            .into_iter()
            .find_map(claim)
            .ok_or_else(|| Failure::Failed("no loopback network 127.N.0.0/16 is free".to_owned()))
    }

    /// The next address, as where peers and where local programs are served.
    pub(super) fn next(&mut self) -> Result<(SocketAddr, SocketAddr), Failure> {
        self.given += 1;
        // Below the one that is held, and never 0 or 255 at the end.
        let [high, low] = [self.given / 250, self.given % 250 + 1];
        let high = u8::try_from(high).ok().filter(|high| *high < 255);
        let high = high.ok_or_else(|| Failure::Failed("no address is left".to_owned()))?;
        let low = u8::try_from(low).unwrap_or(u8::MAX);
        let host = IpAddr::V4(Ipv4Addr::new(127, self.network, high, low));
        Ok((SocketAddr::new(host, P2P_PORT), SocketAddr::new(host, MODULE_PORT)))
    }
}
