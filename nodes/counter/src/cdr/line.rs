//! One line for one event.
//!
//! ```text
//! csv    2026-11-21 17:38:52.364,mt_sent,0198…,acme,alpha,3,63103,491700000001,order-7,A7,1,1,otp,,,12
//! json   {"time":"2026-11-21 17:38:52.364","event":"mt_sent","id":"0198…",…}
//! ```
//! CSV as RFC 4180 has it: a value with a comma, a quote or an end of line stands in quotes, a quote in it is doubled, and
//! lines end in CR LF. Lines of JSON end in LF. Pure.
//!
//! Invariant LN-1: an event is one record, whatever its words hold: nothing of them ends a value or a line.

use jiff::tz::TimeZone;
use smsgw_config::{CdrColumn, CdrFormat, CdrNumbers, CdrSection};
use smsgw_message::{Address, Event, Timestamp};
use std::fmt::{Display, Write};

/// Digits of a number that are not written when numbers are masked.
const MASKED: usize = 4;

/// Writes lines as the configuration has them.
#[derive(Debug)]
pub(super) struct Lines {
    section: CdrSection,
    /// The last second, as text: events come in their order, nearly.
    second: (i64, String),
}

impl Lines {
    pub(super) fn new(section: CdrSection) -> Self {
        Self {
            section,
            second: (i64::MIN, String::new()),
        }
    }

    /// What stands at the head of a file.
    pub(super) fn head(&self) -> String {
        match self.section.format {
            CdrFormat::Csv if self.section.header => {
                let names: Vec<&str> = self
                    .section
                    .columns
                    .iter()
                    .map(|column| column.as_str())
                    .collect();
                format!("{}\r\n", names.join(","))
            }
            CdrFormat::Csv | CdrFormat::Json => String::new(),
        }
    }

    /// Adds the line of an event.
    pub(super) fn write(&mut self, event: &Event, out: &mut String) {
        self.time(event.at);
        match self.section.format {
            CdrFormat::Csv => {
                for (n, column) in self.section.columns.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    let begin = out.len();
                    self.value(*column, event, out);
                    quote(begin, out);
                }
                out.push_str("\r\n");
            }
            CdrFormat::Json => {
                out.push('{');
                let mut comma = "";
                let mut value = String::new();
                for column in &self.section.columns {
                    value.clear();
                    if !self.value(*column, event, &mut value) {
                        continue;
                    }
                    let is_number = match column {
                        CdrColumn::Part
                        | CdrColumn::Parts
                        | CdrColumn::Route
                        | CdrColumn::Age
                        | CdrColumn::AfterSent => true,
                        CdrColumn::Time
                        | CdrColumn::Event
                        | CdrColumn::Id
                        | CdrColumn::Client
                        | CdrColumn::Operator
                        | CdrColumn::Link
                        | CdrColumn::From
                        | CdrColumn::To
                        | CdrColumn::Class
                        | CdrColumn::Reference
                        | CdrColumn::CarrierId
                        | CdrColumn::State
                        | CdrColumn::Error
                        | CdrColumn::Encoding
                        | CdrColumn::Tags
                        | CdrColumn::Text => false,
                    };
                    if !is_number {
                        value = serde_json::to_string(&value).expect("a text is valid JSON");
                    }
                    let name = column.as_str();
                    write!(out, "{comma}\"{name}\":{value}").expect(TO_A_STRING);
                    comma = ",";
                }
                out.push_str("}\n");
            }
        }
    }

    fn time(&mut self, at: Timestamp) {
        let second = at.as_millis().div_euclid(1_000);
        if self.second.0 != second {
            let text = jiff::Timestamp::from_second(second).map_or_else(
                // A damaged clock.
                |_| format!("second{second}"),
                |start| {
                    start
                        .to_zoned(TimeZone::UTC)
                        .strftime("%Y-%m-%d %H:%M:%S")
                        .to_string()
                },
            );
            self.second = (second, text);
        }
    }

    /// Adds what an event says in a column; false where it says nothing.
    fn value(&self, column: CdrColumn, event: &Event, out: &mut String) -> bool {
        match column {
            CdrColumn::Time => {
                let millis = event.at.as_millis().rem_euclid(1_000);
                shown(Some(format_args!("{}.{millis:03}", self.second.1)), out)
            }
            CdrColumn::Event => text(Some(event.name.as_str()), out),
            CdrColumn::Id => shown(event.message, out),
            CdrColumn::Part => shown(event.part, out),
            CdrColumn::Parts => shown(Some(event.parts), out),
            CdrColumn::Client => text(event.client.as_ref().map(|id| id.as_str()), out),
            CdrColumn::Operator => text(event.operator.as_ref().map(|id| id.as_str()), out),
            CdrColumn::Link => text(event.link.as_ref().map(|id| id.as_str()), out),
            CdrColumn::Route => shown(event.route, out),
            CdrColumn::From => self.number(event.from.as_ref(), out),
            CdrColumn::To => self.number(event.to.as_ref(), out),
            CdrColumn::Class => text(event.class.map(|class| class.as_str()), out),
            CdrColumn::Reference => text(event.reference.as_deref(), out),
            CdrColumn::CarrierId => text(event.carrier_id.as_deref(), out),
            CdrColumn::State => text(event.state.map(|state| state.as_str()), out),
            CdrColumn::Error => text(event.error.as_deref(), out),
            CdrColumn::Age => shown(event.age_ms, out),
            CdrColumn::AfterSent => shown(event.after_sent_ms, out),
            CdrColumn::Encoding => text(event.encoding.map(|encoding| encoding.as_str()), out),
            CdrColumn::Tags => text(event.tags.as_ref().map(|tags| tags.join(";")).as_deref(), out),
            CdrColumn::Text => text(event.text.as_deref().filter(|_| self.section.text), out),
        }
    }

    fn number(&self, address: Option<&Address>, out: &mut String) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        match (self.section.numbers, address.map(Address::as_str)) {
            (CdrNumbers::Masked, Some(number)) if is_number(number) => {
                let open = number.len().saturating_sub(MASKED);
                out.push_str(number.get(..open).unwrap_or_default());
                out.extend((open..number.len()).map(|_| '*'));
                true
            }
            (CdrNumbers::Full | CdrNumbers::Masked, address) => text(address, out),
        }
    }
}

