//! `smsgw dead-letters`: what was given up is listed, shown, replayed and dropped while the gateway runs.

use crate::harness::{Gateway, World, eventually, free_port};
use serde_json::Value;

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (Option<i32>, String, String) {
    let mut process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

#[tokio::test]
async fn what_was_given_up_is_listed_shown_replayed_and_dropped() {
    let port = free_port();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("admin", &format!("listen = \"127.0.0.1:{port}\""))
    })
    .await;
    let admin = format!("127.0.0.1:{port}");
    let letters =
        async |words: &[&str]| tool(&[&["dead-letters"], words, &["--admin", &admin]].concat()).await;
    let (code, said, _) = letters(&["list"]).await;
    assert_eq!((code, said.as_str()), (Some(0), "no dead letters"));

    // 410: the endpoint wants them no more.
    world.receiver.answer_badly(410, 3);
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(
            world
                .gateway
                .api
                .text("491700000001", &format!("secret {n}"))
                .await,
        );
    }
    let rows = eventually("three dead letters", || async {
        let (_, said, _) = letters(&["list", "--queue", "down.callback", "--json"]).await;
        let rows: Vec<Value> = serde_json::from_str(&said).unwrap();
        (rows.len() == 3).then_some(rows)
    })
    .await;
    for row in &rows {
        assert_eq!(
            (&row["reason"], &row["kind"], &row["client"]),
            (&"refused".into(), &"report".into(), &"acme".into())
        );
        assert_eq!(row["to"], "4917********");
        assert!(row["content"].is_null(), "{row}");
        assert!(ids.iter().any(|id| row["message_id"] == **id), "{row}");
    }
    let (_, said, _) = letters(&["list"]).await;
    assert!(
        said.contains("down.callback") && said.contains("3 refused"),
        "{said}"
    );

    let number = rows[0]["id"].to_string();
    let (_, said, _) = letters(&["show", "down.callback", &number]).await;
    assert!(
        said.contains("4917********") && !said.contains("491700000001"),
        "{said}"
    );
    let (_, said, _) = letters(&["show", "down.callback", &number, "--reveal"]).await;
    assert!(said.contains("491700000001"), "{said}");
    let (code, _, said) = letters(&["show", "down.callback", "999999999"]).await;
    assert_eq!(code, Some(1), "{said}");

    let (code, _, said) = letters(&["drop"]).await;
    assert_eq!(code, Some(2), "all of them only with --all: {said}");
    let (_, said, _) = letters(&["replay", "--client", "acme", "--reason", "refused", "--dry-run"]).await;
    assert_eq!(said, "3 would be replayed");
    let (_, said, _) = letters(&["replay", "--client", "nobody"]).await;
    assert_eq!(said, "0 replayed");
    let (_, said, _) = letters(&["replay", "--target", "other.host"]).await;
    assert_eq!(said, "0 replayed");
    let (_, said, _) = letters(&["drop", "--queue", "down.callback", "--id", &number]).await;
    assert_eq!(said, "1 dropped");
    let (_, said, _) = letters(&["replay", "--target", "127.0.0.1", "--newer-than", "1h"]).await;
    assert_eq!(said, "2 replayed");
    let told = rows[0]["message_id"].as_str().unwrap();
    for id in ids.iter().filter(|id| *id != told) {
        world.receiver.report(id).await;
    }
    let (_, said, _) = letters(&["list"]).await;
    assert_eq!(said, "no dead letters");
    assert!(
        world
            .receiver
            .about(told)
            .iter()
            .all(|callback| callback.answered == 410)
    );

    // Only orders change something, and only with the header.
    let answer = world
        .gateway
        .admin("/dead-letters/down.callback?cleint=acme")
        .await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    world.gateway.stop().await;
}
