//! One message from the HTTP request to the answered callback, seen from every side.

use crate::harness::{World, content};
use serde_json::{Value, json};

#[tokio::test]
async fn first_message_makes_the_whole_trip() {
    let mut world = World::start(&["--receipt-delay", "20"], |settings| settings).await;
    let api = &world.gateway.api;

    let request = json!({"from": "12345", "to": "+491700000001", "text": "Hello", "report": "final",
        "reference": "order-7", "class": "otp", "validity": "10m"});
    let answer = api.post(request.to_string()).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (202, Some("application/json"))
    );
    let accepted = answer.json();
    let id = accepted["id"].as_str().unwrap().to_owned();
    assert_eq!(
        accepted,
        json!({"id": id, "to": "491700000001", "from": "12345", "reference": "order-7", "state": "accepted",
            "encoding": "gsm7", "parts": 1})
    );
    assert_eq!(
        answer.header("location"),
        Some(format!("/v1/messages/{id}").as_str())
    );

    let submit = world.carrier.submits_at_least(1).await.remove(0);
    assert_eq!(
        (&submit["source"], &submit["dest"]),
        (&json!("12345"), &json!("491700000001"))
    );
    assert_eq!((&submit["dest_ton"], &submit["dest_npi"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&submit["data_coding"], &submit["esm_class"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(submit["registered_delivery"], 1, "receipts are always asked for");
    assert_eq!(content(&submit), b"Hello");

    let report = world.receiver.report(&id).await;
    assert_eq!(
        (report.path.as_str(), report.content_type.as_str()),
        ("/events", "application/json")
    );
    assert_eq!(report.attempt, 1);
    let (event, at) = (&report.body["id"], &report.body["at"]);
    let accepted_at = &report.body["message"]["accepted_at"];
    assert_eq!(
        report.body,
        json!({"type": "report", "id": event, "at": at, "message": {"id": id, "reference": "order-7", "from": "12345",
            "to": "491700000001", "state": "delivered", "error": null, "accepted_at": accepted_at}})
    );
    assert!(
        event
            .as_str()
            .is_some_and(|event| event.len() == 36 && event != id),
        "{event}"
    );

    let message = api.message_with(&id, "delivered_to_client").await;
    let events = message["events"].as_array().unwrap();
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "mt_accepted",
            "mt_routed",
            "mt_sent",
            "dr_received",
            "mt_final",
            "delivered_to_client"
        ]
    );
    let times: Vec<&str> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(
        times.iter().all(|at| at.len() == 24 && at.ends_with('Z')),
        "{times:?}"
    );
    assert_eq!(
        (&message["state"], &message["final"], &message["error"]),
        (&json!("delivered"), &json!(true), &Value::Null)
    );
    let part = &message["parts"][0];
    assert_eq!(
        (&part["operator"], &part["carrier_id"]),
        (&json!("alpha"), &submit["id"])
    );
    assert_eq!(part["state"], "delivered");

    for (what, count) in [
        ("mt_accepted", 1.0),
        ("mt_sent", 1.0),
        ("delivered", 1.0),
        ("delivered_to_client", 1.0),
    ] {
        let labels = [("client", "acme"), ("what", what)];
        let counted = world
            .gateway
            .metric_at_least("smsgw_messages_total", &labels, count)
            .await;
        assert!((counted - count).abs() < 0.5, "{what}: {counted}");
    }
    assert_eq!(world.carrier.submits().len(), 1);
    assert_eq!(world.receiver.all().len(), 1);
    world.carrier.assert_content();
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_message_is_seen_by_its_own_client_only_and_reports_follow_its_wish() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.client("globex", "http://127.0.0.1:9/none")
    })
    .await;
    let api = &world.gateway.api;
    let own = format!("{}/other", world.receiver.url());
    let silent = api
        .submit(&json!({"to": "491700000001", "text": "a", "report": "none"}))
        .await;
    let talking = api
        .submit(&json!({"to": "491700000002", "text": "b", "report": "all", "callback": own}))
        .await;
    let (silent, talking) = (silent["id"].as_str().unwrap(), talking["id"].as_str().unwrap());

    api.message_once(silent, "delivered").await;
    api.message_with(talking, "delivered_to_client").await;
    world
        .receiver
        .ledger
        .wait("a report of every state", |all| {
            let states: Vec<&Value> = all
                .iter()
                .map(|callback| &callback.body["message"]["state"])
                .collect();
            (states.contains(&&json!("sent")) && states.contains(&&json!("delivered"))).then_some(())
        })
        .await;
    assert!(
        world
            .receiver
            .all()
            .iter()
            .all(|callback| callback.path == "/events/other")
    );
    assert!(world.receiver.about(silent).is_empty());

    let path = format!("/v1/messages/{silent}");
    let foreign = api
        .request(hyper::Method::GET, &path, Some("globex-key"), "")
        .await;
    assert_eq!(
        (foreign.status, foreign.json()["code"].clone()),
        (404, json!("not_found"))
    );
    world.gateway.stop().await;
}
