//! The two TLS configurations (PROTOCOL, section 2).
//!
//! Sessions are not resumed, because a resumed one skips the verifiers: no tickets, no session storage,
//! no early data, on either side.

use std::sync::{Arc, OnceLock};

use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use voiddht_wire::NodeId;

use crate::certificate::Certificate;
use crate::identity::Identity;
use crate::policy::Policy;
use crate::provider::{ALPN, provider};
use crate::refusal::Refusal;
use crate::verifier::{ClientVerifier, ServerVerifier};

/// What a listener is configured with; once for a node. Clients are asked for a certificate, and
/// must show one where the policy is self-certifying.
pub fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let verifier = Arc::new(ClientVerifier { policy: identity.policy() });
    let resolver = Arc::new(SingleCertAndKey::from(identity.certified_key()));
    let mut config = ServerConfig::builder_with_provider(provider(identity.key_exchange()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider's cipher suites are those of TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// What one dial is configured with, after the server has pushed a certificate: the handshake
/// succeeds with that certificate alone. Costs less than a microsecond.
///
/// # Errors
/// What can be refused before a handshake: a certificate that is not for this network's policy,
/// or another node than the `expected` one.
pub fn client_config(
    identity: &Identity,
    pushed: Certificate,
    expected: Option<NodeId>,
) -> Result<Arc<ClientConfig>, Refusal> {
    let (config, awaited) = early_client_config(identity);
    awaited.accept(pushed, expected)?;
    Ok(config)
}

/// What one dial is configured with that sends its ClientHello before the server's certificate has
/// arrived. The handshake succeeds only with the certificate that [`AwaitedPush::accept`] was given,
/// and with none before that.
pub fn early_client_config(identity: &Identity) -> (Arc<ClientConfig>, AwaitedPush) {
    let pushed = Arc::new(OnceLock::new());
    let mut config = identity.client_template().clone();
    let verifier = ServerVerifier { pushed: Arc::clone(&pushed) };
    config.dangerous().set_certificate_verifier(Arc::new(verifier));
    (Arc::new(config), AwaitedPush { policy: identity.policy(), pushed })
}

/// The certificate that a dialled server has yet to push.
#[derive(Debug)]
pub struct AwaitedPush {
    policy: Policy,
    pushed: Arc<OnceLock<Certificate>>,
}

impl AwaitedPush {
    /// The server has pushed this certificate: from now on its handshake succeeds with it alone.
    ///
    /// # Errors
    /// As [`client_config`].
    pub fn accept(self, pushed: Certificate, expected: Option<NodeId>) -> Result<(), Refusal> {
        pushed.check_policy(self.policy)?;
        if let Some(expected) = expected.filter(|id| *id != pushed.node_id()) {
            return Err(Refusal::OtherNode { expected, shown: pushed.node_id() });
        }
        // It is this value's own cell, and nothing was put into it before.
        let _ = self.pushed.set(pushed);
        Ok(())
    }
}
