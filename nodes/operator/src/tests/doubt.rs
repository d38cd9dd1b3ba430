//! Parts that were written and not answered.

use super::carrier::Reply;
use super::*;
use smsgw_config::InDoubt;
use smsgw_smpp::CommandStatus;

const OK: CommandStatus = CommandStatus::OK;

fn in_doubt(operator: &str, policy: &str, cause: &str) -> f64 {
    counter(
        "smsgw_operator_in_doubt_total",
        &[("operator", operator), ("policy", policy), ("cause", cause)],
    )
}

/// An operator of another name, so that its counters are its own.
fn named(name: &str, operator: Operator) -> Config {
    config(&[(name, operator)])
}

async fn publish_for(world: &World, name: &str, parts: impl IntoIterator<Item = u64>) {
    let operator = OperatorId::try_new(name).unwrap();
    world
        .publish(
            parts
                .into_iter()
                .map(|n| Dispatch {
                    operator: operator.clone(),
                    ..dispatch(n)
                })
                .collect(),
        )
        .await;
}

async fn results_of(world: &World, name: &str, count: usize) -> Vec<SubmitResult> {
    let group = smsgw_message::LinkGroup::try_new(name).unwrap();
    let queue = QueueName::from(names::up(&group));
    let mut results = Vec::new();
    while results.len() < count {
        let deliveries = world
            .memory
            .checkout(&queue, Want::new(count, Duration::from_secs(120)))
            .await
            .unwrap();
        assert!(!deliveries.is_empty(), "{} of {count} results", results.len());
        for delivery in deliveries {
            match Up::from_record(delivery.record()).unwrap() {
                Up::SubmitResult(result) => results.push(result),
                Up::InDoubt(_) => {}
                other => panic!("{other:?}"),
            }
            Step::from(&delivery)
                .settle(&delivery)
                .commit(&*world.memory)
                .await
                .unwrap();
        }
    }
    results
}

