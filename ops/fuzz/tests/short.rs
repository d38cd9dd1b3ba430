//! A short run of every target with plain random mutations, and a replay of what once broke one.
//!
//! The seeds are fixed: a failure repeats. The long, coverage-guided run is `cargo xtask fuzz`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smsgw_fuzz::{TARGETS, Target, target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const EXECUTIONS: usize = 10_000;
const LONGEST: usize = 4096;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn run(target: &Target, octets: &[u8], what: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(octets)));
    assert!(
        outcome.is_ok(),
        "{} broke on {what}: {}",
        target.name,
        hex(octets)
    );
}

/// One to four changes of the kinds that parsers fear.
fn mutate(random: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=octets.len());
        let to = random.random_range(at..=octets.len());
        match random.random_range(0..8) {
            0 if at < octets.len() => octets[at] ^= 1 << random.random_range(0..8),
            1 if at < octets.len() => octets[at] = [0, 1, 0x7F, 0x80, 0xFF][random.random_range(0..5)],
            2 => octets.truncate(at),
            3 => drop(octets.drain(at..to)),
            4 => {
                let copy = octets[at..to].to_vec();
                octets.splice(at..at, copy);
            }
            5 => {
                let new: Vec<u8> = (0..random.random_range(1..8)).map(|_| random.random()).collect();
                octets.splice(at..at, new);
            }
            6 => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len());
                octets.splice(at..to, other[from..].iter().copied());
            }
            _ => octets[at..to].fill(random.random()),
        }
        octets.truncate(LONGEST);
    }
    octets
}

fn short(name: &str) {
    let target = target(name).unwrap();
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for seed in &seeds {
        run(target, seed, "a seed");
    }
    run(target, &[], "nothing");
    let mut random = StdRng::seed_from_u64(0x5EED);
    for _ in 0..EXECUTIONS {
        run(target, &mutate(&mut random, &seeds), "a mutation");
    }
}

macro_rules! each {
    ($($name:ident)*) => {
        $(#[test] fn $name() { short(stringify!($name)); })*

        #[test]
        fn every_target_has_its_test() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

each!(framer pdu receipt esme smsc ucp centre udh text time record toml);

#[test]
fn what_once_broke_a_target_does_not_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for target in TARGETS {
        let Ok(files) = std::fs::read_dir(folder.join(target.name)) else {
            continue; // nothing ever broke it
        };
        for file in files {
            let path = file.unwrap().path();
            run(
                target,
                &std::fs::read(&path).unwrap(),
                &path.display().to_string(),
            );
        }
    }
}
