//! What the carrier delivers.

use super::gate::Mode;
use super::*;
use bytes::Bytes;
use smsgw_message::ReceiptState;
use smsgw_queue::{EngineError, Place};
use smsgw_smpp::{Address, CommandStatus, DeliverSm};

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
    world.gate.set(Mode::Held);
    for tag in 0..50 {
        world.carrier.deliver(tag, receipt(&format!("R{tag}")));
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.carrier.answered(), []);
    assert_eq!(world.up_depth().ready, 0);
    world.gate.set(Mode::Open);
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
    world.gate.set(Mode::Refusing(EngineError::NoSpace));
    world.carrier.deliver(1, receipt("R1"));
    world
        .until("answered", |world| !world.carrier.answered().is_empty())
        .await;
    assert_eq!(
        world.carrier.answered(),
        [(1, CommandStatus::TEMPORARY_APP_ERROR)]
    );
    world.gate.set(Mode::Open);
    world.carrier.deliver(2, receipt("R1"));
    assert!(matches!(world.up().await.0, Up::Receipt(_)));
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_engine_leaves_deliveries_unanswered_and_ends_the_process() {
    let world = World::start(operator()).await;
    world.bound().await;
    world
        .gate
        .set(Mode::Refusing(EngineError::Poisoned("sync failed".to_owned())));
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
    world.gate.set(Mode::Held);
    for tag in 0..5000 {
        world.carrier.deliver(tag, receipt(&format!("R{tag}")));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.gate.set(Mode::Open);
    world
        .until("answered", |world| world.carrier.answered().len() == 5000)
        .await;
    assert!(
        world.carrier.answered().iter().all(|(_, status)| *status == OK),
        "held back, not refused"
    );
    let most = world.gate.batches().into_iter().max();
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
    world.gate.set(Mode::Held);
    let mut large = deliver(0, "");
    large
        .tlvs
        .push(smsgw_smpp::tlv::tag::MESSAGE_PAYLOAD, &[b'x'; 60_000])
        .unwrap();
    for tag in 0..200 {
        world.carrier.deliver(tag, large.clone());
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.gate.set(Mode::Open);
    world
        .until("answered", |world| world.carrier.answered().len() == 200)
        .await;
    assert!(world.carrier.answered().iter().all(|(_, status)| *status == OK));
    let most = world.gate.batches().into_iter().max();
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
