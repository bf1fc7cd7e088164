//! Churn: nodes join and leave all the time, while values are got and, when their TTLs end,
//! replaced by others.
//!
//! Sessions are drawn from a Weibull distribution. Each node that departs is replaced at once; at
//! the beginning each has a random part of its session behind it, as in a network that has been up
//! for long. A GET whose node dies before it ends is not counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rand::RngExt;
use voiddht_core::config::{ConfigError, MAX_TTL};
use voiddht_core::event::{Command, CommandId, Outcome};
use voiddht_core::time::Moment;

use super::breakdown::Sent;
use super::stage::{Stage, Value};
use super::statistics::{Operations, Sample, share};
use super::values::put_command;
use crate::host::HostId;
use crate::scenario::{Live, Sessions};
use crate::world::Death;

/// How often figures are taken, where a scenario does not say.
const SAMPLE: Duration = Duration::from_secs(600);
/// What is left of a value's TTL when it is no longer asked for: a GET takes its time.
const LAST_ASKED: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Sample,
    Get,
    EndOfSession(HostId),
    EndOfValue,
}

/// What goes on while a network lives.
struct Life<'s> {
    live: &'s Live,
    began: Moment,
    end: Moment,
    due: BinaryHeap<Reverse<(Moment, Due)>>,
    gets: BTreeMap<CommandId, Value>,
    puts: BTreeMap<CommandId, Value>,
    asked: u64,
    found: u64,
    wrong: u64,
    sessions: u64,
    operations: Operations,
    overlap: Sample,
    least: Sample,
    nodes: Sample,
}

