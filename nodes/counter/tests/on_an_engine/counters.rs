//! Totals: what is counted where, for how long, and that each event is counted once.

use super::*;
use smsgw_node_counter::{OTHER, SENDERS_OF_CLIENT};

#[tokio::test(start_paused = true)]
async fn totals_by_every_dimension_follow_the_log() {
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    let tree = start(&engine, &clock).await;
    let now = clock.now();
    let whole = |name| Event {
        from: Some(Address::sender("BRAND").unwrap()),
        to: Some(Address::msisdn("491700000001").unwrap()),
        class: Some(Class::Otp),
        route: Some(3),
        ..event(now, name)
    };
    let accept = Event {
        operator: None,
        parts: 3,
        ..whole(EventName::MtAccepted)
    };
    let sent = Event {
        age_ms: Some(250),
        ..whole(EventName::MtSent)
    };
    let end = Event {
        state: Some(MessageState::Delivered),
        after_sent_ms: Some(4_000),
        ..whole(EventName::MtFinal)
    };
    let failed = Event {
        state: Some(MessageState::Failed),
        error: Some("001".to_owned()),
        ..whole(EventName::MtFinal)
    };
    let refused = Event {
        operator: None,
        error: Some("no_route".to_owned()),
        parts: 40_000,
        ..event(now, EventName::MtRefusedAtAccept)
    };
    let mo = Event {
        client: None,
        from: Some(Address::msisdn("33612345678").unwrap()),
        to: Some(Address::sender("12345").unwrap()),
        ..event(now, EventName::MoReceived)
    };
    append(&*engine, 1, &[accept, sent.clone()]).await;
    let broken = Step::new(StepId::from_bytes([9; 16])).append(names::EVENTS, vec![0xFF, 1, 2].into());
    broken.commit(&*engine).await.unwrap();
    append(&*engine, 2, &[sent, end, failed, refused, mo]).await;
    counted().await;

    for (dimension, value) in [
        (Dimension::Client, "acme"),
        (Dimension::Operator, "alpha"),
        (Dimension::Route, "mt.3"),
        (Dimension::Country, "DE"),
        (Dimension::Class, "otp"),
        (Dimension::Sender, "acme/BRAND"),
    ] {
        let row = row(&*engine, dimension, value).await;
        let accepts = u64::from(dimension != Dimension::Operator);
        let counts = [
            Count::Accepted,
            Count::PartsAccepted,
            Count::Sent,
            Count::Delivered,
            Count::Failed,
        ];
        assert_eq!(
            counts.map(|count| row.get(count)),
            [accepts, 3 * accepts, 2, 1, 1],
            "{value}"
        );
        let causes: Vec<_> = row.causes().collect();
        assert!(causes.contains(&(Count::Failed, "001", 1)), "{value}: {causes:?}");
        if dimension == Dimension::Client {
            assert_eq!(row.get(Count::RefusedAtAccept), 40_000);
            assert!(causes.contains(&(Count::RefusedAtAccept, "no_route", 40_000)));
        }
        let times = (row.accept_to_sent(), row.sent_to_delivered());
        match dimension {
            Dimension::Sender => assert_eq!(times, (None, None)),
            Dimension::Client
            | Dimension::Operator
            | Dimension::Route
            | Dimension::Country
            | Dimension::Class => {
                assert_eq!(times.0.unwrap().count(), 2, "{value}");
                // In steps of an eighth to a quarter: 250 in 224..=255, 4000 in 3584..=4095.
                assert_eq!(times.0.unwrap().quantile(50), Some(255), "{value}");
                assert_eq!(times.1.unwrap().quantile(50), Some(4_095), "{value}");
            }
        }
    }
    assert_eq!(
        total(&*engine, Dimension::Country, "FR", Count::MoReceived).await,
        1
    );
    let text = smsgw_telemetry::exposition();
    for line in [
        "smsgw_messages_total{client=\"acme\",what=\"delivered\"} 1",
        "smsgw_messages_total{client=\"-\",what=\"mo_received\"} 1",
        "smsgw_counter_skipped_total 1",
        "smsgw_accept_to_sent_seconds_count 2",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }

    // Hours are kept for 8 days, days for 400, and no longer.
    assert_eq!(tree.drain().await, Exit::Stopped);
    let hour = Period::Hour(Hour::of(now));
    let of_hour = || async { totals(&*engine, hour, Dimension::Client).await.unwrap() };
    assert_eq!(
        of_hour().await["acme"],
        row(&*engine, Dimension::Client, "acme").await
    );
    tokio::time::sleep(Duration::from_secs(9 * 86_400)).await;
    assert!(of_hour().await.is_empty());
    tokio::time::sleep(Duration::from_secs(390 * 86_400)).await;
    assert_eq!(
        total(&*engine, Dimension::Client, "acme", Count::PartsAccepted).await,
        3
    );
    tokio::time::sleep(Duration::from_secs(3 * 86_400)).await;
    assert!(row(&*engine, Dimension::Client, "acme").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_every_event_is_counted_exactly_once() {
    let clock = Arc::new(SimClock::new());
    let mut engine = MemoryEngine::new(clock.clone());
    let mut appended = 0;
    let mut partly = 0;
    for round in 0..60u64 {
        let tree = start(&engine, &clock).await;
        let events = vec![event(clock.now(), EventName::MtSent); 50];
        append(&*engine, round, &events).await;
        appended += 50;
        // Killed after a different time each time: before, between and after its calls.
        tokio::time::sleep(Duration::from_millis(round % 7 * 100)).await;
        for _ in 0..round % 20 {
            tokio::task::yield_now().await;
        }
        engine = engine.reopen();
        tree.stop().await;
        let counted = total(&*engine, Dimension::Client, "acme", Count::Sent).await;
        // Totals and position never part.
        assert_eq!(counted, position(&*engine).await.0, "round {round}");
        partly += i64::from(counted < appended);
    }
    assert!(
        partly > 10 && partly < 60,
        "{partly} kills came before their batch was counted"
    );
    let tree = start(&engine, &clock).await;
    counted().await;
    for (dimension, value) in BOTH {
        assert_eq!(total(&*engine, dimension, value, Count::Sent).await, appended);
    }
    assert_eq!(tree.drain().await, Exit::Stopped);
}

/// FD-1, with values that have no room of their own: which ones those are follows from the log alone.
#[tokio::test(start_paused = true)]
async fn senders_beyond_the_bound_are_counted_together_wherever_the_log_is_cut() {
    let clock = Arc::new(SimClock::new());
    let now = clock.now();
    let many = SENDERS_OF_CLIENT * 2;
    let log: Vec<Event> = (0..many * 3)
        .map(|n| Event {
            from: Some(Address::sender(&format!("S{}", n * 7 % many)).unwrap()),
            ..event(now, EventName::MtSent)
        })
        .collect();
    let mut found = Vec::new();
    for cut in [600, 100, 7] {
        let mut engine = MemoryEngine::new(clock.clone());
        for (n, events) in (0..).zip(log.chunks(cut)) {
            let tree = start(&engine, &clock).await;
            append(&*engine, n, events).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            engine = engine.reopen();
            tree.stop().await;
        }
        let day = Period::Day(Day::of(now));
        let all = totals(&*engine, day, Dimension::Sender).await.unwrap();
        assert_eq!(all.len(), usize::try_from(SENDERS_OF_CLIENT).unwrap() + 1);
        let sum: u64 = all.values().map(|row| row.get(Count::Sent)).sum();
        assert_eq!(sum, u64::from(many * 3), "nothing is lost of it");
        assert_eq!(
            all[&format!("acme/{OTHER}")].get(Count::Sent),
            u64::from(many - 100) * 3
        );
        found.push(all);
    }
    assert!(found.iter().all(|one| *one == found[0]));
}
