//! No clocks and no files in the pure crates: time and input are arguments there.
//!
//! Looks at the names a crate's shipped code uses; its tests may build an `Instant` or read a fixture. What it can miss
//! stands in `tokens.rs`.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::layers::is_pure;
use super::tokens::{NamedPath, Token, paths, shipped, tokenize};
use super::{Finding, SourceFile};

/// Modules of the standard library through which the outside world comes in.
const OUTSIDE: &[(&str, &str)] = &[
    ("fs", "files"),
    ("env", "the environment"),
    ("os", "the operating system"),
    ("process", "processes"),
    ("thread", "threads"),
];

/// What `std::net` has that is a value and no socket.
const ADDRESSES: &[&str] = &[
    "self",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    "AddrParseError",
];

/// Names that open something or read a clock, wherever they come from.
const ACTIVE_NAMES: &[(&str, &str)] = &[
    ("SystemTime", "the clock"),
    ("OpenOptions", "files"),
    ("TcpStream", "sockets"),
    ("TcpListener", "sockets"),
    ("UdpSocket", "sockets"),
    ("UnixStream", "sockets"),
    ("UnixListener", "sockets"),
    ("UnixDatagram", "sockets"),
    ("ToSocketAddrs", "the resolver"),
    ("now_v1", "the clock"),
    ("now_v6", "the clock"),
    ("now_v7", "the clock"),
    ("stdin", "standard input"),
];

const OPENERS: &[&str] = &[
    "open",
    "create",
    "create_new",
    "options",
    "open_buffered",
    "create_buffered",
];

pub(super) fn check(graph: &Graph, files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, directory) in graph.members().filter(|(name, _)| is_pure(name)) {
        let source = format!("{directory}/src/");
        let mut read = Vec::new();
        let mut for_tests = BTreeSet::new();
        for file in files
            .iter()
            .filter(|f| f.path.starts_with(&source) && f.path.ends_with(".rs"))
        {
            let Some(text) = &file.text else { continue };
            let shipped = shipped(tokenize(text));
            for module in &shipped.test_modules {
                let base = module_directory(&file.path);
                for_tests.insert(format!("{base}{module}.rs"));
                for_tests.insert(format!("{base}{module}/"));
            }
            read.push((&file.path, shipped.tokens));
        }
        for (path, tokens) in read {
            let only_tests = for_tests
                .iter()
                .any(|t| path == t || (t.ends_with('/') && path.starts_with(t.as_str())));
            if only_tests {
                continue;
            }
            for (line, what) in uses(&tokens) {
                findings.push(Finding::new(
                    format!("{path}:{line}"),
                    format!("{name} is pure, but this uses {what}"),
                    "take time, bytes or settings as an argument; reading them is the business of L2 and above",
                ));
            }
        }
    }
    findings
}

/// Where the modules declared in a file lie.
fn module_directory(path: &str) -> String {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{directory}/"),
        other => format!("{directory}/{}/", other.trim_end_matches(".rs")),
    }
}

/// What the code uses of the outside world, line by line.
fn uses(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = paths(tokens).iter().filter_map(outside).collect();
    for window in tokens.windows(3) {
        let [before, name, after] = window else { continue };
        if before.text == "::" && name.text == "now" {
            found.push((name.line, "the clock (`::now`)".into()));
        }
        if before.text == "." && name.text == "elapsed" && after.text == "(" {
            found.push((name.line, "the clock (`.elapsed()`)".into()));
        }
    }
    found
}

