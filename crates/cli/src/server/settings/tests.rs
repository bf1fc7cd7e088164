use std::ffi::OsString;

use super::*;
use crate::arguments::{self, Typed};

async fn resolved(line: &str) -> Result<Settings, Failure> {
    let words = std::iter::once("dht_server").chain(line.split_whitespace());
    match arguments::parse::<Arguments>(words.map(OsString::from))? {
        Typed::Arguments(typed, sources) => resolve(typed, &sources, Names::Resolve, |_| ()).await,
        Typed::Answered => panic!("{line} is answered by a text"),
    }
}

async fn usage(line: &str) -> String {
    match resolved(line).await {
        Err(Failure::Usage(text)) => text,
        other => panic!("{line} became {other:?}"),
    }
}

#[tokio::test]
async fn defaults_are_the_originals_ports_on_loopback() {
    let settings = resolved("").await.unwrap();
    assert!(settings.host.is_loopback());
    assert_eq!(settings.p2p_port, 7402);
    assert_eq!(settings.api, Some(SocketAddr::new(settings.host, 7401)));
    assert!(settings.peers.is_empty());
    assert_eq!(settings.limits, Limits::default());
}

#[tokio::test]
async fn options_and_positions_mean_the_same() {
    let by_name = resolved("-a ::1 -m 1 -p 2 -A ::1 -P 3").await.unwrap();
    let by_long_name = resolved(
        "--host-address ::1 --module-port 1 --p2p-port 2 --peer-address ::1 --peer-port 3 \
         --verify_certificates",
    );
    let by_position = resolved("::1 1 2 ::1 3 -v").await.unwrap();
    let mixed = resolved("-p 2 ::1 1 --peer [::1]:3").await.unwrap();
    for settings in [by_name, by_long_name.await.unwrap(), by_position, mixed] {
        assert_eq!(settings.api, Some("[::1]:1".parse().unwrap()));
        assert_eq!((settings.host, settings.p2p_port), ("::1".parse().unwrap(), 2));
        assert_eq!(settings.peers, [address("[::1]:3")]);
    }
}

#[tokio::test]
async fn what_is_bound_is_told_from_what_is_announced() {
    // Of each: the announced address, the bound one, the bound port, the announced port.
    for (line, host, listen, bound, announced) in [
        ("-a 203.0.113.1", "203.0.113.1", None, 7402, None),
        ("-a 203.0.113.1 --listen 10.0.0.2", "203.0.113.1", Some("10.0.0.2"), 7402, None),
        ("--listen 0.0.0.0:9000", "0.0.0.0", Some("0.0.0.0"), 9000, None),
        ("--listen 0.0.0.0:9000 -p 7402", "0.0.0.0", Some("0.0.0.0"), 9000, Some(7402)),
        ("--listen [::]:9000 --announce-port 7402", "::", Some("::"), 9000, Some(7402)),
        ("-p 9000 --announce-port 17402 -a 0.0.0.0", "0.0.0.0", None, 9000, Some(17402)),
        ("--announce-port 7402 -a 0.0.0.0", "0.0.0.0", None, 7402, None),
        ("-a 0.0.0.0 -p 0 --announce-port 5", "0.0.0.0", None, 0, Some(5)),
        ("--listen 10.0.0.2:9 -p 0", "10.0.0.2", Some("10.0.0.2"), 9, None),
    ] {
        let settings = resolved(line).await.unwrap();
        assert_eq!(settings.host, host.parse::<IpAddr>().unwrap(), "{line}");
        assert_eq!(settings.listen, listen.map(|ip| ip.parse().unwrap()), "{line}");
        assert_eq!((settings.p2p_port, settings.announce_port), (bound, announced), "{line}");
        assert!(!settings.follow_address, "{line}");
    }
    assert!(resolved("--peer 127.0.0.1:7402").await.unwrap().follow_address);
}

#[tokio::test]
async fn the_module_api_stays_on_loopback_unless_told() {
    for (line, api) in [
        ("-a 192.0.2.1", "127.0.0.1:7401"),
        ("-a 2001:db8::1", "[::1]:7401"),
        ("-a 0.0.0.0", "127.0.0.1:7401"),
        ("-a 127.0.0.5 -m 9", "127.0.0.5:9"),
        ("-a 192.0.2.1 --api-address 0.0.0.0", "0.0.0.0:7401"),
    ] {
        assert_eq!(resolved(line).await.unwrap().api, Some(api.parse().unwrap()), "{line}");
    }
}

#[tokio::test]
async fn without_an_own_address_the_way_to_the_peer_decides() {
    let settings = resolved("--peer 127.0.0.1:7402").await.unwrap();
    assert_eq!(settings.host, IpAddr::V4(Ipv4Addr::LOCALHOST));
}

#[tokio::test]
async fn peers_are_gathered_once_each_and_names_are_left_to_the_node() {
    let settings = resolved(
        "-a 127.0.0.1 -A localhost --peer localhost:7402 --peer 127.0.0.1:1,127.0.0.2:1 --peer [::1]:5",
    );
    let peers = settings.await.unwrap().peers;
    let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["localhost:7402", "127.0.0.1:1", "127.0.0.2:1", "[::1]:5"]);
}

