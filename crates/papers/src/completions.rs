//! Shell completions, under the names that each shell looks for.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate_to};

/// The shells that Debian packages.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

pub(crate) fn write_all(command: &mut Command, directory: &Path) -> io::Result<()> {
    let name = command.get_name().to_owned();
    for shell in SHELLS {
        generate_to(shell, command, &name, directory)?;
    }
    Ok(())
}
