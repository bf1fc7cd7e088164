//! Writes the seeds that the fuzzer begins with: one of everything that is right, which random bytes
//! would not find. They are committed; this is how they were made.
//!
//! ```text
//! cd fuzz && cargo run --example seeds
//! ```

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use clap::Command;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use voiddht_cli::arguments::file::is_setting;
use voiddht_cli::{arguments, commands, server};
use voiddht_fuzz::{Still, unheard};
use voiddht_identity::{Identity, KeyKind, Policy};
use voiddht_store::{DataDir, StoredIdentity};
use voiddht_wire::api::{Answer, Put, Request};
use voiddht_wire::peer::{Body, Dialect, ErrorCode, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, NodeId, PeerAddress, RpcId};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn main() {
    module_api();
    peer_messages();
    frames();
    identities();
    configuration();
    database();
    scenarios();
    chance("node_inputs", 12, 400);
    chance("core_laws", 12, 300);
}

fn save(target: &str, name: &str, content: &[u8]) {
    let directory = Path::new("seeds").join(target);
    fs::create_dir_all(&directory).expect("a directory for seeds");
    fs::write(directory.join(name), content).expect("a file for a seed");
}

fn module_api() {
    let key = Key::of_value(b"key");
    let put = |acknowledge, value: &'static [u8]| {
        let value = Bytes::from_static(value);
        Request::Put(Put { ttl: 600, replication: 20, acknowledge, key, value })
    };
    let mut seeds = Vec::new();
    for request in [put(false, b"v"), put(true, b"a longer value"), Request::Get { key }] {
        let mut frame = BytesMut::new();
        request.encode(&mut frame).expect("it fits");
        seeds.push(frame);
    }
    for answer in
        [Answer::Success { key, value: Bytes::from_static(b"v") }, Answer::Failure { key }]
    {
        let mut frame = BytesMut::new();
        answer.encode(&mut frame).expect("it fits");
        seeds.push(frame);
    }
    for (number, frame) in seeds.iter().enumerate() {
        // The target's own byte: the type less that of a PUT.
        let kind = frame[3] - 650_u16.to_be_bytes()[1];
        save("module_api", &number.to_string(), &[&[kind], &frame[4..]].concat());
    }
}

/// One of each message.
fn bodies() -> Vec<Body> {
    let key = Key::of_value(b"key");
    let node = |number| NodeInfo {
        address: PeerAddress::new(HOST, 7402),
        id: NodeId::from_bytes([number; 32]),
    };
    let record = Record {
        key,
        value: Bytes::from_static(b"value"),
        ttl: 600,
        version: Some(1),
        maintenance: true,
    };
    vec![
        Body::Ping,
        Body::Store(record.clone()),
        Body::FindNode { target: key },
        Body::FindValue { key },
        Body::PingReply { observed: Some(PeerAddress::new(HOST, 7402)) },
        Body::StoreReply { key },
        Body::FindNodeReply { nodes: (0..20).map(node).collect() },
        Body::FindValueReply(record),
        Body::Error(ErrorCode::Busy),
    ]
}

fn framed(body: Body, dialect: Dialect) -> BytesMut {
    let header = Header {
        sender: NodeId::from_bytes([1; 32]),
        port: 7402,
        rpc_id: RpcId::from_bytes([2; 32]),
    };
    let mut frame = BytesMut::new();
    Message { header, body }.encode(dialect, &mut frame).expect("it fits");
    frame
}

fn peer_messages() {
    for (dialect, bit) in [(Dialect::V1, 0), (Dialect::Legacy, 1)] {
        for (number, body) in bodies().into_iter().enumerate() {
            // The target's own byte: see there.
            let number = number as u8;
            let kind = match number {
                0..4 => 3 * number,
                4..8 => 3 * (number - 4) + 1,
                _ => 2,
            };
            let frame = framed(body, dialect);
            let seed = [&[kind << 1 | bit], &frame[4..]].concat();
            save("peer_messages", &format!("{number}-{bit}"), &seed);
        }
    }
}

fn frames() {
    let short: Vec<u8> =
        bodies().into_iter().flat_map(|body| framed(body, Dialect::V1).to_vec()).collect();
    save("frames", "short", &[&[0, 3, 1, 200, 0], &short[..]].concat());
    save("frames", "whole", &[&[1, 0], &short[..]].concat());
    // A long frame that is just long enough, and one of a type that has none.
    let mut long = vec![0, 1, 255, 0, 0, 0, 7, 0, 1, 0, 4];
    long.extend([3; 65_528]);
    save("frames", "long", &long);
    save("frames", "refused", &[0, 0, 0, 0, 0, 9, 0, 1, 0, 4]);
}

