//! The man page of the configuration file: every key of every section.

use clap::{Arg, Command};
use roff::{bold, italic, roman};
use voiddht_cli::arguments::SECTION;
use voiddht_cli::arguments::file::{Alias, Sets, is_setting};
use voiddht_cli::server::args::ALIASES;

use crate::page::Page;

const DESCRIPTION: &str = "\
`dht_server` and `dht` read the file that `--config` or the variable `VOIDDHT_CONFIG` names; \
without either, none.

Its form is that of the configuration files of VoidPhone's modules. A line is a section, [NAME]; \
a key with its value, KEY = VALUE; or a comment, behind # or ;. A value may stand in quotes, and \
then contain # and ;. Keys are written with dashes or underscores. What stands before the first \
section, like hostkey, and the sections of other programs are passed over. A key that is not \
known, one that is given twice, and a line that is none of these are mistakes: the program says \
the number of the line, and ends.

Where a value is set in several places, the command line wins over the environment, that over \
the file, and that over the default. `dht_server --check` shows what has won.";

const EXAMPLE: &str = "\
hostkey = /etc/voidphone/hostkey.pem

[dht]
p2p_address = 192.0.2.1:7402
api_address = 127.0.0.1:7401
bootstrapper = one.example.org:7402, [2001:db8::2]:7402
data-dir = /var/lib/voiddht
loglevel = warn";

/// The page.
pub(crate) fn page(daemon: &Command, tool: &Command, date: &str) -> anyhow::Result<Vec<u8>> {
    let mut page = Page::new("voiddht.conf", "5", date);
    page.section("NAME");
    page.text("voiddht.conf - configuration of dht_server and dht");
    page.section("DESCRIPTION");
    page.paragraphs(DESCRIPTION);
    page.section(&format!("SECTION [{SECTION}]"));
    page.text("The options of `dht_server`. More on each is in dht_server(8).");
    add_keys(&mut page, daemon);
    for alias in ALIASES {
        add_alias(&mut page, alias);
    }
    add_sections_below(&mut page, SECTION, tool);
    page.section("EXAMPLES");
    page.lines(EXAMPLE.lines());
    page.section("SEE ALSO");
    page.text("dht_server(8), dht(1)");
    page.finish()
}

/// A section for each command of the tool.
fn add_sections_below(page: &mut Page, name: &str, command: &Command) {
    for below in command.get_subcommands() {
        let name = format!("{name}.{}", below.get_name());
        if below.get_arguments().any(is_setting) {
            page.section(&format!("SECTION [{name}]"));
            page.text(&format!("The options of `{}`.", name.replace('.', " ")));
            if below.get_arguments().any(|option| option.get_id() == "node") {
                page.text("Without a node, it is the one of `api_address` above.");
            }
            add_keys(page, below);
        }
        add_sections_below(page, &name, below);
    }
}

fn add_keys(page: &mut Page, command: &Command) {
    for option in command.get_arguments().filter(|option| is_setting(option)) {
        add_key(page, option.get_long().unwrap_or_default(), &value_name(option));
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults = option.get_default_values().iter().map(|word| word.to_string_lossy());
        let defaults: Vec<_> = defaults.filter(|_| option.get_action().takes_values()).collect();
        match defaults.is_empty() {
            true => page.text(&format!("{help}.")),
            false => page.text(&format!("{help}. Default: `{}`.", defaults.join(","))),
        }
    }
}

fn add_alias(page: &mut Page, alias: &Alias) {
    match alias.sets {
        Sets::AddressAndPort(address, port) => {
            add_key(page, alias.key, "ADDRESS:PORT");
            page.text(&format!("`{address}` and `{port}` at once; the port may be left out."));
        }
        Sets::List(option) => {
            add_key(page, alias.key, "HOST:PORT");
            page.text(&format!("`{option}`; several, with commas or blanks between them."));
        }
    }
}

fn add_key(page: &mut Page, key: &str, value: &str) {
    page.tagged(vec![bold(key), roman(" = "), italic(value)]);
}

/// What a key takes, as the help writes it; a flag is said yes or no to.
fn value_name(option: &Arg) -> String {
    if !option.get_action().takes_values() {
        return "yes|no".to_owned();
    }
    let names = option.get_value_names().unwrap_or_default();
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
}
