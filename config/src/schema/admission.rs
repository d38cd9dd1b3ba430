//! What clients are held to at the accept: `[admission]`, `[list.<name>]`, `[[sender]]`, `[[price]]`.
//!
//! Must not know how a message is judged (the client node and `routing` do) and opens no file: the numbers of a list are
//! put in by whoever reads its file, as passwords are.
//! Invariant: a list that stands here has entries that can be looked up.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smsgw_message::{Address, Encoding, Timestamp};
pub use smsgw_routing::TextPattern;
use smsgw_routing::{Currency, MicroUnits, NumberSet, NumberSetBuilder, SenderPattern};

use crate::section::{Check, between, if_set};
use crate::types::{ClientId, Digits};

/// Longest name of a list, in characters.
const MAX_NAME: usize = 64;

section! {
    /// `[admission]`: what all clients are held to, beside what each of them is held to.
    AdmissionSection {
        /// Lists (`[list.<name>]`) of destinations that are refused with `destination_denied`. Since 0.1.
        deny_to: Vec<ListName> = Vec::new(), Live;
        /// Lists of destinations; when there are any, all others are refused with `destination_denied`. Since 0.1.
        allow_to: Vec<ListName> = Vec::new(), Live;
        /// Regular expressions; a text that one of them is found in is refused with `content_denied`. Since 0.1.
        deny_text: Vec<TextPattern> = Vec::new(), Live;
        /// Characters of a text at most, above it `content_denied`; absent: as many as its parts hold. Since 0.1.
        max_chars: Option<u32> = None, Live where if_set(between(1, 100_000));
        /// Encodings that are allowed, others are refused with `content_denied`; empty or absent: all. Since 0.1.
        encodings: Vec<Encoding> = Vec::new(), Live;
    }
}

section! {
    /// `[list.<name>]`: numbers and prefixes.
    NumberList {
        /// File of one number (`491701234567`) or prefix (`4990*`) a line, `#` begins a comment; a relative path counts from the
        /// configuration file. Read again by every reload when its size or time has changed. Since 0.1.
        file: Option<ListFile> = None, Live;
        /// Numbers and prefixes beside those of the file, written as there. Since 0.1.
        entries: Vec<ListEntry> = Vec::new(), Live;
    }
}

section! {
    /// `[[sender]]`: senders to some destinations; of several, one that names the client is taken before one that names none,
    /// then the longest prefix, then the earlier entry. What it leaves out is as the account has it.
    SenderSection {
        /// First digits of the recipient; empty or absent: any. Since 0.1.
        prefix: Vec<Digits> = Vec::new(), Live;
        /// Only for these clients; empty or absent: all. Since 0.1.
        client: Vec<ClientId> = Vec::new(), Live;
        /// Senders that may be used, in place of the account's `senders`. Since 0.1.
        senders: Vec<SenderPattern> = Vec::new(), Live;
        /// Sender of messages that have none, in place of the account's `default_from`. Since 0.1.
        default_from: Option<String> = None, Live where if_set(is_sender());
        /// Sender of all messages, whatever they ask for. Since 0.1.
        override_from: Option<String> = None, Live where if_set(is_sender());
        /// Whether a sender may be a name; `false`: `sender_denied`. Since 0.1.
        alphanumeric_from: Option<bool> = None, Live;
    }
}

section! {
    /// `[[price]]`: what a part costs; of several, one that names the client is taken before one that names none, then the
    /// longest prefix, then the one that began last, then the earlier entry.
    PriceSection {
        /// First digits of the recipient; empty or absent: any. Since 0.1.
        prefix: Vec<Digits> = Vec::new(), Live;
        /// Only for these clients; empty or absent: all. Since 0.1.
        client: Vec<ClientId> = Vec::new(), Live;
        /// Price of a part, as text so that nothing is rounded. Since 0.1.
        price: MicroUnits = MicroUnits::new(0), Live [required];
        /// Currency of the price. Since 0.1.
        currency: Currency = Currency::EUR, Live [required];
        /// Valid from then on; absent: always was. Since 0.1.
        from: Option<Timestamp> = None, Live;
        /// Not valid from then on; absent: for ever. Since 0.1.
        until: Option<Timestamp> = None, Live;
    }
}

/// A sender that a message can have, or none.
pub(crate) fn is_sender() -> Check<String> {
    Check {
        text: "digits, or a name of at most 11 characters of GSM 7-bit".to_owned(),
        test: Box::new(|text| text.is_empty() || Address::sender(text).is_ok()),
    }
}

/// The address of a sender that [`is_sender`] has checked; an empty one is none.
pub(crate) fn sender_of(text: Option<&str>) -> Option<Address> {
    text.and_then(|text| Address::sender(text).ok())
}

/// Name of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName(String);

impl ListName {
    /// Reads a name: 1 to 64 letters, digits, `.`, `_` or `-`.
    pub fn from_text(text: &str) -> Option<Self> {
        let right = (1..=MAX_NAME).contains(&text.len())
            && text
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet));
        right.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file of a list, and what was read from it. Two are equal when the path and the numbers are: a file that says
/// something else is a change of the configuration, though its path stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    path: PathBuf,
    numbers: Arc<NumberSet>,
}

impl ListFile {
    /// A file that was not read.
    pub fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self {
            path: PathBuf::from(text),
            numbers: Arc::default(),
        })
    }

    /// The file; a relative path counts from the configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was read from it.
    pub fn numbers(&self) -> &Arc<NumberSet> {
        &self.numbers
    }

    pub(crate) fn fill(&mut self, numbers: Arc<NumberSet>) {
        self.numbers = numbers;
    }
}

/// `"spam.txt" (1000 entries)`
impl fmt::Display for ListFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} entries)", self.path, self.numbers.len())
    }
}

/// A number or prefix of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry(String);

impl ListEntry {
    /// Reads `491701234567` or `4990*`.
    pub fn from_text(text: &str) -> Option<Self> {
        NumberSetBuilder::default()
            .entry(text.as_bytes())
            .is_ok()
            .then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NumberList {
    /// The entries that stand in the configuration itself.
    pub fn own_numbers(&self) -> NumberSet {
        let mut builder = NumberSetBuilder::default();
        for entry in &self.entries {
            builder
                .entry(entry.as_str().as_bytes())
                .expect("an entry was read as one");
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_file_with_other_numbers_is_another_value() {
        let file = ListFile::from_text("spam.txt").unwrap();
        let mut filled = file.clone();
        let mut builder = NumberSetBuilder::default();
        builder.line(b"49*").unwrap();
        filled.fill(Arc::new(builder.build()));
        assert_ne!(file, filled);
        assert_eq!(filled.to_string(), "\"spam.txt\" (1 entries)");
    }

    #[test]
    fn entries_and_names_are_checked() {
        assert!(ListEntry::from_text("+4990*").is_some() && ListEntry::from_text("*").is_some());
        for wrong in ["", "+", "49x", "1234567890123456"] {
            assert_eq!(ListEntry::from_text(wrong), None, "{wrong}");
        }
        assert!(ListName::from_text("spam-2.de").is_some());
        for wrong in ["", "a b", "a/b"] {
            assert_eq!(ListName::from_text(wrong), None, "{wrong}");
        }
    }
}
