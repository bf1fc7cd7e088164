//! Our certificates and configurations before another TLS library, and an independent peer's
//! certificate before ours.
//!
//! The bug that these tests keep away: in the original network every certificate has the same
//! subject. OpenSSL looks trust anchors up by subject and takes the first that matches, so of all
//! the peers that a node had pinned only the first could be verified, and the rest failed with
//! "certificate verify failed" and "tlsv1 alert unknown ca", depending on the order in which they
//! were met. See docs/trust.md.
//!
//! What is not installed is skipped, and a line on standard error says so.

// The helpers of a test may fail as it may.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use data_encoding::{BASE64, HEXUPPER};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, Stream};
use support::forge::{Forge, name};
use support::{HOST, NOW, identity};
use voiddht_identity::network::{EXPORTER_BYTES, EXPORTER_LABEL, exporter};
use voiddht_identity::{
    AcceptedPeer, Certificate, CertificateError, Identity, KeyKind, Policy, accepted_peer,
    client_config, dialed_peer, server_config,
};
use voiddht_wire::peer::Dialect;

/// The store size that the original could not verify.
const PEERS: usize = 50;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openssl_peer.py")
}

/// Says on the terminal, past the test harness's capture, that a test did not run.
fn skip(test: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "\nSKIPPED {test}: {reason}");
}

/// Whether a program runs and succeeds.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// Python whose `ssl` is OpenSSL, of a version that the script can run on.
fn has_python() -> bool {
    runs("python3", &["-c", "import sys, ssl; sys.exit(sys.version_info < (3, 10))"])
}

