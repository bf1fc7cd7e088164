//! Generates the files installed beside the programs: man pages, shell completions, and a
//! sample configuration. All of it is derived from the definitions of the options, so none is
//! missing.
//!
//! ```text
//! cargo run -p voiddht-papers -- DIRECTORY
//!
//! DIRECTORY/man/dht_server.8 dht.1 dht-put.1 … voiddht.conf.5
//! DIRECTORY/completions/dht.bash _dht dht.fish dht_server.bash …
//! DIRECTORY/voiddht.conf
//! ```

mod completions;
mod conf;
mod man;
mod page;
mod sample;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Command;
use voiddht_cli::{arguments, commands, server};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let directory =
        arguments.next().map(PathBuf::from).context("usage: voiddht-papers DIRECTORY")?;
    ensure!(arguments.next().is_none(), "usage: voiddht-papers DIRECTORY");
    let date = man::date(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;

    let manual = directory.join("man");
    fs::create_dir_all(&manual)?;
    for (name, page) in pages(&date)? {
        fs::write(manual.join(name), page)?;
    }
    let scripts = directory.join("completions");
    fs::create_dir_all(&scripts)?;
    for mut command in [daemon(), tool()] {
        completions::write_all(&mut command, &scripts)?;
    }
    fs::write(directory.join("voiddht.conf"), sample::file(&daemon()))?;
    Ok(())
}

/// The file name and the text of each man page.
fn pages(date: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let (daemon, tool) = (daemon(), tool());
    let mut pages = vec![
        ("voiddht.conf.5".to_owned(), conf::page(&daemon, &tool, date)?),
        ("dht_server.8".to_owned(), man::page(&daemon, "8", date)?),
        ("dht.1".to_owned(), man::page(&tool, "1", date)?),
    ];
    add_below(&tool, date, &mut pages)?;
    Ok(pages)
}

fn add_below(
    command: &Command,
    date: &str,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    for below in command.get_subcommands() {
        pages.push((format!("{}.1", man::title(below)), man::page(below, "1", date)?));
        add_below(below, date, pages)?;
    }
    Ok(())
}

fn daemon() -> Command {
    arguments::command::<server::args::Arguments>()
}

fn tool() -> Command {
    arguments::command::<commands::Arguments>()
}
