//! The tool `dht`: one module for each command, with its options, its help and what it does.

mod bench;
mod doctor;
mod explain;
mod gateway;
mod get;
mod keep;
mod key;
mod network;
mod node;
mod peers;
mod ping;
mod pins;
mod put;
mod shown;
mod signed;
mod sim;
mod status;
mod testnet;

use std::ffi::OsString;
use std::future::Future;

use clap::{Parser, Subcommand};

use crate::arguments::file::FileSettings;
use crate::arguments::ini::{Content, Ini, Mistake};
use crate::arguments::{self, Configuration, Program, SECTION, Typed};
use crate::connection::Preference;
use crate::connection::place::http_of_server;
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// What `dht` understands.
#[derive(Debug, Parser)]
#[command(
    name = "dht",
    version,
    about = "Put and get values of a voiddht network, look at its nodes, and try networks of your own",
    help_template = HELP,
    after_help = EXAMPLES,
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
    Keep(keep::Arguments),
    Kept(keep::list::Arguments),
    Unkeep(keep::remove::Arguments),
    Withdraw(signed::withdraw::Arguments),
    Key(signed::key::Arguments),
    Status(status::Arguments),
    Peers(peers::Arguments),
    Ping(ping::Arguments),
    Explain(explain::Arguments),
    Doctor(doctor::Arguments),
    Bench(bench::Arguments),
    Testnet(testnet::Arguments),
    Sim(sim::Arguments),
    Pins(pins::Arguments),
    Network(network::Arguments),
}

impl Program for Arguments {
    /// Each command has a section of its own, like `[dht.put]`. The node to talk to, and its data
    /// directory, are those of `[dht]`, where a section names no other.
    fn file_settings(file: &Ini, command: &clap::Command) -> Result<FileSettings, Mistake> {
        let mut sections = Vec::new();
        sections_below(SECTION, command, &mut sections);
        refuse_unknown_sections(file, &sections)?;
        let implied = [
            ("node", node::of_server(file)?),
            ("http", http_of_server(file)?),
            ("data_dir", node::data_dir_of_server(file)?),
        ];
        let mut settings = FileSettings::none(&file.path);
        for (section, command) in sections {
            settings.extend(FileSettings::of_section(file, &section, command, &[])?);
            for (name, place) in &implied {
                // A test network serves a page of its own.
                let has_it = command.get_arguments().any(|option| option.get_id() == *name)
                    && command.get_name() != "testnet";
                if let Some((place, line)) = place.as_ref().filter(|_| has_it) {
                    settings.imply(&section, name, place.clone(), *line);
                }
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

/// The commands by what they are for. A test holds it to the commands that there are.
const HELP: &str = "\
{about}

{usage-heading} {usage}

Values:
  put       Put a value under a key, and print from how many nodes it can be fetched
  get       Get the value of a key, and write it to standard output as it is
  keep      Put a value, and have this machine's node republish it until it is told otherwise
  kept      List the values that a node keeps, with their last and next publication
  unkeep    Keep a value no longer: it ends with the TTL of its last publication

Signed values, which only their owner can replace (put --sign, get --signed-by):
  key       Make the key pairs that sign values, and let other keys write in their name
  withdraw  Withdraw a signed value: readers then find nothing

A running node:
  status    Show the state of a node: health, contacts, records, operations, warnings
  peers     List the contacts of a node, with their state and round-trip time
  ping      Say what is at an address: a node, which kind, and whether it can dial back
  explain   Get a value, and show each request, each answer, and the vote
  doctor    Check a node, and say what to fix
  bench     Put and get through running nodes, and measure how long that takes

A data directory, whether or not its node runs:
  pins      List and forget the certificates that a node trusts for the IDs that it knows

Private networks, which only nodes with a secret join:
  network   Make, show and reload the secrets of a private network

Networks of your own, on this machine:
  testnet   Start a network of nodes on this machine, and put and get values
  sim       Simulate a large network, with faults and attackers, in one process

Options:
{options}{after-help}
";

const EXAMPLES: &str = "\
Examples:
  dht testnet --http 9402         a network to experiment with, and its dashboard
  dht put greeting 'hello, world'
  dht get greeting
  dht explain greeting            how that value is found, hop by hop
  dht doctor                      what is wrong with the node, if anything
  dht put --help                  all about one command

Exit status:
  0  done; for get and explain: found; for doctor: nothing is wrong
  1  not found, not stored, a value was missing, or something is wrong
  2  a wrong argument
  3  the node could not be reached, or did not answer";

/// Runs the tool with these arguments, the first of them its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let output = Output::of("dht");
    output.conclude(run(arguments, &output))
}

fn run(arguments: impl IntoIterator<Item = OsString>, output: &Output) -> Result<Exit, Failure> {
    let Typed::Arguments(typed, sources) = arguments::parse::<Arguments>(arguments)? else {
        return Ok(Exit::Success);
    };
    let preference = Preference::of(&sources);
    match typed.command {
        Command::Put(put) => {
            let resolved = put.resolve()?;
            on_a_runtime(resolved.run(output))
        }
        Command::Get(get) => on_a_runtime(get.run(preference, output)),
        Command::Keep(keep) => on_a_runtime(keep.run(output)),
        Command::Kept(kept) => on_a_runtime(kept.run(output)),
        Command::Unkeep(unkeep) => on_a_runtime(unkeep.run(output)),
        Command::Withdraw(withdraw) => on_a_runtime(withdraw.run(output)),
        Command::Key(key) => key.run(output),
        Command::Status(status) => on_a_runtime(status.run(preference, output)),
        Command::Peers(peers) => on_a_runtime(peers.run(preference, output)),
        Command::Ping(ping) => on_a_runtime(ping.run(output)),
        Command::Explain(explain) => on_a_runtime(explain.run(preference, output)),
        Command::Doctor(doctor) => on_a_runtime(doctor.run(preference, output)),
        Command::Bench(bench) => on_a_runtime(bench.run(output)),
        Command::Testnet(testnet) => on_a_runtime(testnet.run(output)),
        Command::Sim(sim) => sim.run(output),
        Command::Network(network) => on_a_runtime(network.run(preference, output)),
        Command::Pins(pins) => on_a_runtime(pins.run(output)),
    }
}

/// One thread is all that a connection needs.
fn on_a_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_has_every_command_with_its_own_words() {
        for command in Arguments::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let line = format!("  {:<8}  {about}\n", command.get_name());
            assert!(HELP.contains(&line), "{line} in\n{HELP}");
        }
    }
}
