//! replace_sm, and cancel_sm for a group, with the router and the operator's queue played by the test.

use crate::harness::*;
use smsgw_message::{
    CancelGroup, Dispatch, Encoding, LinkGroup, MessageId, MessageLife, MessageState, MtMessage, OperatorId,
    Record, ReplaceRequest, ReplaceVerdict, ReportLevel, Via, names,
};
use smsgw_queue::{Engine, Expiry, Lane, Place, QueueName, Step, StepId, Want};
use smsgw_smpp::pdu::{CancelSm, ReplaceSm};
use smsgw_smpp::{Address, BindKind, COctets, CommandStatus, EsmeCommand, Request};
use std::time::Duration;

const FAILED: CommandStatus = CommandStatus::REPLACE_FAILED;

fn octets(text: &str) -> COctets {
    COctets::try_from(text).unwrap()
}

fn replacement(id: &str, source: &str, text: &'static [u8]) -> ReplaceSm {
    ReplaceSm {
        message_id: octets(id),
        source: Address::short_code(source).unwrap(),
        short_message: bytes::Bytes::from_static(text),
        ..ReplaceSm::default()
    }
}

async fn ask(esme: &mut Esme, replace: ReplaceSm) -> CommandStatus {
    let request = Request::ReplaceSm(replace);
    esme.command(EsmeCommand::Request { tag: 7, request }).await;
    esme.answered().await.0
}

async fn value(node: &Node, key: String) -> Option<smsgw_queue::Versioned> {
    node.engine.get(vec![key.into()]).await.unwrap().remove(0)
}

async fn life(node: &Node, given: &str) -> MessageLife {
    let there = value(node, names::message(given.parse().unwrap())).await;
    MessageLife::from_record(&there.unwrap().value).unwrap()
}

/// The router: takes the request, gives the verdict.
async fn decide(node: &Node, verdict: ReplaceVerdict) -> ReplaceRequest {
    let want = Want::new(1, PATIENCE);
    let alarm = node
        .engine
        .checkout(&QueueName::from(names::ALARMS), want)
        .await
        .unwrap()
        .remove(0);
    let key = String::from_utf8(alarm.record().to_vec()).unwrap();
    let there = value(node, key.clone()).await.unwrap();
    let asked = ReplaceRequest::from_record(&there.value).unwrap();
    let id: MessageId = key.strip_prefix("replace/").unwrap().parse().unwrap();
    assert_eq!(asked.seen, value(node, names::message(id)).await.unwrap().version);
    let decided = ReplaceRequest {
        message: None,
        verdict: Some(verdict),
        ..asked.clone()
    };
    Step::from(&alarm)
        .settle(&alarm)
        .put(key, decided.to_record(), Expiry::Owner)
        .commit(node.engine.as_ref())
        .await
        .unwrap();
    asked
}

async fn answered(
    esme: &mut Esme,
    node: &Node,
    replace: ReplaceSm,
    verdict: ReplaceVerdict,
) -> (CommandStatus, ReplaceRequest) {
    tokio::join!(ask(esme, replace), decide(node, verdict))
}

#[tokio::test]
async fn a_message_is_replaced_as_its_router_says_and_the_answer_waits_for_that() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let (_, given) = esme.answer(text("Hello")).await;
    let before = life(&node, &given).await.message;
    let replace = ReplaceSm {
        registered_delivery: 0,
        ..replacement(&given, "12345", b"Good bye")
    };
    let (status, asked) = answered(&mut esme, &node, replace.clone(), ReplaceVerdict::Replaced).await;
    assert_eq!(status, CommandStatus::OK);
    let after = asked.message.unwrap();
    let waiting = asked.waiting.unwrap();
    assert_eq!((waiting.operator.as_str(), waiting.records.len()), ("alpha", 1));
    assert_eq!(asked.spends, Vec::new(), "no part on top");
    assert_eq!(after.parts[0].data, b"Good bye");
    let expected = MtMessage {
        parts: after.parts.clone(),
        report: ReportLevel::None,
        registered_delivery: None,
        ..before.clone()
    };
    assert_eq!(after, expected, "all else stays");
    let (status, _) = answered(&mut esme, &node, replace.clone(), ReplaceVerdict::TooLate).await;
    assert_eq!(status, FAILED);
    // The message moved on: it is looked at again.
    let both = async {
        decide(&node, ReplaceVerdict::Changed).await;
        decide(&node, ReplaceVerdict::Replaced).await;
    };
    let (status, ()) = tokio::join!(ask(&mut esme, replace), both);
    assert_eq!(status, CommandStatus::OK);
    // Times alone: the text stays.
    let times = ReplaceSm {
        schedule_delivery_time: octets("000000010000000R"),
        validity_period: octets("000000020000000R"),
        registered_delivery: 1,
        ..replacement(&given, "12345", b"")
    };
    let (_, asked) = answered(&mut esme, &node, times, ReplaceVerdict::Replaced).await;
    let after = asked.message.unwrap();
    assert_eq!((after.parts, after.report), (before.parts, ReportLevel::Final));
    let hour = Duration::from_secs(3600);
    let ahead = after.send_at.unwrap().since(node.now());
    assert!(ahead > hour.mul_f64(0.9) && ahead <= hour, "{ahead:?}");
    assert_eq!(
        after
            .valid_until
            .since(after.send_at.unwrap())
            .as_secs()
            .div_ceil(60),
        60
    );
}

