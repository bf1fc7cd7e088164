//! `dht_server --gateway` and `dht --gateway`, as real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "../../node/tests/common/tools.rs"]
#[allow(dead_code, reason = "another test looks for packages of Python")]
mod tools;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{Server, complaint, dht, server};
use rustix::process::Signal;
use tempfile::TempDir;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn token_file(directory: &TempDir, token: &str, mode: u32) -> PathBuf {
    let path = directory.path().join(format!("token-{mode:o}-{}", token.len()));
    fs::write(&path, format!("{token}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn url(server: &Server) -> String {
    let line = server.line_with("gateway at http://");
    let rest = line.split("http://").nth(1).unwrap();
    format!("http://{}", rest.split('/').next().unwrap())
}

/// `dht` with these arguments, through that gateway.
fn through(url: &str, token: &Path, arguments: &[&str]) -> Output {
    let mut command = dht();
    command.args(arguments).args(["--gateway", url, "--gateway-token"]).arg(token);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn values_are_put_and_got_through_a_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let token = token_file(&directory, TOKEN, 0o600);
    let server = Server::start(&["--gateway", "0", "--gateway-token", token.to_str().unwrap()]);
    let url = url(&server);
    let dht = |arguments: &[&str]| through(&url, &token, arguments);
    let put = dht(&["put", "--ttl", "600", "--replication", "3", "a name", "a value"]);
    assert_eq!((put.status.code(), text(&put.stdout)), (Some(0), "stored on 1 node\n"));
    assert_eq!(text(&dht(&["get", "a name"]).stdout), "a value");
    // The module API has it too.
    assert_eq!(server.get("a name").unwrap(), b"a value");
    let json = dht(&["get", "--json", "a name"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["found"], &json["value_bytes"]), (&true.into(), &7.into()));
    assert_eq!(
        (&json["value_base64"], &json["verified"]),
        (&"YSB2YWx1ZQ==".into(), &"vote".into())
    );
    let put = dht(&["put", "--content-addressed", "content"]);
    let key = text(&put.stdout).trim();
    assert_eq!(text(&dht(&["get", key]).stdout), "content");
    let missing = dht(&["get", "nothing"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("nothing found"), "{missing:?}");
    let superseded = dht(&["put", key, "other"]);
    assert_eq!(superseded.status.code(), Some(1));
    assert!(text(&superseded.stderr).contains("the value is not stored"), "{superseded:?}");
}

#[test]
fn signed_values_are_published_through_a_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let token = token_file(&directory, TOKEN, 0o600);
    let server = Server::start(&["--gateway", "0", "--gateway-token", token.to_str().unwrap()]);
    let url = url(&server);
    let dht = |arguments: &[&str]| through(&url, &token, arguments);
    let key = directory.path().join("me.pem");
    let key = key.to_str().unwrap();
    let made = common::dht().args(["key", "new", key]).output().unwrap();
    let owner = text(&made.stdout).trim();
    for body in ["203.0.113.7:51820", "198.51.100.9:51820"] {
        let put = dht(&["put", "--sign", key, "--salt", "end point", body]);
        assert_eq!(put.status.code(), Some(0), "{put:?}");
        for how in ["--first", "--thorough"] {
            let got = dht(&["get", "--signed-by", owner, "--salt", "end point", how]);
            assert_eq!(text(&got.stdout), body);
        }
    }
    let withdrawn = dht(&["withdraw", "--sign", key, "--salt", "end point"]);
    assert_eq!(withdrawn.status.code(), Some(0), "{withdrawn:?}");
    let got = dht(&["get", "--signed-by", owner, "--salt", "end point"]);
    assert_eq!(got.status.code(), Some(1));
    // Over the module API it is the same.
    let got = server.dht(&["get", "--signed-by", owner, "--salt", "end point"]);
    assert_eq!(got.status.code(), Some(1));
}

#[test]
fn a_wrong_token_and_what_is_no_gateway_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let token = token_file(&directory, TOKEN, 0o600);
    let wrong = token_file(&directory, "another token of some length", 0o600);
    fs::write(&wrong, "another-token-of-some-length").unwrap();
    let server = Server::start(&[
        "--gateway",
        "0",
        "--gateway-token",
        token.to_str().unwrap(),
        "--http",
        "0",
    ]);
    let page = server.http();
    let url = url(&server);
    let mut refused = dht();
    refused.args(["get", "a", "--gateway", &url]);
    assert!(complaint(&mut refused, 2).contains("no token, or a wrong one"));
    refused.arg("--gateway-token").arg(&wrong);
    assert!(complaint(&mut refused, 2).contains("no token, or a wrong one"));
    let mut other = dht();
    other.args(["put", "a", "b", "--gateway", &format!("http://{page}")]);
    assert!(complaint(&mut other, 3).contains("is this a voiddht gateway?"));
    let mut nothing = dht();
    nothing.args(["get", "a", "--gateway", "http://127.0.0.1:1"]);
    assert!(complaint(&mut nothing, 3).contains("no gateway at http://127.0.0.1:1"));
    let open = token_file(&directory, TOKEN, 0o644);
    let mut readable = dht();
    readable.args(["get", "a", "--gateway", &url, "--gateway-token"]).arg(&open);
    assert!(complaint(&mut readable, 2).contains("chmod 600"));
}

#[test]
fn a_gateway_that_would_be_open_to_all_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let token = token_file(&directory, TOKEN, 0o600);
    let (token, open) = (token.to_str().unwrap(), token_file(&directory, TOKEN, 0o640));
    let open = open.to_str().unwrap();
    for (arguments, needle) in [
        (vec!["--gateway", "0.0.0.0:0"], "--gateway-public"),
        (vec!["--gateway", "0", "--gateway-token", open], "chmod 600"),
        (vec!["--gateway", "0", "--gateway-token", "/nonexistent"], "No such file"),
        (vec!["--gateway", "x"], "must be a port"),
        (vec!["--gateway", "0", "--gateway-origin", "app.example"], "must be an origin"),
        (vec!["--gateway", "7401"], "given twice"),
        (vec!["--gateway", "9000", "--http", "9000"], "given twice"),
    ] {
        for check in [true, false] {
            let mut command = server();
            command.args(["-a", "127.0.0.1"]).args(&arguments).args(check.then_some("--check"));
            command.stderr(Stdio::piped());
            let text = complaint(&mut command, 2);
            assert!(text.contains(needle), "{arguments:?}: {text}");
        }
    }
    for arguments in [vec!["--gateway-token", token], vec!["--gateway-public"]] {
        let mut command = server();
        command.args(["-a", "127.0.0.1", "--gateway", "0.0.0.0:0", "--check"]).args(arguments);
        assert!(command.output().unwrap().status.success());
    }
}

