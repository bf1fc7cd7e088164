//! The tool `dht`: one module for each command, with its options, its help and what it does.

mod drill;
mod get;
mod key;
mod node;
mod put;
mod sim;
mod testnet;

use std::ffi::OsString;
use std::future::Future;

use clap::{Parser, Subcommand};

use crate::arguments::file::FileSettings;
use crate::arguments::ini::{Content, Ini, Mistake};
use crate::arguments::{self, Configuration, Program, SECTION, Typed};
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// What `dht` understands.
#[derive(Debug, Parser)]
#[command(
    name = "dht",
    version,
    about = "Put and get values of a voiddht network, start a test network, drill one, and simulate a large one",
    after_help = EXIT_STATUS,
    propagate_version = true,
    arg_required_else_help = false,
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    configuration: Configuration,
}

#[derive(Debug, Subcommand)]
enum Command {
    Put(put::Arguments),
    Get(get::Arguments),
    Testnet(testnet::Arguments),
    Drill(drill::Arguments),
    Sim(sim::Arguments),
}

impl Program for Arguments {
    /// Each command has a section of its own, like `[dht.put]`. The node to talk to is that of
    /// `[dht]`, where a section names no other.
    fn file_settings(file: &Ini, command: &clap::Command) -> Result<FileSettings, Mistake> {
        let mut sections = Vec::new();
        sections_below(SECTION, command, &mut sections);
        refuse_unknown_sections(file, &sections)?;
        let node = node::of_server(file)?;
        let mut settings = FileSettings::none(&file.path);
        for (section, command) in sections {
            settings.extend(FileSettings::of_section(file, &section, command, &[])?);
            let talks_to_node = command.get_arguments().any(|option| option.get_id() == "node");
            if let Some((node, line)) = node.as_ref().filter(|_| talks_to_node) {
                settings.imply(&section, "node", node.clone(), *line);
            }
        }
        Ok(settings)
    }
}

fn sections_below<'a>(
    name: &str,
    command: &'a clap::Command,
    sections: &mut Vec<(String, &'a clap::Command)>,
) {
    for below in command.get_subcommands() {
        let name = format!("{name}.{}", below.get_name());
        sections_below(&name, below, sections);
        sections.push((name, below));
    }
}

fn refuse_unknown_sections(file: &Ini, known: &[(String, &clap::Command)]) -> Result<(), Mistake> {
    let ours = format!("{SECTION}.");
    for line in &file.lines {
        let (Some(section), Ok(Content::Section)) = (&line.section, &line.content) else {
            continue;
        };
        let is_known = known.iter().any(|(name, _)| name.eq_ignore_ascii_case(section));
        if section.to_ascii_lowercase().starts_with(&ours) && !is_known {
            let known: Vec<_> = known.iter().map(|(name, _)| format!("[{name}]")).collect();
            let text =
                format!("[{section}] is no command's section; there are {}", known.join(", "));
            return Err(file.mistake(line.number, text));
        }
    }
    Ok(())
}

const EXIT_STATUS: &str = "\
Exit status:
  0  done; for get: found
  1  not found, not stored, or a value was missing
  2  a wrong argument
  3  the node could not be reached, or did not answer";

/// Runs the tool with these arguments, the first of them its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let output = Output::of("dht");
    output.conclude(run(arguments, &output))
}

fn run(arguments: impl IntoIterator<Item = OsString>, output: &Output) -> Result<Exit, Failure> {
    let Typed::Arguments(typed, _) = arguments::parse::<Arguments>(arguments)? else {
        return Ok(Exit::Success);
    };
    match typed.command {
        Command::Put(put) => {
            let resolved = put.resolve()?;
            on_a_runtime(resolved.run(output))
        }
        Command::Get(get) => on_a_runtime(get.run(output)),
        Command::Testnet(testnet) => on_a_runtime(testnet.run(output)),
        Command::Drill(drill) => on_a_runtime(drill.run(output)),
        Command::Sim(sim) => sim.run(output),
    }
}

/// One thread is all that a connection needs.
fn on_a_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(command)
}
