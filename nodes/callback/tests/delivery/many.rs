//! A hundred endpoints, ten of them dead and ten slow: what the healthy eighty see.
//!
//! `CALLBACK_RATE` sets events per second (5,000 is the target of an optimised build), `CALLBACK_SECONDS` for how long.

use super::*;
use std::collections::HashMap;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run by name, with --nocapture"]
async fn ten_dead_and_ten_slow_endpoints_leave_eighty_healthy_ones_alone() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (rate, seconds) = (number("CALLBACK_RATE", 1_000), number("CALLBACK_SECONDS", 10));
    let mut targets = Vec::new();
    for n in 0..100 {
        let reply = match n {
            0..5 => Reply::Hang,
            10..20 => Reply::After(Duration::from_millis(800)),
            _ => Reply::Status(200),
        };
        targets.push(Target::start(reply).await);
    }
    // Five swallow requests, five refuse connections.
    let mut urls: Vec<String> = targets.iter().map(Target::url).collect();
    for url in &mut urls[5..10] {
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        *url = format!("http://{closed}/");
    }
    let node = Node::start(&format!("{ALLOWED}retry = [\"1s for 10m\"]")).await;
    let mut published: HashMap<String, (usize, Instant)> = HashMap::new();
    let (start, mut sent) = (Instant::now(), 0_u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent < due {
            let n = (sent % 100) as usize;
            let at = Instant::now();
            for id in node.report(&format!("c{n}"), &urls[n], 1).await {
                published.insert(id.to_string(), (n, at));
            }
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let healthy = published.values().filter(|(n, _)| *n >= 20).count();
    let arrived = || targets[20..].iter().map(Target::count).sum::<usize>();
    until("all healthy ones are told", Duration::from_secs(30), || {
        arrived() >= healthy
    })
    .await;
    let mut latencies: Vec<Duration> = Vec::new();
    for target in &targets[20..] {
        for got in target.got.lock().unwrap().iter() {
            let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
            let (_, at) = published[body["message"]["id"].as_str().unwrap()];
            latencies.push(got.at.saturating_duration_since(at));
        }
    }
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "{sent} events in {seconds} s over 100 endpoints, 10 dead, 10 slow (800 ms): {} reached the healthy 80, \
         p50 {:?} p99 {:?} p99.9 {:?} max {:?}",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    assert_eq!(latencies.len(), healthy, "each once");
    assert!(at(0.99) < Duration::from_millis(100), "p99 {:?}", at(0.99));
    node.tree.stop().await;
}
