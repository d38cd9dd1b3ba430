//! Judges a kill run by what the peers have written down: the carrier's ledger, the callback receiver's, the clients'.

use super::WINDOW;
use super::load::Sent;
use crate::harness::{Callback, Ledger, unhex};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How late the carrier, in milliseconds, may read what a gateway wrote before its kill: it is one thread.
const LATE: u64 = 2_000;

/// One life of the gateway; times in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) started: u64,
    /// When its metrics were asked for, and what they said of parts in doubt.
    pub(super) scraped: Option<(u64, f64)>,
    /// Messages it has logged as in doubt, as often as it has.
    pub(super) doubts: Vec<String>,
    /// Just before and just after its kill.
    pub(super) kill: Option<(u64, u64)>,
}

/// One submit in the carrier's ledger.
#[derive(Debug, Clone)]
struct Submit {
    at: u64,
    id: String,
}

#[derive(Debug)]
pub(super) struct Verdict {
    /// Token and id of what was answered.
    ids: BTreeMap<String, String>,
    /// Token and id of what was reported, answered or not.
    reported: HashMap<String, String>,
    unanswered: usize,
    submits: HashMap<String, Vec<Submit>>,
    reports: HashMap<String, Vec<Value>>,
    mo_sent: usize,
    mo_answered: HashSet<u64>,
    mo_arrived: HashMap<u64, Vec<Value>>,
}

impl Verdict {
    pub(super) fn of(sent: &Sent, carrier: &Ledger<Value>, callbacks: &Ledger<Callback>) -> Self {
        let mut submits = HashMap::<String, Vec<Submit>>::new();
        let mut mo_answered = HashSet::new();
        carrier.read(|entries| {
            for entry in entries {
                if entry["kind"] == "submit" {
                    assert_eq!(entry["status"], 0, "this carrier refuses nothing: {entry}");
                    let text = unhex(entry["short_message"].as_str().unwrap());
                    let submit = Submit {
                        at: entry["at"].as_u64().unwrap(),
                        id: entry["id"].as_str().unwrap().to_owned(),
                    };
                    submits.entry(first_word(&text)).or_default().push(submit);
                } else if entry["kind"] == "mo_answered" && entry["status"] == 0 {
                    mo_answered.insert(entry["id"].as_str().unwrap().parse().unwrap());
                }
            }
        });
        let mut reports = HashMap::<String, Vec<Value>>::new();
        let mut reported = HashMap::new();
        let mut mo_arrived = HashMap::<u64, Vec<Value>>::new();
        callbacks.read(|all| {
            for callback in all {
                let message = &callback.body["message"];
                if callback.body["type"] == "report" {
                    let id = message["id"].as_str().unwrap().to_owned();
                    reported.insert(message["reference"].as_str().unwrap().to_owned(), id.clone());
                    reports.entry(id).or_default().push(callback.body.clone());
                } else {
                    let word = first_word(message["text"].as_str().unwrap().as_bytes());
                    mo_arrived
                        .entry(word[1..].parse().unwrap())
                        .or_default()
                        .push(callback.body.clone());
                }
            }
        });
        Self {
            ids: sent.ids.clone(),
            reported,
            unanswered: sent.unanswered.len(),
            submits,
            reports,
            mo_sent: sent.mo,
            mo_answered,
            mo_arrived,
        }
    }

    /// Pairs of a submit and the next one of the same message.
    fn repeats(&self) -> impl Iterator<Item = (&str, &Submit, &Submit)> {
        self.submits.iter().flat_map(|(token, submits)| {
            submits
                .windows(2)
                .map(move |pair| (token.as_str(), &pair[0], &pair[1]))
        })
    }

    /// Carrier ids that nobody was told: every submit but the last one of its message.
    pub(super) fn lost_ids(&self) -> usize {
        self.repeats().count()
    }

    /// Messages that were sent more than once, with the carrier's id of the last submit.
    pub(super) fn sent_again(&self) -> Vec<(String, String)> {
        let again = self.submits.iter().filter(|(_, submits)| submits.len() > 1);
        again
            .map(|(token, submits)| (self.reported[token].clone(), submits.last().unwrap().id.clone()))
            .collect()
    }

    pub(super) fn summary(&self, runs: &[Run], unknown: f64) -> String {
        let kills = runs.iter().filter(|run| run.kill.is_some()).count();
        let doubts: usize = runs.iter().map(|run| run.doubts.len()).sum();
        let repeated = self.reports.values().filter(|reports| reports.len() > 1).count();
        format!(
            "{kills} kills: {} messages answered, {} requests unanswered, {} submits at the carrier, {} sent again, \
             {doubts} in doubt, {unknown} unknown receipts kept, {repeated} of {} reports repeated, {} of {} MO answered",
            self.ids.len(),
            self.unanswered,
            self.submits.values().map(Vec::len).sum::<usize>(),
            self.lost_ids(),
            self.reports.len(),
            self.mo_answered.len(),
            self.mo_sent,
        )
    }

