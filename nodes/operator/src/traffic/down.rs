//! Parts on their way to the carrier: checkout, submit, answer, doubt.
//!
//! Each function leaves TR-1 of [`super`] true: a delivery that it takes out of one place it puts into another.

use super::query::Tomb;
use super::{CHECKOUT_MAX, CHECKOUT_RETRY, IGNORED, InFlight, LATE_GRACE, Ready, Traffic, UNCOMMITTED, back};
use crate::doubt::{self, Cause};
use crate::hop::{End, Ending, Fate, PartRef};
use crate::incoming;
use crate::late::LateAnswer;
use crate::submit;
use crate::together::Parcel;
use crate::tries::{Tried, Trouble};
use crate::verdict::{self, Verdict};
use smsgw_config::Operator;
use smsgw_message::{SubmitOutcome, Timestamp};
use smsgw_queue::{Delivery, ReleaseReason};
use smsgw_smpp::{COctets, CommandStatus, EsmeCommand, Refusal};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{debug, error, warn};

/// An answer in time.
pub(super) struct Answer {
    pub(super) status: CommandStatus,
    pub(super) carrier_id: COctets,
    /// From the request on.
    pub(super) took: Duration,
}

impl Traffic<'_> {
    /// How many parts a checkout may ask for now.
    pub(super) fn room(&self, now: Instant) -> usize {
        if !self.may_pump(now) {
            return 0;
        }
        self.slots()
            .min(self.link.account.limiter().available(now))
            .min(CHECKOUT_MAX)
    }

    fn may_pump(&self, now: Instant) -> bool {
        self.bound
            && self.link.bind.can_submit()
            && !self.draining
            && !self.link.is_held()
            && self.backlog.is_empty()
            && self.no_checkout_before.is_none_or(|at| at <= now)
    }

    /// How many parts may be unanswered now.
    pub(super) fn width(&self) -> usize {
        if self.adaptive {
            self.congestion.limit().min(self.window)
        } else {
            self.window
        }
    }

    /// Shows the width, and counts what has narrowed it.
    pub(super) fn show_width(&mut self) {
        let width = self.width();
        if width == self.shown_width {
            return;
        }
        if width < self.shown_width
            && let Some(cause) = self.congestion.narrowed()
        {
            self.meters.narrowed(cause);
            debug!(operator = %self.link.account.id, link = %self.link.id, width, was = self.shown_width, cause = cause.as_str(), "window narrowed");
        }
        self.shown_width = width;
        self.meters.width(width);
        self.link.load.width(width);
    }

    /// Free slots, as far as what is not durable leaves room.
    fn slots(&self) -> usize {
        let open = self.uncommitted.saturating_add(self.in_limbo);
        let room = self.window.saturating_mul(UNCOMMITTED).saturating_sub(open);
        self.free().min(room)
    }

    /// Free slots.
    fn free(&self) -> usize {
        self.width().saturating_sub(self.outstanding)
    }

    /// When something is to be done without being told.
    pub(super) fn deadline(&self, now: Instant, checking_out: bool) -> Option<Instant> {
        let grace = self.limbo.front().map(|(at, _)| *at);
        let waits_for_token = self.bound
            && ((!self.backlog.is_empty() && self.free() > 0)
                || (!checking_out && self.may_pump(now) && self.slots() > 0));
        let token = waits_for_token.then(|| self.link.account.limiter().next(now));
        let pause = self.no_checkout_before.filter(|at| *at > now);
        [grace, token, pause].into_iter().flatten().min()
    }

    /// Parts came from the queue, or from another link.
    pub(super) fn take(&mut self, parcels: Vec<Parcel>) {
        let settings = self.link.account.settings();
        let at = self.link.clock.now();
        let doubtful = parcels
            .iter()
            .filter(|parcel| parcel.delivery.leased_before_crash())
            .count();
        if doubtful > 0 {
            warn!(operator = %self.link.account.id, link = %self.link.id, parts = doubtful, policy = %settings.in_doubt, "parts in doubt: a crash or a stop came before their answers");
        }
        for Parcel {
            delivery,
            dispatch,
            cancelled,
        } in parcels
        {
            let dispatch = match dispatch {
                Ok(dispatch) => dispatch,
                Err(error) => {
                    error!(operator = %self.link.account.id, record = delivery.id().as_u64(), %error, "part cannot be decoded; kept as corrupt");
                    self.finish(delivery, Fate::Corrupt, at);
                    continue;
                }
            };
            let part = PartRef::of(&dispatch);
            if let Some(late) = self.link.account.late_answer(delivery.id()) {
                self.known_late(delivery, &dispatch, late, &settings, at);
                continue;
            }
            if cancelled {
                debug!(message_id = %part.message, part = part.part, operator = %self.link.account.id, "withdrawn by its client");
                let maybe_sent = delivery.leased_before_crash();
                let trouble = Trouble::Withdrawn { maybe_sent };
                self.tried(delivery, part, trouble, dispatch.valid_until, at);
                continue;
            }
            if dispatch.valid_until <= at {
                debug!(message_id = %part.message, part = part.part, operator = %self.link.account.id, "validity ended before the part was sent");
                self.expire(delivery, part, dispatch.valid_until, at);
                continue;
            }
            if delivery.leased_before_crash() {
                self.meters
                    .in_doubt(doubt::policy_word(settings.in_doubt), Cause::Crash);
                debug!(message_id = %part.message, part = part.part, operator = %self.link.account.id, policy = %settings.in_doubt, "part in doubt: a crash or a stop before its answer");
                let trouble = Trouble::Doubt {
                    cause: Cause::Crash,
                    waited: Duration::ZERO,
                };
                self.tried(delivery, part, trouble, dispatch.valid_until, at);
                continue;
            }
            match submit::submit(&dispatch, delivery.lane().class, &settings, at) {
                Ok(submit) => {
                    self.meters.left_out(&submit.left_out);
                    self.backlog.push_back(Ready {
                        delivery,
                        part,
                        valid_until: dispatch.valid_until,
                        message: submit.message,
                        receipt_asked: submit.receipt_asked,
                    });
                }
                Err(unsendable) => {
                    debug!(message_id = %part.message, part = part.part, operator = %self.link.account.id, why = %unsendable, "part cannot be told to this carrier");
                    let outcome = SubmitOutcome::Refused {
                        error: unsendable.to_string(),
                        status: 0,
                    };
                    self.end(delivery, part, outcome, "unsendable", false, at);
                }
            }
        }
    }

    /// Sends what the rate allows.
    pub(super) fn send_backlog(&mut self, now: Instant) {
        if self.backlog.is_empty() || !self.bound {
            return;
        }
        let at = self.link.clock.now();
        while let Some(ready) = self.backlog.pop_front_if(|ready| ready.valid_until <= at) {
            self.expire(ready.delivery, ready.part, ready.valid_until, at);
        }
        let most = self.backlog.len().min(self.free());
        let granted = self.link.account.limiter().take(now, most);
        let mut sent = 0;
        for _ in 0..granted {
            let Some(ready) = self.backlog.pop_front() else {
                break;
            };
            let Ready {
                delivery,
                part,
                valid_until,
                message,
                receipt_asked,
            } = ready;
            let tag = self.next_tag;
            self.next_tag = self.next_tag.wrapping_add(1);
            match self.commands.try_send(EsmeCommand::Submit { tag, message }) {
                Ok(()) => {
                    debug!(message_id = %part.message, part = part.part, operator = %self.link.account.id, link = %self.link.id, tag, "submitted");
                    sent += 1;
                    self.outstanding += 1;
                    let flight = InFlight {
                        delivery,
                        part,
                        valid_until,
                        receipt_asked,
                        sent_at: now,
                        timed_out: false,
                        asked: None,
                    };
                    self.in_flight.insert(tag, flight);
                }
                // The session is over; its `Closed` is on the way.
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    self.finish(delivery, back(Duration::ZERO, ReleaseReason::LinkLost), at);
                }
                Err(mpsc::error::TrySendError::Full(_)) => {
                    error!(link = %self.link.id, "command channel full although a slot was free; part goes back");
                    self.finish(delivery, back(CHECKOUT_RETRY, ReleaseReason::LinkLost), at);
                }
            }
        }
        self.meters.submitted.inc_by(sent);
        self.link.load.sent(now, sent);
    }

    /// The session has an answer.
    pub(super) fn answered(
        &mut self,
        tag: u64,
        answer: &Answer,
        settings: &Operator,
        now: Instant,
        at: Timestamp,
    ) {
        let status = answer.status;
        let Some(flight) = self.in_flight.remove(&tag) else {
            return;
        };
        let outstanding = self.outstanding;
        self.outstanding = outstanding.saturating_sub(1);
        if flight.asked.is_some() {
            self.queried(flight, status, at);
            return;
        }
        if status.is_ok() {
            self.congestion.answered(now, answer.took, outstanding);
        }
        self.meters
            .answer_seconds
            .observe(now.saturating_duration_since(flight.sent_at).as_secs_f64());
        self.link.load.answered(now, answer.took);
        self.judge(
            flight,
            status,
            incoming::carrier_id(&answer.carrier_id),
            settings,
            now,
            at,
        );
    }

    /// No answer in time: the slot is free, the grace begins.
    pub(super) fn timed_out(&mut self, tag: u64, now: Instant, at: Timestamp) {
        let grace = self.response_timeout.min(LATE_GRACE);
        let Some(flight) = self.in_flight.get_mut(&tag) else {
            return;
        };
        self.outstanding = self.outstanding.saturating_sub(1);
        self.congestion.timed_out(now);
        if flight.asked.is_some() {
            self.meters.queried("unanswered");
            if let Some(flight) = self.in_flight.remove(&tag) {
                self.believed(flight, at);
            }
            return;
        }
        flight.timed_out = true;
        self.in_limbo += 1;
        debug!(message_id = %flight.part.message, part = flight.part.part, operator = %self.link.account.id, link = %self.link.id, "submit not answered in time");
        self.limbo.push_back((now.checked_add(grace).unwrap_or(now), tag));
    }

    /// An answer after the response timeout: within the grace it is the answer. Later an acceptance is kept for the part,
    /// which ends by it when it comes round, unless it has ended by another one before.
    pub(super) fn late_answer(
        &mut self,
        tag: u64,
        status: CommandStatus,
        carrier_id: &COctets,
        settings: &Operator,
        now: Instant,
        at: Timestamp,
    ) {
        self.heard(now);
        let Some(flight) = self.in_flight.remove(&tag) else {
            self.meters.late_answer("too_late");
            let tomb = self.tombs.take(tag);
            debug!(operator = %self.link.account.id, link = %self.link.id, %status, %carrier_id, kept = tomb.is_some(), "answer came too late: the part was given back");
            if let (Some(tomb), true) = (tomb, status.is_ok()) {
                let answer = LateAnswer {
                    carrier_id: incoming::carrier_id(carrier_id),
                    receipt_asked: tomb.receipt_asked,
                };
                self.link.account.answered_late(tomb.record, answer, now);
            }
            return;
        };
        self.in_limbo = self.in_limbo.saturating_sub(1);
        self.meters.late_answer("used");
        self.judge(
            flight,
            status,
            incoming::carrier_id(carrier_id),
            settings,
            now,
            at,
        );
    }

    /// The carrier has answered for a part.
    fn judge(
        &mut self,
        flight: InFlight,
        status: CommandStatus,
        carrier_id: String,
        settings: &Operator,
        now: Instant,
        at: Timestamp,
    ) {
        let account = &self.link.account;
        let InFlight {
            delivery,
            part,
            receipt_asked,
            valid_until,
            ..
        } = flight;
        self.meters.answered(status);
        self.link.load.refused(at, status);
        self.worked = true;
        self.heard(now);
        let verdict = verdict::judge(settings, status, delivery.attempt());
        debug!(message_id = %part.message, part = part.part, operator = %account.id, link = %self.link.id, %status, carrier_id, ?verdict, "answered");
        match verdict {
            Verdict::Throttled(_) => {
                account.limiter().throttled(now);
                self.congestion.throttled(now);
            }
            Verdict::QueueFull => {
                self.tried(delivery, part, Trouble::QueueFull, valid_until, at);
                return;
            }
            Verdict::Accepted
            | Verdict::Temporary(_)
            | Verdict::Exhausted
            | Verdict::Reroute(_)
            | Verdict::Refused => {}
        }
        if let Some((after, reason, cost)) = verdict.retry() {
            // Not longer than it is valid: then it ends as expired, in time.
            let after = after.min(valid_until.since(at));
            self.finish(delivery, Fate::Back { after, reason, cost }, at);
            return;
        }
        if verdict == Verdict::Accepted {
            let outcome = SubmitOutcome::Sent { carrier_id };
            self.end(delivery, part, outcome, "sent", receipt_asked, at);
            return;
        }
        let error = status
            .name()
            .map_or_else(|| format!("{:#06x}", status.0), str::to_owned);
        debug!(message_id = %part.message, part = part.part, operator = %account.id, link = %self.link.id, %status, ?verdict, "carrier refused the part");
        let (word, reroute) = match verdict {
            Verdict::Exhausted => ("exhausted", None),
            Verdict::Reroute(reason) => ("reroute", Some(reason)),
            Verdict::Accepted
            | Verdict::Throttled(_)
            | Verdict::QueueFull
            | Verdict::Temporary(_)
            | Verdict::Refused => ("refused", None),
        };
        let outcome = SubmitOutcome::Refused {
            error,
            status: status.0,
        };
        let fate = Fate::Ended(Ending {
            part,
            outcome,
            word,
            receipt_asked,
            reroute,
        });
        self.finish(delivery, fate, at);
    }

    /// The carrier answers submits.
    fn heard(&mut self, now: Instant) {
        self.ignored = 0;
        self.last_answer = Some(now);
    }

    pub(super) fn not_sent(&mut self, tag: u64, why: Refusal, at: Timestamp) {
        let Some(flight) = self.in_flight.remove(&tag) else {
            return;
        };
        self.outstanding = self.outstanding.saturating_sub(1);
        if flight.asked.is_some() {
            self.meters.queried("not_asked");
            self.believed(flight, at);
            return;
        }
        let InFlight { delivery, part, .. } = flight;
        match why {
            Refusal::DoesNotFit | Refusal::NotInVersion => {
                debug!(message_id = %part.message, part = part.part, operator = %self.link.account.id, "part does not fit a PDU");
                let error = submit::Unsendable::TooLong.to_string();
                self.end(
                    delivery,
                    part,
                    SubmitOutcome::Refused { error, status: 0 },
                    "unsendable",
                    false,
                    at,
                );
            }
            Refusal::NotBound | Refusal::WrongBind | Refusal::Draining | Refusal::Closed => {
                // The session takes no more; its `Closed` is to come.
                self.bound = false;
                self.leave(ReleaseReason::LinkLost, at);
                self.finish(delivery, back(Duration::ZERO, ReleaseReason::LinkLost), at);
            }
            Refusal::WindowFull => {
                error!(link = %self.link.id, "the session's window is smaller than ours; part goes back");
                self.finish(delivery, back(CHECKOUT_RETRY, ReleaseReason::LinkLost), at);
            }
        }
    }

    /// Ends the graces that are over.
    pub(super) fn end_graces(&mut self, now: Instant) {
        if self.limbo.front().is_none_or(|(until, _)| *until > now) {
            return;
        }
        let at = self.link.clock.now();
        let mut parts = 0;
        while let Some((_, tag)) = self.limbo.pop_front_if(|(until, _)| *until <= now) {
            if let Some(flight) = self.in_flight.remove(&tag) {
                parts += 1;
                if self.last_answer.is_none_or(|last| last < flight.sent_at) {
                    self.ignored = self.ignored.saturating_add(1);
                }
                self.in_limbo = self.in_limbo.saturating_sub(1);
                let waited = now.saturating_duration_since(flight.sent_at);
                self.tombs.put(
                    tag,
                    Tomb {
                        record: flight.delivery.id(),
                        receipt_asked: flight.receipt_asked,
                    },
                );
                self.doubt(flight, Cause::Timeout, waited, at);
            }
        }
        if parts > 0 {
            warn!(operator = %self.link.account.id, link = %self.link.id, parts, "parts in doubt: no answer within the response timeout and the grace");
        }
        if self.ignored >= self.width().max(IGNORED) && self.bound && !self.draining {
            warn!(operator = %self.link.account.id, link = %self.link.id, parts = self.ignored, "the carrier answers no submits; binding again");
            self.ignored = 0;
            // No more parts over it; its `Closed` is to come.
            self.bound = false;
            self.leave(ReleaseReason::LinkLost, at);
            if self.commands.try_send(EsmeCommand::Leave).is_err() {
                debug!(link = %self.link.id, "session over before it was left");
            }
        }
    }

    /// The part was written and not answered.
    pub(super) fn doubt(&mut self, flight: InFlight, cause: Cause, waited: Duration, at: Timestamp) {
        let policy = self.link.account.settings().in_doubt;
        self.meters.in_doubt(doubt::policy_word(policy), cause);
        debug!(message_id = %flight.part.message, part = flight.part.part, operator = %self.link.account.id, link = %self.link.id, cause = cause.as_str(), %policy, "part in doubt");
        let InFlight {
            delivery,
            part,
            valid_until,
            ..
        } = flight;
        self.tried(delivery, part, Trouble::Doubt { cause, waited }, valid_until, at);
    }

    /// What becomes of the part depends on what happened to it before: decided where that is read.
    fn tried(
        &mut self,
        delivery: Delivery,
        part: PartRef,
        trouble: Trouble,
        valid_until: Timestamp,
        at: Timestamp,
    ) {
        let tried = Tried {
            part,
            trouble,
            valid_until,
            response_timeout: self.response_timeout,
        };
        self.finish_as(delivery, End::Tried(tried), at);
    }

    /// Its validity has ended: as expired, or in doubt where it may have been sent before.
    fn expire(&mut self, delivery: Delivery, part: PartRef, valid_until: Timestamp, at: Timestamp) {
        let maybe_sent = delivery.leased_before_crash();
        self.tried(delivery, part, Trouble::Expired { maybe_sent }, valid_until, at);
    }

    pub(super) fn end(
        &mut self,
        delivery: Delivery,
        part: PartRef,
        outcome: SubmitOutcome,
        word: &'static str,
        receipt_asked: bool,
        at: Timestamp,
    ) {
        self.finish(
            delivery,
            Fate::Ended(Ending {
                part,
                outcome,
                word,
                receipt_asked,
                reroute: None,
            }),
            at,
        );
    }
}
