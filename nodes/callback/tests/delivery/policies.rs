//! What a client's own policy changes: form, order, batches, rate, answers with replies, signatures.

use super::*;
use smsgw_message::{
    Address, ClientId, ClientRequest, Down, DownKind, Encoding, MessageId, MessageState, MoDown, OperatorId,
    Record, Report,
};
use smsgw_queue::{Engine, QueueName};
use smsgw_runtime::{Clock, SystemClock};

const CLIENT: &str = "[client.acme]\napi_key = \"k\"\n[client.acme.callback_policy]\n";

fn event(node: &Node, message: u8, state: MessageState, url: &str) -> Down {
    let n = node.next.fetch_add(1, Ordering::SeqCst) as u128;
    Down {
        event: MessageId::from_bytes((n + (1 << 64)).to_be_bytes()),
        client: ClientId::try_new("acme").unwrap(),
        url: Some(url.to_owned()),
        at: SystemClock.now(),
        what: DownKind::Report(Report {
            message: MessageId::from_bytes([message; 16]),
            reference: None,
            from: None,
            to: Address::msisdn("491700000001").unwrap(),
            state,
            error: None,
            accepted_at: SystemClock.now(),
        }),
        for_bind: None,
    }
}

fn mo(node: &Node, url: &str) -> Down {
    let what = DownKind::Mo(MoDown {
        message: MessageId::from_bytes([7; 16]),
        from: Address::msisdn("491700000001").unwrap(),
        to: Address::sender("12345").unwrap(),
        text: Some("Hallo & tschüß".to_owned()),
        data: b"x".to_vec().into(),
        encoding: Encoding::Gsm7,
        data_coding: 0,
        operator: OperatorId::try_new("alpha").unwrap(),
        incomplete: false,
        charset: None,
        raw: None,
        headers: None,
        missing: None,
        byte_order: None,
        keyword: None,
    });
    Down {
        what,
        ..event(node, 1, MessageState::Sent, url)
    }
}

async fn publish(node: &Node, downs: &[Down]) {
    for down in downs {
        let lane = Lane::new(Class::Transactional, &down.client);
        let step =
            Step::new(StepId::accept(down.event)).publish(names::DOWN_CALLBACK, lane, down.to_record());
        step.commit(node.memory.as_ref()).await.unwrap();
    }
}

fn states(target: &Target) -> Vec<String> {
    let state = |body: &serde_json::Value| body["message"]["state"].as_str().unwrap().to_owned();
    let got = target.got.lock().unwrap();
    let bodies = got
        .iter()
        .map(|got| serde_json::from_str::<serde_json::Value>(&got.body).unwrap());
    bodies
        .flat_map(|body| match body.as_array() {
            Some(events) => events.iter().map(state).collect::<Vec<_>>(),
            None => vec![state(&body)],
        })
        .collect()
}

#[tokio::test]
async fn states_of_a_message_never_arrive_reversed_however_often_the_first_one_fails() {
    use MessageState::{Delivered, Queued, Sent};
    let target = Target::start(Reply::Status(503)).await;
    let node = Node::start_with(
        &format!("{ALLOWED}retry = [\"300ms for 10m\"]\nbreaker_failures = 1000"),
        CLIENT,
    )
    .await;
    let all: Vec<Down> = [Queued, Sent, Delivered]
        .map(|state| event(&node, 1, state, &target.url()))
        .to_vec();
    publish(&node, &all).await;
    until("the first one failed", SOON, || target.count() == 2).await;
    assert!(
        states(&target).iter().all(|state| state == "queued"),
        "{:?}",
        states(&target)
    );
    let failed = target.count();
    target.answer(Reply::Status(200));
    until("all told", SOON, || node.depth() == Depth::default()).await;
    let told = states(&target).split_off(failed);
    let told: Vec<&str> = told
        .iter()
        .map(String::as_str)
        .filter(|state| *state != "queued")
        .collect();
    assert_eq!(told, ["sent", "delivered"]);
    node.tree.drain().await;
}

#[tokio::test]
async fn an_order_that_began_before_a_restart_is_kept_after_it() {
    use MessageState::{Delivered, Sent};
    let target = Target::start(Reply::Status(503)).await;
    let settings = format!("{ALLOWED}retry = [\"1s for 10m\"]\njitter = 0.0");
    let node = Node::start_with(&settings, CLIENT).await;
    publish(&node, &[event(&node, 1, Sent, &target.url())]).await;
    until("failed", SOON, || node.depth().deferred == 1).await;
    let last = event(&node, 1, Delivered, &target.url());
    node.tree.drain().await;
    target.answer(Reply::Status(200));
    let node = node.again(&settings, CLIENT).await;
    publish(&node, &[last]).await;
    until("all told", SOON, || node.depth() == Depth::default()).await;
    assert_eq!(states(&target), ["sent", "sent", "delivered"]);
    node.tree.drain().await;
}

#[tokio::test]
async fn many_events_go_in_one_request_and_one_that_is_not_taken_holds_up_no_other() {
    let target = Target::start(Reply::Status(200)).await;
    let policy = format!("{CLIENT}batch = 50\nbatch_linger = \"100ms\"\n");
    let node = Node::start_with(&format!("{ALLOWED}retry = [\"50ms for 10m\"]"), &policy).await;
    let ids = node.report("acme", &target.url(), 500).await;
    until("all told", SOON, || node.depth() == Depth::default()).await;
    assert_eq!(states(&target).len(), 500);
    assert!(target.count() <= 25, "{} requests", target.count());
    for id in &ids {
        assert!(node.told(*id).await.is_some());
    }
    assert_eq!(node.events().await.len(), 500);
    // A request that fails comes back as one, and from the third attempt on its events go alone.
    target.answer(Reply::Status(400));
    let before = target.count();
    node.report("acme", &target.url(), 10).await;
    until("alone", SOON, || target.count() >= before + 6).await;
    {
        let got = target.got.lock().unwrap();
        let sizes: Vec<usize> = got[before..]
            .iter()
            .map(|got| {
                serde_json::from_str::<Vec<serde_json::Value>>(&got.body)
                    .unwrap()
                    .len()
            })
            .collect();
        assert_eq!(&sizes[..3], [10, 10, 1], "{sizes:?}");
    }
    target.answer(Reply::Status(200));
    until("all told", 3 * SOON, || node.depth() == Depth::default()).await;
    node.tree.drain().await;
}

