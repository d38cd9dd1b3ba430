//! What the carrier delivers.

use super::*;
use bytes::Bytes;
use smsgw_message::ReceiptState;
use smsgw_queue::{EngineError, Place};
use smsgw_smpp::{Address, CommandStatus, DataSm, DeliverSm};
use smsgw_testkit::Mood;

const OK: CommandStatus = CommandStatus::OK;

fn deliver(esm_class: u8, text: &str) -> DeliverSm {
    DeliverSm {
        source: Address::international("491700000001").unwrap(),
        destination: Address::short_code("12345").unwrap(),
        esm_class,
        short_message: Bytes::copy_from_slice(text.as_bytes()),
        ..DeliverSm::default()
    }
}

fn receipt(id: &str) -> DeliverSm {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2611210800 done date:2611210801 stat:DELIVRD err:000 text:"
    );
    deliver(0x04, &text)
}

#[tokio::test(start_paused = true)]
async fn a_part_its_answer_and_its_receipt_make_the_whole_trip() {
    let world = World::start(operator()).await;
    world.send([1]).await;
    let sent = world.result().await;
    world.carrier.deliver(1, receipt(carrier_id(&sent)));
    let (up, lane) = world.up().await;
    let Up::Receipt(receipt) = up else {
        panic!("{up:?}")
    };
    assert_eq!(
        (receipt.carrier_id.as_str(), receipt.state),
        (carrier_id(&sent), ReceiptState::Delivered)
    );
    assert_eq!((receipt.via, receipt.link.as_str()), (sent.via, "alpha-1"));
    assert_eq!((lane.class, lane.flow.as_str()), (Class::Transactional, "alpha"));
    world
        .until("answered", |world| world.carrier.answered() == [(1, OK)])
        .await;
    assert_eq!(
        world.event_names().await,
        [EventName::MtSent, EventName::DrReceived]
    );
}

/// Quirks 12 and 13.
#[tokio::test(start_paused = true)]
async fn a_receipt_in_data_sm_is_a_receipt() {
    let world = World::start(operator()).await;
    world.bound().await;
    let mut by_tlvs = DataSm {
        esm_class: 0x04,
        ..DataSm::default()
    };
    let tag = smsgw_smpp::tlv::tag::RECEIPTED_MESSAGE_ID;
    by_tlvs.tlvs.push(tag, b"D1\0").unwrap();
    by_tlvs
        .tlvs
        .push(smsgw_smpp::tlv::tag::MESSAGE_STATE, &[2])
        .unwrap();
    let mut by_text = DataSm {
        esm_class: 0x44,
        ..DataSm::default()
    };
    by_text
        .tlvs
        .push(
            smsgw_smpp::tlv::tag::MESSAGE_PAYLOAD,
            &receipt("D2").short_message,
        )
        .unwrap();
    for (tag, message, id) in [(1, by_tlvs, "D1"), (2, by_text, "D2")] {
        world.carrier.deliver_data(tag, message);
        let (Up::Receipt(receipt), _) = world.up().await else {
            panic!("a receipt")
        };
        assert_eq!(
            (receipt.carrier_id.as_str(), receipt.state),
            (id, ReceiptState::Delivered)
        );
    }
    world
        .until("answered", |world| world.carrier.answered() == [(1, OK), (2, OK)])
        .await;
}

/// Quirks 7 to 10: what a receipt has wrong is put up with, and counted.
#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_receipts_is_counted_by_name() {
    let world = World::start(operator()).await;
    world.bound().await;
    let mut disagrees = receipt("R1");
    let tag = smsgw_smpp::tlv::tag::RECEIPTED_MESSAGE_ID;
    disagrees.tlvs.push(tag, b"R2\0").unwrap();
    let short = deliver(0x04, "id:R3 stat:GONE");
    for (tag, message) in [(1, disagrees), (2, short)] {
        world.carrier.deliver(tag, message);
        assert!(matches!(world.up().await.0, Up::Receipt(_)));
    }
    for quirk in [
        smsgw_smpp::Tolerated::ReceiptDisagrees,
        smsgw_smpp::Tolerated::ReceiptFieldsMissing,
        smsgw_smpp::Tolerated::ReceiptStateWord,
    ] {
        let counted = counter(
            "smsgw_operator_tolerated_total",
            &[("operator", "alpha"), ("quirk", quirk.name())],
        );
        assert!(counted >= 1.0, "{}", quirk.name());
    }
}

