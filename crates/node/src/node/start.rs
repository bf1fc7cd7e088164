//! Starts a node: data, identity, ports, tasks.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::{ChaCha8Rng, SysRng};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voiddht_core::event::{Command, StoredContact, StoredRecord};
use voiddht_core::kept::KeptRow;
use voiddht_identity::network::{Fingerprint, NetworkSecrets};
use voiddht_identity::{Identity, KeyExchange, Policy, server_config};
use voiddht_session::{Accepted, Input, PoolLimits, Session, SessionLimits};
use voiddht_store::{Loaded, LoadedRecord, Pin, Storage, Store, StoredIdentity};
use voiddht_wire::peer::NodeInfo;

use super::Node;
use super::error::StartError;
use crate::api;
use crate::callers::Callers;
use crate::clock::Clock;
use crate::context::Context;
use crate::counters::Counters;
use crate::descriptors::Share;
use crate::driver::{Driver, Parts};
use crate::event::{AnswerTo, Event};
#[cfg(feature = "http")]
use crate::handle::Handle;
#[cfg(feature = "http")]
use crate::http::{BoundHttp, HttpError, HttpServer, HttpSettings, Watched};
use crate::network::{self, Network, check_directory, read_secret_file};
use crate::node_events::Subscribers;
use crate::outbox::Budget;
use crate::own_address::watch::Watch;
use crate::own_address::{OwnAddress, listen};
use crate::own_sessions::OwnSessions;
use crate::persistence::Persistence;
use crate::pins;
use crate::settings::Settings;

impl Node {
    /// Starts a node on the current runtime. When this returns it listens on its ports and has
    /// begun to look for its peers.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        self::start(settings, None).await
    }

    /// Starts a node whose storage is the embedding program's own, in place of a data directory.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start_on(
        settings: Settings,
        storage: Box<dyn Storage>,
    ) -> Result<Self, StartError> {
        self::start(settings, Some(storage)).await
    }
}

/// What a data directory, or nothing, gives a node to begin with.
struct Beginning {
    identity: Identity,
    persistence: Persistence,
    data_dir: Option<PathBuf>,
    records: Vec<LoadedRecord>,
    kept: Vec<(KeptRow, Bytes)>,
    contacts: Vec<StoredContact>,
    pins: Vec<Pin>,
}

async fn start(settings: Settings, storage: Option<Box<dyn Storage>>) -> Result<Node, StartError> {
    settings.core.check()?;
    let secrets = read_secrets(&settings)?;
    let beginning = begin(&settings, storage, secrets.as_ref())?;
    let network = match (secrets, &settings.network_secret) {
        (Some(secrets), Some(file)) => {
            Some(Network::new(file.clone(), network::seal(secrets, &beginning.identity)?))
        }
        _ => None,
    };
    let (p2p, own_address) = listen::bind(&settings).await.map_err(not_bound)?;
    let api = match settings.api {
        Some(api) => Some(listen_on(api, "module API").await?),
        None => None,
    };
    let api_address = api.as_ref().map(address);
    #[cfg(feature = "http")]
    let http = bind_http(&settings, api_address.unwrap_or(own_address.bound)).await?;
    let own = NodeInfo { address: own_address.announced, id: beginning.identity.node_id() };
    let clock = Clock::start();
    let mut core = voiddht_core::Node::new(own, settings.core.clone(), randomness(&settings)?)?;
    core.restore(clock.now(), restored(beginning.records));
    core.restore_kept(clock.now(), beginning.kept);
    let knows_nobody = beginning.contacts.is_empty() && settings.peers.is_empty();
    core.restore_contacts(beginning.contacts);
    let share = Share::claim(&settings.descriptors);
    let limits = SessionLimits {
        pool: PoolLimits {
            connections: settings.limits.connections.min(share.sockets()),
            requests_per_peer: settings.limits.requests_per_peer,
        },
        pins: settings.pins,
        probes: settings.limits.probes,
    };
    let certificate = beginning.identity.certificate().clone();
    let mut session = Session::new(core, certificate, limits, from_system()?, clock.now());
    let pins = beginning.pins.into_iter().map(pins::restored).collect();
    for (id, reason) in session.restore_pins(pins, beginning.identity.policy(), clock.now()) {
        tracing::warn!(peer = id.short(), %reason, "pin of an earlier run dropped");
    }

    let (sender, inbox) = mpsc::channel(settings.limits.inbox_events);
    let counters = Arc::new(Counters::default());
    let context = Arc::new(Context {
        server_config: server_config(&beginning.identity),
        network,
        identity: beginning.identity,
        own,
        own_address: OwnAddress::new(own_address, settings.follow_address, settings.core.client),
        own_sessions: OwnSessions::default(),
        budget: Budget::new(settings.limits.queued_bytes),
        clock,
        counters,
        callers: Callers::default(),
        inbox: sender,
        tasks: TaskTracker::new(),
        finish: CancellationToken::new(),
        stop: CancellationToken::new(),
        accepted: AtomicU64::new(0),
        data_dir: beginning.data_dir,
        is_durable: beginning.persistence.store().is_some(),
        subscribers: Subscribers::new(),
        limits: settings.limits,
    });
    if let Some(network) = &context.network {
        let membership = network.now();
        let accepted = Accepted::of(membership.secrets());
        session.handle_input(clock.now(), Input::SecretsChanged(accepted));
        let first = membership.secrets().first().fingerprint();
        let secrets = membership.secrets().fingerprints().len();
        tracing::info!(%first, secrets, "private network");
    }
    let (joined_sender, joined) = watch::channel(knows_nobody);
    let driver = Driver::new(Parts {
        context: Arc::clone(&context),
        clock,
        session,
        share,
        persistence: beginning.persistence,
        inbox,
        joined: joined_sender,
    });
    context.tasks.spawn(driver.run());
    let watch = Watch::new(Arc::clone(&context), p2p, &settings.peers);
    spawn_listener(&context, watch.run());
    let serving = Arc::clone(&context);
    let api = spawn_listener(&context, async move {
        if let Some(api) = api {
            api::run(serving, api).await;
        }
    });
    let join = Command::Join { peers: settings.peers };
    let join = Event::Command { command: join, answer: AnswerTo::Nobody };
    context.tell(join).await;
    let api_text = api_address.map(tracing::field::display);
    tracing::info!(id = %own.id, p2p = %own_address.bound, api = api_text, "listening");
    if own.address.socket_addr() != own_address.bound && own.address.is_dialable() {
        tracing::info!(address = %own.address, "announcing");
    }
    #[cfg(feature = "http")]
    let http = http.map(|http| serve_http(http, Handle::new(Arc::clone(&context), api_address)));
    Ok(Node {
        context,
        api_address,
        joined,
        api,
        #[cfg(feature = "http")]
        http,
    })
}

