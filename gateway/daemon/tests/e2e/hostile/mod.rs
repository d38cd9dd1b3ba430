//! Peers that mean harm, or were written badly: whatever they say to either listener, it is answered or closed as the
//! standards have it, the well-behaved sessions beside them do not notice, and memory stays where it was.

mod behaved;
mod http;
mod peer;
mod smpp;

use crate::harness::{Carrier, Gateway, Receiver, free_port, usual};
use behaved::Behaved;
use std::time::Duration;

/// Every other answer to the well-behaved sessions takes no longer …
const P50: Duration = Duration::from_millis(25);
/// … nor 99 of 100 than this: attackers and gateway share two cores, and the slowest of a hundred answers waits for 140 ms on a
/// busy machine, with and without an attack. Whoever waits for an attacker waits for its timeout, which is 3 s at least.
const P99: Duration = Duration::from_millis(500);
/// … or no longer than so many times what they take when nobody attacks: a build without optimisation is slow by itself.
const SLOWER: u32 = 10;
/// Memory that attacks may leave behind.
const GROWTH_KIB: u64 = 96 * 1024;
/// Connections that say nothing.
const IDLE: usize = 500;

#[tokio::test]
async fn hostile_peers_are_answered_or_closed_and_hurt_nobody() {
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&[]).await;
    let smpp = free_port();
    let dir = tempfile::tempdir().unwrap();
    usual(carrier.port, &receiver.url())
        .line("smpp", &format!("listen = \"127.0.0.1:{smpp}\""))
        .line("smpp", "bind_timeout = \"3s\"")
        .line("smpp", "login_delay = \"0s\"")
        .line("http", "header_timeout = \"3s\"")
        .line("http", "request_timeout = \"4s\"")
        .line("client.hostile", "system_id = \"hostile\"")
        .line("client.hostile", "password = \"hostile-pw\"")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let api = gateway.api.clone();
    let port: u16 = api.base().rsplit(':').next().unwrap().parse().unwrap();

    let calm = Behaved::start(&api, smpp).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calm = calm.end().await;
    let memory = resident_kib(gateway.process.id());

    let behaved = Behaved::start(&api, smpp).await;
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut note = |name: &str, outcome: Result<(), String>| {
        count += 1;
        if let Err(why) = outcome {
            wrong.push(format!("{name}: {why}"));
        }
    };
    for case in http::cases() {
        note(&format!("http: {}", case.name), case.run(port).await);
    }
    for case in smpp::cases() {
        note(&format!("smpp: {}", case.name), case.run(smpp).await);
    }
    // All at once from here on, as an attack would have it.
    let (idle_http, idle_smpp) = tokio::join!(http::idle(port, IDLE), http::idle(smpp, IDLE));
    let patience = Duration::from_secs(20);
    let (pipelined, slow_http, unread_http, slow_smpp, unread_smpp, cut) = tokio::join!(
        http::pipelined(port),
        http::slow(port, patience),
        http::never_reading(port),
        smpp::slow(smpp, patience),
        smpp::never_reading(smpp),
        smpp::cut_connections(smpp),
    );
    note("http: 1,000 requests in one go", pipelined);
    note("http: 200 slow senders", slow_http);
    note("http: 20 peers that never read", unread_http);
    note("smpp: 200 slow senders", slow_smpp);
    note("smpp: 20 peers that never read", unread_smpp);
    note("smpp: connections cut at every octet", cut);
    drop((idle_http, idle_smpp));

    let attacked = behaved.end().await;
    let grown = resident_kib(gateway.process.id()).saturating_sub(memory);
    eprintln!("{count} cases, calm {calm:?}, attacked {attacked:?}, {grown} KiB more");
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 80, "{count} cases");
    for (calm, attacked) in calm.iter().zip(&attacked) {
        let kept = attacked.p50 < P50.max(calm.p50 * SLOWER) && attacked.p99 < P99.max(calm.p99 * SLOWER);
        assert!(kept, "{attacked:?} under attack, {calm:?} without");
        assert!(attacked.count > 50, "{attacked:?}");
    }
    assert!(grown < GROWTH_KIB, "{grown} KiB more");
    let panics = gateway
        .metrics()
        .await
        .sum("smsgw_http_connection_panics_total", &[]);
    assert!(panics < 0.5, "{panics} requests panicked");
    gateway.stop().await;
}

/// Resident memory of a process.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
