//! Credit on the memory engine: exactly once, whatever is killed when; and orders that move money once.

use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{
    Charge, ChargeAt, Class, ClientId, Clock, Event, EventName, Instruction, InstructionResult, LedgerLine,
    LedgerPage, MessageId, Movement, PartOutcome, Record, Timestamp, names,
};
use smsgw_node_counter::credit;
use smsgw_queue::{
    CommitErrorKind, Engine, Expiry, Flow, Lane, LogName, MemoryEngine, Position, StateKey, Step, StepId,
};
use smsgw_runtime::{Exit, Intensity, Strategy, Supervisor, Tree};
use smsgw_testkit::{MoodyEngine, Prank, Pranks, SimClock};
use std::sync::Arc;
use std::time::Duration;

const PRICE: i64 = 75_000;

fn config() -> ConfigHandle {
    let text = "[node]\nname = \"t\"\n[client.acme]\napi_key = \"k\"\n[client.acme.credit]\nkind = \"prepaid\"\noverdraft = \
                \"1\"\nlow_balance = \"2\"\nledger_kept = \"2d\"\n[client.free]\napi_key = \"f\"\n[[price]]\nprice = \
                \"0.075\"\ncurrency = \"EUR\"\n";
    ConfigHandle::new(Config::parse("t.toml", text).unwrap_or_else(|problems| panic!("{problems:?}")))
}

async fn start(engine: Arc<dyn Engine>, clock: &Arc<SimClock>) -> Tree {
    let tree = Supervisor::new("test", Strategy::OneForOne)
        .intensity(Intensity::UNLIMITED)
        .child(credit::supervise(engine, config(), clock.clone()))
        .spawn()
        .await;
    assert!(tree.started().await);
    tree
}

fn acme() -> ClientId {
    ClientId::try_new("acme").unwrap()
}

fn id(n: u64, kind: u8) -> MessageId {
    let mut octets = [kind; 16];
    octets[..8].copy_from_slice(&n.to_be_bytes());
    MessageId::from_bytes(octets)
}

fn key(what: &str) -> StateKey {
    StateKey::from(names::credit(&acme(), "EUR", what))
}

fn charge(at: ChargeAt, parts: u16) -> Charge {
    Charge {
        per_part: PRICE,
        currency: "EUR".to_owned(),
        parts,
        at,
        outcome: None,
    }
}

fn event(at: Timestamp, name: EventName, message: MessageId, charge: Charge) -> Event {
    Event {
        message: Some(message),
        client: Some(acme()),
        charge: Some(charge),
        ..Event::new(at, name)
    }
}

