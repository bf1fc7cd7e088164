//! Spans of time as people write them: `"40ms"`, `"1.5h"`, `"1d"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// Units, the longest name first where one ends another.
const UNITS: [(&str, f64); 6] =
    [("us", 1e-6), ("ms", 1e-3), ("min", 60.0), ("s", 1.0), ("h", 3600.0), ("d", 86_400.0)];
/// The longest span that makes sense here: a hundred years.
const MAX_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is no span of time: write a number and us, ms, s, min, h or d, like \"40ms\""
            ))
        })
    }
}

fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let number: f64 = text[..text.len() - unit.len()].trim().parse().ok()?;
    let seconds = number * seconds;
    (0.0..=MAX_SECONDS).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        let ms = |number| Some(Duration::from_millis(number));
        for (text, span) in [
            ("40ms", ms(40)),
            ("0.5 s", ms(500)),
            ("2min", ms(120_000)),
            ("1h", ms(3_600_000)),
            ("1d", ms(86_400_000)),
            ("250us", Some(Duration::from_micros(250))),
            ("0s", ms(0)),
        ] {
            assert_eq!(parse(text), span, "{text}");
        }
        for text in ["", "40", "ms", "-1s", "nans", "infs", "1 week", "999999999d"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