#[tokio::test]
async fn nobody_is_told_that_it_was_done_when_the_router_says_nothing_and_the_request_is_gone_then() {
    let node = Node::start("response_timeout = \"1s\"", "").await;
    let mut esme = node.bind().await;
    let (_, given) = esme.answer(text("Hello")).await;
    let id: MessageId = given.parse().unwrap();
    assert_eq!(ask(&mut esme, replacement(&given, "12345", b"Bye")).await, FAILED);
    assert_eq!(
        value(&node, names::replace(id)).await,
        None,
        "whoever finds the alarm finds nothing to do"
    );
    assert_eq!(node.depth(names::ALARMS, Place::Ready), 1);
}

#[tokio::test]
async fn what_may_not_be_replaced_is_refused_before_anybody_is_asked() {
    let node = Node::start("", "max_parts = 2\ndeny_text = [\"casino\"]\n").await;
    let mut esme = node.bind().await;
    let (_, given) = esme.answer(text("Hello")).await;
    let id: MessageId = given.parse().unwrap();
    let mut other = node
        .bind_as("other", "secret", BindKind::Transceiver, 0x34)
        .await
        .unwrap();
    assert_eq!(
        ask(&mut other, replacement(&given, "12345", b"Bye")).await,
        FAILED,
        "another account"
    );
    assert_eq!(
        ask(&mut esme, replacement(&given, "54321", b"Bye")).await,
        FAILED,
        "another sender"
    );
    let payload = |octets: usize| {
        let mut replace = replacement(&given, "12345", b"");
        replace
            .tlvs
            .push(smsgw_smpp::tlv::tag::MESSAGE_PAYLOAD, &vec![b'x'; octets])
            .unwrap();
        replace
    };
    for (replace, expected) in [
        (
            replacement("none-of-ours", "12345", b"Bye"),
            CommandStatus::INVALID_MESSAGE_ID,
        ),
        (
            replacement(&given, "12345", b"to the casino"),
            CommandStatus::SUBMIT_FAILED,
        ),
        (payload(400), CommandStatus::INVALID_MESSAGE_LENGTH),
        (
            ReplaceSm {
                validity_period: octets("nonsense"),
                ..replacement(&given, "12345", b"Bye")
            },
            CommandStatus::INVALID_EXPIRY,
        ),
        (
            ReplaceSm {
                schedule_delivery_time: octets("991231000000000+"),
                ..replacement(&given, "12345", b"Bye")
            },
            CommandStatus::INVALID_SCHEDULE,
        ),
        (
            ReplaceSm {
                registered_delivery: 0x20,
                ..replacement(&given, "12345", b"Bye")
            },
            CommandStatus::INVALID_REGISTERED_DELIVERY,
        ),
    ] {
        let what = format!("{replace:?}");
        assert_eq!(ask(&mut esme, replace).await, expected, "{what}");
    }
    // A part that the client cut keeps its header.
    let mut part = text("part");
    part.esm_class = 0x40;
    part.short_message = bytes::Bytes::from_static(b"\x05\x00\x03\x07\x02\x01part");
    let (_, cut) = esme.answer(part).await;
    assert_eq!(ask(&mut esme, replacement(&cut, "12345", b"Bye")).await, FAILED);
    for (state, is_final) in [(MessageState::Sent, false), (MessageState::Delivered, true)] {
        let there = value(&node, names::message(id)).await.unwrap();
        let mut life = MessageLife::from_record(&there.value).unwrap();
        (life.state, life.is_final) = (state, is_final);
        life.parts[0].state = state;
        Step::new(StepId::from_bytes([u8::from(is_final); 16]))
            .put(names::message(id), life.to_record(), Expiry::Owner)
            .commit(node.engine.as_ref())
            .await
            .unwrap();
        assert_eq!(
            ask(&mut esme, replacement(&given, "12345", b"Bye")).await,
            FAILED,
            "{state:?}"
        );
    }
    assert_eq!(node.depth(names::ALARMS, Place::Ready), 0, "nobody was asked");
}

