//! What a request says in its path, its query and its conditions.

use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
use data_encoding::HEXLOWER_PERMISSIVE;
use percent_encoding::percent_decode_str;
use std::time::Duration;
use voiddht_signed::{Name, PublicKey, Salt};
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::{Key, Publication};

use crate::problem::Problem;

/// The parts of a path, decoded: bytes of any kind.
pub(crate) fn segments(uri: &Uri) -> Vec<Vec<u8>> {
    let parts = uri.path().split('/').skip(1);
    parts.map(|part| percent_decode_str(part).collect()).collect()
}

/// The key in `/v1/values/{key}` and what is below it.
pub(crate) fn key_of_digits(uri: &Uri) -> Result<Key, Problem> {
    let segments = segments(uri);
    let text = segments.get(2).map(|text| String::from_utf8_lossy(text).into_owned());
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| {
        let advice = "For words, of which the SHA-256 is the key: /v1/text/{words}.";
        Problem::bad_request(format!("{text:?} is no key: 64 hexadecimal digits."), advice)
    })
}

/// The key of the words in `/v1/text/{words}`: their SHA-256.
pub(crate) fn key_of_words(uri: &Uri) -> Key {
    Key::of_value(segments(uri).get(2).map(Vec::as_slice).unwrap_or_default())
}

/// The name in `/v1/signed/{owner}/{salt}`, of the native form.
pub(crate) fn name(uri: &Uri) -> Result<Name, Problem> {
    let segments = segments(uri);
    let owner = segments.get(2).map(Vec::as_slice).unwrap_or_default();
    let bytes = HEXLOWER_PERMISSIVE.decode(owner).ok();
    let owner = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(PublicKey::from_bytes);
    let owner = owner.filter(|owner| !owner.is_refused()).ok_or_else(|| {
        let advice = "`dht key show` prints the public key of a key file.";
        Problem::bad_request("The owner is no Ed25519 public key: 64 hexadecimal digits.", advice)
    })?;
    let salt = segments.get(3).map(Vec::as_slice).unwrap_or_default();
    let salt = Salt::new(salt)
        .map_err(|error| Problem::bad_request(format!("{error}."), "Take a shorter salt."))?;
    Ok(Name::native(owner, salt))
}

/// The parameters of a query, each allowed once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Refuses all but these.
    pub(crate) fn of(uri: &Uri, allowed: &[&str]) -> Result<Self, Problem> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_known = allowed.contains(&name);
            if !is_known || found.iter().any(|(known, _)| known == name) {
                let why = if is_known { "is given twice" } else { "is no parameter here" };
                let advice = match allowed {
                    [] => "There are none.".to_owned(),
                    allowed => format!("There are: {}.", allowed.join(", ")),
                };
                return Err(Problem::bad_request(format!("{name:?} {why}."), advice));
            }
            found.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(found))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a put asks for beside its value; `None`: as the node is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) ttl: Option<Duration>,
    pub(crate) replication: Option<u8>,
}

impl Terms {
    /// A value to be published under these terms.
    pub(crate) fn publication(self, key: Key, value: impl Into<Bytes>) -> Publication {
        Publication::new(key, value).ttl(self.ttl).replication(self.replication)
    }

    /// `?ttl=&replication=`.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        Self::among(&Parameters::of(uri, &["ttl", "replication"])?)
    }

    /// Those among other parameters.
    pub(crate) fn among(parameters: &Parameters) -> Result<Self, Problem> {
        Self::checked(number(parameters, "ttl")?, number(parameters, "replication")?)
    }

    /// Refuses what is out of range.
    pub(crate) fn checked(ttl: Option<u64>, replication: Option<u64>) -> Result<Self, Problem> {
        let is_ttl = |ttl: &u64| (1..=u64::from(u16::MAX)).contains(ttl);
        if ttl.is_some_and(|ttl| !is_ttl(&ttl)) {
            return Err(out_of_range("ttl"));
        }
        let replication = match replication {
            None => None,
            Some(nodes) if (1..=MAX_NODES as u64).contains(&nodes) => u8::try_from(nodes).ok(),
            Some(_) => return Err(out_of_range("replication")),
        };
        Ok(Self { ttl: ttl.map(Duration::from_secs), replication })
    }
}

/// A parameter that is a number, if it is given.
pub(crate) fn number(parameters: &Parameters, name: &str) -> Result<Option<u64>, Problem> {
    match parameters.value(name) {
        None | Some("") => Ok(None),
        Some(text) if !text.bytes().all(|byte| byte.is_ascii_digit()) => Err(out_of_range(name)),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| out_of_range(name)),
    }
}

