//! How fast parts go out and deliveries come in: window, rate, validity, and carriers that slow down.

use super::carrier::Reply;
use super::*;
use smsgw_message::ReceiptState;
use smsgw_smpp::{Address, CommandStatus, DeliverSm};
use std::collections::VecDeque;
use tokio::time::Instant;

const OK: CommandStatus = CommandStatus::OK;
const SECOND: Duration = Duration::from_secs(1);

/// A carrier that takes `per_second` (which may change) one after the other, each answered `idle` after its turn.
fn queueing(per_second: impl Fn(Instant) -> u64 + Send + 'static, idle: Duration) -> Carrier {
    let mut free_at: Option<Instant> = None;
    Carrier::scripted(move |_, _| {
        let now = Instant::now();
        let begin = free_at.map_or(now, |free| free.max(now));
        let done = begin + SECOND / u32::try_from(per_second(now)).unwrap();
        free_at = Some(done);
        Reply::After(done - now + idle, OK)
    })
}

fn most_in_any_second(at: &[Instant]) -> usize {
    let mut within: VecDeque<Instant> = VecDeque::new();
    let mut most = 0;
    for now in at {
        while within.front().is_some_and(|first| *now - *first >= SECOND) {
            within.pop_front();
        }
        within.push_back(*now);
        most = most.max(within.len());
    }
    most
}

fn gauge(name: &str, link: &str) -> f64 {
    counter(name, &[("link", link)])
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_fifty_is_never_exceeded_in_any_second_and_used_to_98_percent() {
    for (binds, burst, delay) in [(1, 1, 20), (4, 1, 130), (2, 25, 20)] {
        let operator = Operator {
            rate: 50.0,
            burst,
            binds,
            window: 50,
            ..operator()
        };
        let carrier = Carrier::scripted(move |_, _| Reply::After(ms(delay), OK));
        let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
        world.bound().await;
        world.send(0..1500).await;
        tokio::time::sleep(ms(30_100)).await;
        world
            .until("all sent", |world| world.carrier.seen().len() == 1500)
            .await;
        let at: Vec<_> = world.carrier.seen().iter().map(|seen| seen.at).collect();
        let most = most_in_any_second(&at);
        assert!(most <= 50, "{most} in a second: {binds} binds, burst {burst}");
        let took = (at[1499] - at[0]).as_secs_f64();
        let used = 1499.0 / took / 50.0;
        assert!(
            used >= 0.98,
            "{used:.4} of the rate: {binds} binds, burst {burst}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_fractional_rate_counts_the_parts_of_the_whole_operator() {
    let operator = Operator {
        rate: 2.5,
        binds: 3,
        ..operator()
    };
    let world = World::start(operator).await;
    world.bound().await;
    world.send(0..50).await;
    world
        .until("all sent", |world| world.carrier.seen().len() == 50)
        .await;
    let at: Vec<_> = world.carrier.seen().iter().map(|seen| seen.at).collect();
    assert!(most_in_any_second(&at) <= 3);
    let took = (at[49] - at[0]).as_secs_f64();
    assert!((49.0 / 2.5..49.0 / 2.45).contains(&took), "{took}");
}

/// Quirk 30: a carrier throttles by answering late.
#[tokio::test(start_paused = true)]
async fn a_carrier_that_slows_down_gets_a_narrower_window_and_all_of_it_again_later() {
    let start = Instant::now();
    let (slow, fast) = (20 * SECOND, 60 * SECOND);
    let per_second = move |now: Instant| match now - start {
        passed if passed < slow => 200,
        passed if passed < fast => 20,
        _ => 200,
    };
    let operator = Operator {
        window: 50,
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator)]), queueing(per_second, ms(100))).await;
    world.bound().await;
    let window = || gauge("smsgw_operator_window", "alpha-1");
    let narrowed = || {
        counter(
            "smsgw_operator_window_narrowed_total",
            &[("operator", "alpha"), ("cause", "slow")],
        )
    };
    world.send(0..15_000).await;
    tokio::time::sleep_until(start + slow - ms(100)).await;
    let before = world.carrier.seen().len();
    assert!(before > 3_700, "{before} of 4000 parts in twenty seconds");
    assert!(window() > 15.0, "{} at full speed", window());

    tokio::time::sleep_until(start + fast - ms(100)).await;
    let least = window();
    assert!(least <= 10.0, "{least} while the carrier takes 20 a second");
    assert!(narrowed() >= 1.0);
    let seen = world.carrier.seen();
    let tail: Vec<_> = seen.iter().rev().take(100).collect();
    let rate = 99.0 / (tail[0].at - tail[99].at).as_secs_f64();
    assert!(rate > 19.0, "the carrier is never idle: {rate:.1} a second");
    let most = tail.iter().map(|seen| seen.outstanding).max().unwrap();
    assert!(most <= 8, "{most} wait at the carrier");

    tokio::time::sleep_until(start + fast + 40 * SECOND).await;
    let again = world.carrier.seen().len() - seen.len();
    assert!(again > 7_000, "{again} of 8000 parts in the last forty seconds");
    assert_eq!(world.table.snapshot().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_says_it_is_congested_gets_a_narrower_window() {
    let operator = Operator {
        interface_version: smsgw_config::InterfaceVersion::V5_0,
        ..operator()
    };
    let carrier = Carrier::scripted(|_, _| Reply::After(ms(20), OK));
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    world.bound().await;
    world.carrier.is_busy(100);
    world.send(0..2_000).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(gauge("smsgw_operator_window", "alpha-1"), 1.0, "never less");
    let most = world.carrier.seen().last().unwrap().outstanding;
    assert_eq!(most, 1);
    world.carrier.is_busy(20);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(gauge("smsgw_operator_window", "alpha-1"), 10.0, "wide again");
    let narrowed = counter(
        "smsgw_operator_window_narrowed_total",
        &[("operator", "alpha"), ("cause", "congestion_state")],
    );
    assert!(narrowed >= 3.0, "{narrowed}");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_not_adaptive_stays_as_configured() {
    let operator = Operator {
        window: 40,
        adaptive: false,
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator)]), queueing(|_| 20, ms(20))).await;
    world.send(0..2_000).await;
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(world.carrier.seen().last().unwrap().outstanding, 40);
    assert_eq!(gauge("smsgw_operator_window", "alpha-1"), 40.0);
}

