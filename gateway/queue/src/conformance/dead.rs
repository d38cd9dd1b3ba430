//! Laws of dead letters: kept, told apart, looked at, deleted in the end.

use super::*;
use crate::{CommitErrorKind, DeadReason};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub async fn dead_letter_is_kept_with_its_reason<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "a").await;
    let delivery = one(&engine, "q").await;
    ok(
        &engine,
        Step::from(&delivery).dead_letter(&delivery, DeadReason::AttemptsExhausted),
    )
    .await;
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    nothing(&engine, "q").await;
    let seen = browse(&engine, "q", Place::DeadLetter).await;
    assert_eq!(
        (seen.len(), seen[0].reason, text(&seen[0].record)),
        (1, "attempts_exhausted", "a".into())
    );
    assert_eq!(
        (&seen[0].lane, seen[0].place, seen[0].due),
        (&lane(), Place::DeadLetter, None)
    );
    ok(&engine, step().requeue("q", seen[0].id)).await;
    assert_eq!(texts(&take(&engine, "q", 1).await), ["a"]);
    assert!(browse(&engine, "q", Place::DeadLetter).await.is_empty());
}

pub async fn corrupt_record_is_kept_apart<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    publish(&engine, "q", "?").await;
    let delivery = one(&engine, "q").await;
    let id = delivery.id();
    ok(
        &engine,
        Step::from(&delivery).dead_letter(&delivery, DeadReason::Corrupt),
    )
    .await;
    drop((delivery, engine));
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert!(browse(&engine, "q", Place::DeadLetter).await.is_empty());
    let seen = browse(&engine, "q", Place::Corrupt).await;
    assert_eq!((seen.len(), seen[0].reason, seen[0].id), (1, "corrupt", id));
    let error = step().requeue("q", id).commit(engine.as_ref()).await.unwrap_err();
    assert!(
        matches!(error.kind, CommitErrorKind::NoRecord { .. }),
        "what cannot be decoded is not tried again"
    );
    ok(&engine, step().discard("q", id)).await;
    assert_eq!(engine.depth(&"q".into()), crate::Depth::default());
}

pub async fn buried_record_is_a_dead_letter_from_the_start<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    let steps = step()
        .bury("q", lane(), octets("unknown"), DeadReason::UnknownReceipt)
        .bury("q", lane(), octets("garbage"), DeadReason::Corrupt);
    ok(&engine, steps).await;
    drop(engine);
    for _ in 0..2 {
        let engine = harness.engine();
        nothing(&engine, "q").await;
        let dead = browse(&engine, "q", Place::DeadLetter).await;
        let corrupt = browse(&engine, "q", Place::Corrupt).await;
        assert_eq!((dead.len(), dead[0].reason), (1, "unknown_receipt"));
        assert_eq!((corrupt.len(), text(&corrupt[0].record)), (1, "garbage".into()));
        assert_eq!(dead[0].published_at, harness.now());
        drop(engine);
        harness.crash_and_reopen().await;
    }
}

pub async fn dead_letters_are_browsed_page_by_page<H: Harness>() {
    let engine = H::open().await.engine();
    for n in 0..10 {
        let reason = if n == 4 {
            DeadReason::Corrupt
        } else {
            DeadReason::NoOwner
        };
        ok(&engine, step().bury("q", lane(), octets(n.to_string()), reason)).await;
    }
    let mut after = None;
    let mut pages = Vec::new();
    loop {
        let page = engine
            .browse(&"q".into(), Place::DeadLetter, after, 4)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        after = page.last().map(|last| last.id);
        pages.push(
            page.iter()
                .map(|seen| text(&seen.record))
                .collect::<Vec<_>>()
                .concat(),
        );
    }
    assert_eq!(pages, ["0123", "5678", "9"]);
    assert!(
        engine
            .browse(&"none".into(), Place::DeadLetter, None, 4)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        engine
            .browse(&"q".into(), Place::DeadLetter, None, 0)
            .await
            .unwrap()
            .is_empty()
    );
    // Every other place, too.
    for n in 0..5 {
        publish(&engine, "r", n.to_string()).await;
    }
    let leased = take(&engine, "r", 2).await;
    let ready = engine.browse(&"r".into(), Place::Ready, None, 2).await.unwrap();
    assert_eq!(
        ready.iter().map(|seen| text(&seen.record)).collect::<Vec<_>>(),
        ["2", "3"]
    );
    let rest = engine
        .browse(&"r".into(), Place::Ready, Some(ready[1].id), 9)
        .await
        .unwrap();
    assert_eq!(
        rest.iter()
            .map(|seen| (text(&seen.record), seen.reason))
            .collect::<Vec<_>>(),
        [("4".into(), "")]
    );
    let flying = browse(&engine, "r", Place::InFlight).await;
    let ids = |deliveries: &[Delivery]| deliveries.iter().map(Delivery::id).collect::<Vec<_>>();
    assert_eq!(
        flying.iter().map(|seen| seen.id).collect::<Vec<_>>(),
        ids(&leased)
    );
}

pub async fn dead_letters_are_deleted_after_their_retention<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    ok(
        &engine,
        step().bury("q", lane(), octets("old"), DeadReason::NoRoute),
    )
    .await;
    ok(
        &engine,
        step().bury("q", lane(), octets("garbage"), DeadReason::Corrupt),
    )
    .await;
    publish(&engine, "q", "ready").await;
    harness.advance(DAY * 4).await;
    ok(
        &engine,
        step().bury("q", lane(), octets("young"), DeadReason::NoRoute),
    )
    .await;
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    assert_eq!(browse(&engine, "q", Place::DeadLetter).await.len(), 2);
    harness.advance(DAY * 3 + Duration::from_secs(1)).await;
    let seen = browse(&engine, "q", Place::DeadLetter).await;
    assert_eq!(
        seen.iter().map(|seen| text(&seen.record)).collect::<Vec<_>>(),
        ["young"]
    );
    assert!(browse(&engine, "q", Place::Corrupt).await.is_empty());
    drop(engine);
    harness.crash_and_reopen().await;
    let engine = harness.engine();
    let depth = engine.depth(&"q".into());
    assert_eq!((depth.ready, depth.dead_letter, depth.corrupt), (1, 1, 0));
    harness.advance(DAY * 4).await;
    assert_eq!(
        engine.depth(&"q".into()),
        crate::Depth {
            ready: 1,
            octets: 5,
            ..crate::Depth::default()
        }
    );
}
