//! Finding things on the dashboard: links to keys, filters, the window of the charts.

use super::*;
use voiddht_wire::Publication;

/// What the list of operations shows, as text.
const ROWS: &str =
    "[...document.querySelectorAll('#operations button')].map((row) => row.innerText)";

#[tokio::test]
async fn a_link_to_a_key_looks_it_up_and_operations_can_be_filtered() {
    let Some(mut browser) = Chromium::start().await else { return };
    let (others, node, address) = watched_network(4).await;
    let value = Bytes::from_static(b"a value that must not be shown");
    soon(others[1].handle().put(Publication::new(key(1), value.clone()))).await.unwrap();
    soon(node.handle().put(Publication::new(key(2), value))).await.unwrap();

    let found = "document.querySelector('#operation h4')?.textContent.startsWith('GET: found')";
    let hex = key(1).to_string();
    browser.open(&format!("http://{address}/?key={hex}"), LIGHT).await;
    browser.until(found).await;
    // The key of an operation is such a link itself.
    let link = "document.querySelector('#operation .key a').search";
    assert_eq!(browser.evaluate(link).await, format!("?key={hex}"));
    browser.open(&format!("http://{address}/?key=no%20such%20name"), LIGHT).await;
    let missing = "document.querySelector('#operation h4')?.textContent === 'GET: not found'";
    browser.until(missing).await;

    let filter = |field: &str, value: &str| {
        format!(
            "{{ const field = document.getElementById('filter-{field}'); field.value = '{value}';
               field.dispatchEvent(new Event('input', {{ bubbles: true }})); }}"
        )
    };
    browser.until(&format!("{ROWS}.some((row) => row.includes('PUT'))")).await;
    browser.evaluate(&filter("kind", "get")).await;
    assert_eq!(
        browser.evaluate(&format!("{ROWS}.some((row) => row.includes('PUT'))")).await,
        false
    );
    browser.evaluate(&filter("outcome", "failure")).await;
    let rows = browser.evaluate(ROWS).await;
    assert_eq!(rows.as_array().unwrap().len(), 1, "the GET of what is not there: {rows}");
    browser.evaluate(&filter("outcome", "")).await;
    browser.evaluate(&filter("kind", "")).await;
    let second = key(2).to_string()[..16].to_owned();
    browser.evaluate(&filter("key", &second[..8].to_uppercase())).await;
    let rows = browser.evaluate(ROWS).await;
    assert!(rows.as_array().unwrap().iter().all(|row| row.as_str().unwrap().contains(&second)));
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    browser.evaluate(&filter("key", "zz")).await;
    let list = "document.getElementById('operations').innerText";
    assert_eq!(browser.evaluate(list).await, "No operation passes the filter.");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    soon(node.shutdown()).await;
    stop(others).await;
}

#[tokio::test]
async fn charts_reach_back_five_minutes_or_an_hour() {
    let Some(mut browser) = Chromium::start().await else { return };
    let node = start(Settings { http: Some(LOOPBACK.into()), ..settings(&[]) }).await;
    let address = node.http_address().unwrap();
    let back = "document.querySelector('#charts .scale span').textContent";
    browser.open(&format!("http://{address}/"), LIGHT).await;
    browser.until(&are(back, &"5 min ago".into())).await;
    browser.evaluate("document.querySelector('#windows [data-window=hour]').click()").await;
    browser.until(&are(back, &"60 min ago".into())).await;
    assert_eq!(browser.evaluate("location.search").await, "?window=hour");
    // So the address can be passed on.
    browser.open(&format!("http://{address}/?window=hour"), LIGHT).await;
    browser.until(&are(back, &"60 min ago".into())).await;
    let pressed = "document.querySelector('#windows [aria-pressed=true]').dataset.window";
    assert_eq!(browser.evaluate(pressed).await, "hour");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    soon(node.shutdown()).await;
}
