//! One target under libFuzzer: `cargo xtask fuzz TARGET` builds this with coverage instrumentation and runs it.
//!
//! The target is named by `SMSGW_FUZZ_TARGET` (`list` prints them all), the folder that its seeds are written to by
//! `SMSGW_FUZZ_SEEDS`; the arguments are libFuzzer's own. Knows no target itself.
#![no_main]

use smsgw_fuzz::{TARGETS, Target, target};
use std::path::PathBuf;
use std::process::exit;
use std::sync::OnceLock;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

/// Before libFuzzer reads its corpus.
fn prepare() {
    let name = std::env::var("SMSGW_FUZZ_TARGET").unwrap_or_default();
    if name == "list" {
        for target in TARGETS {
            println!("{:10} {}", target.name, target.about);
        }
        exit(0);
    }
    let Some(target) = target(&name) else {
        eprintln!("SMSGW_FUZZ_TARGET: there is no target {name:?}; `list` prints them");
        exit(2);
    };
    if let Some(folder) = std::env::var_os("SMSGW_FUZZ_SEEDS").map(PathBuf::from) {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let file = folder.join(format!("seed-{number}"));
            if let Err(error) = std::fs::write(&file, seed) {
                eprintln!("{}: {error}", file.display());
                exit(1);
            }
        }
    }
    TARGET.get_or_init(|| target);
}

libfuzzer_sys::fuzz_target!(
    init: prepare(),
    |octets: &[u8]| {
        let target = TARGET.get().expect("prepared before the first input");
        (target.run)(octets);
    }
);
