//! The values that options take, parsed once; the errors say what would be right.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::ports::{MODULE_PORT, P2P_PORT};

/// A machine by address or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address literal.
    Address(IpAddr),
    /// A name that has yet to be resolved.
    Name(String),
}

/// A machine, and a port on it: `name:7402`, `192.0.2.1:7402`, `[2001:db8::1]:7402`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The machine.
    pub host: Host,
    /// The port, not 0.
    pub port: u16,
}

/// An address to bind, and the port if it was given: `0.0.0.0`, `192.0.2.1:7402`, `[::]:7402`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; an unspecified one binds all of its family.
    pub address: IpAddr,
    /// The port; 0 lets the system choose.
    pub port: Option<u16>,
}

/// What was expected instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expected {
    /// An address.
    #[error("must be an IPv4 or IPv6 address, like 192.0.2.1 or 2001:db8::1")]
    Address,
    /// A port to listen on.
    #[error("must be a port from 1 to 65535, or 0 for any that is free")]
    ListenPort,
    /// A port to connect to.
    #[error("must be a port from 1 to 65535")]
    Port,
    /// A name or an address.
    #[error("must be a name or an address, like example.org, 192.0.2.1 or 2001:db8::1")]
    Host,
    /// Where something is served.
    #[error(
        "must be a port, then on loopback alone, or ADDRESS:PORT, like 192.0.2.1:9402 or, with \
         brackets, [2001:db8::1]:9402"
    )]
    Serving,
    /// An address to listen on.
    #[error(
        "must be ADDRESS or ADDRESS:PORT, like 0.0.0.0, 192.0.2.1:7402 or, with brackets, \
         [2001:db8::1]:7402"
    )]
    Listen,
    /// Yes or no.
    #[error("must be yes or no")]
    YesOrNo,
    /// A name or an address with a port.
    #[error(
        "must be HOST:PORT, like example.org:{0}, 192.0.2.1:{0} or, with brackets, \
         [2001:db8::1]:{0}"
    )]
    HostPort(u16),
    /// Where a dashboard is.
    #[error(
        "must be a port, then on this machine, or HOST:PORT, like example.org:9402, 192.0.2.1:9402 \
         or, with brackets, [2001:db8::1]:9402"
    )]
    Dashboard,
}

/// Reads an address; an IPv6 address may stand in brackets.
///
/// # Errors
/// [`Expected::Address`]
pub fn address(text: &str) -> Result<IpAddr, Expected> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Expected::Address),
        None => text.parse().map_err(|_| Expected::Address),
    }
}

/// Reads where something is served: a port alone is one on loopback.
///
/// # Errors
/// [`Expected::Serving`]
pub fn serving(text: &str) -> Result<SocketAddr, Expected> {
    match digits(text) {
        Some(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().map_err(|_| Expected::Serving),
    }
}

/// Reads where a module API is.
///
/// # Errors
/// [`Expected::HostPort`], with the port of module APIs in its examples.
pub fn module_api(text: &str) -> Result<HostPort, Expected> {
    text.parse().map_err(|_| Expected::HostPort(MODULE_PORT))
}

/// Reads an address to listen on, with or without its port.
///
/// # Errors
/// [`Expected::Listen`]
pub fn listen(text: &str) -> Result<Listen, Expected> {
    if let Ok(address) = address(text) {
        return Ok(Listen { address, port: None });
    }
    let listen: SocketAddr = text.parse().map_err(|_| Expected::Listen)?;
    Ok(Listen { address: listen.ip(), port: Some(listen.port()) })
}

/// Reads a port to listen on.
///
/// # Errors
/// [`Expected::ListenPort`]
pub fn listen_port(text: &str) -> Result<u16, Expected> {
    digits(text).ok_or(Expected::ListenPort)
}

/// Reads a port to connect to.
///
/// # Errors
/// [`Expected::Port`]
pub fn port(text: &str) -> Result<u16, Expected> {
    digits(text).filter(|port| *port > 0).ok_or(Expected::Port)
}

/// Reads what a file or the environment says for an option that has no value on the command line.
///
/// # Errors
/// [`Expected::YesOrNo`]
pub fn yes_or_no(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(Expected::YesOrNo),
    }
}

/// A parser of whole numbers in a range.
pub fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + fmt::Display + Clone,
{
    move |text| {
        let expected = || format!("must be a number from {} to {}", range.start(), range.end());
        digits(text).filter(|number| range.contains(number)).ok_or_else(expected)
    }
}

/// A parser of one of several names, which help and completions show.
pub fn choice<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

