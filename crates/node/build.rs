//! Tells the program of which commit it is built, for `voiddht_build_info`.
//!
//! `VOIDDHT_COMMIT` says it where there is no repository, as in a package's build. Otherwise git is
//! asked, for release builds alone: others would be compiled again after each commit.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=VOIDDHT_COMMIT");
    if env::var_os("VOIDDHT_COMMIT").is_some() || env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return };
    println!("cargo:rustc-env=VOIDDHT_COMMIT={commit}");
    // The log of HEAD grows with each commit and checkout.
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
}

/// What git says, if there is git, and a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
