//! cancel_sm, and query_sm of a submit_multi: what an id names, for whom, and what is refused.

use crate::harness::*;
use smsgw_message::{CancelRequest, MessageId, MessageLife, MessageState, Record, names};
use smsgw_queue::{Engine, Expiry, Place, Step, StepId};
use smsgw_smpp::pdu::{CancelSm, Destination, QuerySm, QuerySmResp, SubmitMulti};
use smsgw_smpp::{Address, BindKind, COctets, CommandStatus, EsmeCommand, EsmeEvent, Reply, Request};
use smsgw_testkit::Mood;

fn cancel(id: &str, source: &str, destination: &str) -> CancelSm {
    CancelSm {
        message_id: COctets::try_from(id).unwrap(),
        source: Address::short_code(source).unwrap(),
        destination: match destination {
            "" => Address::default(),
            number => Address::international(number).unwrap(),
        },
        ..CancelSm::default()
    }
}

async fn ask(esme: &mut Esme, request: Request) -> CommandStatus {
    esme.command(EsmeCommand::Request { tag: 7, request }).await;
    esme.answered().await.0
}

async fn ask_cancel(esme: &mut Esme, id: &str, source: &str, destination: &str) -> CommandStatus {
    ask(esme, Request::CancelSm(cancel(id, source, destination))).await
}

async fn life(node: &Node, id: MessageId) -> MessageLife {
    let found = node.engine.get(vec![names::message(id).into()]).await.unwrap();
    MessageLife::from_record(&found[0].as_ref().unwrap().value).unwrap()
}

/// What the router would write.
async fn becomes(node: &Node, id: MessageId, state: MessageState, is_final: bool) {
    let mut life = life(node, id).await;
    (life.state, life.is_final) = (state, is_final);
    for part in &mut life.parts {
        (part.state, part.is_final) = (state, is_final);
    }
    let step = Step::new(StepId::from_bytes(
        *MessageId::from_parts(node.now(), rand_octets()).as_bytes(),
    ));
    step.put(names::message(id), life.to_record(), Expiry::Owner)
        .commit(node.engine.as_ref())
        .await
        .unwrap();
}

fn rand_octets() -> [u8; 10] {
    use std::sync::atomic::{AtomicU8, Ordering};
    static NEXT: AtomicU8 = AtomicU8::new(0);
    [NEXT.fetch_add(1, Ordering::Relaxed); 10]
}

/// Whose withdrawal was asked for.
async fn requested(node: &Node, id: MessageId) -> Option<CancelRequest> {
    let found = node.engine.get(vec![names::cancel(id).into()]).await.unwrap();
    found[0]
        .as_ref()
        .map(|found| CancelRequest::from_record(&found.value).unwrap())
}

#[tokio::test]
async fn a_message_is_withdrawn_by_its_id_in_every_form_and_only_by_its_sender() {
    for (version, form, kind) in [
        (0x33, "uuid", BindKind::Transmitter),
        (0x34, "uuid", BindKind::Transceiver),
        (0x34, "hex", BindKind::Transceiver),
        (0x50, "decimal", BindKind::Transceiver),
    ] {
        let node = Node::start("", &format!("[client.acme.smpp]\nmessage_id = \"{form}\"")).await;
        let mut esme = node
            .bind_as("acme", "a long secret", kind, version)
            .await
            .unwrap();
        let (_, given) = esme.answer(text("Hello")).await;
        let id = node.accepted().await[0].id;
        let mut other = node
            .bind_as("other", "secret", BindKind::Transceiver, 0x34)
            .await
            .unwrap();
        let failed = CommandStatus::CANCEL_FAILED;
        assert_eq!(
            ask_cancel(&mut other, &given, "12345", "").await,
            failed,
            "{form}"
        );
        assert_eq!(ask_cancel(&mut esme, &given, "54321", "").await, failed, "{form}");
        let elsewhere = ask_cancel(&mut esme, &given, "12345", "491700000002").await;
        assert_eq!(elsewhere, failed, "another destination");
        assert_eq!(requested(&node, id).await, None);
        let before = node.depth(names::ALARMS, Place::Ready);
        let status = ask_cancel(&mut esme, &given, "12345", "491700000001").await;
        assert_eq!(status, CommandStatus::OK, "{form}");
        assert_eq!(requested(&node, id).await.unwrap().client, client("acme"));
        assert_eq!(
            node.depth(names::ALARMS, Place::Ready),
            before + 1,
            "the router is told"
        );
        assert_eq!(
            ask_cancel(&mut esme, &given, "12345", "").await,
            CommandStatus::OK,
            "asked twice"
        );
    }
}

