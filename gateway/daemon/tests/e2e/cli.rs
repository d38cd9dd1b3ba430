//! `smsgw queues`, `links`, `sessions`, `send`, `top`, `completions`, `man` against a running gateway, and who its
//! administrator's listener answers.

use crate::harness::{Gateway, PATIENCE, World, eventually, free_port, usual};
use hyper::Method;
use rustix::pty;
use serde_json::{Value, json};
use std::io::Read;

const TOKEN: &str = "a-token-of-the-tests";

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str]) -> (Option<i32>, String, String) {
    let mut process = Gateway::tool(words);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

/// The words of the row that begins with a name.
fn row<'a>(drawn: &'a str, name: &str) -> Vec<&'a str> {
    let mut rows = drawn
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.find(|words| words.first() == Some(&name))
        .unwrap_or_else(|| panic!("no {name} in {drawn}"))
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test]
async fn what_waits_is_listed_by_queue_and_by_lane() {
    let (admin, carrier) = (free_port(), free_port());
    let dir = tempfile::tempdir().unwrap();
    usual(carrier, "http://127.0.0.1:9/events")
        .line("admin", &format!("listen = \"127.0.0.1:{admin}\""))
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    for _ in 0..3 {
        gateway.api.text("491700000001", "waits").await;
    }
    let address = format!("127.0.0.1:{admin}");
    let name = "mt.operator.alpha";
    let table = eventually("three parts wait", || async {
        let (code, table, said) = tool(&["queues", "--admin", &address]).await;
        assert_eq!(code, Some(0), "{said}");
        let waits = table.lines().any(|line| words(line)[..2] == [name, "3"]);
        waits.then_some(table)
    })
    .await;
    let head = words(table.lines().next().unwrap());
    assert_eq!(
        head,
        [
            "QUEUE", "READY", "IN", "FLIGHT", "DEFERRED", "HELD", "DEAD", "CORRUPT", "OCTETS", "OLDEST"
        ]
    );
    let cells = row(&table, name);
    assert_eq!(cells[1..7], ["3", "0", "0", "0", "0", "0"], "{table}");
    assert_ne!((cells[7], cells[8]), ("0B", "-"), "{table}");

    let (code, json, _) = tool(&["queues", name, "--json", "--admin", &address]).await;
    assert_eq!(code, Some(0));
    let queues: Value = serde_json::from_str(&json).unwrap();
    let queue = &queues["queues"][0];
    assert_eq!(
        (&queue["queue"], &queue["places"]["ready"]),
        (&name.into(), &3.into())
    );
    assert!(queue["oldest"]["ready"].as_str().unwrap() <= queues["at"].as_str().unwrap());
    let lane = &queue["lanes"]["lanes"][0];
    assert_eq!(
        (&lane["flow"], &lane["class"]),
        (&"acme".into(), &"transactional".into())
    );
    assert_eq!(
        (&lane["places"]["ready"], &queue["lanes"]["whole"]),
        (&3.into(), &true.into())
    );
    let (code, drawn, _) = tool(&["queues", name, "--admin", &address]).await;
    assert_eq!(code, Some(0));
    assert_eq!(row(&drawn, "transactional")[1..3], ["acme", "3"], "{drawn}");

    let (code, _, said) = tool(&["queues", "nowhere", "--admin", &address]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no such queue"), "{said}");
    let (code, _, said) = tool(&["operator", "hold", "alpha", "--admin", &address]).await;
    assert_eq!(code, Some(0), "{said}");
    let (_, drawn, _) = tool(&["queues", "--admin", &address]).await;
    assert!(
        drawn.contains("  held since ") && drawn.contains("instructed"),
        "{drawn}"
    );
    gateway.stop().await;
    let (code, out, said) = tool(&["queues", "--admin", &address]).await;
    assert_eq!((code, out.as_str()), (Some(69), ""), "{said}");
}

#[tokio::test]
async fn links_sessions_send_and_top_show_a_message_on_its_way() {
    let (admin, http) = (free_port(), free_port());
    let mut world = World::start(&["--receipt-delay", "5"], |settings| {
        settings
            .line("admin", &format!("listen = \"127.0.0.1:{admin}\""))
            .line("http", &format!("listen = \"127.0.0.1:{http}\""))
    })
    .await;
    let file = world.dir.path().join("gateway.toml").display().to_string();
    let (code, table, said) = tool(&["links", "--config", &file]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        words(table.lines().next().unwrap()),
        [
            "LINK", "BIND", "STATE", "WINDOW", "SENT/S", "RECV/S", "P50", "P99", "PEER"
        ]
    );
    let (code, json, _) = tool(&["links", "--json", "--operator", "alpha", "--config", &file]).await;
    assert_eq!(code, Some(0));
    let links: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(links[0]["link"], "alpha-1");
    let (code, json, said) = tool(&["sessions", "--json", "--config", &file]).await;
    assert_eq!((code, json.as_str()), (Some(0), "[]"), "{said}");
    let (code, table, _) = tool(&["sessions", "--config", &file]).await;
    assert_eq!(code, Some(0));
    assert_eq!(words(&table)[..3], ["SESSION", "CLIENT", "BIND"]);

    // A frame while a message goes through.
    let mut top = Gateway::tool(&["top", "--once", "--every", "5s", "--json", "--config", &file]);
    eventually("the first sample is taken", || async {
        let sent = tool(&["top", "--once", "--every", "100ms", "--config", &file]).await;
        (sent.0 == Some(0)).then_some(())
    })
    .await;
    let send = [
        "send",
        "--client",
        "acme",
        "--to",
        "+491700000001",
        "--text",
        "by hand",
        "--config",
        &file,
    ];
    let (code, said, wrong) = tool(&[&send[..], &["--wait", "30s"]].concat()).await;
    assert_eq!(code, Some(0), "{wrong}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0].len(), 36, "{said}");
    assert_eq!(*lines.last().unwrap(), "delivered", "{said}");
    assert!(lines.iter().any(|line| line.ends_with("mt_sent")), "{said}");
    world.receiver.report(lines[0]).await;
    assert_eq!(top.ended().await.code(), Some(0));
    let frame: Value = serde_json::from_str(&top.out.read(|lines| lines.join("\n"))).unwrap();
    assert_eq!(
        (&frame["ready"], &frame["links"][0]["link"]),
        (&true.into(), &"alpha-1".into())
    );
    assert!(frame["rates"]["accepted"].as_f64().unwrap() > 0.0, "{frame}");
    assert!(
        frame["clients"]["acme"]["delivered"].as_f64().unwrap() > 0.0,
        "{frame}"
    );

    let (code, drawn, _) = tool(&["top", "--once", "--every", "100ms", "--config", &file]).await;
    assert_eq!(code, Some(0));
    for words in ["per s: accepted", "WAITING", "SENT/S", "alpha-1", "acme", "READY"] {
        assert!(drawn.contains(words), "{words} in {drawn}");
    }
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");

    let (code, _, said) = tool(&[
        "send", "--client", "acme", "--to", "x", "--text", "t", "--config", &file,
    ])
    .await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("invalid_number"), "{said}");
    let key = world.dir.path().join("wrong.key");
    std::fs::write(&key, "not-the-key\n").unwrap();
    let key = key.display().to_string();
    let (code, _, said) = tool(&[&send[..], &["--key-file", &key]].concat()).await;
    assert_eq!(code, Some(77), "{said}");
    assert!(!said.contains("not-the-key"), "{said}");
    let (code, _, said) = tool(&["send", "--to", "491700000001", "--text", "t", "--config", &file]).await;
    assert_eq!(code, Some(2), "{said}");
    world.gateway.stop().await;
}

#[tokio::test]
async fn with_a_token_only_who_has_it_is_answered_and_probes() {
    let admin = free_port();
    let mut world = World::start(&[], |settings| {
        settings
            .line("admin", &format!("listen = \"0.0.0.0:{admin}\""))
            .line("admin", &format!("token = \"{TOKEN}\""))
    })
    .await;
    let base = format!("http://127.0.0.1:{admin}");
    let http = crate::harness::Http::new();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            http.get(&format!("{base}{path}"), None).await.unwrap().status,
            200
        );
    }
    let wrong = format!("{TOKEN}s");
    for path in [
        "/status",
        "/metrics",
        "/queues",
        "/links",
        "/sessions",
        "/operators",
        "/credit",
        "/counters",
        "/dead-letters",
        "/trace/message?id=1",
        "/config/versions",
        "/nowhere",
    ] {
        for key in [None, Some("short"), Some(wrong.as_str())] {
            let answer = http.get(&format!("{base}{path}"), key).await.unwrap();
            assert_eq!(answer.status, 401, "{path} {key:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let answer = http.get(&format!("{base}{path}"), Some(TOKEN)).await.unwrap();
        assert_ne!(answer.status, 401, "{path}");
    }
    // The token does not stand for the header of orders.
    let url = format!("{base}/operators/alpha/hold");
    let answer = http
        .send(Method::POST, &url, Some(TOKEN), Vec::new())
        .await
        .unwrap();
    assert_eq!(answer.status, 403, "{}", answer.text());

    let address = format!("127.0.0.1:{admin}");
    for verb in [
        &["queues"][..],
        &["links"],
        &["sessions"],
        &["top", "--once"],
        &["status"],
    ] {
        let (code, out, said) = tool(&[verb, &["--admin", &address]].concat()).await;
        assert_eq!((code, out.as_str()), (Some(77), ""), "{verb:?}: {said}");
    }
    let file = world.dir.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let file = file.display().to_string();
    for verb in [
        &["queues"][..],
        &["links"],
        &["sessions"],
        &["top", "--once"],
        &["status"],
        &["operator", "list"],
        &["session", "list"],
        &["dead-letters", "list"],
        &["counters"],
        &["history"],
    ] {
        let (code, _, said) = tool(&[verb, &["--admin", &address, "--token-file", &file]].concat()).await;
        assert_eq!(code, Some(0), "{verb:?}: {said}");
    }
    let config = world.dir.path().join("gateway.toml").display().to_string();
    let (code, _, said) = tool(&["queues", "--config", &config]).await;
    assert_eq!(code, Some(0), "the file has the token: {said}");

    // Another token from now on, without a restart.
    let next = "another-token-of-the-tests";
    world
        .settings
        .clone()
        .line("admin", &format!("token = \"{next}\""))
        .write(world.dir.path());
    world.gateway.hang_up();
    eventually("the new token is in force", || async {
        let answer = http.get(&format!("{base}/status"), Some(next)).await.unwrap();
        (answer.status == 200).then_some(())
    })
    .await;
    let answer = http.get(&format!("{base}/status"), Some(TOKEN)).await.unwrap();
    assert_eq!(answer.status, 401);
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_listener_that_others_reach_does_not_start_without_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let open = usual(9, "http://127.0.0.1:9/events").line("admin", "listen = \"0.0.0.0:0\"");
    for (settings, why) in [
        (open.clone(), "it needs a token"),
        (open.clone().line("admin", "token = \"short\""), "16 to 256"),
    ] {
        let file = settings.write(dir.path()).display().to_string();
        for words in [["check", &file], ["run", &format!("--config={file}")]] {
            let (code, _, said) = tool(&words).await;
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(why) && !said.contains("\"short\""), "{said}");
        }
    }
    let secret = dir.path().join("admin.token");
    std::fs::write(&secret, "short\n").unwrap();
    let of_file = open.line("admin", "token_file = \"admin.token\"");
    let file = of_file.write(dir.path()).display().to_string();
    let (code, _, said) = tool(&["check", &file]).await;
    assert_eq!(code, Some(2), "{said}");
    std::fs::write(&secret, format!("{TOKEN}\n")).unwrap();
    let (code, _, said) = tool(&["check", &file]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn shells_and_man_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, said) = tool(&["completions", shell]).await;
        assert_eq!(code, Some(0), "{said}");
        for verb in ["queues", "links", "sessions", "send", "top", "dead-letters"] {
            assert!(script.contains(verb), "{verb} for {shell}");
        }
    }
    let (code, _, _) = tool(&["completions", "tcl"]).await;
    assert_eq!(code, Some(2));
    let dir = tempfile::tempdir().unwrap();
    let (code, _, said) = tool(&["man", &dir.path().display().to_string()]).await;
    assert_eq!(code, Some(0), "{said}");
    for page in ["smsgw.1", "smsgw-queues.1", "smsgw-send.1"] {
        let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    let (code, _, said) = tool(&["man", "/nowhere/at/all"]).await;
    assert_eq!(code, Some(2), "{said}");
}

