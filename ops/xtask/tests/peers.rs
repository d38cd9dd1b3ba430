//! The peers of the tests understand each other: what they find in the gateway is the gateway's.
//!
//! Runs `ops/peers/check.py`, which holds the assertions. A missing peer fails this test; it is never skipped.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn peers_understand_each_other_and_the_dissector_finds_what_is_planted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let peers = std::env::var_os("SMSGW_PEERS").map_or_else(|| root.join("target/peers"), PathBuf::from);
    let python = peers.join("venv/bin/python");
    assert!(
        python.is_file(),
        "no peers under {}: run `cargo xtask test --only install`, and name another place in SMSGW_PEERS",
        peers.display()
    );
    let output = Command::new(python)
        .arg(root.join("ops/peers/check.py"))
        .env("SMSGW_PEERS", &peers)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    println!("{}", text(&output.stdout).trim());
}
