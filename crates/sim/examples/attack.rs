//! How PUTs and GETs fare among adversaries: the figures of `docs/adversaries.md`.
//!
//! ```sh
//! cargo run --release -p voiddht-sim --example attack -- fifth
//! cargo run --release -p voiddht-sim --example attack -- around
//! cargo run --release -p voiddht-sim --example attack -- ground
//! cargo run --release -p voiddht-sim --example attack -- paths
//! cargo run --release -p voiddht-sim --example attack -- forgers 100 8 200
//! cargo run --release -p voiddht-sim --example attack -- spread 100 8 50
//! cargo run --release -p voiddht-sim --example attack -- referrals 10000 1 1000
//! cargo run --release -p voiddht-sim --example attack -- honest 1000 2
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)] // it prints a table

use std::error::Error;
use std::thread;

use voiddht_core::Config;
use voiddht_core::config::K;
use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::{Around, GroundIds, Score, Trial, config};

/// The largest network whose nodes join; the tables of larger ones are filled.
const MAX_JOINING: usize = 1000;
/// Worlds of each line.
const WORLDS: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, usual: u64| -> Result<u64, Box<dyn Error>> {
        Ok(arguments.get(place).map_or(Ok(usual), |text| text.parse())?)
    };
    let (nodes, worlds) = (number(1, 300)? as usize, number(2, WORLDS)?);
    match arguments.first().map(String::as_str) {
        Some("fifth") => fifth(nodes, worlds),
        Some("around") => around(nodes, worlds),
        Some("paths") => paths(nodes, worlds),
        Some("ground") => return ground(nodes, worlds),
        Some("forgers") => forgers(nodes, worlds, number(3, 50)?),
        Some("spread") => spread(nodes, worlds, number(3, 50)?),
        Some("referrals") => referrals(nodes, worlds, number(3, 1000)?),
        Some("honest") => honest(nodes, worlds),
        _ => {
            let known = "fifth, around, paths, ground, forgers, spread, referrals, honest";
            return Err(format!("one of: {known}; then nodes and worlds").into());
        }
    }
    Ok(())
}

/// A fifth of all nodes turn hostile, after or before the values are put.
fn fifth(nodes: usize, worlds: u64) {
    head();
    for kind in Kind::ALL {
        for (put_first, proving) in [(true, false), (false, false), (true, true)] {
            let plan = Infiltration::new(kind, Placement::Share(0.2));
            let trial = Trial { nodes, everywhere: Some(plan), put_first, proving, ..base() };
            let when = if put_first { "turned after the PUT" } else { "hostile before it" };
            let what = if proving { ", self-proving" } else { "" };
            line(&format!("{kind}, {when}{what}"), run(&trial, worlds));
        }
    }
}

/// Of the 20 closest to each key four turn hostile.
fn around(nodes: usize, worlds: u64) {
    head();
    for kind in Kind::ALL {
        for put_first in [true, false] {
            let around = Around::Turned { kind, count: 4, among: 20 };
            let trial =
                Trial { nodes, around: Some(around), values: 2, gets: 50, put_first, ..base() };
            let when = if put_first { "turned after the PUT" } else { "hostile before it" };
            line(&format!("{kind}, {when}"), run(&trial, worlds));
        }
    }
}

/// What disjoint paths are worth, and what they cost.
fn paths(nodes: usize, worlds: u64) {
    head();
    for kind in [Kind::Dropping, Kind::NodeLiar, Kind::ValueLiar] {
        for disjoint_paths in [1, 2, 3, 5, 8] {
            let config = Config { disjoint_paths, ..Config::default() };
            let plan = Infiltration::new(kind, Placement::Share(0.2));
            let trial = Trial { nodes, config, everywhere: Some(plan), put_first: false, ..base() };
            line(&format!("{kind}, d = {disjoint_paths}"), run(&trial, worlds));
        }
    }
}

fn ground(nodes: usize, worlds: u64) -> Result<(), Box<dyn Error>> {
    for (kind, sites) in [
        (Kind::Eclipse, None),
        (Kind::Eclipse, Some(4)),
        (Kind::Sybil, None),
        (Kind::Sybil, Some(4)),
    ] {
        for put_first in [false, true] {
            let experiment = GroundIds {
                kind,
                nodes,
                sybils: vec![0, 5, 10, 20, 40, 80],
                sites,
                put_first,
                worlds,
                keys: 2,
                gets: 25,
                seed: 7,
            };
            println!("\n{kind}, sites {sites:?}, put first {put_first}");
            for row in experiment.run(&mut |_, _| {})? {
                println!("{:20} {:6} {:8.4}", row.name, row.x, row.y);
            }
        }
    }
    Ok(())
}

