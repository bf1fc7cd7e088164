//! Who is answered: tokens, names, pages of other sites, browsers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../node/tests/page/chromium.rs"]
#[allow(dead_code, reason = "the tests of the page use the rest")]
mod chromium;
mod common;

use std::net::SocketAddr;

use chromium::{Chromium, LIGHT};
use common::{Served, loopback};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use voiddht_gateway::{BoundGateway, Settings, StartError, Token};
use voiddht_wire::{Key, Publication};

const TOKEN: &str = "0123456789abcdef";

fn with_token() -> Settings {
    Settings { token: Token::new(TOKEN.as_bytes()), ..loopback() }
}

/// Every method and path that there is.
const OPERATIONS: [(&str, &str); 8] = [
    ("GET", "/v1/text/a"),
    ("PUT", "/v1/text/a"),
    ("POST", "/v1/values"),
    ("PUT", "/v1/signed"),
    ("POST", "/v1/batch"),
    ("PUT", "/pkarr/o4dksfbqk85ogzdb5osziw6befigbuxmuxkuxq8434q89uj56uyy"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/nothing"),
];

#[tokio::test]
async fn without_the_token_nothing_is_answered() {
    let served = Served::start(1, with_token()).await;
    let wrong = format!("Bearer {TOKEN}0");
    for (method, path) in OPERATIONS {
        for field in [None, Some(wrong.as_str()), Some("Bearer"), Some("Basic abc"), Some("")] {
            let fields: Vec<_> = field.map(|field| ("authorization", field)).into_iter().collect();
            let answer = served.send(method, path, &fields, b"x").await;
            answer.problem(401, "unauthorized");
            assert!(answer.field("www-authenticate").unwrap().starts_with("Bearer "));
            assert!(!answer.text().contains(TOKEN));
        }
    }
    let right = format!("Bearer {TOKEN}");
    let right = [("authorization", right.as_str())];
    assert_eq!(served.put("/v1/text/a", &right, b"x").await.status, 200);
    assert_eq!(served.get("/v1/text/a", &right).await.text(), "x");
    let counts = served.nodes[0].handle().counts();
    assert_eq!((counts.gateway_refused, counts.gateway_writes), (40, 1));
    served.stop().await;
}

#[tokio::test]
async fn a_public_gateway_serves_reads_alone() {
    for (token, status, code) in
        [(None, 403, "read_only"), (Token::new(TOKEN.as_bytes()), 401, "unauthorized")]
    {
        let served = Served::start(1, Settings { public: true, token, ..loopback() }).await;
        let handle = served.nodes[0].handle();
        let key = Key::of_value(b"a");
        handle.put(Publication::new(key, bytes::Bytes::from_static(b"x"))).await.unwrap();
        assert_eq!(served.get("/v1/text/a", &[]).await.text(), "x");
        for (method, path) in OPERATIONS.into_iter().filter(|(method, _)| *method != "GET") {
            served.send(method, path, &[], b"x").await.problem(status, code);
        }
        served.stop().await;
    }
}

#[tokio::test]
async fn off_loopback_no_gateway_starts_without_a_token() {
    let open = Settings::new(([0, 0, 0, 0], 0).into());
    let refused = BoundGateway::bind(open.clone()).await.unwrap_err();
    assert!(matches!(refused, StartError::OpenToAll(_)));
    assert!(refused.to_string().contains("--gateway-token"), "{refused}");
    let token = Token::new(TOKEN.as_bytes());
    BoundGateway::bind(Settings { token, ..open }).await.unwrap();
}

/// DNS rebinding: a page's own name, pointed at this machine.
#[tokio::test]
async fn on_loopback_no_other_name_is_answered() {
    let served = Served::start(1, loopback()).await;
    for host in ["attacker.example", "localhost.attacker.example:80", "192.0.2.1"] {
        for (method, path) in OPERATIONS {
            let answer = served.send(method, path, &[("host", host)], b"x").await;
            answer.problem(421, "wrong_host");
        }
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]"] {
        assert_eq!(served.put("/v1/text/a", &[("host", host)], b"x").await.status, 200);
    }
    served.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_unless_their_origin_is_allowed() {
    let origins = vec!["https://app.example".parse().unwrap()];
    let served = Served::start(1, Settings { origins, ..loopback() }).await;
    for site in ["cross-site", "same-site"] {
        for origin in ["https://other.example", "https://app.example.other.example", "null"] {
            let fields = [("sec-fetch-site", site), ("origin", origin)];
            let answer = served.put("/v1/text/a", &fields, b"x").await;
            answer.problem(403, "other_site");
            assert!(answer.field("access-control-allow-origin").is_none());
            served.get("/v1/text/a", &fields).await.problem(403, "other_site");
        }
        // An image, a script or a form says no origin.
        served.get("/v1/text/a", &[("sec-fetch-site", site)]).await.problem(403, "other_site");
    }
    let fields = [("sec-fetch-site", "cross-site"), ("origin", "https://app.example")];
    let answer = served.put("/v1/text/a", &fields, b"x").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example"));
    assert!(answer.field("access-control-expose-headers").unwrap().contains("ETag"));
    let asks = [fields[0], fields[1], ("access-control-request-method", "PUT")];
    let preflight = served.send("OPTIONS", "/v1/text/a", &asks, b"").await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.field("access-control-allow-methods").unwrap().contains("PUT"));
    assert!(preflight.field("access-control-allow-headers").unwrap().contains("Authorization"));
    let own = [("sec-fetch-site", "same-origin")];
    assert_eq!(served.put("/v1/text/a", &own, b"x").await.status, 200);
    served.stop().await;
}

