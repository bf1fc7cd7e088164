//! Authentication of peers: keys, certificates, TLS verifiers, and pins (PROTOCOL, sections 2 and
//! 4).
//!
//! * [`identity`]: this node's own key and certificate.
//! * [`certificate`]: a peer's certificate, read strictly; [`certificate::CertificateError`] names
//!   each rule that one can break.
//! * [`tls`]: the two rustls configurations. `verifier`: what rejects a peer's certificate in them, and
//!   [`refusal`]: why.
//! * [`proof`]: what a finished handshake has proved.
//! * [`pin`]: which certificate each node ID was first authenticated with, and what happens when another
//!   one is shown.
//! * [`key_exchange`]: the key exchange groups of TLS.
//! * [`network`]: the secrets of a private network, the sealed push and the proof of membership.
//! * [`policy`]: the choices of a network and of a node.
//!
//! Nothing here opens a socket, and the pins read no clock. A check that has passed leaves a value
//! behind that only its check can make: [`Certificate`], [`ProvedPeer`].

pub mod certificate;
mod der;
pub mod identity;
pub mod key_exchange;
pub mod network;
pub mod pin;
pub mod policy;
pub mod proof;
mod provider;
pub mod refusal;
pub mod tls;
mod verifier;

pub use certificate::{Certificate, CertificateError};
pub use identity::{Identity, IdentityError};
pub use key_exchange::{KeyExchange, KeyExchangeGroup};
pub use pin::{PinLimits, PinOutput, PinRecord, Pins, Verdict};
pub use policy::{KeyKind, Policy};
pub use proof::{AcceptedPeer, ProvedPeer, accepted_peer, dialed_peer};
pub use refusal::Refusal;
pub use tls::{AwaitedPush, client_config, early_client_config, server_config};
