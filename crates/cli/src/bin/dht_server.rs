//! The daemon; see `voiddht_cli::server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    voiddht_allocator::give_back_freed_memory();
    voiddht_cli::process::do_without_huge_pages();
    voiddht_cli::server::main(std::env::args_os()).into()
}
