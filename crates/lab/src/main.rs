//! The laboratory's program; see `voiddht_lab`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    voiddht_lab::main(std::env::args_os()).into()
}
