//! Replies to MO from the answers to callbacks: one message for each event, held to admission, bounded for each phone, refusals kept.

use crate::harness::{ACME, Node, config};
use smsgw_message::{
    Address, Class, ClientId, ClientRequest, MessageId, MtMessage, OptOut, Record, ReplyBounds, Timestamp,
    names,
};
use smsgw_queue::{Engine, Expected, Expiry, Lane, MemoryEngine, Place, QueueName, Step, StepId, Want};
use smsgw_testkit::{Prank, Pranks};
use std::collections::BTreeSet;
use std::time::Duration;

const REPLIES: &str = "\n[client.acme.callback_policy]\nreplies = true\nreplies_max = 3\n";

fn request(event: u8, phone: &str, body: &str) -> ClientRequest {
    ClientRequest {
        event: MessageId::from_bytes([event; 16]),
        client: ClientId::try_new("acme").unwrap(),
        event_at: Timestamp::from_millis(1_795_248_000_000),
        phone: Address::msisdn(phone).unwrap(),
        number: Address::sender("12345").unwrap(),
        body: body.to_owned(),
        at: Timestamp::from_millis(1_795_248_000_100),
        refused: None,
        auto: None,
    }
}

async fn publish(engine: &MemoryEngine, n: u8, request: &ClientRequest) {
    let lane = Lane::new(Class::Transactional, "acme");
    let step =
        Step::new(StepId::from_bytes([n; 16])).publish(names::CLIENT_REQUESTS, lane, request.to_record());
    step.commit(engine).await.unwrap();
}

