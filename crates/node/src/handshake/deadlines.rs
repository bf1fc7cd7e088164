//! The deadlines of a handshake, each of one phase.

use std::time::Duration;

/// From the dial to the last byte of the pushed certificate (PROTOCOL, section 2).
pub const CERTIFICATE_DEADLINE: Duration = Duration::from_secs(3);
/// From there to the end of the TLS handshake (PROTOCOL, section 2).
pub const TLS_DEADLINE: Duration = Duration::from_secs(5);
/// The longest that an accepted connection may take until its handshake is over.
pub const ACCEPT_DEADLINE: Duration = TLS_DEADLINE;