/// The secrets of the private network, if the node is to belong to one.
fn read_secrets(settings: &Settings) -> Result<Option<NetworkSecrets>, StartError> {
    let Some(file) = &settings.network_secret else { return Ok(None) };
    if settings.policy == Policy::Tofu {
        return Err(StartError::PrivateTofu);
    }
    Ok(Some(read_secret_file(file)?))
}

/// The key exchange groups of a node with these settings.
fn key_exchange(settings: &Settings) -> KeyExchange {
    let usual = match settings.network_secret {
        Some(_) => KeyExchange::hybrid,
        None => KeyExchange::classical,
    };
    settings.key_exchange.clone().unwrap_or_else(usual)
}

/// Where a node keeps what it stores.
enum Place {
    Nowhere,
    /// A data directory.
    #[cfg(feature = "redb")]
    Directory(PathBuf),
    /// Storage of the embedding program.
    Storage,
}

/// Opens the storage, or the data directory, or nothing.
fn open(
    settings: &Settings,
    storage: Option<Box<dyn Storage>>,
) -> Result<(Place, Persistence, Option<Loaded>), StartError> {
    if let Some(storage) = storage {
        let (persistence, loaded) = Persistence::open_storage(storage)?;
        return Ok((Place::Storage, persistence, Some(loaded)));
    }
    match &settings.data_dir {
        None => {
            tracing::info!("no data directory: nothing is stored on disk");
            Ok((Place::Nowhere, Persistence::Nowhere, None))
        }
        #[cfg(feature = "redb")]
        Some(path) => {
            let (persistence, loaded) = Persistence::open(path)?;
            Ok((Place::Directory(path.clone()), persistence, Some(loaded)))
        }
        #[cfg(not(feature = "redb"))]
        Some(_) => Err(StartError::NoDataDir),
    }
}

impl Place {
    /// Whether a node with these secrets may go on with what was loaded.
    fn check(&self, loaded: &Loaded, secrets: &[Fingerprint]) -> Result<(), StartError> {
        match self {
            Self::Nowhere => Ok(()),
            #[cfg(feature = "redb")]
            Self::Directory(path) => Ok(check_directory(path, loaded, secrets)?),
            Self::Storage => check_directory(Path::new(""), loaded, secrets)
                .map_err(|_| StartError::OtherNetwork),
        }
    }

