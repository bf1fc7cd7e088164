//! A signed value: its owner replaces it, others cannot, and readers verify it by the public key.
//!
//! `cargo run --example signed_value`

#![allow(clippy::print_stdout, reason = "an example prints what it does")]

use voiddht::Node;
use voiddht::signed::{Draft, Name, PublishError, Salt, SignedPut, generate_key, now_millis};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    run().await
}

/// The example, which a test runs too.
pub async fn run() -> Outcome<()> {
    let loopback = ([127, 0, 0, 1], 0).into();
    let publisher = Node::builder().listen(loopback).start().await?;
    let reader = Node::builder().listen(loopback).peer(publisher.address()).start().await?;
    reader.joined().await;

    let owner = generate_key()?;
    let salt = Salt::new(b"endpoint")?;
    publisher.put_signed(SignedPut::new(&owner, salt, "203.0.113.7:51820")).await?;
    let moved = publisher.put_signed(SignedPut::new(&owner, salt, "203.0.113.8:51820")).await?;
    println!("published, on {} nodes", moved.receipt.stored);

    // All that a reader needs is the public key, and the salt.
    let name = Name::native(owner.public_key(), salt);
    let found = reader.get_signed(&name).await?.ok_or("not found")?;
    println!("{} by {}", String::from_utf8_lossy(found.body()), name.owner);
    assert_eq!(found.body(), b"203.0.113.8:51820");

    // Compare-and-swap: who has read an older value is told of the newer one.
    let draft = Draft { name, seq: now_millis() + 1, not_after: 0, body: "too late".into() };
    let too_late = draft.sign(&owner, None)?;
    match reader.publish_if(&too_late, None).await {
        Err(PublishError::Conflict(Some(newest))) => println!("newest: seq {}", newest.seq()),
        other => return Err(format!("a conflict was expected: {other:?}").into()),
    }

    reader.shutdown().await;
    publisher.shutdown().await;
    Ok(())
}
