//! Seeing it: the log of PDUs, the capture of a link, all of a message by any id.

use crate::harness::{Gateway, Process, World, dissect, eventually, free_port};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitStatus;
use tokio::process::Command;

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (ExitStatus, String, String) {
    let mut process: Process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status, process.out.read(text), process.err.read(text))
}

fn pdu_lines(world: &World) -> Vec<Value> {
    world.gateway.process.out.read(|lines| {
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["target"] == "smsgw::pdu")
            .collect()
    })
}

#[tokio::test]
async fn pdu_log_is_switched_on_while_the_link_runs_and_shows_no_secret() {
    let mut world = World::start(&["--receipt-delay", "5"], |settings| settings).await;
    let id = world.gateway.api.text("491700000001", "not logged").await;
    world.receiver.report(&id).await;
    assert_eq!(pdu_lines(&world), Vec::<Value>::new());
    world.settings = world.settings.clone().line("operator.alpha", "pdu_log = true");
    world.settings.write(world.dir.path());
    world.gateway.hang_up();
    world
        .gateway
        .process
        .out
        .wait("the new configuration is in force", |lines| {
            lines.iter().find(|line| line.contains("\"epoch\":2")).cloned()
        })
        .await;
    let id = world.gateway.api.text("491700000001", "a text nobody sees").await;
    world.receiver.report(&id).await;
    let lines = eventually("the exchange is logged", || async {
        let lines = pdu_lines(&world);
        lines
            .iter()
            .any(|line| line["command"] == "deliver_sm_resp")
            .then_some(lines)
    })
    .await;
    let line = |command: &str| {
        let of = |line: &&Value| line["command"] == command;
        lines
            .iter()
            .find(of)
            .unwrap_or_else(|| panic!("{command} in {lines:#?}"))
            .clone()
    };
    let (submit, answer, receipt) = (line("submit_sm"), line("submit_sm_resp"), line("deliver_sm"));
    for (said, direction) in [(&submit, "out"), (&answer, "in"), (&receipt, "in")] {
        assert_eq!(said["operator"], "alpha");
        assert_eq!(said["link"], "alpha-1");
        assert_eq!(said["direction"], direction);
        assert!(said["length"].as_u64().unwrap() >= 16);
    }
    assert_eq!(submit["sequence"], answer["sequence"]);
    assert_eq!(submit["to"], "*********001");
    assert_eq!(answer["status"], "ESME_ROK");
    assert_eq!(answer["carrier_id"], world.carrier.submits()[1]["id"]);
    assert_eq!(receipt["carrier_id"], answer["carrier_id"]);
    assert_eq!(receipt["stat"], "DELIVRD");
    // The first bind was not logged; the next one is.
    world.gateway.stop().await;
    world.restart().await;
    world.carrier.events_at_least("bind", 2).await;
    let bind = eventually("the bind is logged", || async {
        let lines = pdu_lines(&world);
        lines
            .into_iter()
            .find(|line| line["command"] == "bind_transceiver")
    })
    .await;
    assert_eq!(bind["system_id"], "test");
    world.gateway.stop().await;
    for line in lines {
        for secret in ["nobody sees", "491700000001"] {
            assert!(!line.to_string().contains(secret), "{secret} in {line}");
        }
    }
}

