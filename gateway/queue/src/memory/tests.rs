//! The memory engine keeps every law, under a clock moved by hand and under tokio's paused time.

use super::*;
use crate::conformance::{Harness, ManualClock};
use crate::{Expiry, Lane};
use bytes::Bytes;
use smsgw_message::Class;

struct Memory {
    clock: Arc<ManualClock>,
    engine: Arc<MemoryEngine>,
}

impl Harness for Memory {
    async fn open() -> Self {
        let clock = ManualClock::new();
        let engine = MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, engine }
    }

    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }

    async fn crash_and_reopen(&mut self) {
        self.engine = self.engine.reopen();
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.engine.tick();
    }
}

crate::conformance!(Memory);

#[test]
fn random_acts_do_what_the_plain_model_does() {
    crate::conformance::model::run::<Memory>(600, 60);
}

/// Follows tokio's clock, which a paused runtime moves by itself.
#[derive(Debug)]
struct TokioClock {
    start: tokio::time::Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        ManualClock::START.after(self.start.elapsed())
    }

    fn instant(&self) -> std::time::Instant {
        tokio::time::Instant::now().into_std()
    }
}

fn paused() -> (Arc<TokioClock>, Arc<MemoryEngine>) {
    let clock = Arc::new(TokioClock {
        start: tokio::time::Instant::now(),
    });
    (Arc::clone(&clock), MemoryEngine::new(clock))
}

fn fresh() -> Step {
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    Step::new(crate::StepId::from_bytes(
        [NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 16],
    ))
}

fn lane() -> Lane {
    Lane::new(Class::Otp, "acme")
}

async fn take(engine: &MemoryEngine, queue: &str, wait: Duration) -> Vec<Delivery> {
    engine.checkout(&queue.into(), Want::new(10, wait)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn under_paused_time_a_deferred_record_comes_when_it_is_due() {
    let (clock, engine) = paused();
    let due = clock.now().after(Duration::from_secs(90));
    fresh()
        .publish_at("q", lane(), Bytes::new(), due)
        .commit(engine.as_ref())
        .await
        .unwrap();
    assert!(take(&engine, "q", Duration::from_secs(60)).await.is_empty());
    assert_eq!(clock.now().since(ManualClock::START), Duration::from_secs(60));
    let taken = take(&engine, "q", Duration::from_secs(600)).await;
    assert_eq!((taken.len(), clock.now()), (1, due));
}

#[tokio::test(start_paused = true)]
async fn under_paused_time_an_alarm_wakes_its_consumer_and_expiry_needs_nobody() {
    let (clock, engine) = paused();
    let at = clock.now().after(Duration::from_secs(300));
    let step = fresh()
        .put(
            "k",
            Bytes::from_static(b"v"),
            Expiry::Alarm(at, "alarms".into(), lane()),
        )
        .put("gone", Bytes::new(), Expiry::At(at));
    step.commit(engine.as_ref()).await.unwrap();
    let rung = take(&engine, "alarms", Duration::from_secs(3600)).await;
    assert_eq!(
        (rung.len(), rung[0].record().as_ref(), clock.now()),
        (1, &b"k"[..], at)
    );
    let found = engine.get(vec!["k".into(), "gone".into()]).await.unwrap();
    assert_eq!((found[0].is_some(), found[1].is_some()), (true, false));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_never_wait_leave_room_for_others() {
    let (_, engine) = paused();
    let busy = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            while engine.depth(&"stop".into()).ready == 0 {
                fresh()
                    .append("log", Bytes::new())
                    .commit(engine.as_ref())
                    .await
                    .unwrap();
            }
        }
    });
    tokio::task::yield_now().await;
    fresh()
        .publish("stop", lane(), Bytes::new())
        .commit(engine.as_ref())
        .await
        .unwrap();
    busy.await.unwrap();
}

#[tokio::test]
async fn what_goes_through_is_counted_and_what_fails_is_not() {
    let engine = MemoryEngine::new(ManualClock::new());
    for _ in 0..3 {
        fresh()
            .publish("counted", lane(), Bytes::new())
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    let failing = fresh()
        .publish("counted", lane(), Bytes::new())
        .add("n", -1, Some(0), Expiry::Owner);
    assert!(failing.commit(engine.as_ref()).await.is_err());
    let mut taken = take(&engine, "counted", Duration::ZERO).await;
    drop(taken.pop());
    for delivery in &taken {
        Step::from(delivery)
            .settle(delivery)
            .commit(engine.as_ref())
            .await
            .unwrap();
    }
    drop(taken);
    let text = smsgw_telemetry::exposition();
    for line in [
        "smsgw_queue_published_total{queue=\"counted\"} 3",
        "smsgw_queue_settled_total{queue=\"counted\"} 2",
        "smsgw_queue_abandoned_total{queue=\"counted\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
