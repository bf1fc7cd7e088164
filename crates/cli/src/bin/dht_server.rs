//! The daemon; see `voiddht_cli::server`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    voiddht_cli::process::do_without_huge_pages();
    voiddht_cli::server::main(std::env::args_os()).into()
}
