//! From records to requests: whose policy, whose turn, alone or with others, now or later.
//!
//! Part of the dispatcher. Invariant: a record that was taken is in exactly one place: with the pace, in an open unit, in a place's
//! line, in a request under way, or on its way back.

use crate::answer::{self, Answer, Outcome};
use crate::batch::{Fill, Unit};
use crate::dispatch::{Dispatcher, Done, Flight, Item, Job};
use crate::metric;
use crate::order::Turn;
use crate::places::{Begin, Limits, Ticket};
use crate::policy::{Policy, most};
use crate::request::{Part, Target, build, message};
use crate::settle::give_up;
use smsgw_config::{CallbackFormat, Config};
use smsgw_message::{Clock, Down, DownKind, Record, document};
use smsgw_queue::{Cost, DeadReason, Delivery, Flow, ReleaseReason, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::error;
use url::Url;

/// An event goes with others up to this attempt; afterwards alone, since it may be what the target does not take.
const TOGETHER: u32 = 2;

impl Dispatcher {
    pub(crate) async fn take(&mut self, deliveries: Vec<Delivery>, gated: Option<Flow>, config: &Config) {
        if let Some(flow) = gated {
            // Its record, if there is one, sets the gate anew or proves that there is no need of it.
            self.places.opened(&flow);
        }
        for delivery in deliveries {
            let down = match Down::from_record(delivery.record()) {
                Ok(down) => down,
                Err(error) => {
                    error!(%error, record = delivery.id().as_u64(), "record of down.callback cannot be decoded");
                    metric::GIVEN_UP_TOTAL
                        .with(&[delivery.lane().flow.as_str(), DeadReason::Corrupt.as_str()])
                        .inc();
                    let step = Step::from(&delivery).dead_letter(&delivery, DeadReason::Corrupt);
                    self.settle(step, delivery).await;
                    continue;
                }
            };
            let policy = Arc::clone(self.policies.client(&down.client));
            let url = down.url.as_deref().and_then(|url| Url::parse(url).ok());
            let allowed = url.as_ref().is_none_or(|url| policy.allows(url));
            let Some(target) = url.filter(|_| allowed).and_then(Target::of) else {
                let reason = if allowed {
                    DeadReason::NoOwner
                } else {
                    DeadReason::Refused
                };
                self.forget(&delivery, &down);
                let step = give_up(&delivery, &down, reason, self.clock.now());
                self.settle(step, delivery).await;
                continue;
            };
            let flow = delivery.lane().flow.clone();
            let item = Item {
                is_final: match &down.what {
                    DownKind::Report(report) => report.state.is_final(),
                    DownKind::Mo(_) => true,
                },
                delivery,
                down,
                document: None,
            };
            let now = self.clock.instant();
            let offered = self.pace.offer(now, &flow, policy.rate, (item, target));
            if let Some((item, target)) = offered {
                self.admit(item, target, config).await;
            }
        }
    }

    /// Lets go what waited for its client's rate, and units that waited for more.
    pub(crate) async fn tick(&mut self, config: &Config) {
        let now = self.clock.instant();
        for (item, target) in self.pace.due(now) {
            self.admit(item, target, config).await;
        }
        for unit in self.batches.due(now) {
            self.begin_unit(unit, config).await;
        }
    }

    /// An event whose client may send now: it joins others, goes, or waits for an earlier one of its message.
    async fn admit(&mut self, mut item: Item, target: Target, config: &Config) {
        let policy = Arc::clone(self.policies.client(&item.down.client));
        let flow = item.delivery.lane().flow.clone();
        let own = &policy.own;
        let together =
            own.batch > 1 && own.format == CallbackFormat::Json && item.delivery.attempt() <= TOGETHER;
        let octets = match together {
            false => 0,
            true => item.document.insert(document::render(&item.down)).len(),
        };
        let now = self.clock.instant();
        self.unit = self.unit.wrapping_add(1);
        let url = item.down.url.clone().unwrap_or_default();
        let joined = together
            .then(|| self.batches.number(&flow, &url, octets))
            .flatten();
        let unit = joined.unwrap_or(self.unit);
        if let DownKind::Report(report) = &item.down.what
            && let Turn::NotBefore(at) =
                self.order
                    .admit(now, report.message, item.delivery.id(), unit, item.is_final)
        {
            metric::ORDER_WAITS_TOTAL.with(&[flow.as_str()]).inc();
            let after = at.saturating_duration_since(now);
            let step = release(&item.delivery, after, ReleaseReason::Contended);
            self.settle(step, item.delivery).await;
            return;
        }
        if !together {
            let items = vec![item];
            self.begin(
                Job {
                    items,
                    target,
                    policy,
                },
                flow,
                config,
            )
            .await;
            return;
        }
        let fill = Fill {
            events: usize::try_from(own.batch).unwrap_or(usize::MAX),
            octets: own.batch_octets.as_usize(),
            linger: own.batch_linger,
        };
        let units = self
            .batches
            .put(now, (&flow, &url), fill, unit, ((item, target), octets));
        for unit in units {
            self.begin_unit(unit, config).await;
        }
    }

    async fn begin_unit(&mut self, unit: Unit<(Item, Target)>, config: &Config) {
        let mut target = None;
        let mut items: Vec<Item> = Vec::with_capacity(unit.items.len());
        for (item, to) in unit.items {
            items.push(item);
            target = Some(to);
        }
        // Those that came back may have come later than younger ones.
        items.sort_by_key(|item| item.delivery.id());
        let Some((target, first)) = target.zip(items.first()) else {
            error!(
                unit = unit.number,
                "a request without an event was complete; there is nothing to send"
            );
            return;
        };
        let flow = first.delivery.lane().flow.clone();
        let policy = Arc::clone(self.policies.client(&first.down.client));
        self.begin(
            Job {
                items,
                target,
                policy,
            },
            flow,
            config,
        )
        .await;
    }

    async fn begin(&mut self, job: Job, flow: Flow, config: &Config) {
        let limits = limits(&job.policy, config);
        let key = job.key(&flow);
        let begun = self.places.begin(self.clock.instant(), &key, &flow, job, limits);
        self.go_on(begun, flow).await;
    }

    /// Starts the attempt, or gives the records back until the breaker's probe.
    pub(crate) async fn go_on(&mut self, begun: Begin<Job>, flow: Flow) {
        match begun {
            Begin::Start { job, probe } => {
                let flight = Flight {
                    ticket: Ticket {
                        origin: job.key(&flow),
                        flow,
                        probe,
                    },
                    policy: Arc::clone(&job.policy),
                    records: job.items.iter().filter_map(Item::ordered).collect(),
                };
                let attempt = attempt(job, Arc::clone(&self.clock));
                self.flights.insert(self.attempts.spawn(attempt).id(), flight);
            }
            Begin::Waits => {}
            Begin::NotBefore(job, until) => {
                let (now, at) = (self.clock.now(), self.clock.instant());
                for item in job.items {
                    // Behind an open breaker only probes go, so age alone must end the wait of the others.
                    let age = now.since(item.delivery.published_at());
                    let step = if age >= job.policy.give_up {
                        self.places.opened(&flow);
                        self.forget(&item.delivery, &item.down);
                        give_up(&item.delivery, &item.down, DeadReason::AttemptsExhausted, now)
                    } else {
                        self.comes_again(&item, until);
                        let after = until.saturating_duration_since(at);
                        release(&item.delivery, after, ReleaseReason::BreakerOpen)
                    };
                    self.settle(step, item.delivery).await;
                }
            }
        }
    }

    /// Later events of its message wait for this one.
    pub(crate) fn comes_again(&mut self, item: &Item, at: Instant) {
        if let Some((message, record)) = item.ordered() {
            self.order.deferred(message, record, at, item.is_final);
        }
    }

    /// Later events of its message wait for this one no longer.
    pub(crate) fn forget(&mut self, delivery: &Delivery, down: &Down) {
        self.order.done(message(down), delivery.id());
    }
}

pub(crate) fn limits(policy: &Policy, config: &Config) -> Limits {
    Limits {
        per_target: policy.per_target,
        per_flow: policy.per_flow,
        all: most(config),
    }
}

/// Back to the queue, at nobody's cost.
pub(crate) fn release(delivery: &Delivery, after: Duration, reason: ReleaseReason) -> Step {
    Step::from(delivery).release(delivery, after, reason, Cost::Free)
}

async fn attempt(job: Job, clock: Arc<dyn Clock>) -> Done {
    let Job {
        items,
        target,
        policy,
    } = job;
    let parts: Vec<Part<'_>> = items
        .iter()
        .map(|item| Part {
            down: &item.down,
            attempt: item.delivery.attempt(),
            document: item.document.as_deref(),
        })
        .collect();
    let now = clock.now();
    let needs_body = items
        .iter()
        .any(|item| answer::needs_body(&policy, matches!(item.down.what, DownKind::Mo(_))));
    let answer: Answer = match (build(&policy, &target, &parts, now), &policy.poster) {
        (Some(request), Some(poster)) => {
            let timer = metric::ATTEMPT_SECONDS.with(&[]).start_timer();
            let answer = poster.send(request, &policy, needs_body, now).await;
            timer.observe_duration();
            answer
        }
        (None, _) => {
            error!(
                ?target,
                "an event's parameters make a URL that is too long: it is given up"
            );
            Outcome::Gone.into()
        }
        // Its TLS files cannot be used: the log says why.
        (Some(_), None) => Outcome::Connect.into(),
    };
    Done {
        items,
        policy,
        answer,
    }
}
