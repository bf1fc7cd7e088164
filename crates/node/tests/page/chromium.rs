//! A headless Chromium, spoken to over its DevTools protocol: JSON with a NUL behind each message,
//! over two named pipes that it has as file descriptors 3 and 4.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

use crate::common::tools;

/// A browser on a loaded machine takes its time: reached only where something hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a page is asked for what is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A window's size, and how its owner likes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
    /// Whether things may move.
    pub(crate) moves: bool,
}

pub(crate) const LIGHT: Look =
    Look { name: "light", width: 1280, height: 900, dark: false, moves: true };
pub(crate) const DARK: Look = Look { name: "dark", dark: true, ..LIGHT };
pub(crate) const NARROW: Look = Look { name: "narrow", width: 390, height: 844, ..LIGHT };

/// One browser with one page. Killed when dropped.
pub(crate) struct Chromium {
    child: Child,
    sender: pipe::Sender,
    receiver: BufReader<pipe::Receiver>,
    session: String,
    next_id: u64,
    events: VecDeque<Value>,
    /// Its profile and the pipes.
    _place: TempDir,
}

impl Chromium {
    /// Starts one; `None` if it is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let program = tools::find("chromium", "chromium")?;
        let place = tempfile::tempdir().unwrap();
        let [input, output] = ["in", "out"].map(|name| place.path().join(name));
        for fifo in [&input, &output] {
            let made = Command::new("mkfifo").arg(fifo).status().unwrap();
            assert!(made.success());
        }
        // Opened both ways, which never waits for the other side.
        let open = || {
            let mut options = pipe::OpenOptions::new();
            options.read_write(true);
            options
        };
        let sender = open().open_sender(&input).unwrap();
        let receiver = open().open_receiver(&output).unwrap();
        let child = Command::new("sh")
            .arg("-c")
            .arg(r#"exec "$0" "$@" 3<"$IN" 4>"$OUT""#)
            .arg(program)
            .args(["--headless=new", "--remote-debugging-pipe", "--hide-scrollbars"])
            // It shows nothing but our own page; the sandbox cannot be had in a container.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
            .args(["--no-first-run", "--disable-extensions", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", place.path().join("profile").display()))
            .arg("about:blank")
            .env("IN", &input)
            .env("OUT", &output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut chromium = Self {
            child,
            sender,
            receiver: BufReader::new(receiver),
            session: String::new(),
            next_id: 0,
            events: VecDeque::new(),
            _place: place,
        };
        chromium.attach().await;
        Some(chromium)
    }

    async fn attach(&mut self) {
        let targets = self.call("Target.getTargets", json!({})).await;
        let targets = targets["targetInfos"].as_array().unwrap();
        let page = targets.iter().find(|target| target["type"] == "page").unwrap();
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attach).await;
        self.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), json!({})).await;
        }
    }

    /// Opens a place in a window that looks like that.
    pub(crate) async fn open(&mut self, url: &str, look: Look) {
        let scheme = if look.dark { "dark" } else { "light" };
        let motion = if look.moves { "no-preference" } else { "reduce" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let metrics = json!({
            "width": look.width, "height": look.height, "deviceScaleFactor": 1,
            "mobile": look.width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
        // What was open has ended, with its streams, before anything is held against the next.
        self.call("Page.navigate", json!({ "url": "about:blank" })).await;
        self.until("location.href === 'about:blank' && document.readyState === 'complete'").await;
        self.events.clear();
        self.call("Page.navigate", json!({ "url": url })).await;
    }

    /// What a script says.
    pub(crate) async fn evaluate(&mut self, script: &str) -> Value {
        self.try_evaluate(script).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until a script says something that counts as true, and returns it. While one page
    /// follows another there is nothing to ask: that is waited for too.
    pub(crate) async fn until(&mut self, script: &str) -> Value {
        let begun = Instant::now();
        loop {
            let said = self.try_evaluate(script).await;
            match &said {
                Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                Ok(value) if *value == 0 || *value == "" => {}
                _ => return said.unwrap_or_default(),
            }
            assert!(begun.elapsed() < PATIENCE, "{script} is not so; it says {said:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn try_evaluate(&mut self, script: &str) -> Result<Value, String> {
        let what = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.ask("Runtime.evaluate", what).await;
        let failed = answer.get("error").or(answer["result"].get("exceptionDetails"));
        match failed {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["result"]["result"]["value"].take()),
        }
    }

    /// Presses a key, by its name in the DOM.
    pub(crate) async fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "code": key }))
                .await;
        }
    }

    /// The whole page as a picture.
    pub(crate) async fn screenshot(&mut self, path: &Path) {
        let layout = self.call("Page.getLayoutMetrics", json!({})).await;
        let size = &layout["cssContentSize"];
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        let what = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.call("Page.captureScreenshot", what).await;
        let bytes = BASE64.decode(picture["data"].as_str().unwrap().as_bytes()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Everything that went wrong on the dashboard since it was opened: exceptions, errors in the
    /// console, what the dashboard's policy forbade.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let wrong = self.events.iter().filter(|event| {
            let of = &event["params"];
            match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => of["type"] == "error",
                Some("Log.entryAdded") => of["entry"]["level"] == "error",
                _ => false,
            }
        });
        wrong.map(|event| event["params"].to_string()).collect()
    }

    /// What the dashboard fetched that did not come from there.
    pub(crate) fn fetched_elsewhere(&self, home: SocketAddr) -> Vec<String> {
        let requests =
            self.events.iter().filter(|one| one["method"] == "Network.requestWillBeSent");
        let urls = requests.filter_map(|one| one["params"]["request"]["url"].as_str());
        let own = format!("http://{home}/");
        urls.filter(|url| !url.starts_with(&own) && !url.starts_with("data:"))
            .map(str::to_owned)
            .collect()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Sends a command, and returns what comes back, be it an error.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let mut message = json!({ "id": self.next_id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        patiently(self.sender.write_all(&bytes)).await.unwrap();
        loop {
            let answer = self.receive().await;
            if answer["id"] == self.next_id {
                return answer;
            }
            self.events.push_back(answer);
        }
    }

    async fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        patiently(self.receiver.read_until(0, &mut bytes)).await.unwrap();
        bytes.pop();
        serde_json::from_slice(&bytes).unwrap()
    }
}

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the browser hangs")
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
