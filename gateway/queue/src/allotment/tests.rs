//! Random owners, grants, spendings, reports, lost answers, crashes and expiries over the memory engine: nothing is made,
//! nothing is lost, no floor is broken.

use super::*;
use crate::conformance::ManualClock;
use crate::{CommitErrorKind, Delivery, Engine, MemoryEngine, StepId, Want};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use smsgw_message::{Class, Clock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const OWNERS: [&str; 3] = ["open/a", "open/b", "open/c"];
const FLOOR: i64 = -20;
const LASTS: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
enum Act {
    TopUp(i64),
    /// The answer may be lost: then the owner asks state what it has.
    Grant(usize, i64, bool),
    Spend(usize, i64),
    Report(usize, bool),
    GiveBack(usize, bool),
    Pass(u64),
    /// The owner alone is started anew.
    Restart(usize),
    /// The engine, and with it everybody.
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    let owner = || 0..OWNERS.len();
    let lost = || prop::bool::weighted(0.2);
    prop_oneof![
        1 => (0..200_i64).prop_map(Act::TopUp),
        4 => (owner(), 1..50_i64, lost()).prop_map(|(owner, amount, lost)| Act::Grant(owner, amount, lost)),
        8 => (owner(), 0..12_i64).prop_map(|(owner, amount)| Act::Spend(owner, amount)),
        4 => (owner(), lost()).prop_map(|(owner, lost)| Act::Report(owner, lost)),
        2 => (owner(), lost()).prop_map(|(owner, lost)| Act::GiveBack(owner, lost)),
        2 => (1..90_u64).prop_map(Act::Pass),
        1 => owner().prop_map(Act::Restart),
        1 => Just(Act::Crash),
    ]
}

struct World {
    clock: Arc<ManualClock>,
    engine: Arc<MemoryEngine>,
    open: BTreeMap<usize, Allotment>,
    alarm: Alarm,
    topped_up: i64,
    /// What was really spent.
    spent: i64,
    /// Spent by owners that died before they reported it: bounded by what was left of their blocks.
    lost: i64,
    may_be_lost: i64,
    next: u64,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            engine: MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
            open: BTreeMap::new(),
            alarm: Alarm {
                queue: "expired".into(),
                lane: Lane::new(Class::Transactional, "allotments"),
            },
            topped_up: 0,
            spent: 0,
            lost: 0,
            may_be_lost: 0,
            next: 0,
        }
    }

    fn step(&mut self) -> Step {
        self.next += 1;
        Step::new(StepId::from_bytes(u128::from(self.next).to_be_bytes()))
    }

    fn owner(owner: usize) -> StateKey {
        OWNERS[owner].into()
    }

    async fn number(&self, key: &str) -> i64 {
        let found = self.engine.get(vec![key.into()]).await.unwrap();
        found[0].as_ref().map_or(0, |value| value.as_counter().unwrap())
    }

    /// The memory of an owner is gone.
    fn dies(&mut self, owner: usize) {
        if let Some(allotment) = self.open.remove(&owner) {
            self.lost += allotment.unreported();
            self.may_be_lost += allotment.block().left;
        }
    }

    /// Looks what there is for an owner that does not know.
    async fn reopen(&mut self, owner: usize) {
        let found = self.engine.get(vec![Self::owner(owner)]).await.unwrap();
        if let Some(found) = &found[0] {
            let allotment = Allotment::reopened(Self::owner(owner), self.alarm.clone(), found).unwrap();
            self.open.insert(owner, allotment);
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::TopUp(amount) => {
                let step = self.step().add("balance", amount, None, Expiry::Owner);
                step.commit(self.engine.as_ref()).await.unwrap();
                self.topped_up += amount;
            }
            Act::Grant(owner, amount, lost) => self.grant(owner, amount, lost).await,
            Act::Spend(owner, amount) => {
                let now = self.clock.now();
                if let Some(allotment) = self.open.get_mut(&owner)
                    && allotment.spend(now, amount)
                {
                    self.spent += amount;
                }
            }
            Act::Report(owner, lost) => self.report(owner, lost).await,
            Act::GiveBack(owner, lost) => self.give_back(owner, lost).await,
            Act::Pass(seconds) => {
                self.clock.advance(Duration::from_secs(seconds));
                self.engine.tick();
                self.reclaim().await;
            }
            Act::Restart(owner) => {
                self.dies(owner);
                self.reopen(owner).await;
            }
            Act::Crash => {
                for owner in 0..OWNERS.len() {
                    self.dies(owner);
                }
                self.engine = self.engine.reopen();
                for owner in 0..OWNERS.len() {
                    self.reopen(owner).await;
                }
            }
        }
    }

    async fn grant(&mut self, owner: usize, amount: i64, lost: bool) {
        if self.open.contains_key(&owner) {
            return;
        }
        let (key, until) = (Self::owner(owner), self.clock.now().after(LASTS));
        let balance = StateKey::from("balance");
        let before = self.number("balance").await;
        let (step, block) = Allotment::grant(self.step(), &key, &self.alarm, &balance, amount, FLOOR, until);
        match step.clone().commit(self.engine.as_ref()).await {
            Ok(committed) => {
                assert_eq!(committed.sums, [before - amount]);
                // Who does not know does it again, and it counts once.
                let again = step.commit(self.engine.as_ref()).await.unwrap();
                assert_eq!(
                    (again.version, again.sums),
                    (committed.version, vec![before - amount])
                );
                if lost {
                    self.reopen(owner).await;
                } else {
                    let allotment = Allotment::granted(key, self.alarm.clone(), block, &committed);
                    self.open.insert(owner, allotment);
                }
            }
            Err(error) => match error.kind {
                CommitErrorKind::Floor { .. } => assert!(before - amount < FLOOR),
                // A block that expired and is not reclaimed yet.
                CommitErrorKind::Conflict { .. } => {}
                kind => panic!("{kind}"),
            },
        }
    }

    async fn report(&mut self, owner: usize, lost: bool) {
        let step = self.step();
        let Some(allotment) = self.open.get_mut(&owner) else {
            return;
        };
        let (step, report) = allotment.report(step);
        let step = step.add("ledger", report.spent, None, Expiry::Owner);
        match step.commit(self.engine.as_ref()).await {
            Ok(_) if lost => {
                // Durable, but who died does not know: nothing of it is lost.
                self.open.remove(&owner);
                self.reopen(owner).await;
            }
            Ok(committed) => allotment.reported(report, &committed),
            Err(error) => {
                assert!(
                    matches!(error.kind, CommitErrorKind::Conflict { .. }),
                    "reclaimed"
                );
                self.dies(owner);
            }
        }
    }

    async fn give_back(&mut self, owner: usize, lost: bool) {
        let step = self.step();
        let Some(allotment) = self.open.remove(&owner) else {
            return;
        };
        let (unreported, left) = (allotment.unreported(), allotment.block().left);
        let (step, report) = allotment.give_back(step);
        let step = step.add("ledger", report.spent, None, Expiry::Owner);
        let again = step.clone();
        if step.commit(self.engine.as_ref()).await.is_err() {
            self.lost += unreported;
            self.may_be_lost += left;
        } else if lost {
            let error = again.commit(self.engine.as_ref()).await.unwrap_err();
            assert!(
                matches!(error.kind, CommitErrorKind::Conflict { .. }),
                "it counts once"
            );
        }
    }

    /// Whoever consumes the alarms.
    async fn reclaim(&mut self) {
        let want = Want::new(100, Duration::ZERO);
        let rung: Vec<Delivery> = self.engine.checkout(&"expired".into(), want).await.unwrap();
        for delivery in rung {
            let owner = StateKey::from(std::str::from_utf8(delivery.record()).unwrap());
            let found = self.engine.get(vec![owner.clone()]).await.unwrap();
            let step = Step::from(&delivery).settle(&delivery);
            let step = match &found[0] {
                Some(found) => Allotment::reclaim(step, &owner, found).unwrap(),
                None => step,
            };
            step.commit(self.engine.as_ref()).await.unwrap();
        }
    }

    async fn check(&self) {
        let balance = self.number("balance").await;
        let keys = OWNERS.map(StateKey::from).to_vec();
        let found = self.engine.get(keys).await.unwrap();
        let blocks = found
            .iter()
            .flatten()
            .map(|found| Block::from_value(&found.value).unwrap());
        let left: Vec<i64> = blocks.map(|block| block.left).collect();
        assert!(left.iter().all(|left| *left >= 0));
        let ledger = self.number("ledger").await;
        assert_eq!(
            balance + left.iter().sum::<i64>() + ledger,
            self.topped_up,
            "nothing is made, nothing is lost"
        );
        assert!(balance >= FLOOR, "{balance}");
        let unreported: i64 = self.open.values().map(Allotment::unreported).sum();
        assert_eq!(self.spent, ledger + unreported + self.lost);
        assert!(
            self.lost <= self.may_be_lost,
            "overdrawn by more than the blocks of who died"
        );
    }
}

