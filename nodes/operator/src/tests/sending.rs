//! Parts on their way down: answers, retries, window, rate, validity.

use super::carrier::Reply;
use super::*;
use smsgw_config::StatusRange;
use smsgw_message::RerouteReason;
use smsgw_queue::Place;
use smsgw_smpp::CommandStatus;
use smsgw_testkit::Mood;
use std::collections::BTreeSet;

#[tokio::test(start_paused = true)]
async fn a_part_is_sent_and_its_answer_goes_up_in_the_lane_of_its_operator() {
    let world = World::start(operator()).await;
    world.send([1]).await;
    let (up, lane) = world.up().await;
    let Up::SubmitResult(result) = up else {
        panic!("{up:?}")
    };
    assert_eq!(
        (result.message, result.part, result.client.as_str()),
        (id(1), 1, "acme")
    );
    assert_eq!(
        result.outcome,
        SubmitOutcome::Sent {
            carrier_id: "C1".to_owned()
        }
    );
    assert_eq!(
        (result.via.operator.as_str(), result.via.group.as_str()),
        ("alpha", "alpha")
    );
    assert_eq!(
        result.link.map(|link| link.to_string()).as_deref(),
        Some("alpha-1")
    );
    assert!(result.receipt_asked);
    assert_eq!((lane.class, lane.flow.as_str()), (Class::Transactional, "alpha"));
    assert_eq!(world.depth(), Depth::default(), "settled");
    let events = world.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].name, events[0].message, events[0].error.clone()),
        (EventName::MtSent, Some(id(1)), None)
    );
    assert!(
        events[0].age_ms.is_some_and(|age| age < 1000),
        "{:?}",
        events[0].age_ms
    );
    let seen = world.carrier.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(&seen[0].message.short_message[..], b"Hello");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_part_comes_back_after_a_second_at_no_cost() {
    let carrier = Carrier::scripted(|n, _| {
        Reply::Now(if n == 0 {
            CommandStatus::THROTTLED
        } else {
            CommandStatus::OK
        })
    });
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.send([1]).await;
    let result = world.result().await;
    assert_eq!(carrier_id(&result), "C2");
    let seen = world.carrier.seen();
    assert_eq!(seen.len(), 2);
    let pause = seen[1].at - seen[0].at;
    assert!((ms(1000)..ms(1100)).contains(&pause), "{pause:?}");
    assert_eq!(
        world.event_names().await,
        [EventName::MtSent],
        "a retry is no event"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_delays_that_part_only_and_longer_each_time() {
    let carrier = Carrier::scripted(|_, message| {
        Reply::Now(if &message.short_message[..] == b"full!" {
            CommandStatus::MESSAGE_QUEUE_FULL
        } else {
            CommandStatus::OK
        })
    });
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    let mut full = dispatch(1);
    full.content.data = b"full!".to_vec();
    world.publish(vec![full, dispatch(2)]).await;
    assert_eq!(world.result().await.message, id(2), "not held up");
    world
        .until("six tries", |world| world.carrier.seen().len() == 8)
        .await;
    let at: Vec<_> = world
        .carrier
        .seen()
        .iter()
        .filter(|seen| &seen.message.short_message[..] == b"full!")
        .map(|seen| seen.at)
        .collect();
    let pauses: Vec<u64> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60]);
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_of_a_part_is_gone_when_it_has_ended() {
    let carrier = Carrier::scripted(|n, _| {
        Reply::Now(if n < 2 {
            CommandStatus::MESSAGE_QUEUE_FULL
        } else {
            CommandStatus::OK
        })
    });
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.send([1]).await;
    let key = smsgw_queue::StateKey::from(names::tries(&alpha(), id(1), 1));
    let count = async || world.memory.get(vec![key.clone()]).await.unwrap().remove(0);
    world
        .until("met a full queue", |world| world.carrier.seen().len() == 2)
        .await;
    assert!(count().await.is_some());
    assert_eq!(carrier_id(&world.result().await), "C3");
    assert_eq!(count().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_asks_for_another_operator_ends_the_part_here_and_says_so() {
    let carrier = Carrier::scripted(|_, message| {
        Reply::Now(if &message.short_message[..] == b"other" {
            CommandStatus::SYSTEM_ERROR
        } else {
            CommandStatus::INVALID_DESTINATION
        })
    });
    let operator = Operator {
        reroute: vec![StatusRange::one(0x0B).unwrap()],
        reroute_exhausted: true,
        temporary_attempts: 2,
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    let mut other = dispatch(2);
    other.content.data = b"other".to_vec();
    world.publish(vec![dispatch(1), other]).await;
    let told: Vec<_> = world
        .results(2)
        .await
        .into_iter()
        .map(|result| (result.message, result.reroute))
        .collect();
    assert_eq!(
        told,
        [
            (id(1), Some(RerouteReason::Answer)),
            (id(2), Some(RerouteReason::Exhausted))
        ]
    );
    assert_eq!(world.carrier.seen().len(), 3);
    assert_eq!(world.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_part_without_a_required_tlv_is_refused_and_never_sent() {
    let operator = Operator {
        tlvs_required: vec![smsgw_config::TlvTag::new(0x1401).unwrap()],
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator)]), Carrier::accepting()).await;
    world.send([1]).await;
    assert_eq!(
        world.result().await.outcome,
        SubmitOutcome::Refused {
            error: "required_tlv_missing".to_owned(),
            status: 0
        }
    );
    assert!(world.carrier.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn temporary_failures_end_as_refused_after_five_attempts() {
    let carrier = Carrier::scripted(|_, _| Reply::Now(CommandStatus::SYSTEM_ERROR));
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.send([1]).await;
    let result = world.result().await;
    assert_eq!(
        result.outcome,
        SubmitOutcome::Refused {
            error: "ESME_RSYSERR".to_owned(),
            status: 8
        }
    );
    assert_eq!(world.carrier.seen().len(), 5);
    let events = world.events().await;
    assert_eq!(
        (events[0].name, events[0].error.as_deref()),
        (EventName::MtRefused, Some("ESME_RSYSERR"))
    );
}

#[tokio::test(start_paused = true)]
async fn other_errors_are_final_and_vendor_codes_keep_their_number() {
    let carrier = Carrier::scripted(|n, _| {
        Reply::Now(if n == 0 {
            CommandStatus(0x0B)
        } else {
            CommandStatus(0x4A1)
        })
    });
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.send([1, 2]).await;
    let outcomes: Vec<_> = world
        .results(2)
        .await
        .into_iter()
        .map(|result| result.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [
            SubmitOutcome::Refused {
                error: "ESME_RINVDSTADR".to_owned(),
                status: 0x0B
            },
            SubmitOutcome::Refused {
                error: "0x04a1".to_owned(),
                status: 0x4A1
            },
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_window_is_never_exceeded_and_everything_goes_out_once() {
    let carrier =
        Carrier::scripted(|n, _| Reply::After(ms(5 + u64::try_from(n % 7).unwrap()), CommandStatus::OK));
    let operator = Operator {
        window: 7,
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    world.send(0..500).await;
    let results = world.results(500).await;
    let messages: BTreeSet<_> = results.iter().map(|result| result.message).collect();
    assert_eq!(messages.len(), 500);
    let seen = world.carrier.seen();
    assert_eq!(seen.len(), 500);
    let most = seen.iter().map(|seen| seen.outstanding).max();
    assert_eq!(most, Some(7), "full and not overfull");
    assert_eq!(world.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn the_rate_holds_in_every_second_over_all_links_of_the_operator() {
    for burst in [1, 10] {
        let operator = Operator {
            rate: 50.0,
            burst,
            binds: 3,
            window: 100,
            ..operator()
        };
        let world = World::start(operator).await;
        world.bound().await;
        world.send(0..300).await;
        world.results(300).await;
        let at: Vec<_> = world.carrier.seen().iter().map(|seen| seen.at).collect();
        for (n, first) in at.iter().enumerate() {
            let within = at[n..]
                .iter()
                .take_while(|at| **at - *first < Duration::from_secs(1))
                .count();
            assert!(within <= 50, "{within} parts in a second with burst {burst}");
        }
        let took = at[299] - at[0];
        assert!(took < ms(6500), "300 parts at 50 a second took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_whose_validity_is_over_is_never_sent() {
    let world = World::start(operator()).await;
    world
        .publish(vec![Dispatch {
            valid_until: world.clock.now(),
            ..dispatch(1)
        }])
        .await;
    let result = world.result().await;
    assert_eq!(
        (result.outcome, result.link, result.receipt_asked),
        (SubmitOutcome::Expired, None, false)
    );
    assert!(world.carrier.seen().is_empty());
    assert_eq!(world.events().await[0].error.as_deref(), Some("expired"));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_kept_as_corrupt_and_the_next_one_goes_out() {
    let world = World::start(operator()).await;
    let lane = Lane::new(Class::Otp, "acme");
    let queue = names::mt_operator(&alpha());
    let step = Step::new(StepId::from_bytes([1; 16])).publish(
        queue,
        lane,
        bytes::Bytes::from_static(b"\x02\x01rubbish"),
    );
    step.commit(&*world.memory).await.unwrap();
    world.send([1]).await;
    assert_eq!(world.result().await.message, id(1));
    let queue = QueueName::from(names::mt_operator(&alpha()));
    let corrupt = world
        .memory
        .browse(&queue, Place::Corrupt, None, 10)
        .await
        .unwrap();
    assert_eq!(
        (corrupt.len(), &corrupt[0].record[..]),
        (1, b"\x02\x01rubbish".as_slice())
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_that_this_carrier_cannot_be_told_is_refused() {
    let world = World::start(operator()).await;
    let from = Some(smsgw_message::Address::sender("ΔΩ").unwrap());
    world.publish(vec![Dispatch { from, ..dispatch(1) }]).await;
    let refused = SubmitOutcome::Refused {
        error: "address_not_encodable".to_owned(),
        status: 0,
    };
    assert_eq!(world.result().await.outcome, refused);
    assert!(world.carrier.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_and_not_durable_is_bounded_by_four_windows() {
    let operator = Operator {
        window: 5,
        ..operator()
    };
    let world = World::start(operator).await;
    world.bound().await;
    world.engine.set(Mood::Held);
    world.send(0..100).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let seen = world.carrier.seen().len();
    assert!(
        (20..=25).contains(&seen),
        "{seen} parts sent while nothing could be stored"
    );
    world.engine.set(Mood::Calm);
    let messages: BTreeSet<_> = world
        .results(100)
        .await
        .iter()
        .map(|result| result.message)
        .collect();
    assert_eq!((messages.len(), world.carrier.seen().len()), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn results_are_kept_while_the_engine_has_no_space_and_stored_once_it_has() {
    let world = World::start(operator()).await;
    world.bound().await;
    world
        .engine
        .set(Mood::Refusing(smsgw_queue::EngineError::NoSpace));
    world.send([1]).await;
    world.until("sent", |world| world.carrier.seen().len() == 1).await;
    assert!(world.up_within(Duration::from_secs(5)).await.is_none());
    world.engine.set(Mood::Calm);
    assert_eq!(carrier_id(&world.result().await), "C1");
    assert_eq!(world.carrier.seen().len(), 1, "not sent again");
}

#[tokio::test(start_paused = true)]
async fn many_parts_are_committed_in_batches() {
    let operator = Operator {
        window: 100,
        ..operator()
    };
    let world = World::start(operator).await;
    world.bound().await;
    world.send(0..1000).await;
    world.results(1000).await;
    let batches = world.engine.batch_sizes();
    assert_eq!(batches.iter().sum::<usize>(), 1000);
    assert!(batches.len() < 200, "{} commits for 1000 parts", batches.len());
}
