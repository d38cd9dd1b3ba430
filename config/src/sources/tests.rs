//! Several files as one configuration, with every problem in the right one.

use std::collections::BTreeMap;

use super::*;
use crate::{Config, Inputs, Problem};

/// Reads `main` with the other files of a map; `list` is a list in the working directory of nobody.
fn parse(files: &[(&str, &str)]) -> (Sources, Result<Config, Vec<Problem>>) {
    let map: BTreeMap<&str, &str> = files.iter().copied().collect();
    let mut include = |_: &Source, pattern: &str| match pattern {
        "*" => Ok(map
            .iter()
            .filter(|(name, _)| **name != "main")
            .map(|(name, text)| Source::new(*name, *text))
            .collect()),
        name => match map.get(name) {
            Some(text) => Ok(vec![Source::new(name, *text)]),
            None => Err("cannot be read: no such file".to_owned()),
        },
    };
    let inputs = Inputs {
        environment: &|name| match name {
            "HOST" => Some("smsc.example.net:2775".to_owned()),
            "PASS" => Some("hush-hush".to_owned()),
            "FILE" => Some("a".to_owned()),
            _ => None,
        },
        include: &mut include,
        secret: &mut |_| Err("none here".to_owned()),
        list: &mut |_| Err("none here".to_owned()),
        ported: &mut |_| Err("none here".to_owned()),
        certificates: &mut |admin| match &admin.cert_file {
            Some(_) => Err(("key_file", "it belongs to another certificate".to_owned())),
            None => Ok(()),
        },
    };
    Config::parse_sources(Source::new("main", map["main"]), inputs)
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let problems = parse(files).1.expect_err("there are problems");
    problems.iter().map(ToString::to_string).collect()
}

const OPERATOR: &str =
    "protocol = \"smpp\"\nhosts = [\"${HOST}\"]\nsystem_id = \"a\"\npassword = \"${PASS}\"\n";

#[test]
fn files_are_joined_and_lists_of_tables_are_appended_in_their_order() {
    let alpha = format!(
        "include = [\"b\"]\n[operator.alpha]\n{OPERATOR}[[route.mt]]\nprefix = [\"1\"]\noperators = [\"alpha\"]\n"
    );
    let beta = format!("[operator.beta]\n{OPERATOR}[[route.mt]]\nprefix = [\"2\"]\noperators = [\"beta\"]\n");
    let main = "include = [\"${FILE}\"]\n[node]\nname = \"gw1\"\n[operator.alpha.tls]\nserver_name = \"x\"\n\
                [[route.mt]]\nprefix = [\"0\"]\noperators = [\"beta\"]\n";
    let (sources, config) = parse(&[("main", main), ("a", &alpha), ("b", &beta)]);
    let config = config.unwrap();
    let names: Vec<&str> = sources.files().iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["main", "a", "b"]);
    let prefixes: Vec<&str> = config
        .route
        .mt
        .iter()
        .map(|route| route.prefix[0].as_str())
        .collect();
    assert_eq!(prefixes, ["0", "1", "2"]);
    let alpha = &config.operator[&"alpha".parse().unwrap()];
    assert_eq!(alpha.hosts[0].to_string(), "smsc.example.net:2775");
    assert_eq!(alpha.password.as_ref().unwrap().expose(), "hush-hush");
    assert_eq!(alpha.tls.as_ref().unwrap().server_name.as_deref(), Some("x"));
    assert_eq!(config.operator.len(), 2);
}

#[test]
fn a_problem_names_the_file_it_stands_in() {
    let a = format!("# of alpha\n[operator.alpha]\n{OPERATOR}window = 0\ncolour = 1\n");
    let found = problems(&[
        ("main", "include = [\"a\"]\n[node]\nname = \"gw1\"\n[htp]\n"),
        ("a", &a),
    ]);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[0].starts_with("main:4:2: SMSGW-C002: unknown key htp"),
        "{found:#?}"
    );
    assert!(
        found[1].starts_with("a:7:10: SMSGW-C006: operator.alpha.window: 0"),
        "{found:#?}"
    );
    assert!(
        found[2].starts_with("a:8:1: SMSGW-C002: unknown key operator.alpha.colour"),
        "{found:#?}"
    );
    // Broken syntax anywhere hides what would only follow from it, and nothing else.
    let found = problems(&[("main", "include = [\"a\"]\n[node]\n"), ("a", "x = \n")]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("a:1:"), "{found:#?}");
}

