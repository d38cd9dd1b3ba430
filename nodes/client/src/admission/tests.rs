//! Admission as a whole, on the memory engine: what is refused and why, and that quotas hold whatever happens.

use super::*;
use crate::accept::{self, Refusal};
use proptest::prelude::*;
use smsgw_config::{Config, ConfigHandle};
use smsgw_message::segment::split_units;
use smsgw_message::text::{Requested, encode};
use smsgw_message::{Address, Class, ClientId, MessageId, MtMessage, Origin, ReportLevel, Timestamp, names};
use smsgw_queue::{Engine, Expiry, MemoryEngine, Step, StepId};
use smsgw_runtime::{Clock, SystemClock};
use std::sync::Arc;
use tokio::time::Instant;

fn config(rest: &str) -> Config {
    let text = format!(
        "[node]\nname = \"t\"\n[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\n\
         password = \"x\"\n[[route.mt]]\nprefix = [\"49\", \"1\", \"33\"]\noperators = [\"alpha\"]\n[client.acme]\napi_key = \"k\"\n{rest}"
    );
    Config::parse("t.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn shared_over(engine: Arc<dyn Engine>, rest: &str) -> Shared {
    Shared::new(engine, ConfigHandle::new(config(rest)), Arc::new(SystemClock))
}

fn engine() -> Arc<MemoryEngine> {
    MemoryEngine::new(Arc::new(SystemClock) as Arc<dyn Clock>)
}

pub(super) fn message(to: &str, from: Option<&str>, text: &str, at: Timestamp) -> MtMessage {
    let encoded = encode(text, Requested::Auto).unwrap();
    MtMessage {
        id: MessageId::from_parts(at, rand::random()),
        client: ClientId::try_new("acme").unwrap(),
        accepted_at: at,
        from: from.map(|from| Address::sender(from).unwrap()),
        to: Address::msisdn(to).unwrap(),
        encoding: encoded.encoding,
        parts: split_units(encoded.encoding, &encoded.bytes, &[], 7).unwrap(),
        class: Class::Transactional,
        valid_until: at.after(Duration::from_secs(3600)),
        report: ReportLevel::Final,
        callback: None,
        reference: None,
        origin: Origin::Http,
        message_class: None,
        options: None,
        send_at: None,
        tags: None,
        registered_delivery: None,
        bind: None,
        bundle: None,
        batch: None,
        charge: None,
        submitted_coding: None,
    }
}

async fn asked(shared: &Shared, mut message: MtMessage) -> Result<(Admitted, MtMessage), Refused> {
    let tables = shared.tables.current();
    let admitted = check(shared, &tables, &mut message).await?;
    Ok((admitted, message))
}

async fn why(shared: &Shared, to: &str, from: Option<&str>, text: &str) -> Option<Why> {
    let refused = asked(shared, message(to, from, text, SystemClock.now()))
        .await
        .err();
    refused.map(|refused| {
        assert!(!refused.detail.contains(text) && !refused.detail.contains(to));
        refused.why
    })
}

const EVERYTHING: &str = "max_parts = 2\nsenders = [\"ACME\", \"49171*\"]\ndefault_from = \"ACME\"\ndeny_to = [\"spam\"]\n\
     deny_text = [\"(?i)casino\"]\nmax_chars = 200\nencodings = [\"gsm7\"]\nopt_out = true\nrate = 1000\nquota_day = 1000\n\
     quota_month = 9000\n[admission]\nallow_to = [\"home\"]\ndeny_text = [\"forbidden\"]\n[list.spam]\n\
     entries = [\"4990*\", \"491700000009\"]\n[list.home]\nentries = [\"49*\", \"1*\", \"44*\"]\n[[sender]]\nprefix = [\"1\"]\n\
     override_from = \"12025550123\"\n[[price]]\nprice = \"0.075\"\ncurrency = \"EUR\"\n[[price]]\nprefix = [\"1\"]\n\
     price = \"0.008\"\ncurrency = \"USD\"\nclient = [\"acme\"]\n";

#[tokio::test]
async fn each_rule_refuses_with_its_own_reason() {
    let shared = shared_over(engine(), EVERYTHING);
    let long = "x".repeat(307);
    let many = "x".repeat(201);
    for (to, from, text, expected) in [
        ("491700000001", None, "hello", None),
        ("491700000001", Some("491711234567"), "hello", None),
        ("491700000001", None, &*long, Some(Why::TooManyParts)),
        ("441700000001", None, "hello", Some(Why::NoRoute)),
        ("491700000009", None, "hello", Some(Why::DestinationDenied)),
        ("499012345678", None, "hello", Some(Why::DestinationDenied)),
        ("331700000001", None, "hello", Some(Why::DestinationDenied)),
        ("491700000001", Some("EVIL"), "hello", Some(Why::SenderDenied)),
        ("491700000001", None, "the Casino calls", Some(Why::ContentDenied)),
        ("491700000001", None, "a forbidden word", Some(Why::ContentDenied)),
        ("491700000001", None, &*many, Some(Why::ContentDenied)),
        ("491700000001", None, "Привет", Some(Why::ContentDenied)),
    ] {
        assert_eq!(
            why(&shared, to, from, text).await,
            expected,
            "{to} {from:?} {text}"
        );
    }
}

#[tokio::test]
async fn what_is_admitted_has_its_sender_and_its_price() {
    let shared = shared_over(engine(), EVERYTHING);
    let now = SystemClock.now();
    let (admitted, there) = asked(&shared, message("491700000001", None, &"x".repeat(161), now))
        .await
        .unwrap();
    assert_eq!(there.from.unwrap().as_str(), "ACME");
    let charge = admitted.charge.unwrap();
    assert_eq!(
        (
            charge.per_part.to_string(),
            charge.total.to_string(),
            charge.currency
        ),
        ("0.075".to_owned(), "0.15".to_owned(), Currency::EUR)
    );
    let (admitted, there) = asked(&shared, message("12025550199", Some("EVIL"), "hello", now))
        .await
        .unwrap();
    assert_eq!(there.from.unwrap().as_str(), "12025550123");
    assert_eq!(admitted.charge.unwrap().currency.as_str(), "USD");
}

#[tokio::test]
async fn a_text_that_is_cut_is_judged_whole() {
    let shared = shared_over(engine(), "deny_text = [\"casino\"]\n");
    // The word lies across the end of the first part (153 septets).
    let text = format!("{}casino{}", "x".repeat(150), "y".repeat(20));
    assert_eq!(
        why(&shared, "491700000001", None, &text).await,
        Some(Why::ContentDenied)
    );
}

#[tokio::test]
async fn who_opted_out_of_the_client_or_the_sender_is_refused_where_it_is_asked() {
    let engine = engine();
    let acme = ClientId::try_new("acme").unwrap();
    let to = |text: &str| Address::msisdn(text).unwrap();
    let of_client = names::opted_out_of_client(&acme, &to("491700000001"));
    let of_sender = names::opted_out_of_sender(&Address::sender("ACME").unwrap(), &to("491700000002"));
    Step::new(StepId::from_bytes([1; 16]))
        .put(of_client, "x".into(), Expiry::Owner)
        .put(of_sender, "x".into(), Expiry::Owner)
        .commit(engine.as_ref())
        .await
        .unwrap();
    let asks = shared_over(engine.clone(), "opt_out = true\n");
    let asks_not = shared_over(engine, "");
    for (number, from, expected) in [
        ("491700000001", None, Some(Why::OptedOut)),
        ("491700000001", Some("OTHER"), Some(Why::OptedOut)),
        ("491700000002", Some("ACME"), Some(Why::OptedOut)),
        ("491700000002", Some("OTHER"), None),
        ("491700000003", Some("ACME"), None),
    ] {
        assert_eq!(
            why(&asks, number, from, "hello").await,
            expected,
            "{number} {from:?}"
        );
        assert_eq!(
            why(&asks_not, number, from, "hello").await,
            None,
            "{number} {from:?}"
        );
    }
}

#[tokio::test]
async fn the_rate_is_in_parts_and_taken_only_by_what_passes_all_else() {
    let shared = shared_over(engine(), "rate = 0.001\nburst = 4\ndeny_text = [\"casino\"]\n");
    for _ in 0..20 {
        assert_eq!(
            why(&shared, "491700000001", None, "casino").await,
            Some(Why::ContentDenied)
        );
    }
    let three = "x".repeat(153 * 3);
    assert_eq!(why(&shared, "491700000001", None, &three).await, None);
    assert_eq!(
        why(&shared, "491700000001", None, &three).await,
        Some(Why::RateLimited)
    );
    assert_eq!(why(&shared, "491700000001", None, "one").await, None);
    let now = SystemClock.now();
    let refused = asked(&shared, message("491700000001", None, "one", now))
        .await
        .unwrap_err();
    assert!(
        refused.retry_after.unwrap() > Duration::from_secs(900),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_rate_outlives_a_reload_and_a_list_changes_with_it() {
    let handle = ConfigHandle::new(config("rate = 0.001\nburst = 1\n"));
    let shared = Shared::new(engine(), handle.clone(), Arc::new(SystemClock));
    assert_eq!(why(&shared, "491700000001", None, "one").await, None);
    handle.publish(config(
        "rate = 0.001\nburst = 1\ndeny_to = [\"spam\"]\n[list.spam]\nentries = [\"4917*\"]\n",
    ));
    assert_eq!(
        why(&shared, "491700000001", None, "one").await,
        Some(Why::DestinationDenied)
    );
    assert_eq!(
        why(&shared, "491800000001", None, "one").await,
        Some(Why::RateLimited)
    );
}

async fn accept(shared: &Shared, message: MtMessage) -> Result<MessageId, Option<Refusal>> {
    let (admitted, message) = asked(shared, message).await.map_err(|_| None)?;
    let id = message.id;
    let limits = &shared.tables.current().snapshot.config.limits;
    let step = admitted.add_to(accept::step(shared, message, None, limits));
    let deadline = Instant::now() + Duration::from_secs(30);
    accept::commit(shared, step, deadline)
        .await
        .map(|()| id)
        .map_err(Some)
}

#[tokio::test]
async fn a_quota_that_is_used_up_says_when_it_begins_anew_and_costs_no_step_for_a_while() {
    let shared = shared_over(engine(), "quota_day = 3\nquota_month = 100\n");
    let now = SystemClock.now();
    let two = "x".repeat(200);
    accept(&shared, message("491700000001", None, &two, now))
        .await
        .unwrap();
    let refused = accept(&shared, message("491700000001", None, &two, now))
        .await
        .unwrap_err();
    let Some(Refusal::OverQuota(used_up)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(used_up.period, quota::Period::Day);
    assert!(used_up.retry_after <= Duration::from_secs(24 * 3600) && !used_up.retry_after.is_zero());
    // Refused from memory now; what may still fit is not.
    assert_eq!(
        accept(&shared, message("491700000001", None, &two, now)).await,
        Err(None)
    );
    accept(&shared, message("491700000001", None, "one", now))
        .await
        .unwrap();
    let acme = ClientId::try_new("acme").unwrap();
    let left = limits::left(&shared, &shared.tables.current(), &acme)
        .await
        .unwrap();
    let used: Vec<_> = left
        .quotas
        .iter()
        .map(|(period, left)| (period.as_str(), left.used, left.left()))
        .collect();
    assert_eq!(used, [("day", 3, 0), ("month", 3, 97)]);
}

#[tokio::test]
async fn a_step_that_is_committed_twice_spends_once() {
    let engine = engine();
    let shared = shared_over(engine.clone(), "quota_day = 10\n");
    let now = SystemClock.now();
    let (admitted, message) = asked(&shared, message("491700000001", None, "one", now))
        .await
        .unwrap();
    let limits = &shared.tables.current().snapshot.config.limits;
    let step = admitted.add_to(accept::step(&shared, message, None, limits));
    let first = step.clone().commit(engine.as_ref()).await.unwrap();
    let again = step.commit(engine.as_ref()).await.unwrap();
    assert_eq!((first.sums, again.sums), (vec![-1], vec![-1]));
}

/// What happens to a process between two restarts: accepts at once, of so many parts each; some are given up half-way.
#[derive(Debug, Clone)]
struct Life {
    accepts: Vec<(u16, bool)>,
}

fn life() -> impl Strategy<Value = Life> {
    proptest::collection::vec((1..4_u16, proptest::bool::weighted(0.2)), 1..20)
        .prop_map(|accepts| Life { accepts })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// QU-1. The engine is what lasts over a restart; all that the node knows is built anew.
    #[test]
    fn a_quota_is_never_exceeded_by_concurrent_accepts_over_restarts(
        lives in proptest::collection::vec(life(), 1..5),
        day in 1..40_u64,
        month in 1..60_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (accepted, parts_accepted, counters) = runtime.block_on(async {
            let engine = engine();
            let rest = format!("quota_day = {day}\nquota_month = {month}\n");
            let now = SystemClock.now();
            let mut accepted = Vec::new();
            let mut asked_for = Vec::new();
            for life in &lives {
                let shared = Arc::new(shared_over(engine.clone(), &rest));
                let tasks: Vec<_> = life.accepts.iter().map(|(parts, given_up)| {
                    let message = message("491700000001", None, &"x".repeat(153 * usize::from(*parts)), now);
                    assert_eq!(message.part_count(), *parts);
                    asked_for.push((message.id, *parts));
                    let (shared, given_up) = (Arc::clone(&shared), *given_up);
                    tokio::spawn(async move {
                        let accept = accept(&shared, message);
                        if given_up {
                            // The peer is gone, or the process dies: the step may have gone through or not.
                            tokio::time::timeout(Duration::ZERO, accept).await.ok().and_then(Result::ok)
                        } else {
                            accept.await.ok()
                        }
                    })
                }).collect();
                for task in tasks {
                    accepted.extend(task.await.unwrap());
                }
            }
            let mut there = 0;
            for (id, parts) in &asked_for {
                let found = engine.get(vec![names::message(*id).into()]).await.unwrap();
                let durable = found.into_iter().next().flatten().is_some();
                assert!(durable || !accepted.contains(id), "accepted and gone");
                there += if durable { i64::from(*parts) } else { 0 };
            }
            let shared = shared_over(engine.clone(), &rest);
            let acme = ClientId::try_new("acme").unwrap();
            let left = limits::left(&shared, &shared.tables.current(), &acme).await.unwrap();
            let counters: Vec<u64> = left.quotas.iter().map(|(_, left)| left.used).collect();
            (accepted.len(), there, counters)
        });
        let there = u64::try_from(parts_accepted).unwrap();
        prop_assert!(there <= day.min(month), "{} parts, quota {} and {}", there, day, month);
        prop_assert_eq!(counters, vec![there, there], "{} accepted", accepted);
    }
}

/// `cargo test --release -p smsgw-node-client -- --ignored --nocapture admission_costs`
#[test]
#[ignore = "a measurement, not a law"]
#[expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement"
)]
fn admission_costs() {
    const ROUNDS: u32 = 500_000;
    let everything = EVERYTHING.replace(
        "opt_out = true\nrate = 1000\n",
        "rate = 1000000\nburst = 1000000\n",
    );
    for (what, rest) in [("nothing on", ""), ("everything on", &everything)] {
        let shared = shared_over(engine(), rest);
        let tables = shared.tables.current();
        let account = tables.account(&ClientId::try_new("acme").unwrap()).unwrap();
        let mut message = message("491700000001", None, &"x".repeat(150), SystemClock.now());
        let begin = std::time::Instant::now();
        for _ in 0..ROUNDS {
            message.from = None;
            let admitted = tables.judge(std::hint::black_box(&mut message)).unwrap();
            account.take(1, begin).unwrap();
            drop(std::hint::black_box(admitted));
        }
        let each = begin.elapsed().as_nanos() as f64 / f64::from(ROUNDS);
        println!("{what}: {each:.0} ns a message");
    }
}
