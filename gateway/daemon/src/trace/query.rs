//! The query of a request, taken apart (`application/x-www-form-urlencoded`). Pure.

/// Longest value; ids are shorter.
const LONGEST: usize = 1024;

/// The value of a key; `None` when it is not there, or is no UTF-8, or too long.
pub(crate) fn value(query: &str, key: &str) -> Option<String> {
    let raw = query
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key))?
        .1;
    decode(raw)
}

fn decode(raw: &str) -> Option<String> {
    if raw.len() > LONGEST {
        return None;
    }
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(octets).ok()
}

/// A value as it stands in a query.
pub(crate) fn encode(value: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(value.len());
    for octet in value.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(octet))
            }
            other => write!(out, "%{other:02X}").expect("writing to a String cannot fail"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["A7-f_1", "a b/c?d=e&f+g%", "ü\u{1}", ""] {
            let query = format!("x=1&id={}&y=2", encode(text));
            assert_eq!(value(&query, "id").as_deref(), Some(text), "{query}");
        }
        assert_eq!(value("id=a+b", "id").as_deref(), Some("a b"));
        for broken in ["id=%", "id=%1", "id=%zz", "id=%ff", "ide=1", "id", ""] {
            assert_eq!(value(broken, "id"), None, "{broken}");
        }
        assert_eq!(value(&format!("id={}", "9".repeat(1025)), "id"), None);
    }
}
