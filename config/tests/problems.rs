//! Broken files and exactly what is said about them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use smsgw_config::{Config, Secret, masked_line};
use smsgw_routing::NumberSetBuilder;
use std::sync::Arc;

fn problems(text: &str) -> Vec<String> {
    match Config::parse("gateway.toml", text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// What is said about a file whose first two lines are right.
fn after_node(text: &str) -> Vec<String> {
    problems(&format!("[node]\nname = \"gw1\"\n{text}"))
}

const ALPHA: &str =
    "[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"a\"\npassword = \"b\"\n";
const ACME: &str = "[client.acme]\napi_key = \"k1\"\n";

#[test]
fn the_smallest_file_is_right() {
    assert_eq!(after_node(""), [""; 0]);
    assert_eq!(after_node(&format!("{ALPHA}{ACME}")), [""; 0]);
}

#[test]
fn an_empty_file_lacks_its_node() {
    assert_eq!(
        problems(""),
        ["gateway.toml:1:1: SMSGW-C003: node is missing (expected: table)"]
    );
}

#[test]
fn syntax_errors_are_told_all_at_once_with_their_place() {
    let found = problems("[node]\nname = \nwatch = tru\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("gateway.toml:2:"), "{found:#?}");
    assert!(found[1].starts_with("gateway.toml:3:"), "{found:#?}");
}

#[test]
fn every_problem_of_every_section_is_told_at_once() {
    let text = r#"[node]
nmae = "gw1"
watch = "yes"
[http]
listen = "localhost"
[engine]
kind = "jetstream"
[limits]
max_parts = 0
validity = 48
[operator.alpha]
protocol = "smmp"
hosts = []
windw = 10
[operator.beta]
protocol = "http"
hosts = ["h:1"]
[client.acme]
callback = "ftp://example.com/"
[[route.mt]]
prefix = ["+49", "43"]
operators = ["alhpa"]
[[route.mo]]
client = "nobody"
"#;
    let expected = [
        r#"gateway.toml:1:1: SMSGW-C003: node.name is missing (expected: text)"#,
        r#"gateway.toml:2:1: SMSGW-C002: unknown key node.nmae (did you mean `name`?)"#,
        r#"gateway.toml:3:9: SMSGW-C004: node.watch: expected true | false, found string"#,
        r#"gateway.toml:5:10: SMSGW-C005: http.listen: "localhost" is not valid, expected address and port such as "127.0.0.1:8080""#,
        r#"gateway.toml:7:8: SMSGW-C011: engine.kind: "jetstream" is not in this version (this version has "embedded" and "memory")"#,
        r#"gateway.toml:9:13: SMSGW-C006: limits.max_parts: 0 is not in its range: 1 to 255"#,
        r#"gateway.toml:10:12: SMSGW-C004: limits.validity: expected time such as "30s", "10m", "48h", "1d", found integer (write it as text with its unit, in quotes)"#,
        r#"gateway.toml:12:12: SMSGW-C005: operator.alpha.protocol: "smmp" is not one of "smpp", "ucp", "http" (did you mean "smpp"?)"#,
    ];
    let found = problems(text);
    for line in &expected {
        assert!(
            found.iter().any(|problem| problem == line),
            "{line}\nis not among {found:#?}"
        );
    }
    for start in [
        "gateway.toml:13:9: SMSGW-C003",
        "gateway.toml:14:1: SMSGW-C002",
        "gateway.toml:15:11: SMSGW-C003",
        "gateway.toml:17:1: SMSGW-C012",
        "gateway.toml:19:12: SMSGW-C005",
        "gateway.toml:21:11: SMSGW-C005",
        "gateway.toml:22:14: SMSGW-C007",
        "gateway.toml:24:10: SMSGW-C007",
    ] {
        assert!(
            found.iter().any(|problem| problem.starts_with(start)),
            "{start} is not among {found:#?}"
        );
    }
}

#[test]
fn each_rule_says_exactly_this() {
    let op = |line: &str| format!("{ALPHA}{line}\n");
    let table: Vec<(String, Vec<&str>)> = vec![
        (op("[[route.mo]]\nto = [\"1\"]"), vec!["gateway.toml:8:1: SMSGW-C003: route.mo[0]: client is missing (name who gets the messages: client, or clients and mode)"]),
        (op("[client]\na.api_key = \"a\"\nb.api_key = \"b\"\n[[route.mo]]\nclients = [\"a\", \"b\"]"), vec!["gateway.toml:12:11: SMSGW-C009: route.mo[0].clients: mode says nothing of several clients (write mode = \"all\" or mode = \"failover\")"]),
        (op("[client]\na.api_key = \"a\"\n[[route.mo]]\nclients = [\"gone\", \"a\"]\nmode = \"failover\"\nreply_max = 2"), vec!["gateway.toml:13:1: SMSGW-C012: route.mo[0].reply_max has no effect without reply"]),
        (op("[[keywords.set]]\nwords = [\"stop\", \"?!\"]\naction = \"help\"\nscope = \"sender\""), vec![
            "gateway.toml:9:18: SMSGW-C005: keywords.set[0].words[1]: \"?!\" has no word in it",
            "gateway.toml:11:1: SMSGW-C012: keywords.set[0].scope has no effect without action = \"opt_out\"",
        ]),
        (op("window = 0"), vec!["gateway.toml:8:10: SMSGW-C006: operator.alpha.window: 0 is not in its range: 1 to 100000"]),
        (op("window = 2000"), vec!["gateway.toml:8:10: SMSGW-C006: operator.alpha.window: 2000 is above 1000, limits.max_window"]),
        (op("window = -1"), vec!["gateway.toml:8:10: SMSGW-C006: operator.alpha.window: -1 is not in its range: 0 to 4294967295"]),
        (op("binds = 65"), vec!["gateway.toml:8:9: SMSGW-C006: operator.alpha.binds: 65 is above 64, limits.max_binds"]),
        (op("rate = -0.5"), vec!["gateway.toml:8:8: SMSGW-C006: operator.alpha.rate: -0.5 is not in its range: 0 to 1000000"]),
        (op("rate = inf"), vec!["gateway.toml:8:8: SMSGW-C006: operator.alpha.rate: inf is not in its range: a finite number"]),
        (op("reconnect_min = \"1m\""), vec!["gateway.toml:8:17: SMSGW-C006: operator.alpha.reconnect_min is larger than operator.alpha.reconnect_max"]),
        (op("in_doubt = \"wait\""), vec![r#"gateway.toml:8:12: SMSGW-C005: operator.alpha.in_doubt: "wait" is not valid, expected "resubmit" | "wait:30s" | "query" | "reject""#]),
        (op("queue_full_retry = []"), vec!["gateway.toml:8:20: SMSGW-C006: operator.alpha.queue_full_retry: [] is not in its range: at least one time"]),
        (op("source_ton = 7"), vec!["gateway.toml:8:14: SMSGW-C006: operator.alpha.source_ton: 7 is not in its range: 0 to 6"]),
        (op("states = { UNKNOWN = \"gone\" }"), vec![r#"gateway.toml:8:22: SMSGW-C005: operator.alpha.states.UNKNOWN: "gone" is not one of "delivered", "failed", "expired", "rejected", "cancelled", "intermediate""#]),
        (op("login = \"x\""), vec![r#"gateway.toml:8:1: SMSGW-C012: operator.alpha.login has no effect with protocol "smpp""#]),
        (op("password_file = \"f\""), vec!["gateway.toml:8:1: SMSGW-C009: operator.alpha: password and password_file exclude each other (keep one of them)"]),
        (op("[operator.alpha.tls]\ncert_file = \"c\""), vec!["gateway.toml:8:17: SMSGW-C003: operator.alpha.tls: cert_file and key_file go together"]),
        (
            "[operator.a]\nprotocol = \"smpp\"\nhosts = [\"h:1\"]\n".into(),
            vec![
                "gateway.toml:3:11: SMSGW-C010: operator.a: password is missing (an operator with protocol \"smpp\" logs in with system_id and password or password_file)",
                "gateway.toml:3:11: SMSGW-C010: operator.a: system_id is missing (an operator with protocol \"smpp\" logs in with system_id and password or password_file)",
            ],
        ),
        (
            "[operator.u]\nprotocol = \"ucp\"\nhosts = [\"h:1\"]\nlogin = \"1\"\npassword = \"p\"\nwindow = 101\n".into(),
            vec!["gateway.toml:8:10: SMSGW-C006: operator.u.window: 101 is above 100, the most that UCP can number"],
        ),
        (
            "[operator.u]\nprotocol = \"ucp\"\nhosts = [\"h:1\"]\nlogin = \"1\"\npassword = \"p\"\nbind = \"transceiver\"\n".into(),
            vec!["gateway.toml:8:1: SMSGW-C012: operator.u.bind has no effect with protocol \"ucp\""],
        ),
        (
            "[operator.u]\nprotocol = \"ucp\"\nhosts = [\"h:1\"]\nlogin = \"1\"\npassword = \"p\"\nin_doubt = \"query\"\n".into(),
            vec!["gateway.toml:8:12: SMSGW-C009: operator.u.in_doubt: \"query\" cannot be had with protocol \"ucp\": UCP asks by recipient and sender (operation 55), and a message that was delivered is as unknown as one that never came (choose \"resubmit\" (perhaps twice at the phone), \"reject\" (perhaps never), or \"wait:<time>\")"],
        ),
        ("[operator.u]\nprotocol = \"ucp\"\n[operator.u.calls]\nlisten = \"127.0.0.1:1\"\n".into(), vec![]),
        (
            "[operator.u]\nprotocol = \"ucp\"\nbinds = 2\n[operator.u.calls]\nlisten = \"127.0.0.1:1\"\nlinks = 1\n".into(),
            vec![
                "gateway.toml:3:11: SMSGW-C003: operator.u.hosts is missing (expected: list of \"host:port\")",
                "gateway.toml:3:11: SMSGW-C010: operator.u: login is missing (an operator with protocol \"ucp\" logs in with login and password or password_file)",
                "gateway.toml:3:11: SMSGW-C010: operator.u: password is missing (an operator with protocol \"ucp\" logs in with login and password or password_file)",
            ],
        ),
        (op("[operator.alpha.calls]"), vec!["gateway.toml:8:1: SMSGW-C003: operator.alpha.calls.listen is missing (expected: address and port such as \"127.0.0.1:8080\")"]),
        (op("[operator.alpha.calls]\nlisten = \"127.0.0.1:1\"\nlinks = 2"), vec!["gateway.toml:10:9: SMSGW-C006: operator.alpha.calls.links: 2 is above 1, by binds"]),
        (op("[operator.alpha.calls]\nlisten = \"127.0.0.1:1\"\nsubmit = true"), vec!["gateway.toml:10:1: SMSGW-C012: operator.alpha.calls.submit has no effect with protocol \"smpp\" (bind says which way parts go)"]),
        (op("[operator.alpha.calls]\nlisten = \"127.0.0.1:1\"\nlogin = \"1234567890123456\""), vec!["gateway.toml:10:9: SMSGW-C006: operator.alpha.calls.login: a system_id has at most 15 characters"]),
        (op("[operator.alpha.calls]\nlisten = \"127.0.0.1:1\"\ncert_file = \"c\""), vec!["gateway.toml:8:17: SMSGW-C003: operator.alpha.calls: cert_file and key_file go together"]),
        (op("[operator.alpha.calls]\nlisten = \"127.0.0.1:1\"\nca_file = \"c\""), vec!["gateway.toml:10:1: SMSGW-C012: operator.alpha.calls.ca_file has no effect without cert_file and key_file"]),
        (
            op("[operator.alpha.tls]\n[operator.alpha.calls]\nlisten = \"127.0.0.1:1\"\npassword = \"a\"\npassword_file = \"f\""),
            vec![
                "gateway.toml:8:17: SMSGW-C012: operator.alpha.tls has no effect: every link waits for the carrier (the certificate of operator.alpha.calls is its cert_file and key_file)",
                "gateway.toml:12:1: SMSGW-C009: operator.alpha.calls: password and password_file exclude each other (keep one of them)",
            ],
        ),
        (
            "[operator.\"a b\"]\nprotocol = \"smpp\"\n".into(),
            vec![r#"gateway.toml:3:11: SMSGW-C005: operator: "a b" cannot be a name here (a name has 1 to 64 letters, digits, '.', '_' or '-')"#],
        ),
        ("[client.a]\n".into(), vec!["gateway.toml:3:9: SMSGW-C010: client.a: neither api_key nor system_id nor callback (nobody could use this client; add api_key_sha256, or system_id and a password)"]),
        ("[client.a]\nsystem_id = \"a\"\n".into(), vec!["gateway.toml:4:13: SMSGW-C010: client.a: system_id has no password (add password, password_file or password_argon2)"]),
        ("[client.a]\napi_key = \"k\"\nburst = 5\n".into(), vec!["gateway.toml:5:1: SMSGW-C012: client.a.burst has no effect without rate"]),
        (
            "[client.a]\nsystem_id = \"s\"\npassword = \"p\"\n[client.b]\nsystem_id = \"s\"\npassword = \"q\"\n".into(),
            vec!["gateway.toml:7:13: SMSGW-C008: client.b.system_id: \"s\" is also the system_id of client a"],
        ),
        (format!("{ACME}[client.b]\napi_key = \"k1\"\n"), vec!["gateway.toml:6:1: SMSGW-C008: client.b.api_key: also a key of client acme"]),
        (
            format!("{ALPHA}{ACME}[[route.mt]]\noperators = [\"alpha\", \"alpha\"]\nclient = [\"acmee\"]\n"),
            vec![
                "gateway.toml:11:23: SMSGW-C009: route.mt[0].operators[1]: alpha is named twice",
                "gateway.toml:12:11: SMSGW-C007: route.mt[0].client[0]: no client \"acmee\" (did you mean \"acme\"?)",
            ],
        ),
        ("[[route.mt]]\noperators = []\n".into(), vec!["gateway.toml:3:1: SMSGW-C003: route.mt[0]: operators is missing (name the operators, or refuse with reject)"]),
        (
            format!("{ALPHA}[[route.mt]]\noperators = [\"alpha\"]\nreject = \"no_route\"\nweights = [1, 2]\n"),
            vec![
                "gateway.toml:10:10: SMSGW-C009: route.mt[0]: operators and reject exclude each other (keep one of them)",
                "gateway.toml:11:1: SMSGW-C012: route.mt[0].weights has no effect without strategy = \"weighted\" or \"sticky\"",
                "gateway.toml:11:11: SMSGW-C009: route.mt[0].weights: 2 weights for 1 operators",
            ],
        ),
        (
            format!("{ALPHA}[[route.mt]]\noperators = [\"alpha\"]\ntime_zone = \"Mars\"\ntime = [\"noon\"]\nfailover = {{ states = [\"DELIVRD\"], cost = \"1\" }}\nrewrite_to = [\"set:ACME\"]\nnetwork = [\"26\"]\n"),
            vec![
                "gateway.toml:10:13: SMSGW-C006: route.mt[0].time_zone: \"Mars\" is not in its range: zone of the tz database such as \"Europe/Berlin\"",
                "gateway.toml:11:9: SMSGW-C005: route.mt[0].time[0]: \"noon\" is not valid, expected days and time such as \"mon-fri 08:00-18:00\", \"sat,sun\" or \"22:00-06:00\"",
                "gateway.toml:12:23: SMSGW-C006: route.mt[0].failover.states: [\"DELIVRD\"] is not in its range: EXPIRED, DELETED, UNDELIV, UNKNOWN or REJECTD",
                "gateway.toml:13:14: SMSGW-C006: route.mt[0].rewrite_to: [\"set:ACME\"] is not in its range: digits only, and a number to set",
                "gateway.toml:14:12: SMSGW-C005: route.mt[0].network[0]: \"26\" is not valid, expected network such as \"262-01\" or \"262\"",
            ],
        ),
        (
            format!("{ALPHA}[[cost]]\noperator = [\"alpha\"]\ncost = \"1\"\ncurrency = \"EUR\"\n[[cost]]\noperator = [\"alpa\"]\ncost = \"1\"\ncurrency = \"USD\"\n"),
            vec![
                "gateway.toml:13:13: SMSGW-C007: cost[1].operator[0]: no operator \"alpa\" (did you mean \"alpha\"?)",
                "gateway.toml:15:12: SMSGW-C009: cost[1].currency: USD cannot be compared with the EUR of cost[0] (write all costs in one currency)",
            ],
        ),
        ("[http]\nlisten = \"127.0.0.1:80\"\n[smpp]\nlisten = \"127.0.0.1:80\"\n".into(), vec!["gateway.toml:6:10: SMSGW-C009: smpp.listen: 127.0.0.1:80 is already http.listen"]),
        ("roles = [\"clinet\"]\n".into(), vec![r#"gateway.toml:3:10: SMSGW-C005: node.roles[0]: "clinet" is not one of "client", "router", "operator", "callback", "counter", "config" (did you mean "client"?)"#]),
        ("[htpp]\n".into(), vec!["gateway.toml:3:2: SMSGW-C002: unknown key htpp (did you mean `http`?)"]),
        ("[log]\nlevel = \"loud\"\n".into(), vec![r#"gateway.toml:4:9: SMSGW-C005: log.level: "loud" is not valid, expected level such as "info" or "info,smsgw_node_operator=debug""#]),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in &table {
        let found = after_node(text);
        if found != *expected {
            wrong.push(format!("{text}\nexpected {expected:#?}\nfound {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Whatever is wrong, neither the problems nor their `Debug` repeat a secret.
#[test]
fn no_problem_repeats_a_secret() {
    let secret = "Tr0ub4dor";
    for text in [
        format!("[operator.a]\npassword = [\"{secret}\"]\n"),
        format!("[operator.a]\npasword = \"{secret}\"\n"),
        format!("[operator.a]\npassword = \"{secret}\n"),
        format!("[operator.a]\npassword = {secret}\n"),
        format!("[operator.a]\npassword = \"\\{secret}\"\n"),
        format!("[operator.a]\npassword = \"{secret}\" \"{secret}\"\n"),
        format!("[operator.a]\npassword = \"{secret}\"\npassword = \"{secret}\"\n"),
        format!("[operator.a]\npassword = \"{secret}\"\npassword_file = \"x\"\n"),
        format!("[client.a]\npassword_argon2 = \"{secret}\"\nsystem_id = \"a\"\n"),
        format!("[client.a]\napi_key_sha256 = [\"{secret}\"]\n"),
        format!("[client.a]\napi_key = {{ value = \"{secret}\" }}\n"),
        format!("[client.a]\napi_key = \"{secret}\"\n[client.b]\napi_key = \"{secret}\"\n"),
        format!("[client.a]\ncallback = \"gopher://user:{secret}@host/\"\n"),
        format!("[client.a]\ncallback = \"http://user:{secret}@host/\"\nwindow = 0\n"),
    ] {
        let found = Config::parse("f", &text).unwrap_err();
        assert!(!format!("{found:?}").contains(secret), "{found:#?}");
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(!shown.concat().contains(secret), "{shown:#?}");
        for problem in &found {
            let line = text.lines().nth(problem.line - 1).unwrap_or_default();
            let line = smsgw_config::masked_line(line, problem.show_source);
            assert!(!line.contains(secret), "{problem}: {line}");
        }
    }
    let config = Config::parse(
        "f",
        &format!(
            "[node]\nname=\"n\"\n[client.a]\napi_key=\"{secret}\"\ncallback=\"http://u:{secret}@h/p?t={secret}\"\n"
        ),
    );
    assert!(!format!("{:?}", config.unwrap()).contains(secret));
}

#[test]
fn a_password_file_is_read_through_the_caller() {
    let text = "[node]\nname = \"n\"\n[client.a]\nsystem_id = \"a\"\npassword_file = \"a.secret\"\n";
    let config = Config::parse_with_files(
        "f",
        text,
        &mut |file| {
            assert_eq!(file.path.to_str(), Some("a.secret"));
            Ok(Secret::new("open"))
        },
        &mut |_| unreachable!("there is no list"),
    );
    assert_eq!(
        config.unwrap().client[&"a".parse().unwrap()]
            .password
            .as_ref()
            .unwrap()
            .expose(),
        "open"
    );
    let problems = Config::parse_with_files("f", text, &mut |_| Err("no such file".into()), &mut |_| {
        unreachable!("there is no list")
    })
    .unwrap_err();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["f:5:17: SMSGW-C013: client.a.password_file: a.secret cannot be used: no such file"]
    );
}

#[test]
fn a_list_is_read_through_the_caller_and_a_wrong_one_is_named_with_its_line() {
    let text = "[node]\nname = \"n\"\n[list.spam]\nfile = \"spam.txt\"\nentries = [\"4990*\"]\n";
    let mut secret = |_: &_| unreachable!("there is no password");
    let config = Config::parse_with_files("f", text, &mut secret, &mut |path| {
        assert_eq!(path.to_str(), Some("spam.txt"));
        let mut builder = NumberSetBuilder::default();
        builder.line(b"491701234567").unwrap();
        Ok(Arc::new(builder.build()))
    })
    .unwrap();
    let lists = config.number_lists();
    let spam = lists.values().next().unwrap();
    for (number, there) in [("491701234567", true), ("49901", true), ("4417", false)] {
        assert_eq!(spam.iter().any(|set| set.contains(number)), there, "{number}");
    }
    let without = Config::parse("f", text).unwrap();
    let diff = smsgw_config::ConfigDiff::between(&without, &config);
    assert_eq!(
        diff.to_string(),
        "list.spam.file: \"spam.txt\" (0 entries) -> \"spam.txt\" (1 entries) (live)"
    );
    assert_eq!(diff.apply(&without), config);
    let problems = Config::parse_with_files("f", text, &mut secret, &mut |_| {
        Err("line 3: octet 1 is no digit".into())
    })
    .unwrap_err();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["f:4:8: SMSGW-C015: list.spam.file: spam.txt cannot be used: line 3: octet 1 is no digit"]
    );
}

#[test]
fn times_and_sizes_are_read_in_every_form() {
    for (text, millis) in [
        ("500ms", 500),
        ("0.5s", 500),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
    ] {
        let config = Config::parse(
            "f",
            &format!("[node]\nname = \"n\"\n[limits]\nreceipt_grace = \"{text}\"\n"),
        )
        .unwrap();
        assert_eq!(config.limits.receipt_grace.as_millis(), millis);
    }
    for (text, bytes) in [
        ("4096B", 4096),
        ("64KiB", 65_536),
        ("2MB", 2_000_000),
        ("1 MiB", 1_048_576),
    ] {
        let config = Config::parse(
            "f",
            &format!("[node]\nname = \"n\"\n[http]\nbody_limit = \"{text}\"\n"),
        )
        .unwrap();
        assert_eq!(config.http.body_limit.as_u64(), bytes);
    }
    for bad in ["", "10", "s", "1.s", "-1s", "1w", "1e3s", "99999999999999d"] {
        let text = format!("[node]\nname = \"n\"\ndrain_timeout = \"{bad}\"\n");
        assert_eq!(problems(&text).len(), 1, "{bad}");
    }
}

/// The sample with every secret replaced by a word that must never be seen again.
fn sample_with(secret: &str) -> String {
    let text = include_str!("../samples/gateway.toml");
    text.lines()
        .map(|line| match line.split_once(" = ") {
            Some((key, _)) if matches!(key, "password" | "api_key") => format!("{key} = \"{secret}\"\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A typing error anywhere: no panic, every place is in the text, no secret is shown.
    #[test]
    fn a_damaged_file_is_told_without_panic_and_without_secrets(at in 0..2000usize, cut in 0..6usize, put in "[a-z=\\[\\]\"\'\\\\{}#.\n 0-9]{0,4}") {
        let text = sample_with("Tr0ub4dor");
        let start = at % text.len();
        let end = (start + cut).min(text.len());
        // Damage inside the secret itself would only make the search below miss it.
        prop_assume!(text.is_char_boundary(start) && text.is_char_boundary(end));
        let text = format!("{}{put}{}", &text[..start], &text[end..]);
        if let Err(problems) = Config::parse("f", &text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len());
                let line = text.split('\n').nth(problem.line - 1).unwrap();
                prop_assert!(problem.column <= line.chars().count() + 1);
                let line = masked_line(line, problem.show_source);
                prop_assert!(!line.contains("Tr0ub4dor") && !format!("{problem:?}{problem}").contains("Tr0ub4dor"), "{problem}: {line}");
            }
        }
    }

    #[test]
    fn any_text_at_all_is_told_without_panic(text in any::<String>()) {
        let _ = Config::parse("f", &text);
    }
}

#[test]
fn tlvs_of_clients_are_tags_and_ranges_and_a_required_one_can_be_set_by_somebody() {
    let told = |lines: &str| after_node(&format!("{ALPHA}{lines}\n"));
    for right in [
        "tlvs_allowed = [0x1401, \"0x1410-0x141f\"]",
        "tlvs_allowed = [\"0x1401\"]\ntlvs_required = [0x1401]",
        "tlvs = { \"0x1401\" = \"text:a\" }\ntlvs_required = [\"0x1401\"]",
        "pass_options = [\"data_coding\", \"priority\"]",
        "reroute = [\"ESME_RSYSERR\", \"0x400-0x4ff\"]\nreroute_exhausted = true",
    ] {
        assert_eq!(told(right), [""; 0], "{right}");
    }
    for (wrong, said) in [
        ("tlvs_allowed = [0x0424]", "1 to 0xFFFF"),
        ("tlvs_allowed = [\"0x1402-0x1401\"]", "tags of TLVs"),
        ("tlvs_allowed = [65536]", "1 to 0xFFFF"),
        ("tlvs_required = [0x020C]", "1 to 0xFFFF"),
        ("tlvs_required = [0x1401]", "every message would be refused"),
        (
            "interface_version = \"3.3\"\ntlvs_allowed = [0x1401]\ntlvs_required = [0x1401]",
            "no optional parameters",
        ),
        ("pass_options = [\"esm_class\"]", "priority"),
    ] {
        let found = told(wrong);
        assert_eq!(found.len(), 1, "{wrong}: {found:#?}");
        assert!(found[0].contains(said), "{wrong}: {found:#?}");
    }
}

#[test]
fn a_prepaid_client_that_nothing_could_be_charged_to_is_told() {
    let prepaid = |rest: &str, prices: &str| {
        after_node(&format!(
            "{ACME}[client.acme.credit]\nkind = \"prepaid\"\n{rest}{prices}"
        ))
    };
    let price = |rest: &str| format!("[[price]]\nprice = \"0.1\"\n{rest}\n");
    assert_eq!(prepaid("", &price("currency = \"EUR\"")), [""; 0]);
    assert_eq!(
        prepaid(
            "currency = \"PTS\"\n",
            &price("currency = \"PTS\"\nclient = [\"acme\"]")
        ),
        [""; 0]
    );
    let nothing = "gateway.toml:5:14: SMSGW-C003: client.acme.credit: the account is prepaid and no [[price]] in EUR is for it: ";
    let help = " (add a [[price]] with currency = \"EUR\" for this client)";
    assert_eq!(
        prepaid("", ""),
        [format!("{nothing}every message would be refused{help}")]
    );
    assert_eq!(
        prepaid("unpriced = \"free\"\n", &price("currency = \"USD\"")),
        [format!("{nothing}no message would cost anything{help}")]
    );
    assert_eq!(
        after_node(&format!("{ACME}[client.acme.credit]\ncurrency = \"USD\"\n")),
        [""; 0]
    );
}

#[test]
fn a_callback_policy_that_contradicts_itself_is_told_key_by_key() {
    let policy = |lines: &str| {
        let found = after_node(&format!("{ACME}[client.acme.callback_policy]\n{lines}"));
        let words = |line: &String| line.split_once("SMSGW-").unwrap().1.to_owned();
        found.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(
        policy("batch = 10\nbatch_linger = \"1s\"\nusername = \"u\"\npassword = \"p\""),
        [""; 0]
    );
    for (lines, said) in [
        (
            "format = \"get\"\nparameters = { a = \"{stat}\" }",
            "\"stat\" is not one of",
        ),
        (
            "format = \"get\"\nparameters = { a = \"{state\" }",
            "is not valid",
        ),
        ("parameters = { a = \"x\" }", "has no effect with format \"json\""),
        (
            "format = \"form\"\nbatch = 10",
            "has no effect without format \"json\"",
        ),
        ("batch_linger = \"1s\"", "has no effect without batch"),
        ("username = \"u\"", "go together"),
        (
            "username = \"u\"\npassword = \"p\"\nbearer = \"b\"",
            "exclude each other",
        ),
        ("signing_key = \"whsec_c2hvcnQ=\"", "24 to 64 octets"),
        (
            "next_signing_key = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\"",
            "no signing_key",
        ),
        ("headers = { Host = \"x\" }", "cannot be a name here"),
        ("headers = { X-A = \"a\\nb\" }", "printable ASCII"),
        ("hosts = [\"http://x\"]", "is not valid"),
        ("success = [302]", "not in its range"),
        ("replies = true\nbatch = 2", "cannot reply"),
        ("replies_max = 2", "has no effect without replies"),
        ("tls = { cert_file = \"x\" }", "go together"),
        ("tls = { verify = \"pin\" }", "needs pin_sha256"),
    ] {
        let found = policy(lines);
        assert!(found.len() == 1 && found[0].contains(said), "{lines}: {found:#?}");
        assert!(!found[0].contains("c2hvcnQ"), "{found:#?}");
    }
}

#[test]
fn an_admin_listener_that_others_reach_needs_a_token_and_a_token_is_long_and_not_shown() {
    let told = |lines: &str| problems(&format!("[node]\nname = \"n\"\n[admin]\n{lines}\n"));
    for good in [
        "listen = \"127.0.0.1:0\"",
        "listen = \"[::1]:0\"",
        "listen = \"0.0.0.0:0\"\ntoken = \"0123456789abcdef\"",
        "listen = \"[::]:0\"\ntoken_file = \"t\"",
        "listen = \"[::]:0\"\ncert_file = \"c\"\nkey_file = \"k\"\nclient_ca_file = \"a\"",
        "listen = \"[::]:0\"\ncert_file = \"c\"\nkey_file = \"k\"\nclient_ca_file = \"a\"\nclient_cert = \"optional\"",
        "cert_file = \"c\"\nkey_file = \"k\"\nclient_ca_file = \"a\"\ntoken = \"0123456789abcdef\"",
    ] {
        assert!(
            Config::parse("f", &format!("[node]\nname = \"n\"\n[admin]\n{good}\n")).is_ok(),
            "{good}"
        );
    }
    for bad in [
        "listen = \"0.0.0.0:0\"",
        "listen = \"[::]:0\"",
        "token = \"hush-hush\"",
        "token = \"hush hush hush hush\"",
        "token = \"hush-hush-hush-hush\"\ntoken_file = \"t\"",
        "listen = \"0.0.0.0:0\"\ncert_file = \"c\"\nkey_file = \"k\"",
        "cert_file = \"c\"",
        "key_file = \"k\"",
        "client_ca_file = \"a\"",
        "cert_file = \"c\"\nkey_file = \"k\"\nclient_cert = \"optional\"",
        "cert_file = \"c\"\nkey_file = \"k\"\nclient_ca_file = \"a\"\nclient_cert = \"always\"",
    ] {
        let told = told(bad);
        assert_eq!(told.len(), 1, "{bad}: {told:#?}");
        assert!(!format!("{told:#?}").contains("hush"), "{told:#?}");
    }
}
