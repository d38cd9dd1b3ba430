//! A batch's body, cut into pieces as its octets come: the recipients of a JSON object, or the lines of NDJSON.
//!
//! Pure: octets in, pieces out; knows no socket and no engine. What is kept is the piece that is not whole yet and, of an
//! object, everything but its recipients; both are bounded, whatever comes. Invariant: the pieces do not depend on where
//! the octets were cut.
//!
//! # Limits
//! The values beside `to` are only told apart here; whether they are JSON is judged when all of them are there.

/// Longest recipient as it is written, quotes included: no number is a tenth as long.
const MAX_RECIPIENT: usize = 256;
/// Longest name of a field as it is written.
const MAX_NAME: usize = 1024;

/// Why a body cannot be taken. Nothing of it is repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON, or not one object whose `to` is a list of texts, there once.
    Json,
    /// It ended in the middle.
    Early,
    /// What stands beside the recipients is longer than a body may be.
    TooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// Behind `{`: a name or the end.
    First,
    /// Behind `,`: a name.
    Name,
    InName,
    Colon,
    Value,
    InValue,
    /// Behind a value: `,` or the end.
    Comma,
    /// Behind `[` of `to`: a recipient or the end of the list.
    FirstTo,
    To,
    InTo,
    CommaTo,
    End,
}

/// One value on its way, as it is written.
#[derive(Debug, Default)]
struct Raw {
    octets: Vec<u8>,
    depth: u32,
    is_text: bool,
    is_escaped: bool,
}

enum Ended {
    No,
    /// With this octet.
    With,
    /// Before this octet, which belongs to what follows.
    Before,
}

impl Raw {
    fn begin(&mut self, octet: u8) {
        self.octets.clear();
        self.octets.push(octet);
        self.depth = u32::from(matches!(octet, b'{' | b'['));
        self.is_text = octet == b'"';
        self.is_escaped = false;
    }

    fn take(&mut self, octet: u8) -> Ended {
        if self.is_text {
            self.octets.push(octet);
            if self.is_escaped {
                self.is_escaped = false;
            } else if octet == b'\\' {
                self.is_escaped = true;
            } else if octet == b'"' {
                self.is_text = false;
                if self.depth == 0 {
                    return Ended::With;
                }
            }
            return Ended::No;
        }
        if self.depth == 0 && (is_space(octet) || matches!(octet, b',' | b']' | b'}')) {
            return Ended::Before;
        }
        self.octets.push(octet);
        match octet {
            b'"' => self.is_text = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Ended::With;
                }
            }
            _ => {}
        }
        Ended::No
    }
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// An object with a list of recipients.
#[derive(Debug)]
pub(crate) struct ObjectScanner {
    at: At,
    raw: Raw,
    has_recipients: bool,
    common: Vec<u8>,
    most: usize,
    recipients: Vec<String>,
}