fn out_of_range(name: &str) -> Problem {
    if name == "until" {
        let detail = "until is a number of seconds since 1970.";
        return Problem::bad_request(
            detail,
            "Leave until out to keep the value until it is removed.",
        );
    }
    let most = if name == "ttl" { usize::from(u16::MAX) } else { MAX_NODES };
    let unit = if name == "ttl" { "seconds" } else { "nodes" };
    Problem::bad_request(
        format!("{name} is a number of {unit} from 1 to {most}."),
        format!("Leave {name} out to take what the node is set to."),
    )
}

/// Whether a client accepts this media type by name.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let fields =
        headers.get_all(header::ACCEPT).into_iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|range| {
        let name = range.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case(media_type)
    })
}

/// An entity tag: the SHA-256 of a value or an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(pub(crate) [u8; 32]);

impl std::fmt::Display for EntityTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl EntityTag {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("W/").unwrap_or(text);
        let digits = text.strip_prefix('"')?.strip_suffix('"')?;
        HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// Whether If-None-Match says that the client has this already.
    pub(crate) fn is_known(self, headers: &HeaderMap) -> bool {
        let fields = headers.get_all(header::IF_NONE_MATCH).into_iter();
        let fields = fields.filter_map(|field| field.to_str().ok());
        fields
            .flat_map(|field| field.split(','))
            .any(|tag| tag.trim() == "*" || Self::parse(tag.trim()) == Some(self))
    }
}

/// On what condition an envelope is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// None.
    Always,
    /// This one is the newest.
    Newest(EntityTag),
    /// There is none.
    Nothing,
}

impl Condition {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name| headers.get(name).map(|field| field.to_str().unwrap_or_default().trim());
        match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
            (None, None) => Ok(Self::Always),
            (None, Some("*")) => Ok(Self::Nothing),
            (Some(tag), None) => {
                EntityTag::parse(tag).map(Self::Newest).ok_or_else(Self::misunderstood)
            }
            _ => Err(Self::misunderstood()),
        }
    }

    /// Refuses any: a condition that is passed over would overwrite what it is to protect.
    pub(crate) fn refuse(headers: &HeaderMap) -> Result<(), Problem> {
        match Self::of(headers) {
            Ok(Self::Always) => Ok(()),
            _ => Err(Problem::bad_request(
                "Only signed values can be put on a condition.",
                "PUT /v1/signed takes If-Match and If-None-Match: *.",
            )),
        }
    }

    fn misunderstood() -> Problem {
        Problem::bad_request(
            "The condition cannot be understood.",
            "Either If-Match with the ETag that was read before, or If-None-Match: *.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_digits_or_the_hash_of_words() {
        let key = Key::of_value(b"hello, world/\xff");
        assert_eq!(key_of_words(&uri("/v1/text/hello,%20world%2F%ff")), key);
        assert_eq!(key_of_digits(&uri(&format!("/v1/values/{key}/events"))), Ok(key));
        for wrong in ["/v1/values/", "/v1/values/12", "/v1/values/%ff", "/v1/values/hello"] {
            assert!(key_of_digits(&uri(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn terms_keep_to_their_range() {
        let terms = |query: &str| Terms::of(&uri(&format!("/v1/text/a{query}")));
        let full = Terms { ttl: Some(Duration::from_secs(60)), replication: Some(20) };
        assert_eq!(terms("?ttl=60&replication=20"), Ok(full));
        assert_eq!(terms(""), Ok(Terms::default()));
        assert_eq!(terms("?ttl="), Ok(Terms::default()));
        for wrong in [
            "?ttl=0",
            "?ttl=65536",
            "?ttl=+1",
            "?replication=21",
            "?ttl=1&ttl=2",
            "?life=3",
            "?ttl=x",
        ] {
            assert!(terms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn conditions_are_understood_or_refused() {
        let tag = EntityTag([0xab; 32]);
        let of = |fields: &[(&'static str, String)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(Condition::of(&of(&[])), Ok(Condition::Always));
        let headers = of(&[("if-match", tag.to_string())]);
        assert_eq!(Condition::of(&headers), Ok(Condition::Newest(tag)));
        assert!(Condition::refuse(&headers).is_err());
        let headers = of(&[("if-none-match", "*".into())]);
        assert_eq!(Condition::of(&headers), Ok(Condition::Nothing));
        assert!(tag.is_known(&headers));
        let headers = of(&[("if-none-match", format!("\"x\", W/{tag}"))]);
        assert!(Condition::of(&headers).is_err() && tag.is_known(&headers));
        assert!(Condition::of(&of(&[("if-match", "*".into())])).is_err());
    }

    #[test]
    fn a_media_type_is_accepted_by_name_only() {
        let mut headers = HeaderMap::new();
        assert!(!accepts(&headers, "application/json"));
        headers.insert("accept", "*/*".parse().unwrap());
        assert!(!accepts(&headers, "application/json"));
        headers.insert("accept", "text/html, Application/JSON;q=0.9".parse().unwrap());
        assert!(accepts(&headers, "application/json"));
    }
}
