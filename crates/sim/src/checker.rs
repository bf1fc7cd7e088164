//! Checkers of a run: each sees every step of every honest host, and reports violations.

use voiddht_core::Config;

mod bans;
mod ledger;
mod load;
pub(crate) mod observer;
mod replicas;
mod ttls;
mod versions;

#[cfg(test)]
mod tests;

pub use bans::Bans;
pub use ledger::Ledger;
pub use load::Load;
pub use observer::{Checker, Site, Survey, Violation, Violations};
pub use replicas::{ReplicaSets, Replicas};
pub use ttls::Ttls;
pub use versions::Versions;

/// Every checker that needs nothing but the nodes' settings: what must hold in any world.
pub fn standard(config: &Config) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(Ledger::new(config.default_ttl)),
        Box::new(Versions::default()),
        Box::new(Ttls::default()),
        Box::new(Bans::default()),
        Box::new(Load::of(config)),
    ]
}
