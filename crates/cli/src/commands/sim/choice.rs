//! Selects the scenario to run.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use voiddht_sim::scenario::{Plan, shipped};

use super::random;
use crate::outcome::Failure;
use crate::paint::Paint;

/// The word for all scenarios that have pictures.
const FIGURES: &str = "figures";
/// The largest file that is read as a scenario.
const MAX_BYTES: u64 = 1 << 20;

/// A scenario, and what was typed to name it alone.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) plan: Plan,
    pub(super) argument: String,
}

/// What a word on the command line names.
pub(super) fn choose(word: &str) -> Result<Vec<Chosen>, Failure> {
    if word == FIGURES {
        let all = shipped::ALL.iter().map(|(name, text)| parsed(name, name, text));
        let with_pictures = |one: &Result<Chosen, _>| match one {
            Ok(one) => !one.plan.plots.is_empty(),
            Err(_) => true,
        };
        return all.filter(with_pictures).collect();
    }
    if let Some(text) = shipped::text(word) {
        return Ok(vec![parsed(word, word, text)?]);
    }
    let path = Path::new(word);
    if path.extension().is_none() {
        let known = shipped::ALL.iter().map(|(name, _)| *name);
        let near = known.min_by_key(|known| strsim::damerau_levenshtein(known, word));
        let near = near.unwrap_or_default();
        return Err(Failure::Usage(format!(
            "{word}: there is no such scenario; is {near} meant? dht sim --list shows all"
        )));
    }
    let unreadable = |error| Failure::Usage(format!("{word}: {error}"));
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_BYTES {
        return Err(Failure::Usage(format!("{word}: {bytes} bytes are too many for a scenario")));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(vec![parsed(&name, word, &text)?])
}

/// The scenarios that come with the program.
pub(super) fn list(paint: Paint) -> String {
    let width = shipped::ALL.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let width = width.max(random::NAME.len());
    let mut list = String::new();
    let mut line = |name: &str, about: &str| {
        // Two blanks before the name, three behind it.
        let _ = writeln!(list, "  {name:width$}   {}", paint.hang(width + 5, about));
    };
    for (name, text) in shipped::ALL {
        let about = parsed(name, name, text).map(|one| one.plan.about).unwrap_or_default();
        line(name, &about);
    }
    line(random::NAME, random::ABOUT);
    list.trim_end().to_owned()
}

fn parsed(name: &str, argument: &str, text: &str) -> Result<Chosen, Failure> {
    let plan = Plan::parse(name, text);
    let plan = plan.map_err(|error| Failure::Usage(format!("{argument}: {error}")))?;
    Ok(Chosen { plan, argument: argument.to_owned() })
}
