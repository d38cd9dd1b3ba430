//! The octets that hold our codec are still what the packages write, and the dissector finds nothing wrong with ours.
//!
//! Runs `ops/peers/vectors.js`, `vectors.py` and `show.sh` against the files beside the codec's tests. A missing peer
//! fails these tests; it is never skipped.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn peers() -> PathBuf {
    let peers = std::env::var_os("SMSGW_PEERS").map_or_else(|| root().join("target/peers"), PathBuf::from);
    assert!(
        peers.join("venv/bin/python").is_file(),
        "no peers under {}: run `cargo xtask test --only install`, and name another place in SMSGW_PEERS",
        peers.display()
    );
    peers
}

fn committed(file: &str) -> PathBuf {
    root().join("gateway/smpp/tests/decode/vectors").join(file)
}

/// Standard output of a command that must succeed.
fn output(command: &mut Command) -> String {
    let output = command.env("SMSGW_PEERS", peers()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn the_packages_still_write_the_octets_that_are_committed() {
    for (program, script, file) in [
        (PathBuf::from("node"), "vectors.js", "npm-smpp.txt"),
        (peers().join("venv/bin/python"), "vectors.py", "smpplib.txt"),
    ] {
        let written = output(Command::new(program).arg(root().join("ops/peers").join(script)));
        let kept = std::fs::read_to_string(committed(file)).unwrap();
        assert_eq!(written, kept, "{file} is not what {script} prints");
    }
}

#[test]
fn the_dissector_finds_nothing_wrong_with_one_pdu_of_each_kind() {
    let shown = output(Command::new(root().join("ops/peers/show.sh")).arg(committed("ours.txt")));
    let count = std::fs::read_to_string(committed("ours.txt"))
        .unwrap()
        .lines()
        .count();
    assert!(shown.starts_with(&format!("pdus {count}\n")), "{shown}");
}

#[test]
fn the_dissector_would_tell_a_pdu_that_is_malformed() {
    let file = std::env::temp_dir().join(format!("smsgw-vectors-{}.txt", std::process::id()));
    // A query_sm that ends inside its id.
    std::fs::write(&file, "query_sm 0000001200000003000000000000000741\n").unwrap();
    let output = Command::new(root().join("ops/peers/show.sh"))
        .arg(&file)
        .env("SMSGW_PEERS", peers())
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(
        !output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