/// RFC 6761, section 6.4: a name that no name service knows.
#[tokio::test]
async fn a_name_that_cannot_be_resolved_prevents_no_start() {
    let settings = resolved("--peer peer.invalid:7402").await.unwrap();
    assert_eq!(settings.peers.len(), 1);
    let with_address = resolved("-a 127.0.0.1 --peer peer.invalid:7402").await.unwrap();
    assert_eq!(with_address.host, IpAddr::V4(Ipv4Addr::LOCALHOST));
}

fn address(text: &str) -> ConfiguredPeer {
    text.parse::<SocketAddr>().unwrap().into()
}

#[tokio::test]
async fn contradictions_are_told_in_one_line() {
    for (line, needle) in [
        ("-a ::1 ::1", "--host-address is given twice"),
        ("::1 1 -m 2", "--module-port is given twice"),
        ("-P 7402", "--peer-address, which is missing"),
        ("--min-ttl 20 --max-ttl 10 --default-ttl 15", "ttl"),
        ("-m 65536", "must be a port from 1 to 65535, or 0"),
        ("-P 0 -A ::1", "must be a port from 1 to 65535"),
        ("-a localhost", "must be an IPv4 or IPv6 address"),
        ("--listen 7402", "must be ADDRESS or ADDRESS:PORT"),
        ("--announce-port 0", "must be a port from 1 to 65535"),
        ("--peer ::1:7402", "must be HOST:PORT"),
        ("-l loud", "must be one of trace, debug, info, warn, err, critical, off"),
        ("--identity none", "must be one of self-certifying, tofu"),
        ("--key-type rsa", "must be one of ed25519, p256, rsa2048"),
        ("--max-connections 0", "must be a number from 1 to 65536"),
        ("--port 3", "there is no option --port"),
        ("::1 1 2 ::1 3 4", "one argument too many"),
        ("-a", "--host-address <ADDRESS> needs a value"),
        ("-m 1 -m 2", "--module-port <PORT> can be given only once"),
    ] {
        let text = usage(line).await;
        assert!(text.contains(needle), "{line}: {text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[tokio::test]
async fn the_command_line_wins_over_the_environment_that_over_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "[dht]\nlisten_address = 127.0.0.7:1\nmin_ttl = 5\npeer = 127.0.0.1:5,127.0.0.1:6\n";
    std::fs::write(file.path(), text).unwrap();
    let config = format!("-c {}", file.path().display());
    let by_file = resolved(&config).await.unwrap();
    assert_eq!((by_file.host, by_file.p2p_port), ("127.0.0.7".parse().unwrap(), 1));
    assert_eq!(by_file.core.min_ttl, Duration::from_secs(5));
    assert_eq!(by_file.peers.len(), 2);
    assert_eq!(by_file.api.unwrap().port(), 7401);
    let by_option =
        resolved(&format!("{config} --peer 127.0.0.1:7 -p 2 --min-ttl 6")).await.unwrap();
    assert_eq!((by_option.host, by_option.p2p_port), (by_file.host, 2));
    assert_eq!(by_option.core.min_ttl, Duration::from_secs(6));
    assert_eq!(by_option.peers, [address("127.0.0.1:7")]);
    let by_position = resolved(&format!("{config} 127.0.0.8 3 4")).await.unwrap();
    assert_eq!((by_position.host, by_position.p2p_port), ("127.0.0.8".parse().unwrap(), 4));
}

#[tokio::test]
async fn a_mistake_in_the_file_is_told_even_where_something_else_wins() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[dht]\nmodule-port = many\n").unwrap();
    let text = usage(&format!("-m 1 -c {}", file.path().display())).await;
    assert!(text.starts_with(&format!("{}:2: \"many\" for", file.path().display())), "{text}");
    assert!(usage("-c /nonexistent").await.starts_with("/nonexistent: No such file"));
}

#[tokio::test]
async fn limits_reach_the_core() {
    let settings = resolved("").await.unwrap();
    let defaults = voiddht_core::Config::default();
    assert_eq!(settings.core.records, defaults.records);
    assert_eq!(settings.core.requests, defaults.requests);
    assert!(settings.limits.private_addresses_exempt);

    let line = "--max-records 1000 --max-stored 2 --max-peer-rate 50 --count-private";
    let core = resolved(line).await.unwrap().core;
    assert_eq!((core.records.max_records, core.records.max_bytes), (1000, 2 << 20));
    assert_eq!(core.requests.per_peer.per_second * 10, defaults.requests.per_peer.per_second);
    assert_eq!(core.requests.per_prefix.burst * 10, defaults.requests.per_prefix.burst);
    assert!(core.requests.count_private && core.records.quota.count_private);
    assert!(core.diversity.table.count_private && core.diversity.bucket.count_private);
}
