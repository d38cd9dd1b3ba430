//! `POST /v1/batches/{id}/pause | resume | cancel`: what the client wants of a batch, durable before the answer.
//!
//! An order is a record of its own, so that it never waits for the worker, which writes the batch all the time. Asking
//! for what is so already changes nothing and is answered like the first time. Invariant: see `record`.

use super::record::{Batch, Order, State, Ticket, Wish, order_key};
use super::store::{self, Seen, find};
use super::view::BatchView;
use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::params::Params;
use crate::http::problem::Problem;
use hyper::StatusCode;
use smsgw_message::{MessageId, Record, Timestamp, names};
use smsgw_queue::{CommitErrorKind, Expiry, Lane, Step, StepId};
use smsgw_telemetry::ApiCode;
use tokio::time::timeout_at;

/// Requests for one batch at one moment that are sorted out before one is told to come again.
const TRIES: usize = 8;

/// `POST /v1/batches/{id}/pause`
pub(crate) async fn pause(call: Call) -> Result<Answer, Problem> {
    order(call, Wish::Pause).await
}

/// `POST /v1/batches/{id}/resume`
pub(crate) async fn resume(call: Call) -> Result<Answer, Problem> {
    order(call, Wish::Run).await
}

/// `POST /v1/batches/{id}/cancel`
pub(crate) async fn cancel(call: Call) -> Result<Answer, Problem> {
    order(call, Wish::Cancel).await
}

/// What an order changes.
enum Change {
    Nothing,
    /// The new order, and whether a new ticket goes with it.
    Write(Order, bool),
    Refused,
}

fn change(state: State, before: Option<Order>, wish: Wish, at: Timestamp) -> Change {
    let generation = before.map_or(0, |order| order.generation);
    let order = |generation| Order { wish, generation, at };
    match (state, wish) {
        (State::Running, Wish::Run) | (State::Paused, Wish::Pause) | (State::Cancelled, Wish::Cancel) => {
            Change::Nothing
        }
        // The ticket that is there finds the order, and goes.
        (State::Running, Wish::Pause | Wish::Cancel) => Change::Write(order(generation), false),
        // The one before may still be there; only this one counts.
        (State::Paused, Wish::Run | Wish::Cancel) => Change::Write(order(generation.saturating_add(1)), true),
        (State::Completed | State::Expired, _) | (State::Cancelled, Wish::Run | Wish::Pause) => {
            Change::Refused
        }
    }
}

async fn order(mut call: Call, wish: Wish) -> Result<Answer, Problem> {
    Params::parse(call.query(), &[])?;
    call.discard().await;
    for _ in 0..TRIES {
        let now = call.shared.clock.now();
        let (batch, there) = find(&call.shared, &call.caller, call.param()).await?;
        let state = batch.state(there.record.as_ref(), now);
        let view =
            |order: Option<&Order>| document(StatusCode::OK, &BatchView::of(&batch, order, now, Vec::new()));
        let (order, has_ticket) = match change(state, there.record, wish, now) {
            Change::Nothing => return Ok(view(there.record.as_ref())),
            Change::Refused => {
                let why = format!("the batch is {}", state.as_str());
                return Err(Problem::new(ApiCode::Conflict, why));
            }
            Change::Write(order, has_ticket) => (order, has_ticket),
        };
        let step = step(&batch, &there, order, has_ticket);
        let committed = timeout_at(call.caller.deadline, step.commit(call.shared.engine.as_ref()))
            .await
            .map_err(|_| Problem::overloaded("the gateway could not confirm the order in time"))?;
        match committed {
            Ok(_) => return Ok(view(Some(&order))),
            Err(error) => match error.kind {
                CommitErrorKind::Conflict { .. } => {}
                kind @ (CommitErrorKind::Stale { .. }
                | CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. }
                | CommitErrorKind::Leased { .. }
                | CommitErrorKind::Full(_)
                | CommitErrorKind::Invalid(_)
                | CommitErrorKind::Engine(_)) => return Err(store::refused(&kind)),
            },
        }
    }
    Err(Problem::overloaded("several requests changed this batch at once"))
}

fn step(batch: &Batch, there: &Seen<Order>, order: Order, has_ticket: bool) -> Step {
    // An order has no input: chance tells it from every other.
    let id = MessageId::from_parts(order.at, rand::random());
    let step = Step::new(StepId::accept(id)).compare_and_put(
        order_key(&batch.client, batch.id),
        there.expected,
        order.to_record(),
        Expiry::At(batch.kept_until),
    );
    if !has_ticket {
        return step;
    }
    let ticket = Ticket {
        client: batch.client.clone(),
        batch: batch.id,
        generation: order.generation,
    };
    let lane = Lane::new(batch.class, &batch.client);
    step.publish(names::MT_BATCH, lane, ticket.to_record())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_takes_the_orders_that_mean_something_and_only_a_paused_one_needs_a_ticket() {
        let at = Timestamp::from_millis(1);
        let states = [
            State::Running,
            State::Paused,
            State::Completed,
            State::Cancelled,
            State::Expired,
        ];
        let mut table = String::new();
        for state in states {
            for wish in [Wish::Run, Wish::Pause, Wish::Cancel] {
                let before = Order {
                    wish: Wish::Pause,
                    generation: 4,
                    at,
                };
                table.push(match change(state, Some(before), wish, at) {
                    Change::Nothing => '.',
                    Change::Refused => 'x',
                    Change::Write(order, has_ticket) => {
                        assert_eq!(order.generation, if has_ticket { 5 } else { 4 });
                        if has_ticket { 't' } else { 'w' }
                    }
                });
            }
            table.push(' ');
        }
        assert_eq!(table, ".ww t.t xxx xx. xxx ");
    }
}
