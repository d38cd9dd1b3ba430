//! Prints what a lookup in the built-in number plan costs: `cargo run --release -p smsgw-routing --example plan_lookup`.
#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement"
)]

use smsgw_routing::NumberPlan;
use std::hint::black_box;
use std::time::Instant;

const LOOKUPS: u32 = 4_000_000;

fn main() {
    let start = Instant::now();
    let plan = NumberPlan::builtin();
    println!("read in {:?}: {:?}", start.elapsed(), plan.size());
    // Numbers of the countries that send most, their last digits from a simple generator.
    let leads = [
        "49151", "447", "3361", "1212", "91981", "86139", "7912", "5511", "2348", "62812",
    ];
    let mut seed = 1_u64;
    let numbers: Vec<String> = (0..65_536)
        .map(|index: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!(
                "{}{:07}",
                leads.get(index % leads.len()).unwrap_or(&"49"),
                (seed >> 33) % 10_000_000
            )
        })
        .collect();
    for (what, lookup) in [
        (
            "country",
            (|plan, number| plan.country(number).is_some()) as fn(&NumberPlan, &str) -> bool,
        ),
        ("network", |plan, number| plan.network(number).is_some()),
    ] {
        let start = Instant::now();
        let found = numbers
            .iter()
            .cycle()
            .zip(0..LOOKUPS)
            .filter(|(number, _)| lookup(black_box(plan), number))
            .count();
        let each = start.elapsed().as_nanos() as f64 / f64::from(LOOKUPS);
        println!("{what}: {each:.0} ns a lookup, {found} of {LOOKUPS} found");
    }
}
