//! `smsgw operator`: an operator is stopped, started, held and released while the gateway runs, over restarts, and its
//! neighbour does not notice.

use crate::harness::{Carrier, Gateway, Process, World, eventually, free_port};
use serde_json::Value;

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (Option<i32>, String, String) {
    let mut process: Process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

async fn states(world: &World) -> Vec<(String, String)> {
    let status: Value = serde_json::from_slice(&world.gateway.admin("/status").await.body).unwrap();
    let links = status["links"].as_array().unwrap();
    links
        .iter()
        .map(|link| {
            let word = |key: &str| link[key].as_str().unwrap().to_owned();
            (word("link"), word("state"))
        })
        .collect()
}

async fn until_state(world: &World, link: &str, state: &str) {
    let wanted = (link.to_owned(), state.to_owned());
    eventually(&format!("{link} {state}"), || async {
        states(world).await.contains(&wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn orders_for_an_operator_last_and_touch_no_other() {
    let port = free_port();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("admin", &format!("listen = \"127.0.0.1:{port}\""))
    })
    .await;
    // A carrier of its own: one that has two binds of an account sends receipts over either.
    let other = Carrier::start(&[]).await;
    world.settings = world.settings.clone().operator("beta", other.port);
    world.gateway.stop().await;
    world.settings.write(world.dir.path());
    world.restart().await;
    until_state(&world, "beta-1", "bound").await;
    until_state(&world, "alpha-1", "bound").await;
    let admin = format!("127.0.0.1:{port}");
    let order = async |act: &str, operator: &str| tool(&["operator", act, operator, "--admin", &admin]).await;

    let (code, said, _) = order("stop", "alpha").await;
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "applied: operator alpha is stopped")
    );
    until_state(&world, "alpha-1", "stopped").await;
    assert!(
        states(&world)
            .await
            .contains(&("beta-1".to_owned(), "bound".to_owned()))
    );
    let id = world.gateway.api.text("491700000001", "waits").await;

    world.gateway.stop().await;
    world.settings.write(world.dir.path());
    world.restart().await;
    until_state(&world, "beta-1", "bound").await;
    let (_, list, _) = tool(&["operator", "list", "--admin", &admin]).await;
    let row = |list: &str| {
        let line = list.lines().find(|line| line.starts_with("alpha")).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        row(&list)[1..],
        ["stopped", "open", "1", "1", "stopped"],
        "{list}"
    );
    assert!(world.carrier.submits().is_empty());

    // Held before it is started: the link is there and nothing goes.
    assert_eq!(order("hold", "alpha").await.1, "applied: operator alpha is held");
    assert_eq!(
        order("start", "alpha").await.1,
        "applied: operator alpha is started"
    );
    until_state(&world, "alpha-1", "bound").await;
    assert_eq!(
        order("hold", "alpha").await.1,
        "unchanged: operator alpha is held"
    );
    assert!(world.carrier.submits().is_empty());
    assert_eq!(
        order("release", "alpha").await.1,
        "applied: operator alpha is released"
    );
    world.receiver.report(&id).await;
    assert_eq!(world.carrier.submits().len(), 1);

    let (code, _, said) = order("stop", "gamma").await;
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no such operator"), "{said}");
    // A page of another site can post, but not with the header.
    let forged = plain_post(&admin, "/operators/alpha/stop").await;
    assert!(forged.starts_with("HTTP/1.1 403"), "{forged}");
    world.gateway.stop().await;
}

#[tokio::test]
async fn one_link_is_drained_and_its_sibling_carries_on() {
    let port = free_port();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
            .line("operator.alpha", "binds = 2")
    })
    .await;
    until_state(&world, "alpha-1", "bound").await;
    until_state(&world, "alpha-2", "bound").await;
    let admin = format!("127.0.0.1:{port}");
    let order = async |act: &str, link: &str| {
        tool(&["operator", act, "alpha", "--link", link, "--admin", &admin]).await
    };
    let (code, said, _) = order("drain", "2").await;
    assert_eq!(
        (code, said.as_str()),
        (
            Some(0),
            "applied: link alpha-2 is drained: closed once all is answered"
        )
    );
    until_state(&world, "alpha-2", "stopped").await;
    assert!(
        states(&world)
            .await
            .contains(&("alpha-1".to_owned(), "bound".to_owned()))
    );
    let id = world.gateway.api.text("491700000001", "over the other one").await;
    world.receiver.report(&id).await;
    assert_eq!(order("hold", "1").await.1, "applied: link alpha-1 is held");
    let (_, list, _) = tool(&["operator", "list", "--admin", &admin]).await;
    assert!(list.contains("  alpha-1 is held\n  alpha-2 is drained"), "{list}");
    let status: Value = serde_json::from_slice(&world.gateway.admin("/status").await.body).unwrap();
    assert_eq!(
        status["links"][0]["orders"],
        serde_json::json!(["held"]),
        "{status}"
    );
    assert_eq!(status["links"][1]["reason"], "link drained: in links_drained");
    let waits = world.gateway.api.text("491700000002", "waits").await;
    assert_eq!(order("start", "2").await.1, "applied: link alpha-2 is started");
    world.receiver.report(&waits).await;
    let (code, _, said) = order("stop", "3").await;
    assert_eq!(code, Some(1));
    assert!(said.contains("operator alpha has links 1 to 2"), "{said}");
    let (code, _, _) = order("stop", "0").await;
    assert_eq!(code, Some(2), "no link has that number");
    world.gateway.stop().await;
}

/// A POST without the header of orders; the whole answer.
async fn plain_post(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
