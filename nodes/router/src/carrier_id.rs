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
//! ```text
//!            three pairs of one form in a row            a pair of another form
//! Nothing ──────────────────────────────────────▶ Is(form) ────────────────────▶ Doubted(form)
//!    ▲  └─ three changes of form ─▶ Mixed ◀───────── a pair of the old form ─────────┘  │
//!    │                                └─ 256 of one form in a row ─▶ Is       three of one form ─▶ Is
//!    └── 32 receipts in a row match nothing (from Is)
//! ```
//! What is doubted or mixed has every form tried for each receipt, and proof asked of each match (see `receipt`).
//! Invariant CI-1: [`fold`] never makes one key of two ids that a carrier could mean as two, as long as it writes numbers:
//! texts that are not hexadecimal are left alone, because base 62 means another id by another case.
//! Invariant CI-2: another base is believed only where the addresses agree too, or where the configuration says so.

use smsgw_config::MessageIds;
use smsgw_message::{LinkGroup, fold};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Digits of the longest number that is converted; carriers use up to 23.
const MAX_DIGITS: usize = 64;
/// Unambiguous pairs in a row that make a habit.
const PAIRS: u32 = 3;
/// The same, where a carrier has shown that it mixes forms.
const SETTLED: u32 = 256;
/// Changes from one form to another among unambiguous pairs, after which a carrier mixes them.
const MIXES: u32 = 3;
/// Receipts in a row that match nothing, after which a habit is forgotten.
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

    /// How the id of a receipt follows from that of the answer it was matched with, and whether it can be no other way.
    pub(crate) fn between(answer_id: &str, receipt_id: &str) -> (Self, bool) {
        let folded = fold(answer_id);
        let fits = |form: &Self| form.answered(receipt_id).as_ref() == Some(&folded);
        let mut forms = Self::ALL.into_iter().filter(fits);
        let first = forms.next();
        (
            first.unwrap_or(Self::Same),
            first.is_some() && forms.next().is_none(),
        )
    }

    /// The folded id of the answer that a receipt with this id belongs to; `None` when it cannot be written so.
    pub(crate) fn answered(self, receipt_id: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Same => Some(fold(receipt_id)),
            Self::HexToDecimal => convert(receipt_id, 10, 16).map(Cow::Owned),
            Self::DecimalToHex => convert(receipt_id, 16, 10).map(Cow::Owned),
        }
    }
}

/// A number in another base, folded. `None` when the text is no such number or too long for one.
fn convert(text: &str, from: u32, to: u32) -> Option<String> {
    if text.is_empty() || text.len() > MAX_DIGITS {
        return None;
    }
    if !text.chars().all(|character| character.is_digit(from)) {
        return None;
    }
    // Most are no longer than this.
    if let Ok(number) = u64::from_str_radix(text, from) {
        return Some(match to {
            16 => format!("{number:x}"),
            _ => number.to_string(),
        });
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

/// What is known of how a carrier writes ids.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing yet, or no more.
    #[default]
    Nothing,
    /// In this form, as far as was seen; or so it is configured.
    Is(Form),
    /// In this form, until a receipt in another one proved that not all are.
    Doubted(Form),
    /// Now in one form, now in another.
    Mixed,
}

impl Known {
    /// The forms to try for each receipt, most likely first.
    pub(crate) fn forms(self) -> &'static [Form] {
        match self {
            Self::Is(Form::Same) => &[Form::Same],
            // An id that is not in the carrier's base is taken as it stands.
            Self::Is(Form::HexToDecimal) => &[Form::HexToDecimal, Form::Same],
            Self::Is(Form::DecimalToHex) => &[Form::DecimalToHex, Form::Same],
            Self::Nothing | Self::Doubted(_) | Self::Mixed => self.every_form(),
        }
    }

    /// Every form there is, most likely first.
    pub(crate) fn every_form(self) -> &'static [Form] {
        match self {
            Self::Nothing | Self::Mixed => &Form::ALL,
            Self::Is(form) | Self::Doubted(form) => match form {
                Form::Same => &Form::ALL,
                Form::HexToDecimal => &[Form::HexToDecimal, Form::Same, Form::DecimalToHex],
                Form::DecimalToHex => &[Form::DecimalToHex, Form::Same, Form::HexToDecimal],
            },
        }
    }

    /// Whether a receipt that waits does so where its answer will look.
    pub(crate) fn is_sure(self) -> bool {
        match self {
            Self::Is(_) => true,
            Self::Nothing | Self::Doubted(_) | Self::Mixed => false,
        }
    }

    /// The words on status pages and in logs.
    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Is(form) => Some(form.as_str()),
            Self::Doubted(Form::Same) => Some("same, doubted"),
            Self::Doubted(Form::HexToDecimal) => Some("hex-to-decimal, doubted"),
            Self::Doubted(Form::DecimalToHex) => Some("decimal-to-hex, doubted"),
            Self::Mixed => Some("mixed"),
        }
    }
}