#[tokio::test(start_paused = true)]
async fn throttling_narrows_the_window_of_its_link_and_loses_nothing() {
    let carrier = Carrier::scripted(|n, _| {
        let status = if n % 5 == 4 { CommandStatus::THROTTLED } else { OK };
        Reply::After(ms(10), status)
    });
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.send(0..200).await;
    let results = world.results(200).await;
    assert!(
        results
            .iter()
            .all(|result| matches!(result.outcome, SubmitOutcome::Sent { .. }))
    );
    let throttled = counter(
        "smsgw_operator_window_narrowed_total",
        &[("operator", "alpha"), ("cause", "throttled")],
    );
    assert!(throttled >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_link_never_delays_another_of_the_same_operator() {
    let operator = Operator {
        binds: 2,
        window: 10,
        ..operator()
    };
    let carrier = Carrier::scripted(|_, _| Reply::After(ms(50), OK));
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    world.bound().await;
    world.carrier.mute(0);
    let begin = Instant::now();
    world.send(0..1_000).await;
    world.results(990).await;
    // Ten in flight each 50 ms are 200 a second; the window begins with ten.
    assert!(begin.elapsed() < ms(5_500), "{:?}", begin.elapsed());
    let seen = world.carrier.seen();
    assert_eq!(seen.iter().filter(|seen| seen.session == 0).count(), 10);
    let last = seen.iter().filter(|seen| seen.session == 1).map(|seen| seen.at);
    let pauses: Vec<_> = last.collect();
    let longest = pauses.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= ms(60), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn free_retries_end_with_the_validity_of_the_message() {
    for status in [CommandStatus::THROTTLED, CommandStatus::MESSAGE_QUEUE_FULL] {
        let carrier = Carrier::scripted(move |_, _| Reply::Now(status));
        let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
        world.bound().await;
        let begin = Instant::now();
        let valid_until = world.clock.now().after(100 * SECOND);
        world
            .publish(vec![Dispatch {
                valid_until,
                ..dispatch(1)
            }])
            .await;
        let (up, _) = world.up_within(200 * SECOND).await.expect("an end");
        let Up::SubmitResult(result) = up else {
            panic!("{up:?}")
        };
        assert_eq!(result.outcome, SubmitOutcome::Expired, "{status}");
        let took = begin.elapsed();
        assert!((100 * SECOND..ms(100_200)).contains(&took), "{status}: {took:?}");
        assert!(world.carrier.seen().len() >= 6, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_ladder_of_full_queues_goes_on_after_a_restart() {
    let full = || Carrier::scripted(|_, _| Reply::Now(CommandStatus::MESSAGE_QUEUE_FULL));
    let world = World::start_with(config(&[("alpha", operator())]), full()).await;
    world.send([1]).await;
    world
        .until("four tries", |world| world.carrier.seen().len() == 4)
        .await;
    tokio::time::sleep(ms(100)).await;
    assert_eq!(world.tree.stop().await, Exit::Stopped);
    let stopped = world.carrier.seen()[3].at;
    let memory = world.memory.reopen();
    let world = World::start_on(
        memory,
        Arc::clone(&world.clock),
        config(&[("alpha", operator())]),
        full(),
    )
    .await;
    world
        .until("two more", |world| world.carrier.seen().len() == 2)
        .await;
    let seen = world.carrier.seen();
    assert_eq!((seen[0].at - stopped).as_secs(), 16, "the fourth wait");
    assert_eq!((seen[1].at - seen[0].at).as_secs(), 32, "the fifth");
}

fn deliver(n: u64) -> DeliverSm {
    let text = format!(
        "id:{n} sub:001 dlvrd:001 submit date:2611210800 done date:2611210801 stat:DELIVRD err:000 text:"
    );
    DeliverSm {
        source: Address::international("491700000001").unwrap(),
        destination: Address::short_code("12345").unwrap(),
        esm_class: 0x04,
        short_message: bytes::Bytes::from(text),
        ..DeliverSm::default()
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_beyond_the_inbound_rate_are_left_to_the_carrier() {
    let operator = Operator {
        inbound_rate: 20.0,
        ..operator()
    };
    let world = World::start(operator).await;
    world.bound().await;
    for n in 0..50 {
        world.carrier.deliver(n, deliver(n));
    }
    world
        .until("answered", |world| world.carrier.answered().len() == 50)
        .await;
    let refused = |world: &World| {
        let mut refused: Vec<_> = world.carrier.answered();
        refused.retain(|(_, status)| *status != OK);
        refused
    };
    let first = refused(&world);
    assert_eq!(first.len(), 30, "a second's worth may come at once");
    assert!(
        first
            .iter()
            .all(|(_, status)| *status == CommandStatus::TEMPORARY_APP_ERROR)
    );
    tokio::time::sleep(ms(1_100)).await;
    for n in 50..70 {
        world.carrier.deliver(n, deliver(n));
    }
    world
        .until("answered", |world| world.carrier.answered().len() == 70)
        .await;
    assert_eq!(refused(&world).len(), 30);
    for _ in 0..40 {
        let (Up::Receipt(receipt), _) = world.up().await else {
            panic!("a receipt")
        };
        assert_eq!(receipt.state, ReceiptState::Delivered);
    }
}