#[tokio::test]
async fn what_one_carrier_took_is_not_replaced_while_it_waits_for_another() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let (_, given) = esme.answer(text("Hello")).await;
    let mut life = life(&node, &given).await;
    let key = names::message(life.message.id);
    life.note(smsgw_message::LifeEvent {
        at: life.message.accepted_at,
        event: smsgw_message::EventName::MtSent,
        part: Some(1),
        detail: Some("beta".to_owned()),
    });
    life.parts[0].tried = Some(vec![OperatorId::try_new("beta").unwrap()]);
    Step::new(StepId::from_bytes([7; 16]))
        .put(key, life.to_record(), Expiry::Owner)
        .commit(node.engine.as_ref())
        .await
        .unwrap();
    assert_eq!(ask(&mut esme, replacement(&given, "12345", b"Bye")).await, FAILED);
    assert_eq!(node.depth(names::ALARMS, Place::Ready), 0, "nobody was asked");
}

#[tokio::test]
async fn the_text_is_read_as_that_of_the_message_was_and_parts_on_top_are_paid() {
    let node = Node::start("", "quota_day = 5\n[client.acme.smpp]\nalphabet = \"utf8\"\n").await;
    let mut esme = node.bind().await;
    let submit = |coding: u8, octets: &'static [u8]| {
        let mut message = text("");
        message.data_coding = coding;
        message.short_message = bytes::Bytes::from_static(octets);
        message
    };
    // data_coding, the text, the new one; how that is read.
    for (coding, first, second, encoding, expected) in [
        (
            0,
            "Grüße".as_bytes(),
            "naïve ж".as_bytes(),
            Encoding::Ucs2,
            "naïve ж",
        ),
        (0, "ж".as_bytes(), b"plain".as_slice(), Encoding::Gsm7, "plain"),
        (1, b"a@b".as_slice(), b"c@d".as_slice(), Encoding::Gsm7, "c@d"),
        (3, b"\xFC".as_slice(), b"\xE4".as_slice(), Encoding::Latin1, "ä"),
        (
            8,
            b"\x04\x36".as_slice(),
            b"\x04\x37".as_slice(),
            Encoding::Ucs2,
            "з",
        ),
    ] {
        let (status, given) = esme.answer(submit(coding, first)).await;
        assert_eq!(status, CommandStatus::OK);
        let (status, asked) = answered(
            &mut esme,
            &node,
            replacement(&given, "12345", second),
            ReplaceVerdict::Replaced,
        )
        .await;
        assert_eq!(status, CommandStatus::OK);
        let message = asked.message.unwrap();
        let read = smsgw_message::text::decode(message.encoding, &message.parts[0].data).text;
        assert_eq!(
            (message.encoding, read.as_str()),
            (encoding, expected),
            "{coding}"
        );
        assert_eq!(
            asked.spends,
            Vec::new(),
            "as many parts: the quota that is used up does not matter"
        );
    }
    let node = Node::start("", "quota_day = 5\n").await;
    let mut esme = node.bind().await;
    let (_, given) = esme.answer(text("Hello")).await;
    let mut long = replacement(&given, "12345", b"");
    long.tlvs
        .push(smsgw_smpp::tlv::tag::MESSAGE_PAYLOAD, &vec![b'x'; 400])
        .unwrap();
    let (_, asked) = answered(&mut esme, &node, long.clone(), ReplaceVerdict::Replaced).await;
    let [spend] = asked.spends.try_into().unwrap();
    assert!(spend.key.starts_with("quota/acme/day/"), "{spend:?}");
    assert_eq!((spend.delta, spend.floor), (-2, Some(-5)));
    let (status, _) = answered(&mut esme, &node, long, ReplaceVerdict::OverQuota).await;
    assert_eq!(status, CommandStatus::MESSAGE_QUEUE_FULL);
}