#[tokio::test(start_paused = true)]
async fn parts_unanswered_at_a_lost_link_are_sent_again_and_counted() {
    let carrier = Carrier::scripted(|n, _| match n {
        0..=2 => Reply::Never,
        3 => Reply::Hang,
        _ => Reply::Now(OK),
    });
    let world = World::start_with(named("lost", operator()), carrier).await;
    publish_for(&world, "lost", 0..4).await;
    let results = results_of(&world, "lost", 4).await;
    assert!(
        results
            .iter()
            .all(|result| matches!(result.outcome, SubmitOutcome::Sent { .. }))
    );
    assert_eq!(world.carrier.seen().len(), 8, "each twice");
    assert_eq!(in_doubt("lost", "resubmit", "link_lost"), 4.0);
    assert_eq!(world.carrier.binds().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn waiting_and_rejecting_policies_are_kept() {
    let hang_first = || Carrier::scripted(|n, _| if n == 0 { Reply::Hang } else { Reply::Now(OK) });
    let operator = Operator {
        in_doubt: InDoubt::Wait(Duration::from_secs(40)),
        ..operator()
    };
    let world = World::start_with(named("waiting", operator.clone()), hang_first()).await;
    publish_for(&world, "waiting", [1]).await;
    results_of(&world, "waiting", 1).await;
    let seen = world.carrier.seen();
    let pause = seen[1].at - seen[0].at;
    assert!((ms(40_000)..ms(41_000)).contains(&pause), "{pause:?}");

    let operator = Operator {
        in_doubt: InDoubt::Reject,
        ..operator
    };
    let world = World::start_with(named("rejecting", operator), hang_first()).await;
    publish_for(&world, "rejecting", [1]).await;
    let results = results_of(&world, "rejecting", 1).await;
    assert_eq!(results[0].outcome, SubmitOutcome::InDoubt);
    assert_eq!(world.carrier.seen().len(), 1);
    assert_eq!(in_doubt("rejecting", "reject", "link_lost"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_the_grace_after_the_timeout_is_the_answer() {
    let carrier = Carrier::scripted(|_, _| Reply::After(Duration::from_secs(35), OK));
    let world = World::start_with(named("late", operator()), carrier).await;
    publish_for(&world, "late", [1]).await;
    let results = results_of(&world, "late", 1).await;
    assert_eq!(carrier_id(&results[0]), "C1");
    assert_eq!(world.carrier.seen().len(), 1, "not sent again");
    assert_eq!(
        counter(
            "smsgw_operator_late_answers_total",
            &[("operator", "late"), ("use", "used")]
        ),
        1.0
    );
    assert_eq!(in_doubt("late", "resubmit", "timeout"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_the_part_is_sent_again_and_a_later_answer_changes_nothing() {
    let carrier = Carrier::scripted(|n, _| {
        if n == 0 {
            Reply::After(Duration::from_secs(60), OK)
        } else {
            Reply::Now(OK)
        }
    });
    let world = World::start_with(named("toolate", operator()), carrier).await;
    publish_for(&world, "toolate", [1]).await;
    let results = results_of(&world, "toolate", 1).await;
    assert_eq!(carrier_id(&results[0]), "C2", "the second answer");
    let seen = world.carrier.seen();
    let pause = seen[1].at - seen[0].at;
    assert!(
        (ms(40_000)..ms(40_500)).contains(&pause),
        "timeout and grace: {pause:?}"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(in_doubt("toolate", "resubmit", "timeout"), 1.0);
    assert_eq!(
        counter(
            "smsgw_operator_late_answers_total",
            &[("operator", "toolate"), ("use", "too_late")]
        ),
        1.0
    );
    assert_eq!(
        world.memory.depth(&QueueName::from("mt.operator.toolate")),
        Depth::default()
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_leased_before_a_crash_goes_by_the_policy() {
    for (name, policy, sent) in [
        ("crashagain", InDoubt::Resubmit, Some(Duration::ZERO)),
        (
            "crashwait",
            InDoubt::Wait(Duration::from_secs(30)),
            Some(Duration::from_secs(30)),
        ),
        ("crashquery", InDoubt::Query, Some(Duration::from_secs(30))),
        ("crashreject", InDoubt::Reject, None),
    ] {
        let operator = Operator {
            in_doubt: policy,
            ..operator()
        };
        let first = World::start_with(config(&[]), Carrier::accepting()).await;
        publish_for(&first, name, [1]).await;
        let queue = QueueName::from(format!("mt.operator.{name}"));
        let leased = first
            .memory
            .checkout(&queue, Want::new(1, Duration::ZERO))
            .await
            .unwrap();
        assert_eq!(leased.len(), 1);
        let memory = first.memory.reopen();
        let clock = Arc::clone(&first.clock);
        let begin = tokio::time::Instant::now();
        let world = World::start_on(memory, clock, named(name, operator), Carrier::accepting()).await;
        let results = results_of(&world, name, 1).await;
        let seen = world.carrier.seen();
        match sent {
            Some(after) => {
                assert!(matches!(results[0].outcome, SubmitOutcome::Sent { .. }), "{name}");
                let waited = seen[0].at - begin;
                assert!(
                    waited >= after && waited < after + Duration::from_secs(2),
                    "{name}: {waited:?}"
                );
            }
            None => assert_eq!(
                (&results[0].outcome, seen.len()),
                (&SubmitOutcome::InDoubt, 0),
                "{name}"
            ),
        }
        let word = policy.to_string();
        let word = word.split(':').next().unwrap();
        assert_eq!(in_doubt(name, word, "crash"), 1.0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_drain_leaves_what_was_sent_in_doubt_and_loses_nothing() {
    let silent = Carrier::scripted(|_, _| Reply::Never);
    let world = World::start_with(named("stopped", operator()), silent).await;
    publish_for(&world, "stopped", 0..25).await;
    world
        .until("a full window", |world| world.carrier.seen().len() == 10)
        .await;
    assert_eq!(world.tree.stop().await, Exit::Stopped);
    let depth = world.memory.depth(&QueueName::from("mt.operator.stopped"));
    assert_eq!((depth.ready, depth.in_flight), (25, 0));
    let (memory, clock) = (Arc::clone(&world.memory), Arc::clone(&world.clock));
    let world = World::start_on(memory, clock, named("stopped", operator()), Carrier::accepting()).await;
    results_of(&world, "stopped", 25).await;
    assert_eq!(in_doubt("stopped", "resubmit", "crash"), 10.0);
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_answers_no_submits_is_left_and_bound_again() {
    let carrier = Carrier::scripted(|n, _| if n < 10 { Reply::Never } else { Reply::Now(OK) });
    let world = World::start_with(named("mute", operator()), carrier).await;
    publish_for(&world, "mute", 1..=10).await;
    let results = results_of(&world, "mute", 10).await;
    assert!(
        results
            .iter()
            .all(|result| matches!(result.outcome, SubmitOutcome::Sent { .. }))
    );
    assert_eq!((world.carrier.binds().len(), world.carrier.unbound()), (2, 1));
    let reconnects = |cause| {
        counter(
            "smsgw_operator_reconnects_total",
            &[("operator", "mute"), ("cause", cause)],
        )
    };
    assert_eq!(reconnects("unanswered"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_answers_now_and_then_is_kept() {
    let carrier = Carrier::scripted(|n, _| if n % 4 == 3 { Reply::Now(OK) } else { Reply::Never });
    let operator = Operator {
        adaptive: false,
        in_doubt_max: 1_000,
        ..operator()
    };
    let world = World::start_with(named("slack", operator), carrier).await;
    publish_for(&world, "slack", 1..=40).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(world.carrier.seen().len() > 100, "{}", world.carrier.seen().len());
    assert_eq!((world.carrier.binds().len(), world.carrier.unbound()), (1, 0));
}

fn late_answers(operator: &str, use_of_it: &str) -> f64 {
    counter(
        "smsgw_operator_late_answers_total",
        &[("operator", operator), ("use", use_of_it)],
    )
}

fn queries(operator: &str, outcome: &str) -> f64 {
    counter(
        "smsgw_operator_queries_total",
        &[("operator", operator), ("outcome", outcome)],
    )
}

fn ended(operator: &str, outcome: &str) -> f64 {
    counter(
        "smsgw_operator_ended_total",
        &[("operator", operator), ("outcome", outcome)],
    )
}

#[tokio::test(start_paused = true)]
async fn a_message_that_breaks_every_link_is_given_up_and_harms_no_other() {
    let carrier = Carrier::scripted(|_, message| match &message.short_message[..] {
        b"poison" => Reply::Hang,
        _ => Reply::Now(OK),
    });
    let operator = Operator {
        in_doubt_max: 3,
        ..operator()
    };
    let world = World::start_with(named("poison", operator), carrier).await;
    let mut poison = dispatch(1);
    poison.operator = OperatorId::try_new("poison").unwrap();
    poison.content.data = b"poison".to_vec();
    world.publish(vec![poison]).await;
    let results = results_of(&world, "poison", 1).await;
    assert_eq!(results[0].outcome, SubmitOutcome::InDoubt);
    assert_eq!(world.carrier.seen().len(), 4, "once and three times again");
    assert_eq!(in_doubt("poison", "resubmit", "link_lost"), 4.0);
    assert_eq!(ended("poison", "in_doubt_max"), 1.0);
    publish_for(&world, "poison", [2]).await;
    let results = results_of(&world, "poison", 1).await;
    assert!(matches!(results[0].outcome, SubmitOutcome::Sent { .. }));
}

#[tokio::test(start_paused = true)]
async fn the_count_of_resubmissions_survives_crashes() {
    let operator = Operator {
        in_doubt_max: 2,
        ..operator()
    };
    let silent = || Carrier::scripted(|_, _| Reply::Never);
    let mut world = World::start_with(named("crashes", operator.clone()), silent()).await;
    publish_for(&world, "crashes", [1]).await;
    for _ in 0..3 {
        world.until("sent", |world| world.carrier.seen().len() == 1).await;
        assert_eq!(world.tree.stop().await, Exit::Stopped);
        let memory = world.memory.reopen();
        let clock = Arc::clone(&world.clock);
        world = World::start_on(memory, clock, named("crashes", operator.clone()), silent()).await;
    }
    let results = results_of(&world, "crashes", 1).await;
    assert_eq!(results[0].outcome, SubmitOutcome::InDoubt);
    assert!(world.carrier.seen().is_empty(), "not sent a fourth time");
}

#[tokio::test(start_paused = true)]
async fn each_doubt_is_a_line_in_the_life_of_its_message() {
    let carrier = Carrier::scripted(|n, _| if n < 2 { Reply::Hang } else { Reply::Now(OK) });
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.send([1]).await;
    let mut lines = Vec::new();
    while lines.len() < 2 {
        let (Up::InDoubt(doubt), _) = world.up().await else {
            panic!("a doubt")
        };
        assert_eq!((doubt.message, doubt.part), (id(1), 1));
        lines.push(doubt.detail);
    }
    assert_eq!(
        lines,
        ["link_lost: resubmit 1 of 5", "link_lost: resubmit 2 of 5"]
    );
    assert_eq!(carrier_id(&world.result().await), "C1");
    let events: Vec<_> = world
        .events()
        .await
        .into_iter()
        .map(|event| (event.name, event.error))
        .collect();
    assert_eq!(
        events,
        [
            (EventName::MtInDoubt, Some(lines[0].clone())),
            (EventName::MtInDoubt, Some(lines[1].clone())),
            (EventName::MtSent, None),
        ]
    );
}

/// Quirk 24.
#[tokio::test(start_paused = true)]
async fn an_answer_after_the_grace_ends_the_part_that_still_waits() {
    let carrier = Carrier::scripted(|n, _| match n {
        0 => Reply::After(Duration::from_secs(60), OK),
        _ => Reply::Now(OK),
    });
    let operator = Operator {
        in_doubt: InDoubt::Wait(Duration::from_secs(90)),
        ..operator()
    };
    let world = World::start_with(named("tomb", operator), carrier).await;
    publish_for(&world, "tomb", [1]).await;
    let results = results_of(&world, "tomb", 1).await;
    assert_eq!(carrier_id(&results[0]), "C1");
    assert!(results[0].receipt_asked);
    assert_eq!(world.carrier.seen().len(), 1, "not sent again");
    assert_eq!(late_answers("tomb", "settled"), 1.0);
}

/// One part whose answer comes after the grace, before it comes round again; the carrier answers queries with `status`.
async fn in_doubt_with_a_late_id(name: &str, status: Option<CommandStatus>) -> (World, SubmitResult) {
    let operator = Operator {
        in_doubt: InDoubt::Query,
        ..operator()
    };
    let carrier = Carrier::scripted(|n, _| match n {
        0 => Reply::After(Duration::from_secs(60), OK),
        _ => Reply::Now(OK),
    });
    carrier.answer_queries(status);
    let world = World::start_with(named(name, operator), carrier).await;
    publish_for(&world, name, [1]).await;
    let result = results_of(&world, name, 1).await.remove(0);
    let queries = world.carrier.queries();
    assert_eq!(queries.len(), 1);
    assert_eq!(queries[0].message_id.as_bytes(), b"C1");
    assert_eq!(queries[0].source, world.carrier.seen()[0].message.source);
    (world, result)
}

#[tokio::test(start_paused = true)]
async fn a_late_id_is_asked_after_and_a_part_that_the_carrier_knows_is_not_sent_again() {
    let (world, result) = in_doubt_with_a_late_id("known", Some(OK)).await;
    assert_eq!(carrier_id(&result), "C1");
    assert_eq!(world.carrier.seen().len(), 1);
    assert_eq!(queries("known", "known"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_part_whose_late_id_the_carrier_does_not_know_is_sent_again() {
    for (name, status) in [
        ("unknown1", CommandStatus::INVALID_MESSAGE_ID),
        ("unknown2", CommandStatus::QUERY_FAILED),
    ] {
        let (world, result) = in_doubt_with_a_late_id(name, Some(status)).await;
        assert_eq!(carrier_id(&result), "C2", "{status}");
        assert_eq!(world.carrier.seen().len(), 2, "{status}");
        assert_eq!(queries(name, "unknown"), 1.0, "{status}");
        assert_eq!(in_doubt(name, "query", "not_known"), 1.0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_query_is_not_answered_the_late_answer_is_believed() {
    let (world, result) = in_doubt_with_a_late_id("mutequery", None).await;
    assert_eq!(carrier_id(&result), "C1");
    assert_eq!(world.carrier.seen().len(), 1);
    assert_eq!(queries("mutequery", "unanswered"), 1.0);
    let (world, result) = in_doubt_with_a_late_id("noquery", Some(CommandStatus::INVALID_COMMAND_ID)).await;
    assert_eq!(carrier_id(&result), "C1");
    assert_eq!(world.carrier.seen().len(), 1);
    assert_eq!(queries("noquery", "refused"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn without_an_id_a_query_is_a_wait_of_one_response_timeout() {
    let carrier = Carrier::scripted(|n, _| if n == 0 { Reply::Hang } else { Reply::Now(OK) });
    let operator = Operator {
        in_doubt: InDoubt::Query,
        ..operator()
    };
    let world = World::start_with(named("noid", operator), carrier).await;
    publish_for(&world, "noid", [1]).await;
    results_of(&world, "noid", 1).await;
    let seen = world.carrier.seen();
    let pause = seen[1].at - seen[0].at;
    assert!((ms(30_000)..ms(31_000)).contains(&pause), "{pause:?}");
    assert!(world.carrier.queries().is_empty());
}
