//! The steps of a scenario: the tables of `[[setup]]` and
//! `[[step]]`.

use serde::{Deserialize, Deserializer, de};

use super::span::Span;
use crate::adversary::Kind;
use crate::host::MAX_HOSTS;
use crate::world::Death;

/// One step. In a file: `[[step]]`, and below it `kill = { share = 0.5 }`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Nodes start and join.
    Grow(Grow),
    /// Values are put.
    Put(Put),
    /// Values are got, each at some node.
    Get(Get),
    /// The nodes closest to random points are looked for.
    Lookup(Lookup),
    /// Nodes turn hostile.
    Infiltrate(Infiltrate),
    /// New nodes come that have ground their IDs until they lay closest to the values' keys.
    Surround(Surround),
    /// Nodes die, all at once.
    Kill(Kill),
    /// Nodes take their leave, one after the other.
    Leave(Leave),
    /// Dead nodes start again, under their old identities.
    Return(Return),
    /// The network falls apart.
    Split(Split),
    /// A share of all pairs of hosts do not reach each other any more.
    Cut(Cut),
    /// The parts find each other again, and so do the pairs.
    Heal {},
    /// Time passes.
    Wait(Wait),
    /// Nodes come and go while values are got and put.
    Live(Live),
}

/// See [`Step::Grow`]. Figures: `joined`, `join-s`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Grow {
    /// How many.
    pub nodes: usize,
    /// How they come to know each other.
    #[serde(default)]
    pub start: Start,
    /// Nodes that start at the same moment; by default a hundredth of those that are there.
    pub at_once: Option<usize>,
    /// The pause after that. 100 ms by default.
    pub pause: Option<Span>,
    /// Peers that each is given.
    #[serde(default = "three")]
    pub peers: usize,
    /// Whether each has a data directory, and finds its records again when it returns.
    #[serde(default)]
    pub disk: bool,
}

/// How nodes come to know each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Each joins, as a daemon does.
    #[default]
    Joined,
    /// Their tables are filled from the knowledge of the whole, without a message.
    Warm,
}

/// See [`Step::Put`]. Figures: `stored` (mean replicas), `stored-least`, `put-p50-ms`,
/// `put-p99-ms`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Put {
    /// How many, each under a key of its own that is not the value's hash.
    pub values: u64,
    /// Bytes of each.
    #[serde(default = "hundred")]
    pub bytes: usize,
    /// How long they live; 18 hours, the longest that there is, by default.
    pub ttl: Option<Span>,
    /// PUTs in progress at any time.
    #[serde(default = "thirty_two")]
    pub at_once: usize,
}

/// See [`Step::Get`]. Figures: `found` (share), `wrong`, `lost` (share of the keys that no node
/// that runs holds), `requests` and `timeouts` of a GET, `get-hops`, `get-p50-ms`, `get-p99-ms`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Get {
    /// How many; by default each value once.
    pub gets: Option<u64>,
    /// GETs in progress at any time.
    #[serde(default = "thirty_two")]
    pub at_once: usize,
    /// What stands before the names of the figures, with a dot.
    pub name: Option<String>,
}

/// See [`Step::Lookup`]. Figures: `hops`, `hops-p99`, `lookup-requests`, `lookup-p50-ms`,
/// `lookup-p99-ms`, `closest` (share of lookups that find the true closest node), and
/// with `siblings` also `reached` and `disjoint`: see [`crate::run`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lookup {
    /// How many, each from a random honest node.
    pub lookups: u64,
    /// Lookups in progress at any time.
    #[serde(default = "thirty_two")]
    pub at_once: usize,
    /// The closest nodes of which an honest one must be reached: s in S/Kademlia.
    pub siblings: Option<usize>,
}

/// See [`Step::Infiltrate`]. Figure: `adversaries`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Infiltrate {
    /// What they do.
    #[serde(deserialize_with = "kind")]
    pub kind: Kind,
    /// How many there are then, as a share of all that run: those that were hostile before count.
    pub share: f64,
}

/// Fields of [`Step::Surround`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Surround {
    /// What they do.
    #[serde(deserialize_with = "kind")]
    pub kind: Kind,
    /// How many around each key.
    pub count: usize,
    /// Among how many of the honest nodes closest to the key they lie, 0 to all; by default closer than any.
    #[serde(default)]
    pub among: usize,
    /// Behind how many /24s those around one key are; by default each has one of its own, which is
    /// what costs an attacker most.
    pub sites: Option<usize>,
    /// Around the keys of how many values that are yet to be put; by default, of those that were.
    pub next_values: Option<u64>,
    /// How long they have to make themselves known.
    pub settle: Option<Span>,
}

/// See [`Step::Kill`]. Figures: `dead`, `theory-lost` (share of the values of which chance alone
/// leaves no replica, if each had k).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kill {
    /// Share of the nodes that run.
    pub share: f64,
    /// How.
    #[serde(default)]
    pub how: How,
}

/// How a host dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The process is killed: connections break at once, dials are refused.
    #[default]
    Killed,
    /// The machine is gone: nothing comes back.
    Silent,
}

impl From<How> for Death {
    fn from(how: How) -> Self {
        match how {
            How::Killed => Self::Killed,
            How::Silent => Self::Silent,
        }
    }
}

