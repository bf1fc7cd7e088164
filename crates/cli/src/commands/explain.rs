//! `dht explain`: a GET, hop by hop.

use std::ffi::OsString;
use std::fmt::Write;

use clap::Args;
use voiddht_wire::{Key, NodeId};

use super::key;
use super::shown::{Operation, Signed, Step};
use crate::connection::{ConnectionArguments, Preference, pretty};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::table::{Cell, Column, Table};
use crate::paint::words::{bytes, millis, plural, span};
use crate::paint::{Paint, Tone, track, width_of_stdout};

/// Get a value, and show each request, each answer, and the vote
///
/// The node executes an ordinary GET and reports its steps instead of the value: the disjoint path
/// of each request, the referrer of the node, its distance from the key, the start and the
/// duration.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// 64 hexadecimal digits, or any other text, which is hashed with SHA-256
    key: OsString,

    #[command(flatten)]
    connection: ConnectionArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht explain greeting
  dht explain --http 192.0.2.1:9402 greeting
  dht explain --json greeting | jq '.steps[] | select(.answer == \"failed\") | .address'

Exit status:
  0  a value was found
  1  none was found, or the node could not look
  2  a wrong argument
  3  the node could not be reached";

/// Width of the line on which a step is drawn.
const TRACK: usize = 24;
/// The table of steps.
const COLUMNS: [Column; 8] = [
    Column::text("path").weight(4),
    Column::text("node"),
    Column::text("address").weight(5),
    Column::text("named by").weight(3),
    Column::number("nearby").weight(2),
    Column::text("when").weight(1),
    Column::number("took"),
    Column::text("answer"),
];

impl Arguments {
    pub(super) async fn run(
        self,
        preference: Preference,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let key = key::of_text(&self.key);
        let node = self.connection.node(preference).await?;
        let json = node.fetch(&format!("/explain?key={key}")).await?;
        let operation: Operation = node.understand(&json)?;
        if self.connection.json {
            output.line(pretty(&node.understand(&json)?))?;
        } else {
            let (asked, width) = (self.key.to_string_lossy(), width_of_stdout());
            output.line(words(&operation, &asked, width, Paint::of_stdout()))?;
        }
        Ok(if operation.result == "found" { Exit::Success } else { Exit::Negative })
    }
}

/// The whole story.
fn words(operation: &Operation, asked: &str, width: usize, paint: Paint) -> String {
    let found = operation.result == "found";
    let tone = if found { Tone::Well } else { Tone::Warning };
    let result = match (found, operation.value_bytes) {
        (true, Some(size)) => format!("Found, {}", bytes(size)),
        (true, None) => "Found".to_owned(),
        (false, _) => "Not found".to_owned(),
    };
    let mut text = format!(
        "{} {}\n",
        paint.tone(tone, "●"),
        paint.tone(Tone::Strong, format!("{result}, in {}.", millis(operation.took_ms)))
    );
    if asked.eq_ignore_ascii_case(&operation.key) {
        let _ = writeln!(text, "  {}", operation.key);
    } else {
        let _ = writeln!(text, "  {}\n  the SHA-256 of {asked:?}", operation.key);
    }
    let _ = writeln!(text, "  {}", counts(operation));
    let _ = write!(text, "  {}", vote(operation));
    if operation.steps.is_empty() {
        return text + "\n  No node had to be asked: this one had what it needed.";
    }
    let ends = operation.steps.iter().map(|step| step.asked_after_ms + step.took_ms.unwrap_or(0.0));
    let whole = ends.fold(operation.took_ms, f64::max);
    let key: Option<Key> = operation.key.parse().ok();
    let mut table = Table::new(COLUMNS);
    for step in &operation.steps {
        table.row(row(step, operation, key.as_ref(), whole));
    }
    let table = table.render(width, paint);
    let legend = match table.contains("nearby") {
        true => "\n\n  nearby: bits that the node's ID shares with the key, from the first on",
        false => "",
    };
    text + "\n\n" + &table + legend
}

