//! The command-line client; see `voiddht_cli::commands`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    voiddht_cli::commands::main(std::env::args_os()).into()
}
