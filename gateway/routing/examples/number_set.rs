//! What a list of five million numbers costs: memory, time to build, time of a lookup.
//!
//! `cargo run --release -p smsgw-routing --example number_set`. Reads the process's memory from `/proc`, where there is one.

#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement"
)]

use smsgw_routing::NumberSetBuilder;
use std::hint::black_box;
use std::time::Instant;

const ENTRIES: u64 = 5_000_000;
const PREFIXES: u64 = 1_000;
const LOOKUPS: u32 = 4_000_000;

/// Resident memory, in megabytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

fn number(index: u64) -> String {
    // Spread over the numbers of a country as subscribers are: all of the digits differ.
    let spread = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    format!("49{:010}", spread % 10_000_000_000)
}

fn main() {
    let before = resident();
    let start = Instant::now();
    let mut builder = NumberSetBuilder::default();
    for index in 0..ENTRIES {
        builder
            .line(number(index).as_bytes())
            .expect("digits are an entry");
    }
    for index in 0..PREFIXES {
        builder
            .line(format!("1{index:05}*").as_bytes())
            .expect("digits are an entry");
    }
    let parsed = start.elapsed();
    let start = Instant::now();
    let set = builder.build();
    println!(
        "{} entries: lines read in {parsed:?}, built in {:?}, {:.1} MB",
        set.len(),
        start.elapsed(),
        resident() - before
    );
    for (what, first) in [("in the list", 0), ("not in it", ENTRIES)] {
        let numbers: Vec<String> = (0..65_536).map(|index| number(first + index * 7)).collect();
        let start = Instant::now();
        let found = numbers
            .iter()
            .cycle()
            .zip(0..LOOKUPS)
            .filter(|(number, _)| black_box(&set).contains(number))
            .count();
        let each = start.elapsed().as_nanos() as f64 / f64::from(LOOKUPS);
        println!("{what}: {each:.0} ns a lookup, {found} of {LOOKUPS} found");
    }
}