impl ObjectScanner {
    /// Everything but the recipients may take up to `most` octets.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            at: At::Start,
            raw: Raw::default(),
            has_recipients: false,
            common: vec![b'{'],
            most,
            recipients: Vec::new(),
        }
    }

    /// Takes what came; the recipients in it are then in [`ObjectScanner::recipients`].
    pub(crate) fn feed(&mut self, octets: &[u8]) -> Result<(), Fault> {
        octets.iter().try_for_each(|octet| self.take(*octet))
    }

    /// The recipients since the last call, as written in the list.
    pub(crate) fn recipients(&mut self) -> std::vec::Drain<'_, String> {
        self.recipients.drain(..)
    }

    /// The object without its list of recipients, once all has come.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Fault> {
        if self.at != At::End {
            return Err(Fault::Early);
        }
        self.common.push(b'}');
        Ok(self.common)
    }

    fn take(&mut self, octet: u8) -> Result<(), Fault> {
        let inside = matches!(self.at, At::InName | At::InValue | At::InTo);
        if is_space(octet) && !inside {
            return Ok(());
        }
        self.at = match self.at {
            At::Start if octet == b'{' => At::First,
            At::First if octet == b'}' => At::End,
            At::First | At::Name if octet == b'"' => {
                self.raw.begin(octet);
                At::InName
            }
            At::InName => match self.raw.take(octet) {
                Ended::With => At::Colon,
                Ended::No | Ended::Before if self.raw.octets.len() > MAX_NAME => return Err(Fault::TooLarge),
                Ended::No | Ended::Before => At::InName,
            },
            At::Colon if octet == b':' => At::Value,
            At::Value if octet == b'[' && self.is_to()? => {
                if std::mem::replace(&mut self.has_recipients, true) {
                    return Err(Fault::Json);
                }
                At::FirstTo
            }
            At::Value if matches!(octet, b',' | b':' | b']' | b'}') => return Err(Fault::Json),
            At::Value => {
                if self.common.len() > 1 {
                    self.common.push(b',');
                }
                self.common.extend_from_slice(&self.raw.octets);
                self.common.push(b':');
                self.raw.begin(octet);
                At::InValue
            }
            At::InValue => match self.raw.take(octet) {
                Ended::No if self.common.len().saturating_add(self.raw.octets.len()) > self.most => {
                    return Err(Fault::TooLarge);
                }
                Ended::No => At::InValue,
                Ended::With => self.value_ended()?,
                Ended::Before => {
                    self.at = self.value_ended()?;
                    return self.take(octet);
                }
            },
            At::Comma if octet == b',' => At::Name,
            At::Comma if octet == b'}' => At::End,
            At::FirstTo | At::CommaTo if octet == b']' => At::Comma,
            At::CommaTo if octet == b',' => At::To,
            At::FirstTo | At::To if octet == b'"' => {
                self.raw.begin(octet);
                At::InTo
            }
            At::InTo => match self.raw.take(octet) {
                Ended::With => {
                    let recipient = serde_json::from_slice(&self.raw.octets).map_err(|_| Fault::Json)?;
                    self.recipients.push(recipient);
                    At::CommaTo
                }
                Ended::No | Ended::Before if self.raw.octets.len() > MAX_RECIPIENT => {
                    return Err(Fault::Json);
                }
                Ended::No | Ended::Before => At::InTo,
            },
            At::Start
            | At::First
            | At::Name
            | At::Colon
            | At::Comma
            | At::FirstTo
            | At::To
            | At::CommaTo
            | At::End => return Err(Fault::Json),
        };
        Ok(())
    }

    fn value_ended(&mut self) -> Result<At, Fault> {
        self.common.extend_from_slice(&self.raw.octets);
        if self.common.len() > self.most {
            return Err(Fault::TooLarge);
        }
        Ok(At::Comma)
    }

    /// Whether the name that was just read is `to`, in whatever escapes it is written.
    fn is_to(&self) -> Result<bool, Fault> {
        let name: String = serde_json::from_slice(&self.raw.octets).map_err(|_| Fault::Json)?;
        Ok(name == "to")
    }
}

/// A line of NDJSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// As it is written, without its end.
    Whole(Vec<u8>),
    /// Longer than a line may be; thrown away.
    TooLong,
}

/// Lines of NDJSON. Empty ones count as lines and are passed over.
#[derive(Debug)]
pub(crate) struct LineScanner {
    line: Vec<u8>,
    number: u32,
    is_too_long: bool,
    most: usize,
    lines: Vec<(u32, Line)>,
}

