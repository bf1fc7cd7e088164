//! The dashboard in a real browser: what it draws is what the node knows, what happens shows up, it
//! fetches nothing from elsewhere, and it holds together at any size.
//!
//! Pictures are left in `target/tmp/page/`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod accessible;
mod chromium;
#[path = "../common/mod.rs"]
mod common;
mod drawn;
mod navigated;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chromium::{Chromium, DARK, LIGHT, Look, NARROW};
use common::http::get;
use common::{key, network, settings, soon, start, stop};
use serde_json::Value;
use voiddht_node::http::{HttpServer, HttpSettings, Watched};
use voiddht_node::{Node, Settings};
use voiddht_wire::Publication;

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// The IDs of what a selector finds, each once.
fn ids_of(selector: &str) -> String {
    format!("[...document.querySelectorAll('{selector}')].map((one) => one.dataset.id).sort()")
}

/// Whether a script says just that. What a node knows may still change while the dashboard shows
/// it.
fn are(script: &str, wanted: &Value) -> String {
    format!("JSON.stringify({script}) === JSON.stringify({wanted})")
}

fn sorted(mut ids: Vec<String>) -> Value {
    ids.sort();
    ids.into()
}

async fn watched_network(count: usize) -> (Vec<Node>, Node, SocketAddr) {
    let others = network(count).await;
    let settings = Settings { http: Some(LOOPBACK.into()), ..settings(&[&others[0]]) };
    let node = start(settings).await;
    soon(node.joined()).await;
    common::until(|| async { node.handle().status().await.unwrap().core.contacts.len() == count })
        .await;
    let address = node.http_address().unwrap();
    (others, node, address)
}