#[tokio::test]
async fn a_browser_does_nothing_with_a_value_by_itself() {
    let served = Served::start(1, loopback()).await;
    served.put("/v1/text/a", &[], b"<script>alert(1)</script>").await;
    let got = served.get("/v1/text/a", &[]).await;
    assert_eq!(got.field("content-type"), Some("application/octet-stream"));
    assert_eq!(got.field("x-content-type-options"), Some("nosniff"));
    assert!(got.field("content-security-policy").unwrap().contains("sandbox"));
    assert_eq!(got.field("cross-origin-resource-policy"), Some("same-origin"));
    served.stop().await;
}

/// What a page gets that asks in every way there is.
fn attack(gateway: SocketAddr) -> String {
    format!(
        "(async () => {{
            const answers = [];
            for (const [method, path, mode] of [
                ['PUT', 'text/browser', 'cors'], ['POST', 'values', 'no-cors'],
                ['POST', 'values', 'cors'], ['GET', 'text/a', 'no-cors'], ['GET', 'text/a', 'cors'],
            ]) {{
                const body = method === 'GET' ? undefined : 'forged';
                try {{
                    const answer = await fetch('http://{gateway}/v1/' + path, {{ method, mode, body }});
                    answers.push(answer.type === 'opaque' ? 'opaque' : answer.status);
                }} catch (error) {{ answers.push('refused'); }}
            }}
            return answers.join(' ');
        }})()"
    )
}

/// Serves an empty page.
async fn page() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // At the same time: browsers open connections on which they ask nothing.
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0
                {
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
                              <p>a page";
                // The browser may have left.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn in_a_browser_another_sites_page_can_neither_write_nor_read() {
    let Some(mut browser) = Chromium::start().await else { return };
    let port = page().await;
    let allowed = format!("http://localhost:{port}");
    let origins = vec![allowed.parse().unwrap()];
    let (closed, open) = (loopback(), Settings { origins, ..loopback() });
    for (settings, site, expected, writes) in [
        // Another port of this machine is another origin of the same site.
        (&closed, "127.0.0.1", "refused refused refused refused refused", 0),
        (&closed, "localhost", "refused refused refused refused refused", 0),
        // The origin is allowed. An image, or whatever else says no origin, is not.
        (&open, "localhost", "200 opaque 201 refused 200", 3),
    ] {
        let served = Served::start(1, settings.clone()).await;
        let handle = served.nodes[0].handle();
        let value = bytes::Bytes::from_static(b"x");
        handle.put(Publication::new(Key::of_value(b"a"), value)).await.unwrap();
        browser.open(&format!("http://{site}:{port}/"), LIGHT).await;
        browser.until("document.body?.innerText === 'a page'").await;
        let got = browser.evaluate(&attack(served.address)).await;
        println!("{site}: {got}");
        let counts = handle.counts();
        assert_eq!(counts.gateway_writes, writes, "{site}");
        assert!(counts.gateway_refused > 0);
        assert_eq!(got, expected, "{site}");
        let written = handle.get(Key::of_value(b"browser")).await.unwrap().value;
        assert_eq!(written.is_some(), writes > 0);
        served.stop().await;
    }
}
