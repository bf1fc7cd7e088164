//! One driver for each system. Each says at its top how the system is used, and why so.

mod libp2p;
mod mainline;
#[cfg(opendht)]
mod opendht;
mod voiddht;

use anyhow::Result;

use crate::floor;
use crate::measure::{Plan, measure};
use crate::report::System;
use crate::rows::Figures;

/// Measures this system in this process.
pub(crate) async fn measure_system(system: System, plan: &Plan) -> Result<Figures> {
    let name = system.name();
    match system {
        System::Floor => floor::measure().await,
        System::Voiddht => measure::<voiddht::Nodes>(name, plan).await,
        System::Libp2p => measure::<libp2p::Nodes>(name, plan).await,
        System::Mainline => measure::<mainline::Nodes>(name, plan).await,
        #[cfg(opendht)]
        System::Opendht => measure::<opendht::Nodes>(name, plan).await,
        #[cfg(not(opendht))]
        System::Opendht => anyhow::bail!("it is not built in"),
    }
}
