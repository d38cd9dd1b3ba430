//! Compares the ledgers of a run: what was accepted, what the carrier got, what was called back; nothing missing,
//! doubled or altered, in either direction.
//!
//! Pure; takes records one by one (sent first, then carriers, then callbacks), so that memory is that of the messages and
//! not of the ledgers. A submit belongs to the message whose token its text begins with, further parts to the first with
//! the same ends, reference and total; a callback to the message whose id it names. Invariant: every record is counted in
//! exactly one place of its section.
//!
//! # Limits
//! An answer that the carrier had sent when the gateway was killed, or its connection lost on the way (not cut by the
//! carrier, whose ledger says so), counts as given: what the gateway then submits again is `doubled`, unless a window
//! excuses it.
//! Ids of carriers must differ (`--ids` and `--first-id`) when the ledgers of several are compared at once.
//! Texts are compared by 64-bit sums. A text in a coding without certain meaning is counted as `unchecked`.
//! A part of a long message costs about 60 octets more.

mod found;
mod parts;
mod table;

pub use found::{Comparison, Found, MoComparison, MtComparison, ReportComparison};

use crate::ledger::{Callback, CarrierRecord, Fate, MoTaken, Sent, Submit, Window, sum, unhex};
use crate::load::delivered::{split_header, text_of};
use crate::token::Way;
use parts::{PartKey, Parts};
use rustc_hash::FxHashSet;
use table::{Table, ends, flag, outcome};

/// Statuses after which a gateway tries again unless it is told otherwise: ESME_RTHROTTLED, ESME_RMSGQFUL, ESME_RSYSERR,
/// ESME_RX_T_APPN, ESME_RSUBMITFAIL.
const RETRIED: [u32; 5] = [0x58, 0x14, 0x08, 0x64, 0x45];

/// What to compare, in memory.
#[derive(Debug, Clone, Copy)]
pub struct Ledgers<'a> {
    /// Of the load generator.
    pub sent: &'a [Sent],
    /// Of the carriers.
    pub carrier: &'a [CarrierRecord],
    /// Of the callback sink or the client's binds, if there were any.
    pub callbacks: Option<&'a [Callback]>,
    /// Whether every message carried is to be reported.
    pub reports_expected: bool,
}

/// Compares.
#[must_use]
pub fn compare(ledgers: Ledgers<'_>) -> Comparison {
    let mut comparer = Comparer::new(Vec::new(), ledgers.reports_expected);
    for sent in ledgers.sent {
        comparer.sent(sent);
    }
    for record in ledgers.carrier {
        comparer.note_lost(record);
    }
    for record in ledgers.carrier {
        comparer.carrier(record);
    }
    for callback in ledgers.callbacks.unwrap_or_default() {
        comparer.callback(callback);
    }
    let mut found = comparer.finish(ledgers.callbacks.is_some());
    for sent in ledgers.sent {
        found.name_id(sent);
    }
    found
}

/// A comparison under way; see the module for the order of calls.
#[derive(Debug)]
pub struct Comparer {
    windows: Vec<Window>,
    reports_expected: bool,
    mt: Table,
    phones: Table,
    parts: Parts,
    /// Carrier ids of submits whose answer was lost.
    lost: FxHashSet<u64>,
    /// Intermediate reports seen.
    events: FxHashSet<u64>,
    /// Runs of phones that a carrier has sent.
    runs: FxHashSet<u32>,
    result: MtComparison,
    reports: ReportComparison,
    mo: MoComparison,
}

impl Comparer {
    /// Nothing seen yet. What happened within a window may have happened twice.
    #[must_use]
    pub fn new(windows: Vec<Window>, reports_expected: bool) -> Self {
        Self {
            windows,
            reports_expected,
            mt: Table::default(),
            phones: Table::default(),
            parts: Parts::default(),
            lost: FxHashSet::default(),
            events: FxHashSet::default(),
            runs: FxHashSet::default(),
            result: MtComparison::default(),
            reports: ReportComparison::default(),
            mo: MoComparison::default(),
        }
    }

