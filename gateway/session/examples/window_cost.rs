//! Prints what a window costs by its width: `cargo run --release -p smsgw-session --example window_cost`.
//!
//! Time of a submit and its answer with the window full, and with ten requests in it; memory of idle windows and of full
//! ones. The first two must be flat, an idle window must cost the same whatever its width. Memory is read from
//! `/proc/self/statm`, so the last columns are for Linux.
#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement"
)]

use smsgw_session::{Tombstones, Window};
use std::hint::black_box;
use std::time::{Duration, Instant};

const SUBMITS: u32 = 3_000_000;
const IDLE: usize = 20_000;

fn main() {
    println!("window  ns a submit, full  ns a submit, 10 of it  octets idle  octets a request");
    for width in [10, 100, 1000, 10_000] {
        let full = submits(width, width);
        let ten = submits(width, 10);
        let before = resident();
        let idle: Vec<Window<u32, u64>> = (0..IDLE).map(|_| Window::new(width)).collect();
        let idle_octets = resident().saturating_sub(before) / IDLE;
        drop(black_box(idle));
        let before = resident();
        let count = 1_000_000 / width;
        let now = Instant::now();
        let used: Vec<_> = (0..count).map(|_| filled(width, width, now)).collect();
        let used_octets = resident().saturating_sub(before) / (count * width);
        drop(black_box(used));
        println!("{width:6}  {full:17.0}  {ten:21.0}  {idle_octets:11}  {used_octets:16}");
    }
}

fn filled(width: usize, used: usize, now: Instant) -> Window<u32, u64> {
    let mut window = Window::new(width);
    for key in 0..u32::try_from(used).unwrap() {
        window.insert(key, 0, now).unwrap();
    }
    window
}

/// Answers the oldest and submits the next, `used` outstanding all the while, as a session does it.
fn submits(width: usize, used: usize) -> f64 {
    let start = Instant::now();
    let mut window = filled(width, used, start);
    let tombstones: Tombstones<u32, u64> = Tombstones::new(1000, Duration::from_secs(60));
    let behind = u32::try_from(used).unwrap();
    let began = Instant::now();
    for key in 0..SUBMITS {
        black_box(window.remove(&key)).unwrap();
        let next = key + behind;
        assert!(!tombstones.contains(&next));
        let deadline = start + Duration::from_micros(u64::from(next));
        window.insert(next, u64::from(key), deadline).unwrap();
        black_box(window.next_deadline());
    }
    began.elapsed().as_nanos() as f64 / f64::from(SUBMITS)
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * 4096
}