/// What is known of a link group's habit.
#[derive(Debug, Default, Clone, Copy)]
struct Habit {
    known: Known,
    /// The form of the last unambiguous pairs, and how many there were in a row.
    seen: Option<(Form, u32)>,
    /// How often the form has changed since the last habit was learnt.
    switches: u32,
    misses: u32,
    counts: Counts,
}

/// Receipts of a link group since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) matched: u64,
    pub(crate) parked: u64,
    pub(crate) unknown: u64,
}

/// The habits of all link groups, learnt anew after each start. Bounded by the operators that were ever configured.
#[derive(Debug, Default)]
pub(crate) struct Habits(Mutex<HashMap<LinkGroup, Habit>>);

impl Habits {
    /// What is configured or learnt.
    pub(crate) fn known(&self, group: &LinkGroup, configured: MessageIds) -> Known {
        match configured {
            MessageIds::Auto => self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(group)
                .map_or(Known::Nothing, |habit| habit.known),
            MessageIds::Same => Known::Is(Form::Same),
            MessageIds::HexToDecimal => Known::Is(Form::HexToDecimal),
            MessageIds::DecimalToHex => Known::Is(Form::DecimalToHex),
        }
    }

    /// A receipt was matched in this form, and in no other could it have been. Gives what is known from now on, when that
    /// is another thing than before.
    pub(crate) fn matched(&self, group: &LinkGroup, form: Form) -> Option<Known> {
        let mut habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = habits.entry(group.clone()).or_default();
        habit.misses = 0;
        let pairs = match habit.seen {
            Some((last, pairs)) if last == form => pairs.saturating_add(1),
            Some(_) => {
                habit.switches = habit.switches.saturating_add(1);
                1
            }
            None => 1,
        };
        habit.seen = Some((form, pairs));
        let enough = match habit.known {
            Known::Nothing | Known::Is(_) | Known::Doubted(_) => PAIRS,
            Known::Mixed => SETTLED,
        };
        let before = habit.known;
        habit.known = match before {
            Known::Is(known) if known == form => before,
            Known::Is(known) => {
                // The first time that the old form comes again, the carrier mixes.
                habit.switches = MIXES - 1;
                Known::Doubted(known)
            }
            Known::Nothing | Known::Doubted(_) | Known::Mixed if pairs >= enough => {
                habit.switches = 0;
                Known::Is(form)
            }
            Known::Nothing | Known::Doubted(_) if habit.switches >= MIXES => Known::Mixed,
            Known::Nothing | Known::Doubted(_) | Known::Mixed => before,
        };
        (habit.known != before).then_some(habit.known)
    }

    /// A receipt matched nothing. Gives the habit that is forgotten by that.
    pub(crate) fn missed(&self, group: &LinkGroup) -> Option<Form> {
        let mut habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = habits.entry(group.clone()).or_default();
        habit.counts.unknown = habit.counts.unknown.saturating_add(1);
        habit.misses = habit.misses.saturating_add(1);
        if habit.misses < MISSES {
            return None;
        }
        let forgotten = match habit.known {
            Known::Is(form) => form,
            // Every form is tried as it is.
            Known::Nothing | Known::Doubted(_) | Known::Mixed => return None,
        };
        *habit = Habit {
            counts: habit.counts,
            ..Habit::default()
        };
        Some(forgotten)
    }

    /// A receipt was matched.
    pub(crate) fn count_matched(&self, group: &LinkGroup) {
        self.count(group, |counts| counts.matched = counts.matched.saturating_add(1));
    }

    /// A receipt waits for the answer to its submit.
    pub(crate) fn count_parked(&self, group: &LinkGroup) {
        self.count(group, |counts| counts.parked = counts.parked.saturating_add(1));
    }

