//! Signed and kept values among forgers, replayers, older builds and churn: the figures of
//! `docs/adversaries.md` and `docs/signed-values.md`.
//!
//! ```sh
//! cargo run --release -p voiddht-sim --example signed -- forging
//! cargo run --release -p voiddht-sim --example signed -- replaying
//! cargo run --release -p voiddht-sim --example signed -- older
//! cargo run --release -p voiddht-sim --example signed -- endurance 30
//! cargo run --release -p voiddht-sim --example signed -- costs 10000
//! ```

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::error::Error;

use voiddht_core::operation::get::ReadMode;
use voiddht_sim::signed::{Reads, proved};
use voiddht_sim::{kept, signed};
use voiddht_wire::api::Freshness;

/// Names, and reads of each.
const READS: (u64, u64) = (5, 200);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |usual: u64| -> Result<u64, Box<dyn Error>> {
        Ok(arguments.get(1).map_or(Ok(usual), |text| text.parse())?)
    };
    match arguments.first().map(String::as_str) {
        Some("forging") => forging(),
        Some("replaying") => replaying(),
        Some("older") => older(number(600)?),
        Some("endurance") => endurance(number(30)?),
        Some("costs") => costs(number(10_000)?),
        _ => Err("one of: forging, replaying, older, endurance DAYS, costs VALUES".into()),
    }
}

fn forging() -> Result<(), Box<dyn Error>> {
    for count in [5, 10, 20, 40] {
        for freshness in [Freshness::Latest, Freshness::Thorough, Freshness::First] {
            let reads = signed::forging(count, freshness, READS, 11 + count as u64)?;
            line(&format!("{count} ground IDs forge, {freshness:?}"), &reads);
        }
    }
    Ok(())
}

fn replaying() -> Result<(), Box<dyn Error>> {
    for (count, freshness) in [
        (4, Freshness::Latest),
        (4, Freshness::Thorough),
        (19, Freshness::Thorough),
        (4, Freshness::First),
    ] {
        let reads = signed::replaying(count, freshness, READS, 21 + count as u64)?;
        line(&format!("{count} of 20 replay, {freshness:?}"), &reads);
    }
    Ok(())
}

fn older(seconds: u64) -> Result<(), Box<dyn Error>> {
    for (name, mode) in [
        ("proved only, latest", proved(Freshness::Latest)),
        ("proved only, thorough", proved(Freshness::Thorough)),
        ("thorough", ReadMode { freshness: Freshness::Thorough, ..ReadMode::default() }),
        ("plain GET", ReadMode::default()),
    ] {
        let reads = signed::half_an_older_build(mode, seconds, 31)?;
        line(&format!("half older builds, {name}"), &reads);
    }
    Ok(())
}

fn line(name: &str, reads: &Reads) {
    let Reads { gets, newest, stale, wrong, requests } = reads;
    let each = *requests as f64 / (*gets).max(1) as f64;
    println!(
        "{name:42} {gets:6} GETs  {newest:6} newest  {stale:5} stale  {wrong:5} wrong  {each:5.1} requests each"
    );
}

fn endurance(days: u64) -> Result<(), Box<dyn Error>> {
    let endurance = kept::endurance(60, 20, days, 41)?;
    let share = 100.0 * endurance.right as f64 / endurance.gets.max(1) as f64;
    println!("{days} days: {endurance:?}, {share:.3} % of GETs right");
    Ok(())
}

fn costs(values: u64) -> Result<(), Box<dyn Error>> {
    let costs = kept::costs(200, values, 51)?;
    println!("{costs:#?}");
    Ok(())
}
