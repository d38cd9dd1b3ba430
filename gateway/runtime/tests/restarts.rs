//! What restarts, after which pause, and when a supervisor gives up; under paused time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use smsgw_runtime::{
    ChildContext, ChildError, ChildSpec, ChildState, Exit, Intensity, RestartPolicy, Strategy, Supervisor,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_panic_restarts_only_that_child_and_its_message_is_kept() {
    let diary = Diary::default();
    let a = mortal("a", &diary);
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .child(a.spec)
        .child(steady("b", Duration::ZERO, &diary))
        .spawn()
        .await;
    assert!(tree.started().await);
    diary.take();
    a.deaths.send(Death::Panic).await.unwrap();
    settle().await;
    assert_eq!(diary.take(), ["-a"]);
    let status = tree.status();
    let failed = status.find(&["a"]).unwrap();
    assert_eq!(failed.state, ChildState::BackingOff);
    assert_eq!(failed.last_error.as_deref(), Some("panicked: told to panic"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(diary.take(), ["+a"]);
    assert_eq!(tree.status().find(&["a"]).unwrap().restarts, 1);
    assert_eq!(tree.status().find(&["b"]).unwrap().restarts, 0);
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_restarts_the_failed_child_and_everything_after_it() {
    let diary = Diary::default();
    let b = mortal("b", &diary);
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(steady("a", Duration::ZERO, &diary))
        .child(b.spec)
        .child(steady("c", Duration::ZERO, &diary))
        .child(steady("d", Duration::ZERO, &diary))
        .spawn()
        .await;
    assert!(tree.started().await);
    diary.take();
    b.deaths.send(Death::Error).await.unwrap();
    settle().await;
    assert_eq!(diary.take(), ["-b", "-d", "-c"]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(diary.take(), ["+b", "+c", "+d"]);
    assert!(tree.status().is_running());
    let restarts: Vec<u64> = tree
        .status()
        .children
        .iter()
        .map(|child| child.restarts)
        .collect();
    assert_eq!(restarts, [0, 1, 0, 0], "only the failed one is counted");
    tree.drain().await;
    assert_eq!(diary.take(), ["-d", "-c", "-b", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_with_a_slow_stopper_does_not_start_before_it_ended() {
    let diary = Diary::default();
    let a = mortal("a", &diary);
    let log = diary.clone();
    let slow = ChildSpec::task("slow", move |ctx| {
        let log = log.clone();
        async move {
            log.write("+slow");
            ctx.ready();
            ctx.stopping().await;
            sleep(Duration::from_secs(4)).await;
            log.write("-slow");
            Ok(())
        }
    });
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(a.spec)
        .child(slow)
        .spawn()
        .await;
    assert!(tree.started().await);
    diary.take();
    a.deaths.send(Death::Error).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(
        diary.take(),
        ["-a"],
        "the backoff is over but the child above still runs"
    );
    sleep(Duration::from_secs(2)).await;
    assert_eq!(diary.take(), ["-slow", "+a", "+slow"]);
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn policies_decide_what_an_end_means() {
    let diary = Diary::default();
    let mut deaths = Vec::new();
    let mut root = Supervisor::new("root", Strategy::OneForOne);
    for (name, policy) in [
        ("permanent", RestartPolicy::Permanent),
        ("transient", RestartPolicy::Transient),
        ("transient-failing", RestartPolicy::Transient),
        ("temporary", RestartPolicy::Temporary),
        ("temporary-failing", RestartPolicy::Temporary),
    ] {
        let child = mortal(name, &diary);
        deaths.push(child.deaths);
        root = root.child(child.spec.restart(policy));
    }
    let tree = root.spawn().await;
    assert!(tree.started().await);
    for (at, sender) in deaths.iter().enumerate() {
        sender
            .send(if [2, 4].contains(&at) {
                Death::Error
            } else {
                Death::Return
            })
            .await
            .unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    let seen: Vec<_> = tree
        .status()
        .children
        .into_iter()
        .map(|child| (child.name, child.state, child.restarts))
        .collect();
    assert_eq!(
        seen,
        [
            ("permanent".to_owned(), ChildState::Running, 1),
            ("transient".to_owned(), ChildState::Stopped, 0),
            ("transient-failing".to_owned(), ChildState::Running, 1),
        ],
        "temporary children leave the table when they end"
    );
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pauses_between_restarts_double_up_to_the_cap() {
    let starts = Arc::default();
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(crashing(&starts).backoff(exact(Duration::from_millis(500))))
        .spawn()
        .await;
    sleep(Duration::from_secs(160)).await;
    let starts = starts.lock().unwrap().clone();
    let pauses: Vec<u128> = starts
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis() / 100)
        .collect();
    assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 300, 300]);
    assert!(
        !tree.is_running(),
        "a child that never was ready keeps the tree from having started"
    );
    assert_eq!(
        tree.drain().await,
        Exit::Stopped,
        "a child that backs off does not hold up a drain"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_healthy_run_resets_the_backoff() {
    let diary = Diary::default();
    let a = mortal("a", &diary);
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .child(a.spec)
        .spawn()
        .await;
    assert!(tree.started().await);
    for _ in 0..2 {
        a.deaths.send(Death::Error).await.unwrap();
        sleep(Duration::from_secs(20)).await;
    }
    sleep(Duration::from_secs(60)).await;
    diary.take();
    a.deaths.send(Death::Error).await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(diary.take(), ["-a", "+a"], "one second again, not four");
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_restarts_in_the_window_escalate_and_stop_the_others_first() {
    let diary = Diary::default();
    let starts = Arc::default();
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .intensity(Intensity::new(3, Duration::from_secs(60)))
        .child(steady("innocent", Duration::ZERO, &diary))
        .child(crashing(&starts).backoff(exact(Duration::from_secs(1))))
        .spawn()
        .await;
    let exit = tree.ended().await;
    let Exit::Escalated(escalation) = &exit else {
        panic!("{exit:?}")
    };
    assert_eq!(
        (escalation.child.as_str(), escalation.reason.as_str()),
        ("root/crashing", "cannot work")
    );
    assert_eq!(exit.code(), 70);
    assert_eq!(
        starts.lock().unwrap().len(),
        4,
        "the first start and three restarts"
    );
    assert_eq!(diary.take(), ["+innocent", "-innocent"]);
    assert_eq!(state(&tree, &["crashing"]), ChildState::Failed);
    assert!(!tree.started().await);
}

#[tokio::test(start_paused = true)]
async fn restarts_outside_the_window_do_not_count() {
    let diary = Diary::default();
    let a = mortal("a", &diary);
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .intensity(Intensity::new(1, Duration::from_secs(10)))
        .child(a.spec)
        .spawn()
        .await;
    assert!(tree.started().await);
    for _ in 0..5 {
        a.deaths.send(Death::Error).await.unwrap();
        sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(tree.status().find(&["a"]).unwrap().restarts, 5);
    assert!(tree.is_running());
    tree.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_nested_supervisor_that_gives_up_is_restarted_as_a_whole_and_its_neighbours_stay() {
    let diary = Diary::default();
    let broken = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&broken);
    let fragile = ChildSpec::task("fragile", move |ctx: ChildContext| {
        let flag = Arc::clone(&flag);
        async move {
            ctx.ready();
            while !flag.load(Ordering::Relaxed) {
                tokio::select! {
                    () = sleep(Duration::from_millis(100)) => {}
                    () = ctx.draining() => return Ok(()),
                }
            }
            Err(ChildError::new("broken"))
        }
    });
    let operator = Supervisor::new("operator", Strategy::OneForOne)
        .intensity(Intensity::new(2, Duration::from_secs(60)))
        .child(fragile)
        .child(steady("link", Duration::ZERO, &diary));
    let links = operator.handle();
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .child(steady("router", Duration::ZERO, &diary))
        .child(ChildSpec::supervisor(operator))
        .spawn()
        .await;
    assert!(tree.started().await);
    assert_eq!(state(&tree, &["operator", "link"]), ChildState::Running);
    links.add(steady("added", Duration::ZERO, &diary)).unwrap();
    settle().await;
    diary.take();
    broken.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(3)).await;
    broken.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(10)).await;
    let status = tree.status();
    assert!(status.is_running(), "{status:?}");
    assert_eq!(status.find(&["operator"]).unwrap().restarts, 1);
    assert_eq!(status.find(&["router"]).unwrap().restarts, 0);
    let error = status.find(&["operator"]).unwrap().last_error.clone().unwrap();
    assert_eq!(
        error,
        "supervisor root/operator gave up on child root/operator/fragile: broken"
    );
    let mut seen = diary.take();
    seen.sort();
    assert_eq!(
        seen,
        ["+added", "+link", "-added", "-link"],
        "children added at run time survive the restart"
    );
    tree.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_passes_every_supervisor_without_a_restart() {
    let diary = Diary::default();
    let engine = mortal("engine", &diary);
    let storage = Supervisor::new("storage", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(engine.spec);
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .intensity(Intensity::UNLIMITED)
        .child(ChildSpec::supervisor(storage))
        .child(steady("http", Duration::ZERO, &diary))
        .spawn()
        .await;
    assert!(tree.started().await);
    engine.deaths.send(Death::Fatal).await.unwrap();
    let Exit::Escalated(escalation) = tree.ended().await else {
        panic!("must escalate")
    };
    assert!(escalation.fatal);
    assert!(escalation.reason.contains("poisoned"), "{escalation}");
    assert_eq!(diary.take(), ["+engine", "+http", "-engine", "-http"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_not_ready_in_time_is_killed_and_counts_as_failed() {
    let starts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&starts);
    let tree = Supervisor::new("root", Strategy::RestForOne)
        .child(
            ChildSpec::task("stuck", move |ctx: ChildContext| {
                let first = count.fetch_add(1, Ordering::Relaxed) == 0;
                async move {
                    if !first {
                        ctx.ready();
                    }
                    ctx.draining().await;
                    Ok(())
                }
            })
            .start_timeout(Duration::from_secs(3)),
        )
        .spawn()
        .await;
    let begin = Instant::now();
    assert!(tree.started().await);
    assert!((3.0..4.0).contains(&begin.elapsed().as_secs_f64()));
    let status = tree.status();
    assert_eq!(status.children[0].restarts, 1);
    assert_eq!(
        status.children[0]
            .last_error
            .as_deref()
            .map(|e| e.starts_with("was not ready within 3")),
        Some(true)
    );
    tree.stop().await;
}

#[tokio::test]
async fn restarts_are_counted_by_kind() {
    let starts = Arc::default();
    let tree = Supervisor::new("root", Strategy::OneForOne)
        .intensity(Intensity::new(2, Duration::from_secs(60)))
        .child(
            crashing(&starts)
                .kind("counted")
                .backoff(exact(Duration::from_millis(1))),
        )
        .spawn()
        .await;
    assert!(matches!(tree.ended().await, Exit::Escalated(_)));
    assert_eq!(smsgw_runtime::CHILD_RESTARTS_TOTAL.with(&["counted"]).get(), 2);
    assert_eq!(smsgw_runtime::ESCALATIONS_TOTAL.with(&["counted"]).get(), 1);
}
