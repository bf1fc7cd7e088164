//! Programs of others that some tests need.

use std::path::PathBuf;
use std::process::Command;

/// Where a program is; `None`, loudly, if it is not installed. Where it must be (the variable is
/// set by `./check`), that is a failure.
pub(crate) fn find(program: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|place| place.join(program)).find(|it| it.exists());
    if found.is_none() {
        skip(&format!("{program} is not installed (Debian: apt-get install {package})"));
    }
    found
}

/// Python with a package of that name.
pub(crate) fn find_python(package: &str) -> Option<PathBuf> {
    let python = find("python3", "python3")?;
    let imported = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if imported.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("Python has no {package} (python3 -m pip install {package})"));
    None
}

#[allow(clippy::print_stderr, reason = "for the person who runs the tests")]
fn skip(missing: &str) {
    assert!(std::env::var_os("VOIDDHT_REQUIRE_TOOLS").is_none(), "{missing}");
    eprintln!("SKIPPED: {missing}");
}
