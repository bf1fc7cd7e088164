//! Where a gateway is: `http://192.0.2.1:9403`, `https://dht.example.org`, with a path before `/v1` if the
//! proxy has one.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::arguments::values::{Host, HostPort};

/// What stands for itself in a part of a path (RFC 3986, section 2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GatewayUrl {
    /// Whether it is spoken to over TLS.
    pub(super) tls: bool,
    /// Where to connect.
    pub(super) place: HostPort,
    /// What stands before `/v1`: empty, or `/` and something.
    base: String,
}

/// Not the address of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL, like https://dht.example.org or http://192.0.2.1:9403")]
pub(super) struct ParseUrlError;

impl GatewayUrl {
    /// The host as TLS and the field Host name it, without a port.
    pub(super) fn host(&self) -> String {
        self.place.host.to_string()
    }

    /// The field Host: without a port where it is the usual one.
    pub(super) fn authority(&self) -> String {
        match self.place.port {
            port if port == usual_port(self.tls) => self.host(),
            port => format!("{}:{port}", self.host()),
        }
    }

    /// A path of the gateway as it is requested.
    pub(super) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// Bytes as a part of a path.
pub(super) fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, &RESERVED).to_string()
}

fn usual_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

impl FromStr for GatewayUrl {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, ParseUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(ParseUrlError)?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(ParseUrlError),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let place = match has_port {
            true => authority.parse().map_err(|_| ParseUrlError)?,
            false => {
                let host: Host = authority.parse().map_err(|_| ParseUrlError)?;
                HostPort { host, port: usual_port(tls) }
            }
        };
        let base = path.trim_end_matches('/').to_owned();
        let is_path = base.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        is_path.then_some(Self { tls, place, base }).ok_or(ParseUrlError)
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back() {
        for (text, port, target) in [
            ("http://192.0.2.1:9403", 9403, "/v1"),
            ("https://dht.example.org", 443, "/v1"),
            ("http://localhost", 80, "/v1"),
            ("https://[2001:db8::1]:8443", 8443, "/v1"),
            ("http://[::1]", 80, "/v1"),
            ("https://example.org/dht", 443, "/dht/v1"),
        ] {
            let url: GatewayUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.place.port), (text, port));
            assert_eq!(url.target("/v1"), target);
        }
        let url: GatewayUrl = "https://example.org:443/".parse().unwrap();
        assert_eq!(url.to_string(), "https://example.org");
        for wrong in [
            "",
            "!",
            "example.org",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:b",
            "http://u@a",
            "http://a?b",
            "http://a/b?c",
            "http://a/ b",
        ] {
            assert_eq!(wrong.parse::<GatewayUrl>(), Err(ParseUrlError), "{wrong}");
        }
    }

    #[test]
    fn a_salt_is_encoded() {
        assert_eq!(encoded(b"end point/\xff~"), "end%20point%2F%FF~");
    }
}