#[tokio::test(start_paused = true)]
async fn an_mo_goes_up_with_an_id_of_its_own() {
    let world = World::start(operator()).await;
    world.bound().await;
    world.carrier.deliver(7, deliver(0, "STOP"));
    let (Up::Mo(mo), _) = world.up().await else {
        panic!("an MO")
    };
    assert_eq!(
        (mo.from.as_str(), mo.to.as_str(), mo.data.as_slice()),
        ("491700000001", "12345", b"STOP".as_slice())
    );
    let events = world.events().await;
    assert_eq!(
        (events[0].name, events[0].message),
        (EventName::MoReceived, Some(mo.id))
    );
    world
        .until("answered", |world| world.carrier.answered() == [(7, OK)])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_answered_only_after_its_commit() {
    let world = World::start(operator()).await;
    world.bound().await;
    world.engine.set(Mood::Held);
    for tag in 0..50 {
        world.carrier.deliver(tag, receipt(&format!("R{tag}")));
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.carrier.answered(), []);
    assert_eq!(world.up_depth().ready, 0);
    world.engine.set(Mood::Calm);
    world
        .until("answered", |world| world.carrier.answered().len() == 50)
        .await;
    assert!(world.carrier.answered().iter().all(|(_, status)| *status == OK));
    for tag in 0..50 {
        let (Up::Receipt(receipt), _) = world.up().await else {
            panic!("a receipt")
        };
        assert_eq!(receipt.carrier_id, format!("R{tag}"), "in their order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_cannot_be_stored_is_left_to_the_carrier() {
    let world = World::start(operator()).await;
    world.bound().await;
    world.engine.set(Mood::Refusing(EngineError::NoSpace));
    world.carrier.deliver(1, receipt("R1"));
    world
        .until("answered", |world| !world.carrier.answered().is_empty())
        .await;
    assert_eq!(
        world.carrier.answered(),
        [(1, CommandStatus::TEMPORARY_APP_ERROR)]
    );
    world.engine.set(Mood::Calm);
    world.carrier.deliver(2, receipt("R1"));
    assert!(matches!(world.up().await.0, Up::Receipt(_)));
}

#[tokio::test(start_paused = true)]
async fn a_full_gateway_answers_that_its_queue_is_full_until_there_is_room() {
    let world = World::start(operator()).await;
    world.bound().await;
    world.memory.set_bounds(smsgw_queue::Bounds {
        queue: smsgw_queue::Bound {
            records: 1,
            ..smsgw_queue::Bound::NONE
        },
        ..smsgw_queue::Bounds::NONE
    });
    for sequence in [1, 2] {
        world.carrier.deliver(sequence, receipt(&format!("R{sequence}")));
        let answers = usize::try_from(sequence).unwrap();
        world
            .until("answered", move |world| world.carrier.answered().len() == answers)
            .await;
    }
    assert_eq!(
        world.carrier.answered(),
        [(1, OK), (2, CommandStatus::MESSAGE_QUEUE_FULL)]
    );
    assert_eq!(world.up_depth().ready, 1);
    assert!(matches!(world.up().await.0, Up::Receipt(_)));
    world.memory.set_bounds(smsgw_queue::Bounds::NONE);
    world.carrier.deliver(3, receipt("R2"));
    world
        .until("answered", |world| world.carrier.answered().len() == 3)
        .await;
    assert_eq!(world.carrier.answered().last(), Some(&(3, OK)));
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_engine_leaves_deliveries_unanswered_and_ends_the_process() {
    let world = World::start(operator()).await;
    world.bound().await;
    world
        .engine
        .set(Mood::Refusing(EngineError::Poisoned("sync failed".to_owned())));
    world.carrier.deliver(1, receipt("R1"));
    let exit = tokio::time::timeout(Duration::from_secs(60), world.tree.ended())
        .await
        .unwrap();
    assert!(matches!(exit, Exit::Escalated(_)), "{exit:?}");
    assert_eq!(world.carrier.answered(), []);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_without_an_id_is_kept_and_answered() {
    let world = World::start(operator()).await;
    world.bound().await;
    world
        .carrier
        .deliver(1, deliver(0x04, "your message has arrived"));
    world
        .until("answered", |world| world.carrier.answered() == [(1, OK)])
        .await;
    let queue = QueueName::from(names::up(&smsgw_message::LinkGroup::of(&alpha())));
    let kept = world
        .memory
        .browse(&queue, Place::Corrupt, None, 10)
        .await
        .unwrap();
    let Up::Mo(kept) = Up::from_record(&kept[0].record).unwrap() else {
        panic!("kept as an MO")
    };
    assert_eq!(kept.data.as_slice(), b"your message has arrived");
    assert_eq!(
        world.events().await[0].error.as_deref(),
        Some("unreadable_receipt")
    );
}

#[tokio::test(start_paused = true)]
async fn a_malformed_pdu_is_kept_and_disturbs_nothing() {
    let world = World::start(operator()).await;
    world.bound().await;
    // deliver_sm whose body ends inside the source address.
    let broken: &[u8] = &[0, 0, 0, 19, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 99, 0, 1, 1];
    world.carrier.inject(broken);
    // An operation that does not exist.
    world
        .carrier
        .inject(&[0, 0, 0, 16, 0, 0, 0x99, 0x99, 0, 0, 0, 0, 0, 0, 0, 100]);
    world.send([1]).await;
    assert_eq!(carrier_id(&world.result().await), "C1");
    world.carrier.deliver(1, receipt("R1"));
    assert!(matches!(world.up().await.0, Up::Receipt(_)));
    assert_eq!(world.carrier.binds().len(), 1, "the same session");
    let queue = QueueName::from(names::up(&smsgw_message::LinkGroup::of(&alpha())));
    let kept = world
        .memory
        .browse(&queue, Place::Corrupt, None, 10)
        .await
        .unwrap();
    let kept: Vec<_> = kept.iter().map(|kept| &kept.record[..]).collect();
    assert_eq!(kept, [broken], "deliveries are kept, the rest is counted");
}

#[tokio::test(start_paused = true)]
async fn thousands_of_deliveries_are_taken_with_bounded_memory_while_the_engine_is_slow() {
    let world = World::start(operator()).await;
    world.bound().await;
    world.engine.set(Mood::Held);
    for tag in 0..5000 {
        world.carrier.deliver(tag, receipt(&format!("R{tag}")));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.engine.set(Mood::Calm);
    world
        .until("answered", |world| world.carrier.answered().len() == 5000)
        .await;
    assert!(
        world.carrier.answered().iter().all(|(_, status)| *status == OK),
        "held back, not refused"
    );
    let most = world.engine.batch_sizes().into_iter().max();
    assert!(
        most.is_some_and(|most| (500..3000).contains(&most)),
        "{most:?} in one commit"
    );
    assert_eq!(world.up_depth().ready, 5000);
}

#[tokio::test(start_paused = true)]
async fn large_deliveries_are_committed_a_few_at_a_time() {
    let world = World::start(operator()).await;
    world.bound().await;
    world.engine.set(Mood::Held);
    let mut large = deliver(0, "");
    large
        .tlvs
        .push(smsgw_smpp::tlv::tag::MESSAGE_PAYLOAD, &[b'x'; 60_000])
        .unwrap();
    for tag in 0..200 {
        world.carrier.deliver(tag, large.clone());
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.engine.set(Mood::Calm);
    world
        .until("answered", |world| world.carrier.answered().len() == 200)
        .await;
    assert!(world.carrier.answered().iter().all(|(_, status)| *status == OK));
    let most = world.engine.batch_sizes().into_iter().max();
    assert!(
        most.is_some_and(|most| (10..25).contains(&most)),
        "{most:?} of 60 000 octets in one commit"
    );
    assert_eq!(world.up_depth().ready, 200);
}

#[test]
fn a_delivery_the_bind_does_not_allow_is_not_counted_as_overload() {
    use crate::metric::refusal_word;
    assert_eq!(refusal_word(CommandStatus::INVALID_BIND_STATUS), "not_bound");
    assert_eq!(refusal_word(CommandStatus::TEMPORARY_APP_ERROR), "overload");
}

/// The carrier hangs up and takes the link back.
async fn lose_the_session(world: &World) {
    let binds = world.carrier.binds().len();
    world.carrier.hang_up();
    world
        .until("bound again", |world| {
            world.carrier.binds().len() > binds
                && world.states().iter().all(|(_, state)| *state == LinkState::Bound)
        })
        .await;
}

async fn mos(world: &World) -> usize {
    let mut mos = 0;
    while let Some((up, _)) = world.up_within(Duration::from_secs(1)).await {
        mos += usize::from(matches!(up, Up::Mo(_)));
    }
    mos
}

#[tokio::test(start_paused = true)]
async fn an_mo_whose_answer_may_be_lost_is_not_taken_twice_and_a_second_vote_is() {
    let world = World::start(operator()).await;
    world.bound().await;
    world.carrier.deliver(1, deliver(0, "VOTE A"));
    world
        .until("answered", |world| world.carrier.answered() == [(1, OK)])
        .await;
    lose_the_session(&world).await;
    world.carrier.deliver(2, deliver(0, "VOTE A"));
    world
        .until("answered", |world| world.carrier.answered().contains(&(2, OK)))
        .await;
    assert_eq!(mos(&world).await, 1, "the same one again");
    world.carrier.deliver(3, deliver(0, "VOTE A"));
    assert_eq!(mos(&world).await, 1, "a vote of its own");
    tokio::time::sleep(Duration::from_secs(10)).await;
    lose_the_session(&world).await;
    world.carrier.deliver(4, deliver(0, "VOTE A"));
    assert_eq!(
        mos(&world).await,
        1,
        "answered long before the session ended: nothing was lost"
    );
}