/// A load of two seconds.
fn load(base: &str) -> Vec<&str> {
    let to = ["load", "http", "--url", base, "--api-key", "acme-key"];
    let plan = ["--rate", "10", "--total", "20", "--connections", "2"];
    [to, plan].concat()
}

/// What a verb writes on standard error when that is a terminal.
async fn on_a_terminal(words: &[&str]) -> String {
    let master = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&master).unwrap();
    pty::unlockpt(&master).unwrap();
    let slave = pty::ptsname(&master, Vec::new()).unwrap();
    let slave = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(slave.to_str().unwrap())
        .unwrap();
    let mut child = std::process::Command::new(Gateway::binary())
        .args(words)
        .env("TERM", "xterm")
        .stdout(std::process::Stdio::null())
        .stderr(slave)
        .spawn()
        .unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let (mut text, mut master) = (Vec::new(), std::fs::File::from(master));
        // The other end is gone with the process, which is an error of the last read.
        master.read_to_end(&mut text).unwrap_err();
        assert!(child.wait().unwrap().success());
        String::from_utf8(text).unwrap()
    });
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap()
}

#[tokio::test]
async fn where_nobody_looks_no_bar_is_drawn() {
    let mut world = World::start(&[], |settings| settings).await;
    let id = world.gateway.api.text("491700000001", "hello").await;
    world.gateway.api.message_once(&id, "delivered").await;
    let base = world.gateway.api.base().to_owned();
    let (code, out, err) = tool(&load(&base)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["accepted"], 20, "{out}");
    // On a terminal there is one, and it is taken away again.
    let drawn = on_a_terminal(&load(&base)).await;
    let (lines, rest) = drawn.rsplit_once("accepted").unwrap();
    assert!(
        lines.contains("sending    [") && lines.contains(" of 20, "),
        "{drawn:?}"
    );
    assert!(rest.ends_with("\u{1b}[1A"), "cleared upwards: {drawn:?}");
    let quiet = on_a_terminal(&[&load(&base)[..], &["--quiet"]].concat()).await;
    assert_eq!(quiet, "");
    world.gateway.stop().await;
    let path = |name: &str| world.dir.path().join(name).display().to_string();
    let (data, file, copy) = (path("data"), path("backup.smsgw"), path("copy"));
    for (words, says) in [
        (vec!["verify", &data], None),
        (vec!["verify", "--json", &data], None),
        (vec!["verify", "--repair", &data], None),
        (vec!["export", &data, &file], Some("exported ")),
        (vec!["import", &file, &copy], None),
    ] {
        let mut process = Gateway::tool(&words);
        let status = process.ended().await;
        let err = process.err.read(|lines| lines.join("\n"));
        assert_eq!(status.code(), Some(0), "{words:?}: {err}");
        // Standard error is a pipe here: only what a program is told stands there.
        if words == ["verify", "--json", &data] {
            let report: Value = serde_json::from_str(&process.out.read(|lines| lines.join("\n"))).unwrap();
            assert_eq!(report["findings"], json!([]), "what others keep there is known");
        }
        match says {
            None => assert_eq!(err, "", "{words:?}"),
            Some(says) => assert!(
                err.starts_with(says) && !err.contains(['\r', '\u{1b}']),
                "{err:?}"
            ),
        }
    }
}
