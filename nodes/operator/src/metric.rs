//! Metrics of the operator node, and the handles that a link keeps so that nothing is looked up per part.
//!
//! Labels are names of the configuration and fixed words. A status that the specification does not name is counted by
//! its number only inside the vendors' range, so a carrier cannot make labels without bound.

use rustc_hash::FxHashMap;
use smsgw_config::{HTTP_BASE, UCP_BASE};
use smsgw_message::{LinkId, OperatorId};
use smsgw_queue::ReleaseReason;
use smsgw_session::Narrowed;
use smsgw_smpp::{CommandStatus, Tolerated};
use smsgw_telemetry::{Counter, Gauge, Histogram, HistogramHandle, IntCounter, IntGauge, LATENCY_SECONDS};

use crate::doubt::Cause;
use crate::status::LinkState;

/// State of a bind: 0 down, 1 connecting, 2 bound, 3 draining, 4 unsupported, 5 stopped.
/// Below 2 for longer than a maintenance window: nothing is sent over it; the log line `link down` says why.
pub(crate) static LINK_STATE: Gauge = Gauge::new(
    "smsgw_operator_link_state",
    "State of a bind: 0 down, 1 connecting, 2 bound, 3 draining, 4 unsupported, 5 stopped.",
    &["operator", "link", "bind"],
);

/// Parts written to the carrier and not answered yet.
/// At the configured window all the time: the carrier answers slower than we could send.
pub(crate) static WINDOW_IN_USE: Gauge = Gauge::new(
    "smsgw_operator_window_in_use",
    "Unanswered parts of a link.",
    &["operator", "link", "bind"],
);

/// Parts that may be unanswered on a link now: the configured window, or less while the carrier is slow (`adaptive`).
/// Below `window` for long: the carrier takes less than we have; the cause is counted beside it.
pub(crate) static WINDOW: Gauge = Gauge::new(
    "smsgw_operator_window",
    "Parts of a link that may be unanswered now.",
    &["operator", "link", "bind"],
);

/// How often windows were narrowed, by cause: `slow` (late answers), `throttled`, `congestion_state` (SMPP 5.0) and
/// `timed_out`. Now and then is normal: that is how the limit is found.
pub(crate) static NARROWED_TOTAL: Counter = Counter::new(
    "smsgw_operator_window_narrowed_total",
    "How often windows were narrowed.",
    &["operator", "cause"],
);

/// Parts written to carriers, again and again ones included.
pub(crate) static SUBMITTED_TOTAL: Counter = Counter::new(
    "smsgw_operator_submitted_total",
    "Parts written to carriers.",
    &["operator", "link"],
);

/// Answers to submits by status word.
/// A rise of anything but ESME_ROK is the carrier refusing or slowing us; the word says which.
pub(crate) static ANSWERS_TOTAL: Counter = Counter::new(
    "smsgw_operator_answers_total",
    "Answers to submits, by status.",
    &["operator", "link", "status"],
);

/// Time from handing a part to the session until its answer was seen.
/// A rise means that the carrier slows us by answering late.
pub(crate) static ANSWER_SECONDS: Histogram = Histogram::new(
    "smsgw_operator_answer_seconds",
    "Time from submit to answer.",
    &["operator", "link"],
    LATENCY_SECONDS,
);

/// Parts written and never answered, by policy and cause (`link_lost`, `timeout`, `crash`, and `not_known`: a carrier that
/// did not know the id of its own late answer). Each may reach its phone twice (policy resubmit) or never (reject). What
/// went out again is counted as released by `in_doubt`, what did not as ended by `in_doubt` or `in_doubt_max`.
pub(crate) static IN_DOUBT_TOTAL: Counter = Counter::new(
    "smsgw_operator_in_doubt_total",
    "Parts written to a carrier and never answered.",
    &["operator", "policy", "cause"],
);

/// Answers that came after the response timeout: `used` ended their part, `too_late` came when the part had been given
/// back already, so that it may be sent twice and its receipt stays unknown; `settled` of these ended the part all the
/// same, when it came round and before it was sent again.
/// A rise of `too_late` means that `response_timeout` is too short for this carrier.
pub(crate) static LATE_ANSWERS_TOTAL: Counter = Counter::new(
    "smsgw_operator_late_answers_total",
    "Answers after the response timeout.",
    &["operator", "use"],
);