#[tokio::test]
async fn the_page_draws_what_the_node_knows_and_shows_what_happens() {
    let Some(mut browser) = Chromium::start().await else { return };
    let (others, node, address) = watched_network(9).await;
    browser.open(&format!("http://{address}/"), LIGHT).await;
    browser.until("document.body?.dataset.views > 0").await;

    let contacts = sorted(others.iter().map(|other| other.id().to_string()).collect());
    browser.until(&are(&ids_of("#map .dots circle"), &contacts)).await;
    browser.evaluate("document.getElementById('table-details').open = true").await;
    browser.until(&are(&ids_of("#table tbody tr"), &contacts)).await;
    let feeling = "document.getElementById('feeling').textContent";
    browser.until(&are(feeling, &"Joined, with 9 contacts.".into())).await;
    browser.until("document.querySelectorAll('#rtts rect').length").await;
    browser.evaluate("document.getElementById('examine').click()").await;
    let checks = browser.until("document.querySelectorAll('#checks li').length").await;
    assert_eq!(checks, 8, "each has a line");

    let peers = "document.getElementById('peers').innerText";
    browser.until(&format!("{peers}.includes('Peers can dial this node')")).await;
    let clock =
        browser.evaluate(&format!("{peers}.includes(\"Clock, beside its contacts'\")")).await;
    assert_eq!(clock, true);

    let changes = "[...document.querySelectorAll('#changes .joined')].map((one) => one.title)";
    browser.until(&are(&format!("{changes}.sort()"), &contacts)).await;
    let healthy_icon = browser.evaluate("document.getElementById('icon').href").await;

    let value = Bytes::from_static(b"a value that must not be shown");
    let put = soon(node.handle().put(Publication::new(key(1), value))).await.unwrap();
    let shown = &key(1).to_string()[..16];
    let row = format!(
        "[...document.querySelectorAll('#operations button')].map((row) => row.innerText)
            .find((text) => text.includes('{shown}'))"
    );
    let row = browser.until(&row).await;
    let stored = put.stored;
    assert!(row.as_str().unwrap().contains(&format!("on {stored} nodes")), "{row}, not {stored}");
    browser.until("document.querySelectorAll('#map .keys path').length").await;

    // A GET at its own hand, as a person would ask for it.
    let other = &others[3];
    let value = Bytes::from_static(b"another");
    let name = "a name";
    let named = voiddht_wire::Key::of_value(name.as_bytes());
    soon(other.handle().put(Publication::new(named, value))).await.unwrap();
    browser
        .evaluate(&format!(
            "document.getElementById('key').value = '{name}';
             document.getElementById('explain').requestSubmit()"
        ))
        .await;
    let found = browser.until("document.querySelector('#operation h4')?.textContent.startsWith('GET: found') && document.querySelector('#operation .key').textContent").await;
    assert_eq!(found, named.to_string());
    let steps = browser.evaluate("document.querySelectorAll('#operation .steps li').length").await;
    let flights = browser.evaluate("document.querySelectorAll('#map .flight').length").await;
    assert_eq!(steps, flights, "each step is drawn");

    let text = browser.evaluate("document.documentElement.outerHTML").await;
    assert!(!text.as_str().unwrap().contains("a value that must not be shown"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.fetched_elsewhere(address), Vec::<String>::new());

    soon(node.shutdown()).await;
    browser
        .until("document.getElementById('live').textContent === 'no connection with the node'")
        .await;
    // What is old says so: dimmed, in words, in the title and the icon.
    let stale = "document.body.classList.contains('is-stale') && document.getElementById('stale')";
    let words = browser.evaluate(&format!("({stale}).innerText")).await;
    let words = words.as_str().unwrap();
    assert!(words.starts_with("Not updated since ") && words.contains("no connection"), "{words}");
    let title = browser.evaluate("document.title").await;
    assert!(title.as_str().unwrap().starts_with("\u{2717} no data · "), "{title}");
    let icon = browser.evaluate("document.getElementById('icon').href").await;
    assert_ne!(icon, healthy_icon);
    stop(others).await;
}

#[tokio::test]
async fn a_network_is_drawn_whole_and_each_node_of_it_can_be_looked_at() {
    let Some(mut browser) = Chromium::start().await else { return };
    let nodes = network(8).await;
    let watched = nodes.iter().enumerate().map(|(number, node)| Watched {
        handle: node.handle(),
        label: Some(format!("node {number}")),
    });
    let settings = HttpSettings { address: Some(LOOPBACK.into()), ..HttpSettings::default() };
    let server = HttpServer::start(settings, watched.collect()).await.unwrap();
    let address = server.address().unwrap();
    browser.open(&format!("http://{address}/"), DARK).await;
    browser.until("document.body?.dataset.views > 0").await;
    let all = sorted(nodes.iter().map(|node| node.id().to_string()).collect());
    browser.until(&are(&ids_of("#map .dots circle"), &all)).await;

    // Operations cross the ring and fade: on a slow machine the first may be gone before anybody
    // looks.
    let handle = nodes[5].handle();
    let putting = tokio::spawn(async move {
        for number in 2.. {
            // The node may have stopped.
            let value = Bytes::from_static(b"value");
            let Ok(_) = handle.put(Publication::new(key(number), value)).await else { return };
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    browser.until("document.querySelectorAll('#map .flight').length").await;
    putting.abort();
    browser.screenshot(&picture("network-dark")).await;
    assert_eq!(browser.complaints(), Vec::<String>::new());

    browser.open(&format!("http://{address}/?node=5"), LIGHT).await;
    browser.until("document.body?.dataset.views > 0").await;
    let title = browser.evaluate("document.title").await;
    assert_eq!(title, format!("node 5, {} · voiddht", nodes[5].id().short()));
    browser.until("document.querySelectorAll('#map .dots circle').length === 7").await;
    assert_eq!(browser.evaluate("document.querySelector('#who a').pathname").await, "/");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.fetched_elsewhere(address), Vec::<String>::new());
    soon(server.shutdown()).await;
    stop(nodes).await;
}

#[tokio::test]
async fn it_holds_together_at_any_size_light_dark_and_narrow() {
    let Some(mut browser) = Chromium::start().await else { return };
    let node = start(Settings { http: Some(LOOPBACK.into()), ..settings(&[]) }).await;
    let home = node.http_address().unwrap();
    let page = get(home, "/").await;
    let view = get(home, "/status.json").await.json();
    for contacts in [5, 64, 1000] {
        let drawn = drawn::with_contacts(view.clone(), contacts);
        let ids = drawn["table"]["buckets"].as_array().unwrap().iter().flat_map(|bucket| {
            let contacts = bucket["contacts"].as_array().unwrap().iter();
            contacts.map(|contact| contact["id"].as_str().unwrap().to_owned())
        });
        let ids = sorted(ids.collect());
        let address = drawn::serve(&page, drawn).await;
        for look in [LIGHT, DARK, NARROW] {
            let still = Look { moves: false, ..look };
            browser.open(&format!("http://{address}/"), still).await;
            browser.until("document.body?.dataset.views > 0").await;
            assert_eq!(browser.evaluate(&ids_of("#map .dots circle")).await, ids);
            let places = browser
                .evaluate(
                    "[...document.querySelectorAll('#map .dots circle')]
                        .map((dot) => `${dot.getAttribute('cx')} ${dot.getAttribute('cy')}`)",
                )
                .await;
            let places: BTreeSet<_> =
                places.as_array().unwrap().iter().map(Value::to_string).collect();
            assert_eq!(places.len(), ids.as_array().unwrap().len(), "none hides another");
            let outside = browser
                .evaluate(
                    "[...document.querySelectorAll('#map .dots circle')].filter((dot) =>
                        Math.hypot(dot.getAttribute('cx'), dot.getAttribute('cy')) > 300).length",
                )
                .await;
            assert_eq!(outside, 0, "all are within the picture");
            let wide = browser.evaluate("document.documentElement.scrollWidth").await;
            assert_eq!(wide, look.width, "nothing has to be scrolled sideways");
            browser.evaluate("document.querySelector('#operations button').click()").await;
            browser.until("document.querySelectorAll('#map .flight').length").await;
            browser.screenshot(&picture(&format!("{contacts}-{}", look.name))).await;
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{contacts} {look:?}");
        }
    }
    soon(node.shutdown()).await;
}

fn picture(name: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&place).unwrap();
    place.join(format!("{name}.png"))
}
