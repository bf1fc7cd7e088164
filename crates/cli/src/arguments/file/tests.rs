use super::*;
use crate::arguments::{self, Program};
use crate::{commands, server};

fn read<T: Program>(text: &str) -> Result<FileSettings, String> {
    let file = Ini::parse(Path::new("f"), text).map_err(|mistake| mistake.to_string())?;
    T::file_settings(&file, &arguments::command::<T>()).map_err(|mistake| mistake.to_string())
}

fn of_server(text: &str) -> Result<FileSettings, String> {
    read::<server::args::Arguments>(text)
}

fn of_tool(text: &str) -> Result<FileSettings, String> {
    read::<commands::Arguments>(text)
}

#[test]
fn a_voidphone_file_is_understood_as_it_is() {
    let text = "\
hostkey = /hostkey.pem
[onion]
api_address = not looked at
bare words
[DHT]
r = 4
";
    assert!(of_server(text).unwrap_err().starts_with("f:6: there is no key r in [dht]"));
    let text = "\
hostkey = /hostkey.pem
[gossip]
cache_size = 50
bootstrapper = nothing
[dht]
api_address = 127.0.0.1:7001
Listen_Address = [2001:db8::1]:4424
bootstrapper = one.example.org:7402, [2001:db8::2]:7402 192.0.2.3:1
[nse]
listen_address = 1
";
    let settings = of_server(text).unwrap();
    for (option, value, line) in [
        ("api_address", "127.0.0.1", 6),
        ("module_port", "7001", 6),
        ("host_address", "2001:db8::1", 7),
        ("p2p_port", "4424", 7),
        ("peer", "one.example.org:7402,[2001:db8::2]:7402,192.0.2.3:1", 8),
    ] {
        assert_eq!(settings.get("dht", option), Some((value, line)), "{option}");
    }
    assert_eq!(settings.settings.len(), 5);
}

#[test]
fn addresses_may_stand_without_a_port() {
    for (text, address, port) in [
        ("127.0.0.1", "127.0.0.1", None),
        ("127.0.0.1:1", "127.0.0.1", Some("1")),
        ("[::1]", "::1", None),
        ("[::1]:1", "::1", Some("1")),
        ("::1", "::1", None),
    ] {
        let settings = of_server(&format!("[dht]\np2p_address = {text}")).unwrap();
        assert_eq!(settings.get("dht", "host_address"), Some((address, 2)));
        assert_eq!(settings.get("dht", "p2p_port"), port.map(|port| (port, 2)));
    }
}

#[test]
fn mistakes_name_their_line_and_what_would_be_right() {
    for (text, complaint) in [
        (
            "[dht]\nmodule-prt = 1",
            "f:2: there is no key module-prt in [dht]; the nearest is module-port",
        ),
        (
            "[dht]\nbootstraper = a:1",
            "f:2: there is no key bootstraper in [dht]; the nearest is bootstrapper",
        ),
        (
            "[dht]\nmodule-port = x",
            "f:2: \"x\" for module-port: must be a port from 1 to 65535, or 0 for any that is free",
        ),
        (
            "[dht]\nidentity = none",
            "f:2: \"none\" for identity: must be one of self-certifying, tofu",
        ),
        ("[dht]\nloglevel =", "f:2: \"\" for loglevel: must be one of trace, debug"),
        (
            "[dht]\nverify_certificates = maybe",
            "f:2: \"maybe\" for verify_certificates: must be yes or no",
        ),
        ("[dht]\nbootstrapper = ::1:7402", "f:2: \"::1:7402\" for bootstrapper: must be HOST:PORT"),
        ("[dht]\np2p_address = [::1", "f:2: \"[::1\" for p2p_address: must be ADDRESS:PORT"),
        (
            "[dht]\napi_address = [::1",
            "f:2: \"[::1\" for api_address: must be ADDRESS:PORT, like 192.0.2.1:7401",
        ),
        (
            "[dht]\np2p_address = host:1",
            "f:2: \"host\" for p2p_address: must be an IPv4 or IPv6 address",
        ),
        ("[dht]\nmin-ttl = 1\n\nmin-ttl = 1", "f:4: min-ttl is set twice; first in line 2"),
        (
            "[dht]\nmin-ttl = 1\n[a]\n[dht]\nmin_ttl = 1",
            "f:5: min_ttl sets what min-ttl in line 2 has set",
        ),
        (
            "[dht]\nlisten_address = ::1\nhost-address = ::1",
            "f:3: host-address sets what listen_address in line 2",
        ),
        ("[dht]\npeer\nmin-ttl = 1", "f:2: \"peer\" has no value"),
        (
            "module_port = 1\n[dht]",
            "f:1: module_port stands before any section; it belongs under [dht]",
        ),
        ("[nse]\n[dht\nmin-ttl = x", "f:2: a section is a line of its own"),
        ("[dht]\ncheck = yes", "f:2: check belongs on the command line, as --check"),
        ("[dht]\nconfig = other", "f:2: config belongs on the command line, as --config"),
        ("\u{feff}[dht]", "f:1: the file begins with a byte order mark"),
    ] {
        let told = of_server(text).unwrap_err();
        assert!(told.starts_with(complaint), "{told}");
        assert!(!told.contains('\n'), "{told}");
    }
}

