//! Parts whose clients have withdrawn them.

use super::*;
use smsgw_message::{CancelRequest, Cancels, ClientId, Timestamp};
use smsgw_queue::{Expected, Expiry};

async fn write(world: &World, key: String, record: bytes::Bytes) {
    let step = Step::new(StepId::from_bytes([9; 16]));
    let step = step.compare_and_put(key, Expected::Any, record, Expiry::Owner);
    step.commit(&*world.memory).await.unwrap();
}

async fn ask(world: &World, n: u64) {
    let request = CancelRequest {
        client: ClientId::try_new("acme").unwrap(),
        at: world.clock.now(),
    };
    write(world, names::cancel(id(n)), request.to_record()).await;
}

async fn open_until(world: &World, until: Timestamp) {
    write(world, names::CANCELS.to_owned(), Cancels { until }.to_record()).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_withdrawn_is_never_sent_and_comes_back_cancelled() {
    let world = World::start(operator()).await;
    world.bound().await;
    ask(&world, 2).await;
    open_until(&world, world.clock.now().after(Duration::from_secs(3600))).await;
    world.send([1, 2, 3]).await;
    let mut results = world.results(3).await;
    results.sort_by_key(|result| result.message);
    let cancelled: Vec<bool> = results
        .iter()
        .map(|result| result.outcome == SubmitOutcome::Cancelled)
        .collect();
    assert_eq!(cancelled, [false, true, false]);
    assert_eq!(world.carrier.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_part_in_doubt_that_is_withdrawn_is_not_sent_again_and_stays_in_doubt() {
    let operator = Operator {
        in_doubt: smsgw_config::InDoubt::Wait(Duration::from_secs(40)),
        ..operator()
    };
    let carrier = Carrier::scripted(|_, _| super::carrier::Reply::Hang);
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    world.send([1]).await;
    world.until("sent", |world| world.carrier.seen().len() == 1).await;
    ask(&world, 1).await;
    open_until(&world, world.clock.now().after(Duration::from_secs(3600))).await;
    assert_eq!(world.result().await.outcome, SubmitOutcome::InDoubt);
    assert_eq!(world.carrier.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_are_looked_for_only_while_some_are_open() {
    let world = World::start(operator()).await;
    world.bound().await;
    ask(&world, 1).await;
    ask(&world, 2).await;
    world.send([1]).await;
    assert!(matches!(world.result().await.outcome, SubmitOutcome::Sent { .. }));
    open_until(&world, world.clock.now()).await;
    world.send([2]).await;
    assert!(matches!(world.result().await.outcome, SubmitOutcome::Sent { .. }));
}