#[test]
fn balance_blocks_and_ledger_always_add_up_and_no_floor_is_broken() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let acts = prop::collection::vec(act(), 1..80);
    let outcome = TestRunner::new(config).run(&acts, |acts| {
        runtime.block_on(async {
            let mut world = World::new();
            world.act(Act::TopUp(100)).await;
            for act in acts {
                world.act(act).await;
                world.check().await;
            }
            // In the end everything is back or in the ledger.
            for owner in 0..OWNERS.len() {
                world.dies(owner);
            }
            world.act(Act::Pass(LASTS.as_secs() + 1)).await;
            world.check().await;
            let owners = world
                .engine
                .get(OWNERS.map(StateKey::from).to_vec())
                .await
                .unwrap();
            assert!(owners.iter().all(Option::is_none), "no block is left");
        });
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_blocks_value_is_read_as_written_and_nothing_else_is_one() {
    let block = Block {
        balance: "credit/acme".into(),
        granted: 50,
        left: 7,
        expires_at: Timestamp::from_millis(258),
    };
    let value = block.to_value();
    assert_eq!(
        value.as_ref(),
        b"\x01\0\0\0\0\0\0\0\x32\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02credit/acme"
    );
    assert_eq!(Block::from_value(&value), Some(block));
    for end in 0..25 {
        assert_eq!(Block::from_value(&value[..end]), None);
    }
    assert_eq!(
        Block::from_value(b"\x02\0\0\0\0\0\0\0\x32\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02c"),
        None
    );
}
