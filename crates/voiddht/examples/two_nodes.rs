//! Two nodes in one process: a value is put on one, and found from the other.
//!
//! `cargo run --example two_nodes`

#![allow(clippy::print_stdout, reason = "an example prints what it does")]

use std::time::Duration;

use voiddht::{Descriptors, Key, Node, NodeEvent, Put};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    run().await
}

/// The example, which a test runs too.
pub async fn run() -> Outcome<()> {
    // Nodes of one process share its open files.
    let descriptors = Descriptors::of_process();
    let loopback = ([127, 0, 0, 1], 0).into();
    let one = Node::builder().listen(loopback).descriptors(descriptors.clone()).start().await?;
    let mut events = one.events();
    let two = Node::builder()
        .listen(loopback)
        .peer(one.address())
        .descriptors(descriptors)
        .start()
        .await?;
    two.joined().await;
    while let Some(event) = events.next().await {
        if let NodeEvent::ContactJoined(contact) = event {
            println!("{} has joined", contact.id);
            break;
        }
    }

    let key = Key::of_value(b"greeting");
    let put = Put::new(key, "hello, world").ttl(Duration::from_secs(600));
    let receipt = one.put(put).await?;
    println!("stored on {} nodes", receipt.stored);

    let found = two.get(key).await?.ok_or("not found")?;
    println!("found {:?}, verified by {:?}", found.value, found.proof);
    assert_eq!(found.value, "hello, world");

    two.shutdown().await;
    one.shutdown().await;
    Ok(())
}