    fn in_window(&self, at: i64) -> bool {
        self.windows.iter().any(|window| window.holds(at))
    }

    /// A request of a client.
    pub fn sent(&mut self, sent: &Sent) {
        let at = self.mt.place(sent.token);
        let ids = sent.id.iter().chain(&sent.more_ids);
        let mut count = 0_u16;
        for id in ids {
            count = count.saturating_add(1);
            if !self.mt.note_id(id, at) {
                self.result.ids_repeated.note(|| id.clone());
            }
        }
        let Some(message) = self.mt.get_mut(at) else {
            return;
        };
        message.ids = message.ids.saturating_add(count);
        if sent.status == 0 {
            add(&mut self.result.in_doubt);
            message.set(flag::IN_DOUBT);
        } else if sent.id.is_some() {
            add(&mut self.result.accepted);
            message.set(flag::ACCEPTED);
        } else {
            message.set(flag::REFUSED);
        }
        if let Some(text) = sent.text {
            message.text = text.0;
            message.set(flag::HAS_TEXT);
        }
        if sent.from.is_some() {
            message.set(flag::HAS_SENDER);
        }
        message.ends = ends(sent.from.as_deref().unwrap_or_default(), &sent.to).0;
    }

    /// Takes note of answers that were lost: to be called for every record of a carrier before [`Self::carrier`].
    pub fn note_lost(&mut self, record: &CarrierRecord) {
        if let CarrierRecord::AnswerLost(lost) = record {
            self.lost.insert(sum(lost.id.as_bytes()).0);
        }
    }

    /// A record of a carrier.
    pub fn carrier(&mut self, record: &CarrierRecord) {
        match record {
            CarrierRecord::Submit(submit) => self.submit(submit),
            CarrierRecord::MoTaken(taken) => self.mo_taken(taken),
            CarrierRecord::Replaced(_) => add(&mut self.result.replaced),
            CarrierRecord::AnswerLost(_) => {}
        }
    }

    fn submit(&mut self, submit: &Submit) {
        let answered = match submit.fate {
            Fate::Refused => return self.refused(submit),
            Fate::Accepted => !self.lost.contains(&sum(submit.id.as_bytes()).0),
            Fate::Unanswered | Fate::Cut => false,
        };
        let octets = unhex(&submit.octets).unwrap_or_default();
        let (part, text) = split_header(&octets, submit.esm_class & 0x40 != 0);
        let sar = submit
            .sar
            .map(|[reference, total, number]| crate::smsc::wire::Part {
                reference,
                total,
                number,
            });
        let may_repeat = self.in_window(submit.at);
        let token = submit.token.filter(|token| token.way == Way::Mt);
        match (part.or(sar), token) {
            (Some(part), _) => {
                let key = PartKey::new(&submit.source, &submit.destination, part);
                let place = token.map(|token| self.mt.place(token));
                let seen = self.parts.note(key, part, text, place, answered);
                if let Some(whole) = seen.whole {
                    self.carried(whole.place, submit, &whole.octets);
                }
                if let Some(place) = place.filter(|_| seen.repeated.is_none()) {
                    self.told(place, submit);
                }
                if let Some(place) = seen.repeated {
                    add(&mut self.result.repeated_submits);
                    self.repeated(place, seen.repeated_answered, may_repeat);
                }
            }
            (None, Some(token)) => {
                let place = self.mt.place(token);
                let Some(message) = self.mt.get_mut(place) else {
                    return;
                };
                if message.carried > 0 {
                    add(&mut self.result.repeated_submits);
                }
                message.carried = message.carried.saturating_add(1);
                message.answered = message.answered.saturating_add(u16::from(answered));
                if may_repeat {
                    message.set(flag::MAY_REPEAT);
                }
                self.told(place, submit);
                self.check(place, submit, text);
            }
            (None, None) => add(&mut self.result.without_token),
        }
    }