fn outside(path: &NamedPath) -> Option<(usize, String)> {
    let written = path.segments.join("::");
    let words: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let what = match words.as_slice() {
        ["std", "net", rest @ ..] => {
            let value = rest.first().is_some_and(|name| ADDRESSES.contains(name)) && rest != ["self"];
            (!value).then_some("the network")
        }
        ["std", module, ..] => OUTSIDE
            .iter()
            .find(|(name, _)| name == module)
            .map(|(_, what)| *what),
        // Channels are no runtime; whether a crate may have them is the business of the layers.
        ["tokio", "sync", ..] => None,
        ["tokio" | "mio" | "socket2" | "rustix" | "libc", ..] => Some("the operating system"),
        [.., "File", opener] if OPENERS.contains(opener) => Some("files"),
        _ => None,
    };
    let what = what.or_else(|| {
        ACTIVE_NAMES
            .iter()
            .find(|(name, _)| words.contains(name))
            .map(|(_, what)| *what)
    });
    what.map(|what| (path.line, format!("{what} (`{written}`)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_at(path: &str, text: &str) -> Vec<Finding> {
        let mut graph = Graph::default();
        graph.add_member("smsgw-smpp", "gateway/smpp");
        graph.add_member("smsgw-transport", "gateway/transport");
        check(
            &graph,
            &[SourceFile {
                path: path.into(),
                text: Some(text.into()),
            }],
        )
    }

    fn findings(text: &str) -> Vec<Finding> {
        findings_at("gateway/smpp/src/session.rs", text)
    }

    #[test]
    fn each_way_out_is_found() {
        for planted in [
            "fn f() { let t = std::time::Instant::now(); }",
            "use std::time::Instant; fn f() { Instant::now(); }",
            "use std::time::Instant as Clock; fn f() { Clock::now(); }",
            "fn f() -> fn() -> Instant { <Instant>::now }",
            "use std::time::{Duration, SystemTime};",
            "fn f(t: Instant) -> Duration { t.elapsed() }",
            "fn f() { jiff::Timestamp::now(); }",
            "fn f() { Uuid::now_v7(); }",
            "use std::fs;",
            "use std::fs as disk;",
            "use std::{collections::BTreeMap, fs::File};",
            "fn f() { std::fs::read(\"x\"); }",
            "fn f() { File::open(\"x\"); }",
            "use std::net;",
            "use std::net::{self, IpAddr};",
            "use std::net::{IpAddr, TcpStream};",
            "use std::net::*;",
            "fn f() { std::env::var(\"HOME\"); }",
            "fn f() { std::thread::sleep(D); }",
            "fn f() { std::process::exit(1); }",
            "use tokio::time::sleep;",
        ] {
            assert!(!findings(planted).is_empty(), "not found: {planted}");
        }
    }

    #[test]
    fn values_of_time_and_addresses_are_no_way_out() {
        for sound in [
            "use std::time::{Duration, Instant}; fn f(now: Instant) -> Instant { now + Duration::ZERO }",
            "use std::net::{IpAddr, SocketAddr}; fn f(a: std::net::Ipv4Addr) {}",
            "// std::fs::read, Instant::now()\nfn f() -> &'static str { \"SystemTime::now()\" }",
            "use tokio::sync::watch;",
            "fn now(now: u64) -> u64 { self.now }",
            "#[cfg(test)]\nmod tests { fn t() { std::time::Instant::now(); std::fs::read(\"x\"); } }",
        ] {
            assert_eq!(findings(sound), vec![], "{sound}");
        }
    }

    #[test]
    fn a_finding_names_file_line_and_use() {
        let found = findings("//! Header.\n\nuse std::fs;\n");
        let [finding] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(finding.place, "gateway/smpp/src/session.rs:3");
        assert!(finding.wrong.contains("files (`std::fs`)"), "{finding}");
    }

    #[test]
    fn crates_of_the_outside_world_are_not_scanned() {
        assert_eq!(
            findings_at("gateway/transport/src/lib.rs", "use std::fs;"),
            vec![]
        );
    }

    #[test]
    fn integration_tests_of_a_pure_crate_may_read_fixtures() {
        assert_eq!(
            findings_at("gateway/smpp/tests/fixtures.rs", "use std::fs;"),
            vec![]
        );
    }

    #[test]
    fn a_module_file_for_tests_only_is_not_scanned_but_its_neighbour_is() {
        let mut graph = Graph::default();
        graph.add_member("smsgw-smpp", "gateway/smpp");
        let file = |path: &str, text: &str| SourceFile {
            path: path.into(),
            text: Some(text.into()),
        };
        let found = check(
            &graph,
            &[
                file("gateway/smpp/src/pdu.rs", "#[cfg(test)] mod tests; mod other;"),
                file("gateway/smpp/src/pdu/tests.rs", "use std::fs;"),
                file("gateway/smpp/src/pdu/other.rs", "use std::fs;"),
            ],
        );
        assert_eq!(
            found.iter().map(|f| f.place.as_str()).collect::<Vec<_>>(),
            ["gateway/smpp/src/pdu/other.rs:1"]
        );
    }
}