/// Who may open the socket needs no token.
#[test]
fn the_control_socket_serves_the_gateway_in_any_case() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut server = Server::start(&["--data-dir", data.to_str().unwrap()]);
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(data.join("control")).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let put = "PUT /v1/text/a HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-length: 5\r\n\r\nvalue";
    assert!(ask(put).ends_with("{\"stored_on\":1}"));
    let got = ask("GET /v1/text/a HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 200") && got.ends_with("value"), "{got}");
    // The node's own paths are there as before.
    let status = ask("GET /healthz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
    assert!(status.ends_with("ok\n"), "{status}");
    // A stream that is open does not hold up the end.
    let mut stream = UnixStream::connect(data.join("control")).unwrap();
    let key = "a".repeat(64);
    write!(stream, "GET /v1/values/{key}/events HTTP/1.1\r\nhost: node\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    server.signal(Signal::TERM);
    assert!(server.wait().success());
}

/// A reverse proxy with a certificate of its own authority.
#[test]
fn a_gateway_behind_tls_is_verified() {
    let (Some(python), Some(openssl)) =
        (tools::find("python3", "python3"), tools::find("openssl", "openssl"))
    else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    let made = Command::new(openssl)
        .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-subj", "/CN=gateway", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let program = "\
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('content-length', '5')
        self.end_headers()
        self.wfile.write(b'value')
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
";
    let mut proxy = Command::new(python);
    proxy.args(["-c", program]).arg(&certificate).arg(&key);
    let mut proxy = proxy.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let url = format!("https://127.0.0.1:{}", port.trim());
    let get = |authority: Option<&Path>| {
        let mut command = dht();
        command.args(["get", "a", "--gateway", &url]);
        command.envs(authority.map(|file| ("SSL_CERT_FILE", file)));
        command.output().unwrap()
    };
    let (known, unknown) = (get(Some(&certificate)), get(None));
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    assert_eq!(text(&known.stdout), "value", "{known:?}");
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(3), 0), "{unknown:?}");
}
