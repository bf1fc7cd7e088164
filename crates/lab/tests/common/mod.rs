//! `dht-lab` for the tests, and the `dht_server` beside it. Cargo builds that with `--workspace` or
//! `-p voiddht-cli`, not for this package alone.

use std::path::Path;
use std::process::{Command, Stdio};

/// `dht-lab`, with an environment that says nothing.
pub(crate) fn dht_lab() -> Command {
    let program = env!("CARGO_BIN_EXE_dht-lab");
    let server = Path::new(program).with_file_name("dht_server");
    assert!(server.is_file(), "no dht_server: cargo build -p voiddht-cli");
    let mut command = Command::new(program);
    // Its nodes look for their own tools, as `ip`, where this process would.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).stdin(Stdio::null());
    command
}
