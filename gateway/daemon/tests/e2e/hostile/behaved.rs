//! The well-behaved sessions beside the attacks: one over HTTP, one over SMPP, a message every 20 ms each, on the same
//! listeners; each notes how long its answers take.

use super::peer::{Peer, SUBMIT_SM, good_submit};
use crate::harness::Api;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Behaved {
    over: Arc<AtomicBool>,
    http: JoinHandle<Vec<Duration>>,
    smpp: JoinHandle<Vec<Duration>>,
}

/// How long one of two answers took at most, and 99 of 100, and how many there were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) count: usize,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl Behaved {
    pub(super) async fn start(api: &Api, smpp: u16) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (api, stop) = (api.clone(), Arc::clone(&over));
        let http = tokio::spawn(async move {
            let message = json!({"from": "12345", "to": "491700000002", "text": "well-behaved"});
            let mut took = Vec::new();
            let mut tick = ticker();
            while !stop.load(Ordering::Relaxed) {
                tick.tick().await;
                let asked = Instant::now();
                api.submit(&message).await;
                took.push(asked.elapsed());
            }
            took
        });
        let mut peer = Peer::bound(smpp).await;
        let stop = Arc::clone(&over);
        let smpp = tokio::spawn(async move {
            let mut took = Vec::new();
            let mut tick = ticker();
            while !stop.load(Ordering::Relaxed) {
                tick.tick().await;
                let asked = Instant::now();
                let answer = peer.ask(SUBMIT_SM, &good_submit()).await.unwrap();
                assert_eq!(answer.expect("an answer to a submit").status, 0);
                took.push(asked.elapsed());
            }
            took
        });
        Self { over, http, smpp }
    }

    /// Ends both; HTTP and SMPP.
    pub(super) async fn end(self) -> [Answered; 2] {
        self.over.store(true, Ordering::Relaxed);
        [self.http.await.unwrap(), self.smpp.await.unwrap()].map(|mut took| {
            took.sort_unstable();
            Answered {
                count: took.len(),
                p50: took[took.len() / 2],
                p99: took[(took.len() * 99 / 100).min(took.len() - 1)],
            }
        })
    }
}

fn ticker() -> tokio::time::Interval {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