fn digits<T: FromStr>(text: &str) -> Option<T> {
    // The standard parser accepts a plus sign, which is a typing error here.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl FromStr for Host {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if let Ok(address) = address(text) {
            return Ok(Self::Address(address));
        }
        // RFC 1123, section 2.1, and the underscore that container networks put in names. A name
        // whose last part is a number would be an address with a mistake in it.
        let is_part = |part: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=63).contains(&part.len()) && part.bytes().all(is_allowed)
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        let ends_in_number =
            name.rsplit('.').next().is_some_and(|last| digits::<u64>(last).is_some());
        if name.len() <= 253 && name.split('.').all(is_part) && !ends_in_number {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err(Expected::Host)
        }
    }
}

impl FromStr for HostPort {
    type Err = Expected;

    /// Spaces around it are skipped: it may be one of several with commas between them.
    fn from_str(text: &str) -> Result<Self, Expected> {
        let (host, port_text) = text.trim().rsplit_once(':').ok_or(Expected::HostPort(P2P_PORT))?;
        // Without brackets address and port are ambiguous.
        if host.contains(':') && !host.starts_with('[') {
            return Err(Expected::HostPort(P2P_PORT));
        }
        let host = host.parse().map_err(|_| Expected::HostPort(P2P_PORT))?;
        let port = port(port_text).map_err(|_| Expected::HostPort(P2P_PORT))?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl HostPort {
    /// The addresses that are meant, at least one.
    ///
    /// # Errors
    /// If a name cannot be resolved.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, self.port)]),
            Host::Name(name) => name,
        };
        // RFC 6761, section 6.3; a static binary in an empty root has no file to look it up in.
        if name.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            let loopback: [IpAddr; 2] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
            return Ok(loopback.map(|address| SocketAddr::new(address, self.port)).to_vec());
        }
        let mut found: Vec<_> =
            tokio::net::lookup_host((name.as_str(), self.port)).await?.collect();
        found.dedup();
        match found.is_empty() {
            true => Err(io::Error::other("the name has no address")),
            false => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_ports_read_back() {
        for text in
            ["example.org:7402", "192.0.2.1:1", "[2001:db8::1]:65535", "dht_swarm_1:7402", "a.:1"]
        {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(format!(" {text}\t").parse(), Ok(parsed), "spaces around it");
        }
    }

    #[test]
    fn wrong_hosts_and_ports_are_refused() {
        for text in [
            "",
            ":",
            "7402",
            "example.org",
            "example.org:",
            ":7402",
            "::1:7402",
            "[::1]",
            "[::1:7402",
            "example.org:0",
            "example.org:65536",
            "example.org:+1",
            "1.2.3:7402",
            "1.2.3.256:7402",
            "a..b:1",
            "a b:1",
            "a: 1",
            " :1",
            "[1.2.3.4]:1",
            "[example.org]:1",
            "a:b:1",
            "http://a:1",
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(Expected::HostPort(P2P_PORT)), "{text:?}");
        }
        for text in ["", "x", "-1", "+1", "65536", "1 ", "99999999999999999999"] {
            assert_eq!(listen_port(text), Err(Expected::ListenPort), "{text:?}");
            assert_eq!(port(text), Err(Expected::Port), "{text:?}");
        }
        assert_eq!((listen_port("0"), port("0")), (Ok(0), Err(Expected::Port)));
    }

    #[test]
    fn an_address_to_listen_on_may_have_a_port() {
        for (text, address, port) in [
            ("0.0.0.0", "0.0.0.0", None),
            ("192.0.2.1:7402", "192.0.2.1", Some(7402)),
            ("::", "::", None),
            ("[::]", "::", None),
            ("[2001:db8::1]:0", "2001:db8::1", Some(0)),
        ] {
            assert_eq!(listen(text), Ok(Listen { address: address.parse().unwrap(), port }));
        }
        for text in ["", "7402", ":7402", "localhost", "192.0.2.1:", "192.0.2.1:65536", "[::1"] {
            assert_eq!(listen(text), Err(Expected::Listen), "{text:?}");
        }
    }

    #[test]
    fn numbers_keep_to_their_range() {
        let ttl = number(1..=u16::MAX);
        assert_eq!((ttl("1"), ttl("65535")), (Ok(1), Ok(u16::MAX)));
        for wrong in ["0", "65536", "", "-1", "1.5", "ten"] {
            assert_eq!(ttl(wrong).unwrap_err(), "must be a number from 1 to 65535");
        }
    }

    #[test]
    fn an_ipv6_address_may_stand_in_brackets() {
        assert_eq!(address("[::1]"), address("::1"));
        assert_eq!(address("[127.0.0.1]"), Err(Expected::Address));
        assert_eq!("::1".parse(), Ok(Host::Address(Ipv6Addr::LOCALHOST.into())));
    }
}