async fn settled(node: &Node) {
    let queue = QueueName::from(names::CLIENT_REQUESTS);
    let start = std::time::Instant::now();
    loop {
        let depth = node.memory.depth(&queue);
        if depth.ready + depth.in_flight + depth.deferred == 0 {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{depth:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn messages(node: &Node) -> Vec<MtMessage> {
    let queue = QueueName::from(names::MT_ACCEPTED);
    let taken = node
        .memory
        .checkout(&queue, Want::new(1_000, Duration::ZERO))
        .await
        .unwrap();
    taken
        .iter()
        .map(|delivery| MtMessage::from_record(delivery.record()).unwrap())
        .collect()
}

async fn refused(node: &Node) -> Vec<String> {
    let queue = QueueName::from(names::CLIENT_REQUESTS);
    let found = node
        .memory
        .browse(&queue, Place::DeadLetter, None, 100)
        .await
        .unwrap();
    let why = |record: &[u8]| ClientRequest::from_record(record).unwrap().refused.unwrap();
    found.iter().map(|seen| why(&seen.record)).collect()
}

#[tokio::test]
async fn an_event_that_is_answered_twice_makes_one_message() {
    let node = Node::with(config("", &format!("{ACME}{REPLIES}"))).await;
    let body = r#"{"text":"Danke","reference":"r-1"}"#;
    publish(&node.memory, 1, &request(1, "491700000001", body)).await;
    settled(&node).await;
    publish(&node.memory, 2, &request(1, "491700000001", body)).await;
    publish(
        &node.memory,
        3,
        &request(2, "491700000001", r#"{"text":"Hi","from":"ACME"}"#),
    )
    .await;
    settled(&node).await;
    let messages = messages(&node).await;
    assert_eq!(messages.len(), 2, "{messages:?}");
    let of = |at: usize| {
        (
            messages[at].to.as_str(),
            messages[at].from.as_ref().map(Address::as_str),
        )
    };
    assert_eq!(of(0), ("491700000001", Some("12345")));
    assert_eq!(of(1), ("491700000001", Some("ACME")));
    assert_eq!(messages[0].reference.as_deref(), Some("r-1"));
    node.tree.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_kept_with_its_reason() {
    let node = Node::with(config("", &format!("{ACME}{REPLIES}"))).await;
    let good = r#"{"text":"x"}"#;
    for (n, (phone, body)) in [
        ("491700000001", r#"{"txt":"x"}"#),
        ("331700000001", good),
        ("491700000002", good),
        ("491700000002", good),
        ("491700000002", good),
        ("491700000002", good),
        ("491700000003", good),
    ]
    .into_iter()
    .enumerate()
    {
        let n = u8::try_from(n + 1).unwrap();
        publish(&node.memory, n, &request(n, phone, body)).await;
    }
    settled(&node).await;
    assert_eq!(
        messages(&node).await.len(),
        4,
        "three to one phone, one to another"
    );
    let why = refused(&node).await;
    assert_eq!(why.len(), 3, "{why:?}");
    for (why, word) in why.iter().zip(["unknown_field", "no_route", "too_many_replies"]) {
        assert!(why.starts_with(word), "{why}");
    }
    node.tree.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_is_judged_anew() {
    let node = Node::with(config("", &format!("{ACME}{REPLIES}"))).await;
    let refused_before = |event, body: &str, why: &str| ClientRequest {
        refused: Some(why.to_owned()),
        ..request(event, "491700000001", body)
    };
    let good = refused_before(1, r#"{"text":"x"}"#, "insufficient_credit: topped up since");
    let astray = refused_before(2, r#"{"text":"x","to":"491700000009"}"#, "it has no to");
    let cut = refused_before(3, r#"{"text":"x"#, "the reply is longer than one may be");
    for (n, replayed) in (1..).zip([&good, &astray, &cut]) {
        publish(&node.memory, n, replayed).await;
    }
    settled(&node).await;
    let sent = messages(&node).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].to.as_str(), "491700000001");
    let why = refused(&node).await;
    for (why, word) in why.iter().zip(["malformed", "invalid_json"]) {
        assert!(why.starts_with(word), "{why}");
    }
    assert_eq!(why.len(), 2, "{why:?}");
    node.tree.stop().await;
}

#[tokio::test]
async fn without_leave_nothing_is_sent() {
    let node = Node::with(config("", ACME)).await;
    publish(&node.memory, 1, &request(1, "491700000001", r#"{"text":"x"}"#)).await;
    settled(&node).await;
    assert_eq!((messages(&node).await.len(), refused(&node).await.len()), (0, 1));
    node.tree.stop().await;
}

#[tokio::test]
async fn panics_and_lost_answers_make_no_reply_twice_and_lose_none() {
    for seed in 0..4 {
        let node = Node::with(config("", &format!("{ACME}{}", REPLIES.replace('3', "1000")))).await;
        node.engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 60)
                .with(Prank::PanicAfter, 60)
                .with(Prank::LoseAnswer, 60)
                .with(Prank::Delay, 100)
                .at_most(4),
        );
        for n in 1..=60 {
            publish(&node.memory, n, &request(n, "491700000001", r#"{"text":"x"}"#)).await;
        }
        settled(&node).await;
        node.engine.calm();
        let ids: Vec<MessageId> = messages(&node).await.iter().map(|message| message.id).collect();
        let once: BTreeSet<&MessageId> = ids.iter().collect();
        assert_eq!((ids.len(), once.len()), (60, 60), "seed {seed}");
        node.tree.stop().await;
    }
}

fn auto(event: u8, phone: &str, number: &str, confirms_opt_out: bool) -> ClientRequest {
    ClientRequest {
        number: Address::sender(number).unwrap(),
        auto: Some(ReplyBounds {
            max: 2,
            period_millis: 3_600_000,
            confirms_opt_out,
        }),
        ..request(event, phone, r#"{"text":"Thank you!","report":"none"}"#)
    }
}

#[tokio::test]
async fn answers_of_the_gateway_end_by_phone_and_number_and_heed_the_phones_wish() {
    // The account allows no replies of its own; what a route says is another matter.
    let node = Node::with(config("", &format!("{ACME}\nopt_out = true\n"))).await;
    for n in 1..=4 {
        publish(&node.memory, n, &auto(n, "491700000001", "12345", false)).await;
    }
    publish(&node.memory, 5, &auto(1, "491700000001", "12345", false)).await;
    publish(&node.memory, 6, &auto(6, "491700000001", "54321", false)).await;
    settled(&node).await;
    let sent = messages(&node).await;
    let from: Vec<&str> = sent
        .iter()
        .map(|sent| sent.from.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(from, ["12345", "12345", "54321"]);
    assert!(
        refused(&node).await.is_empty(),
        "what is one too many is counted, not kept"
    );

    let phone = Address::msisdn("491700000002").unwrap();
    let key = names::opted_out_of_client(&ClientId::try_new("acme").unwrap(), &phone);
    let record = OptOut {
        since: Timestamp::from_millis(1_795_248_000_000),
        until: None,
    };
    let step = Step::new(StepId::from_bytes([99; 16]));
    let step = step.compare_and_put(key, Expected::Any, record.to_record(), Expiry::Owner);
    step.commit(&*node.memory).await.unwrap();
    publish(&node.memory, 7, &auto(7, "491700000002", "12345", false)).await;
    publish(&node.memory, 8, &auto(8, "491700000002", "12345", true)).await;
    settled(&node).await;
    let why = refused(&node).await;
    assert!(why.len() == 1 && why[0].starts_with("opted_out"), "{why:?}");
    assert_eq!(
        messages(&node).await.len(),
        4,
        "that it gets no more of them it is told"
    );
    node.tree.stop().await;
}
