//! `dht doctor`: checks a node, and says what to fix.
//!
//! The node runs most checks itself, and has some contacts dial it back. The command adds those
//! that need another process: whether local programs can put and get, and whether the node's clock
//! agrees with this machine's.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;
use voiddht_client::{Client, Key, Options, Put};

use super::shown::{Check, Examination, Published, Status};
use crate::connection::{ConnectionArguments, NodeConnection, Preference, pretty};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::words::{millis, plural};
use crate::paint::{Paint, Tone};

/// Check a node, and say what to fix
///
/// Checks membership, reachability (some contacts dial the node back), address, clock, disk, limits
/// that were reached, and whether local programs can put and get: a value of 32 bytes is put for a
/// minute and got back.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht doctor
  dht doctor --http 192.0.2.1:9402
  dht doctor --json | jq '.checks[] | select(.result != \"well\")'

Exit status:
  0  nothing is wrong; warnings do not count
  1  something is, and the text says what
  2  a wrong argument
  3  the node could not be reached";

/// Clocks that differ by more are worth a word: values carry their publisher's.
const CLOCK_WARNING: Duration = Duration::from_secs(10);
/// Clocks that differ by more are wrong: so far ahead, other nodes refuse what is put.
const CLOCK_FAILURE: Duration = Duration::from_secs(5 * 60);
/// How long the value of the trial lives.
const TRIAL_TTL_SECONDS: u16 = 60;
/// How long each half of the trial may take.
const TRIAL_PATIENCE: Duration = Duration::from_secs(15);

impl Arguments {
    pub(super) async fn run(
        self,
        preference: Preference,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let node = self.connection.node(preference).await?;
        let working = working(&node, self.connection.json);
        let examined = self.examine(&node).await;
        working.finish_and_clear();
        let (node, checks) = examined?;
        if self.connection.json {
            output.line(pretty(&json!({ "node": node, "checks": checks })))?;
        } else {
            output.line(words(&node, &checks, Paint::of_stdout()))?;
        }
        let failed = checks.iter().any(|check| check.result == "failed");
        Ok(if failed { Exit::Negative } else { Exit::Success })
    }

    async fn examine(&self, node: &NodeConnection) -> Result<(String, Vec<Check>), Failure> {
        let Place { api, expected } = self.place(node).await?;
        // First: what becomes of a value also shows the node whether its clock is right.
        let mut all = vec![programs(node, api, expected).await?];
        let Examination { node, taken_at_ms, checks } = node.read("/doctor").await?;
        let difference = clock_difference(taken_at_ms);
        for check in checks {
            match check.name.as_str() {
                "clock" => all.push(worse(check, clocks(difference))),
                _ => all.push(check),
            }
        }
        Ok((node, all))
    }

    /// Where the node serves local programs, and how many nodes a value should be stored on.
    async fn place(&self, node: &NodeConnection) -> Result<Place, Failure> {
        let index = self.connection.index.unwrap_or(0);
        let (api, expected) = match node.read("/status.json").await? {
            Status::Node(node) => {
                (Some(node.node.api_address), node.table.contacts.min(node.node.k))
            }
            Status::Network(network) => {
                let api = network.nodes.get(index).map(|node| node.api_address.clone());
                (api, 0)
            }
        };
        let api = self.reached(node, api.and_then(|api| api.parse().ok())).await;
        Ok(Place { api, expected })
    }

    /// Where what the node listens on is reached from here, if it can be.
    async fn reached(&self, node: &NodeConnection, api: Option<SocketAddr>) -> Option<SocketAddr> {
        let api = api?;
        let host = match node.place().machine() {
            None => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some(machine) => {
                let places = machine.resolve().await;
                places.ok().and_then(|places| places.first().map(SocketAddr::ip))
            }
        };
        from_here(api, host)
    }
}

/// What the trial needs to know of a node.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where local programs are served, if that can be reached from here.
    api: Option<SocketAddr>,
    /// Nodes that a value should be stored on.
    expected: u64,
}

/// Where an address that the node at `host` listens on is reached from here, if it can be.
fn from_here(listens: SocketAddr, host: Option<IpAddr>) -> Option<SocketAddr> {
    let host = host?;
    match listens.ip() {
        ip if ip.is_unspecified() => Some(SocketAddr::new(host, listens.port())),
        ip if ip.is_loopback() && !host.is_loopback() => None,
        _ => Some(listens),
    }
}