/// Queries (query_sm) for parts in doubt whose answer came late, by outcome: `known` (the carrier has it), `unknown` (it goes
/// out again), `refused`, `unanswered` and `not_asked` (no slot, link lost): the late answer is believed then.
pub(crate) static QUERIES_TOTAL: Counter = Counter::new(
    "smsgw_operator_queries_total",
    "Queries for parts in doubt, by outcome.",
    &["operator", "outcome"],
);

/// Parts put back into the operator's queue, by reason.
/// A steady rise of `throttled` means that our rate is above the carrier's: runbook `throttled-carrier`.
pub(crate) static RELEASED_TOTAL: Counter = Counter::new(
    "smsgw_operator_released_total",
    "Parts put back into the operator's queue.",
    &["operator", "reason"],
);

/// Parts of long messages that one link checked out while another link had their siblings, by outcome: `handed` over to that
/// link, or kept because that was impossible: `link_gone`, `full` (too many wait there already). Only the last two take a
/// message apart, in the middle of it; a rise of `full` is a link that takes much less than its siblings.
pub(crate) static HANDED_OVER_TOTAL: Counter = Counter::new(
    "smsgw_operator_handed_over_total",
    "Parts that were checked out by another link than the one that has their siblings.",
    &["operator", "outcome"],
);

/// What clients asked of a carrier and its operator does not pass on, by option: `priority`, `protocol_id`, `service_type`,
/// `replace_if_present`, `data_coding`, `tlv`; counted each time a part is made ready.
/// Any number: a client counts on something that `pass_options` or `tlvs_allowed` does not let it have.
pub(crate) static OPTIONS_LEFT_OUT_TOTAL: Counter = Counter::new(
    "smsgw_operator_options_left_out_total",
    "Wishes of clients that were not passed on to the carrier.",
    &["operator", "option"],
);

/// Parts that ended here, by outcome: `sent`, `refused`, `exhausted`, `reroute` (another operator is to be tried), `expired`,
/// `in_doubt`, `in_doubt_max` (in doubt too often), `unsendable`, `corrupt`.
pub(crate) static ENDED_TOTAL: Counter = Counter::new(
    "smsgw_operator_ended_total",
    "Parts that ended, by outcome.",
    &["operator", "outcome"],
);

/// What carriers delivered, by kind: `receipt`, `mo`, `unreadable_receipt`, `undecodable`.
/// A rise of the last two means a carrier whose receipts or PDUs we do not understand: they are kept as corrupt
/// records of the `up` queues.
pub(crate) static ARRIVED_TOTAL: Counter = Counter::new(
    "smsgw_operator_arrived_total",
    "Deliveries from carriers, by kind.",
    &["operator", "kind"],
);

/// Deliveries that were not taken, so that the carrier sends them again: `not_durable` (the engine refused), `full` (a bound of
/// `[engine]` is reached), `overload`
/// (too many waited for the engine), `rate` (more than `inbound_rate`) and `not_bound` (before the bind's answer, or over a bind that only sends).
pub(crate) static ARRIVALS_REFUSED_TOTAL: Counter = Counter::new(
    "smsgw_operator_arrivals_refused_total",
    "Deliveries from carriers that were left to the carrier.",
    &["operator", "why"],
);

/// Departures from the specification that were accepted, by name.
pub(crate) static TOLERATED_TOTAL: Counter = Counter::new(
    "smsgw_operator_tolerated_total",
    "PDUs of carriers accepted although they break the specification.",
    &["operator", "quirk"],
);

/// PDUs that could not be decoded; deliveries among them are kept as corrupt records.
pub(crate) static UNDECODABLE_TOTAL: Counter = Counter::new(
    "smsgw_operator_undecodable_total",
    "PDUs of carriers that could not be decoded.",
    &["operator"],
);

/// Answers of carriers that belong to nothing we sent.
pub(crate) static UNMATCHED_TOTAL: Counter = Counter::new(
    "smsgw_operator_unmatched_total",
    "Answers of carriers to nothing we sent.",
    &["operator"],
);

/// Ends of connections and failed tries to connect, by cause; each is followed by a new try unless we stop.
pub(crate) static RECONNECTS_TOTAL: Counter = Counter::new(
    "smsgw_operator_reconnects_total",
    "Connections lost or not made, by cause.",
    &["operator", "cause"],
);

