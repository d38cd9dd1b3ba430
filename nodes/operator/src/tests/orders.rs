//! Orders for links: drained, stopped and held alone, without a sibling noticing.

use super::carrier::Reply;
use super::*;
use smsgw_smpp::CommandStatus;

const OK: CommandStatus = CommandStatus::OK;

fn two_links() -> Operator {
    Operator {
        binds: 2,
        ..operator()
    }
}

fn state_of(world: &World, link: &str) -> Option<LinkState> {
    let states = world.states();
    states
        .iter()
        .find(|(name, _)| name == link)
        .map(|(_, state)| *state)
}

/// A carrier that answers after 20 seconds: longer than `node.drain_timeout`, in time for `response_timeout`.
fn slow() -> Carrier {
    Carrier::scripted(|_, _| Reply::After(Duration::from_secs(20), OK))
}

#[tokio::test(start_paused = true)]
async fn a_drained_link_waits_for_every_answer_while_its_sibling_works() {
    let world = World::start_with(config(&[("alpha", two_links())]), slow()).await;
    world.bound().await;
    world.send(1..=20).await;
    world
        .until("sent", |world| world.carrier.seen().len() == 20)
        .await;
    let links: std::collections::BTreeSet<_> = world.carrier.seen().iter().map(|seen| seen.session).collect();
    assert_eq!(links.len(), 2, "both links have parts");

    world.config.publish(config(&[(
        "alpha",
        Operator {
            links_drained: vec![2],
            ..two_links()
        },
    )]));
    world
        .until("draining", |world| {
            state_of(world, "alpha-2") == Some(LinkState::Draining)
        })
        .await;
    assert_eq!(state_of(&world, "alpha-1"), Some(LinkState::Bound));
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(
        state_of(&world, "alpha-2"),
        Some(LinkState::Draining),
        "longer than node.drain_timeout"
    );
    // What comes meanwhile goes over the other one.
    let before = world.carrier.seen().len();
    let results = world.results(20).await;
    assert!(results.iter().all(|result| carrier_id(result).starts_with('C')));
    world
        .until("closed", |world| {
            state_of(world, "alpha-2") == Some(LinkState::Stopped)
        })
        .await;
    let shown = world.table.snapshot();
    assert_eq!(
        shown[1].reason.as_deref(),
        Some("link drained: in links_drained"),
        "{shown:?}"
    );
    assert_eq!((before, world.carrier.unbound()), (20, 1));
    world.send(21..=25).await;
    let more = world.results(5).await;
    assert!(
        more.iter()
            .all(|result| result.link.as_ref().unwrap().to_string() == "alpha-1")
    );
    assert_eq!(
        counter("smsgw_operator_in_doubt_total", &[("operator", "alpha")]),
        0.0
    );

    world.config.publish(config(&[("alpha", two_links())]));
    world.bound().await;
    assert_eq!(world.carrier.binds().len(), 3, "the sibling was not bound again");
}

#[tokio::test(start_paused = true)]
async fn a_stop_hurries_a_drain_and_a_start_waits_for_its_end() {
    let never = Carrier::scripted(|_, _| Reply::Never);
    let operator = Operator {
        in_doubt: smsgw_config::InDoubt::Reject,
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator.clone())]), never).await;
    world.bound().await;
    world.send([1]).await;
    world.until("sent", |world| world.carrier.seen().len() == 1).await;
    let with = |change: fn(&mut Operator)| {
        let mut operator = operator.clone();
        change(&mut operator);
        config(&[("alpha", operator)])
    };
    world
        .config
        .publish(with(|operator| operator.links_drained = vec![1]));
    world
        .until("draining", |world| {
            state_of(world, "alpha-1") == Some(LinkState::Draining)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = tokio::time::Instant::now();
    world
        .config
        .publish(with(|operator| operator.links_stopped = vec![1]));
    world
        .until("closed", |world| {
            state_of(world, "alpha-1") == Some(LinkState::Stopped)
        })
        .await;
    let took = before.elapsed();
    assert!(
        (ms(9_500)..ms(13_000)).contains(&took),
        "node.drain_timeout: {took:?}"
    );

    world.config.publish(with(|_| {}));
    world.bound().await;
    world.config.publish(with(|operator| {
        operator.enabled = false;
        operator.closing = smsgw_config::Closing::Drain;
    }));
    world
        .until("drained", |world| {
            state_of(world, "alpha-1") == Some(LinkState::Stopped)
        })
        .await;
    // Ordered to start again while it leaves: the old one goes, a new one comes.
    world.config.publish(with(|_| {}));
    world.bound().await;
    world.send([2]).await;
    world.until("sent", |world| world.carrier.seen().len() == 2).await;
    world
        .config
        .publish(with(|operator| operator.links_drained = vec![1]));
    world
        .until("draining", |world| {
            state_of(world, "alpha-1") == Some(LinkState::Draining)
        })
        .await;
    world.config.publish(with(|_| {}));
    world.bound().await;
    assert_eq!(world.carrier.binds().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_held_link_takes_no_parts_and_still_hears_the_carrier() {
    let hold = |links: Vec<u32>| {
        let operator = Operator {
            links_held: links,
            ..two_links()
        };
        config(&[("alpha", operator)])
    };
    let world = World::start_with(hold(vec![1]), Carrier::accepting()).await;
    world.bound().await;
    assert_eq!(
        world
            .table
            .snapshot()
            .iter()
            .map(|status| status.held)
            .collect::<Vec<_>>(),
        [true, false]
    );
    world.send(1..=30).await;
    let results = world.results(30).await;
    assert!(
        results
            .iter()
            .all(|result| result.link.as_ref().unwrap().to_string() == "alpha-2")
    );

    world.config.publish(hold(vec![1, 2]));
    world
        .until("held", |world| {
            world.table.snapshot().iter().all(|status| status.held)
        })
        .await;
    world.send(31..=40).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!((world.carrier.seen().len(), world.depth().ready), (30, 10));
    // Released: at once, not at the next turn of something else.
    world.config.publish(hold(vec![]));
    let before = tokio::time::Instant::now();
    world.results(10).await;
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(world.carrier.binds().len(), 2, "no link was bound again");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_starts_closed_is_shown_and_never_connects() {
    let operator = Operator {
        links_stopped: vec![2],
        ..two_links()
    };
    let world = World::start_with(config(&[("alpha", operator)]), Carrier::accepting()).await;
    world
        .until("the other one", |world| {
            state_of(world, "alpha-1") == Some(LinkState::Bound)
        })
        .await;
    assert_eq!(state_of(&world, "alpha-2"), Some(LinkState::Stopped));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.carrier.binds().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_draining_operator_delays_no_change_of_another() {
    let world = World::start_with(config(&[("alpha", operator())]), slow()).await;
    world.bound().await;
    world.send([1]).await;
    world.until("sent", |world| world.carrier.seen().len() == 1).await;
    let drained = Operator {
        enabled: false,
        closing: smsgw_config::Closing::Drain,
        ..operator()
    };
    world.config.publish(config(&[("alpha", drained.clone())]));
    world
        .until("draining", |world| {
            state_of(world, "alpha-1") == Some(LinkState::Draining)
        })
        .await;
    let before = tokio::time::Instant::now();
    world
        .config
        .publish(config(&[("alpha", drained), ("beta", operator())]));
    world
        .until("beta", |world| {
            state_of(world, "beta-1") == Some(LinkState::Bound)
        })
        .await;
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(state_of(&world, "alpha-1"), Some(LinkState::Draining));
    assert_eq!(carrier_id(&world.result().await), "C1");
}
