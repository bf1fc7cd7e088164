//! The command-line client; see `voiddht_cli::commands`.

use std::process::ExitCode;

fn main() -> ExitCode {
    voiddht_allocator::give_back_freed_memory();
    voiddht_cli::commands::main(std::env::args_os()).into()
}
