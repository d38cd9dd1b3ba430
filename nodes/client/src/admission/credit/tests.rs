//! Prepaid accounts at the accept, on the memory engine.

use super::*;
use crate::accept;
use crate::admission::tests::message as plain;
use crate::admission::{Admitted, check};
use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{Event, MessageLife, Record};
use smsgw_queue::{Engine, LogName, MemoryEngine, Position, StepId};
use smsgw_runtime::{Clock, SystemClock};
use std::sync::Arc;
use tokio::time::Instant;

const PREPAID: &str = "[client.acme.credit]\nkind = \"prepaid\"\n";
const PRICES: &str = "[[price]]\nprice = \"0.1\"\ncurrency = \"EUR\"\n[[price]]\nprefix = [\"1\"]\nprice = \"0.2\"\ncurrency = \
                      \"USD\"\n[[price]]\nprefix = [\"33\"]\nprice = \"0\"\ncurrency = \"EUR\"\n";

fn shared(engine: Arc<MemoryEngine>, credit: &str) -> Arc<Shared> {
    let text = format!(
        "[node]\nname = \"t\"\n[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\n\
         password = \"x\"\n[[route.mt]]\noperators = [\"alpha\"]\n[client.acme]\napi_key = \"k\"\n{PREPAID}{credit}{PRICES}"
    );
    let config = Config::parse("t.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Arc::new(Shared::new(
        engine,
        ConfigHandle::new(config),
        Arc::new(SystemClock),
    ))
}

fn engine() -> Arc<MemoryEngine> {
    MemoryEngine::new(Arc::new(SystemClock) as Arc<dyn Clock>)
}

fn message(to: &str, parts: usize) -> MtMessage {
    let text = if parts == 1 { 10 } else { 153 * parts };
    plain(to, None, &"x".repeat(text), SystemClock.now())
}

async fn admitted(shared: &Shared, mut message: MtMessage) -> Result<(Admitted, MtMessage), Refused> {
    let admitted = check(shared, &shared.tables.current(), &mut message).await?;
    Ok((admitted, message))
}

async fn accept(shared: &Shared, message: MtMessage) -> Result<MtMessage, Refusal> {
    let (admitted, message) = admitted(shared, message)
        .await
        .map_err(|_| Refusal::InsufficientCredit)?;
    let limits = &shared.tables.current().snapshot.config.limits;
    let step = admitted.add_to(accept::step(shared, message.clone(), None, limits));
    let deadline = Instant::now() + Duration::from_secs(30);
    accept::commit(shared, step, deadline).await.map(|()| message)
}

async fn pay(engine: &MemoryEngine, amount: i64) {
    let key = names::credit(&"acme".parse().unwrap(), "EUR", names::CREDIT_BALANCE);
    let step = Step::new(StepId::from_bytes(rand::random())).add(key, amount, None, Expiry::Owner);
    step.commit(engine).await.unwrap();
}

async fn counters(engine: &MemoryEngine) -> (i64, i64) {
    let acme = "acme".parse().unwrap();
    let keys = [names::CREDIT_BALANCE, names::CREDIT_RESERVED]
        .map(|what| StateKey::from(names::credit(&acme, "EUR", what)));
    let found = engine.get(keys.into()).await.unwrap();
    let number = |n: usize| found[n].as_ref().map_or(0, |there| there.as_counter().unwrap());
    (number(0), number(1))
}

#[tokio::test]
async fn an_accept_puts_its_price_aside_and_its_message_and_event_say_so() {
    let engine = engine();
    let shared = shared(engine.clone(), "charge = \"delivered\"\n");
    pay(&engine, 1_000_000).await;
    let message = accept(&shared, message("491700000001", 3)).await.unwrap();
    assert_eq!(counters(&engine).await, (700_000, 300_000));
    let charge = message.charge.clone().unwrap();
    assert_eq!(
        (charge.per_part, &*charge.currency, charge.parts, charge.at),
        (100_000, "EUR", 3, ChargeAt::Delivered)
    );
    let life = engine.get(vec![names::message(message.id).into()]).await.unwrap();
    let life = MessageLife::from_record(&life[0].as_ref().unwrap().value).unwrap();
    assert_eq!(life.message.charge.as_ref(), Some(&charge));
    let log = LogName::from(names::EVENTS);
    let events = engine.read(&log, Position(0), 9, Duration::ZERO).await.unwrap();
    assert_eq!(
        Event::from_record(&events[0].record).unwrap().charge,
        Some(charge)
    );
}

