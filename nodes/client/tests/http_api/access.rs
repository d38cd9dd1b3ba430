//! Who may do what: keys with scopes and an end, Basic, networks, failed logins, connections of an account.

use crate::harness::*;
use std::time::{Duration, Instant};

/// SHA-256 of `send-key`, `old-key` and `far-key`.
const SEND_KEY: &str = "46ff43ce3a441aea796710436ba5cac8ea919eca3a12bedcfb2004aa0c0d91fc";
const OLD_KEY: &str = "762c08fc17a1cc5f00d248f8b50f2f2f4d17ff2934ac31e64deacb3f5bb3f2ec";
const FAR_KEY: &str = "e3da9594c1a5393d2e48de81c730839ec5676dea6a7ab6093bbb7a1c3b61f528";

fn acme() -> String {
    format!(
        "{ACME}\nsystem_id = \"sys\"\npassword = \"pa:ss\"\nmax_connections = 2\n\
         [[client.acme.keys]]\nsha256 = \"{SEND_KEY}\"\nscopes = [\"send\"]\n\
         [[client.acme.keys]]\nsha256 = \"{OLD_KEY}\"\nexpires = \"2020-01-01T00:00:00Z\"\n\
         [[client.acme.keys]]\nsha256 = \"{FAR_KEY}\"\nallow = [\"192.0.2.0/24\"]\n"
    )
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_until_it_ends_and_from_where_it_may() {
    let node = Node::with(config("", &acme())).await;
    let sent = node.ask(&post_as("Bearer send-key", HELLO)).await;
    assert_eq!(sent.status, 202);
    let path = format!("/v1/messages/{}", sent.json()["id"].as_str().unwrap());
    node.ask(&get(&path, "send-key"))
        .await
        .is_problem(403, "forbidden");
    assert_eq!(node.ask(&get(&path, "acme-key")).await.status, 200);
    assert_eq!(
        node.ask(&get("/v1/limits", "send-key")).await.status,
        200,
        "for any key"
    );
    node.ask(&get(&path, "old-key"))
        .await
        .is_problem(401, "unauthorized");
    node.ask(&get(&path, "far-key"))
        .await
        .is_problem(403, "forbidden");
    // What there is not and what may not be done is told only to who may ask.
    node.ask(&get("/v1/nothing", "old-key"))
        .await
        .is_problem(401, "unauthorized");
    node.ask(&get("/v1/nothing", "send-key"))
        .await
        .is_problem(404, "not_found");
}

#[tokio::test]
async fn basic_takes_name_or_system_id_with_the_password() {
    let node = Node::with(config("", &acme())).await;
    // acme:pa:ss, sys:pa:ss
    for right in ["YWNtZTpwYTpzcw==", "c3lzOnBhOnNz"] {
        let answer = node.ask(&post_as(&format!("Basic {right}"), HELLO)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    // acme:pa, other: (it has no password)
    for wrong in ["YWNtZTpwYQ==", "b3RoZXI6", "b3RoZXI6eA==", "%%%"] {
        let answer = node.ask(&post_as(&format!("Basic {wrong}"), HELLO)).await;
        answer.is_problem(401, "unauthorized");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("Bearer") && challenge.contains("Basic"),
            "{challenge}"
        );
    }
}

#[tokio::test]
async fn an_account_outside_its_networks_is_403_and_others_are_not_touched() {
    let node = Node::with(config(
        "",
        &format!("{ACME}\nallow = [\"192.0.2.0/24\", \"2001:db8::/32\"]"),
    ))
    .await;
    node.ask(&post(HELLO)).await.is_problem(403, "forbidden");
    assert_eq!(node.ask(&post_as("Bearer other-key", HELLO)).await.status, 202);
    node.config
        .publish(config("", &format!("{ACME}\nallow = [\"127.0.0.0/8\"]")));
    assert_eq!(node.ask(&post(HELLO)).await.status, 202);
}

#[tokio::test]
async fn a_failed_login_is_answered_late_and_loopback_is_never_kept_out() {
    let node = Node::start("login_delay = \"400ms\"\nban_after = 1").await;
    let start = Instant::now();
    node.ask(&post_as("Bearer wrong", HELLO))
        .await
        .is_problem(401, "unauthorized");
    assert!(start.elapsed() >= Duration::from_millis(400));
    let start = Instant::now();
    node.ask("GET /v1/limits HTTP/1.1\r\nhost: t\r\n\r\n")
        .await
        .is_problem(401, "unauthorized");
    assert!(
        start.elapsed() < Duration::from_millis(400),
        "who says nothing guesses nothing"
    );
    assert_eq!(node.ask(&post(HELLO)).await.status, 202);
}

#[tokio::test]
async fn an_account_has_so_many_connections_and_one_too_many_is_refused_and_closed() {
    let node = Node::with(config("", &acme())).await;
    let (mut first, mut second) = (node.connect().await, node.connect().await);
    for peer in [&mut first, &mut second] {
        peer.send(&post(HELLO)).await;
        assert_eq!(peer.answer().await.status, 202);
    }
    let mut third = node.connect().await;
    third.send(&post(HELLO)).await;
    third.answer().await.is_problem(429, "rate_limited");
    assert!(third.is_closed_within(Duration::from_secs(2)).await);
    assert_eq!(node.ask(&post_as("Bearer other-key", HELLO)).await.status, 202);
    drop(second);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        node.ask(&post(HELLO)).await.status,
        202,
        "its place is free again"
    );
    let limits = node.ask(&get("/v1/limits", "send-key")).await.json();
    assert_eq!(limits["connections"]["limit"], 2);
}