/// Fields of [`Step::Leave`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Leave {
    /// Share of the nodes that run.
    pub share: f64,
    /// The pause between two of them. One second by default.
    pub pause: Option<Span>,
}

/// Fields of [`Step::Return`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Return {
    /// Share of dead nodes.
    #[serde(default = "all")]
    pub share: f64,
}

/// Fields of [`Step::Split`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Split {
    /// Into how many parts of the same size.
    #[serde(default = "two")]
    pub parts: u8,
}

/// Fields of [`Step::Cut`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cut {
    /// Share of all pairs.
    pub pairs: f64,
}

/// See [`Step::Wait`]. Figures at its end: `replicas` (mean over the values of those of the k
/// closest nodes that hold it), `replicas-least`, `overlap` (`replicas` as a share of k).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wait {
    /// How long.
    pub span: Span,
    /// How often the figures are taken for a picture of them over time.
    pub sample: Option<Span>,
    /// What stands before the names of the figures, with a dot.
    pub name: Option<String>,
}

/// See [`Step::Live`]. Figures: `get-success`, `gets`, `lost`, `overlap`, `overlap-least` (of all
/// samples), `replicas-least`, `bytes-per-s` and `messages-per-s` (sent, of one node), `requests`,
/// `timeouts`, `get-p50-ms`, `get-p99-ms`, `sessions`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Live {
    /// How long.
    pub span: Span,
    /// How long nodes stay; by default all stay.
    pub sessions: Option<Sessions>,
    /// GETs of random values at random nodes, in the whole network, in a second on average.
    #[serde(default)]
    pub gets_per_s: f64,
    /// How often the figures are taken. Ten minutes by default.
    pub sample: Option<Span>,
}

/// How long nodes stay, and what comes after. For each that goes, another comes at once, so that
/// their number stays.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sessions {
    /// The mean time that a node stays.
    pub mean: Span,
    /// Shape of the Weibull distribution that sessions are drawn from: 1 is the exponential one;
    /// measurements of file-sharing networks give 0.4 to 0.6 (Stutzbach and Rejaie, 2006).
    #[serde(default = "one")]
    pub shape: f64,
    /// Share of those that go that hand over and say goodbye; the others die.
    #[serde(default)]
    pub leaving: f64,
    /// Share of those that die without a sound.
    #[serde(default)]
    pub silent: f64,
    /// Share of those that come that are nodes which were there before, with their data
    /// directories if they have one.
    #[serde(default)]
    pub returning: f64,
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

fn one() -> f64 {
    1.0
}

fn all() -> f64 {
    1.0
}

fn two() -> u8 {
    2
}

fn three() -> usize {
    3
}

fn thirty_two() -> usize {
    32
}

fn hundred() -> usize {
    100
}

impl Step {
    /// Its name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Grow(_) => "grow",
            Self::Put(_) => "put",
            Self::Get(_) => "get",
            Self::Lookup(_) => "lookup",
            Self::Infiltrate(_) => "infiltrate",
            Self::Surround(_) => "surround",
            Self::Kill(_) => "kill",
            Self::Leave(_) => "leave",
            Self::Return(_) => "return",
            Self::Split(_) => "split",
            Self::Cut(_) => "cut",
            Self::Heal {} => "heal",
            Self::Wait(_) => "wait",
            Self::Live(_) => "live",
        }
    }

    /// What the types cannot say.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Grow(grow) if grow.nodes == 0 => Err("nodes must be at least 1".to_owned()),
            Self::Grow(grow) if grow.nodes > MAX_HOSTS => {
                Err(format!("nodes must be at most {MAX_HOSTS}"))
            }
            Self::Put(Put { bytes, .. })
                if !(VALUE_NUMBER_BYTES..=voiddht_wire::limits::MAX_VALUE_BYTES)
                    .contains(bytes) =>
            {
                Err(format!("bytes must be from {VALUE_NUMBER_BYTES} up"))
            }
            Self::Kill(Kill { share, .. })
            | Self::Infiltrate(Infiltrate { share, .. })
            | Self::Leave(Leave { share, .. })
            | Self::Return(Return { share }) => is_share("share", *share),
            Self::Cut(Cut { pairs }) => is_share("pairs", *pairs),
            Self::Split(Split { parts: 0 | 1 }) => Err("parts must be at least 2".to_owned()),
            Self::Lookup(Lookup { siblings: Some(0), .. }) => {
                Err("siblings must be at least 1".to_owned())
            }
            Self::Live(Live { sessions: Some(sessions), .. }) => sessions.check(),
            _ => Ok(()),
        }
    }
}

impl Sessions {
    fn check(&self) -> Result<(), String> {
        is_share("leaving", self.leaving)?;
        is_share("silent", self.silent)?;
        is_share("returning", self.returning)?;
        if self.mean.0.is_zero() {
            return Err("mean must be more than nothing".to_owned());
        }
        if !(0.1..=10.0).contains(&self.shape) {
            return Err(format!("shape is {}, and must be from 0.1 to 10", self.shape));
        }
        Ok(())
    }
}

/// Bytes of a value that tell it from the others.
pub(crate) const VALUE_NUMBER_BYTES: usize = 16;

fn is_share(name: &str, share: f64) -> Result<(), String> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(()),
        false => Err(format!("{name} is {share}, and must be a share from 0 to 1")),
    }
}
