//! What republishing kept values costs beside putting as many: processor time of a whole network of real
//! nodes in this process.
//!
//! ```sh
//! cargo run --release -p voiddht-node --example kept_costs -- 64 10000
//! ```
//!
//! Prints the processor time of the PUTs, 64 in flight; that of one round of republishing, all values due
//! within a few seconds of each other; what the idle network takes in as long a time is
//! taken off.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;
use voiddht_node::kept::Keep;
use voiddht_node::{Handle, Node, Settings};
use voiddht_wire::{Key, Publication};

/// TTL of the values: they are republished after a third of it.
const TTL: Duration = Duration::from_secs(240);
/// How long the idle network is measured, before anything is kept.
const IDLE: Duration = Duration::from_secs(30);
/// PUTs in flight.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let (nodes, values) = match arguments[..] {
        [nodes, values, ..] => (nodes, values),
        _ => (64, 10_000),
    };
    let nodes = start(nodes).await?;
    let keeper = nodes[0].handle();
    let put = measure(put_all(&keeper, values)).await?;
    let idle = measure(async {
        tokio::time::sleep(IDLE).await;
        Ok(())
    });
    let idle = idle.await?;
    for number in 0..values {
        let value = value(number);
        keeper.keep(Keep::new(Key::of_value(&value), value).ttl(TTL).already_published()).await?;
    }
    let round = measure(round(&keeper)).await?;
    let each = |spent: Duration| spent.as_secs_f64() * 1e3 / values as f64;
    let idle = idle.1.mul_f64(round.0.as_secs_f64() / idle.0.as_secs_f64());
    let kept = round.1.saturating_sub(idle);
    println!("{} nodes, {values} values of 100 bytes", nodes.len());
    println!(
        "PUT:       {:.3} ms of processor time each, {:.1} s",
        each(put.1),
        put.0.as_secs_f64()
    );
    println!(
        "republish: {:.3} ms each, in {:.1} s; idle {:.3} ms each taken off",
        each(kept),
        round.0.as_secs_f64(),
        each(idle)
    );
    println!("ratio:     {:.3}", kept.as_secs_f64() / put.1.as_secs_f64());
    Ok(())
}

async fn start(count: usize) -> Result<Vec<Node>, Box<dyn Error>> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let peers = nodes.first().map(|first| first.p2p_address().into());
        let settings = Settings { peers: peers.into_iter().collect(), ..Settings::loopback() };
        let node = Node::start(settings).await?;
        node.joined().await;
        nodes.push(node);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(nodes)
}

fn value(number: usize) -> Bytes {
    Bytes::from(format!("{number:0100}"))
}

async fn put_all(keeper: &Handle, values: usize) -> Result<(), Box<dyn Error>> {
    let mut tasks = JoinSet::new();
    for number in 0..values {
        if tasks.len() >= AT_ONCE {
            tasks.join_next().await;
        }
        let (keeper, value) = (keeper.clone(), value(number));
        tasks
            .spawn(async move { keeper.put(Publication::content_addressed(value).ttl(TTL)).await });
    }
    for outcome in tasks.join_all().await {
        outcome?;
    }
    Ok(())
}

/// Waits until every value has been published once by the keeper, from the first of them on.
async fn round(keeper: &Handle) -> Result<(), Box<dyn Error>> {
    loop {
        let kept = keeper.kept().await?;
        if kept.iter().all(|kept| kept.replicas.is_some()) {
            let fewest = kept.iter().filter_map(|kept| kept.replicas).min().unwrap_or(0);
            println!("the fewest replicas of a kept value: {fewest}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Wall clock and processor time that something took.
async fn measure(
    work: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let (began, spent) = (Instant::now(), processor_time());
    work.await?;
    Ok((began.elapsed(), processor_time().saturating_sub(spent)))
}

fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap_or(0))
}
