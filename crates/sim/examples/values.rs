//! Prints what [`voiddht_sim::durability`] finds: `cargo run -p voiddht-sim --example values [SEED]`.

#![allow(clippy::print_stdout)] // it is a program

use std::time::Duration;

use voiddht_core::config::ConfigError;
use voiddht_core::operation::Receipt;
use voiddht_sim::durability::{self, Locked, Renewed, Suspended};

fn main() -> Result<(), ConfigError> {
    let seed = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    println!("seed {seed}");
    let Renewed { nodes, holders } = durability::renewed_by_a_stranger(seed)?;
    println!("content-addressed, published again with TTL 1: on {holders} of {nodes} nodes");
    for ahead in [45, 149, 200, 299] {
        let locked = durability::locked_by_a_fast_clock(Duration::from_secs(ahead), seed)?;
        tell(&format!("published by a clock {ahead} s ahead"), &locked);
    }
    tell(
        "published 2 h ahead, clock corrected",
        &durability::published_while_the_clock_was_wrong(seed)?,
    );
    let Suspended { holders, found, later } = durability::suspended_past_the_deadline(seed)?;
    println!(
        "TTL 20, a replica suspended until second 40: at second 41 on {holders} nodes, found by {found} of 30 GETs; at second 48 on {later}"
    );
    let disagreeing = durability::disagreeing_clocks(seed)?;
    println!("one clock of five an hour ahead, 20 keys: {} events in 5 s", disagreeing.most_events);
    let receipts = durability::receipts(seed)?;
    println!("a node that is cut off: {}", describe(&receipts.cut_off));
    println!("two of four disks busy: {}", describe(&receipts.busy_disks));
    Ok(())
}

fn tell(what: &str, locked: &Locked) {
    let Locked { receipt, right, gets, .. } = locked;
    println!("{what}: the next PUT {}; {right} of {gets} GETs right", describe(receipt));
}

fn describe(receipt: &Receipt) -> String {
    match receipt.failure {
        Some(failure) => format!("fails ({failure})"),
        None => format!("is on {} nodes, {} outstanding", receipt.stored, receipt.outstanding),
    }
}
