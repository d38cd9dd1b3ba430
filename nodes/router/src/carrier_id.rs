//! In which forms a carrier writes the same id: once in the answer to a submit, once in the receipt.
//!
//! Ids are texts of up to 255 octets, never machine numbers: carriers use more than 64 bits. Two differences are folded
//! away in the key itself (case of hexadecimal digits, leading zeros); the third, another base, is tried out until the
//! carrier's habit is known, and then taken as it.
//!
//! ```text
//! answer 0A7f ──fold──▶ a7f     corr/<group>/a7f      ids as written stand in the value: the exact one goes first
//! receipt 2687 ──hex──▶ a7f     only where the link group does so
//! ```
//! Invariant CI-1: [`fold`] never makes one key of two ids that a carrier could mean as two, as long as it writes numbers:
//! texts that are not hexadecimal are left alone, because base 62 means another id by another case.
//! Invariant CI-2: another base is believed only where the addresses agree too, or where the configuration says so.

use smsgw_config::MessageIds;
use smsgw_message::LinkGroup;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Digits of the longest number that is converted; carriers use up to 23.
const MAX_DIGITS: usize = 64;
/// Unambiguous pairs in a row that make a habit.
const PAIRS: u32 = 3;
/// Receipts in a row that match nothing, after which a habit is doubted.
const MISSES: u32 = 32;

/// How the id of a receipt follows from that of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The same text, but for case and leading zeros.
    Same,
    /// Hexadecimal in the answer, decimal in the receipt.
    HexToDecimal,
    /// Decimal in the answer, hexadecimal in the receipt.
    DecimalToHex,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Same, Self::HexToDecimal, Self::DecimalToHex];

    /// The word in logs, metrics and configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::HexToDecimal => "hex-to-decimal",
            Self::DecimalToHex => "decimal-to-hex",
        }
    }

    /// The folded id of the answer that a receipt with this id belongs to; `None` when it cannot be written so.
    pub(crate) fn answered(self, receipt_id: &str) -> Option<String> {
        match self {
            Self::Same => Some(fold(receipt_id)),
            Self::HexToDecimal => convert(receipt_id, 10, 16),
            Self::DecimalToHex => convert(receipt_id, 16, 10),
        }
    }
}

/// The text under which an id is kept. Hexadecimal digits in lower case, without leading zeros.
pub(crate) fn fold(id: &str) -> String {
    let hexadecimal = id.bytes().all(|octet| octet.is_ascii_hexdigit() || octet == b'-');
    if !hexadecimal {
        return id.to_owned();
    }
    let digits = id.trim_start_matches('0');
    // All zeros, or zeros before a dash: the last one stays.
    if digits.is_empty() || digits.starts_with('-') {
        let zeros = id.len() - digits.len();
        return id
            .get(zeros.saturating_sub(1)..)
            .unwrap_or(id)
            .to_ascii_lowercase();
    }
    digits.to_ascii_lowercase()
}

/// A number in another base, folded. `None` when the text is no such number or too long for one.
fn convert(text: &str, from: u32, to: u32) -> Option<String> {
    if text.is_empty() || text.len() > MAX_DIGITS {
        return None;
    }
    // Digits in the new base, least first.
    let mut digits: Vec<u32> = Vec::with_capacity(text.len() * 2);
    for character in text.chars() {
        let mut carry = character.to_digit(from)?;
        for digit in &mut digits {
            carry += *digit * from;
            *digit = carry % to;
            carry /= to;
        }
        while carry > 0 {
            digits.push(carry % to);
            carry /= to;
        }
    }
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from_digit(*digit, to))
        .collect()
}

/// What is known of a link group's habit.
#[derive(Debug, Default, Clone, Copy)]
struct Habit {
    known: Option<Form>,
    /// The form of the last unambiguous pairs, and how many there were in a row.
    seen: Option<(Form, u32)>,
    misses: u32,
}

/// The habits of all link groups, learnt anew after each start. Bounded by the operators that were ever configured.
#[derive(Debug, Default)]
pub(crate) struct Habits(Mutex<HashMap<LinkGroup, Habit>>);

impl Habits {
    /// The form that is configured or learnt.
    pub(crate) fn known(&self, group: &LinkGroup, configured: MessageIds) -> Option<Form> {
        match configured {
            MessageIds::Auto => self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(group)
                .and_then(|habit| habit.known),
            MessageIds::Same => Some(Form::Same),
            MessageIds::HexToDecimal => Some(Form::HexToDecimal),
            MessageIds::DecimalToHex => Some(Form::DecimalToHex),
        }
    }

