//! Each node's share of the files that the process may have open.
//!
//! A socket is a file, and a process without free descriptors can neither dial nor accept. So the
//! nodes of one process divide the limit, and each keeps its pool under its share: a node that
//! starts later finds descriptors, because the earlier ones close idle connections.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

/// Files of the process that belong to no node: standard streams, logs, the runtime's own.
const RESERVED_FILES: usize = 128;
/// The part of a node's files that its pool may hold, in quarters. The rest is for its listeners,
/// its database, module API connections, probes, and handshakes that are in progress.
const POOL_QUARTERS: usize = 3;
/// Below this a node is not much of a node, whatever the limit says.
const LEAST_SHARE: usize = 8;

static NODES: AtomicUsize = AtomicUsize::new(0);
static FILES: LazyLock<usize> = LazyLock::new(|| {
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
});

/// One node's claim; dropped with the node.
#[derive(Debug)]
pub(crate) struct Share(());

impl Share {
    pub(crate) fn claim() -> Self {
        NODES.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// Sockets that this node may hold now.
    pub(crate) fn sockets(&self) -> usize {
        share_of(*FILES, NODES.load(Ordering::Relaxed))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        NODES.fetch_sub(1, Ordering::Relaxed);
    }
}

fn share_of(files: usize, nodes: usize) -> usize {
    let own = files.saturating_sub(RESERVED_FILES) / nodes.max(1);
    (own / 4).saturating_mul(POOL_QUARTERS).max(LEAST_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_is_divided() {
        assert_eq!(share_of(1024, 1), (1024 - RESERVED_FILES) / 4 * 3);
        assert_eq!(share_of(20_000, 256), (20_000 - RESERVED_FILES) / 256 / 4 * 3);
        assert_eq!(share_of(256, 1000), LEAST_SHARE);
        assert_eq!(share_of(0, 0), LEAST_SHARE);
    }
}
