//! `smsgw status`: what a person sees of a running gateway, and of one that does not answer.

use crate::harness::{Gateway, Process, Receiver, World, eventually, free_port, usual};
use serde_json::Value;
use std::process::ExitStatus;

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (ExitStatus, String, String) {
    let mut process: Process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status, process.out.read(text), process.err.read(text))
}

/// The row of a table that begins with a name, in words.
fn row<'a>(drawn: &'a str, name: &str) -> Vec<&'a str> {
    let line = drawn
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == name));
    line.unwrap_or_else(|| panic!("no {name} in {drawn}"))
        .split_whitespace()
        .collect()
}

fn children(part: &Value) -> Vec<&str> {
    let children = part["children"].as_array().unwrap();
    children
        .iter()
        .map(|child| child["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_running_gateway_is_drawn_whole_in_80_columns_and_without_secrets() {
    let port = free_port();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("admin", &format!("listen = \"127.0.0.1:{port}\""))
    })
    .await;
    let id = world.gateway.api.text("491700000001", "seen by status").await;
    world.receiver.report(&id).await;
    let file = world.dir.path().join("gateway.toml").display().to_string();

    let (code, overview, said) = tool(&["status", "--config", &file]).await;
    assert_eq!(code.code(), Some(0), "{said}");
    let head = overview.lines().next().unwrap();
    assert!(
        head.starts_with("e2e smsgw ") && head.ends_with(" READY"),
        "{head}"
    );
    assert!(
        overview.contains("epoch 1") && overview.contains("engine ready"),
        "{overview}"
    );
    assert!(overview.contains("no alarms"), "{overview}");
    assert_eq!(row(&overview, "alpha-1")[1..3], ["trx", "bound"], "{overview}");
    // How wide the window is now is the carrier's doing.
    assert!(row(&overview, "alpha-1")[4].starts_with("0/"), "{overview}");
    assert_eq!(row(&overview, "admin"), ["admin", &format!("127.0.0.1:{port}")]);
    assert!(row(&overview, "http")[1].starts_with("127.0.0.1:"));
    assert!(overview.contains("0 restarts"), "{overview}");

    let address = format!("127.0.0.1:{port}");
    let (code, tree, _) = tool(&["status", "--tree", "--admin", &address]).await;
    assert_eq!(code.code(), Some(0));
    for part in [
        "smsgw",
        "admin",
        "log-level",
        "config",
        "instructions",
        "watch",
        "counter",
        "reader",
        "callback",
        "dispatch",
        "router",
        "mt-4",
        "up-7",
        "alarms",
        "operator",
        "keeper",
        "link-alpha-1",
        "client",
        "http",
    ] {
        assert!(row(&tree, part).contains(&"running"), "{part} in {tree}");
    }
    assert!(tree.contains("channel commands: 0 of"), "{tree}");
    assert!(tree.contains("channel settlements: 0 of 512"), "{tree}");

    let (code, json, _) = tool(&["status", "--json", "--admin", &address]).await;
    assert_eq!(code.code(), Some(0));
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&status["ready"], &status["epoch"]), (&true.into(), &1.into()));
    assert_eq!(status["engine"]["health"], "ready");
    assert_eq!(status["links"][0]["state"], "bound");
    assert_eq!(status["alarms"], Value::Array(Vec::new()));
    let expected = [
        "admin", "config", "counter", "callback", "router", "operator", "client",
    ];
    let mut nodes = children(&status["tree"]);
    nodes.retain(|name| expected.contains(name));
    assert_eq!(nodes, expected, "in starting order");
    let served = world.gateway.admin("/status").await.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&served), keys(&status), "one schema");
    let (_, json, _) = tool(&["status", "--tree", "--json", "--admin", &address]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["name"], "smsgw");

    for drawn in [&overview, &tree] {
        assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
    }
    for text in [&overview, &tree, &json, &status.to_string()] {
        for secret in ["acme-key", "491700000001", "seen by status"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_link_that_is_down_and_what_waits_for_it_are_seen_first() {
    let receiver = Receiver::start().await;
    let (admin, carrier) = (free_port(), free_port());
    let dir = tempfile::tempdir().unwrap();
    usual(carrier, &receiver.url())
        .line("admin", &format!("listen = \"127.0.0.1:{admin}\""))
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    gateway.api.text("491700000001", "waits").await;
    let address = format!("127.0.0.1:{admin}");
    let overview = eventually("the part waits and the link is down", || async {
        let (_, drawn, _) = tool(&["status", "--admin", &address]).await;
        (drawn.contains("mt.operator.alpha") && drawn.contains("is down: ")).then_some(drawn)
    })
    .await;
    assert!(
        overview.lines().next().unwrap().ends_with(" READY"),
        "a link refuses nothing: {overview}"
    );
    let alarm = overview.split("LISTENERS").next().unwrap();
    let alarm = alarm.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        alarm.contains("! link alpha-1: transceiver is down: "),
        "{overview}"
    );
    assert!(
        alarm.contains(&format!("127.0.0.1:{carrier}")),
        "it says where: {overview}"
    );
    assert_eq!(row(&overview, "mt.operator.alpha")[1], "1", "{overview}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_69_and_a_question_that_cannot_be_asked_2() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let settings = usual(9, "http://127.0.0.1:9/events");
    let file = settings
        .clone()
        .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
        .write(dir.path());
    let file = file.display().to_string();
    for words in [
        vec!["status", "--config", &file],
        vec!["status", "--tree", "--config", &file],
    ] {
        let (code, out, said) = tool(&words).await;
        assert_eq!((code.code(), out.as_str()), (Some(69), ""), "{said}");
        assert!(
            said.contains(&format!("no gateway answers at 127.0.0.1:{port}")),
            "{said}"
        );
        assert!(said.contains("Is it running?"), "{said}");
    }

    // Something else has the port.
    let other = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = other.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.6\r\n")
            .await
            .unwrap();
        stream
    });
    let (code, _, said) = tool(&["status", "--config", &file]).await;
    assert_eq!(code.code(), Some(69), "{said}");
    assert!(said.contains("does not speak HTTP"), "{said}");
    drop(answering.await.unwrap());

    settings
        .line("admin", "listen = \"127.0.0.1:0\"")
        .write(dir.path());
    let (code, _, said) = tool(&["status", "--config", &file]).await;
    assert_eq!(code.code(), Some(2));
    assert!(said.contains("--admin ADDR"), "{said}");
    let (code, _, said) = tool(&["status"]).await;
    assert_eq!(code.code(), Some(2));
    assert!(said.contains("--config") && said.contains("--admin"), "{said}");
}