    /// The forms to try for a receipt, most likely first.
    pub(crate) fn forms(&self, group: &LinkGroup, configured: MessageIds) -> &'static [Form] {
        match self.known(group, configured) {
            None => &Form::ALL,
            Some(Form::Same) => &[Form::Same],
            // An id that is not in the carrier's base is taken as it stands.
            Some(Form::HexToDecimal) => &[Form::HexToDecimal, Form::Same],
            Some(Form::DecimalToHex) => &[Form::DecimalToHex, Form::Same],
        }
    }

    /// A receipt was matched in this form, and in no other could it have been. Gives the form when it is a habit from now on.
    pub(crate) fn matched(&self, group: &LinkGroup, form: Form) -> Option<Form> {
        let mut habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = habits.entry(group.clone()).or_default();
        habit.misses = 0;
        let pairs = match habit.seen {
            Some((last, pairs)) if last == form => pairs.saturating_add(1),
            Some(_) | None => 1,
        };
        habit.seen = Some((form, pairs));
        if pairs < PAIRS || habit.known == Some(form) {
            return None;
        }
        habit.known = Some(form);
        Some(form)
    }

    /// A receipt matched nothing. Gives the habit that is doubted from now on.
    pub(crate) fn missed(&self, group: &LinkGroup) -> Option<Form> {
        let mut habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = habits.entry(group.clone()).or_default();
        habit.misses = habit.misses.saturating_add(1);
        if habit.misses < MISSES {
            return None;
        }
        let known = habit.known?;
        *habit = Habit::default();
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_that_lost_zeros_or_changed_case_have_one_key() {
        let same = [
            ("0913121205", "913121205"),
            ("04062581461565934000241", "4062581461565934000241"),
            ("1d6a811", "1D6A811"),
            ("0e999f21-aa00-4b1f", "E999F21-AA00-4B1F"),
            ("000024", "24"),
            ("000", "0"),
        ];
        for (answer, receipt) in same {
            assert_eq!(fold(answer), fold(receipt), "{answer} {receipt}");
        }
        let different = [("aB9z", "Ab9z"), ("0xy", "xy"), ("10", "1"), ("0", "")];
        for (one, other) in different {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn another_base_is_read_as_a_number_of_any_length() {
        let table = [
            (Form::HexToDecimal, "2687", Some("a7f")),
            (Form::HexToDecimal, "0002687", Some("a7f")),
            (
                Form::HexToDecimal,
                "4062581461565934000241",
                Some("dc3ba4bad0acc1d871"),
            ),
            (Form::DecimalToHex, "0A7F", Some("2687")),
            (Form::DecimalToHex, "0", Some("0")),
            (Form::HexToDecimal, "a7f", None),
            (Form::DecimalToHex, "xyz", None),
            (Form::DecimalToHex, "", None),
            (Form::Same, "0A7F", Some("a7f")),
        ];
        for (form, receipt, answer) in table {
            assert_eq!(form.answered(receipt).as_deref(), answer, "{form:?} {receipt}");
        }
        assert_eq!(Form::HexToDecimal.answered(&"9".repeat(65)), None);
    }

    proptest! {
        #[test]
        fn the_bases_are_each_others_inverse(number: u128) {
            let (decimal, hex) = (number.to_string(), format!("{number:x}"));
            prop_assert_eq!(Form::HexToDecimal.answered(&decimal), Some(fold(&hex)));
            prop_assert_eq!(Form::DecimalToHex.answered(&hex), Some(fold(&decimal)));
        }

        #[test]
        fn folding_is_done_after_once(id in "[0-9a-fA-F-]{0,20}|\\PC{0,20}") {
            prop_assert_eq!(fold(&fold(&id)), fold(&id));
        }
    }

    #[test]
    fn a_habit_is_learnt_from_pairs_in_a_row_and_doubted_when_nothing_matches() {
        let group = LinkGroup::try_new("alpha").unwrap();
        let habits = Habits::default();
        let auto = |habits: &Habits| habits.forms(&group, MessageIds::Auto).len();
        assert_eq!(auto(&habits), 3);
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None);
        assert_eq!(habits.matched(&group, Form::Same), None);
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None);
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None);
        assert_eq!(
            habits.matched(&group, Form::HexToDecimal),
            Some(Form::HexToDecimal)
        );
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None, "told once");
        assert_eq!(
            habits.forms(&group, MessageIds::Auto),
            [Form::HexToDecimal, Form::Same]
        );
        for _ in 1..MISSES {
            assert_eq!(habits.missed(&group), None);
        }
        assert_eq!(habits.missed(&group), Some(Form::HexToDecimal));
        assert_eq!(auto(&habits), 3);
        assert_eq!(habits.forms(&group, MessageIds::Same), [Form::Same]);
    }
}
