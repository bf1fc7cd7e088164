//! The laboratory's program; see `voiddht_lab`.

use std::process::ExitCode;

fn main() -> ExitCode {
    voiddht_allocator::give_back_freed_memory();
    voiddht_lab::main(std::env::args_os()).into()
}
