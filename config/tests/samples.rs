//! The samples are the documented examples: they must be right, complete and say the defaults of the code.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use smsgw_config::{
    BindMode, Client, Config, HTTP_BASE, InDoubt, NodeSection, Operator, Protocol, Receipts, SecretSource,
    StatusRange, UCP_BASE, key_table,
};

const GATEWAY: &str = include_str!("../samples/gateway.toml");
const ALL_KEYS: &str = include_str!("../samples/all-keys.toml");

#[test]
fn the_example_of_the_design_is_complete() {
    let config = Config::parse("gateway.toml", GATEWAY).unwrap();
    assert_eq!(
        config.node,
        NodeSection {
            name: "gw1".into(),
            ..NodeSection::default()
        }
    );
    assert_eq!(config.http.listen.unwrap().port(), 8080);
    assert_eq!(config.callback.allow[0].to_string(), "127.0.0.0/8");
    let alpha = &config.operator[&"alpha".parse().unwrap()];
    assert_eq!(
        (alpha.protocol, alpha.bind, alpha.binds, alpha.window),
        (Protocol::Smpp, BindMode::Transceiver, 1, 100)
    );
    assert_eq!(alpha.hosts[0].to_string(), "127.0.0.1:27751");
    assert!(
        matches!(alpha.password_source(), Some(SecretSource::Known(secret)) if secret.expose() == "test")
    );
    let beta = &config.operator[&"beta".parse().unwrap()];
    assert_eq!(
        (beta.protocol, beta.login.as_deref(), beta.window),
        (Protocol::Ucp, Some("12345"), 10)
    );
    let acme = &config.client[&"acme".parse().unwrap()];
    assert_eq!(acme.api_key.as_ref().unwrap().expose(), "acme-key");
    assert_eq!(
        acme.callback.as_ref().unwrap().url().as_str(),
        "http://127.0.0.1:9000/events"
    );
    assert_eq!(config.route.mt[0].operators.len(), 2);
    assert_eq!(config.route.mt[0].prefix[1].as_str(), "43");
    assert_eq!(config.route.mo[0].client.as_ref().unwrap().as_str(), "acme");
}

fn codes(list: &[StatusRange]) -> Vec<u32> {
    list.iter().map(|range| range.bounds().0).collect()
}

#[test]
fn defaults_are_those_of_the_design() {
    let operator = Operator::default();
    assert_eq!((operator.window, operator.burst, operator.rate), (10, 1, 0.0));
    assert_eq!(
        (operator.receipts, operator.in_doubt),
        (Receipts::Always, InDoubt::Resubmit)
    );
    assert_eq!(operator.response_timeout, Duration::from_secs(30));
    assert_eq!(operator.enquire_link, Duration::from_secs(30));
    assert_eq!(
        (operator.reconnect_min, operator.reconnect_max),
        (Duration::from_millis(500), Duration::from_secs(30))
    );
    assert_eq!(operator.credentials_retry, Duration::from_secs(60));
    assert_eq!(
        [&operator.throttled, &operator.queue_full, &operator.temporary].map(|list| codes(list)),
        [
            vec![0x58, HTTP_BASE + 429],
            vec![0x14],
            vec![0x08, 0x64, 0x45, UCP_BASE + 4, HTTP_BASE + 408, HTTP_BASE + 500]
        ]
    );
    assert_eq!(operator.temporary_attempts, 5);
    let config = Config::default();
    assert_eq!(config.limits.validity, Duration::from_secs(48 * 3600));
    assert_eq!(config.limits.receipt_grace, Duration::from_secs(24 * 3600));
    assert_eq!(config.limits.parked_receipts, Duration::from_secs(300));
    assert_eq!(
        (config.callback.timeout, config.callback.breaker_failures),
        (Duration::from_secs(10), 20)
    );
    assert_eq!(config.smpp.window, 100);
    assert!(!config.node.watch && !config.log.bodies);
    assert_eq!(Client::default().max_binds, 0);
}