/// Something that moves while one waits; nothing where there is no terminal.
fn working(node: &NodeConnection, json: bool) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if json {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_message(format!("examining the node at {}; some contacts dial it back", node.place()));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// How far the node's clock is from this machine's. On one machine, the time of the answer.
fn clock_difference(taken_at_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.abs_diff(Duration::from_millis(taken_at_ms))
}

fn clocks(difference: Duration) -> Check {
    let check = |result: &str, text: String, advice: &str| Check {
        name: "clock".into(),
        result: result.into(),
        text,
        advice: advice.into(),
    };
    let text = format!("The node's clock and this machine's differ by {} s.", difference.as_secs());
    let advice = "Have both set by NTP (timedatectl): values carry their publisher's time.";
    if difference >= CLOCK_FAILURE {
        check("failed", text, advice)
    } else if difference >= CLOCK_WARNING {
        check("warning", text, advice)
    } else {
        check("well", text, "")
    }
}

/// Of two checks of one thing, the one that is more to worry about.
fn worse(one: Check, other: Check) -> Check {
    if severity(&other.result) > severity(&one.result) { other } else { one }
}

fn severity(result: &str) -> usize {
    ["well", "unknown", "warning", "failed"].iter().position(|known| *known == result).unwrap_or(1)
}

/// Puts a value as a local program would, gets it, and makes sure that this very node was used:
/// behind a tunnel or a mapped port, the address that it names may be another node's.
async fn programs(
    node: &NodeConnection,
    api: Option<SocketAddr>,
    expected: u64,
) -> Result<Check, Failure> {
    let Some(api) = api else {
        let text = "The module API is served on the node's own machine alone.".to_owned();
        return Ok(programs_check("unknown", text, "Run this there to test it."));
    };
    let trial = match trial(api).await {
        Ok(trial) => trial,
        Err(why) => {
            return Ok(programs_check(
                "failed",
                format!("Local programs cannot put and get at {api}: {why}"),
                "The node may be stopping, or another program may use its port. See its log.",
            ));
        }
    };
    let Published { node, published } = node.read(&format!("/published?key={}", trial.key)).await?;
    Ok(judge(api, expected, &trial, Some(node).filter(|_| !published)))
}

/// What the trial shows. `other` is the node examined, where the trial was made at another one.
fn judge(api: SocketAddr, expected: u64, trial: &Trial, other: Option<String>) -> Check {
    let Trial { stored, took, .. } = *trial;
    let nodes = plural(stored.into(), "node");
    if let Some(examined) = other {
        let text = format!(
            "The module API at {api} is not the one of the node examined, {}.",
            examined.chars().take(16).collect::<String>()
        );
        let advice = "Run this on the node's machine, or forward its module API's port too.";
        programs_check("warning", text, advice)
    } else if stored == 0 {
        programs_check(
            "failed",
            format!("A value that was put at {api} is stored nowhere."),
            "dht explain shows which nodes are asked; the other checks may show why they refuse.",
        )
    } else if is_far_fewer(stored.into(), expected) {
        programs_check(
            "warning",
            format!(
                "A value that was put at {api} is stored on {nodes} where {expected} nodes could take it."
            ),
            "See the other checks, and voiddht_stores_rejected_total in the node's metrics.",
        )
    } else {
        let [put, get] = took.map(|took| millis(took.as_secs_f64() * 1e3));
        let text = format!("A value was put at {api} on {nodes} in {put}, and got back in {get}.");
        programs_check("well", text, "")
    }
}

fn programs_check(result: &str, text: String, advice: &str) -> Check {
    Check { name: "programs".into(), result: result.into(), text, advice: advice.into() }
}

/// What became of a value that was put and got.
#[derive(Clone, Copy, Debug)]
struct Trial {
    key: Key,
    /// On how many nodes it was stored.
    stored: u8,
    /// How long PUT and GET took.
    took: [Duration; 2],
}

/// Whether a value is stored on far fewer nodes than there are to take it: less than half.
fn is_far_fewer(stored: u64, expected: u64) -> bool {
    2 * stored < expected
}

async fn trial(api: SocketAddr) -> Result<Trial, String> {
    let options = Options {
        connect_timeout: TRIAL_PATIENCE,
        request_timeout: TRIAL_PATIENCE,
        ..Options::default()
    };
    let client = Client::connect_with(api, options).await.map_err(|error| error.to_string())?;
    let mut value = vec![0; 32];
    SysRng.try_fill_bytes(&mut value).map_err(|error| error.to_string())?;
    let put = Put::content_addressed(value.clone()).ttl_seconds(TRIAL_TTL_SECONDS);
    let (key, begun) = (put.key(), Instant::now());
    let stored = client.put_acknowledged(put).await.map_err(|error| error.to_string())?;
    let (put_took, begun) = (begun.elapsed(), Instant::now());
    if stored == 0 {
        return Ok(Trial { key, stored, took: [put_took; 2] });
    }
    match client.get(key).await.map_err(|error| error.to_string())? {
        Some(found) if found == value => {
            Ok(Trial { key, stored, took: [put_took, begun.elapsed()] })
        }
        _ => Err("the value was not found again".to_owned()),
    }
}

/// Where the text of a check begins, behind its sign and its name.
const TEXT_COLUMN: usize = 15;

fn words(node: &str, checks: &[Check], paint: Paint) -> String {
    let count = |result: &str| checks.iter().filter(|check| check.result == result).count();
    let (tone, verdict) = match (count("failed"), count("warning")) {
        (0, 0) => (Tone::Well, "Nothing is wrong.".to_owned()),
        (0, 1) => (Tone::Warning, "It works, with one warning.".to_owned()),
        (0, some) => (Tone::Warning, format!("It works, with {some} warnings.")),
        (1, _) => (Tone::Bad, "One thing is wrong.".to_owned()),
        (some, _) => (Tone::Bad, format!("{some} things are wrong.")),
    };
    let short: String = node.chars().take(16).collect();
    let mut text = format!(
        "{} {}  {}\n",
        paint.tone(tone, "●"),
        paint.tone(Tone::Strong, verdict),
        paint.tone(Tone::Faint, format!("node {short}"))
    );
    for check in checks {
        let (tone, sign) = match check.result.as_str() {
            "well" => (Tone::Well, "✓"),
            "warning" => (Tone::Warning, "!"),
            "failed" => (Tone::Bad, "✗"),
            _ => (Tone::Faint, "?"),
        };
        let name = format!("{:<10}", check.name);
        let said = paint.hang(TEXT_COLUMN, &check.text);
        let _ = write!(text, "\n  {} {name} {said}", paint.tone(tone, sign));
        if !check.advice.is_empty() {
            let _ = write!(text, "\n  {:>12} {}", "→", paint.hang(TEXT_COLUMN, &check.advice));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_two_clocks_is_told() {
        let near = clocks(Duration::from_millis(200));
        let far = clocks(Duration::from_secs(400));
        assert_eq!((near.result.as_str(), far.result.as_str()), ("well", "failed"));
        assert_eq!(clocks(Duration::from_secs(11)).result, "warning");
        assert_eq!(worse(near.clone(), far.clone()).result, "failed");
        assert_eq!(worse(far, near).result, "failed");
    }

    #[test]
    fn the_module_api_is_tried_where_it_can_be_reached() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let host = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let local = address("127.0.0.1:7401");
        assert_eq!(from_here(local, host("::1")), Some(local));
        assert_eq!(from_here(local, host("192.0.2.1")), None);
        let all = address("0.0.0.0:7401");
        assert_eq!(from_here(all, host("192.0.2.1")), Some(address("192.0.2.1:7401")));
        assert_eq!(from_here(local, None), None);
    }

    #[test]
    fn a_trial_at_another_node_says_nothing_about_this_one() {
        let api = "127.0.0.1:7401".parse().unwrap();
        let trial = Trial { key: Key::of_value(b"x"), stored: 20, took: [Duration::ZERO; 2] };
        assert_eq!(judge(api, 20, &trial, None).result, "well");
        let other = judge(api, 20, &trial, Some("ab".repeat(32)));
        assert_eq!(other.result, "warning");
        assert!(other.text.contains("not the one of the node examined, abababababababab."));
    }

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let failed = clocks(Duration::from_secs(400));
        let text = words("ab", &[clocks(Duration::ZERO), failed], Paint::PLAIN);
        assert!(text.starts_with("● One thing is wrong."), "{text}");
        assert!(text.contains("✗ clock") && text.contains("→ Have both set by NTP"), "{text}");
    }
}
