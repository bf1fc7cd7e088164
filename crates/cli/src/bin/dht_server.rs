//! The daemon; see `voiddht_cli::server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    voiddht_cli::server::main(std::env::args_os()).into()
}
