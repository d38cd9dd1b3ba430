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
    write(
        world,
        names::CANCELS.to_owned(),
        Cancels { until, groups: None }.to_record(),
    )
    .await;
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

#[tokio::test(start_paused = true)]
async fn a_group_that_was_withdrawn_is_never_sent_and_what_came_later_or_from_elsewhere_is() {
    let world = World::start(operator()).await;
    world.bound().await;
    let now = world.clock.now();
    let from = smsgw_message::Address::sender("ACME").unwrap();
    let of = |n: u64| {
        let mut dispatch = crate::fixtures::dispatch(n);
        dispatch.from = Some(from.clone());
        dispatch
    };
    let meant = of(1);
    let with_type = smsgw_message::Dispatch {
        options: Some(smsgw_message::CarrierOptions {
            service_type: Some("WAP".to_owned()),
            ..Default::default()
        }),
        ..of(2)
    };
    let other_sender = smsgw_message::Dispatch {
        from: Some(smsgw_message::Address::sender("OTHER").unwrap()),
        ..of(3)
    };
    let mut later = of(4);
    later.message = smsgw_message::MessageId::from_parts(now.after(Duration::from_secs(1)), [4; 10]);
    let other_client = smsgw_message::Dispatch {
        client: ClientId::try_new("other").unwrap(),
        ..of(5)
    };
    let group = |client: &str, service_type: Option<&str>| smsgw_message::CancelGroup {
        client: ClientId::try_new(client).unwrap(),
        wishes: vec![smsgw_message::GroupWish {
            at: now,
            service_type: service_type.map(str::to_owned),
        }],
    };
    let key = names::cancel_group(&meant.client, &from, &meant.to);
    write(&world, key.clone(), group("acme", Some("WAP")).to_record()).await;
    let cancels = Cancels {
        until: now,
        groups: Some(vec![smsgw_message::GroupCancels {
            client: meant.client.clone(),
            until: now.after(Duration::from_secs(3600)),
        }]),
    };
    write(&world, names::CANCELS.to_owned(), cancels.to_record()).await;
    let outcomes = async |dispatches: &[&smsgw_message::Dispatch]| {
        let parts = dispatches.iter().map(|dispatch| (*dispatch).clone());
        world.publish(parts.collect()).await;
        let mut results = world.results(dispatches.len()).await;
        results.sort_by_key(|result| dispatches.iter().position(|one| one.message == result.message));
        let is_cancelled = |result: &SubmitResult| result.outcome == SubmitOutcome::Cancelled;
        results.iter().map(is_cancelled).collect::<Vec<_>>()
    };
    assert_eq!(
        outcomes(&[&meant, &with_type]).await,
        [false, true],
        "a service type"
    );
    write(&world, key, group("acme", None).to_record()).await;
    // What its carrier is told is not what its client calls it.
    let own = smsgw_message::ClientNumbers {
        from: Some(from.clone()),
        to: meant.to.clone(),
    };
    let rewritten = smsgw_message::Dispatch {
        from: other_sender.from.clone(),
        to: smsgw_message::Address::msisdn("491799999999").unwrap(),
        own: Some(own),
        ..of(6)
    };
    let of_another = smsgw_message::Dispatch {
        own: Some(smsgw_message::ClientNumbers {
            from: other_sender.from.clone(),
            to: meant.to.clone(),
        }),
        ..of(7)
    };
    let all = [
        &meant,
        &with_type,
        &other_sender,
        &later,
        &other_client,
        &rewritten,
        &of_another,
    ];
    assert_eq!(
        outcomes(&all).await,
        [true, true, false, false, false, true, false]
    );
}
