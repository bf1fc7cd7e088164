//! What a node shows of itself, as far as the tool's commands use it. What is missing or new is
//! no mistake: the node may be of another version.

use serde::Deserialize;

/// `/status.json`: a node, or a network of several.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Status {
    Node(Box<Node>),
    Network(Network),
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Node {
    pub(super) label: Option<String>,
    pub(super) taken_at_ms: u64,
    pub(super) node: Who,
    pub(super) health: Health,
    pub(super) table: Table,
    pub(super) records: Records,
    pub(super) storage: Storage,
    pub(super) operations: Operations,
    pub(super) connections: Connections,
    #[serde(default)]
    pub(super) peers: Vec<ConfiguredPeer>,
    pub(super) trust: Trust,
    pub(super) limits: Vec<Limit>,
    pub(super) events: Vec<Event>,
    pub(super) history: Option<History>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Who {
    pub(super) id: String,
    pub(super) p2p_address: String,
    pub(super) announced_address: Option<String>,
    pub(super) public_address: Option<String>,
    pub(super) reach: Option<String>,
    pub(super) api_address: String,
    pub(super) version: String,
    pub(super) policy: String,
    pub(super) uptime_seconds: u64,
    pub(super) k: u64,
    pub(super) alpha: u64,
    pub(super) disjoint_paths: u64,
    pub(super) vote_quorum: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Health {
    pub(super) state: String,
    pub(super) ready: bool,
    pub(super) reasons: Vec<Reason>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Reason {
    pub(super) text: String,
    pub(super) hint: String,
}

/// One configured peer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ConfiguredPeer {
    pub(super) peer: String,
    pub(super) state: String,
    pub(super) text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Table {
    pub(super) contacts: u64,
    pub(super) suspects: u64,
    pub(super) rtt_median_ms: Option<f64>,
    pub(super) buckets: Vec<Bucket>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Bucket {
    pub(super) prefix: String,
    pub(super) depth: usize,
    pub(super) own: bool,
    pub(super) size: u64,
    pub(super) candidates: u64,
    #[serde(default)]
    pub(super) contacts: Vec<Contact>,
}

/// One contact of the routing table.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) address: String,
    pub(super) rtt_ms: Option<f64>,
    pub(super) rtt_deviation_ms: Option<f64>,
    pub(super) seen_seconds_ago: u64,
    pub(super) failures: u8,
    pub(super) connected: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Records {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) max_count: u64,
    pub(super) max_bytes: u64,
    pub(super) next_expiry_seconds: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Storage {
    pub(super) directory: Option<String>,
    pub(super) failing: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Operations {
    pub(super) running_count: u64,
    pub(super) requests_in_flight: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Connections {
    pub(super) open: u64,
    pub(super) dialed: u64,
    pub(super) accepted: u64,
    pub(super) dials_failed: u64,
    pub(super) api: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Trust {
    pub(super) bans: Vec<Ban>,
    pub(super) misbehaved: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ban {
    pub(super) id: String,
    pub(super) seconds_left: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) reached: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    pub(super) at_ms: u64,
    pub(super) warning: bool,
    pub(super) text: String,
    pub(super) times: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct History {
    pub(super) series: Vec<Series>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) values: Vec<Option<f64>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Network {
    pub(super) nodes: Vec<NetworkNode>,
    pub(super) history: Option<History>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NetworkNode {
    pub(super) label: String,
    pub(super) id: String,
    pub(super) state: String,
    pub(super) api_address: String,
    pub(super) contacts: u64,
    pub(super) records: u64,
    pub(super) record_bytes: u64,
    pub(super) connections: u64,
    pub(super) rtt_median_ms: Option<f64>,
}

/// `/explain`: one GET with its steps.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Operation {
    pub(super) key: String,
    pub(super) result: String,
    pub(super) value_bytes: Option<u64>,
    /// Whether the value is the one of which the key is the hash.
    #[serde(default)]
    pub(super) proves_itself: bool,
    /// Owner and sequence, where it is a signed value.
    #[serde(default)]
    pub(super) signed: Option<Signed>,
    pub(super) started_at_ms: u64,
    pub(super) took_ms: f64,
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) hops: u64,
    pub(super) agreeing: u64,
    pub(super) dissenting: u64,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) address: String,
    pub(super) path: u64,
    pub(super) named_by: Option<String>,
    pub(super) asked_after_ms: f64,
    pub(super) took_ms: Option<f64>,
    pub(super) answer: String,
    pub(super) nodes: Option<u64>,
    pub(super) version: Option<u64>,
    /// Generation and sequence number of a signed value, with a point between them.
    #[serde(default)]
    pub(super) sequence: Option<String>,
}

/// Owner and sequence of a signed value that was found.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Signed {
    pub(super) owner: String,
    pub(super) generation: u64,
    pub(super) seq: String,
    pub(super) withdrawal: bool,
    pub(super) replicas: u64,
    pub(super) older: u64,
}

/// `/doctor`: what is wrong, if anything.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Examination {
    pub(super) node: String,
    pub(super) taken_at_ms: u64,
    pub(super) checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) result: String,
    pub(super) text: String,
    pub(super) advice: String,
}
