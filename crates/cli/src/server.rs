//! The daemon `dht_server`: a node from its start to the signal that ends it.

pub mod args;
pub mod check;
mod gateway;
pub mod health;
mod reload;
pub mod service;
pub mod settings;

use std::ffi::OsString;

use tracing::{error, info, warn};
use voiddht_gateway::{BoundGateway, Gateway};
use voiddht_node::{Node, Settings};

use self::check::Checked;
use self::reload::Reloader;
use self::settings::Names;
use crate::arguments::{self, Typed};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::signals::{self, StopSignals};
use crate::{logging, process};

/// Runs the daemon with these arguments, the first of them its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let output = Output::of("dht_server");
    output.conclude(run(arguments, &output))
}

fn run(arguments: impl IntoIterator<Item = OsString>, output: &Output) -> Result<Exit, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = arguments::parse::<args::Arguments>(arguments.iter().cloned())?;
    let Typed::Arguments(typed, sources) = parsed else { return Ok(Exit::Success) };
    if typed.limits.die_with_parent {
        process::die_with_parent().map_err(Failure::failed)?;
    }
    let asked = typed.questions;
    let log = logging::start(typed.logging.loglevel, typed.logging.log_format);
    // One thread: a request that changes threads waits longer for that than for everything else.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let ended = runtime.block_on(async {
        // Caught first: as the first process of a container, nothing else could end it.
        let mut signals = StopSignals::catch().map_err(Failure::failed)?;
        let hangups = signals::hangups().map_err(Failure::failed)?;
        signals::outlive_file_limit().map_err(Failure::failed)?;
        let is_family_known = !settings::is_address_by_name(&typed);
        let through_gateway = typed.gateway.clone();
        let names = if asked.check || asked.health { Names::Leave } else { Names::Resolve };
        let settings = tokio::select! {
            settings = settings::resolve(typed, &sources, names, |text| warn!("{text}")) => settings?,
            signal = signals.next() => std::process::exit(signal.exit_status()),
        };
        let through_gateway = match asked.health {
            true => None,
            false => gateway::resolve(&through_gateway, &settings)?,
        };
        if asked.check {
            check::can_start(&settings)?;
            gateway::can_start(through_gateway.as_ref())?;
            output.line(Checked::new(&sources, &settings))?;
            return Ok(Exit::Success);
        }
        if asked.health {
            return health::ask(&settings, is_family_known).await;
        }
        let reloader = Reloader { arguments, log, hangups };
        serve(settings, through_gateway, signals, reloader).await
    });
    // The system's resolver may hang: the end of the process does not wait for it.
    runtime.shutdown_background();
    ended
}

async fn serve(
    settings: Settings,
    through_gateway: Option<voiddht_gateway::Settings>,
    mut signals: StopSignals,
    reloader: Reloader,
) -> Result<Exit, Failure> {
    if let Some(files) = process::raise_open_files() {
        tracing::debug!(files, "limit of open files");
    }
    let leave_deadline = settings.limits.leave_deadline;
    let gateway = Gateway::default();
    let bound = match through_gateway {
        Some(settings) => Some(BoundGateway::bind(settings).await.map_err(Failure::failed)?),
        None => None,
    };
    let settings = Settings { control_routes: Some(gateway.control_routes()), ..settings };
    let node = Node::start(settings).await.map_err(Failure::failed)?;
    if let Some(bound) = bound {
        gateway.serve(bound, node.handle());
    }
    service::ready("serving, looking for peers");
    let joining = async {
        node.joined().await;
        service::status("serving, part of the network");
    };
    let reloading = reloader.run(node.handle());
    let living = async { tokio::join!(joining, service::keep_alive(node.handle()), reloading) };
    let first = tokio::select! {
        signal = signals.next() => signal,
        _ = living => signals.next().await,
    };
    service::stopping(leave_deadline);
    info!(signal = first.name(), "stopping");
    tokio::select! {
        _ = async { tokio::join!(gateway.shutdown(), node.shutdown()) } => {
            info!("stopped");
            Ok(Exit::Success)
        }
        second = signals.next() => {
            error!(signal = second.name(), "stopped at once");
            std::process::exit(second.exit_status())
        }
    }
}
