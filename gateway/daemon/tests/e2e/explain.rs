//! `smsgw explain`: what it says of a message, by a file and by the gateway that runs, is what becomes of that message.

use crate::harness::{Gateway, Process, World, content, eventually, free_port};
use serde_json::{Value, json};

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (Option<i32>, String, String) {
    let mut process: Process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

/// The answer by the file and by the gateway, with their exit codes: both are the same.
async fn explained(world: &World, words: &[&str]) -> (Option<i32>, Value) {
    let file = world.dir.path().join("gateway.toml").display().to_string();
    let admin = world.gateway.admin_address();
    let mut answers = Vec::new();
    for from in [["--config", file.as_str()], ["--admin", admin.as_str()]] {
        let words = [
            &["explain", "--json", "--at", "2027-01-04T12:00:00Z"],
            words,
            &from[..],
        ]
        .concat();
        let (code, out, err) = tool(&words).await;
        let mut answer: Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"));
        // Only a gateway that runs knows how often it has answered.
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("replies_left");
        }
        answers.push((code, answer));
    }
    assert_eq!(answers[0], answers[1], "{words:?}");
    answers.remove(0)
}

#[tokio::test]
async fn a_message_to_a_phone_goes_as_was_explained() {
    let port = free_port();
    let world = World::start(&[], |settings| {
        settings
            .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
            .operator("off", 1)
            .line("operator.off", "enabled = false")
            .without_routes()
            .route_mt(&["49"], &["alpha", "off"])
            .route_mt(&["43"], &["off"])
            .route("[[route.mt]]\nprefix = [\"4990\"]\nreject = \"destination_denied\"\n")
            .route("[[route.mt]]\nprefix = [\"49\"]\nclass = [\"otp\"]\ntext = [\"code\"]\noperators = [\"off\"]\npriority = 5\n")
            .route("[[price]]\nprice = \"0.07\"\ncurrency = \"EUR\"\n")
    })
    .await;
    let api = &world.gateway.api;
    let words = |to, text| ["--client", "acme", "--from", "12345", "--to", to, "--text", text];

    // Routed.
    let long = "x".repeat(200);
    let (code, said) = explained(&world, &words("+491700000001", &long)).await;
    assert_eq!((code, &said["refused"]), (Some(0), &Value::Null), "{said}");
    assert_eq!((&said["route"], &said["parts"]), (&json!(1), &json!(2)));
    assert_eq!(said["price"]["total"], "0.14");
    let verdicts: Vec<&Value> = said["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["verdict"])
        .collect();
    assert_eq!(verdicts, ["taken", "fails", "fails", "fails"]);
    let criteria: Vec<&Value> = said["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["criterion"])
        .collect();
    assert_eq!(
        criteria[1..],
        [&json!("prefix"), &json!("prefix"), &json!("class")]
    );
    let id = api.text("+491700000001", &long).await;
    let message = api.message_once(&id, "delivered").await;
    let parts = message["parts"].as_array().unwrap();
    assert_eq!(json!(parts.len()), said["parts"]);
    assert!(
        parts
            .iter()
            .all(|part| part["operator"] == said["operators"][0]["operator"]),
        "{message}"
    );

    // Not enabled: it is given there, and waits.
    let (code, said) = explained(&world, &words("436641234567", "hi")).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        said["operators"],
        json!([{"operator": "off", "enabled": false, "cost": null}])
    );
    let waits = api.text("436641234567", "hi").await;
    let message = api.message_with(&waits, "mt_routed").await;
    assert_eq!(
        (&message["state"], &message["parts"][0]["operator"]),
        (&json!("queued"), &json!("off"))
    );

    // Refused.
    for (to, route) in [("4990123456", json!(3)), ("33612345678", Value::Null)] {
        let (code, said) = explained(&world, &words(to, "hi")).await;
        assert_eq!((code, &said["route"]), (Some(1), &route), "{said}");
        let answer = api
            .post(json!({"from": "12345", "to": to, "text": "hi"}).to_string())
            .await
            .unwrap();
        assert_eq!((answer.status, &answer.json()["code"]), (422, &said["refused"]));
    }
    let submits = world.carrier.submits();
    assert_eq!(submits.len(), 2, "what was refused or waits is with no carrier");
    let admin = world.gateway.admin_address();
    let drawn = [
        "explain",
        "--client",
        "acme",
        "--to",
        "4990123456",
        "--admin",
        &admin,
    ];
    let (code, out, _) = tool(&drawn).await;
    assert_eq!(code, Some(1));
    assert!(out.starts_with("refused   destination_denied: "), "{out}");
    assert!(
        out.contains("          3 (priority 0, prefix of 4 digits): taken\n"),
        "{out}"
    );
}

const ROUTES: &str = r#"
[[route.mo]]
to = ["12*"]
client = "acme"
[[route.mo]]
to = ["12345"]
operator = "alpha"
clients = ["acme", "other"]
mode = "all"
keyword = "win"
synonyms = ["выигрыш"]
reply = "Thank you, you take part."
reply_max = 1
[[route.mo]]
to = ["777"]
text = ["^order \\d+"]
client = "other"
[keywords]
defaults = ["en"]
"#;

fn mo<'a>(to: &'a str, text: &'a str) -> [&'a str; 9] {
    [
        "--mo",
        "--from",
        "491700000007",
        "--to",
        to,
        "--text",
        text,
        "--operator",
        "alpha",
    ]
}