    fn data_dir(self) -> Option<PathBuf> {
        match self {
            #[cfg(feature = "redb")]
            Self::Directory(path) => Some(path),
            _ => None,
        }
    }
}

fn begin(
    settings: &Settings,
    storage: Option<Box<dyn Storage>>,
    secrets: Option<&NetworkSecrets>,
) -> Result<Beginning, StartError> {
    let fresh = || Identity::generate(settings.key_kind, settings.policy, settings.host);
    let (place, persistence, loaded) = open(settings, storage)?;
    let fingerprints = secrets.map(NetworkSecrets::fingerprints).unwrap_or_default();
    let stored = loaded.as_ref().and_then(|loaded| loaded.identity.as_ref());
    if let Some(loaded) = &loaded {
        place.check(loaded, &fingerprints)?;
    }
    let identity = match stored {
        Some(stored) => {
            Identity::from_parts(&stored.private_key_der, &stored.certificate_der, settings.policy)?
                .with_host(settings.host)?
        }
        None => fresh()?,
    };
    if let (Some(store), Some(loaded)) = (persistence.store(), &loaded) {
        remember(store, loaded, &identity, &fingerprints)?;
    }
    let identity = identity.with_key_exchange(key_exchange(settings));
    let (records, kept, contacts, pins) = loaded.map_or_else(Default::default, |loaded| {
        (loaded.records, loaded.kept, loaded.contacts, loaded.pins)
    });
    let data_dir = place.data_dir();
    Ok(Beginning { identity, persistence, data_dir, records, kept, contacts, pins })
}

/// Writes down what has changed since the last run: who the node is, and of which network.
fn remember(
    store: &Store,
    loaded: &Loaded,
    identity: &Identity,
    network: &[Fingerprint],
) -> Result<(), StartError> {
    let stored = StoredIdentity {
        node_id: identity.node_id(),
        private_key_der: identity.private_key_der(),
        certificate_der: identity.certificate().der().to_vec(),
    };
    if loaded.identity.as_ref() != Some(&stored) {
        store.save_identity(&stored)?;
    }
    let network: Vec<_> = network.iter().map(|fingerprint| fingerprint.0).collect();
    if loaded.network != network {
        store.remember_network(&network)?;
    }
    Ok(())
}

#[cfg(feature = "http")]
fn serve_http(http: BoundHttp, handle: Handle) -> HttpServer {
    let http = http.serve(vec![Watched { handle, label: None }]);
    if let Some(address) = http.address() {
        tracing::info!("dashboard at http://{address}/, metrics at http://{address}/metrics");
    }
    http
}

/// A node without its control socket is still a node; without the dashboard that was asked for, it
/// is not what its operator wants.
#[cfg(feature = "http")]
async fn bind_http(settings: &Settings, api: SocketAddr) -> Result<Option<BoundHttp>, HttpError> {
    let address = settings.http;
    let control = settings.control.as_ref().map(|control| control.path(api));
    let control_routes = settings.control_routes.clone();
    if address.is_none() && control.is_none() {
        return Ok(None);
    }
    match BoundHttp::bind(HttpSettings { address, control, control_routes }).await {
        Err(error @ HttpError::Control { .. }) => {
            tracing::warn!(%error, "no control socket: local tools cannot reach this node");
            Ok(Some(BoundHttp::bind(HttpSettings { address, ..HttpSettings::default() }).await?))
        }
        bound => bound.map(Some),
    }
}

/// Those of the configured peers that are given by address; the others are known once they are
/// contacts.
fn not_bound((address, source): (SocketAddr, io::Error)) -> StartError {
    StartError::Listen { address, purpose: "p2p", source }
}

async fn listen_on(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| StartError::Listen { address, purpose, source })
}

/// A bound socket has an address; if the system does not report it, it cannot be announced either.
fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}

fn spawn_listener(
    context: &Arc<Context>,
    listener: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let stop = context.stop.clone();
    context.tasks.spawn(async move {
        // Ends by the token alone.
        let _ = stop.run_until_cancelled_owned(listener).await;
    })
}

fn randomness(settings: &Settings) -> Result<ChaCha8Rng, StartError> {
    match settings.seed {
        Some(seed) => Ok(ChaCha8Rng::seed_from_u64(seed)),
        None => from_system(),
    }
}

fn from_system() -> Result<ChaCha8Rng, StartError> {
    ChaCha8Rng::try_from_rng(&mut SysRng).map_err(|error| StartError::Randomness(error.to_string()))
}

fn restored(records: Vec<LoadedRecord>) -> Vec<(StoredRecord, Duration)> {
    records.into_iter().map(|loaded| (loaded.record, loaded.remaining)).collect()
}
