//! Signed values through real nodes and the tool: keys, publishing, resolving, delegation, and what
//! a stranger can do to them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Server;
use voiddht_client::signed::{Draft, Envelope, Name, Owner, PublicKey, Salt};

/// Four nodes, and a folder for keys.
struct Network {
    nodes: Vec<Server>,
    folder: tempfile::TempDir,
}

impl Network {
    fn start() -> Self {
        let first = Server::start(&["-a", "127.0.0.1"]);
        let others: Vec<Server> = (0..3).map(|_| first.peer("127.0.0.1")).collect();
        let nodes = std::iter::once(first).chain(others).collect();
        Self { nodes, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the tool at a node, with files of the folder where an argument begins with `@`.
    fn dht(&self, node: usize, arguments: &[&str]) -> Output {
        let expanded: Vec<String> = arguments
            .iter()
            .map(|argument| match argument.strip_prefix('@') {
                Some(name) => self.path(name).display().to_string(),
                None => (*argument).to_owned(),
            })
            .collect();
        let expanded: Vec<&str> = expanded.iter().map(String::as_str).collect();
        self.nodes[node].dht(&expanded)
    }

    /// The same, which must succeed: what it prints.
    fn done(&self, node: usize, arguments: &[&str]) -> String {
        let output = self.dht(node, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The same, which must end with status 1 or 2: what it complains of.
    fn refused(&self, node: usize, arguments: &[&str]) -> String {
        let output = self.dht(node, arguments);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {output:?}");
        text(&output.stderr)
    }

    /// A new key pair in a file of this name; the public key.
    fn key(&self, name: &str) -> String {
        let output = common::dht().args(["key", "new"]).arg(self.path(name)).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn key_of(owner: &str, salt: &str) -> String {
    let owner: PublicKey = owner.parse().unwrap();
    Name::native(owner, Salt::new(salt.as_bytes()).unwrap()).key().to_string()
}

#[test]
fn only_the_owner_replaces_a_signed_value() {
    let network = Network::start();
    let owner = network.key("me.pem");
    let put = ["put", "--sign", "@me.pem", "--salt", "endpoint"];
    assert_eq!(network.done(0, &[&put[..], &["one"]].concat()), "stored on 4 nodes\n");
    let get = ["get", "--signed-by", &owner, "--salt", "endpoint"];
    assert_eq!(network.done(3, &get), "one");

    // A stranger knows the key, and puts plain bytes, an older envelope and the key's preimage there.
    let key = key_of(&owner, "endpoint");
    let older = network.dht(2, &["get", &key]).stdout;
    assert!(older.starts_with(b"VDS\x01"));
    assert_eq!(network.done(1, &[&put[..], &["two"]].concat()), "stored on 4 nodes\n");
    assert!(network.refused(2, &["put", &key, "forged"]).contains("not stored"));
    std::fs::write(network.path("older"), &older).unwrap();
    assert!(network.refused(2, &["put", &key, "--file", "@older"]).contains("newer value"));
    let mut preimage = b"voiddht signed value\0\x01".to_vec();
    preimage.extend_from_slice(owner.parse::<PublicKey>().unwrap().as_bytes());
    preimage.extend_from_slice(b"endpoint");
    std::fs::write(network.path("preimage"), preimage).unwrap();
    network.refused(2, &["put", &key, "--file", "@preimage"]);

    for node in 0..4 {
        for mode in [&[][..], &["--first"], &["--thorough"]] {
            assert_eq!(network.done(node, &[&get[..], mode].concat()), "two", "{mode:?}");
        }
        // A program that knows nothing of signatures finds the envelope, too.
        let envelope = network.dht(node, &["get", &key]).stdout;
        assert!(envelope.starts_with(b"VDS\x01") && envelope.ends_with(b"two"));
    }
}

#[test]
fn damaged_expired_and_foreign_envelopes_are_refused_with_their_reason() {
    let network = Network::start();
    let owner = network.key("me.pem");
    network.done(0, &["put", "--sign", "@me.pem", "value"]);
    let key = key_of(&owner, "");
    let mut envelope = network.dht(1, &["get", &key]).stdout;
    let last = envelope.len() - 1;
    envelope[last] ^= 1;
    std::fs::write(network.path("damaged"), &envelope).unwrap();
    let refused = network.refused(1, &["put", &key, "--file", "@damaged"]);
    assert!(refused.contains("the signature is wrong"), "{refused}");
    // Under any other key the same bytes are an ordinary value.
    network.done(1, &["put", "another key", "--file", "@damaged"]);
    let weak = "01".to_owned() + &"00".repeat(31);
    assert!(network.refused(0, &["get", "--signed-by", &weak]).contains("weak key"));
}

#[test]
fn a_delegated_writer_publishes_until_the_owner_overrules_it() {
    let network = Network::start();
    let owner = network.key("me.pem");
    let writer = network.key("server.pem");
    let delegate = |generation| {
        let arguments =
            ["key", "delegate", "@me.pem", "--to", &writer, "--salt", "endpoint", "--generation"];
        let output = common::dht()
            .args(arguments.map(|argument| {
                argument.replace('@', &format!("{}/", network.folder.path().display()))
            }))
            .arg(generation)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::write(network.path("server.deleg"), output.stdout).unwrap();
    };
    delegate("5");
    let put = ["put", "--sign", "@server.pem", "--delegation", "@server.deleg"];
    network.done(1, &[&put[..], &["by the server"]].concat());
    let get = ["get", "--signed-by", &owner, "--salt", "endpoint"];
    assert_eq!(network.done(2, &get), "by the server");
    let stranger = ["put", "--sign", "@me.pem", "--delegation", "@server.deleg", "x"];
    assert!(network.refused(0, &stranger).contains("the delegation is to"));

    let overruled =
        network.dht(0, &["put", "--sign", "@me.pem", "--salt", "endpoint", "by the owner"]);
    assert!(overruled.status.success());
    assert!(text(&overruled.stderr).contains(&format!("{writer} is cut off")));
    assert!(network.refused(1, &[&put[..], &["again"]].concat()).contains("new delegation"));
    assert_eq!(network.done(3, &get), "by the owner");

    delegate("9");
    network.done(1, &[&put[..], &["by the server again"]].concat());
    assert_eq!(network.done(3, &get), "by the server again");

    network.done(0, &["withdraw", "--sign", "@me.pem", "--salt", "endpoint"]);
    assert!(network.refused(2, &get).contains("nothing found"));
    network.refused(0, &["withdraw", "--sign", "@me.pem", "--salt", "endpoint"]);
}

#[test]
fn key_files_are_those_of_openssl_and_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.pem");
    let new = common::dht().args(["key", "new"]).arg(&ours).output().unwrap();
    assert!(new.status.success());
    assert_eq!(std::fs::metadata(&ours).unwrap().permissions().mode() & 0o777, 0o600);
    let again = common::dht().args(["key", "new"]).arg(&ours).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "an existing file is not replaced");

    let show = |file: &Path| {
        let output = common::dht().args(["key", "show"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    assert_eq!(show(&ours), text(&new.stdout).trim());
    assert_eq!(openssl_public_key(&ours), show(&ours));
    let theirs = folder.path().join("theirs.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out"])
        .arg(&theirs)
        .output()
        .expect("openssl is what this test needs");
    assert!(made.status.success());
    assert_eq!(openssl_public_key(&theirs), show(&theirs));
}

/// The public key of a private one, as OpenSSL has it: the last 32 bytes of its SubjectPublicKeyInfo.
fn openssl_public_key(file: &Path) -> String {
    let output = Command::new("openssl")
        .args(["pkey", "-pubout", "-outform", "DER", "-in"])
        .arg(file)
        .output()
        .expect("openssl is what this test needs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let key = &output.stdout[output.stdout.len() - 32..];
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A client as VoidPhone's modules have it: plain sockets, `size u16 | type u16 | body`, and nothing of
/// signatures.
struct Original(TcpStream);

impl Original {
    fn connect(api: SocketAddr) -> Self {
        Self(TcpStream::connect(api).unwrap())
    }

    fn send(&mut self, kind: u16, body: &[u8]) {
        let size = u16::try_from(body.len() + 4).unwrap();
        self.0.write_all(&[&size.to_be_bytes()[..], &kind.to_be_bytes(), body].concat()).unwrap();
    }

    fn put(&mut self, key: [u8; 32], value: &[u8]) {
        let (ttl, replication, reserved) = (300_u16.to_be_bytes(), [20], [0]);
        self.send(650, &[&ttl[..], &replication, &reserved, &key, value].concat());
    }

    /// The value, or `None` for DHT FAILURE.
    fn get(&mut self, key: [u8; 32]) -> Option<Vec<u8>> {
        self.send(651, &key);
        let mut head = [0; 4];
        self.0.read_exact(&mut head).unwrap();
        let [a, b, c, d] = head;
        let mut body = vec![0; usize::from(u16::from_be_bytes([a, b])) - 4];
        self.0.read_exact(&mut body).unwrap();
        assert_eq!(body[..32], key);
        match u16::from_be_bytes([c, d]) {
            652 => Some(body[32..].to_vec()),
            653 => None,
            other => panic!("answer of type {other}"),
        }
    }
}

#[test]
fn an_unmodified_client_puts_and_gets_an_envelope() {
    let network = Network::start();
    let owner = Owner::from_seed(&[5; 32]).unwrap();
    let name = Name::native(owner.public_key(), Salt::new(b"endpoint").unwrap());
    let sign = |seq, body: &'static str| -> Envelope {
        Draft { name, seq, not_after: 0, body: body.into() }.sign(&owner, None).unwrap()
    };
    let (older, newer) = (sign(1, "older"), sign(2, "newer"));
    let key = name.key().to_bytes();
    let mut client = Original::connect(network.nodes[0].api);
    assert_eq!(client.get(key), None);
    for envelope in [&older, &newer] {
        client.put(key, envelope.bytes());
        assert_eq!(client.get(key).as_deref(), Some(&envelope.bytes()[..]));
    }
    let mut other = Original::connect(network.nodes[3].api);
    // Neither plain bytes nor the older envelope take its place.
    other.put(key, b"plain bytes");
    other.put(key, older.bytes());
    assert_eq!(other.get(key).as_deref(), Some(&newer.bytes()[..]));
    let owner = owner.public_key().to_string();
    let get = ["get", "--signed-by", &owner, "--salt", "endpoint"];
    assert_eq!(network.done(2, &get), "newer");
}
