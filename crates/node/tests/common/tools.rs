//! Programs of others that some tests need.

use std::path::PathBuf;

/// Where a program is; `None`, loudly, if it is not installed. Where it must be (the variable is
/// set by `./check`), that is a failure.
pub(crate) fn find(program: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|place| place.join(program)).find(|it| it.exists());
    if found.is_none() {
        let missing = format!("{program} is not installed (Debian: apt-get install {package})");
        assert!(std::env::var_os("VOIDDHT_REQUIRE_TOOLS").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
    }
    found
}