#[tokio::test]
async fn actors_are_metrics_that_go_with_them() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| settings).await;
    let link = "smsgw/operator/link-alpha-1";
    world
        .gateway
        .metric_at_least("smsgw_runtime_actor_state", &[("actor", link)], 2.0)
        .await;
    let metrics = world.gateway.metrics().await;
    let all = |name: &str, actor: &str| metrics.sum_where(name, |label| label("actor") == actor);
    assert!(metrics.has("smsgw_runtime_actor_restarts", &[("actor", link)]));
    assert!(metrics.has(
        "smsgw_runtime_actor_channel_depth",
        &[("actor", link), ("channel", "commands")]
    ));
    assert!(metrics.has(
        "smsgw_runtime_actor_mailbox_depth",
        &[("actor", "smsgw/operator")]
    ));
    assert!(
        all("smsgw_runtime_actor_mailbox_depth", "smsgw/operator").abs() < 0.5,
        "nothing waits"
    );

    world
        .settings
        .clone()
        .without_routes()
        .without("operator.alpha")
        .write(world.dir.path());
    world.gateway.hang_up();
    world
        .gateway
        .metric_at_least("smsgw_config_changes_total", &[("result", "applied")], 1.0)
        .await;
    eventually("no series of the link is left", || async {
        let metrics = world.gateway.metrics().await;
        (!metrics.has_label("actor", link)).then_some(())
    })
    .await;
    world.gateway.stop().await;
}