/// Says it as the phone, once it was explained.
async fn said_by_phone(world: &mut World, to: &str, text: &str) -> Value {
    let (_, said) = explained(world, &mo(to, text)).await;
    let coding = if text.is_ascii() { 0 } else { 8 };
    let command = json!({"cmd": "mo", "from": "491700000007", "to": to, "text": text, "data_coding": coding});
    world.carrier.command(&command).await;
    said
}

fn clients(said: &Value) -> Vec<(&str, &str)> {
    let clients = said["mo"]["clients"].as_array().unwrap().iter();
    clients
        .map(|taker| {
            (
                taker["client"].as_str().unwrap(),
                taker["place"].as_str().unwrap(),
            )
        })
        .collect()
}

async fn dead_letters(world: &World, queue: &str) -> f64 {
    let labels = [("queue", queue), ("place", "dead_letter")];
    world.gateway.metrics().await.sum("smsgw_queue_depth", &labels)
}

#[tokio::test]
async fn a_message_from_a_phone_goes_as_was_explained() {
    let port = free_port();
    let mut world = World::start(&[], |settings| {
        settings
            .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
            .line("client.acme", "opt_out = true")
            .line("client.other", "api_key = \"other-key\"")
            .without_routes()
            .route_mt(&[], &["alpha"])
            .route(ROUTES)
    })
    .await;
    world.carrier.events_at_least("bind", 1).await;
    let left = async |world: &World| {
        let admin = world.gateway.admin_address();
        let words = [
            &["explain", "--json"],
            &mo("12345", "win")[..],
            &["--admin", &admin],
        ]
        .concat();
        let (_, out, _) = tool(&words).await;
        serde_json::from_str::<Value>(&out).unwrap()["replies_left"].clone()
    };

    // By a synonym in another alphabet, to two clients, answered.
    assert_eq!(left(&world).await, json!(1));
    let said = said_by_phone(&mut world, "12345", "ВЫИГРЫШ! a car").await;
    assert_eq!(
        (&said["mo"]["route"], &said["mo"]["word"]),
        (&json!(2), &json!("выигрыш"))
    );
    assert_eq!(
        said["mo"]["routes"][1]["met"],
        json!({"to": "12345", "keyword": "выигрыш"})
    );
    assert_eq!(said["mo"]["routes"][0]["verdict"], "behind");
    assert_eq!(said["mo"]["routes"][2]["criterion"], "to");
    assert_eq!(clients(&said), [("acme", "callback"), ("other", "inbox")]);
    world
        .receiver
        .mo("the entry", |mo| mo["text"] == "ВЫИГРЫШ! a car")
        .await;
    let inbox = eventually("the other client's inbox", || async {
        let api = &world.gateway.api;
        let answer = api
            .request(hyper::Method::GET, "/v1/inbox", Some("other-key"), "")
            .await
            .json();
        let events = answer["events"].as_array().unwrap().len();
        (events == 1).then_some(answer)
    })
    .await;
    assert_eq!(inbox["events"][0]["message"]["text"], "ВЫИГРЫШ! a car");
    assert_eq!(
        (&said["mo"]["reply"]["answer"], &said["reply"]["refused"]),
        (&json!("asked"), &Value::Null)
    );
    let answer = world.carrier.submits_at_least(1).await.remove(0);
    assert_eq!(
        content(&answer),
        said["mo"]["reply"]["text"].as_str().unwrap().as_bytes()
    );
    assert_eq!(said["reply"]["operators"][0]["operator"], "alpha");

    // The loop guard.
    eventually("the answer is counted", || async {
        (left(&world).await == json!(0)).then_some(())
    })
    .await;
    said_by_phone(&mut world, "12345", "win again").await;
    let guard = [("client", "acme"), ("outcome", "loop_guard")];
    world
        .gateway
        .metric_at_least("smsgw_client_replies_total", &guard, 1.0)
        .await;

    // A keyword, which no route answers.
    let said = said_by_phone(&mut world, "12000", "Stop.").await;
    assert_eq!(clients(&said), [("acme", "callback")]);
    let keyword = &said["mo"]["clients"][0]["keyword"];
    assert_eq!(
        (
            &keyword["action"],
            &keyword["word"],
            &keyword["by"],
            &keyword["heeded"]
        ),
        (&json!("opt_out"), &json!("stop"), &json!("en"), &json!(true))
    );
    assert_eq!(said["mo"]["reply"], Value::Null);
    let stop = world.receiver.mo("stop", |mo| mo["text"] == "Stop.").await;
    assert_eq!(stop.body["message"]["keyword"], "stop");
    let message = json!({"to": "491700000007", "from": "12345", "text": "Buy now"});
    let refused = world.gateway.api.post(message.to_string()).await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (422, &json!("opted_out"))
    );

    // An expression that does not hold: nobody's.
    let (code, said) = explained(&world, &mo("777", "my order 7")).await;
    assert_eq!(
        (code, &said["mo"]["routes"][2]["criterion"]),
        (Some(1), &json!("text"))
    );
    let queue = said["mo"]["dead_letter"][0].as_str().unwrap().to_owned();
    assert_eq!(said["mo"]["dead_letter"][1], "no_route");
    assert!(dead_letters(&world, &queue).await < 0.5);
    said_by_phone(&mut world, "777", "my order 7").await;
    eventually("a dead letter", || async {
        (dead_letters(&world, &queue).await > 0.5).then_some(())
    })
    .await;
    let said = said_by_phone(&mut world, "777", "order 7").await;
    assert_eq!(clients(&said), [("other", "inbox")]);
    assert_eq!(
        said["mo"]["routes"][2]["met"],
        json!({"to": "777", "text": "^order \\d+"})
    );

    // For people.
    let file = world.dir.path().join("gateway.toml").display().to_string();
    let words = [&["explain"], &mo("12345", "win")[..], &["--config", &file]].concat();
    let (code, out, err) = tool(&words).await;
    assert_eq!(code, Some(0), "{err}");
    for line in [
        "clients   acme: its callback, transactional\n          other: its inbox, transactional",
        "reply     by the route, in the name of acme; at most 1 to one phone within",
        "routes    1 (priority 0): holds, by to 12*, and stands behind it",
        "2 (priority 0): taken, by to 12345, keyword win",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    let (code, _, err) = tool(&["explain", "--mo", "--to", "1", "--config", &file]).await;
    assert_eq!(code, Some(2), "{err}");
    world.gateway.stop().await;
    world.carrier.assert_content();
}