fn identities() {
    for kind in KeyKind::ALL {
        for policy in Policy::ALL {
            let identity = Identity::generate(kind, policy, HOST).expect("randomness");
            let name = format!("{kind}-{policy}");
            let pushed = identity.pushed();
            let length = (pushed.len() as u32).to_be_bytes();
            save("pushed_certificate", &name, &[&length, &pushed[..]].concat());
            let der = identity.certificate().der();
            let length = (der.len() as u32).to_be_bytes();
            save("pushed_certificate", &format!("{name}-der"), &[&length, &der[..]].concat());
            save("certificate_der", &name, der);
            if policy == Policy::SelfCertifying {
                identity_file(&name, &identity);
            }
        }
    }
}

/// A key that is nobody's, since everybody has it.
fn identity_file(name: &str, identity: &Identity) {
    let directory = tempfile::tempdir().expect("a place for files");
    let path = directory.path().join("data");
    let (store, _) =
        DataDir::open_by(Still::clocks(), &path, unheard()).expect("an empty directory");
    let stored = StoredIdentity {
        node_id: identity.node_id(),
        private_key_der: identity.private_key_der(),
        certificate_der: identity.certificate().der().to_vec(),
    };
    store.save_identity(&stored).expect("a disk that works");
    let file = fs::read(path.join("identity.pem")).expect("it was saved");
    save("identity_file", name, &file);
}

fn configuration() {
    let voidphone = "hostkey = /k.pem\n\n[gossip]\ncache_size = 50\n\n[dht]\np2p_address = 192.0.2.1:7402\n\
                     api_address = [::1]:7401 ; here\nbootstrapper = a.example:7402, [2001:db8::2]:7402\n\
                     data-dir = \"/srv/a # b\"\nVERIFY_CERTIFICATES = yes\n[dht.put]\nttl = 60\n";
    save("configuration", "voidphone", voidphone.as_bytes());
    let mut words = vec!["[dht]".to_owned(), "= \\\"".to_owned()];
    let mut all = format!("[{}]\n", arguments::SECTION);
    let mut commands =
        vec![(arguments::SECTION.to_owned(), arguments::command::<server::args::Arguments>())];
    let tool = arguments::command::<commands::Arguments>();
    commands.extend(below(&tool, arguments::SECTION));
    for (section, command) in &commands {
        words.push(format!("[{section}]"));
        if section != arguments::SECTION {
            all += &format!("[{section}]\n");
        }
        for option in command.get_arguments().filter(|option| is_setting(option)) {
            let name = option.get_long().unwrap_or_default();
            words.push(format!("{name} = "));
            if let [default] = option.get_default_values()
                && option.get_action().takes_values()
            {
                all += &format!("{name} = {}\n", default.to_string_lossy());
            }
        }
    }
    words.extend(server::args::ALIASES.iter().map(|alias| format!("{} = ", alias.key)));
    save("configuration", "defaults", all.as_bytes());
    words.sort();
    words.dedup();
    // Words that the fuzzer puts together.
    let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"\n")).collect();
    fs::write("seeds/configuration.dict", words.concat()).expect("a file for words");
}

fn below(command: &Command, section: &str) -> Vec<(String, Command)> {
    let mut all = Vec::new();
    for inner in command.get_subcommands() {
        let section = format!("{section}.{}", inner.get_name());
        all.extend(below(inner, &section));
        all.push((section, inner.clone()));
    }
    all
}

fn database() {
    let stamp: &[&[u8]] =
        &[&[0, 1, 0, 41], &1000_u64.to_be_bytes(), &[0; 8], &[0; 8], &[1], &[7; 16]];
    let record: &[&[u8]] =
        &[&[0x17, 0, 3], &1_u64.to_be_bytes(), &[0, 0, 0, 0, 0, 0, 0xff, 0xff], b"abc"];
    let contact: &[&[u8]] = &[&[0x25, 0, 0], &PeerAddress::new(HOST, 7402).to_bytes()];
    let pin: &[&[u8]] =
        &[&[0x36, 0, 30], &PeerAddress::new(HOST, 7402).to_bytes(), &[0; 8], &[0x30; 4]];
    let all = [stamp.concat(), record.concat(), contact.concat(), pin.concat()].concat();
    save("database_rows", "whole", &all);
    save("database_rows", "record-alone", &[&[0][..], &record.concat()].concat());
    save("database_rows", "another-version", &[255, 0, 0, 0, 9]);
    save("database_image", "sound", &[0]);
    save("database_image", "cut", &[1, 1, 0]);
    save("database_image", "header", &[0, 0, 0, 9, 0, 255, 0, 0, 64, 3, 1, 2, 3, 4]);
}

/// Those that are shipped.
fn scenarios() {
    let files = fs::read_dir("../scenarios").expect("the scenarios beside this directory");
    for file in files.map(|file| file.expect("a directory that can be read").path()) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        save("scenario", &name, &fs::read(&file).expect("a file that can be read"));
    }
}

/// What comes by chance, the same each time.
fn chance(target: &str, seeds: u64, bytes: usize) {
    for seed in 0..seeds {
        let mut content = vec![0; bytes];
        ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut content);
        save(target, &seed.to_string(), &content);
    }
}
