//! Adversaries: hosts that violate the protocol. Each kind has a file of its own.
//!
//! An adversary is a real node with an interceptor inside: it joins and answers as the shipped code
//! does, and the inputs and outputs of its session pass through [`Adversary`]. All adversaries of a world collude:
//! they are one [`Cabal`]. [`World::infiltrate`](crate::World::infiltrate) adds them to a world: as
//! a share of its nodes, around a key, or as new nodes.

mod clock_ahead;
mod colluding_inventor;
mod dropping;
mod eclipse;
mod envelope_forger;
mod flooding;
pub(crate) mod interceptor;
mod kind;
mod node_liar;
mod older_build;
mod outsider;
mod placement;
mod replaying;
mod slow;
mod sybil;
mod value_liar;
mod wrong_addresses;

pub use clock_ahead::ClockAhead;
pub use colluding_inventor::ColludingInventor;
pub use dropping::Dropping;
pub use eclipse::Eclipse;
pub use envelope_forger::EnvelopeForger;
pub use flooding::Flooding;
pub use interceptor::{Adversary, Around, Asked, Cabal, Deed, Request, Speech};
pub use kind::{Kind, UnknownKind};
pub use node_liar::NodeLiar;
pub use older_build::OlderBuild;
pub use outsider::Outsider;
pub use placement::{Infiltration, Placement};
pub use replaying::Replaying;
pub use slow::Slow;
pub use sybil::Sybil;
pub use value_liar::{ValueLiar, forged};
pub use wrong_addresses::WrongAddresses;