#[tokio::test]
async fn a_capture_of_a_link_is_opened_by_the_dissector_and_has_every_pdu() {
    let port = free_port();
    let options = ["--receipt-delay", "5", "--password", "geheim7"];
    let mut world = World::start(&options, |settings| {
        settings
            .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
            .line("operator.alpha", "password = \"geheim7\"")
    })
    .await;
    world.carrier.events_at_least("bind", 1).await;
    let admin = format!("127.0.0.1:{port}");
    let out = world.dir.path().join("link.pcapng");
    let words = ["trace", "link", "alpha-1", "--for", "6s", "--out"];
    let mut words: Vec<&str> = words.to_vec();
    let shown = out.display().to_string();
    words.extend([shown.as_str(), "--admin", &admin]);
    let mut capture = Gateway::tool(&words);
    capture
        .err
        .wait("the capture runs", |lines| {
            lines
                .iter()
                .find(|line| line.starts_with("capturing to"))
                .cloned()
        })
        .await;
    // The session breaks and comes again: the new bind is in the capture, its password is not.
    world.carrier.command(&json!({"cmd": "drop"})).await;
    world.carrier.events_at_least("bind", 2).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(
            world
                .gateway
                .api
                .text(&format!("4917000000{n:02}"), "captured")
                .await,
        );
    }
    for id in &ids {
        world.receiver.report(id).await;
    }
    let status = capture.ended().await;
    let said = capture.err.read(|lines| lines.join("\n"));
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(
        said.contains(" 0 left out") && said.contains("ended by time"),
        "{said}"
    );

    let (content, said) = dissect(&out, world.carrier.port).await;
    assert!(content, "{said}");
    let pdus = said.lines().find_map(|line| line.strip_prefix("pdus ")).unwrap();
    // Bind, twenty parts and twenty receipts, each with its answer.
    assert_eq!(pdus, "82", "{said}");
    let octets = std::fs::read(&out).unwrap();
    let holds = |text: &[u8]| octets.windows(text.len()).any(|window| window == text);
    assert!(
        !holds(b"geheim7") && holds(b"test\0*******\0"),
        "the password is masked"
    );
    let mode = |file: &std::path::Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    let traces = world.dir.path().join("data/traces");
    assert_eq!((mode(&out), mode(&traces)), (0o600, 0o700));
    for file in std::fs::read_dir(&traces).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let mut tshark = Command::new("tshark");
    tshark
        .arg("-r")
        .arg(&out)
        .args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    tshark.args(["-Y", "tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment"]);
    let wrong = tshark.output().await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&wrong.stdout),
        "",
        "checksums and numbers"
    );

    // Ctrl-C ends it early, with a whole file.
    let early = world.dir.path().join("early.pcapng");
    let shown = early.display().to_string();
    let words = ["trace", "link", "alpha-1", "--out", &shown, "--admin", &admin];
    let mut capture = Gateway::tool(&words);
    capture
        .err
        .wait("the capture runs", |lines| {
            lines
                .iter()
                .find(|line| line.starts_with("capturing to"))
                .cloned()
        })
        .await;
    let id = world.gateway.api.text("491700000001", "captured").await;
    world.receiver.report(&id).await;
    capture.signal(rustix::process::Signal::INT);
    assert_eq!(capture.ended().await.code(), Some(0));
    let (content, said) = dissect(&early, world.carrier.port).await;
    assert!(content && said.contains("pdus 4\n"), "{said}");

    let (code, _, said) = tool(&["trace", "link", "nobody-1", "--admin", &admin]).await;
    assert_eq!(
        (code.code(), said.contains("no such link")),
        (Some(1), true),
        "{said}"
    );
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_message_is_found_whole_by_any_of_its_ids() {
    let port = free_port();
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings.line("admin", &format!("listen = \"127.0.0.1:{port}\""))
    })
    .await;
    let admin = format!("127.0.0.1:{port}");
    let message =
        json!({"from": "12345", "to": "491700000001", "text": "long ".repeat(50), "reference": "order-7"});
    let accepted = world.gateway.api.submit(&message).await;
    let id = accepted["id"].as_str().unwrap().to_owned();
    world.receiver.report(&id).await;
    world.gateway.api.message_with(&id, "delivered_to_client").await;
    let carrier_ids: Vec<String> = world
        .carrier
        .submits()
        .iter()
        .map(|submit| submit["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(carrier_ids.len(), 2);
    let mut asked = carrier_ids.clone();
    // As a carrier may write it in its receipts.
    asked.push(format!("000{}", carrier_ids[0]));
    asked.push(id.clone());
    for asked in &asked {
        let (code, json, said) = tool(&["trace", asked, "--json", "--admin", &admin]).await;
        assert_eq!(code.code(), Some(0), "{asked}: {said}");
        let found: Value = serde_json::from_str(&json).unwrap();
        let messages = found["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 1, "{asked}: {json}");
        let message = &messages[0];
        assert_eq!(
            (&message["message_id"], &message["state"]),
            (&json!(id), &json!("delivered"))
        );
        assert_eq!(
            (&message["reference"], &message["client"]),
            (&json!("order-7"), &json!("acme"))
        );
        assert_eq!(message["to"], "*********001");
        for (part, carrier_id) in message["parts"].as_array().unwrap().iter().zip(&carrier_ids) {
            assert_eq!(
                (
                    &part["operator"],
                    &part["link"],
                    &part["carrier_id"],
                    &part["state"]
                ),
                (
                    &json!("alpha"),
                    &json!("alpha-1"),
                    &json!(carrier_id),
                    &json!("delivered")
                )
            );
        }
        let events: Vec<&str> = message["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["event"].as_str().unwrap())
            .collect();
        let count = |name: &str| events.iter().filter(|event| **event == name).count();
        assert_eq!(
            (count("mt_sent"), count("dr_received"), count("mt_final")),
            (2, 2, 1),
            "{events:?}"
        );
        assert!(message["told_at"].is_string());
    }
    let (code, drawn, _) = tool(&["trace", &carrier_ids[1], "--admin", &admin]).await;
    assert_eq!(code.code(), Some(0));
    assert!(drawn.starts_with(&format!("message {id}  delivered")), "{drawn}");
    assert!(
        drawn.contains("gave to part 2") && drawn.contains("delivered_to_client"),
        "{drawn}"
    );
    assert!(
        !drawn.contains("491700000001") && !drawn.contains("long long"),
        "{drawn}"
    );

    for nobody in ["no-such-id", "order-8", "01983c5e-0000-7000-8000-000000000000"] {
        let (code, drawn, said) = tool(&["trace", nobody, "--admin", &admin]).await;
        assert_eq!((code.code(), drawn.as_str()), (Some(1), ""), "{said}");
        assert!(
            said.contains("nothing is known of") && said.contains("the message history finds it"),
            "{said}"
        );
    }
    let (code, _, said) = tool(&["trace", &id]).await;
    assert_eq!(
        (code.code(), said.contains("--admin ADDR")),
        (Some(2), true),
        "{said}"
    );

    // What the status shows of the link besides.
    let status = world.gateway.admin("/status").await.json();
    assert!(
        status["links"][0]["answer_p99_ms"].as_f64().unwrap() > 0.0,
        "{status:#}"
    );
    world.gateway.stop().await;
}
