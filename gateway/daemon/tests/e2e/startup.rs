//! What the shell is told when the gateway cannot start.

use crate::harness::{Carrier, Gateway, Receiver, Settings, World, free_port, usual};
use std::path::PathBuf;

#[tokio::test]
async fn a_wrong_file_is_explained_whole_with_places_and_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = Settings::new()
        .operator("alpha", 9)
        .line("operator.alpha", "password = \"hunter2-s3cret\"")
        .line("operator.alpha", "window = 0")
        .line("operator.alpha", "windoww = 5")
        .line("client.acme", "api_key = \"key-s3cret\"")
        .line("client.acme", "rate = \"fast\"")
        .route_mt(&["49"], &["gamma"])
        .write(dir.path());
    let text = std::fs::read_to_string(&file).unwrap();
    let place = |needle: &str| text.lines().position(|line| line.contains(needle)).unwrap() + 1;

    let mut process = Gateway::spawn(dir.path());
    let status = process.ended().await;
    assert_eq!(status.code(), Some(2));
    let said = process.err.read(|lines| lines.join("\n"));
    // The value of an unknown key may be a secret under a misspelt name: it is not shown.
    for (key, code, shown) in [
        ("window = 0", "SMSGW-C006", "window = 0"),
        ("windoww = 5", "SMSGW-C002", "windoww = ***"),
        ("rate = ", "SMSGW-C004", "rate = \"fast\""),
        ("operators = [", "SMSGW-C007", "operators = [\"gamma\"]"),
    ] {
        let line = place(key);
        for part in [&format!("gateway.toml:{line}:"), code, shown] {
            assert!(said.contains(part), "{key} in line {line}: no {part} in {said}");
        }
    }
    assert!(said.contains('^'), "a caret: {said}");
    assert!(said.contains("did you mean"), "a suggestion: {said}");
    let all = said + &process.out.read(|lines| lines.join("\n"));
    assert!(!all.contains("s3cret"), "a secret was printed: {all}");
    assert!(!dir.path().join("data").exists(), "nothing was created");
}

#[tokio::test]
async fn a_second_process_on_the_same_data_ends_with_75_and_the_first_does_not_notice() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| settings).await;
    let mut second = Gateway::spawn(world.dir.path());
    let status = second.ended().await;
    assert_eq!(status.code(), Some(75));
    let said = second.out.read(|lines| lines.join("\n")) + &second.err.read(|lines| lines.join("\n"));
    assert!(said.contains("has the directory"), "it says why: {said}");
    assert!(
        said.contains(world.dir.path().join("data").to_str().unwrap()),
        "it names the directory: {said}"
    );
    let id = world.gateway.api.text("491700000001", "undisturbed").await;
    world.receiver.report(&id).await;

    // The lock is the system's: a kill frees it.
    world.gateway.kill().await;
    world.restart().await;
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Gateway::spawn(dir.path());
    assert_eq!(process.ended().await.code(), Some(2));
    let said = process.err.read(|lines| lines.join("\n"));
    assert!(said.contains("gateway.toml"), "{said}");
}

#[tokio::test]
async fn check_says_what_run_would_say_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let right = usual(9, "http://127.0.0.1:9/events");
    right.write(dir.path());
    let mut process = Gateway::verb(&["check"], dir.path());
    assert_eq!(process.ended().await.code(), Some(0));
    let said = process.out.read(|lines| lines.join("\n"));
    assert!(
        said.contains("gateway.toml: ok (1 operators, 1 clients"),
        "{said}"
    );

    right.line("operator.alpha", "window = 0").write(dir.path());
    let mut process = Gateway::verb(&["check"], dir.path());
    assert_eq!(process.ended().await.code(), Some(2));
    let said = process.err.read(|lines| lines.join("\n"));
    assert!(said.contains("SMSGW-C006"), "{said}");
    assert!(!dir.path().join("data").exists(), "nothing was created");
}

#[tokio::test]
async fn no_log_line_holds_a_text_a_number_or_a_secret() {
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&["--receipt-delay", "5", "--reject", "99=0x0b"]).await;
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &receiver.url())
        .line("operator.alpha", "password = \"test\"")
        .line("log", "level = \"trace\"")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    for to in ["491712345678", "491712345699"] {
        let id = gateway.api.text(to, "my code is 424242").await;
        receiver.report(&id).await;
    }
    gateway.stop().await;
    gateway.process.out.read(|lines| {
        assert!(
            lines.iter().any(|line| line.contains("\"message\":\"")),
            "there is a log"
        );
        for word in ["424242", "491712345678", "491712345699", "acme-key", "34323432"] {
            let found: Vec<&String> = lines.iter().filter(|line| line.contains(word)).take(3).collect();
            assert!(found.is_empty(), "{word} stands in the log: {found:#?}");
        }
    });
}

#[tokio::test]
async fn bodies_are_logged_when_and_only_when_asked_for() {
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&[]).await;
    for (bodies, expected) in [("bodies = true", true), ("bodies = false", false)] {
        let dir = tempfile::tempdir().unwrap();
        usual(carrier.port, &receiver.url())
            .line("log", "level = \"debug\"")
            .line("log", bodies)
            .write(dir.path());
        let mut gateway = Gateway::start(dir.path()).await;
        let id = gateway.api.text("491712345678", "my code is 424242").await;
        receiver.report(&id).await;
        gateway.stop().await;
        gateway.process.out.read(|lines| {
            let found = lines
                .iter()
                .any(|line| line.contains("424242") && line.contains(&id));
            assert_eq!(found, expected, "{bodies}");
            assert!(
                !lines.iter().any(|line| line.contains("acme-key")),
                "a key is never logged"
            );
        });
    }
}

#[tokio::test]
async fn the_data_is_found_again_however_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    usual(free_port(), "http://127.0.0.1:9/events").write(dir.path());
    // The same directory, from here: up to the root and down again.
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(dir.path().strip_prefix("/").unwrap());
    let mut gateway = Gateway::start(&relative).await;
    let id = gateway.api.text("491700000001", "waits").await;
    gateway.stop().await;
    let mut gateway = Gateway::start(dir.path()).await;
    assert_eq!(gateway.api.message(&id).await["id"], id.as_str());
    gateway.stop().await;
    let mut data: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    data.sort();
    assert_eq!(data, ["data", "gateway.toml"]);
}