/// Ground IDs that forge the values of two keys at a time, each ID at an address of its own; and ten
/// that share five /24s. So many GETs of each value in each world.
fn forgers(nodes: usize, worlds: u64, gets: u64) {
    head();
    for (count, sites) in [(5, None), (10, None), (15, None), (20, None), (10, Some(5))] {
        for put_first in [true, false] {
            let around = Around::Ground { kind: Kind::Sybil, count, among: 0, sites };
            let trial = two_keys(nodes, gets, around, put_first);
            let when = if put_first { "after the PUT" } else { "before it" };
            let where_from = sites.map_or(String::new(), |sites| format!(", {sites} /24s"));
            line(&format!("{count} forging IDs{where_from}, {when}"), run(&trial, worlds));
        }
    }
}

/// As [`forgers`], but the ground IDs lie among the eight or twenty honest nodes closest to each key, as
/// densely everywhere: nothing tells them from those but how many there are.
fn spread(nodes: usize, worlds: u64, gets: u64) {
    head();
    for (among, count) in [8, K].into_iter().flat_map(|among| [6, 8, 10].map(|it| (among, it))) {
        for put_first in [true, false] {
            let around = Around::Ground { kind: Kind::Sybil, count, among, sites: None };
            let trial = two_keys(nodes, gets, around, put_first);
            let when = if put_first { "after the PUT" } else { "before it" };
            line(&format!("{count} forging IDs among {among}, {when}"), run(&trial, worlds));
        }
    }
}

/// Adversaries around each of two keys.
fn two_keys(nodes: usize, gets: u64, around: Around, put_first: bool) -> Trial {
    let warm = nodes > MAX_JOINING;
    Trial { nodes, warm, around: Some(around), values: 2, gets, put_first, ..base() }
}

/// A fifth of all nodes give referrals to real nodes at wrong addresses, or to invented ones.
fn referrals(nodes: usize, worlds: u64, gets: u64) {
    head();
    for kind in [Kind::WrongAddresses, Kind::ColludingInventor, Kind::NodeLiar] {
        for put_first in [true, false] {
            let plan = Infiltration::new(kind, Placement::Share(0.2));
            let (values, warm) = ((gets / 5).max(1), nodes > MAX_JOINING);
            let everywhere = Some(plan);
            let trial = Trial { nodes, warm, everywhere, put_first, values, ..base() };
            let when = if put_first { "turned after the PUT" } else { "hostile before it" };
            line(&format!("{kind}, {when}"), run(&trial, worlds));
        }
    }
}

/// No adversaries: what the defences cost.
fn honest(nodes: usize, worlds: u64) {
    head();
    let trial = Trial { nodes, warm: nodes > MAX_JOINING, ..base() };
    line(&format!("none, {nodes} nodes"), run(&trial, worlds));
}

fn base() -> Trial {
    Trial { values: 100, gets: 5, ..Trial::default() }
}

/// Each world in a thread of its own, as many at once as there are processors.
fn run(trial: &Trial, worlds: u64) -> Score {
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut sum = Score::default();
    for first in (0..worlds).step_by(threads as usize) {
        let running: Vec<_> = (first..worlds.min(first + threads))
            .map(|world| {
                let trial = Trial { seed: 1000 + world, ..trial.clone() };
                thread::spawn(move || trial.run().expect("the settings do not contradict"))
            })
            .collect();
        for one in running {
            sum = sum.plus(one.join().expect("a world does not panic"));
        }
    }
    sum
}

fn head() {
    let defended = config(true);
    println!(
        "d = {}, quorum {}, k = {}",
        defended.disjoint_paths, defended.vote_quorum, defended.k
    );
    println!(
        "{:44} {:>8} {:>8} {:>6} {:>8} {:>7} {:>8} {:>7} {:>5}",
        "adversaries", "GETs", "right", "wrong", "asks/GET", "s/GET", "asks/PUT", "s/PUT", "viol"
    );
}

fn line(name: &str, score: Score) {
    let per = |sum: f64, count: u64| sum / count.max(1) as f64;
    println!(
        "{name:44} {:8} {:8.4} {:6} {:8.1} {:7.3} {:8.1} {:7.3} {:5}",
        score.gets,
        score.get_success(),
        score.wrong,
        per(score.get_requests as f64, score.gets),
        per(score.get_seconds, score.gets),
        per(score.put_requests as f64, score.puts),
        per(score.put_seconds, score.puts),
        score.violations
    );
}
