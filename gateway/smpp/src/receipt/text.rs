//! The text of a receipt (Appendix B of SMPP 3.4), as carriers bend it.
//!
//! Finds labels in any case and any order, values with blanks before them, a state without its label, dates and counts
//! that are anything. Judges nothing (`super` does). Invariant: reads every octet a bounded number of times.

use super::state::StateMap;
use crate::{message_id, receipt::ReceiptState};

/// The labels of Appendix B. `text` is last: what follows it is not searched.
pub(super) const LABELS: [&[u8]; 8] = [
    b"id:",
    b"sub:",
    b"dlvrd:",
    b"submit date:",
    b"done date:",
    b"stat:",
    b"err:",
    b"text:",
];

#[derive(Debug, Default)]
pub(super) struct TextReceipt {
    /// In its canonical form.
    pub(super) id: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) dlvrd: Option<String>,
    pub(super) submit_date: Option<String>,
    pub(super) done_date: Option<String>,
    pub(super) stat: Option<String>,
    pub(super) err: Option<String>,
    pub(super) text: Option<Vec<u8>>,
    /// The state had no label.
    pub(super) unlabelled: bool,
    /// A value ended in octets that are no text.
    pub(super) trailing: bool,
}

impl TextReceipt {
    pub(super) fn parse(payload: &[u8], states: &StateMap) -> Self {
        let narrowed = narrow(payload);
        let payload = narrowed.as_deref().unwrap_or(payload);
        let (fields, text) = match find(payload, b"text:") {
            Some(at) => payload.split_at_checked(at).unwrap_or((payload, &[])),
            None => (payload, &[][..]),
        };
        let mut trailing = false;
        let mut value = |label: &[u8]| {
            let (word, whole) = printable(value_of(fields, label)?);
            trailing |= !whole;
            (!word.is_empty()).then(|| word.iter().copied().map(char::from).collect::<String>())
        };
        let labelled = value(b"stat:");
        let mut read = Self {
            sub: value(b"sub:"),
            dlvrd: value(b"dlvrd:"),
            submit_date: value(b"submit date:"),
            done_date: value(b"done date:"),
            err: value(b"err:"),
            ..Self::default()
        };
        read.trailing = trailing;
        read.id = value_of(fields, b"id:")
            .map(message_id::canonical)
            .filter(|id| !id.is_empty());
        read.text = text.get(b"text:".len()..).map(<[u8]>::to_vec);
        read.unlabelled = labelled.is_none();
        // Some leave the label out: the state then stands between the fields. Numbers are everywhere in them, so only
        // words count.
        read.stat = labelled.or_else(|| {
            fields
                .split(|byte| byte.is_ascii_whitespace())
                .filter(|word| !word.is_empty() && word.iter().all(u8::is_ascii_alphabetic))
                .filter_map(|word| std::str::from_utf8(word).ok())
                .find(|word| states.of_word(word) != ReceiptState::Unrecognised)
                .map(str::to_owned)
        });
        read.unlabelled &= read.stat.is_some();
        read
    }

    /// Whether a field of Appendix B is missing.
    pub(super) const fn is_incomplete(&self) -> bool {
        self.id.is_none()
            || self.sub.is_none()
            || self.dlvrd.is_none()
            || self.submit_date.is_none()
            || self.done_date.is_none()
            || self.stat.is_none()
            || self.err.is_none()
            || self.text.is_none()
    }
}

/// Whether a text has the whole form of Appendix B: the id first, both dates and a state. People do not write that by
/// accident, but they can on purpose.
pub(super) fn is_whole_form(payload: &[u8]) -> bool {
    let narrowed = narrow(payload);
    let payload = narrowed.as_deref().unwrap_or(payload);
    starts_with(payload, b"id:")
        && [&b"submit date:"[..], b"done date:", b"stat:"]
            .into_iter()
            .all(|label| find(payload, label).is_some())
}

/// The word after a label; the next label is no value.
fn value_of<'a>(fields: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    let value = fields
        .get(find(fields, label)?.saturating_add(label.len())..)?
        .trim_ascii_start();
    let is_label = LABELS.iter().any(|label| starts_with(value, label));
    let word = first_word(value);
    (!word.is_empty() && !is_label).then_some(word)
}

/// The printable beginning, and whether that is all.
fn printable(word: &[u8]) -> (&[u8], bool) {
    match word.iter().position(|byte| !byte.is_ascii_graphic()) {
        Some(at) => (word.get(..at).unwrap_or(&[]), false),
        None => (word, true),
    }
}

/// UCS-2 of ASCII, made ASCII.
fn narrow(payload: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = payload.as_chunks::<2>() else {
        return None;
    };
    let wide = !pairs.is_empty() && pairs.iter().all(|[high, _]| *high == 0);
    wide.then(|| pairs.iter().map(|[_, low]| *low).collect())
}

fn starts_with(bytes: &[u8], label: &[u8]) -> bool {
    bytes
        .get(..label.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(label))
}

/// Where a label stands that is not the end of a longer word.
fn find(bytes: &[u8], label: &[u8]) -> Option<usize> {
    let mut before = None;
    for (at, byte) in bytes.iter().enumerate() {
        let inside = before.is_some_and(|byte: u8| byte.is_ascii_alphanumeric());
        if !inside && starts_with(bytes.get(at..).unwrap_or(&[]), label) {
            return Some(at);
        }
        before = Some(*byte);
    }
    None
}

fn first_word(bytes: &[u8]) -> &[u8] {
    bytes
        .split(|byte| byte.is_ascii_whitespace() || *byte == 0)
        .next()
        .unwrap_or(&[])
}
