//! The ports that are usual, as in the original.

/// Port of the module API.
pub const MODULE_PORT: u16 = 7401;
/// Port for peers.
pub const P2P_PORT: u16 = 7402;