/// Binds that a carrier refused, by status.
/// ESME_RINVPASWD, ESME_RINVSYSID and ESME_RBINDFAIL need a person: the credentials are wrong.
pub(crate) static BINDS_REFUSED_TOTAL: Counter = Counter::new(
    "smsgw_operator_binds_refused_total",
    "Binds refused by carriers.",
    &["operator", "status"],
);

/// Connections of carriers at `calls.listen`, by outcome: `taken` (by a link); closed are `unknown_peer` (not in `calls.allow`),
/// `too_many` (too many without a link), `no_tls` (no handshake within 10 s, the wrong certificate, or our own files cannot be
/// used), `no_outbind` (SMPP) and `no_login` (UCP: none within 10 s, or something else), `wrong_secret` and `no_link` (no link
/// waited for one).
/// A rise of `no_link` means that the carrier opens more than `calls.links`, or that links are stopped or wait after refused
/// credentials; of `unknown_peer`, that the carrier has new addresses, or that somebody else tries; of `no_tls`, that a certificate
/// has expired or was exchanged at one end only.
pub(crate) static CALLS_TOTAL: Counter = Counter::new(
    "smsgw_operator_calls_total",
    "Connections that carriers opened, by outcome.",
    &["operator", "outcome"],
);

/// Steps of a link that the engine did not take, by reason: `stale` (somebody else has the part), `retried` (no space or
/// a failed read), `contended` (something else was written of the message, or a receipt came before its answer: the router
/// takes it over), `refused`.
pub(crate) static COMMITS_FAILED_TOTAL: Counter = Counter::new(
    "smsgw_operator_commits_failed_total",
    "Steps that the engine did not take.",
    &["operator", "why"],
);

/// The word of a status: its name, its number inside the vendors' range, else `reserved`.
pub(crate) fn status_word(status: CommandStatus) -> String {
    if let Some(code @ 1..=99) = status.0.checked_sub(UCP_BASE) {
        return format!("UCP_{code:02}");
    }
    if let Some(code @ 100..=599) = status.0.checked_sub(HTTP_BASE) {
        return format!("HTTP_{code}");
    }
    match (status.name(), status.0) {
        (Some(name), _) => name.to_owned(),
        (None, 0x400..=0x4FF) => format!("{:#06x}", status.0),
        (None, _) => "reserved".to_owned(),
    }
}

/// Why the session itself refused a delivery.
pub(crate) fn refusal_word(status: CommandStatus) -> &'static str {
    if status == CommandStatus::INVALID_BIND_STATUS {
        "not_bound"
    } else {
        "overload"
    }
}

/// What a link counts.
#[derive(Debug)]
pub(crate) struct Meters {
    operator: OperatorId,
    labels: [String; 3],
    state: IntGauge,
    window: IntGauge,
    pub(crate) window_in_use: IntGauge,
    pub(crate) submitted: IntCounter,
    pub(crate) answer_seconds: HistogramHandle,
    pub(crate) receipts: IntCounter,
    pub(crate) mo: IntCounter,
    /// By status; as many as there are words, because `reserved` shares one.
    answers: FxHashMap<CommandStatus, IntCounter>,
    reserved: IntCounter,
}

impl Meters {
    pub(crate) fn new(operator: &OperatorId, link: &LinkId, bind: &'static str) -> Self {
        let name = operator.as_str();
        Self {
            operator: operator.clone(),
            labels: [name.to_owned(), link.to_string(), bind.to_owned()],
            state: LINK_STATE.with(&[name, link.as_str(), bind]),
            window: WINDOW.with(&[name, link.as_str(), bind]),
            window_in_use: WINDOW_IN_USE.with(&[name, link.as_str(), bind]),
            submitted: SUBMITTED_TOTAL.with(&[name, link.as_str()]),
            answer_seconds: ANSWER_SECONDS.with(&[name, link.as_str()]),
            receipts: ARRIVED_TOTAL.with(&[name, "receipt"]),
            mo: ARRIVED_TOTAL.with(&[name, "mo"]),
            answers: FxHashMap::default(),
            reserved: ANSWERS_TOTAL.with(&[name, link.as_str(), "reserved"]),
        }
    }

    pub(crate) fn state(&self, state: LinkState) {
        self.state.set(state.number());
    }

    pub(crate) fn answered(&mut self, status: CommandStatus) {
        if status.name().is_none() && status_word(status) == "reserved" {
            self.reserved.inc();
            return;
        }
        let [operator, link, _] = &self.labels;
        self.answers
            .entry(status)
            .or_insert_with(|| ANSWERS_TOTAL.with(&[operator, link, &status_word(status)]))
            .inc();
    }

