//! Tokens as text, and texts beside each other.

use quote::ToTokens;

/// Tokens on one line, spaced as rustfmt does, mostly.
pub(crate) fn tidy(tokens: impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" < ", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" :", ":"),
        (" ;", ";"),
        ("[ ", "["),
        (" ]", "]"),
        (" ?", "?"),
        (",)", ")"),
        ("->(", "-> ("),
        ("=(", "= ("),
        ("+(", "+ ("),
        (",(", ", ("),
    ] {
        text = text.replace(from, to);
    }
    text.replace(")->", ") ->")
}

/// The first line that differs, if any.
pub(crate) fn first_difference(listed: &str, now: &str) -> Option<String> {
    let (mut old, mut new) = (listed.lines(), now.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => return None,
            (old, new) if old == new => {}
            (old, new) => {
                let text = |line: Option<&str>| line.unwrap_or("(the end)").to_owned();
                return Some(format!(
                    "line {number}\n  listed: {}\n  now:    {}",
                    text(old),
                    text(new)
                ));
            }
        }
    }
}