    fn count(&self, group: &LinkGroup, change: impl FnOnce(&mut Counts)) {
        let mut habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match habits.get_mut(group) {
            Some(habit) => change(&mut habit.counts),
            None => change(&mut habits.entry(group.clone()).or_default().counts),
        }
    }

    /// What was counted.
    pub(crate) fn counts(&self, group: &LinkGroup) -> Counts {
        let habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        habits.get(group).map(|habit| habit.counts).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_form_between_two_ids_is_told_and_whether_it_is_certain() {
        for (answer, receipt, expected) in [
            ("0A7F", "2687", (Form::HexToDecimal, true)),
            ("2687", "a7f", (Form::DecimalToHex, true)),
            ("0012", "12", (Form::Same, true)),
            ("7", "7", (Form::Same, false)),
            ("xy", "z", (Form::Same, false)),
        ] {
            assert_eq!(Form::between(answer, receipt), expected, "{answer} {receipt}");
        }
    }

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
        fn the_bases_are_each_others_inverse(number in prop_oneof![any::<u128>(), any::<u64>().prop_map(u128::from)]) {
            let (decimal, hex) = (number.to_string(), format!("{number:x}"));
            prop_assert_eq!(Form::HexToDecimal.answered(&decimal), Some(fold(&hex)));
            prop_assert_eq!(Form::DecimalToHex.answered(&hex), Some(fold(&decimal)));
        }

        #[test]
        fn folding_is_done_after_once(id in "[0-9a-fA-F-]{0,20}|\\PC{0,20}") {
            let folded = fold(&id);
            prop_assert_eq!(fold(&folded), &*folded);
        }
    }

    #[test]
    fn a_habit_is_learnt_from_pairs_in_a_row_and_doubted_when_nothing_matches() {
        let group = LinkGroup::try_new("alpha").unwrap();
        let habits = Habits::default();
        let forms = |habits: &Habits, configured| habits.known(&group, configured).forms();
        let auto = |habits: &Habits| forms(habits, MessageIds::Auto).len();
        assert_eq!(auto(&habits), 3);
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None);
        assert_eq!(habits.matched(&group, Form::Same), None);
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None);
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None);
        assert_eq!(
            habits.matched(&group, Form::HexToDecimal),
            Some(Known::Is(Form::HexToDecimal))
        );
        assert_eq!(habits.matched(&group, Form::HexToDecimal), None, "told once");
        assert_eq!(forms(&habits, MessageIds::Auto), [Form::HexToDecimal, Form::Same]);
        for _ in 1..MISSES {
            assert_eq!(habits.missed(&group), None);
        }
        assert_eq!(habits.missed(&group), Some(Form::HexToDecimal));
        assert_eq!(
            habits.counts(&group).unknown,
            u64::from(MISSES),
            "counts outlast the doubt"
        );
        assert_eq!(auto(&habits), 3);
        assert_eq!(forms(&habits, MessageIds::Same), [Form::Same]);
    }

    #[test]
    fn a_pair_of_another_form_makes_a_habit_doubtful_at_once_and_one_of_the_old_form_makes_it_mixed() {
        let group = LinkGroup::try_new("alpha").unwrap();
        let habits = Habits::default();
        let see = |form, times: u32| {
            (0..times)
                .filter_map(|_| habits.matched(&group, form))
                .collect::<Vec<_>>()
        };
        assert_eq!(see(Form::Same, 100), [Known::Is(Form::Same)]);
        assert_eq!(see(Form::HexToDecimal, 1), [Known::Doubted(Form::Same)]);
        assert_eq!(see(Form::Same, 1), [Known::Mixed]);
        assert_eq!(see(Form::HexToDecimal, SETTLED - 1), []);
        assert_eq!(see(Form::Same, 1), [], "still mixed");
        assert_eq!(see(Form::HexToDecimal, SETTLED), [Known::Is(Form::HexToDecimal)]);
        // Another habit after an upgrade, and nothing of the old one.
        assert_eq!(
            see(Form::Same, 3),
            [Known::Doubted(Form::HexToDecimal), Known::Is(Form::Same)]
        );
        let other = LinkGroup::try_new("beta").unwrap();
        let alternate = [Form::Same, Form::HexToDecimal, Form::Same, Form::HexToDecimal];
        let learnt = alternate.map(|form| habits.matched(&other, form));
        assert_eq!(learnt, [None, None, None, Some(Known::Mixed)], "from the start");
    }
}