#[test]
fn a_key_in_two_files_names_both_places() {
    let found = problems(&[
        (
            "main",
            "include = [\"a\"]\n[node]\nname = \"gw1\"\n[limits]\nmax_parts = 3\n",
        ),
        ("a", "[limits]\n  max_parts = 4\n[log]\n[node]\nname = \"b\"\n"),
    ]);
    assert_eq!(
        found,
        [
            "a:2:3: SMSGW-C018: limits.max_parts stands in two files, first at main:5:1 (keep it in one of them)",
            "a:5:1: SMSGW-C018: node.name stands in two files, first at main:3:1 (keep it in one of them)",
        ]
    );
}

#[test]
fn cycles_doubles_and_what_is_not_there_are_refused() {
    let node = "[node]\nname = \"gw1\"\n";
    let found = problems(&[
        ("main", &format!("include = [\"a\"]\n{node}")),
        ("a", "include = [\"b\"]\n"),
        ("b", "\ninclude = [\"a\"]\n"),
    ]);
    assert_eq!(
        found,
        ["b:2:12: SMSGW-C016: include: a includes itself (the way: main -> a -> b -> a)"]
    );
    let found = problems(&[
        ("main", &format!("include = [\"a\", \"*\", \"x\"]\n{node}")),
        ("a", ""),
    ]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("main:1:17: SMSGW-C016: include: a is included already"),
        "{found:#?}"
    );
    assert!(
        found[1].contains("main:1:22: SMSGW-C016: include: \"x\" cannot be read"),
        "{found:#?}"
    );
    let found = problems(&[
        ("main", &format!("include = [\"a\"]\n{node}")),
        ("a", "include = 1\n"),
    ]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("a:1:11: SMSGW-C004"), "{found:#?}");
}

#[test]
fn a_chain_and_a_crowd_of_files_are_bounded() {
    let mut files: Vec<(String, String)> = (0..20)
        .map(|n| (format!("f{n}"), format!("include = [\"f{}\"]\n", n + 1)))
        .collect();
    files.push((
        "main".to_owned(),
        "include = [\"f0\"]\n[node]\nname = \"x\"\n".to_owned(),
    ));
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let found = problems(&borrowed);
    assert!(
        found.len() == 1 && found[0].contains("more than 8 files deep"),
        "{found:#?}"
    );
    let mut files: Vec<(String, String)> = (0..1200).map(|n| (format!("f{n}"), String::new())).collect();
    files.push((
        "main".to_owned(),
        "include = [\"*\"]\n[node]\nname = \"x\"\n".to_owned(),
    ));
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let found = problems(&borrowed);
    assert!(
        found.len() == 1 && found[0].contains("more than 1000 files"),
        "{found:#?}"
    );
}

#[test]
fn a_name_that_is_not_set_is_shown_where_it_stands_and_no_value_is_ever_shown() {
    let found = problems(&[(
        "main",
        "[node]\nname = \"gw1\"\n[operator.alpha]\nprotocol = \"${PASS}\"\nhosts = [\"x:${PORT}\", \"${PASS}\"]\n\
         system_id = \"a\"\npassword = \"x${NONE}${NONE}${ b}\"\n[limits]\nsegments = \"${HOST}\"\n",
    )]);
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("main:5:13: SMSGW-C017: PORT is not set")),
        "{found:#?}"
    );
    for column in [14, 21] {
        let place = format!("main:7:{column}: SMSGW-C017: NONE is not set");
        assert!(found.iter().any(|line| line.starts_with(&place)), "{found:#?}");
    }
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("main:7:28: SMSGW-C017: `${` begins no name")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line.contains("operator.alpha.protocol: the value is not one of")),
        "{found:#?}"
    );
    assert!(!found.concat().contains("hush"), "{found:#?}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_where_its_file_is_named() {
    let listener = "[admin]\ncert_file = \"a.pem\"\nkey_file = \"b.key\"\n";
    assert_eq!(
        problems(&[
            ("main", "include = [\"a\"]\n[node]\nname = \"n\"\n"),
            ("a", listener)
        ]),
        ["a:3:12: SMSGW-C019: admin.key_file: it belongs to another certificate"]
    );
}
