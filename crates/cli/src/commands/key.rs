//! Parser of keys on the command line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use voiddht_client::Key;

/// 64 hexadecimal digits are a key; of any other text, the SHA-256 is.
pub(super) fn of_text(text: &OsStr) -> Key {
    let written = text.to_str().and_then(|text| text.parse().ok());
    written.unwrap_or_else(|| Key::of_value(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_taken_as_they_are_and_text_is_hashed() {
        let digits = "ab".repeat(32);
        assert_eq!(of_text(OsStr::new(&digits)), Key::from_bytes([0xab; 32]));
        assert_eq!(of_text(OsStr::new(&digits.to_uppercase())), Key::from_bytes([0xab; 32]));
        for text in ["hello", "", &digits[1..], "g".repeat(64).as_str()] {
            assert_eq!(of_text(OsStr::new(text)), Key::of_value(text.as_bytes()), "{text}");
        }
        assert_eq!(of_text(OsStr::from_bytes(b"\xff")), Key::of_value(b"\xff"));
    }
}
