//! What a message may ask for, previews, searches by reference, limits, and withdrawing.

use crate::harness::*;
use smsgw_message::{
    CancelRequest, Dispatch, MessageId, MessageLife, MessageState, Record, Timestamp, names,
};
use smsgw_queue::{Engine, Expected, Expiry, Op, Step, StepId};

fn body(more: &str) -> String {
    format!(r#"{{"to":"491700000001","text":"Hello"{more}}}"#)
}

fn post_to(path: &str, body: &str) -> String {
    post(body).replacen("/v1/messages", path, 1)
}

async fn life(node: &Node, id: MessageId) -> MessageLife {
    let found = node.engine.get(vec![names::message(id).into()]).await.unwrap();
    MessageLife::from_record(&found[0].as_ref().unwrap().value).unwrap()
}

#[tokio::test]
async fn what_is_asked_of_the_carrier_reaches_its_operator_and_the_view() {
    let node = Node::start("").await;
    let more = r#","priority":3,"protocol_id":64,"service_type":"CMT","replace_if_present":true,"tags":["spring","b"],"message_class":2,"tlvs":[{"tag":"0x1401","value":"00FF"}]"#;
    let answer = node.ask(&post(&body(more))).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let record = {
        let steps = node.steps();
        let Op::Publish(_, _, record, None) = &steps[0].ops()[0] else {
            panic!("{:?}", steps[0]);
        };
        record.clone()
    };
    let message = Dispatch::from_record(&record).unwrap();
    let options = message.options.unwrap();
    assert_eq!(
        (options.priority, options.protocol_id, message.message_class),
        (Some(3), Some(64), Some(2))
    );
    assert_eq!(options.tlvs.unwrap()[0].value.as_slice(), [0, 255]);
    let view = node
        .ask(&get(&format!("/v1/messages/{id}"), "acme-key"))
        .await
        .json();
    assert_eq!(view["tags"], serde_json::json!(["spring", "b"]));
    assert_eq!(view["message_class"], 2);
    let options = serde_json::json!({"priority": 3, "protocol_id": 64, "service_type": "CMT", "replace_if_present": true,
        "tlvs": [{"tag": "0x1401", "value": "00ff"}]});
    assert_eq!(view["options"], options);
}

#[tokio::test]
async fn a_message_takes_the_route_of_its_accept_unless_it_needs_the_router() {
    let node = Node::start(
        "[operator.latin]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\npassword = \"x\"\n\
         alphabet = \"latin1\"\n[[route.mt]]\nprefix = [\"43\"]\noperators = [\"latin\"]\nrewrite_from = [\"set:777\"]",
    )
    .await;
    let (router, alpha, latin) = (
        Some("mt.accepted"),
        Some("mt.operator.alpha"),
        Some("mt.operator.latin"),
    );
    let long = "x".repeat(161);
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let in_an_hour = format!(r#","send_at":"{}""#, Timestamp::from_millis(now + 3_600_000));
    for (to, text, more, expected) in [
        ("491700000001", "Hello", "", alpha),
        ("491700000001", "Hello", r#","report":"none""#, alpha),
        ("491700000001", "Hello", r#","report":"all""#, router),
        ("491700000001", &long, "", router),
        ("491700000001", "Hello", &in_an_hour, None),
        ("431700000001", "Hello", "", router),
        ("431700000001", "Привет", "", latin),
    ] {
        let before = node.engine.steps().len();
        let request = format!(r#"{{"to":"{to}","text":"{text}"{more}}}"#);
        let answer = node.ask(&post(&request)).await;
        assert_eq!(answer.status, 202, "{request}: {answer:?}");
        let id: MessageId = answer.json()["id"].as_str().unwrap().parse().unwrap();
        let steps = node.engine.steps();
        let accept = steps[before..]
            .iter()
            .find(|step| step.id() == StepId::accept(id))
            .unwrap();
        let published = accept.ops().iter().find_map(|op| match op {
            Op::Publish(queue, _, record, _) => Some((queue.as_str().to_owned(), record.clone())),
            _ => None,
        });
        assert_eq!(
            published.as_ref().map(|(queue, _)| queue.as_str()),
            expected,
            "{request}"
        );
        let life = life(&node, id).await;
        let (state, named) = match expected {
            None => (MessageState::Scheduled, None),
            Some("mt.accepted") => (MessageState::Accepted, None),
            Some(queue) => (MessageState::Queued, queue.strip_prefix("mt.operator.")),
        };
        let via = life.parts[0].via.as_ref().map(|via| via.operator.as_str());
        assert_eq!(
            (life.state, via, life.parts[0].state),
            (state, named, state),
            "{request}"
        );
        if expected == latin {
            let part = Dispatch::from_record(&published.unwrap().1).unwrap();
            assert_eq!(part.from.unwrap().as_str(), "777", "as the route rewrites it");
            assert_eq!(
                part.own.unwrap().from,
                life.message.from,
                "and as the client gave it"
            );
        }
    }
}

#[tokio::test]
async fn a_message_for_later_waits_in_its_record_and_in_no_queue() {
    let node = Node::start("").await;
    let answer = node
        .ask(&post(&body(r#","send_at":"2099-01-01T00:00:00Z""#)))
        .await;
    answer.is_problem(422, "invalid_field");
    let at =
        Timestamp::from_millis(i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap())
            .after(std::time::Duration::from_secs(3600));
    let answer = node
        .ask(&post(&body(&format!(r#","send_at":"{at}","validity":"10m""#))))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["state"]),
        (202, &"scheduled".into()),
        "{answer:?}"
    );
    assert_eq!(answer.json()["send_at"], at.to_string());
    assert_eq!(node.accepted(), 0);
    let id: MessageId = answer.json()["id"].as_str().unwrap().parse().unwrap();
    let steps = node.steps();
    let [
        Op::Put(key, record, Expected::Absent, Expiry::Alarm(alarm, queue, _)),
        Op::Append(..),
    ] = steps[0].ops()
    else {
        panic!("{:?}", steps[0]);
    };
    assert_eq!(
        (key.as_str(), *alarm, queue.as_str()),
        (names::message(id).as_str(), at, names::ALARMS)
    );
    let life = MessageLife::from_record(record).unwrap();
    assert_eq!(life.state, MessageState::Scheduled);
    assert_eq!(
        life.message.valid_until,
        at.after(std::time::Duration::from_secs(600)),
        "counted from send_at"
    );
}

#[tokio::test]
async fn a_preview_says_what_a_message_would_be_and_writes_nothing() {
    let node = Node::start("").await;
    let text = "“Hi” ".repeat(20);
    let preview = post_to(
        "/v1/messages/preview",
        &format!(r#"{{"to":"+491700000001","from":"ACME","text":"{text}","smart":"typography"}}"#),
    );
    let answer = node.ask(&preview).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(
        (&answer["encoding"], &answer["parts"], &answer["units"]),
        (&"gsm7".into(), &1.into(), &100.into())
    );
    assert_eq!(
        (&answer["smart"]["changed"], &answer["smart"]["saved_parts"]),
        (&40.into(), &1.into())
    );
    assert_eq!(
        answer["smart"]["changes"][0],
        serde_json::json!({"position": 0, "from": "“", "to": "\""})
    );
    assert_eq!(answer["route"]["operators"], serde_json::json!(["alpha"]));
    assert_eq!(node.steps().len(), 0);
    node.ask(&post_to(
        "/v1/messages/preview",
        r#"{"to":"331700000001","text":"a"}"#,
    ))
    .await
    .is_problem(422, "no_route");
    node.ask(&post_to("/v1/messages/preview", "{"))
        .await
        .is_problem(400, "invalid_json");
}

#[tokio::test]
async fn the_last_message_with_a_reference_is_found_by_its_owner_and_other_searches_are_501() {
    let node = Node::start("").await;
    for _ in 0..2 {
        assert_eq!(node.ask(&post(HELLO)).await.status, 202);
    }
    let last = node.ask(&post(HELLO)).await.json()["id"].clone();
    let found = node.ask(&get("/v1/messages?reference=order-7", "acme-key")).await;
    assert_eq!(found.status, 200, "{found:?}");
    assert_eq!(found.json()["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&found.json()["messages"][0]["id"], &found.json()["next"]),
        (&last, &serde_json::Value::Null)
    );
    for (path, key) in [
        ("/v1/messages?reference=order-8", "acme-key"),
        ("/v1/messages?reference=order-7", "other-key"),
    ] {
        let none = node.ask(&get(path, key)).await;
        assert_eq!(
            (none.status, &none.json()["messages"]),
            (200, &serde_json::json!([])),
            "{path}"
        );
    }
    node.ask(&get("/v1/messages?reference=order-7&state=sent", "acme-key"))
        .await
        .is_problem(501, "history_required");
    node.ask(&get("/v1/messages", "acme-key"))
        .await
        .is_problem(501, "history_required");
    node.ask(&get("/v1/messages?reference=", "acme-key"))
        .await
        .is_problem(422, "invalid_field");
    node.ask(&get("/v1/messages?colour=red", "acme-key"))
        .await
        .is_problem(422, "unknown_field");
}

#[tokio::test]
async fn limits_tell_what_is_left_and_an_account_without_credit_has_no_balance() {
    let node = Node::with(config(
        "",
        &format!("{ACME}\nrate = 5\nburst = 10\nquota_day = 3\nmax_parts = 4"),
    ))
    .await;
    assert_eq!(node.ask(&post(HELLO)).await.status, 202);
    let limits = node.ask(&get("/v1/limits", "acme-key")).await.json();
    assert_eq!(
        (&limits["rate"]["parts_per_second"], &limits["rate"]["burst"]),
        (&5.0.into(), &10.into())
    );
    let quota = &limits["quotas"][0];
    assert_eq!(
        (&quota["period"], &quota["used"], &quota["left"]),
        (&"day".into(), &1.into(), &2.into()),
        "{limits}"
    );
    assert_eq!(
        (&limits["max_parts"], &limits["smpp"]),
        (&4.into(), &serde_json::Value::Null)
    );
    node.ask(&get("/v1/balance", "acme-key"))
        .await
        .is_problem(404, "not_prepaid");
}

#[tokio::test]
async fn a_withdrawal_is_written_for_the_router_in_one_step_unless_it_is_too_late() {
    let node = Node::start("").await;
    let delete = |id: &str, key: &str| get(&format!("/v1/messages/{id}"), key).replace("GET", "DELETE");
    let id = node.ask(&post(HELLO)).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    node.ask(&delete(&id, "other-key"))
        .await
        .is_problem(404, "not_found");
    node.ask(&delete("x", "acme-key"))
        .await
        .is_problem(404, "not_found");
    let answer = node.ask(&delete(&id, "acme-key")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        answer.json(),
        serde_json::json!({"id": id, "state": "queued", "cancel_requested": true})
    );
    let message: MessageId = id.parse().unwrap();
    {
        let steps = node.steps();
        let [
            Op::Put(key, request, Expected::Any, Expiry::At(_)),
            Op::Publish(queue, _, named, None),
        ] = steps[1].ops()
        else {
            panic!("{:?}", steps[1]);
        };
        assert_eq!(key.as_str(), names::cancel(message));
        assert_eq!(
            (queue.as_str(), &named[..]),
            (names::ALARMS, key.as_str().as_bytes())
        );
        assert_eq!(
            CancelRequest::from_record(request).unwrap().client.as_str(),
            "acme"
        );
    }
    for (state, is_final) in [(MessageState::Sent, false), (MessageState::Delivered, true)] {
        let mut life = life(&node, message).await;
        (life.state, life.is_final) = (state, is_final);
        (life.parts[0].state, life.parts[0].is_final) = (state, is_final);
        let expiry = Expiry::At(life.message.valid_until);
        let step = Step::new(StepId::from_bytes([state as u8; 16]));
        let step = step.compare_and_put(names::message(message), Expected::Any, life.to_record(), expiry);
        step.commit(node.engine.as_ref()).await.unwrap();
        node.ask(&delete(&id, "acme-key"))
            .await
            .is_problem(409, "conflict");
    }
}
