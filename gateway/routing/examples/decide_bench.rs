//! Prints what a decision costs with a million prefixes and ten thousand routes, a lookup in ten million ported numbers, and
//! that memory stays as it is: `cargo run --release -p smsgw-routing --example decide_bench`. The clock is noisy where others
//! work on the machine; `perf stat -e instructions:u` counts the same work without it (`DECISIONS=0` for what building takes).
#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a measurement"
)]

use smsgw_message::{Address, Class, ClientId, MessageId, OperatorId, Timestamp};
use smsgw_routing::{
    Content, MtRoute, NetworkCode, PortedBuilder, Question, RouteTable, SenderPattern, TimeWindow, decide_mt,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PREFIXES: u64 = 1_000_000;
const ROUTES: u64 = 10_000;
const PORTED: u64 = 10_000_000;
const CLIENTS: u64 = 100;
/// Decisions that are timed together: one alone is shorter than the clock's grain.
const TOGETHER: usize = 16;

/// Resident memory of this process, in MB; absent where there is no `/proc`.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

fn client(n: u64) -> ClientId {
    ClientId::try_new(&format!("client{n}")).unwrap()
}

/// A hundred prefixes of 5 to 9 digits each; some for one client, one class, one network, some senders or the night.
fn route(n: u64, numbers: &mut Numbers) -> MtRoute {
    let prefix = |numbers: &mut Numbers| {
        let length = 5 + usize::try_from(numbers.next(5)).unwrap();
        format!("{:09}", 100_000_000 + numbers.next(900_000_000))[..length].to_owned()
    };
    let operators = (0..3).map(|k| OperatorId::try_new(&format!("op{}", (n + k) % 50)).unwrap());
    let some = |every: u64| n.is_multiple_of(every);
    MtRoute {
        priority: u32::from(some(97)),
        prefixes: (0..PREFIXES / ROUTES).map(|_| prefix(numbers)).collect(),
        clients: some(3).then(|| client(n % CLIENTS)).into_iter().collect(),
        classes: some(5).then_some(Class::Bulk).into_iter().collect(),
        networks: some(7)
            .then(|| NetworkCode::from_text("262").unwrap())
            .into_iter()
            .collect(),
        senders: some(11)
            .then(|| SenderPattern::from_text("AC*").unwrap())
            .into_iter()
            .collect(),
        times: some(13)
            .then(|| TimeWindow::from_text("22:00-06:00").unwrap())
            .into_iter()
            .collect(),
        ..MtRoute::to(operators.collect())
    }
}

fn main() {
    let mut numbers = Numbers(1);
    let mut routes: Vec<MtRoute> = (0..ROUTES).map(|n| route(n, &mut numbers)).collect();
    routes.push(MtRoute::to(vec![OperatorId::try_new("last").unwrap()]));
    let mut builder = PortedBuilder::default();
    let start = Instant::now();
    for n in 0..PORTED {
        // Neighbours, as in the ranges of real networks, with gaps.
        let line = format!("49{} 2620{}", 150_000_000_000 + n * 3, 1 + n % 3);
        builder.line(line.as_bytes()).unwrap();
    }
    let read = start.elapsed();
    let start = Instant::now();
    let ported = builder.build().unwrap();
    println!(
        "ported numbers: {} in {:.0} MB, lines read in {read:.1?}, made ready in {:.1?}",
        ported.len(),
        ported.octets() as f64 / 1e6,
        start.elapsed()
    );
    let start = Instant::now();
    let table = RouteTable::try_new(routes, Vec::new()).unwrap();
    println!(
        "table of {PREFIXES} prefixes in {} routes: made in {:.1?}",
        ROUTES + 1,
        start.elapsed()
    );
    let ported = Arc::new(ported);
    let table = table.with_ported(vec![Arc::clone(&ported)]);

    let phones: Vec<Address> = (0..65_536)
        .map(|n: u64| {
            let digits = if n.is_multiple_of(2) {
                format!("49{}", 150_000_000_000 + numbers.next(3 * PORTED))
            } else {
                format!(
                    "{}",
                    100_000_000_000 + numbers.next(900_000_000) * 1_000 + numbers.next(1_000)
                )
            };
            Address::msisdn(&digits).unwrap()
        })
        .collect();
    let clients: Vec<ClientId> = (0..CLIENTS).map(client).collect();
    let sender = Address::sender("ACME").unwrap();
    let decisions: usize = std::env::var("DECISIONS").map_or(4_000_000, |text| text.parse().unwrap());
    let before = resident();
    let mut taken = 0_usize;
    let mut times = Vec::with_capacity(decisions / TOGETHER);
    for batch in 0..decisions / TOGETHER {
        let start = Instant::now();
        for n in 0..TOGETHER {
            let at = batch * TOGETHER + n;
            let question = Question {
                client: &clients[at % clients.len()],
                class: Class::ALL[at % 3],
                from: Some(&sender),
                to: &phones[at.wrapping_mul(7) % phones.len()],
                content: Content::Is(None),
                tags: &[],
                id: MessageId::from_bytes([7; 16]),
                at: Timestamp::from_millis(1_795_248_000_000),
            };
            let found = decide_mt(black_box(&table), question).unwrap();
            taken += usize::from(found.route <= usize::try_from(ROUTES).unwrap());
        }
        times.push(start.elapsed() / u32::try_from(TOGETHER).unwrap());
    }
    times.sort_unstable();
    let quantile = |per_mille: usize| {
        times
            .get(times.len() * per_mille / 1000)
            .copied()
            .unwrap_or(Duration::ZERO)
    };
    println!(
        "decisions: {decisions}, median {:?}, 99 % {:?} (means of {TOGETHER}); {taken} by a route with prefixes",
        quantile(500),
        quantile(990)
    );
    println!("resident before and after: {before:?} MB, {:?} MB", resident());
    let start = Instant::now();
    let lookups = 1_000_000.min(decisions);
    let found = (0..lookups)
        .filter(|n| {
            ported
                .network(phones[n.wrapping_mul(7) % phones.len()].as_str())
                .is_some()
        })
        .count();
    let each = start.elapsed().as_nanos() as f64 / (lookups.max(1)) as f64;
    println!("ported: {each:.0} ns a lookup, {found} of {lookups} found");
}