/// `[dth]` started a node with nothing but defaults.
#[test]
fn a_file_without_our_section_is_refused_with_the_nearest_name() {
    for (text, complaint) in [
        (
            "[onion]\n[dth]\npeer = a:1\n",
            "f:2: there is no section [dht]; the nearest name is [dth]",
        ),
        ("[nse]\n", "f:1: there is no section [dht]; the nearest name is [nse]"),
        ("", "f: there is no section [dht]: put it before the options"),
        ("unknown = 1\n", "f: there is no section [dht]: put it before the options"),
    ] {
        assert_eq!(of_server(text).unwrap_err(), complaint);
        assert_eq!(of_tool(text).unwrap_err(), complaint);
    }
    assert!(of_server("[DHT]\n").is_ok() && of_server("[dht.put]\n").is_ok());
}

#[test]
fn each_command_of_the_tool_has_its_section() {
    let text = "[dht.put]\nttl = 60\ncontent_addressed = yes\n[dht.testnet]\nnodes = 5\n[other]\n!";
    let settings = of_tool(text).unwrap();
    assert_eq!(settings.get("dht.put", "ttl"), Some(("60", 2)));
    assert_eq!(settings.get("dht.put", "content_addressed"), Some(("yes", 3)));
    assert_eq!(settings.get("dht.testnet", "nodes"), Some(("5", 5)));
    assert_eq!(settings.settings.len(), 3);

    let told = of_tool("[dht.test]\n").unwrap_err();
    assert!(
        told.starts_with("f:1: [dht.test] is no command's section; there are [dht.put]"),
        "{told}"
    );
    let told = of_tool("[dht.put]\nttl = 0").unwrap_err();
    assert!(told.starts_with("f:2: \"0\" for ttl: must be a number from 1"), "{told}");
}

#[test]
fn the_tool_talks_to_the_node_of_the_file() {
    for (text, node) in [
        ("[dht]\napi_address = 127.0.0.7:1", Some("127.0.0.7:1")),
        ("[dht]\napi_address = [::1]:1", Some("[::1]:1")),
        ("[dht]\napi_address = 0.0.0.0", Some("localhost:7401")),
        ("[dht]\nmodule-port = 9", Some("localhost:9")),
        ("[dht]\nmodule-port = 9\n[dht.get]\nnode = a:1", Some("a:1")),
        ("[dht]\nmin-ttl = 9", None),
    ] {
        let settings = of_tool(text).unwrap();
        assert_eq!(settings.get("dht.get", "node").map(|(node, _)| node), node, "{text}");
    }
}
