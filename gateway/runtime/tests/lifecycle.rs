//! In which order children start and stop, whom a stop waits for, and children that come and go; under paused time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use smsgw_runtime::{ChildContext, ChildSpec, ChildState, Exit, Intensity, Strategy, Supervisor, TreeGauges};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn children_start_in_order_each_after_the_one_before_is_ready_and_stop_in_reverse() {
    let diary = Diary::default();
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(steady("a", Duration::from_secs(3), &diary))
        .child(steady("b", Duration::from_secs(2), &diary))
        .child(steady("c", Duration::ZERO, &diary))
        .spawn()
        .await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(diary.take(), ["+a"]);
    assert_eq!(state(&tree, &["a"]), ChildState::Starting);
    assert_eq!(state(&tree, &["b"]), ChildState::Waiting);
    let before = Instant::now();
    assert!(tree.started().await);
    assert_eq!(before.elapsed().as_secs(), 4);
    assert!(tree.is_running() && tree.status().is_running());
    assert_eq!(diary.take(), ["+b", "+c"]);
    assert_eq!(tree.drain().await, Exit::Stopped);
    assert_eq!(diary.take(), ["-c", "-b", "-a"]);
    assert_eq!(tree.status().state, ChildState::Stopped);
    assert_eq!(tree.ended().await.code(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_for_one_children_start_and_stop_together_unless_given_an_order() {
    let diary = Diary::default();
    let slow = |name| {
        let diary = diary.clone();
        ChildSpec::task(name, move |ctx| {
            let diary = diary.clone();
            async move {
                sleep(Duration::from_secs(1)).await;
                ctx.ready();
                ctx.draining().await;
                sleep(Duration::from_secs(1)).await;
                diary.write(name);
                Ok(())
            }
        })
    };
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .child(slow("late").order(2))
        .child(slow("a").order(1))
        .child(slow("b").order(1))
        .spawn()
        .await;
    let begin = Instant::now();
    assert!(tree.started().await);
    assert_eq!(begin.elapsed().as_secs(), 2);
    let begin = Instant::now();
    tree.drain().await;
    assert_eq!(begin.elapsed().as_secs(), 2);
    let mut order = diary.take();
    order[1..].sort();
    assert_eq!(order, ["late", "a", "b"]);
}

/// Log lines of this thread's subscriber.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Ignores drain and stop alike.
fn deaf(name: &'static str, diary: &Diary) -> ChildSpec {
    let diary = diary.clone();
    ChildSpec::task(name, move |ctx: ChildContext| {
        let diary = diary.clone();
        async move {
            struct Dropped(Diary, &'static str);
            impl Drop for Dropped {
                fn drop(&mut self) {
                    self.0.write(format!("dropped {}", self.1));
                }
            }
            let _dropped = Dropped(diary, name);
            ctx.ready();
            std::future::pending().await
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_drain_names_whom_it_waits_for_then_stops_then_kills() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let diary = Diary::default();
    let operator = Supervisor::new("operator", Strategy::OneForOne).child(deaf("link-7", &diary));
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(steady("engine", Duration::ZERO, &diary))
        .child(ChildSpec::supervisor(operator))
        .spawn()
        .await;
    assert!(tree.started().await);
    let begin = Instant::now();
    assert_eq!(tree.drain().await, Exit::Stopped);
    assert_eq!(
        begin.elapsed().as_secs(),
        15,
        "ten seconds of drain, five of stop"
    );
    assert_eq!(diary.take(), ["+engine", "dropped link-7", "-engine"]);
    let text = captured.text();
    let named = text
        .lines()
        .filter(|line| line.contains("waiting for child") && line.contains("child=root/operator/link-7"))
        .count();
    assert!((12..=15).contains(&named), "{named} reminders\n{text}");
    for line in [
        "drain deadline passed, stopping child",
        "deadline passed, killing child",
    ] {
        let named = |found: &str| found.contains(line) && found.contains("child=root/operator/link-7");
        assert!(text.lines().any(named), "{line}\n{text}");
    }
    assert!(
        !text.contains("child=root/operator state=draining waited=16"),
        "the nested budget covers its children"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_order_to_stop_cuts_the_drain_short() {
    let diary = Diary::default();
    let child = ChildSpec::task("busy", |ctx: ChildContext| async move {
        ctx.ready();
        ctx.stopping().await;
        assert!(ctx.is_draining() && ctx.is_stopping());
        Ok(())
    });
    let nested = Supervisor::new("nested", Strategy::OneForOne).child(child);
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(steady("first", Duration::ZERO, &diary))
        .child(ChildSpec::supervisor(nested))
        .spawn()
        .await;
    assert!(tree.started().await);
    let begin = Instant::now();
    let draining = tokio::spawn({
        let tree = tree.clone();
        async move { tree.drain().await }
    });
    sleep(Duration::from_secs(2)).await;
    assert_eq!(state(&tree, &["nested", "busy"]), ChildState::Draining);
    assert!(!tree.is_running());
    assert_eq!(tree.stop().await, Exit::Stopped);
    assert_eq!(draining.await.unwrap(), Exit::Stopped);
    assert_eq!(begin.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn children_come_and_go_at_run_time() {
    let diary = Diary::default();
    let links = Supervisor::new("links", Strategy::OneForOne).child(steady("one", Duration::ZERO, &diary));
    let handle = links.handle();
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(ChildSpec::supervisor(links))
        .spawn()
        .await;
    assert!(tree.started().await);
    handle.add(steady("two", Duration::ZERO, &diary)).unwrap();
    settle().await;
    assert_eq!(diary.take(), ["+one", "+two"]);
    let taken = handle.add(steady("two", Duration::ZERO, &diary)).unwrap_err();
    assert_eq!(
        taken.to_string(),
        "failed to add child two to supervisor links: the name is taken"
    );
    handle.remove("one").await.unwrap();
    assert_eq!(diary.take(), ["-one"]);
    assert!(tree.status().find(&["links", "one"]).is_none());
    assert!(handle.remove("one").await.is_err());
    // A name is free again once it is gone; a deaf child is killed by its deadlines.
    handle
        .add(
            deaf("one", &diary)
                .drain_timeout(Duration::from_secs(1))
                .stop_timeout(Duration::from_secs(1)),
        )
        .unwrap();
    settle().await;
    let begin = Instant::now();
    let (first, second) = tokio::join!(handle.remove("one"), handle.remove("one"));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(begin.elapsed().as_secs(), 2);
    assert_eq!(diary.take(), ["dropped one"]);
    assert!(tree.status().is_running());
    tree.drain().await;
    assert_eq!(diary.take(), ["-two"]);
    // Nothing runs any more: removal is immediate.
    handle.remove("two").await.unwrap();
    assert!(handle.status().children.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_backs_off_can_be_removed_and_added_anew() {
    let starts = Arc::default();
    let supervisor = Supervisor::new("root", Strategy::OneForOne).intensity(Intensity::UNLIMITED);
    let handle = supervisor.handle();
    let tree = supervisor.spawn().await;
    assert!(tree.started().await, "a supervisor without children is ready");
    handle
        .add(crashing(&starts).backoff(exact(Duration::from_secs(20))))
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&tree, &["crashing"]), ChildState::BackingOff);
    handle.remove("crashing").await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        starts.lock().unwrap().len(),
        1,
        "a removed child is not restarted"
    );
    let diary = Diary::default();
    handle.add(steady("crashing", Duration::ZERO, &diary)).unwrap();
    settle().await;
    assert_eq!(state(&tree, &["crashing"]), ChildState::Running);
    tree.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_blocks_its_thread_is_abandoned_and_does_not_hold_up_the_stop() {
    let blocking = ChildSpec::task("blocking", |ctx: ChildContext| async move {
        ctx.ready();
        // Lets go of this worker once, so that its wakers reach the supervisor.
        sleep(Duration::from_millis(20)).await;
        std::thread::sleep(Duration::from_secs(4));
        Ok(())
    });
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .child(blocking.stop_timeout(Duration::from_millis(50)))
        .spawn()
        .await;
    assert!(tree.started().await);
    sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    assert_eq!(tree.stop().await, Exit::Stopped);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

/// The series of a metric: labels and value.
fn series(name: &str) -> Vec<String> {
    let text = smsgw_telemetry::exposition();
    let own = text.lines().filter_map(|line| line.strip_prefix(name));
    own.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn the_tree_shows_kind_time_next_start_and_last_failure() {
    let starts = Arc::default();
    let diary = Diary::default();
    let links = Supervisor::new("links", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(steady("sound", Duration::ZERO, &diary).kind("link"))
        .child(crashing(&starts).backoff(exact(Duration::from_secs(20))));
    let begun = smsgw_runtime::Clock::now(&smsgw_runtime::SystemClock);
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(ChildSpec::supervisor(links))
        .spawn()
        .await;
    sleep(Duration::from_secs(1)).await;
    let status = tree.status();
    let sound = status.find(&["links", "sound"]).unwrap();
    assert_eq!((sound.kind, sound.state), ("link", ChildState::Running));
    assert!(sound.since >= begun && sound.restart_at.is_none() && sound.failed_at.is_none());
    let failing = status.find(&["links", "crashing"]).unwrap();
    assert_eq!(failing.state, ChildState::BackingOff);
    assert_eq!(failing.last_error.as_deref(), Some("cannot work"));
    let pause = failing.restart_at.unwrap().since(failing.failed_at.unwrap());
    assert!((19_900..=20_100).contains(&pause.as_millis()), "{pause:?}");
    assert_eq!(status.find(&["links"]).unwrap().mailbox, Some(0));
    assert_eq!(
        (status.kind, status.mailbox, sound.mailbox),
        ("supervisor", Some(0), None)
    );
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_a_long_text_is_cut() {
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .child(ChildSpec::task("wordy", |_| async {
            Err(smsgw_runtime::ChildError::new("ä".repeat(10_000)))
        }))
        .spawn()
        .await;
    settle().await;
    let reason = tree.status().children[0].last_error.clone().unwrap();
    assert_eq!(reason.chars().count(), 501);
    assert!(reason.ends_with("ä…"));
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn parts_that_come_and_go_leave_no_series_behind() {
    let diary = Diary::default();
    let links = Supervisor::new("links", Strategy::OneForOne);
    let handle = links.handle();
    let tree = Supervisor::new("gauged", Strategy::RestForOne)
        .child(ChildSpec::supervisor(links))
        .spawn()
        .await;
    assert!(tree.started().await);
    let gauges = TreeGauges::default();
    let actors = |part: &str| {
        let own = series("smsgw_runtime_actor_").into_iter();
        own.filter(|line| line.contains(&format!("\"gauged/{part}")))
            .collect::<Vec<_>>()
    };
    for round in 0..50 {
        let busy = ChildSpec::task(format!("link-{round}"), |ctx: ChildContext| async move {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
            ctx.shows("events", &sender);
            sender.send(()).await?;
            sender.send(()).await?;
            ctx.ready();
            ctx.draining().await;
            receiver.close();
            Ok(())
        });
        handle.add(busy).unwrap();
        handle.add(steady("other", Duration::ZERO, &diary)).unwrap();
        settle().await;
        gauges.show(&tree.status());
        let mut seen = actors("links/link-");
        seen.sort();
        let path = format!("actor=\"gauged/links/link-{round}\"");
        assert_eq!(
            seen,
            [
                format!("channel_depth{{{path},channel=\"events\"}} 2"),
                format!("restarts{{{path}}} 0"),
                format!("state{{{path}}} 2"),
            ],
        );
        assert_eq!(
            tree.status()
                .find(&["links", &format!("link-{round}")])
                .unwrap()
                .channels[0]
                .capacity,
            4
        );
        handle.remove(&format!("link-{round}")).await.unwrap();
        handle.remove("other").await.unwrap();
    }
    gauges.show(&tree.status());
    assert_eq!(actors("links/"), Vec::<String>::new());
    assert_eq!(
        actors("links\"").len(),
        3,
        "state, restarts and mailbox of the supervisor stay"
    );
    let depths = series("smsgw_runtime_actor_mailbox_depth{actor=\"gauged");
    assert!(
        !depths.is_empty() && depths.iter().all(|line| line.ends_with(" 0")),
        "{depths:?}"
    );
    tree.stop().await;
}