/// Routed as the router does it: the step of an input of `mt.accepted`.
async fn route(node: &Node, beside: usize) -> MtMessage {
    let operator = OperatorId::try_new("alpha").unwrap();
    let want = Want::new(1, PATIENCE);
    let input = node
        .engine
        .checkout(&names::MT_ACCEPTED.into(), want)
        .await
        .unwrap()
        .remove(0);
    let message = MtMessage::from_record(input.record()).unwrap();
    let lane = Lane::new(message.class, &message.client);
    let queue = names::mt_operator(&operator);
    // What of the same client was routed in the meantime.
    for n in 0..beside {
        let dispatch = MtMessage {
            id: message.id.derive(u64::try_from(n).unwrap()),
            ..message.clone()
        };
        let record = dispatch.dispatch(1, &operator).unwrap().to_record();
        Step::new(StepId::accept(dispatch.id))
            .publish(queue.as_str(), lane.clone(), record)
            .commit(node.engine.as_ref())
            .await
            .unwrap();
    }
    let mut life = MessageLife::accepted(message.clone());
    life.state = MessageState::Queued;
    let mut step = Step::from(&input).settle(&input);
    for (number, part) in (1..).zip(&mut life.parts) {
        part.state = MessageState::Queued;
        part.via = Some(Via {
            operator: operator.clone(),
            group: LinkGroup::of(&operator),
        });
        let record = message.dispatch(number, &operator).unwrap().to_record();
        step = step.publish(queue.as_str(), lane.clone(), record);
    }
    step.put(names::message(message.id), life.to_record(), Expiry::Owner)
        .commit(node.engine.as_ref())
        .await
        .unwrap();
    message
}

