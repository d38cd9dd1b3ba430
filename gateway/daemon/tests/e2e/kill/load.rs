//! The load of the kill test: clients that submit, phones that answer, and what the clients were told.
//!
//! Bounded: at most [`OUTSTANDING`] messages are accepted and not reported yet, so that every moment has some in flight
//! and the end comes soon.

use crate::harness::{Api, Callback, Carrier, Ledger, PATIENCE, eventually};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;

const OUTSTANDING: usize = 300;
/// Pause between two messages of phones.
const MO_EVERY: Duration = Duration::from_millis(40);
/// Longer than [`PATIENCE`] for the end, when everything that is outstanding comes home.
const HOME: Duration = PATIENCE.saturating_mul(2);

/// What was sent: the token of every request, and the id of every message that was answered 2xx.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) ids: BTreeMap<String, String>,
    pub(super) unanswered: HashSet<String>,
    pub(super) mo: usize,
}

#[derive(Debug, Default)]
struct Shared {
    answered: Mutex<HashMap<String, String>>,
    unanswered: Mutex<HashSet<String>>,
    /// Ids of messages with a report.
    reported: Mutex<HashSet<String>>,
    reports: AtomicUsize,
    mo: AtomicUsize,
    stop: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    api: watch::Sender<Option<Api>>,
    submitters: Mutex<Vec<JoinHandle<()>>>,
    listener: JoinHandle<()>,
}

impl Load {
    pub(super) fn start(
        submitters: usize,
        callbacks: Arc<Ledger<Callback>>,
        carrier: Arc<AsyncMutex<Carrier>>,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let api = watch::Sender::new(None);
        let mut tasks: Vec<JoinHandle<()>> = (0..submitters)
            .map(|number| tokio::spawn(submit(number, Arc::clone(&shared), api.subscribe())))
            .collect();
        tasks.push(tokio::spawn(phones(Arc::clone(&shared), carrier)));
        let listener = tokio::spawn(listen(Arc::clone(&shared), callbacks));
        Self {
            shared,
            api,
            submitters: Mutex::new(tasks),
            listener,
        }
    }

    /// From now on this is where requests go.
    pub(super) fn serve(&self, api: Api) {
        self.api.send_replace(Some(api));
    }

    /// There is nobody to send requests to.
    pub(super) fn pause(&self) {
        self.api.send_replace(None);
    }

    pub(super) fn answered_count(&self) -> usize {
        self.shared.answered.lock().unwrap().len()
    }

    pub(super) async fn answered_at_least(&self, count: usize) {
        eventually(&format!("{count} messages are accepted"), || async {
            (self.answered_count() >= count).then_some(())
        })
        .await;
    }

    /// Ends the load; what was sent.
    pub(super) async fn stop(&self) -> Sent {
        self.shared.stop.store(true, Ordering::SeqCst);
        let tasks: Vec<JoinHandle<()>> = self.submitters.lock().unwrap().drain(..).collect();
        for task in tasks {
            task.await.unwrap();
        }
        Sent {
            ids: self.shared.answered.lock().unwrap().clone().into_iter().collect(),
            unanswered: self.shared.unanswered.lock().unwrap().clone(),
            mo: self.shared.mo.load(Ordering::SeqCst),
        }
    }

    /// Waits for the report of every message that was answered; some of those that have none in the end.
    pub(super) async fn all_reported(&self, sent: &Sent) -> Vec<(String, String)> {
        let deadline = tokio::time::Instant::now() + HOME;
        loop {
            let missing: Vec<(String, String)> = {
                let reported = self.shared.reported.lock().unwrap();
                let open = sent.ids.iter().filter(|(_, id)| !reported.contains(*id));
                open.take(5)
                    .map(|(token, id)| (token.clone(), id.clone()))
                    .collect()
            };
            if missing.is_empty() || tokio::time::Instant::now() > deadline {
                return missing;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.listener.abort();
        for task in self.submitters.lock().unwrap().iter() {
            task.abort();
        }
    }
}

/// One client: one request after the other, to whoever serves now.
async fn submit(number: usize, shared: Arc<Shared>, mut api: watch::Receiver<Option<Api>>) {
    for n in 0_u64.. {
        let current = loop {
            if shared.stop.load(Ordering::SeqCst) {
                return;
            }
            let served = api.borrow_and_update().clone();
            let open = shared
                .answered
                .lock()
                .unwrap()
                .len()
                .saturating_sub(shared.reports.load(Ordering::SeqCst));
            match served {
                Some(api) if open < OUTSTANDING => break api,
                Some(_) | None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let token = format!("t{number}n{n}");
        let text = format!("{token} under load");
        let body =
            json!({"from": "12345", "to": "491700000001", "text": text, "reference": token}).to_string();
        match current.post(body).await {
            Ok(answer) if answer.status == 202 => {
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                shared.answered.lock().unwrap().insert(token, id);
            }
            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
            // Killed before the answer: the message may exist or not.
            Err(_) => {
                shared.unanswered.lock().unwrap().insert(token);
                while !shared.stop.load(Ordering::SeqCst) {
                    if tokio::time::timeout(Duration::from_millis(50), api.changed())
                        .await
                        .is_ok()
                    {
                        break;
                    }
                }
            }
        }
    }
}

/// Phones that write to us through the carrier.
async fn phones(shared: Arc<Shared>, carrier: Arc<AsyncMutex<Carrier>>) {
    while !shared.stop.load(Ordering::SeqCst) {
        let number = shared.mo.fetch_add(1, Ordering::SeqCst) + 1;
        let text = format!("m{number} from a phone");
        let mo = json!({"cmd": "mo", "id": number, "from": "491700000001", "to": "12345", "text": text});
        carrier.lock().await.tell(&mo).await;
        tokio::time::sleep(MO_EVERY).await;
    }
}

/// Notes which messages were reported.
async fn listen(shared: Arc<Shared>, callbacks: Arc<Ledger<Callback>>) {
    for n in 0.. {
        let callback = callbacks.nth(n).await;
        if callback.body["type"] == "report" {
            let id = callback.body["message"]["id"].as_str().unwrap().to_owned();
            let mut reported = shared.reported.lock().unwrap();
            reported.insert(id);
            shared.reports.store(reported.len(), Ordering::SeqCst);
        }
    }
}