    /// The carrier did not take it; what its default verdict is not to try again ends the message.
    fn refused(&mut self, submit: &Submit) {
        add(&mut self.result.refused);
        let token = submit.token.filter(|token| token.way == Way::Mt);
        let Some(token) = token.filter(|_| !RETRIED.contains(&submit.status)) else {
            return;
        };
        self.mt.message(token).set(flag::REFUSED_FOR_GOOD);
    }

    /// All parts of a message are there.
    fn carried(&mut self, place: u32, submit: &Submit, octets: &[u8]) {
        if let Some(message) = self.mt.get_mut(place) {
            message.carried = message.carried.max(1);
            self.check(place, submit, octets);
        }
    }

    /// Notes the final state that the carrier tells of it.
    fn told(&mut self, place: u32, submit: &Submit) {
        if let (Some(message), Some(word)) = (self.mt.get_mut(place), &submit.state) {
            message.told |= outcome::of_receipt(word);
        }
    }

    /// A part came again.
    fn repeated(&mut self, place: u32, answered_before: bool, may_repeat: bool) {
        let Some(message) = self.mt.get_mut(place) else {
            return;
        };
        message.carried = message.carried.max(2);
        if may_repeat {
            message.set(flag::MAY_REPEAT);
        }
        if answered_before {
            message.answered = message.answered.max(2);
        }
    }

    /// Compares text and ends with what was sent.
    fn check(&mut self, place: u32, submit: &Submit, octets: &[u8]) {
        let Some(message) = self.mt.get_mut(place) else {
            return;
        };
        if !message.has(flag::ACCEPTED) && !message.has(flag::IN_DOUBT) {
            return;
        }
        let from = if message.has(flag::HAS_SENDER) {
            submit.source.as_str()
        } else {
            ""
        };
        if ends(from, &submit.destination).0 != message.ends {
            message.set(flag::ALTERED);
        }
        if message.has(flag::HAS_TEXT) {
            match text_of(submit.data_coding, octets) {
                Some(text) if sum(&text).0 != message.text => message.set(flag::ALTERED),
                Some(_) => {}
                None => add(&mut self.result.unchecked),
            }
        }
    }

    fn mo_taken(&mut self, taken: &MoTaken) {
        let may_repeat = taken.again || self.in_window(taken.at);
        let Some(token) = taken.token else { return };
        self.runs.insert(token.run);
        let message = self.phones.message(token);
        let bit = u32::from(taken.part.saturating_sub(1)).min(63);
        message.parts |= 1_u64.wrapping_shl(bit);
        message.ids = taken.parts;
        if message.parts.count_ones() >= u32::from(taken.parts.min(64)) {
            message.set(flag::TAKEN);
        }
        if may_repeat {
            message.set(flag::MAY_REPEAT);
        }
        if let Some(text) = taken.text {
            message.text = text.0;
            message.set(flag::HAS_TEXT);
        }
        message.ends = ends(&taken.source, &taken.destination).0;
    }

    /// A callback, or a delivery on a client's bind.
    pub fn callback(&mut self, callback: &Callback) {
        if !(200..300).contains(&callback.answered) {
            return;
        }
        if callback.kind == "mo" {
            self.called_back(callback);
        } else {
            self.reported(callback);
        }
    }

    fn called_back(&mut self, callback: &Callback) {
        let may_repeat = self.in_window(callback.at);
        let Some(token) = callback.token else { return };
        let known_run = self.runs.contains(&token.run);
        let message = self.phones.message(token);
        if message.has(flag::CALLED) {
            if message.has(flag::MAY_REPEAT) || may_repeat {
                return self.mo.excused.note(|| token.to_string());
            }
            return self.mo.doubled.note(|| token.to_string());
        }
        message.set(flag::CALLED);
        add(&mut self.mo.called_back);
        if !message.has(flag::TAKEN) {
            if known_run || self.runs.is_empty() {
                self.mo.not_taken.note(|| token.to_string());
            } else {
                self.mo.unknown.note(|| token.to_string());
            }
            return;
        }
        let text_differs = callback
            .text
            .is_some_and(|text| message.has(flag::HAS_TEXT) && text.0 != message.text);
        let ends_differ = match (&callback.from, &callback.to) {
            (Some(from), Some(to)) => ends(from, to).0 != message.ends,
            (None, _) | (_, None) => false,
        };
        if text_differs || ends_differ {
            self.mo.altered.note(|| token.to_string());
        }
    }