    pub(super) fn assert_every_answered_message_was_sent(&self) {
        let missing: Vec<_> = self
            .ids
            .iter()
            .filter(|(token, _)| !self.submits.contains_key(*token))
            .collect();
        assert!(missing.is_empty(), "answered 2xx and never sent: {missing:?}");
        let silent: Vec<_> = self
            .submits
            .keys()
            .filter(|token| !self.reported.contains_key(*token))
            .collect();
        assert!(silent.is_empty(), "sent and never reported: {silent:?}");
        let unreported: Vec<_> = self
            .ids
            .iter()
            .filter(|(_, id)| !self.reports.contains_key(*id))
            .collect();
        assert!(
            unreported.is_empty(),
            "answered 2xx and never reported: {unreported:?}"
        );
    }

    pub(super) fn assert_reports_repeat_only_themselves(&self) {
        for (id, reports) in &self.reports {
            assert_eq!(reports[0]["message"]["state"], "delivered", "message {id}");
            assert!(
                reports.iter().all(|report| *report == reports[0]),
                "two events for message {id}: {reports:#?}"
            );
        }
    }

    /// A submit is repeated only when a kill lies between, and only after its part was logged and counted as in doubt.
    pub(super) fn assert_duplicates_were_in_doubt(&self, runs: &[Run]) {
        for (token, first, second) in self.repeats() {
            let killed = runs
                .iter()
                .filter_map(|run| run.kill)
                .any(|(before, after)| first.at <= after + LATE && second.at >= before);
            assert!(
                killed,
                "{token} was sent twice without a kill between: {first:?} {second:?}"
            );
        }
        let mut logged = HashMap::<&str, usize>::new();
        for id in runs.iter().flat_map(|run| &run.doubts) {
            *logged.entry(id).or_default() += 1;
        }
        for (token, submits) in &self.submits {
            let doubts = logged
                .get(self.reported[token].as_str())
                .copied()
                .unwrap_or_default();
            assert!(
                submits.len() <= 1 + doubts,
                "{token} was in doubt {doubts} times and sent {} times",
                submits.len()
            );
        }
        for (number, run) in runs.iter().enumerate() {
            let next = runs.get(number + 1).map_or(u64::MAX, |next| next.started);
            let written = self
                .repeats()
                .filter(|(_, first, _)| (run.started..next).contains(&first.at))
                .count();
            assert!(
                written <= 2 * WINDOW,
                "run {number}: {written} submits in doubt, more than a window unanswered and a window of answers not yet durable"
            );
            let Some((scraped, in_doubt)) = run.scraped else {
                continue;
            };
            // A part is counted when it goes back to its queue; a kill may lie between that and its second submit.
            let before: usize = runs.iter().take(number).map(|run| run.doubts.len()).sum();
            let again = self
                .repeats()
                .filter(|(_, _, second)| second.at < scraped)
                .count();
            assert!(
                again as f64 <= before as f64 + in_doubt,
                "up to run {number} {again} parts were sent again; it counted {in_doubt} in doubt, those before it logged {before}"
            );
        }
    }

    /// Each lost id has its receipts; a receipt whose own answer was lost comes again.
    pub(super) fn assert_unknown_receipts_are_those_of_lost_answers(&self, unknown: f64, again: usize) {
        let lost = self.lost_ids();
        assert!(
            unknown >= lost as f64,
            "{lost} ids lost, but only {unknown} receipts kept as unknown"
        );
        let most = (lost + if lost == 0 { 0 } else { again }) as f64;
        assert!(
            unknown <= most,
            "{unknown} receipts are unknown, but only {lost} ids were lost"
        );
    }

    pub(super) fn assert_every_answered_mo_arrived(&self, again: usize) {
        let missing: Vec<_> = self
            .mo_answered
            .iter()
            .filter(|number| !self.mo_arrived.contains_key(number))
            .collect();
        assert!(missing.is_empty(), "MO answered and never delivered: {missing:?}");
        let mut extra = 0;
        for (number, arrived) in &self.mo_arrived {
            let messages: HashSet<&str> = arrived
                .iter()
                .map(|mo| mo["message"]["id"].as_str().unwrap())
                .collect();
            let events: HashSet<&str> = arrived.iter().map(|mo| mo["id"].as_str().unwrap()).collect();
            assert_eq!(
                messages.len(),
                events.len(),
                "MO {number}: one event a message: {arrived:#?}"
            );
            extra += messages.len() - 1;
        }
        assert!(
            extra <= again,
            "{extra} MO came twice, more than could be unanswered at the kills"
        );
    }
}

fn first_word(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}