/// Writes certificates with their keys, numbered, into a new directory.
fn write_store(name: &str, certificates: &[(Vec<u8>, Vec<u8>)]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    for (number, (certificate, key)) in certificates.iter().enumerate() {
        for (ending, label, der) in
            [("pem", "CERTIFICATE", certificate), ("key", "PRIVATE KEY", key)]
        {
            let path = directory.join(format!("{number:02}.{ending}"));
            std::fs::write(path, pem(label, der)).unwrap();
        }
    }
    directory
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// For each certificate of a store, whether OpenSSL verifies it with that store: in a handshake,
/// where Python is there, otherwise by the `openssl` program. `None` where neither is.
fn verified(test: &str, certificates: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<bool>> {
    let directory = write_store(test, certificates);
    if has_python() {
        let output =
            Command::new("python3").arg(script()).arg("store").arg(&directory).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return Some(text.lines().map(|line| line.ends_with(" ok")).collect());
    }
    if !runs("openssl", &["version"]) {
        skip(test, "neither python3 (3.10 or newer, with ssl) nor openssl is installed");
        return None;
    }
    let pems: Vec<PathBuf> =
        (0..certificates.len()).map(|number| directory.join(format!("{number:02}.pem"))).collect();
    let all: String = pems.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let store = directory.join("store");
    std::fs::write(&store, all).unwrap();
    let arguments = |pem: &PathBuf| {
        ["verify", "-check_ss_sig", "-CAfile"]
            .map(str::to_owned)
            .into_iter()
            .chain([&store, pem].map(|path| path.display().to_string()))
            .collect::<Vec<_>>()
    };
    Some(
        pems.iter()
            .map(|pem| {
                let arguments = arguments(pem);
                runs("openssl", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect(),
    )
}

fn parts(identity: &Identity) -> (Vec<u8>, Vec<u8>) {
    (identity.certificate().der().to_vec(), identity.private_key_der().to_vec())
}

#[test]
fn a_store_of_fifty_of_ours_verifies_each() {
    let peers: Vec<_> = (0..PEERS)
        .map(|number| {
            // Every kind is among them; RSA keys are slow to make, so few.
            let kind = match number % 10 {
                0 if number < 20 => KeyKind::Rsa2048,
                1..=4 => KeyKind::EcdsaP256,
                _ => KeyKind::Ed25519,
            };
            parts(&identity(kind, Policy::ALL[number % 2]))
        })
        .collect();
    let Some(verified) = verified("a_store_of_fifty_of_ours_verifies_each", &peers) else { return };
    assert_eq!(verified, [true; PEERS]);
}

#[test]
fn of_two_that_share_a_subject_only_the_first_verifies() {
    let shared = |kind| {
        let mut forge = Forge::right(kind);
        forge.subject = name("TUM, Technical University Munich. Voidphone DHT project");
        forge.issuer.clone_from(&forge.subject);
        (forge.der(), forge.key.serialized_der().to_vec())
    };
    for kind in [KeyKind::Rsa2048, KeyKind::EcdsaP256] {
        let two = [shared(kind), shared(kind)];
        let test = format!("of_two_that_share_a_subject_only_the_first_verifies-{kind}");
        let Some(verified) = verified(&test, &two) else { return };
        assert_eq!(verified, [true, false], "the original's failure");
    }
}

// Handshakes with OpenSSL at its defaults, over pipes.

/// The other end of a child's standard input and output.
struct Pipes {
    input: ChildStdin,
    output: ChildStdout,
}

impl Read for Pipes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.read(buffer)
    }
}

impl Write for Pipes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

fn start(arguments: &[&Path]) -> (Child, Pipes) {
    let mut child = Command::new("python3")
        .arg(script())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipes = Pipes { input: child.stdin.take().unwrap(), output: child.stdout.take().unwrap() };
    (child, pipes)
}

/// Sends a message through TLS and expects it back.
fn echo(mut stream: impl Read + Write) {
    stream.write_all(b"is anybody there?").unwrap();
    stream.flush().unwrap();
    let mut answer = [0; 17];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"is anybody there?");
}

#[test]
fn openssl_as_a_client_of_the_original_network_is_served_under_tofu() {
    if !has_python() {
        return skip("openssl_as_a_client", "python3 (3.10 or newer, with ssl) is not installed");
    }
    for kind in KeyKind::ALL {
        let server = identity(kind, Policy::Tofu);
        let (mut child, mut pipes) = start(&[Path::new("client")]);
        let mut connection = ServerConnection::new(server_config(&server)).unwrap();
        echo(Stream::new(&mut connection, &mut pipes));
        let peer = accepted_peer(&connection, &server, NOW);
        assert!(matches!(peer, Ok(AcceptedPeer::Unproved)), "{kind}: {peer:?}");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn openssl_as_a_server_of_the_original_network_is_proved_under_tofu() {
    if !has_python() {
        return skip("openssl_as_a_server", "python3 (3.10 or newer, with ssl) is not installed");
    }
    let client = identity(KeyKind::Ed25519, Policy::Tofu);
    for kind in KeyKind::ALL {
        let server = identity(kind, Policy::Tofu);
        let directory = write_store(&format!("openssl_as_a_server-{kind}"), &[parts(&server)]);
        let (pem, key) = (directory.join("00.pem"), directory.join("00.key"));
        let (mut child, mut pipes) = start(&[Path::new("server"), &pem, &key]);
        let pushed =
            Certificate::parse_pushed(&std::fs::read(&pem).unwrap(), Policy::Tofu, NOW).unwrap();
        let config = client_config(&client, pushed.clone(), None).unwrap();
        let mut connection =
            ClientConnection::new(config, ServerName::IpAddress(HOST.into())).unwrap();
        echo(Stream::new(&mut connection, &mut pipes));
        let peer = dialed_peer(&connection, &pushed, &client).unwrap();
        assert_eq!((peer.node_id(), peer.dialect()), (server.node_id(), Dialect::Legacy));
        assert!(child.wait().unwrap().success());
    }
}

/// What a proof of membership is bound to, beside what another library computes for the same session.
#[test]
fn the_exporter_is_that_of_openssl() {
    let test = "the_exporter_is_that_of_openssl";
    if !runs("openssl", &["version"]) {
        return skip(test, "openssl is not installed");
    }
    // A client without a certificate is served where trust is on first use.
    let server = identity(KeyKind::Ed25519, Policy::Tofu);
    for groups in ["X25519", "P-256"] {
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        let child = Command::new("openssl")
            .args(["s_client", "-connect", &listener.local_addr().unwrap().to_string()])
            .args(["-groups", groups, "-keymatexportlen", &EXPORTER_BYTES.to_string()])
            .args(["-keymatexport", str::from_utf8(EXPORTER_LABEL).unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut tcp, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(server_config(&server)).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp).unwrap();
        }
        let ours = HEXUPPER.encode(&exporter(&connection).unwrap());
        drop(tcp);
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let theirs = text.lines().find_map(|line| line.trim().strip_prefix("Keying material: "));
        assert_eq!(theirs, Some(ours.as_str()), "{text}");
    }
}

/// A peer of the original network, written apart from this project.
fn legacy_peer() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/tests/legacy/legacy_peer.py");
    std::env::var_os("VOIDDHT_LEGACY_PEER").map_or(beside, PathBuf::from)
}

#[test]
fn a_certificate_of_the_original_network_is_read() {
    let test = "a_certificate_of_the_original_network_is_read";
    let path = legacy_peer();
    if !runs("python3", &["-c", "import ssl, cryptography"]) {
        return skip(test, "python3 with ssl and cryptography is not installed");
    }
    let program = "import sys; sys.path.insert(0, sys.argv[1]); import legacy_peer; \
                   sys.stdout.buffer.write(legacy_peer.make_certificate(bytes(range(32)), '::1')[0])";
    let output = Command::new("python3")
        // The directory may be one where nothing can be written.
        .args(["-B", "-c", program])
        .arg(path.parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It is valid for a year from the moment at which it was made.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let read = |policy| Certificate::parse_pushed(&output.stdout, policy, now);
    let certificate = read(Policy::Tofu).unwrap();
    certificate.check_self_signature().unwrap();
    assert_eq!(certificate.node_id().to_bytes(), std::array::from_fn(|n| n as u8));
    assert_eq!(certificate.address(), std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST));
    assert_eq!(certificate.key_kind(), KeyKind::Rsa2048);
    assert_eq!(read(Policy::SelfCertifying).unwrap_err(), CertificateError::IdNotKeyHash);
}
