//! The callback node against the memory engine and targets on loopback: what it promises to clients and to the queue.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "tests"
)]

mod faults;
mod harness;
mod many;
mod policies;
mod tls;

use harness::*;
use smsgw_message::{Class, EventName, names};
use smsgw_queue::{Depth, EngineError, Lane, Place, Step, StepId};
use smsgw_runtime::Exit;
use smsgw_testkit::Mood;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_2xx_settles_and_is_told_and_has_its_event() {
    let target = Target::start(Reply::Status(204)).await;
    let node = Node::start(ALLOWED).await;
    let id = node.report("acme", &target.url(), 1).await[0];
    until("settled", SOON, || {
        node.depth() == Depth::default() && target.count() == 1
    })
    .await;
    {
        let got = target.got.lock().unwrap();
        let head = &got[0].head;
        assert!(head.starts_with("post /events?token=t http/1.1\r\n"), "{head}");
        assert!(
            head.contains("content-type: application/json\r\n") && head.contains("smsgw-attempt: 1\r\n"),
            "{head}"
        );
        let body: serde_json::Value = serde_json::from_str(&got[0].body).unwrap();
        assert_eq!(body["message"]["id"], id.to_string());
        assert!(
            head.contains(&format!("smsgw-event: {}\r\n", body["id"].as_str().unwrap())),
            "{head}"
        );
    }
    let told = node.told(id).await.unwrap();
    assert_eq!((told.message, told.attempts), (id, 1));
    let events = node.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].name, events[0].message),
        (EventName::DeliveredToClient, Some(id))
    );
    assert_eq!(events[0].client.as_ref().unwrap().as_str(), "acme");
    assert_eq!(node.tree.drain().await, Exit::Stopped);
}

#[tokio::test]
async fn what_is_not_2xx_climbs_the_ladder_with_jitter_and_counts_its_attempts() {
    let redirected = Target::start(Reply::Status(200)).await;
    let node = Node::start(&format!(
        "{ALLOWED}retry = [\"400ms\", \"400ms\", \"10s\"]\nbreaker_failures = 100"
    ))
    .await;
    for reply in [
        Reply::Status(503),
        Reply::Redirect(redirected.url()),
        Reply::Status(101),
        Reply::Garbage,
    ] {
        let target = Target::start(reply).await;
        let id = node.report("acme", &target.url(), 1).await[0];
        until("third attempt", SOON, || {
            target.count() == 3 && node.depth().deferred > 0
        })
        .await;
        assert!(node.told(id).await.is_none());
        let got = target.got.lock().unwrap();
        for (attempt, got) in got.iter().enumerate() {
            assert!(
                got.head.contains(&format!("smsgw-attempt: {}\r\n", attempt + 1)),
                "{}",
                got.head
            );
        }
        for pair in got.windows(2) {
            let waited = pair[1].at - pair[0].at;
            assert!(
                (Duration::from_millis(315)..Duration::from_secs(8)).contains(&waited),
                "{waited:?}"
            );
        }
    }
    assert_eq!(redirected.count(), 0, "a redirect was followed");
}

#[tokio::test]
async fn a_target_that_hangs_or_refuses_is_a_failure_within_the_timeout() {
    let hanging = Target::start(Reply::Hang).await;
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let node = Node::start(&format!("{ALLOWED}retry = [\"10s\"]")).await;
    node.report("acme", &hanging.url(), 1).await;
    node.report("refused", &format!("http://{closed}/"), 1).await;
    until("refused", SOON, || node.depth().deferred == 1).await;
    until("timed out", SOON, || node.depth().deferred == 2).await;
    assert_eq!(hanging.count(), 1);
}

#[tokio::test]
async fn the_end_of_the_ladder_is_a_dead_letter_with_its_event() {
    let target = Target::start(Reply::Status(500)).await;
    let node = Node::start(&format!("{ALLOWED}retry = [\"20ms\", \"20ms\"]")).await;
    let id = node.report("acme", &target.url(), 1).await[0];
    until("given up", SOON, || node.depth().dead_letter == 1).await;
    assert_eq!(target.count(), 3);
    assert_eq!(node.aside(Place::DeadLetter).await, ["attempts_exhausted"]);
    let events = node.events().await;
    assert_eq!(
        (events[0].name, events[0].message),
        (EventName::ClientUnreachable, Some(id))
    );
    assert_eq!(events[0].error.as_deref(), Some("attempts_exhausted"));
    assert!(node.told(id).await.is_none());
}