const TO_A_STRING: &str = "writing to a String cannot fail";

fn text(value: Option<&str>, out: &mut String) -> bool {
    out.push_str(value.unwrap_or_default());
    value.is_some()
}

fn shown(value: Option<impl Display>, out: &mut String) -> bool {
    if let Some(value) = &value {
        write!(out, "{value}").expect(TO_A_STRING);
    }
    value.is_some()
}

/// Puts what stands from `begin` on in quotes where it needs them (RFC 4180 section 2).
fn quote(begin: usize, out: &mut String) {
    let is_special = |octet: u8| matches!(octet, b'"' | b',' | b'\r' | b'\n');
    if out.bytes().skip(begin).any(is_special) {
        let value = out.split_off(begin).replace('"', "\"\"");
        write!(out, "\"{value}\"").expect(TO_A_STRING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::{ClientId, EventName, MessageId};
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const AT: Timestamp = Timestamp::from_millis(1_795_248_001_234);

    fn event(reference: &str) -> Event {
        Event {
            message: Some(MessageId::from_parts(AT, [7; 10])),
            client: Some(ClientId::try_new("acme").unwrap()),
            from: Some(Address::sender("63103").unwrap()),
            to: Some(Address::msisdn("491700000001").unwrap()),
            reference: Some(reference.to_owned()),
            text: Some("secret".to_owned()),
            age_ms: Some(12),
            ..Event::new(AT, EventName::MtSent)
        }
    }

    #[test]
    fn a_line_says_what_its_columns_say() {
        let mut lines = Lines::new(CdrSection::default());
        assert_eq!(lines.head(), "");
        let mut out = String::new();
        lines.write(&event("order-7"), &mut out);
        let id = MessageId::from_parts(AT, [7; 10]);
        assert_eq!(
            out,
            format!("2026-11-21 08:00:01.234,mt_sent,{id},acme,,,63103,491700000001,order-7,,,1,,,,12\r\n")
        );
        let columns = vec![CdrColumn::To, CdrColumn::From, CdrColumn::Text, CdrColumn::Age];
        let section = CdrSection {
            columns,
            numbers: CdrNumbers::Masked,
            header: true,
            ..CdrSection::default()
        };
        let mut lines = Lines::new(section.clone());
        assert_eq!(lines.head(), "to,from,text,age_ms\r\n");
        out.clear();
        lines.write(&event(""), &mut out);
        assert_eq!(
            out, "49170000****,6****,,12\r\n",
            "no text unless it is asked for"
        );
        let mut lines = Lines::new(CdrSection {
            format: CdrFormat::Json,
            text: true,
            ..section
        });
        assert_eq!(lines.head(), "");
        out.clear();
        lines.write(&event(""), &mut out);
        assert_eq!(
            out,
            "{\"to\":\"49170000****\",\"from\":\"6****\",\"text\":\"secret\",\"age_ms\":12}\n"
        );
    }

    /// Another implementation reads what is written: Python's.
    #[test]
    fn whatever_a_client_writes_python_reads_it_back_from_csv_and_json() {
        let wild = [
            "plain",
            "a,b",
            "say \"hi\"",
            "two\r\nlines",
            "\n",
            "\"",
            "\",\"",
            "ü€ 中",
            " space ",
            "=1+1",
            "",
            "tab\t\u{0001}",
        ];
        for (format, program) in [
            (
                CdrFormat::Csv,
                "import csv,sys,io,json\n\
                 text=io.TextIOWrapper(sys.stdin.buffer,'utf-8',newline='')\n\
                 print(json.dumps([row[8] for row in csv.reader(text, strict=True)]))",
            ),
            (
                CdrFormat::Json,
                "import sys,json\n\
                 lines=sys.stdin.buffer.read().decode('utf-8').split('\\n')\n\
                 print(json.dumps([json.loads(line)['reference'] for line in lines if line]))",
            ),
        ] {
            let mut lines = Lines::new(CdrSection {
                format,
                ..CdrSection::default()
            });
            let mut out = String::new();
            wild.iter().for_each(|word| lines.write(&event(word), &mut out));
            let mut python = Command::new("python3")
                .args(["-c", program])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("python3 is installed");
            python.stdin.take().unwrap().write_all(out.as_bytes()).unwrap();
            let said = python.wait_with_output().unwrap();
            let read: Vec<String> = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!(read, wild, "{format}");
        }
    }
}
