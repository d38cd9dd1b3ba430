//! `smsgw plan`, `apply`, `set`, `history`, `rollback` and the accounts' verbs against a running gateway; and the committed
//! schema against a validator that is not ours.

use crate::harness::{Gateway, Process, World, eventually, free_port, peers_dir, root};
use serde_json::{Value, json};
use tokio::process::Command;

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (Option<i32>, String, String) {
    let mut process: Process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

#[tokio::test]
async fn changes_are_planned_made_written_kept_and_taken_back() {
    let port = free_port();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("admin", &format!("listen = \"127.0.0.1:{port}\""))
    })
    .await;
    world.carrier.events_at_least("bind", 1).await;
    let admin = format!("127.0.0.1:{port}");
    let main = world.dir.path().join("gateway.toml");
    let first = std::fs::read_to_string(&main).unwrap();
    let run = async |words: &[&str]| tool(&[words, &["--admin", &admin]].concat()).await;

    // Nothing to change: 0. Something: 2, and nothing is done. A wrong file: 1, with the place.
    let file = world.dir.path().join("new.toml");
    let plan = async |text: String| {
        std::fs::write(&file, text).unwrap();
        run(&["plan", file.to_str().unwrap()]).await
    };
    let (code, said, _) = plan(first.clone()).await;
    assert_eq!((code, said.as_str()), (Some(0), "no changes"));
    let second = first.replace("window = 100", "window = 50") + "\n[limits]\nmax_parts = 3\n";
    let (code, said, _) = plan(second.clone()).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("~ live     limits.max_parts: 10 -> 3"), "{said}");
    assert!(
        said.contains("~ relink   operator.alpha.window: 100 -> 50"),
        "{said}"
    );
    assert!(
        said.contains("bind again") && said.contains("writes gateway.toml"),
        "{said}"
    );
    let (code, _, why) = plan(first.replace("window = 100", "windw = 100")).await;
    assert_eq!(code, Some(1));
    assert!(
        why.contains("did you mean `window`?") && why.contains("SMSGW-C002"),
        "{why}"
    );
    assert!(!why.contains("password"), "{why}");
    assert_eq!(std::fs::read_to_string(&main).unwrap(), first);
    let (code, said, _) = tool(&[
        "plan",
        "--offline",
        file.to_str().unwrap(),
        main.to_str().unwrap(),
    ])
    .await;
    assert_eq!((code, said.as_str()), (Some(1), ""));

    // A secret shows as one.
    let (code, said, _) = plan(first.replace("password = \"test\"", "password = \"Tr0ub\"")).await;
    assert_eq!(code, Some(2));
    assert!(
        said.contains("(secret) -> (secret)") && !said.contains("Tr0ub"),
        "{said}"
    );

    std::fs::write(&file, &second).unwrap();
    let (code, said, why) = run(&["apply", file.to_str().unwrap(), "--reason", "smaller"]).await;
    assert_eq!(code, Some(0), "{why}");
    assert!(
        said.ends_with("applied: version 2, epoch 2, 0 wait for a restart"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&main).unwrap(), second);
    world.carrier.events_at_least("bind", 2).await;

    let (code, said, why) = run(&["set", "limits.max_parts", "4", "--reason", "a bit more"]).await;
    assert_eq!(code, Some(0), "{said} {why}");
    assert!(std::fs::read_to_string(&main).unwrap().contains("max_parts = 4"));
    let (code, _, _) = run(&["set", "limits.max_parts", "9", "--dry-run"]).await;
    assert_eq!(code, Some(2));
    let (code, said, why) = run(&["client", "add", "globex", "api_key=globex-key", "rate=100"]).await;
    assert_eq!(code, Some(0), "{said} {why}");
    let globex = world.gateway.api.with_key("globex-key");
    globex
        .submit(&json!({"to": "491700000001", "text": "hello"}))
        .await;
    let (code, said, why) = run(&["operator", "set", "alpha", "window=60", "rate=500"]).await;
    assert_eq!(code, Some(0), "{said} {why}");
    let (code, _, why) = run(&["operator", "remove", "alpha"]).await;
    assert_eq!(code, Some(1));
    assert!(why.contains("SMSGW-C007"), "a route needs it: {why}");
    let (code, said, _) = run(&["client", "remove", "globex", "--reason", "gone"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        globex
            .post(json!({"to": "491700000001", "text": "x"}).to_string())
            .await
            .unwrap()
            .status,
        401
    );

    // The history, for people and programs, without a secret; the way back.
    let (code, said, _) = run(&["history", "--json"]).await;
    assert_eq!(code, Some(0));
    assert!(
        !said.contains("globex-key") && !said.contains("\"test\""),
        "{said}"
    );
    let heads: Value = serde_json::from_str(&said).unwrap();
    let versions: Vec<u64> = heads
        .as_array()
        .unwrap()
        .iter()
        .map(|head| head["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, [6, 5, 4, 3, 2, 1]);
    assert_eq!(heads[4]["reason"], "smaller");
    let (code, said, _) = run(&["history", "2"]).await;
    assert_eq!(code, Some(0));
    assert!(
        said.contains("operator.alpha.window: 100 -> 50 (relink)"),
        "{said}"
    );
    let (code, said, why) = run(&["rollback", "1", "--reason", "as it was"]).await;
    assert_eq!(code, Some(0), "{said} {why}");
    assert_eq!(std::fs::read_to_string(&main).unwrap(), first);
    let (code, said, _) = run(&["history", "--audit"]).await;
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].contains("restore 1 (as it was): applied: version 7"),
        "{said}"
    );
    assert_eq!(lines.len(), 6, "what a plan refuses is never asked for: {said}");

    // A file that somebody edited is not overwritten; a wrong one is told and counted, and nothing changes.
    std::fs::write(&main, first.replace("window = 100", "window = 0")).unwrap();
    let (code, _, why) = run(&["set", "limits.max_parts", "5"]).await;
    assert_eq!(code, Some(1));
    assert!(why.contains("not as it was loaded"), "{why}");
    let (code, _, why) = run(&["reload"]).await;
    assert_eq!(code, Some(1));
    assert!(
        why.contains("operator.alpha.window: 0 is not in its range"),
        "{why}"
    );
    world
        .gateway
        .metric_at_least("smsgw_config_changes_total", &[("result", "refused")], 1.0)
        .await;
    std::fs::write(&main, &first).unwrap();
    let (code, said, _) = run(&["reload", "--reason", "mended"]).await;
    assert_eq!(code, Some(0), "{said}");
    let id = world.gateway.api.text("491700000001", "still here").await;
    world.receiver.report(&id).await;
    world.gateway.stop().await;
    let (code, _, _) = run(&["history"]).await;
    assert_eq!(code, Some(69));

    // The next start finds the version it left.
    world.restart().await;
    let (code, said, _) = run(&["history", "--json"]).await;
    assert_eq!(code, Some(0));
    let heads: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(heads[0]["version"], 7);
    world.gateway.stop().await;
}