impl Stage<'_> {
    pub(super) fn live(&mut self, live: &Live) -> Result<(), ConfigError> {
        let began = self.world.now();
        let (messages, bytes) = self.sent();
        let sent = Sent::so_far(&self.world);
        let mut life = Life {
            live,
            began,
            end: began + live.span.0,
            due: BinaryHeap::new(),
            gets: BTreeMap::new(),
            puts: BTreeMap::new(),
            asked: 0,
            found: 0,
            wrong: 0,
            sessions: 0,
            operations: Operations::default(),
            overlap: Sample::default(),
            least: Sample::default(),
            nodes: Sample::default(),
        };
        self.begin_life(&mut life);
        while let Some(Reverse((at, due))) = life.due.pop() {
            if at > life.end {
                break;
            }
            self.run_life_until(&mut life, at)?;
            self.happen(&mut life, due)?;
        }
        let end = life.end;
        self.run_life_until(&mut life, end)?;
        self.take_life_figures(&mut life);
        let (messages, bytes) = (self.sent().0 - messages, self.sent().1 - bytes);
        let node_seconds = life.nodes.mean() * live.span.0.as_secs_f64();
        let row = &mut self.row;
        row.set("get-success", share(life.found, life.asked));
        row.set("gets", life.asked as f64);
        row.set("wrong", life.wrong as f64);
        row.set("overlap", life.overlap.mean());
        row.set("overlap-least", life.overlap.least());
        row.set("replicas-least", life.least.least());
        row.set("bytes-per-s", bytes as f64 / node_seconds);
        row.set("messages-per-s", messages as f64 / node_seconds);
        row.set("requests", life.operations.requests.mean());
        row.set("timeouts", life.operations.timeouts.mean());
        life.operations.tell_times(row, "get");
        row.set("sessions", life.sessions as f64);
        Sent::so_far(&self.world).tell(&sent, node_seconds, row);
        let lost = self.lost_share();
        self.row.set("lost", lost);
        Ok(())
    }

    fn begin_life(&mut self, life: &mut Life<'_>) {
        let sample = life.live.sample.map_or(SAMPLE, |span| span.0).max(Duration::from_secs(1));
        let mut at = life.began;
        while at + sample <= life.end {
            at = at + sample;
            life.due.push(Reverse((at, Due::Sample)));
        }
        if let Some(sessions) = &life.live.sessions {
            for host in self.honest.clone() {
                let gone = self.world.random().random_range(0.0..1.0);
                let length = self.session_length(sessions).mul_f64(gone);
                life.due.push(Reverse((life.began + length, Due::EndOfSession(host))));
            }
        }
        for value in &self.values {
            life.due.push(Reverse((value.expires, Due::EndOfValue)));
        }
        self.plan_get(life);
    }

    fn happen(&mut self, life: &mut Life<'_>, due: Due) -> Result<(), ConfigError> {
        match due {
            Due::Sample => self.take_life_figures(life),
            Due::Get => {
                self.give_get(life);
                self.plan_get(life);
            }
            Due::EndOfSession(host) => self.end_session(life, host)?,
            Due::EndOfValue => self.replace_values(life),
        }
        Ok(())
    }

    fn give_get(&mut self, life: &mut Life<'_>) {
        let Some(value) = self.any_value() else { return };
        let Some(host) = self.any() else { return };
        if value.expires.since(self.world.now()) < LAST_ASKED {
            return;
        }
        if let Some(id) = self.world.command(host, Command::Get { key: value.key() }) {
            life.gets.insert(id, value);
        }
    }

    fn plan_get(&mut self, life: &mut Life<'_>) {
        if life.live.gets_per_s > 0.0 {
            let mean = Duration::from_secs_f64(1.0 / life.live.gets_per_s);
            let pause = self.weibull(mean, 1.0);
            life.due.push(Reverse((self.world.now() + pause, Due::Get)));
        }
    }

    /// Other values take the place of those whose lives have ended.
    fn replace_values(&mut self, life: &mut Life<'_>) {
        let now = self.world.now();
        let before = self.values.len();
        let bytes = self.values.first().map_or(100, |value| value.bytes);
        self.values.retain(|value| value.expires > now);
        for _ in self.values.len()..before {
            let Some(host) = self.any() else { return };
            let value = self.new_value(bytes, MAX_TTL);
            if let Some(id) = self.world.command(host, put_command(&value, MAX_TTL)) {
                life.puts.insert(id, value);
            }
        }
    }

    fn end_session(&mut self, life: &mut Life<'_>, host: HostId) -> Result<(), ConfigError> {
        let Some(sessions) = &life.live.sessions else { return Ok(()) };
        let Some(place) = self.honest.iter().position(|one| *one == host) else { return Ok(()) };
        self.honest.swap_remove(place);
        life.sessions += 1;
        let random = self.world.random();
        let (leaves, silent) = (random.random_range(0.0..1.0), random.random_range(0.0..1.0));
        if leaves < sessions.leaving {
            // It is stopped when it has said goodbye.
            self.world.command(host, Command::Leave);
        } else {
            let silent = silent < sessions.silent;
            self.world.kill(host, if silent { Death::Silent } else { Death::Killed });
            self.dead.push(host);
        }
        let new = self.replace(sessions)?;
        let length = self.session_length(sessions);
        life.due.push(Reverse((self.world.now() + length, Due::EndOfSession(new))));
        Ok(())
    }

    /// A node joins: a new one, or one that was there before.
    fn replace(&mut self, sessions: &Sessions) -> Result<HostId, ConfigError> {
        let random = self.world.random();
        let returns = random.random_range(0.0..1.0) < sessions.returning;
        if returns && !self.dead.is_empty() {
            let place = self.world.random().random_range(0..self.dead.len());
            let host = self.dead.swap_remove(place);
            self.start_again(host)?;
            return Ok(host);
        }
        let peers = self.some_addresses();
        let host = self.world.add(self.host_options())?;
        self.world.command(host, Command::join(peers));
        self.honest.push(host);
        Ok(host)
    }

    fn run_life_until(&mut self, life: &mut Life<'_>, until: Moment) -> Result<(), ConfigError> {
        while let Some(ended) = self.world.run_until_ended(until) {
            match ended.outcome {
                Outcome::Get { value: got, report, .. } => {
                    let Some(value) = life.gets.remove(&ended.id) else { continue };
                    life.asked += 1;
                    life.operations.add(&report);
                    match got {
                        Some(got) if got == value.content() => life.found += 1,
                        Some(_) => life.wrong += 1,
                        None => {}
                    }
                }
                Outcome::Put { receipt, .. } => {
                    if let Some(value) = life.puts.remove(&ended.id).filter(|_| receipt.stored > 0)
                    {
                        life.due.push(Reverse((value.expires, Due::EndOfValue)));
                        self.values.push(value);
                    }
                }
                Outcome::Left { .. } => {
                    self.world.stop(ended.host);
                    self.dead.push(ended.host);
                }
                _ => {}
            }
        }
        self.world.run_until(until);
        Ok(())
    }

    fn take_life_figures(&mut self, life: &mut Life<'_>) {
        self.sample(life.began, None);
        if let Some(overlap) = self.row.figure("overlap") {
            life.overlap.add(overlap);
        }
        if let Some(least) = self.row.figure("replicas-least") {
            life.least.add(least);
        }
        life.nodes.add(self.honest.len() as f64);
        let now = self.world.now();
        let success = share(life.found, life.asked);
        let seconds = now.since(life.began).as_secs_f64();
        self.row.series.entry("get-success".to_owned()).or_default().push((seconds, success));
        let whole = life.end.since(life.began).as_secs();
        self.progress.tell(now.since(life.began).as_secs(), whole);
    }

    fn session_length(&mut self, sessions: &Sessions) -> Duration {
        self.weibull(sessions.mean.0, sessions.shape)
    }

    /// A time from a Weibull distribution of this mean; one of shape 1 is exponential.
    fn weibull(&mut self, mean: Duration, shape: f64) -> Duration {
        let uniform: f64 = self.world.random().random_range(f64::MIN_POSITIVE..1.0);
        let scale = mean.as_secs_f64() / gamma(1.0 + 1.0 / shape);
        Duration::from_secs_f64(scale * (-uniform.ln()).powf(1.0 / shape))
    }

    /// Messages and bytes that all hosts have sent so far.
    fn sent(&self) -> (u64, u64) {
        self.world.hosts().iter().fold((0, 0), |(messages, bytes), host| {
            let traffic = host.traffic();
            (messages + traffic.messages, bytes + traffic.bytes)
        })
    }
}

/// The gamma function for arguments from 1 up, by Stirling's series.
fn gamma(x: f64) -> f64 {
    // Γ(x) = Γ(x + n) / (x (x+1) … (x+n-1)): the series is exact enough from 8 up.
    let (mut x, mut product) = (x, 1.0);
    while x < 8.0 {
        product *= x;
        x += 1.0;
    }
    let series = 1.0 + 1.0 / (12.0 * x) + 1.0 / (288.0 * x * x) - 139.0 / (51_840.0 * x.powi(3));
    (std::f64::consts::TAU / x).sqrt() * (x / std::f64::consts::E).powf(x) * series / product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_is_the_factorial_between_whole_numbers_too() {
        for (x, value) in [(1.0, 1.0), (2.0, 1.0), (3.0, 2.0), (5.0, 24.0), (1.5, 0.886_226_925)] {
            assert!((gamma(x) - value).abs() < 1e-6 * value, "gamma({x}) = {}", gamma(x));
        }
    }
}
