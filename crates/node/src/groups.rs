//! The groups of this process, to which orchestrators hand files and volumes over.

use rustix::process::{getegid, getgroups};

/// Whether this process is in that group.
pub(crate) fn is_own(group: u32) -> bool {
    let own = || getegid().as_raw() == group;
    own() || getgroups().is_ok_and(|groups| groups.iter().any(|one| one.as_raw() == group))
}
