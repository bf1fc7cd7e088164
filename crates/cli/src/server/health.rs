//! `dht_server --health`: whether the node that runs with these options answers. For the health
//! check of a container that has no other program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use voiddht_client::{Client, Key, Options};
use voiddht_node::Settings;

use crate::outcome::{Exit, Failure};

/// How long the node may take. A lookup that meets unresponsive nodes needs a few seconds; the
/// caller gives up later.
const PATIENCE: Duration = Duration::from_secs(8);

/// Gets a key that no node holds: the answer comes through everything that a GET goes through.
///
/// # Errors
/// [`Failure::Failed`] with the reason.
pub async fn ask(settings: &Settings, is_family_known: bool) -> Result<Exit, Failure> {
    let served = settings.api.map(reachable).filter(|api| api.port() != 0);
    let Some(api) = served else {
        let unknown = "--health cannot know which port the system chose for --module-port 0";
        return Err(Failure::Usage(unknown.to_owned()));
    };
    let mut key = [0; 32];
    SysRng.try_fill_bytes(&mut key).map_err(Failure::failed)?;
    let options =
        Options { connect_timeout: PATIENCE, request_timeout: PATIENCE, ..Options::default() };
    let unwell =
        |error: String| Failure::Failed(format!("the node at {api} is unhealthy: {error}"));
    let client = Client::connect_with(&places(api, is_family_known)[..], options).await;
    let client = client.map_err(|error| unwell(error.to_string()))?;
    let got = client.get(Key::from_bytes(key)).await;
    got.map(|_| Exit::Success).map_err(|error| unwell(error.to_string()))
}

/// Where the node may serve local programs: where its own address follows from the name of a peer,
/// which is not asked for here, on the loopback address of either family.
fn places(api: SocketAddr, is_family_known: bool) -> Vec<SocketAddr> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    if is_family_known || !loopback.contains(&api.ip()) {
        return vec![api];
    }
    loopback.map(|ip| SocketAddr::new(ip, api.port())).to_vec()
}

/// Where to reach what listens on all addresses.
fn reachable(api: SocketAddr) -> SocketAddr {
    let ip = match api.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, api.port())
}
