//! What the carrier takes: limits, rules, and what becomes of the answer.

use super::{Moment, Smsc, count, hit, is_nth};
use crate::ledger::Fate;
use crate::smsc::options::{SubmitQuirks, ValidityForm};
use crate::smsc::wire::Submission;
use std::time::Duration;

const INVALID_SOURCE: u32 = 0x0a;
const INVALID_DESTINATION: u32 = 0x0b;
const INVALID_SERVICE_TYPE: u32 = 0x15;
const INVALID_SOURCE_TON: u32 = 0x48;
const INVALID_EXPIRY: u32 = 0x62;
const INVALID_DATA: u32 = 0x45;
/// Type of number, SMPP 3.4 §5.2.5.
const ALPHANUMERIC: u8 = 5;
const INTERNATIONAL: u8 = 1;

impl Smsc {
    /// What becomes of a submit, with which status, and how long slow service keeps its answer.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        account: usize,
        message: &Submission<'_>,
    ) -> (Fate, u32, Duration) {
        let quirks = &self.options.submits;
        let sms = if quirks.count_parts { message.sms() } else { 1 };
        let Some(account) = self.accounts.get_mut(account) else {
            return (Fate::Refused, INVALID_DATA, Duration::ZERO);
        };
        let refused = |status| (Fate::Refused, status, Duration::ZERO);
        let full = quirks.service_rate > 0.0
            && quirks.service_queue > 0
            && account.queued(now.instant, quirks.service_rate) >= quirks.service_queue;
        if full || !account.let_through(now.instant, self.options.throttle, sms) {
            count(&mut self.stats.throttled);
            return refused(self.options.throttle_status);
        }
        let rng = &mut self.rng;
        let refusal = objection(quirks, message).or_else(|| {
            let destination = message.destination.value;
            self.options
                .reject
                .iter()
                .find_map(|rule| rule.refuses(destination, |share| hit(rng, share)))
                .map(|status| status.0)
        });
        if let Some(status) = refusal {
            count(&mut self.stats.refused);
            return refused(status);
        }
        let served = if quirks.service_rate > 0.0 {
            account.serve(now.instant, quirks.service_rate, sms)
        } else {
            Duration::ZERO
        };
        let fate = if is_nth(self.stats.submits, self.options.drop_every) || hit(rng, self.options.drop_share)
        {
            Fate::Cut
        } else if hit(rng, self.options.never_answer) {
            Fate::Unanswered
        } else {
            Fate::Accepted
        };
        (fate, 0, served)
    }
}

/// What the carrier's rules have against a message.
fn objection(quirks: &SubmitQuirks, message: &Submission<'_>) -> Option<u32> {
    if quirks.strict_service_type && message.service_type.len() > 5 {
        return Some(INVALID_SERVICE_TYPE);
    }
    if !validity_fits(quirks, message.validity) {
        return Some(INVALID_EXPIRY);
    }
    let source = &message.source;
    if quirks.alphanumeric_max > 0
        && source.ton == ALPHANUMERIC
        && source.value.len() > quirks.alphanumeric_max
    {
        return Some(INVALID_SOURCE);
    }
    if quirks.strict_addresses {
        let letters = source.value.iter().any(u8::is_ascii_alphabetic);
        if letters != (source.ton == ALPHANUMERIC) && !source.value.is_empty() {
            return Some(INVALID_SOURCE_TON);
        }
        let destination = &message.destination;
        let prefixed = destination.value.starts_with(b"+") || destination.value.starts_with(b"00");
        if destination.ton == INTERNATIONAL && prefixed {
            return Some(INVALID_DESTINATION);
        }
    }
    if quirks.strict_data_coding {
        let octets = message.user_data();
        let wrong = match message.data_coding {
            0 if !message.has_udh() => octets.iter().any(|octet| *octet > 0x7F),
            8 => !octets.len().is_multiple_of(2) && !message.has_udh(),
            _ => false,
        };
        return wrong.then_some(INVALID_DATA);
    }
    None
}

/// Whether the carrier takes that validity_period (SMPP 3.4 §7.1.1): empty, `YYMMDDhhmmsstnnp` or `YYMMDDhhmmss000R`.
fn validity_fits(quirks: &SubmitQuirks, validity: &[u8]) -> bool {
    let Some(sign) = validity.last() else { return true };
    let fits = match quirks.validity {
        ValidityForm::Any => true,
        ValidityForm::Absolute => matches!(sign, b'+' | b'-'),
        ValidityForm::Relative => *sign == b'R',
        ValidityForm::Empty => false,
    };
    if !fits || quirks.validity_max.is_zero() || *sign != b'R' {
        return fits;
    }
    let units = [365 * 86_400, 30 * 86_400, 86_400, 3600, 60, 1_u64];
    let (pairs, _) = validity.as_chunks::<2>();
    let seconds = pairs.iter().zip(units).fold(0_u64, |seconds, (pair, unit)| {
        let number = std::str::from_utf8(pair)
            .ok()
            .and_then(|digits| digits.parse().ok());
        seconds.saturating_add(number.unwrap_or(0_u64).saturating_mul(unit))
    });
    Duration::from_secs(seconds) <= quirks.validity_max
}