#[tokio::test]
async fn what_the_balance_does_not_pay_for_changes_nothing_and_is_known_for_a_moment() {
    let engine = engine();
    let shared = shared(engine.clone(), "overdraft = \"0.1\"\n");
    pay(&engine, 150_000).await;
    // Accepted before the refusal is over, however long the test takes from one line to the next.
    let again = message("491700000001", 3);
    let refused = accept(&shared, message("491700000001", 3)).await.unwrap_err();
    assert_eq!(refused, Refusal::InsufficientCredit);
    assert_eq!(counters(&engine).await, (150_000, 0));
    // From memory now, and what costs less is not meant.
    let why = admitted(&shared, again).await.unwrap_err();
    assert_eq!((why.why, &*why.detail), (Why::InsufficientCredit, WORDS));
    accept(&shared, message("491700000001", 2)).await.unwrap();
    assert_eq!(counters(&engine).await, (-50_000, 200_000));
    accept(&shared, message("491700000001", 1)).await.unwrap_err();
    // Once paid, and once the moment is over.
    pay(&engine, 50_000).await;
    tokio::time::sleep(KNOWN + Duration::from_millis(20)).await;
    accept(&shared, message("491700000001", 1)).await.unwrap();
    assert_eq!(counters(&engine).await, (-100_000, 300_000));
    let refused = smsgw_telemetry::exposition();
    assert!(
        refused.contains("client=\"acme\",why=\"insufficient_credit\"")
            || refused.contains("client=\"acme\",reason=\"insufficient_credit\""),
        "{refused}"
    );
}

#[tokio::test]
async fn a_message_without_a_price_in_the_currency_is_refused_or_free() {
    let engine = engine();
    let strict = shared(engine.clone(), "");
    pay(&engine, 100_000).await;
    let why = admitted(&strict, message("12025550199", 1)).await.unwrap_err();
    assert_eq!((why.why, &*why.detail), (Why::InsufficientCredit, NO_PRICE));
    let free = shared(engine.clone(), "unpriced = \"free\"\n");
    let (admitted, there) = admitted(&free, message("12025550199", 1)).await.unwrap();
    assert_eq!(
        (admitted.charge, there.charge),
        (None, None),
        "no price of another currency is shown"
    );
    // A price of nothing costs nothing, also below zero.
    pay(&engine, -500_000).await;
    assert_eq!(
        accept(&strict, message("331700000001", 1)).await.unwrap().charge,
        None
    );
    assert_eq!(counters(&engine).await, (-400_000, 0));
}

#[tokio::test]
async fn a_step_that_is_committed_twice_takes_once() {
    let engine = engine();
    let shared = shared(engine.clone(), "");
    pay(&engine, 1_000_000).await;
    let (admitted, message) = admitted(&shared, message("491700000001", 1)).await.unwrap();
    let limits = &shared.tables.current().snapshot.config.limits;
    let step = admitted.add_to(accept::step(&shared, message, None, limits));
    step.clone().commit(engine.as_ref()).await.unwrap();
    step.commit(engine.as_ref()).await.unwrap();
    assert_eq!(counters(&engine).await, (900_000, 100_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_spend_what_is_there_and_not_one_part_more() {
    let engine = engine();
    let shared = shared(engine.clone(), "");
    pay(&engine, 5_050_000).await;
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { accept(&shared, message("491700000001", 1 + n % 2)).await })
        })
        .collect();
    let mut parts = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(message) => parts += i64::from(message.part_count()),
            Err(refusal) => assert_eq!(refusal, Refusal::InsufficientCredit),
        }
    }
    let (balance, reserved) = counters(&engine).await;
    assert_eq!(
        (balance, reserved),
        (5_050_000 - parts * 100_000, parts * 100_000)
    );
    assert!((0..200_000).contains(&balance), "{balance}");
}