#[tokio::test]
async fn what_is_sent_over_or_unknown_is_not_withdrawn() {
    let node = Node::start("response_timeout = \"1s\"", "").await;
    let mut esme = node.bind().await;
    let (_, given) = esme.answer(text("Hello")).await;
    let id: MessageId = given.parse().unwrap();
    let failed = CommandStatus::CANCEL_FAILED;
    for (state, is_final) in [(MessageState::Sent, false), (MessageState::Delivered, true)] {
        becomes(&node, id, state, is_final).await;
        assert_eq!(
            ask_cancel(&mut esme, &given, "12345", "").await,
            failed,
            "{state:?}"
        );
    }
    assert_eq!(requested(&node, id).await, None);
    becomes(&node, id, MessageState::Queued, false).await;
    assert_eq!(
        ask_cancel(&mut esme, "none-of-ours", "12345", "").await,
        CommandStatus::INVALID_MESSAGE_ID
    );
    let unknown = id.derive(99).to_string();
    assert_eq!(
        ask_cancel(&mut esme, &unknown, "12345", "").await,
        failed,
        "no such"
    );
    node.engine.set(Mood::Stuck);
    assert_eq!(
        ask_cancel(&mut esme, &given, "12345", "").await,
        CommandStatus::SYSTEM_ERROR
    );
    node.engine.set(Mood::Calm);
    assert_eq!(requested(&node, id).await, None);
    assert_eq!(
        ask_cancel(&mut esme, &given, "12345", "").await,
        CommandStatus::OK
    );
}

async fn query(esme: &mut Esme, id: &str) -> QuerySmResp {
    let request = Request::QuerySm(QuerySm {
        message_id: COctets::try_from(id).unwrap(),
        source: Address::short_code("12345").unwrap(),
    });
    esme.command(EsmeCommand::Request { tag: 8, request }).await;
    match esme.event().await {
        EsmeEvent::Answered {
            status: CommandStatus::OK,
            reply: Reply::QuerySm(reply),
            ..
        } => *reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_id_of_a_submit_multi_names_all_its_messages() {
    for form in ["uuid", "short"] {
        let node = Node::start("", &format!("[client.acme.smpp]\nmessage_id = \"{form}\"")).await;
        let mut esme = node.bind().await;
        // The first is refused: the id is that of the next.
        let numbers = ["331700000001", "491700000001", "491700000002", "491700000003"];
        let multi = SubmitMulti {
            source: Address::short_code("12345").unwrap(),
            destinations: numbers
                .map(|number| Destination::Sme(Address::international(number).unwrap()))
                .to_vec(),
            short_message: bytes::Bytes::from_static(b"Hello"),
            esm_class: 0x03,
            registered_delivery: 1,
            ..SubmitMulti::default()
        };
        let request = Request::SubmitMulti(multi);
        esme.command(EsmeCommand::Request { tag: 1, request }).await;
        let (status, given) = esme.answered().await;
        assert_eq!(status, CommandStatus::OK);
        let mut messages = node.accepted().await;
        messages.sort_by(|a, b| a.to.cmp(&b.to));
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
        assert_eq!(ids.len(), 3);

        use MessageState::{Accepted, Cancelled, Delivered, Rejected};
        for (states, told) in [
            ([(Delivered, true), (Rejected, true), (Accepted, false)], 1),
            ([(Delivered, true), (Rejected, true), (Cancelled, true)], 8),
            ([(Delivered, true), (Delivered, true), (Cancelled, true)], 4),
            ([(Delivered, true), (Delivered, true), (Delivered, true)], 2),
        ] {
            for (id, (state, is_final)) in ids.iter().zip(states) {
                becomes(&node, *id, state, is_final).await;
            }
            let reply = query(&mut esme, &given).await;
            assert_eq!(
                (reply.message_state, reply.message_id.to_string_lossy()),
                (told, given.clone()),
                "{states:?}"
            );
        }
        let failed = CommandStatus::CANCEL_FAILED;
        assert_eq!(
            ask_cancel(&mut esme, &given, "12345", "").await,
            failed,
            "all are over"
        );

        for id in &ids {
            becomes(&node, *id, MessageState::Queued, false).await;
        }
        assert_eq!(
            ask_cancel(&mut esme, &given, "12345", "491700000009").await,
            failed
        );
        let one = ask_cancel(&mut esme, &given, "12345", "491700000002").await;
        assert_eq!(one, CommandStatus::OK);
        let mut asked = Vec::new();
        for id in &ids {
            asked.push(requested(&node, *id).await.is_some());
        }
        assert_eq!(asked, [false, true, false], "one destination");
        assert_eq!(
            ask_cancel(&mut esme, &given, "12345", "").await,
            CommandStatus::OK
        );
        for id in &ids {
            assert!(requested(&node, *id).await.is_some(), "all of them");
        }
    }
}