#[tokio::test]
async fn a_client_with_a_rate_gets_no_more_and_others_do_not_wait() {
    let (slow, fast) = (
        Target::start(Reply::Status(200)).await,
        Target::start(Reply::Status(200)).await,
    );
    let node = Node::start_with(ALLOWED, &format!("{CLIENT}rate = 20\nmax_in_flight = 2\n")).await;
    node.report("acme", &slow.url(), 200).await;
    node.report("other", &fast.url(), 200).await;
    until("the other one is served", SOON, || fast.count() == 200).await;
    let (start, before) = (Instant::now(), slow.count());
    until("it goes on", 6 * SOON, || slow.count() >= before + 30).await;
    let (told, took) = (slow.count() - before, start.elapsed());
    // Two that were under way at the start, and one that a bucket holds.
    let most = 20.0 * took.as_secs_f64() + 3.0;
    assert!(told as f64 <= most, "{told} events in {took:?}");
    assert!(slow.most.load(Ordering::SeqCst) <= 2);
    assert_eq!(node.tree.drain().await, Exit::Stopped);
    assert_eq!(node.depth().in_flight, 0, "what waited went back");
}

#[tokio::test]
async fn a_410_ends_an_event_at_once_and_a_retry_after_is_honoured() {
    let gone = Target::start(Reply::Status(410)).await;
    let busy = Target::start(Reply::Raw(
        "HTTP/1.1 429 X\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    let node = Node::start_with(&format!("{ALLOWED}retry = [\"50ms for 10m\"]"), CLIENT).await;
    node.report("gone", &gone.url(), 1).await;
    until("given up", SOON, || node.depth().dead_letter == 1).await;
    assert_eq!(
        (gone.count(), node.aside(Place::DeadLetter).await),
        (1, vec!["refused"])
    );
    node.report("acme", &busy.url(), 1).await;
    until("asked twice", SOON, || busy.count() == 2).await;
    let got = busy.got.lock().unwrap();
    let waited = got[1].at - got[0].at;
    assert!(waited >= Duration::from_millis(1_950), "{waited:?}");
}

#[tokio::test]
async fn a_get_has_its_parameters_and_a_host_that_is_not_allowed_is_not_asked() {
    let target = Target::start(Reply::Raw("HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n")).await;
    let policy = format!(
        "{CLIENT}format = \"get\"\nhosts = [\"127.0.0.1\"]\nparameters = {{ t = \"{{text}}\", from = \"+{{from}}\" }}\nbearer = \"s3cret\"\n"
    );
    let node = Node::start_with(ALLOWED, &policy).await;
    let other = format!("http://localhost:{}/", target.address.port());
    publish(&node, &[mo(&node, &target.url()), mo(&node, &other)]).await;
    until("settled and given up", SOON, || {
        let depth = node.depth();
        depth.dead_letter == 1 && depth.ready + depth.in_flight == 0
    })
    .await;
    assert_eq!(node.aside(Place::DeadLetter).await, ["refused"]);
    let got = target.got.lock().unwrap();
    assert_eq!(got.len(), 1);
    let head = &got[0].head;
    assert!(
        head.starts_with(
            "get /events?token=t&from=%2b491700000001&t=hallo+%26+tsch%c3%bc%c3%9f http/1.1\r\n"
        ),
        "{head}"
    );
    assert!(
        head.contains("authorization: bearer s3cret\r\n") && head.contains("webhook-id: "),
        "{head}"
    );
}

#[tokio::test]
async fn an_answer_to_an_mo_may_carry_a_reply_and_only_where_that_is_allowed() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"reply\":{\"text\":\"Danke!\"}}";
    let queue = QueueName::from(names::CLIENT_REQUESTS);
    for (policy, replies) in [("replies = true\n", 1), ("", 0)] {
        let target = Target::start(Reply::Raw(ANSWER)).await;
        let node = Node::start_with(ALLOWED, &format!("{CLIENT}{policy}")).await;
        let asked = mo(&node, &target.url());
        let report = event(&node, 2, MessageState::Delivered, &target.url());
        publish(&node, &[asked.clone(), report]).await;
        until("settled", SOON, || node.depth() == Depth::default()).await;
        assert_eq!(
            node.memory.depth(&queue).ready,
            replies,
            "{policy}: a report has none"
        );
        if replies == 1 {
            let seen = node.memory.browse(&queue, Place::Ready, None, 9).await.unwrap();
            let request = ClientRequest::from_record(&seen[0].record).unwrap();
            assert_eq!(
                (request.event, request.body.as_str()),
                (asked.event, "{\"text\":\"Danke!\"}")
            );
            assert_eq!(
                (request.phone.as_str(), request.number.as_str()),
                ("491700000001", "12345")
            );
        }
        let told = node.events().await;
        let mo = told.iter().find(|event| event.operator.is_some()).unwrap();
        assert_eq!(mo.from.as_ref().unwrap().as_str(), "491700000001");
        node.tree.drain().await;
    }
}
