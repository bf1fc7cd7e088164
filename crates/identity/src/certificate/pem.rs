//! The two forms of a pushed certificate, and its length (PROTOCOL, section 2).
//!
//! The PEM reader takes what a PEM writer makes (RFC 7468, section 3, the strict form) and nothing
//! around it: text before, after or between the lines would be bytes that were never compared.

use std::borrow::Cow;

use data_encoding::BASE64;
use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;

use super::error::CertificateError;

const FIRST_LINE: &[u8] = b"-----BEGIN CERTIFICATE-----";
const LAST_LINE: &[u8] = b"-----END CERTIFICATE-----";
/// Base64 characters in a line, in the strict form.
const LINE_CHARACTERS: usize = 64;
/// DER's SEQUENCE: the first byte of a certificate.
const DER_START: u8 = 0x30;

/// Reads the length that precedes a pushed certificate, before anything is allocated for it.
///
/// # Errors
/// [`CertificateError::Empty`] and [`CertificateError::TooLong`].
pub fn pushed_length(prefix: [u8; 4]) -> Result<usize, CertificateError> {
    check_length(u32::from_be_bytes(prefix) as usize)
}

pub(super) fn check_length(length: usize) -> Result<usize, CertificateError> {
    match length {
        0 => Err(CertificateError::Empty),
        1..=MAX_CERTIFICATE_BYTES => Ok(length),
        _ => Err(CertificateError::TooLong(length as u64)),
    }
}

/// The DER in what was pushed.
pub(super) fn sniff(pushed: &[u8]) -> Result<Cow<'_, [u8]>, CertificateError> {
    check_length(pushed.len())?;
    if pushed[0] == DER_START {
        Ok(Cow::Borrowed(pushed))
    } else if pushed.starts_with(FIRST_LINE) {
        decode(&pushed[FIRST_LINE.len()..]).map(Cow::Owned)
    } else {
        Err(CertificateError::NeitherPemNorDer)
    }
}

/// Decodes what follows the first line's text.
fn decode(text: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let end = text
        .windows(LAST_LINE.len())
        .position(|window| window == LAST_LINE)
        .ok_or(CertificateError::PemForm)?;
    if !matches!(&text[end + LAST_LINE.len()..], b"" | b"\n" | b"\r\n") {
        return Err(CertificateError::PemTrailing);
    }
    // The first line's end, the lines, and an empty piece after the last one's end.
    let mut lines = text[..end].split(|byte| *byte == b'\n').map(without_return);
    let body: Vec<&[u8]> = match (lines.next(), lines.next_back()) {
        (Some(b""), Some(b"")) => lines.collect(),
        _ => return Err(CertificateError::PemForm),
    };
    let full = body.len().saturating_sub(1);
    if body.iter().take(full).any(|line| line.len() != LINE_CHARACTERS)
        || body.last().is_none_or(|line| line.is_empty() || line.len() > LINE_CHARACTERS)
    {
        return Err(CertificateError::PemForm);
    }
    BASE64.decode(&body.concat()).map_err(|_| CertificateError::PemBase64)
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Writes DER as PEM, lines ended by a single line feed.
pub(crate) fn encode(der: &[u8]) -> Vec<u8> {
    let base64 = BASE64.encode(der);
    let mut pem = Vec::with_capacity(base64.len() + base64.len() / LINE_CHARACTERS + 64);
    pem.extend_from_slice(FIRST_LINE);
    pem.push(b'\n');
    for line in base64.as_bytes().chunks(LINE_CHARACTERS) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(LAST_LINE);
    pem.push(b'\n');
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_with_either_line_end() {
        for length in [1, 47, 48, 49, 96, 1000] {
            let der: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let pem = encode(&der);
            assert_eq!(sniff(&pem).as_deref(), Ok(&der[..]));
            let text = String::from_utf8(pem).unwrap();
            assert_eq!(sniff(text.replace('\n', "\r\n").as_bytes()).as_deref(), Ok(&der[..]));
            assert_eq!(sniff(text.trim_end().as_bytes()).as_deref(), Ok(&der[..]));
        }
    }

    #[test]
    fn junk_is_refused_wherever_it_stands() {
        let pem = String::from_utf8(encode(&[7; 100])).unwrap();
        let body = pem.lines().nth(1).unwrap();
        for (what, text, expected) in [
            ("before", format!("x\n{pem}"), CertificateError::NeitherPemNorDer),
            ("a space before", format!(" {pem}"), CertificateError::NeitherPemNorDer),
            ("after", format!("{pem}x"), CertificateError::PemTrailing),
            ("an empty line after", format!("{pem}\n"), CertificateError::PemTrailing),
            ("a second certificate", format!("{pem}{pem}"), CertificateError::PemTrailing),
            ("no end", pem.replace("END", "FIN"), CertificateError::PemForm),
            ("on the first line", pem.replacen("-\n", "-x\n", 1), CertificateError::PemForm),
            ("a header", pem.replacen('\n', "\nA: b\n\n", 1), CertificateError::PemForm),
            ("an empty line", pem.replacen('\n', "\n\n", 1), CertificateError::PemForm),
            ("nothing inside", pem.lines().filter(|l| l.starts_with('-')).collect(), {
                CertificateError::PemForm
            }),
            ("a short line", pem.replace(body, &body[..60]), CertificateError::PemForm),
            ("not Base64", pem.replace(body, &body.replace('B', "!")), {
                CertificateError::PemBase64
            }),
        ] {
            assert_eq!(sniff(text.as_bytes()), Err(expected), "{what}");
        }
    }

    #[test]
    fn a_length_is_judged_before_its_bytes_come() {
        let max = MAX_CERTIFICATE_BYTES as u32;
        assert_eq!(pushed_length(0u32.to_be_bytes()), Err(CertificateError::Empty));
        assert_eq!(pushed_length(1u32.to_be_bytes()), Ok(1));
        assert_eq!(pushed_length(max.to_be_bytes()), Ok(MAX_CERTIFICATE_BYTES));
        for length in [max + 1, u32::MAX] {
            assert_eq!(
                pushed_length(length.to_be_bytes()),
                Err(CertificateError::TooLong(length.into()))
            );
        }
    }
}
