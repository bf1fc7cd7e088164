//! The dashboard without a mouse, and for eyes that need contrast.

use super::*;

/// Texts whose contrast with what is behind them is below WCAG 2.2 AA (1.4.3): 4.5, or 3 where they
/// are large. Colours are read as the browser resolved them.
const POOR_CONTRAST: &str = r"
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest('script, style, noscript, .hidden, :disabled')) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const drawn = element instanceof SVGElement;
    const ink = over(parse(drawn ? style.fill : style.color), ground);
    const [one, other] = [light(ink), light(ground)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${element.tagName} ${element.className} ${text.slice(0, 30)}`);
  }
  return { texts, poor: [...new Set(poor)] };
})()";

async fn assert_contrast(browser: &mut Chromium, what: &str) {
    let found = browser.evaluate(POOR_CONTRAST).await;
    assert!(found["texts"].as_u64() > Some(100), "{what}: {found}");
    assert_eq!(found["poor"], serde_json::json!([]), "{what}");
}

#[tokio::test]
async fn every_text_has_the_contrast_of_wcag_aa() {
    let Some(mut browser) = Chromium::start().await else { return };
    let node = start(Settings { http: Some(LOOPBACK.into()), ..settings(&[]) }).await;
    let home = node.http_address().unwrap();
    let page = get(home, "/").await;
    let mut view = drawn::with_contacts(get(home, "/status.json").await.json(), 64);
    // Something of every colour: a state that needs a look, a limit, a warning.
    view["health"] = serde_json::json!({ "state": "degraded", "ready": true,
        "reasons": [{ "code": "disk", "text": "The disk refuses writes.", "hint": "Make room." }] });
    view["limits"][0]["reached"] = 7.into();
    view["events"] = serde_json::json!([
        { "at_ms": 1, "warning": true, "text": "The limit probes was reached.", "times": 3 }]);
    let address = drawn::serve(&page, view).await;
    for look in [LIGHT, DARK] {
        browser.open(&format!("http://{address}/"), Look { moves: false, ..look }).await;
        browser.until("document.body?.dataset.views > 0").await;
        browser.evaluate("document.getElementById('table-details').open = true").await;
        browser.evaluate("document.querySelector('#operations button').click()").await;
        browser.until("document.querySelectorAll('#operation .steps li').length").await;
        assert_contrast(&mut browser, look.name).await;
        browser.evaluate("document.body.classList.add('is-stale')").await;
        assert_contrast(&mut browser, &format!("{}, stale", look.name)).await;
    }
    soon(node.shutdown()).await;
}

#[tokio::test]
async fn the_ring_is_walked_and_chosen_from_by_keyboard() {
    let Some(mut browser) = Chromium::start().await else { return };
    let node = start(Settings { http: Some(LOOPBACK.into()), ..settings(&[]) }).await;
    let home = node.http_address().unwrap();
    let page = get(home, "/").await;
    let view = drawn::with_contacts(get(home, "/status.json").await.json(), 30);
    let address = drawn::serve(&page, view).await;
    browser.open(&format!("http://{address}/"), LIGHT).await;
    browser.until("document.body?.dataset.views > 0").await;
    let ids = browser.evaluate(&ids_of("#map .dots circle")).await;
    let ids = ids.as_array().unwrap();
    let current = "document.getElementById('ring-cursor').dataset.id";
    assert_eq!(browser.evaluate("document.querySelector('#map svg').tabIndex").await, 0);
    browser.evaluate("document.querySelector('#map svg').focus()").await;
    browser.press("Home").await;
    assert_eq!(browser.evaluate(current).await, ids[0]);
    browser.press("ArrowRight").await;
    assert_eq!(browser.evaluate(current).await, ids[1]);
    let said = browser
        .evaluate(
            "(({ activeElement: ring }) =>
                document.getElementById(ring.getAttribute('aria-activedescendant'))
                    .getAttribute('aria-label'))(document)",
        )
        .await;
    assert!(said.as_str().unwrap().starts_with(&ids[1].as_str().unwrap()[..16]), "{said}");
    assert!(said.as_str().unwrap().contains("last seen"), "{said}");
    assert_eq!(browser.evaluate("document.getElementById('tip').hidden").await, false);
    browser.press("ArrowLeft").await;
    browser.press("ArrowLeft").await;
    assert_eq!(browser.evaluate(current).await, *ids.last().unwrap(), "round the ring");
    // Enter opens the table at that contact, and the keyboard goes on there.
    browser.press("Enter").await;
    let row = "document.activeElement.closest('#table tr')?.dataset.id";
    assert_eq!(browser.evaluate(row).await, *ids.last().unwrap());
    assert_eq!(browser.evaluate("document.getElementById('tip').hidden").await, true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    soon(node.shutdown()).await;
}