fn counts(operation: &Operation) -> String {
    let Operation { asked, answered, refused, failed, hops, .. } = operation;
    let mut text = format!("{asked} asked, {answered} answered");
    for (count, what) in [(*refused, "refused"), (*failed, "did not")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    let pending = asked.saturating_sub(answered + refused + failed);
    if pending > 0 {
        let _ = write!(text, ", {pending} no longer awaited");
    }
    format!("{text}; the longest chain of names has {}.", plural(*hops, "hop"))
}

/// Whose value it is, and how many replicas had it.
fn signature(signed: &Signed) -> String {
    let Signed { owner, generation, seq, withdrawal, replicas, older } = signed;
    let what = if *withdrawal { "withdrawn" } else { "signed" };
    let generation = match generation {
        0 => String::new(),
        generation => format!("generation {generation}, "),
    };
    let replicas = plural(*replicas, "replica");
    format!(
        "It is {what} by {owner}, with {generation}sequence number {seq}: {replicas} had it, and \
         {older} an older one."
    )
}

/// Why the value is accepted, or why there is none.
fn vote(operation: &Operation) -> String {
    let Operation { agreeing, dissenting, .. } = operation;
    if let Some(signed) = &operation.signed {
        return signature(signed);
    }
    match (operation.result.as_str(), agreeing, dissenting) {
        ("found", ..) if operation.proves_itself => {
            "The key is the SHA-256 of the value: it is self-verifying and needs no vote."
                .to_owned()
        }
        ("found", 0, _) => {
            "No other node has it: it is what this node itself has published.".to_owned()
        }
        ("found", agreeing, 0) => {
            let replicas = plural(*agreeing, "replica");
            let verb = if *agreeing == 1 { "names" } else { "name" };
            let asked = operation.steps.iter().filter(|step| step.answer == "value").count();
            let own = if *agreeing > asked as u64 { ", this node among them," } else { "" };
            format!("{replicas}{own} {verb} this value, and none another.")
        }
        ("found", agreeing, dissenting) => format!(
            "The vote went {agreeing} to {dissenting}: the replicas differ, so all of the closest \
             nodes were asked."
        ),
        _ => "No node that answered has a value.".to_owned(),
    }
}

fn row(step: &Step, operation: &Operation, key: Option<&Key>, whole: f64) -> [Cell; 8] {
    let short = |id: &str| id.chars().take(8).collect::<String>();
    let id: Option<NodeId> = step.id.parse().ok();
    let shared = key.zip(id).map(|(key, id)| key.distance(&id).leading_zeros());
    let shared = shared.map_or(String::new(), |bits| format!("{bits}"));
    let named =
        step.named_by.as_deref().map_or("known".to_owned(), |by| format!("← {}", short(by)));
    let took = step.took_ms.map_or("–".to_owned(), millis);
    let (tone, answer) = answer(step, operation);
    let left = whole - step.asked_after_ms;
    let drawn = track(step.asked_after_ms, step.took_ms.unwrap_or(left), whole, TRACK);
    [
        (step.path + 1).to_string().into(),
        short(&step.id).into(),
        step.address.as_str().into(),
        named.into(),
        shared.into(),
        Cell::toned(tone, drawn),
        took.into(),
        Cell::toned(tone, answer),
    ]
}

fn answer(step: &Step, operation: &Operation) -> (Tone, String) {
    let version = step.version.map(|version| {
        // A version is its publisher's clock.
        let ended = operation.started_at_ms + operation.took_ms as u64;
        match ended.checked_sub(version) {
            Some(age) => format!(", put {} ago", span(age / 1000)),
            None => ", put by a clock that is ahead".to_owned(),
        }
    });
    let version = match &step.sequence {
        Some(sequence) => match sequence.strip_prefix("0.") {
            Some(seq) => format!(", seq {seq}"),
            None => format!(", generation and seq {sequence}"),
        },
        None => version.unwrap_or_default(),
    };
    match step.answer.as_str() {
        "value" => (Tone::Well, format!("the value{version}")),
        "other_value" => (Tone::Bad, format!("another value{version}")),
        "nodes" => {
            (Tone::Faint, format!("{} nearer the key", plural(step.nodes.unwrap_or(0), "node")))
        }
        "refused" => (Tone::Warning, "refused: it is busy".to_owned()),
        "failed" => (Tone::Warning, "no answer".to_owned()),
        "pending" => (Tone::Faint, "not awaited".to_owned()),
        other => (Tone::Faint, other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: u64, answer: &str) -> Step {
        Step {
            id: "3f".repeat(32),
            address: "192.0.2.7:7402".into(),
            path,
            named_by: (path > 0).then(|| "ab".repeat(32)),
            asked_after_ms: 1.0,
            took_ms: (answer != "pending").then_some(1.0),
            answer: answer.into(),
            nodes: (answer == "nodes").then_some(20),
            version: answer.ends_with("value").then_some(1_000),
            sequence: None,
        }
    }

    fn operation(result: &str, votes: [u64; 2], steps: Vec<Step>) -> Operation {
        Operation {
            key: "30".repeat(32),
            result: result.into(),
            value_bytes: (result == "found").then_some(5),
            proves_itself: false,
            signed: None,
            started_at_ms: 61_000,
            took_ms: 2.0,
            asked: steps.len() as u64,
            answered: steps.len() as u64,
            refused: 0,
            failed: 0,
            hops: 1,
            agreeing: votes[0],
            dissenting: votes[1],
            steps,
        }
    }

    #[test]
    fn each_step_says_who_on_which_path_and_what_came_back() {
        let steps = vec![step(0, "nodes"), step(1, "value"), step(2, "other_value")];
        let found = operation("found", [1, 1], steps);
        let narrow = words(&found, "greeting", 80, Paint::PLAIN);
        let mut table = narrow.lines().skip_while(|line| !line.starts_with("  path"));
        assert!(table.all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("192.0.2.7:7402") && !narrow.contains("█"), "{narrow}");
        assert!(!narrow.contains("nearby:"), "no legend of what is not shown: {narrow}");
        let text = words(&found, "greeting", 140, Paint::PLAIN);
        for needle in [
            "● Found, 5 B, in 2.0 ms.",
            "the SHA-256 of \"greeting\"",
            "3 asked, 3 answered; the longest chain of names has 1 hop.",
            "The vote went 1 to 1",
            "1     3f3f3f3f  192.0.2.7:7402  known            4  ············████████████  1.0 ms  20 nodes nearer the key",
            "2     3f3f3f3f  192.0.2.7:7402  ← abababab       4  ············████████████  1.0 ms  the value, put 60 s ago",
            "another value",
        ] {
            assert!(text.contains(needle), "{needle} in\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn the_verdict_has_its_reason() {
        let verdict = |result, votes| vote(&operation(result, votes, Vec::new()));
        let asked = |votes, steps: &[&str]| {
            let steps = steps.iter().map(|answer| step(0, answer)).collect();
            vote(&operation("found", [votes, 0], steps))
        };
        assert_eq!(asked(1, &["value", "nodes"]), "1 replica names this value, and none another.");
        let with_own = "2 replicas, this node among them, name this value, and none another.";
        assert_eq!(asked(2, &["value"]), with_own);
        assert!(verdict("found", [0, 0]).contains("itself has published"));
        assert!(verdict("missing", [0, 0]).contains("No node"));
        let proved = Operation { proves_itself: true, ..operation("found", [1, 0], Vec::new()) };
        assert!(vote(&proved).contains("self-verifying"));
        let signed = Signed {
            owner: "d7".repeat(32),
            generation: 3,
            seq: "7".into(),
            withdrawal: false,
            replicas: 4,
            older: 1,
        };
        let found = operation(
            "found",
            [4, 1],
            vec![Step { sequence: Some("3.6".into()), ..step(0, "other_value") }],
        );
        let text = words(&Operation { signed: Some(signed), ..found }, "x", 200, Paint::PLAIN);
        for needle in [
            "signed by d7d7",
            "generation 3, sequence number 7: 4 replicas had it, and 1 an older one.",
            "another value, generation and seq 3.6",
        ] {
            assert!(text.contains(needle), "{needle} in\n{text}");
        }
        let text = words(&operation("missing", [0, 0], Vec::new()), "x", 80, Paint::PLAIN);
        assert!(text.contains("● Not found") && text.contains("No node had to be asked"), "{text}");
    }
}
