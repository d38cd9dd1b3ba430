//! Laws of waiting: a call that waits wakes for what it waits for, ends in time, and loses nothing when it is dropped.

use super::*;
use crate::{Cost, EngineError, ReleaseReason};
use tokio::task::JoinHandle;

type Waiting<T> = JoinHandle<Result<T, EngineError>>;

/// A checkout of one record that waits, and has had time to begin.
async fn waiting(engine: &Arc<dyn Engine>, flows: Flows) -> Waiting<Vec<Delivery>> {
    let engine = Arc::clone(engine);
    let want = Want::new(1, PATIENCE * 2).flows(flows);
    let task = tokio::spawn(async move { engine.checkout(&"q".into(), want).await });
    begun(&task).await;
    task
}

/// Whether the task waits already cannot be seen; these laws hold in either case, this makes the interesting one the
/// likely one.
pub(super) async fn begun<T>(task: &JoinHandle<T>) {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!task.is_finished(), "there is nothing yet to be had");
}

async fn woken<T>(task: Waiting<T>) -> T {
    tokio::time::timeout(PATIENCE, task)
        .await
        .expect("it wakes")
        .unwrap()
        .unwrap()
}

pub async fn waiting_checkout_wakes_on_publish<H: Harness>() {
    let engine = H::open().await.engine();
    let task = waiting(&engine, Flows::All).await;
    publish(&engine, "other", "x").await;
    publish(&engine, "q", "a").await;
    assert_eq!(texts(&woken(task).await), ["a"]);
}

pub async fn waiting_checkout_wakes_when_a_record_is_due<H: Harness>() {
    let harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    let delivery = one(&engine, "q").await;
    let minute = Duration::from_secs(60);
    ok(
        &engine,
        step().release(&delivery, minute, ReleaseReason::Throttled, Cost::Free),
    )
    .await;
    let task = waiting(&engine, Flows::All).await;
    harness.advance(minute).await;
    assert_eq!(texts(&woken(task).await), ["a"]);
}

pub async fn waiting_checkout_wakes_when_a_delivery_is_dropped<H: Harness>() {
    let engine = H::open().await.engine();
    publish(&engine, "q", "a").await;
    let delivery = one(&engine, "q").await;
    let task = waiting(&engine, Flows::All).await;
    drop(delivery);
    let again = woken(task).await;
    assert_eq!(
        (texts(&again), again[0].leased_before_crash()),
        (vec!["a".into()], true)
    );
}

pub async fn waiting_checkout_is_empty_after_its_wait<H: Harness>() {
    let engine = H::open().await.engine();
    for wait in [Duration::ZERO, Duration::from_millis(30)] {
        let want = Want::new(10, wait);
        let begin = tokio::time::Instant::now();
        let answer = tokio::time::timeout(PATIENCE, engine.checkout(&"q".into(), want))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.is_empty() && begin.elapsed() >= wait);
    }
    publish(&engine, "q", "a").await;
    let none = engine
        .checkout(&"q".into(), Want::new(0, PATIENCE))
        .await
        .unwrap();
    assert!(none.is_empty());
}

pub async fn waiting_checkout_of_one_flow_wakes_for_that_flow<H: Harness>() {
    let engine = H::open().await.engine();
    let a = waiting(&engine, Flows::Only("a".into())).await;
    let not_a = waiting(&engine, Flows::Except(["a".into()].into())).await;
    ok(
        &engine,
        step().publish("q", Lane::new(Class::Otp, "b"), octets("b")),
    )
    .await;
    assert_eq!(texts(&woken(not_a).await), ["b"]);
    begun(&a).await;
    ok(
        &engine,
        step().publish("q", Lane::new(Class::Otp, "a"), octets("a")),
    )
    .await;
    assert_eq!(texts(&woken(a).await), ["a"]);
}

pub async fn cancelled_checkout_loses_nothing<H: Harness>() {
    let engine = H::open().await.engine();
    for n in 0..50 {
        let task = waiting_briefly(&engine);
        let publisher = Arc::clone(&engine);
        let publishing = tokio::spawn(async move { publish(&publisher, "q", n.to_string()).await });
        if n % 2 == 0 {
            tokio::task::yield_now().await;
        }
        task.abort();
        publishing.await.unwrap();
        // What the cancelled call had taken, if it came so far, is dropped with it.
        drop(task.await);
        let delivery = one(&engine, "q").await;
        assert_eq!(text(delivery.record()), n.to_string());
        ok(&engine, step().settle(&delivery)).await;
    }
}

fn waiting_briefly(engine: &Arc<dyn Engine>) -> Waiting<Vec<Delivery>> {
    let engine = Arc::clone(engine);
    tokio::spawn(async move { engine.checkout(&"q".into(), Want::new(10, PATIENCE)).await })
}

async fn reading(engine: &Arc<dyn Engine>, from: Position) -> Waiting<Vec<Entry>> {
    let engine = Arc::clone(engine);
    let task = tokio::spawn(async move { engine.read(&"log".into(), from, 10, PATIENCE * 2).await });
    begun(&task).await;
    task
}

pub async fn waiting_reader_wakes_on_append<H: Harness>() {
    let engine = H::open().await.engine();
    let task = reading(&engine, Position(0)).await;
    ok(&engine, step().append("log", octets("a"))).await;
    let first = woken(task).await;
    assert_eq!(
        first.iter().map(|entry| text(&entry.record)).collect::<Vec<_>>(),
        ["a"]
    );
    let task = reading(&engine, first[0].position.next()).await;
    ok(&engine, step().append("another", octets("x"))).await;
    ok(&engine, step().append("log", octets("b"))).await;
    let second = woken(task).await;
    assert_eq!(
        second.iter().map(|entry| text(&entry.record)).collect::<Vec<_>>(),
        ["b"]
    );
}

pub async fn waiting_reader_is_empty_after_its_wait<H: Harness>() {
    let engine = H::open().await.engine();
    ok(&engine, step().append("log", octets("a"))).await;
    for (log, from) in [("none", Position(0)), ("log", Position(1))] {
        let wait = Duration::from_millis(30);
        let begin = tokio::time::Instant::now();
        let read = engine.read(&log.into(), from, 10, wait);
        let answer = tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(answer.is_empty() && begin.elapsed() >= wait);
    }
}
