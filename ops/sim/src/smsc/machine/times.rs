//! What time brings: delayed answers and receipts, timeouts, enquire_link, the ends of sessions that are too quiet.

use super::{Job, Moment, SessionId, Smsc, later};
use crate::smsc::session::State;
use crate::smsc::wire::id;
use std::time::{Duration, Instant};

/// From the connection to the bind, and from our unbind or enquire_link to its answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Smsc {
    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.wall = now.wall;
        while let Some(job) = self.agenda.take_due(now.instant) {
            match job {
                Job::Answer {
                    session,
                    sequence,
                    operation,
                    status,
                    id,
                } => {
                    self.answered(session);
                    self.answer(now, session, operation, sequence, status, &id);
                }
                Job::Deliver { number, outgoing, .. } if self.store.is_cancelled(number) => {
                    self.over(&outgoing);
                }
                Job::Deliver {
                    account, outgoing, ..
                } => self.enqueue(now, account, outgoing),
                Job::Bind { session, sequence } => self.accept(now, session, sequence),
                Job::Release(session) => self.release(session),
                Job::Check(session) => {
                    let due = self.sessions.get(&session).and_then(|known| known.check_at);
                    if due.is_some_and(|at| at <= now.instant) {
                        self.check(now, session);
                    }
                }
            }
        }
        self.deliver_mo(now);
    }

    /// Looks at all times of a session, and says when to look again.
    pub(super) fn check(&mut self, now: Moment, session: SessionId) {
        self.expire_deliveries(now, session);
        let Some(known) = self.sessions.get_mut(&session).filter(|known| !known.is_over()) else {
            return;
        };
        let binds = &self.options.binds;
        let bound = known.state == State::Bound;
        let since = |from: Instant, span: Duration| (!span.is_zero()).then(|| later(from, span));
        let quiet = since(known.last_received, binds.enquire_link).filter(|_| bound);
        let unanswered = known.enquire_sent.map(|sent| later(sent, PATIENCE));
        let demanded = since(known.last_enquire, binds.enquire_link_demanded).filter(|_| bound);
        let idle = since(known.last_activity, binds.inactivity).filter(|_| bound);
        let unbound =
            Some(later(known.opened, PATIENCE)).filter(|_| matches!(known.state, State::Open | State::Asked));
        let leaving = Some(later(known.last_activity, PATIENCE)).filter(|_| known.state == State::Unbinding);
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        let silent = is_due(unanswered) && known.enquire_sent.is_some_and(|sent| known.last_received <= sent);
        if is_due(demanded) || is_due(unbound) || is_due(leaving) || silent {
            return self.close(now, session, true);
        }
        if is_due(idle) {
            self.unbind(session);
        } else if is_due(quiet) && known.enquire_sent.is_none() {
            known.enquire_sent = Some(now.instant);
            self.request(session, id::ENQUIRE_LINK, |_| {});
        }
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        if is_due(unanswered) {
            known.enquire_sent = None;
        }
        let bound = known.state == State::Bound;
        let binds = &self.options.binds;
        let ahead = |at: Option<Instant>| at.map(|at| at.max(later(now.instant, Duration::from_millis(1))));
        let next = [
            known.deadlines.front().map(|(at, _, _)| *at),
            ahead(
                since(known.last_received, binds.enquire_link)
                    .filter(|_| bound && known.enquire_sent.is_none()),
            ),
            ahead(known.enquire_sent.map(|sent| later(sent, PATIENCE))),
            ahead(since(known.last_enquire, binds.enquire_link_demanded).filter(|_| bound)),
            ahead(since(known.last_activity, binds.inactivity).filter(|_| bound)),
            ahead(unbound),
            ahead(Some(later(known.last_activity, PATIENCE)).filter(|_| known.state == State::Unbinding)),
        ];
        known.check_at = next.into_iter().flatten().min();
        if let Some(at) = known.check_at {
            self.agenda.insert(at, Job::Check(session));
        }
    }

    fn expire_deliveries(&mut self, now: Moment, session: SessionId) {
        loop {
            let Some(known) = self.sessions.get_mut(&session) else {
                return;
            };
            known.trim_deadlines();
            let Some((at, sequence, _)) = known
                .deadlines
                .front()
                .copied()
                .filter(|(at, _, _)| *at <= now.instant)
            else {
                return;
            };
            debug_assert!(at <= now.instant);
            known.deadlines.pop_front();
            let (Some(account), Some(sent)) = (known.account, known.outstanding.remove(&sequence)) else {
                continue;
            };
            known.note_late(sequence);
            self.redeliver(now, account, sent.outgoing, Duration::ZERO);
        }
    }
}