#[tokio::test]
async fn requests_without_the_header_or_under_another_name_are_refused() {
    let mut world = World::start(&[], |settings| settings).await;
    let answer = world.gateway.admin("/config/versions").await;
    assert_eq!(answer.status, 403);
    world.gateway.stop().await;
}

#[tokio::test]
async fn an_operator_that_is_removed_keeps_its_queue_and_an_alarm_says_so() {
    let port = free_port();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("admin", &format!("listen = \"127.0.0.1:{port}\""))
    })
    .await;
    let admin = format!("127.0.0.1:{port}");
    let run = async |words: &[&str]| tool(&[words, &["--admin", &admin]].concat()).await;
    assert_eq!(run(&["operator", "hold", "alpha"]).await.0, Some(0));
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(
            world
                .gateway
                .api
                .text("491700000001", &format!("message {n}"))
                .await,
        );
    }
    eventually("20 parts wait for alpha", || async {
        let metrics = world.gateway.metrics().await;
        let waiting = metrics.sum("smsgw_queue_depth", &[("queue", "mt.operator.alpha")]);
        (waiting >= 20.0).then_some(())
    })
    .await;
    let before = std::fs::read_to_string(world.dir.path().join("gateway.toml")).unwrap();
    let (code, said, why) = run(&["set", "route.mt[0]", "--remove"]).await;
    assert_eq!(code, Some(0), "{said} {why}");
    let (code, said, why) = run(&["operator", "remove", "alpha", "--reason", "contract ended"]).await;
    assert_eq!(code, Some(0), "{said} {why}");
    let status: Value = serde_json::from_slice(&world.gateway.admin("/status").await.body).unwrap();
    let alarms = status["alarms"].to_string();
    assert!(
        alarms.contains("no_operator") && alarms.contains("20"),
        "{alarms}"
    );
    // It comes back, and so do its messages: nothing was lost, nothing is sent twice.
    let file = world.dir.path().join("back.toml");
    std::fs::write(&file, before).unwrap();
    let (code, said, why) = run(&["apply", file.to_str().unwrap(), "--reason", "not yet"]).await;
    assert_eq!(code, Some(0), "{said} {why}");
    assert_eq!(run(&["operator", "release", "alpha"]).await.0, Some(0));
    for id in &ids {
        assert_eq!(
            world.receiver.report(id).await.body["message"]["state"],
            "delivered"
        );
    }
    world.gateway.stop().await;
    assert_eq!(world.carrier.submits().len(), 20);
}

#[tokio::test]
async fn the_schema_takes_every_sample_and_refuses_wrong_files() {
    let output = Command::new(peers_dir().join("schemathesis/bin/python"))
        .arg(root().join("ops/peers/schema_check.py"))
        .arg(root().join("ops/docs/config.schema.json"))
        .arg(root().join("config/samples"))
        .output()
        .await
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