    pub(crate) fn in_doubt(&self, policy: &'static str, cause: Cause) {
        IN_DOUBT_TOTAL
            .with(&[self.operator.as_str(), policy, cause.as_str()])
            .inc();
    }

    pub(crate) fn late_answer(&self, use_of_it: &'static str) {
        LATE_ANSWERS_TOTAL
            .with(&[self.operator.as_str(), use_of_it])
            .inc();
    }

    pub(crate) fn queried(&self, outcome: &'static str) {
        QUERIES_TOTAL.with(&[self.operator.as_str(), outcome]).inc();
    }

    /// The window is this wide now.
    pub(crate) fn width(&self, width: usize) {
        self.window.set(i64::try_from(width).unwrap_or(i64::MAX));
    }

    pub(crate) fn narrowed(&self, cause: Narrowed) {
        NARROWED_TOTAL
            .with(&[self.operator.as_str(), cause.as_str()])
            .inc();
    }

    pub(crate) fn tolerated(&self, quirk: Tolerated) {
        TOLERATED_TOTAL
            .with(&[self.operator.as_str(), quirk.name()])
            .inc();
    }

    pub(crate) fn left_out(&self, options: &[&'static str]) {
        for option in options {
            OPTIONS_LEFT_OUT_TOTAL
                .with(&[self.operator.as_str(), option])
                .inc();
        }
    }

    pub(crate) fn arrived(&self, kind: &'static str) {
        ARRIVED_TOTAL.with(&[self.operator.as_str(), kind]).inc();
    }

    pub(crate) fn arrival_refused(&self, why: &'static str) {
        ARRIVALS_REFUSED_TOTAL.with(&[self.operator.as_str(), why]).inc();
    }

    pub(crate) fn unmatched(&self) {
        UNMATCHED_TOTAL.with(&[self.operator.as_str()]).inc();
    }

    pub(crate) fn undecodable(&self) {
        UNDECODABLE_TOTAL.with(&[self.operator.as_str()]).inc();
    }

    pub(crate) fn reconnect(&self, cause: &str) {
        RECONNECTS_TOTAL.with(&[self.operator.as_str(), cause]).inc();
    }

    pub(crate) fn bind_refused(&self, status: CommandStatus) {
        BINDS_REFUSED_TOTAL
            .with(&[self.operator.as_str(), &status_word(status)])
            .inc();
    }
}

impl Drop for Meters {
    /// The link is gone: its gauges would stand still for ever.
    fn drop(&mut self) {
        let [operator, link, bind] = &self.labels;
        LINK_STATE.remove(&[operator, link, bind]);
        WINDOW.remove(&[operator, link, bind]);
        WINDOW_IN_USE.remove(&[operator, link, bind]);
    }
}

/// How parts end and go back; shared by the links of an operator, counted once their step is durable.
#[derive(Debug)]
pub(crate) struct Endings {
    sent: IntCounter,
    operator: OperatorId,
    released: [(ReleaseReason, IntCounter); 6],
}

impl Endings {
    pub(crate) fn new(operator: &OperatorId) -> Self {
        let released = [
            ReleaseReason::Throttled,
            ReleaseReason::MobileQueueFull,
            ReleaseReason::Temporary,
            ReleaseReason::LinkLost,
            ReleaseReason::InDoubt,
            ReleaseReason::Stopping,
        ]
        .map(|reason| (reason, RELEASED_TOTAL.with(&[operator.as_str(), reason.as_str()])));
        Self {
            sent: ENDED_TOTAL.with(&[operator.as_str(), "sent"]),
            operator: operator.clone(),
            released,
        }
    }

    pub(crate) fn sent(&self) {
        self.sent.inc();
    }

    pub(crate) fn ended(&self, outcome: &'static str) {
        ENDED_TOTAL.with(&[self.operator.as_str(), outcome]).inc();
    }

    pub(crate) fn released(&self, reason: ReleaseReason) {
        match self.released.iter().find(|(known, _)| *known == reason) {
            Some((_, counter)) => counter.inc(),
            None => RELEASED_TOTAL
                .with(&[self.operator.as_str(), reason.as_str()])
                .inc(),
        }
    }

    pub(crate) fn commit_failed(&self, why: &'static str) {
        COMMITS_FAILED_TOTAL.with(&[self.operator.as_str(), why]).inc();
    }
}