/// The step of an accept, as the client node does it; false: the balance does not pay for it.
async fn accept(engine: &dyn Engine, at: Timestamp, message: MessageId, charge: &Charge) -> bool {
    let amount = charge.reserved();
    let event = event(at, EventName::MtAccepted, message, charge.clone());
    let step = Step::new(StepId::accept(message))
        .append(names::EVENTS, event.to_record())
        .add(
            key(names::CREDIT_BALANCE),
            -amount,
            Some(-1_000_000),
            Expiry::Owner,
        )
        .add(key(names::CREDIT_RESERVED), amount, None, Expiry::Owner);
    match step.commit(engine).await.map_err(|error| error.kind) {
        Ok(_) => true,
        Err(CommitErrorKind::Floor { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// The end of a message, as the router tells of it.
async fn end(engine: &dyn Engine, at: Timestamp, message: MessageId, charge: &Charge, outcome: PartOutcome) {
    let charge = Charge {
        outcome: Some(outcome),
        ..charge.clone()
    };
    let mut step = *message.as_bytes();
    step[15] = 0xEE;
    let event = event(at, EventName::MtFinal, message, charge);
    Step::new(StepId::from_bytes(step))
        .append(names::EVENTS, event.to_record())
        .commit(engine)
        .await
        .unwrap();
}

/// An order as the config node forwards it.
async fn order(engine: &dyn Engine, n: u64, verb: &str, argument: &str) -> MessageId {
    let id = id(n, 0xAA);
    let record = Instruction {
        id,
        verb: verb.to_owned(),
        by: "test".to_owned(),
        at: SimClock::ORIGIN,
        target: Some("acme".to_owned()),
        link: None,
        reason: Some("invoice 7".to_owned()),
        argument: Some(argument.to_owned()),
    };
    let lane = Lane::new(Class::Otp, Flow::from("test"));
    Step::new(StepId::accept(id))
        .publish(names::INSTRUCTIONS_CREDIT, lane, record.to_record())
        .commit(engine)
        .await
        .unwrap();
    id
}

async fn result(engine: &dyn Engine, id: MessageId) -> (String, String) {
    let found = engine.get(vec![names::instruction(id).into()]).await.unwrap();
    let found = found.into_iter().next().unwrap().expect("the order has a result");
    let result = InstructionResult::from_record(&found.value).unwrap();
    (result.outcome, result.detail)
}

#[derive(Debug, PartialEq, Eq)]
struct Counters {
    balance: i64,
    reserved: i64,
    charged: i64,
    paid: i64,
}

async fn counters(engine: &dyn Engine) -> Counters {
    let words = [
        names::CREDIT_BALANCE,
        names::CREDIT_RESERVED,
        names::CREDIT_CHARGED,
        names::CREDIT_PAID,
    ];
    let found = engine.get(words.map(key).into()).await.unwrap();
    let number = |n: usize| found[n].as_ref().map_or(0, |there| there.as_counter().unwrap());
    Counters {
        balance: number(0),
        reserved: number(1),
        charged: number(2),
        paid: number(3),
    }
}

async fn ledger(engine: &dyn Engine) -> Vec<LedgerLine> {
    let log = LogName::from(names::ledger(&acme()));
    let entries = engine
        .read(&log, Position(0), 100_000, Duration::ZERO)
        .await
        .unwrap();
    entries
        .iter()
        .flat_map(|entry| LedgerPage::from_record(&entry.record).unwrap().lines)
        .collect()
}

/// CD-2.
fn is_a_statement(lines: &[LedgerLine], balance: i64) {
    let (mut expected, mut number) = (0, 0);
    for line in lines {
        number += 1;
        expected += if line.movement == Movement::Commit {
            0
        } else {
            line.amount
        };
        assert_eq!((line.number, line.balance), (number, expected), "{line:?}");
    }
    assert_eq!(expected, balance);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_settled_by_its_policy_and_every_movement_is_a_line() {
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    let tree = start(engine.clone(), &clock).await;
    let paid = order(&*engine, 1, "top-up", "10 EUR").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        result(&*engine, paid).await,
        (
            "applied".to_owned(),
            "top-up of 10 EUR for client acme".to_owned()
        )
    );
    let now = clock.now();
    for (n, at) in [
        (1, ChargeAt::Accept),
        (2, ChargeAt::Sent),
        (3, ChargeAt::Delivered),
    ] {
        let charge = charge(at, 3);
        assert!(accept(&*engine, now, id(n, 1), &charge).await);
        let outcome = PartOutcome {
            parts: 3,
            sent: 2,
            delivered: 1,
        };
        end(&*engine, now, id(n, 1), &charge, outcome).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        counters(&*engine).await,
        Counters {
            balance: 10_000_000 - 6 * PRICE,
            reserved: 0,
            charged: 6 * PRICE,
            paid: 10_000_000
        }
    );
    let lines = ledger(&*engine).await;
    is_a_statement(&lines, 10_000_000 - 6 * PRICE);
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.movement, line.amount / PRICE, line.parts))
        .collect();
    assert_eq!(
        told,
        [
            (Movement::TopUp, 133, 0),
            (Movement::Reserve, -3, 3),
            (Movement::Commit, 3, 3),
            (Movement::Reserve, -3, 3),
            (Movement::Commit, 2, 2),
            (Movement::Refund, 1, 1),
            (Movement::Reserve, -3, 3),
            (Movement::Commit, 1, 1),
            (Movement::Refund, 2, 2),
        ]
    );
    assert_eq!(lines[0].reference.as_deref(), Some("invoice 7"));
    let text = smsgw_telemetry::exposition();
    assert!(
        text.contains("smsgw_credit_balance_micro{client=\"acme\",currency=\"EUR\"} 9550000"),
        "{text}"
    );
    assert!(text.contains("smsgw_credit_low{client=\"acme\"} 0"), "{text}");

    // Lines go by their age; the balance does not.
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(ledger(&*engine).await.len(), 9);
    tokio::time::sleep(Duration::from_secs(90_000)).await;
    assert_eq!(ledger(&*engine).await, []);
    assert_eq!(counters(&*engine).await.balance, 9_550_000);
    order(&*engine, 2, "top-up", "1 EUR").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ledger(&*engine).await[0].number, 10, "numbers of lines go on");
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn orders_are_refused_with_their_reason_and_a_key_moves_money_once() {
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(clock.clone());
    let tree = start(engine.clone(), &clock).await;
    for (n, (verb, argument, outcome, detail)) in (1..).zip([
        ("top-up", "5 EUR k1", "applied", "top-up of 5 EUR for client acme"),
        ("top-up", "5 EUR k1", "unchanged", "it was done at"),
        (
            "top-up",
            "6 EUR k1",
            "refused",
            "the key was used for a top-up of 5",
        ),
        (
            "correct",
            "5 EUR k1",
            "refused",
            "the key was used for a top-up of 5",
        ),
        ("top-up", "-5 EUR", "refused", "a top-up pays in"),
        ("top-up", "0 EUR", "refused", "nothing is to be moved"),
        ("top-up", "5 USD", "refused", "the account is in EUR, not in USD"),
        ("top-up", "5", "refused", "is no amount with its currency"),
        ("top-up", "5 EUR k 1", "refused", "is no amount with its currency"),
        (
            "correct",
            "-5.5 EUR k2",
            "applied",
            "correction of -5.5 EUR for client acme",
        ),
        // The overdraft is 1.
        (
            "correct",
            "-0.500001 EUR k3",
            "refused",
            "the balance would go below its floor",
        ),
        ("correct", "-0.5 EUR k3", "applied", "correction of -0.5 EUR"),
    ]) {
        let id = order(&*engine, n, verb, argument).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (word, text) = result(&*engine, id).await;
        assert_eq!(word, outcome, "{verb} {argument}: {text}");
        assert!(text.contains(detail), "{verb} {argument}: {text}");
    }
    let after = counters(&*engine).await;
    assert_eq!((after.balance, after.paid), (-1_000_000, -1_000_000));
    is_a_statement(&ledger(&*engine).await, -1_000_000);
    assert!(smsgw_telemetry::exposition().contains("smsgw_credit_low{client=\"acme\"} 1"));
    assert_eq!(tree.drain().await, Exit::Stopped);
}

/// What a run is driven with, and what must come of it.
#[derive(Default)]
struct Driver {
    paid: i64,
    due: i64,
    open: Vec<(MessageId, Charge)>,
    refused: u64,
    n: u64,
}

impl Driver {
    /// One round of traffic: three accepts, the ends of those that are open, now and then a payment.
    async fn round(&mut self, engine: &dyn Engine, now: Timestamp) {
        self.n += 1;
        if self.n % 5 == 1 {
            // Each is ordered twice under one key, as a person does who saw no answer.
            for again in [0, 500_000] {
                order(
                    engine,
                    self.n + again,
                    "top-up",
                    &format!("0.9 EUR key{}", self.n),
                )
                .await;
            }
            self.paid += 900_000;
        }
        for (message, charge) in self.open.drain(..) {
            let sent = u16::from(message.as_bytes()[7] % 2 == 0) * charge.parts;
            let outcome = PartOutcome {
                parts: charge.parts,
                sent,
                delivered: sent / 2,
            };
            let parts = match charge.at {
                ChargeAt::Accept => charge.parts,
                ChargeAt::Sent => outcome.sent,
                ChargeAt::Delivered => outcome.delivered,
            };
            self.due += charge.of_parts(parts);
            end(engine, now, message, &charge, outcome).await;
        }
        for (kind, at) in [
            (1, ChargeAt::Accept),
            (2, ChargeAt::Sent),
            (3, ChargeAt::Delivered),
        ] {
            let (message, charge) = (id(self.n, kind), charge(at, 2));
            match accept(engine, now, message, &charge).await {
                true => self.open.push((message, charge)),
                false => self.refused += 1,
            }
        }
    }

    async fn proves(&mut self, engine: &dyn Engine, what: &str) {
        let now = SimClock::ORIGIN;
        let still_open = std::mem::take(&mut self.open);
        for (message, charge) in still_open {
            let outcome = PartOutcome {
                parts: 2,
                sent: 0,
                delivered: 0,
            };
            if charge.at == ChargeAt::Accept {
                self.due += charge.reserved();
            }
            end(engine, now, message, &charge, outcome).await;
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let expected = Counters {
            balance: self.paid - self.due,
            reserved: 0,
            charged: self.due,
            paid: self.paid,
        };
        assert_eq!(counters(engine).await, expected, "{what}");
        let lines = ledger(engine).await;
        is_a_statement(&lines, expected.balance);
        let floor = lines.iter().map(|line| line.balance).min().unwrap();
        assert!(floor >= -1_000_000, "{what}: {floor}");
        assert!(self.refused > 0, "{what}: the money never ran out");
    }
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_no_money_is_lost_or_made() {
    let clock = Arc::new(SimClock::new());
    let mut engine = MemoryEngine::new(clock.clone());
    let mut driver = Driver::default();
    let mut behind = 0;
    for round in 0..80u64 {
        let tree = start(engine.clone(), &clock).await;
        driver.round(&*engine, clock.now()).await;
        // Killed after a different number of turns of the runtime each time: before, between and after its calls.
        for _ in 0..round * 7 % 40 {
            tokio::task::yield_now().await;
        }
        engine = engine.reopen();
        tree.stop().await;
        let now = counters(&*engine).await;
        assert_eq!(
            now.balance + now.reserved + now.charged,
            now.paid,
            "round {round}"
        );
        assert!(now.balance >= -1_000_000, "round {round}: {now:?}");
        let log = LogName::from(names::EVENTS);
        let read = engine.position(&log, credit::READER).await.unwrap();
        behind += u64::from(read < engine.log_end(&log));
    }
    assert!(
        behind > 10,
        "only {behind} kills came before everything was folded"
    );
    let tree = start(engine.clone(), &clock).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    driver.proves(&*engine, "after all kills").await;
    assert_eq!(tree.drain().await, Exit::Stopped);
}

#[tokio::test(start_paused = true)]
async fn panics_and_failures_at_every_call_lose_and_make_no_money() {
    let mut panics = 0;
    for seed in 0..16 {
        let clock = Arc::new(SimClock::new());
        let memory = MemoryEngine::new(clock.clone());
        let engine = MoodyEngine::over(memory.clone());
        let tree = start(engine.clone(), &clock).await;
        engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 60)
                .with(Prank::PanicAfter, 100)
                .with(Prank::LoseAnswer, 80)
                .with(Prank::Refuse, 60)
                .with(Prank::Delay, 100)
                .at_most(40),
        );
        let mut driver = Driver::default();
        for _ in 0..40 {
            driver.round(&*memory, clock.now()).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        panics += engine.panics();
        engine.calm();
        tokio::time::sleep(Duration::from_secs(120)).await;
        driver.proves(&*memory, &format!("seed {seed}")).await;
        assert_eq!(tree.drain().await, Exit::Stopped);
    }
    assert!(panics > 60, "{panics} panics");
}
