//! From attempts that ended to what becomes of their events, and to whoever waits for the place.
//!
//! Part of the dispatcher. Invariant: what an attempt took (a place, a turn in the order) is given back here, also when it
//! panicked.

use crate::answer::Outcome;
use crate::breaker::BreakerPolicy;
use crate::dispatch::{Dispatcher, Done, Flight, Resume};
use crate::metric;
use crate::places::Turned;
use crate::policy::most;
use crate::settle::{self, Fate};
use crate::take::limits;
use smsgw_config::Config;
use tokio::task::{Id, JoinError};
use tracing::{error, info, warn};

impl Dispatcher {
    pub(crate) async fn finish(&mut self, ended: Result<(Id, Done), JoinError>, config: &Config) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => {
                // Its deliveries went back when the task unwound.
                error!(%error, "attempt at a callback panicked; the callback is sent again");
                (error.id(), None)
            }
        };
        let Some(Flight {
            ticket,
            policy,
            records,
        }) = self.flights.remove(&id)
        else {
            error!("an attempt ended that nobody started; its records go back");
            return;
        };
        let outcome = done
            .as_ref()
            .map_or(Outcome::Panicked, |done| done.answer.outcome);
        let client = ticket.flow.as_str();
        metric::ATTEMPTS_TOTAL.with(&[client, outcome.as_str()]).inc();
        let section = &config.callback;
        let breaker = BreakerPolicy {
            failures: section.breaker_failures,
            probe: section.breaker_probe,
            probe_max: section.breaker_probe_max,
        };
        let now = self.clock.instant();
        let rest = done.as_ref().and_then(|done| settle::rest(&policy, &done.answer));
        match self
            .places
            .end(now, &ticket, outcome.is_answered(), rest, &breaker)
        {
            Turned::Opened => {
                warn!(target = %ticket.origin, client, outcome = outcome.as_str(), "callback breaker opened");
                metric::BREAKERS_OPEN.with(&[]).inc();
            }
            Turned::Closed => {
                info!(target = %ticket.origin, client, "callback breaker closed: the target answers again");
                metric::BREAKERS_OPEN.with(&[]).dec();
            }
            Turned::Unchanged => {}
        }
        match done {
            Some(done) => {
                let events = u64::try_from(done.items.len()).unwrap_or(u64::MAX);
                metric::EVENTS_TOTAL.with(&[client]).inc_by(events);
                self.settle_all(done, config).await;
            }
            None => {
                for (message, record) in records {
                    self.order.deferred(message, record, now, false);
                }
            }
        }
        let waits = [
            (
                self.places.has_waiting(&ticket.origin),
                Resume::Target(ticket.origin, ticket.flow.clone()),
            ),
            (
                self.places.flow_has_waiting(&ticket.flow),
                Resume::Flow(ticket.flow),
            ),
        ];
        for (_, resume) in waits.into_iter().filter(|(waits, _)| *waits) {
            if !self.resume.contains(&resume) {
                self.resume.push_back(resume);
            }
        }
        self.resume_waiting(config).await;
    }

    /// Each event of the request has a fate of its own, since each has its age; those that come back do so together.
    async fn settle_all(&mut self, done: Done, config: &Config) {
        let Done {
            items,
            policy,
            answer,
        } = done;
        let (now, at) = (self.clock.now(), self.clock.instant());
        let retention = config.limits.message_retention;
        let share = settle::share();
        let attempt = items
            .iter()
            .map(|item| item.delivery.attempt())
            .max()
            .unwrap_or(1);
        for item in items {
            let age = now.since(item.delivery.published_at());
            let mut fate = settle::fate(&policy, &answer, item.delivery.attempt(), age, share);
            match &mut fate {
                Fate::Told => self.forget(&item.delivery, &item.down),
                Fate::Again(after) => {
                    if let Fate::Again(together) = settle::fate(&policy, &answer, attempt, age, share) {
                        *after = together;
                    }
                    let again = at + *after;
                    self.comes_again(&item, again);
                }
                Fate::GivenUp(_) => {
                    // Those behind it may be too old as well, and no probe is needed to give them up.
                    self.places.opened(&item.delivery.lane().flow);
                    self.forget(&item.delivery, &item.down);
                }
            }
            let step = settle::step(
                &item.delivery,
                &item.down,
                (fate, &answer),
                &policy,
                now,
                retention,
            );
            self.settle(step, item.delivery).await;
        }
    }

    /// Gives places that are free to the records that wait for them, while there is room for requests at all.
    async fn resume_waiting(&mut self, config: &Config) {
        while self.attempts.len() < most(config)
            && let Some(resume) = self.resume.front().cloned()
        {
            let now = self.clock.instant();
            let flow = match &resume {
                Resume::Target(_, flow) | Resume::Flow(flow) => flow.clone(),
            };
            let client = smsgw_message::ClientId::try_new(flow.as_str());
            let policy = match &client {
                Ok(client) => self.policies.client(client),
                Err(_) => self.policies.unknown(),
            };
            let limits = limits(policy, config);
            let begun = match &resume {
                Resume::Target(origin, _) => self.places.next(now, origin, limits).map(|(begun, _)| begun),
                Resume::Flow(flow) => self.places.next_of_flow(now, flow, limits),
            };
            match begun {
                Some(begun) => self.go_on(begun, flow).await,
                None => {
                    self.resume.pop_front();
                }
            }
        }
    }
}