#[tokio::test]
async fn parts_at_an_operator_are_found_behind_others_and_not_when_one_is_taken() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let mut long = text("");
    long.tlvs
        .push(smsgw_smpp::tlv::tag::MESSAGE_PAYLOAD, &vec![b'x'; 400])
        .unwrap();
    let (_, given) = esme.answer(long).await;
    let queue = QueueName::from("mt.operator.alpha");
    // Before the message, and between its accept and its routing.
    let message = route(&node, 700).await;
    assert_eq!(message.parts.len(), 3);
    let (status, asked) = answered(
        &mut esme,
        &node,
        replacement(&given, "12345", b"Bye"),
        ReplaceVerdict::Replaced,
    )
    .await;
    assert_eq!(status, CommandStatus::OK);
    let waiting = asked.waiting.unwrap();
    let page = node
        .engine
        .browse(&queue, Place::Ready, None, 1_000)
        .await
        .unwrap();
    let own: Vec<u64> = page
        .iter()
        .rev()
        .take(3)
        .rev()
        .map(|seen| seen.id.as_u64())
        .collect();
    assert_eq!((waiting.operator.as_str(), waiting.records), ("alpha", own));
    let taken = node
        .engine
        .checkout(&queue, Want::new(701, Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(taken.len(), 701, "the first part too");
    assert_eq!(ask(&mut esme, replacement(&given, "12345", b"Bye")).await, FAILED);
    drop(taken);
    assert_eq!(
        ask(&mut esme, replacement(&given, "12345", b"Bye")).await,
        FAILED,
        "it may be at the carrier"
    );
    assert_eq!(node.depth(names::ALARMS, Place::Ready), 0);
}

#[tokio::test]
async fn a_message_that_its_accept_sent_to_the_operator_is_found_behind_thousands_of_others() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let operator = OperatorId::try_new("alpha").unwrap();
    let (_, first) = esme.answer(text("Hello")).await;
    let first = life(&node, &first).await.message;
    let publish = async |age: u64| {
        let at = node.now().before(Duration::from_secs(age));
        for n in 0..3_000_u64 {
            let id = MessageId::from_parts(at.after(Duration::from_millis(n)), rand_of(age, n));
            let other = MtMessage { id, ..first.clone() };
            let record = other.dispatch(1, &operator).unwrap().to_record();
            Step::new(StepId::accept(id))
                .publish("mt.operator.alpha", Lane::new(first.class, &first.client), record)
                .commit(node.engine.as_ref())
                .await
                .unwrap();
        }
    };
    // Of an hour ago, of a quarter of one, then the message, then later ones: what was accepted before it is behind it in no page.
    publish(3_600).await;
    publish(900).await;
    let (_, given) = esme.answer(text("Hello")).await;
    publish(0).await;
    let replace = replacement(&given, "12345", b"Bye");
    let (status, asked) = answered(&mut esme, &node, replace.clone(), ReplaceVerdict::Replaced).await;
    assert_eq!(status, CommandStatus::OK);
    let [record] = asked.waiting.unwrap().records[..] else {
        panic!("one part");
    };
    let look = node
        .engine
        .browse(&"mt.operator.alpha".into(), Place::Ready, None, 20_000);
    let waiting = look.await.unwrap();
    let named = waiting.iter().find(|seen| seen.id.as_u64() == record).unwrap();
    assert_eq!(
        Dispatch::from_record(&named.record).unwrap().message.to_string(),
        given
    );
    // Once it is under lease nobody is asked.
    let taken = node
        .engine
        .checkout(&"mt.operator.alpha".into(), Want::new(20_000, Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(taken.len(), 9_002);
    assert_eq!(ask(&mut esme, replace).await, FAILED);
}

fn rand_of(age: u64, n: u64) -> [u8; 10] {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&n.to_be_bytes());
    random[8..].copy_from_slice(&u16::try_from(age).unwrap().to_be_bytes());
    random
}

#[tokio::test]
async fn a_group_is_withdrawn_by_its_numbers_with_one_write_and_what_is_no_group_is_refused() {
    let node = Node::start("", "").await;
    let mut esme = node.bind().await;
    let group = |source: &str, destination: &str, service_type: &str| CancelSm {
        source: Address::short_code(source).unwrap(),
        destination: Address::international(destination).unwrap(),
        service_type: octets(service_type),
        ..CancelSm::default()
    };
    let ask = async |esme: &mut Esme, cancel: CancelSm| {
        let request = Request::CancelSm(cancel);
        esme.command(EsmeCommand::Request { tag: 7, request }).await;
        esme.answered().await.0
    };
    for (source, destination) in [("", ""), ("12345", ""), ("", "491700000001")] {
        let cancel = CancelSm {
            source: if source.is_empty() {
                Address::default()
            } else {
                Address::short_code(source).unwrap()
            },
            destination: if destination.is_empty() {
                Address::default()
            } else {
                Address::international(destination).unwrap()
            },
            ..CancelSm::default()
        };
        assert_eq!(
            ask(&mut esme, cancel).await,
            CommandStatus::CANCEL_FAILED,
            "{source} {destination}"
        );
    }
    assert_eq!(node.depth(names::ALARMS, Place::Ready), 0);
    let (_, given) = esme.answer(text("Hello")).await;
    let id: MessageId = given.parse().unwrap();
    for (times, service_type) in [(1, "WAP"), (2, ""), (3, "")] {
        assert_eq!(
            ask(&mut esme, group("12345", "491700000001", service_type)).await,
            CommandStatus::OK
        );
        assert_eq!(
            node.depth(names::ALARMS, Place::Ready),
            times,
            "the router is told"
        );
    }
    let message = node.accepted().await.remove(0);
    let key = names::cancel_group(&client("acme"), message.from.as_ref().unwrap(), &message.to);
    let there = CancelGroup::from_record(&value(&node, key).await.unwrap().value).unwrap();
    assert_eq!((there.client.as_str(), there.wishes.len()), ("acme", 2));
    assert!(there.means(id, None) && there.means(id, Some("CMT")));
    tokio::time::sleep(Duration::from_millis(2)).await;
    let (_, later) = esme.answer(text("Hello")).await;
    assert!(
        !there.means(later.parse().unwrap(), None),
        "what comes later is another matter"
    );
    let day = node.now().as_millis() / 86_400_000;
    let used = value(&node, names::cancel_groups(&client("acme"), day))
        .await
        .unwrap();
    assert_eq!(
        used.as_counter(),
        Some(-1),
        "one key, however often it is asked for"
    );
    Step::new(StepId::from_bytes([9; 16]))
        .add(
            names::cancel_groups(&client("acme"), day),
            -9_999,
            None,
            Expiry::Owner,
        )
        .commit(node.engine.as_ref())
        .await
        .unwrap();
    let more = group("12345", "491700000002", "");
    assert_eq!(
        ask(&mut esme, more).await,
        CommandStatus::CANCEL_FAILED,
        "bounded"
    );
    assert_eq!(
        ask(&mut esme, group("12345", "491700000001", "")).await,
        CommandStatus::OK,
        "no new key"
    );
}