#[test]
fn the_callback_ladder_is_the_one_of_the_design() {
    let ladder = Config::default().callback.retry;
    let secs: Vec<u64> = (1..=19)
        .map(|failed| ladder.delay(failed).unwrap().as_secs())
        .collect();
    assert_eq!(
        secs,
        [
            1, 2, 4, 8, 16, 30, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 600, 600
        ]
    );
    let total: u64 = (1..)
        .map_while(|failed| ladder.delay(failed))
        .map(|delay| delay.as_secs())
        .sum();
    assert_eq!(total, 121 + 600 + 172_800);
    assert_eq!(ladder.delay(10_000), None);
    assert_eq!(ladder.delay_or_last(u32::MAX), Duration::from_secs(600));
}

/// A sample that forgets a key, or states another default than the code, is wrong documentation.
#[test]
fn the_reference_sample_has_every_key_and_its_default() {
    let config = Config::parse("all-keys.toml", ALL_KEYS).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.secret_files().len(), 12);
    let lines: Vec<&str> = ALL_KEYS.lines().collect();
    let mut section = String::new();
    let mut seen = Vec::new();
    for line in lines {
        if let Some(header) = line.strip_prefix('[') {
            let name = header.trim_start_matches('[').split(']').next().unwrap();
            let mut parts: Vec<&str> = name.split('.').collect();
            if matches!(parts[0], "operator" | "client") {
                parts[1] = "<id>";
            }
            if parts[0] == "list" {
                parts[1] = "<name>";
            }
            section = parts.join(".");
        } else if let Some((key, rest)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) {
            let path = [section.as_str(), key].join(".");
            seen.push((path.trim_start_matches('.').to_owned(), rest.to_owned()));
        }
    }
    for row in key_table() {
        let path = row.path.replace(".<state>", "");
        let at: Vec<&String> = seen
            .iter()
            .filter(|(seen, _)| *seen == path)
            .map(|(_, rest)| rest)
            .collect();
        assert!(
            !at.is_empty()
                || [
                    "operator.<id>.tls",
                    "operator.<id>.calls",
                    "history.url",
                    "admin.token"
                ]
                .contains(&row.path.as_str()),
            "{path} is not in all-keys.toml"
        );
    }
    for (path, _) in &seen {
        assert!(
            key_table().iter().any(|row| row.path == *path),
            "{path} is no key"
        );
    }
    let said = Config::parse(
        "x",
        &ALL_KEYS
            .lines()
            .filter(|line| !line.contains("# example"))
            .collect::<Vec<_>>()
            .join("\n"),
    )
    .unwrap();
    for (name, same) in [
        ("http", said.http == Config::default().http),
        ("smpp", said.smpp == Config::default().smpp),
        ("callback", said.callback == Config::default().callback),
        ("inbox", said.inbox == Config::default().inbox),
        ("history", said.history == Config::default().history),
        ("cdr", said.cdr == Config::default().cdr),
        ("log", said.log == Config::default().log),
        ("engine", said.engine == Config::default().engine),
        ("limits", said.limits == Config::default().limits),
    ] {
        assert!(same, "[{name}] of all-keys.toml does not state the defaults");
    }
    let alpha = said.operator[&"alpha".parse().unwrap()].clone();
    let defaults = Operator {
        hosts: alpha.hosts.clone(),
        system_id: alpha.system_id.clone(),
        password_file: alpha.password_file.clone(),
        tls: alpha.tls.clone(),
        ..Operator::default()
    };
    assert_eq!(alpha, defaults);
}

#[test]
fn every_key_is_explained() {
    for row in key_table() {
        assert!(
            row.doc.len() > 20 && row.doc.contains("Since 0.1."),
            "{}: {:?}",
            row.path,
            row.doc
        );
    }
    assert!(key_table().len() > 100);
}