    fn reported(&mut self, callback: &Callback) {
        let id = callback.message.as_str();
        let may_repeat = self.in_window(callback.at);
        let Some(message) = self.mt.find_id(id).and_then(|place| self.mt.get_mut(place)) else {
            // With requests in doubt, an id nobody knows may be one of theirs.
            let key = sum(format!("?{id}").as_bytes()).0;
            if self.result.in_doubt == 0 && self.events.insert(key) {
                self.reports.unknown.note(|| id.to_owned());
            }
            return;
        };
        if !message.has(flag::REPORTED) {
            message.set(flag::REPORTED);
            add(&mut self.reports.reported);
        }
        let state = callback.state.as_deref().map_or(0, outcome::of_report);
        message.reported |= state;
        let repeated = if state != 0 {
            message.finals = message.finals.saturating_add(1);
            message.finals > message.ids
        } else {
            !self
                .events
                .insert(sum(format!("{id}/{}", callback.event).as_bytes()).0)
        };
        match (repeated, may_repeat) {
            (true, true) => self.reports.excused.note(|| id.to_owned()),
            (true, false) => self.reports.doubled.note(|| id.to_owned()),
            (false, _) => {}
        }
    }

    /// What came of it. `callbacks`: whether there was a ledger of callbacks.
    #[must_use]
    pub fn finish(mut self, callbacks: bool) -> Comparison {
        let mut result = self.result;
        let reports_expected = self.reports_expected && callbacks;
        for (token, message) in self.mt.iter() {
            let name = || token.to_string();
            let carried = message.carried > 0;
            let accepted = message.has(flag::ACCEPTED);
            let refused = message.has(flag::REFUSED_FOR_GOOD) && !carried;
            if accepted && !carried && !refused {
                result.missing.note(name);
            }
            if reports_expected && accepted && (carried || refused) {
                if message.finals < message.ids {
                    self.reports.missing.note(name);
                }
                // What one carrier refused another may have taken: then its receipts say what became of it.
                let told = message.told | if refused { outcome::REJECTED } else { 0 };
                if told.is_power_of_two() && message.reported & !told != 0 {
                    self.reports.wrong.note(name);
                }
            }
            if refused {
                add(&mut result.refused_for_good);
            }
            if !carried {
                continue;
            }
            add(&mut result.carried);
            if message.has(flag::IN_DOUBT) {
                add(&mut result.in_doubt_carried);
            } else if !accepted {
                result.unknown.note(name);
            }
            if message.has(flag::ALTERED) {
                result.altered.note(name);
            }
            if message.carried > 1 {
                // Each answer that was given makes one more submit than there should be, after the first.
                if message.answered > 1 && !message.has(flag::MAY_REPEAT) {
                    result.doubled.note(name);
                } else {
                    result.resubmitted.note(name);
                }
            }
        }
        result.without_token = result.without_token.saturating_add(self.parts.orphans());
        for (token, message) in self.phones.iter() {
            if message.has(flag::TAKEN) {
                add(&mut self.mo.taken);
                if !message.has(flag::CALLED) {
                    self.mo.missing.note(|| token.to_string());
                }
            }
        }
        let memory = self.mt.memory().saturating_add(self.phones.memory());
        Comparison {
            mt: result,
            reports: reports_expected.then_some(self.reports),
            mo: callbacks.then_some(self.mo),
            memory: memory.saturating_add(self.parts.memory()),
        }
    }
}

fn add(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests;