#[tokio::test]
async fn the_breaker_opens_probes_and_closes_and_nothing_is_lost() {
    let target = Target::start(Reply::Status(500)).await;
    let node = Node::start(&format!(
        "{ALLOWED}retry = [\"20ms for 1h\"]\nbreaker_failures = 5\nbreaker_probe = \"100ms\"\nbreaker_probe_max = \"400ms\"\n\
         max_per_target = 4"
    ))
    .await;
    let ids = node.report("acme", &target.url(), 300).await;
    let start = Instant::now();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    until("the first probe", SOON, || target.count() >= 6).await;
    // 5 to open, up to 3 under way then, probes at 0.1, 0.3, 0.7, 1.1 and 1.5 s; every 0.4 s where the test comes late.
    let (asked, took) = (target.count(), start.elapsed());
    let most = 14.0 + (took.as_secs_f64() - 1.5) / 0.4;
    assert!(
        asked as f64 <= most,
        "{asked} requests to a dead target in {took:?}"
    );
    target.answer(Reply::Status(200));
    until("all delivered", SOON, || node.depth() == Depth::default()).await;
    for id in ids {
        assert!(node.told(id).await.is_some());
    }
    assert!(target.most.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn behind_an_open_breaker_age_alone_ends_the_wait() {
    let target = Target::start(Reply::Status(500)).await;
    let node = Node::start(&format!(
        "{ALLOWED}retry = [\"50ms for 1h\"]\nbreaker_failures = 1\nbreaker_probe = \"500ms\"\nbreaker_probe_max = \"500ms\"\n\
         give_up = \"1s\"\nmax_per_target = 1"
    ))
    .await;
    node.report("acme", &target.url(), 200).await;
    until("all given up", SOON, || node.depth().dead_letter == 200).await;
    assert!(target.count() < 20, "{} requests", target.count());
}

#[tokio::test]
async fn a_slow_or_hanging_target_delays_no_other_client() {
    for reply in [Reply::Hang, Reply::After(Duration::from_millis(300))] {
        let slow = Target::start(reply).await;
        let fast = Target::start(Reply::Status(200)).await;
        let node = Node::start(&format!("{ALLOWED}max_in_flight = 32\nmax_per_target = 4")).await;
        node.report("slow", &slow.url(), 2000).await;
        until("the slow one is busy", SOON, || slow.count() >= 4).await;
        // Long enough for several rounds of the slow target.
        for _ in 0..8 {
            let before = fast.count();
            let start = Instant::now();
            node.report("fast", &fast.url(), 50).await;
            until("the fast one is served", SOON, || fast.count() == before + 50).await;
            assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(slow.most.load(Ordering::SeqCst) <= 4);
        assert!(node.depth().in_flight < 80, "{:?}", node.depth());
        node.tree.stop().await;
    }
}

#[tokio::test]
async fn one_client_with_many_hanging_targets_leaves_room_for_others() {
    let fast = Target::start(Reply::Status(200)).await;
    let node = Node::start(&format!("{ALLOWED}max_in_flight = 16\nmax_per_target = 8")).await;
    let mut hanging = Vec::new();
    for _ in 0..20 {
        hanging.push(Target::start(Reply::Hang).await);
    }
    // One after the other, so that no target of it is ever full.
    for target in hanging.iter().cycle().take(200) {
        node.report("hostile", &target.url(), 1).await;
    }
    let start = Instant::now();
    let busy = || hanging.iter().map(Target::count).sum::<usize>();
    until("half of the places are taken", SOON, || busy() >= 8).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Those that timed out meanwhile were followed by others.
    let (busy, over) = (busy(), start.elapsed().as_secs());
    let most = 11 + 8 * usize::try_from(over).unwrap();
    assert!(
        busy <= most,
        "{busy}: half of the places, and at most one checkout beyond it"
    );
    let start = Instant::now();
    node.report("fast", &fast.url(), 100).await;
    until("the fast one is served", SOON, || fast.count() == 100).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn with_hardly_any_room_and_targets_that_come_and_go_everything_arrives_in_the_end() {
    let node = Node::start(&format!(
        "{ALLOWED}max_in_flight = 3\nmax_per_target = 2\nretry = [\"20ms for 1h\"]\nbreaker_failures = 2\n\
         breaker_probe = \"100ms\"\nbreaker_probe_max = \"100ms\""
    ))
    .await;
    let mut targets = Vec::new();
    for _ in 0..3 {
        targets.push(Target::start(Reply::Status(500)).await);
    }
    let mut ids = Vec::new();
    for target in targets.iter().cycle().take(60) {
        ids.extend(node.report("a", &target.url(), 2).await);
        ids.extend(node.report("b", &target.url(), 1).await);
    }
    for target in &targets {
        tokio::time::sleep(Duration::from_millis(250)).await;
        target.answer(Reply::After(Duration::from_millis(2)));
    }
    until("all delivered", 2 * SOON, || node.depth() == Depth::default()).await;
    for id in ids {
        assert!(node.told(id).await.is_some());
    }
    for target in &targets {
        assert!(target.most.load(Ordering::SeqCst) <= 2);
    }
}

#[tokio::test]
async fn a_private_target_is_not_called_unless_it_is_allowed() {
    let target = Target::start(Reply::Status(200)).await;
    let node = Node::start("retry = [\"20ms\"]").await;
    let by_name = format!("http://localhost:{}/", target.address.port());
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", target.address.port());
    for url in [target.url(), by_name, mapped] {
        node.report("acme", &url, 1).await;
    }
    until("given up", SOON, || node.depth().dead_letter == 3).await;
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_body_of_an_answer_neither_undoes_a_2xx_nor_fills_memory() {
    for reply in [Reply::Endless, Reply::NoBody] {
        let target = Target::start(reply).await;
        let node = Node::start(ALLOWED).await;
        let id = node.report("acme", &target.url(), 1).await[0];
        until("settled", SOON, || node.depth() == Depth::default()).await;
        assert!(node.told(id).await.is_some());
        assert_eq!(target.count(), 1);
        // What the kernel's buffers take, and not more.
        let written = target.written.load(Ordering::SeqCst);
        assert!(written < 16 * 1024 * 1024, "{written} octets were read");
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_has_no_target_is_kept_for_people() {
    let node = Node::start(ALLOWED).await;
    let lane = Lane::new(Class::Bulk, "acme");
    let step =
        Step::new(StepId::from_bytes([9; 16])).publish(names::DOWN_CALLBACK, lane, vec![4, 1, 0xff].into());
    step.commit(node.engine.as_ref()).await.unwrap();
    node.report("acme", "no url", 1).await;
    until("put aside", SOON, || {
        node.depth().dead_letter == 1 && node.depth().corrupt == 1
    })
    .await;
    assert_eq!(node.aside(Place::DeadLetter).await, ["no_owner"]);
    assert_eq!(node.aside(Place::Corrupt).await, ["corrupt"]);
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way_and_gives_the_rest_back() {
    let target = Target::start(Reply::After(Duration::from_millis(400))).await;
    let node = Node::start(&format!("{ALLOWED}max_per_target = 2")).await;
    node.report("acme", &target.url(), 20).await;
    until("two under way", SOON, || target.count() == 2).await;
    let start = Instant::now();
    assert_eq!(node.tree.drain().await, Exit::Stopped);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(target.count(), 2);
    let depth = node.depth();
    assert_eq!((depth.ready + depth.deferred, depth.in_flight), (18, 0));
    assert_eq!(node.events().await.len(), 2);
}

#[tokio::test]
async fn while_the_disk_is_full_nobody_is_called_twice_and_afterwards_all_is_settled() {
    let target = Target::start(Reply::Status(200)).await;
    let node = Node::start(ALLOWED).await;
    node.engine.set(Mood::Refusing(EngineError::NoSpace));
    let id = node.report("acme", &target.url(), 1).await[0];
    until("posted", SOON, || target.count() == 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(target.count(), 1);
    node.engine.calm();
    until("settled", SOON, || node.depth() == Depth::default()).await;
    assert_eq!(target.count(), 1);
    assert!(node.told(id).await.is_some());
}

#[tokio::test]
async fn a_full_disk_does_not_hold_up_a_stop() {
    let target = Target::start(Reply::Status(200)).await;
    let node = Node::start(ALLOWED).await;
    node.engine.set(Mood::Refusing(EngineError::NoSpace));
    node.report("acme", &target.url(), 1).await;
    until("posted", SOON, || target.count() == 1).await;
    let start = Instant::now();
    assert_eq!(node.tree.drain().await, Exit::Stopped);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(
        node.depth().ready,
        1,
        "the callback is sent again after the start"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_callbacks_reuse_their_connections() {
    let target = Target::start(Reply::Status(200)).await;
    let node = Node::start(ALLOWED).await;
    let start = Instant::now();
    let ids = node.report("acme", &target.url(), 5000).await;
    until("all delivered", 2 * SOON, || node.depth() == Depth::default()).await;
    let (took, connections) = (start.elapsed(), target.connections.load(Ordering::SeqCst));
    println!("5000 callbacks in {took:?} over {connections} connections");
    assert_eq!(target.count(), 5000);
    assert_eq!(node.events().await.len(), ids.len());
    assert!(connections <= 128, "{connections} connections");
}
