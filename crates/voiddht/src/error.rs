//! Why a node does not start, and why an operation has no result.

pub use voiddht_core::operation::PutFailure;
use voiddht_node::HandleError;

/// Why a node was not started. Its text says what failed and what to do; nothing is left running.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct StartError {
    failure: StartFailure,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// What kind of thing failed when a node was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartFailure {
    /// A setting is wrong, or two contradict each other.
    Settings,
    /// A port cannot be listened on.
    Listen,
    /// The data directory or storage cannot be opened, or belongs to another node or network.
    Storage,
    /// The key or certificate of the node cannot be made or used.
    Identity,
    /// The secret of the private network cannot be read or used.
    NetworkSecret,
    /// The operating system gave no randomness.
    Randomness,
}

impl StartError {
    /// What kind of thing failed.
    pub fn failure(&self) -> StartFailure {
        self.failure
    }

    pub(crate) fn peer(peer: &str) -> Self {
        let source = format!("\"{peer}\" is no peer: give HOST:PORT, such as 192.0.2.1:7402");
        Self { failure: StartFailure::Settings, source: source.into() }
    }
}

impl From<voiddht_node::StartError> for StartError {
    fn from(error: voiddht_node::StartError) -> Self {
        use voiddht_node::StartError as Node;
        let failure = match &error {
            Node::Listen { .. } => StartFailure::Listen,
            Node::DataDir(_)
            | Node::NoDataDir
            | Node::Storage(_)
            | Node::OtherNetwork
            | Node::Directory(_)
            | Node::SaveIdentity(_)
            | Node::RememberNetwork(_) => StartFailure::Storage,
            Node::Identity(_) => StartFailure::Identity,
            Node::NetworkSecret(_) | Node::Seal(_) => StartFailure::NetworkSecret,
            Node::Randomness(_) => StartFailure::Randomness,
            #[cfg(feature = "http")]
            Node::Http(_) => StartFailure::Listen,
            _ => StartFailure::Settings,
        };
        Self { failure, source: Box::new(error) }
    }
}

/// Why a value was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The node has no answer.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// No node has stored it, or too few have.
    #[error("not stored: {0}")]
    NotStored(PutFailure),
}

impl PutError {
    /// Whether the same PUT may succeed later, without anything being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Handle(error) => *error == HandleError::Busy,
            Self::NotStored(why) => matches!(why, PutFailure::Unreachable | PutFailure::Refused),
        }
    }
}

/// Why a GET has no answer. That no node has the value is one: `Ok(None)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The node has no answer.
    #[error(transparent)]
    Handle(#[from] HandleError),
}