impl LineScanner {
    /// A line may take up to `most` octets.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            line: Vec::new(),
            number: 1,
            is_too_long: false,
            most,
            lines: Vec::new(),
        }
    }

    /// Takes what came; the lines that ended in it are then in [`LineScanner::lines`].
    pub(crate) fn feed(&mut self, octets: &[u8]) {
        let mut pieces = octets.split(|octet| *octet == b'\n');
        if let Some(first) = pieces.next() {
            self.extend(first);
        }
        for piece in pieces {
            self.end_line();
            self.extend(piece);
        }
    }

    /// The last line may lack its end.
    pub(crate) fn finish(&mut self) {
        self.end_line();
    }

    /// Lines that ended since the last call, with their numbers from 1.
    pub(crate) fn lines(&mut self) -> std::vec::Drain<'_, (u32, Line)> {
        self.lines.drain(..)
    }

    fn extend(&mut self, octets: &[u8]) {
        if self.is_too_long || self.line.len().saturating_add(octets.len()) > self.most {
            self.is_too_long = true;
            self.line.clear();
        } else {
            self.line.extend_from_slice(octets);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_too_long) {
            self.lines.push((self.number, Line::TooLong));
        } else if !line.trim_ascii().is_empty() {
            self.lines.push((self.number, Line::Whole(line)));
        }
        self.number = self.number.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(octets: &[u8], cut: usize) -> Result<(Vec<String>, serde_json::Value), Fault> {
        let mut scanner = ObjectScanner::new(10_000);
        let mut recipients = Vec::new();
        for piece in octets.chunks(cut.max(1)) {
            scanner.feed(piece)?;
            recipients.extend(scanner.recipients());
        }
        let common = scanner.finish()?;
        Ok((
            recipients,
            serde_json::from_slice(&common).map_err(|_| Fault::Json)?,
        ))
    }

    #[test]
    fn recipients_come_one_by_one_and_the_rest_stays_an_object() {
        let body = br#" { "text" : "a\"]},{[" , "t\u006f":["1" , "\u0032","3"],"tags":["x",["to"],{"to":[]}],"max_parts":3, "flash":true } "#;
        for cut in 1..body.len() {
            let (recipients, common) = scan(body, cut).unwrap();
            assert_eq!(recipients, ["1", "2", "3"], "cut {cut}");
            let expected = serde_json::json!({"text": "a\"]},{[", "tags": ["x", ["to"], {"to": []}], "max_parts": 3, "flash": true});
            assert_eq!(common, expected);
        }
        assert_eq!(scan(br#"{"to":[]}"#, 3).unwrap().0, Vec::<String>::new());
        assert_eq!(scan(b"{}", 1).unwrap().1, serde_json::json!({}));
        // Not a list: left for whoever reads the fields.
        assert_eq!(
            scan(br#"{"to":"1"}"#, 1).unwrap().1,
            serde_json::json!({"to": "1"})
        );
    }

    #[test]
    fn what_is_no_such_object_is_told() {
        for (body, fault) in [
            (&b""[..], Fault::Early),
            (b"[]", Fault::Json),
            (b"{\"to\":[\"1\"", Fault::Early),
            (b"{\"to\":[\"1\",]}", Fault::Json),
            (b"{\"to\":[,\"1\"]}", Fault::Json),
            (b"{\"to\":[\"1\" \"2\"]}", Fault::Json),
            (b"{\"to\":[1]}", Fault::Json),
            (b"{\"to\":[null]}", Fault::Json),
            (b"{\"to\":[\"1\"],\"to\":[\"2\"]}", Fault::Json),
            (b"{\"to\":[\"1\"]} x", Fault::Json),
            (b"{\"to\":[\"1\"],}", Fault::Json),
            (b"{\"a\":nul}", Fault::Json),
            (b"{\"a\":1]", Fault::Json),
            (b"{\"a\" 1}", Fault::Json),
            (b"{\"a\":}", Fault::Json),
            (b"{\"to\":[\"\xff\"]}", Fault::Json),
        ] {
            assert_eq!(scan(body, 2), Err(fault), "{}", String::from_utf8_lossy(body));
        }
        let long = format!("{{\"to\":[\"{}\"]}}", "1".repeat(300));
        assert_eq!(scan(long.as_bytes(), 7), Err(Fault::Json));
        let mut scanner = ObjectScanner::new(100);
        let long = format!("{{\"text\":\"{}", "x".repeat(200));
        assert_eq!(scanner.feed(long.as_bytes()), Err(Fault::TooLarge));
    }

    #[test]
    fn a_line_that_is_too_long_is_one_refusal_and_its_neighbours_are_whole() {
        let body = b"{}\r\n\n  \n0123456789x\nlast";
        for cut in 1..body.len() {
            let mut scanner = LineScanner::new(10);
            body.chunks(cut).for_each(|piece| scanner.feed(piece));
            scanner.finish();
            let lines: Vec<_> = scanner.lines().collect();
            let whole = |text: &[u8]| Line::Whole(text.to_vec());
            assert_eq!(
                lines,
                [(1, whole(b"{}\r")), (4, Line::TooLong), (5, whole(b"last"))]
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_the_scanner_agrees_with_a_whole_reader(
            to in prop::collection::vec(any::<String>(), 0..5), text in any::<String>(), cut in 1usize..40, pretty in any::<bool>(),
        ) {
            let whole = serde_json::json!({"to": to, "text": text, "n": [1, {"x": text}]});
            let body = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.unwrap();
            match scan(body.as_bytes(), cut) {
                Ok((recipients, common)) => {
                    prop_assert_eq!(recipients, to);
                    prop_assert_eq!(&common["text"], &whole["text"]);
                    prop_assert_eq!(&common["n"], &whole["n"]);
                }
                Err(fault) => {
                    prop_assert_eq!(fault, Fault::Json);
                    prop_assert!(to.iter().any(|to| serde_json::to_string(to).unwrap().len() > MAX_RECIPIENT));
                }
            }
        }

        #[test]
        fn no_octets_make_it_panic_or_keep_more_than_it_may(octets in prop::collection::vec(any::<u8>(), 0..400), cut in 1usize..50) {
            let mut scanner = ObjectScanner::new(64);
            for piece in octets.chunks(cut) {
                if scanner.feed(piece).is_err() {
                    break;
                }
                prop_assert!(scanner.common.len() + scanner.raw.octets.len() <= 64 + MAX_NAME + MAX_RECIPIENT);
            }
        }
    }
}
