//! The gateway's options: from what was typed to what it runs with.

use std::net::TcpListener;

use voiddht_gateway::{Settings, Token};

use super::{args, check};
use crate::outcome::Failure;

/// What the gateway of a node with these settings runs with; `None` if it has no address of its own. The
/// token's file is read.
///
/// # Errors
/// [`Failure::Usage`] for options that contradict each other, and for a file that is no token.
pub(super) fn resolve(
    typed: &args::Gateway,
    node: &voiddht_node::Settings,
) -> Result<Option<Settings>, Failure> {
    let Some(address) = typed.gateway else { return Ok(None) };
    let token = typed.gateway_token.as_deref().map(Token::read).transpose();
    let token = token.map_err(|error| Failure::Usage(format!("--gateway-token: {error}")))?;
    let settings = Settings {
        token,
        public: typed.gateway_public,
        origins: typed.gateway_origin.clone(),
        ..Settings::new(address)
    };
    settings.check().map_err(|open| Failure::Usage(open.to_string()))?;
    let mut listeners = check::listeners(node);
    listeners.push((address, "gateway"));
    check::refuse_shared_ports(&listeners)?;
    Ok(Some(settings))
}

/// Refuses an address that this machine does not have.
///
/// # Errors
/// [`Failure::Failed`].
pub(super) fn can_start(settings: Option<&Settings>) -> Result<(), Failure> {
    let Some(settings) = settings else { return Ok(()) };
    let ip = settings.address.ip();
    TcpListener::bind((ip, 0)).map(drop).map_err(|error| {
        Failure::Failed(format!(
            "cannot listen on {ip} (gateway): {error}; see the addresses of this machine: ip address"
        ))
    })
}
