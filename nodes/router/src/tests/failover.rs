//! Operators that took a message and failed, or say nothing: the next one is tried, and the client hears of the end alone.

use super::*;
use crate::fixtures::{operator, phone, via};
use crate::reroute::Halt;
use proptest::prelude::*;
use smsgw_message::{CancelRequest, Cancels, RerouteReason};

/// A world whose route of alpha, beta, whole and wide has these lines too.
fn world(lines: &str) -> World {
    let text = CONFIG.replacen("prefix = [\"45\"]", &format!("prefix = [\"45\"]\n{lines}"), 1);
    let costs = r#"
[[cost]]
operator = ["alpha", "beta"]
cost = "0.04"
currency = "EUR"
[[cost]]
operator = ["whole"]
cost = "0.02"
currency = "EUR"
"#;
    let config = Config::parse("test.toml", &format!("{text}{costs}"));
    let config = config.unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut world = World::new();
    world.plan = Plan::try_new(2, Arc::new(config), Arc::default()).unwrap();
    world
}

fn message(parts: usize) -> MtMessage {
    MtMessage {
        to: phone("4570000001"),
        ..mt(1, parts)
    }
}

fn taken(by: &str, part: u16, millis: i64) -> SubmitResult {
    SubmitResult {
        via: via(by),
        ..sent(message_id(1), part, &format!("{by}{part}"), millis)
    }
}

fn told_of(by: &str, part: u16, state: ReceiptState, millis: i64) -> Receipt {
    Receipt {
        via: via(by),
        ..receipt(&format!("{by}{part}"), state, millis)
    }
}

impl World {
    fn has_gone_to(&self, name: &str) -> usize {
        let queue = names::mt_operator(&operator(name));
        self.published.iter().filter(|(to, _)| *to == queue).count()
    }

    /// Its record may be gone by then.
    fn has_ended(&self) -> bool {
        self.happened().contains(&EventName::MtFinal)
    }

    fn ended(&self) -> Vec<Halt> {
        let halt = |note: &Note| match note {
            Note::NotRerouted(_, _, halt) => Some(*halt),
            _ => None,
        };
        self.notes.iter().filter_map(halt).collect()
    }
}

const STATES: &str = r#"failover = { states = ["UNDELIV", "REJECTD"] }"#;
const SILENCE: &str = r#"failover = { silence = "2s" }"#;

#[test]
fn a_withdrawal_does_not_end_what_an_operator_has_while_its_sibling_is_out() {
    let mut life = MessageLife::accepted(message(2));
    for part in &mut life.parts {
        (part.via, part.state) = (Some(via("alpha")), MessageState::Sent);
    }
    life.parts[1].state = MessageState::Queued;
    // Alpha took the first part and is silent; the second is still to be answered for.
    let (retry, silent) = (crate::failover::Retry::default(), crate::life::NO_RECEIPT);
    crate::failover::wait(
        &mut life.parts[0],
        &operator("alpha"),
        MessageState::Sent,
        silent,
        retry,
    );
    let mut changes = crate::life::Changes::default();
    assert!(crate::life::handle_cancel(&mut life, at(5), &mut changes));
    assert_eq!(
        (life.parts[0].state, life.parts[0].is_final),
        (MessageState::Sent, false)
    );
}

#[test]
fn a_failure_that_a_receipt_tells_of_is_followed_by_the_next_operator() {
    let mut world = world(STATES);
    world.accept(&message(1), 100);
    world.result(taken("alpha", 1, 200));
    world.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, 300));
    assert_eq!(world.has_gone_to("beta"), 1);
    let life = world.life(1);
    assert_eq!((life.state, life.is_final), (MessageState::Queued, false));
    assert_eq!(life.parts[0].via, Some(via("beta")));
    assert_eq!(life.parts[0].spent, Some(40_000));
    assert!(world.told().is_empty(), "the client hears of the end alone");
    world.result(taken("beta", 1, 400));
    world.receipt(told_of("beta", 1, ReceiptState::Delivered, 500));
    assert_eq!(world.told(), [(MessageState::Delivered, None)]);
    let rerouted = world
        .events
        .iter()
        .find(|event| event.name == EventName::MtRerouted)
        .unwrap();
    assert_eq!(
        (rerouted.route, rerouted.operator.clone()),
        (Some(4), Some(operator("beta")))
    );
}

#[test]
fn the_failure_of_the_last_attempt_is_the_one_that_is_told() {
    let mut world = world(r#"failover = { states = ["UNDELIV", "REJECTD"], attempts = 2 }"#);
    world.accept(&message(1), 100);
    world.result(taken("alpha", 1, 200));
    world.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, 300));
    world.result(taken("beta", 1, 400));
    let mut last = told_of("beta", 1, ReceiptState::Rejected, 500);
    last.error = Some("042".to_owned());
    world.receipt(last);
    assert_eq!(world.told(), [(MessageState::Rejected, Some("042".to_owned()))]);
    assert_eq!(world.ended(), [Halt::Limit]);
    assert_eq!(world.has_gone_to("whole"), 0);
}

#[test]
fn only_states_and_errors_that_are_named_are_followed_by_another_operator() {
    let mut named = world(r#"failover = { errors = ["001"] }"#);
    let mut other = world(r#"failover = { errors = ["002"], states = ["EXPIRED"] }"#);
    for (world, expected) in [(&mut named, 1), (&mut other, 0)] {
        world.accept(&message(1), 100);
        world.result(taken("alpha", 1, 200));
        world.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, 300));
        assert_eq!(world.has_gone_to("beta"), expected);
        assert_eq!(world.told().len(), 1 - expected);
    }
}

#[test]
fn caps_on_cost_and_time_end_it() {
    // Alpha took 0.04 already: beta for 0.04 is too dear, whole for 0.02 is not, wide has no cost.
    let mut dear = world(r#"failover = { states = ["UNDELIV"], cost = "0.06" }"#);
    dear.accept(&message(1), 100);
    dear.result(taken("alpha", 1, 200));
    dear.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, 300));
    assert_eq!((dear.has_gone_to("beta"), dear.has_gone_to("whole")), (0, 1));
    dear.result(taken("whole", 1, 400));
    dear.receipt(told_of("whole", 1, ReceiptState::Undeliverable, 500));
    assert_eq!(dear.told().len(), 1);
    assert_eq!(
        (dear.has_gone_to("wide"), dear.ended()),
        (0, vec![Halt::NoOperator])
    );
    let mut late = world(r#"failover = { states = ["UNDELIV"], within = "5s" }"#);
    late.accept(&message(1), 100);
    late.result(taken("alpha", 1, 200));
    late.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, 5_001));
    assert_eq!((late.told().len(), late.ended()), (1, vec![Halt::TooLate]));
}

#[test]
fn a_second_receipt_of_a_part_that_waits_for_its_siblings_costs_nothing_more() {
    let mut world = world(r#"failover = { states = ["UNDELIV"], cost = "0.10" }"#);
    world.accept(&message(2), 100);
    world.result(taken("alpha", 1, 200));
    for millis in [300, 310] {
        world.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, millis));
    }
    assert_eq!(world.has_gone_to("beta"), 0, "the other part is not answered yet");
    // Alpha and beta cost 0.08: with alpha counted twice it would be 0.12, and whole the next one.
    world.result(taken("alpha", 2, 400));
    assert_eq!((world.has_gone_to("beta"), world.has_gone_to("whole")), (1, 0));
}

#[test]
fn silence_is_followed_by_the_next_operator_and_a_late_delivery_of_the_first_counts() {
    for sent_by_beta in [false, true] {
        let mut world = world(SILENCE);
        world.accept(&message(1), 100);
        world.result(taken("alpha", 1, 200));
        world.pass_to(2_199);
        assert_eq!(world.has_gone_to("beta"), 0);
        world.pass_to(2_200);
        assert_eq!(world.has_gone_to("beta"), 1);
        if sent_by_beta {
            world.result(taken("beta", 1, 2_300));
        }
        world.receipt(told_of("alpha", 1, ReceiptState::Delivered, 2_500));
        assert_eq!(world.told(), [(MessageState::Delivered, None)]);
        assert_eq!(
            world.life(1).parts[0].via,
            Some(via("alpha")),
            "the attempt that counts"
        );
        let key = StateKey::from(names::cancel(message_id(1)));
        let request = world.state.get(&key);
        assert_eq!(
            request.is_some(),
            !sent_by_beta,
            "what beta has not sent is withdrawn"
        );
        if let Some((request, expiry)) = request {
            CancelRequest::from_record(&request.value).unwrap();
            assert_eq!(*expiry, Expiry::At(at(10_000)));
            let (open, _) = &world.state[&StateKey::from(names::CANCELS)];
            assert_eq!(Cancels::from_record(&open.value).unwrap().until, at(10_000));
            world.result(SubmitResult {
                outcome: SubmitOutcome::Cancelled,
                ..taken("beta", 1, 2_600)
            });
        } else {
            world.receipt(told_of("beta", 1, ReceiptState::Delivered, 2_600));
        }
        assert_eq!(world.duplicates(), 1);
        assert_eq!(world.told().len(), 1);
    }
}

#[test]
fn a_late_failure_of_the_first_changes_nothing() {
    let mut world = world(SILENCE);
    world.accept(&message(1), 100);
    world.result(taken("alpha", 1, 200));
    world.pass_to(2_200);
    world.result(taken("beta", 1, 2_300));
    world.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, 2_400));
    assert!(world.told().is_empty());
    world.receipt(told_of("beta", 1, ReceiptState::Delivered, 2_500));
    assert_eq!(world.told(), [(MessageState::Delivered, None)]);
}

#[test]
fn where_no_operator_is_left_silence_is_no_failure() {
    let mut world = world(r#"failover = { silence = "2s", attempts = 1 }"#);
    world.accept(&message(1), 100);
    world.result(taken("alpha", 1, 200));
    world.pass_to(2_200);
    let life = world.life(1);
    assert_eq!((life.state, life.parts[0].silent_at), (MessageState::Sent, None));
    assert_eq!(world.ended(), [Halt::Limit]);
    world.pass_to(9_000);
    assert_eq!(world.ended().len(), 1, "asked once");
    world.receipt(told_of("alpha", 1, ReceiptState::Delivered, 9_100));
    assert_eq!(world.told(), [(MessageState::Delivered, None)]);
}

#[test]
fn a_receipt_in_time_ends_the_watch() {
    let mut world = world(SILENCE);
    world.accept(&message(1), 100);
    world.result(taken("alpha", 1, 200));
    world.receipt(told_of("alpha", 1, ReceiptState::Delivered, 300));
    world.pass_to(5_000);
    assert_eq!(world.has_gone_to("beta"), 0);
    assert_eq!(world.told().len(), 1);
}

#[test]
fn who_wants_all_reports_is_not_told_twice_that_a_message_was_sent() {
    let mut world = world(STATES);
    let all = MtMessage {
        report: ReportLevel::All,
        ..message(1)
    };
    world.accept(&all, 100);
    world.result(taken("alpha", 1, 200));
    world.receipt(told_of("alpha", 1, ReceiptState::Undeliverable, 300));
    world.result(taken("beta", 1, 400));
    world.receipt(told_of("beta", 1, ReceiptState::Delivered, 500));
    let states: Vec<_> = world.told().into_iter().map(|(state, _)| state).collect();
    assert_eq!(
        states,
        [MessageState::Queued, MessageState::Sent, MessageState::Delivered]
    );
}

#[test]
fn a_rewritten_part_goes_out_with_other_addresses_and_its_client_sees_its_own() {
    let mut world = world("rewrite_from = [\"set:ACME\"]\nrewrite_to = [\"replace:45=0045\"]\n");
    world.accept(&message(1), 100);
    let (_, record) = &world.published[0];
    let part = Dispatch::from_record(record).unwrap();
    assert_eq!(part.from.unwrap().as_str(), "ACME");
    assert_eq!(
        part.to.as_str(),
        "4570000001",
        "international, as the address type writes it"
    );
    let own = part.own.unwrap();
    assert_eq!(
        (own.from, own.to.as_str()),
        (None, "4570000001"),
        "a request to cancel names these"
    );
    let sent_as = world.life(1).parts[0].sent_as.clone().unwrap();
    assert!(sent_as.from.is_some());
    world.result(taken("alpha", 1, 200));
    let mut receipt = told_of("alpha", 1, ReceiptState::Delivered, 300);
    receipt.from = Some(phone("4570000001"));
    receipt.to = Some(smsgw_message::Address::sender("ACME").unwrap());
    world.receipt(receipt);
    let report = &world.reports()[0];
    assert_eq!((report.from.clone(), report.to.as_str()), (None, "4570000001"));
}

/// What a carrier does with a part that it has.
#[derive(Debug, Clone, Copy)]
enum Does {
    Take,
    TakeAndDeliver,
    TakeAndFail,
    Refuse,
    DeliverLate,
    FailLate,
    Wait,
}

fn deeds() -> impl Strategy<Value = Vec<(Does, usize)>> {
    let does = prop_oneof![
        1 => Just(Does::Take),
        1 => Just(Does::TakeAndDeliver),
        3 => Just(Does::TakeAndFail),
        1 => Just(Does::Refuse),
        1 => Just(Does::DeliverLate),
        1 => Just(Does::FailLate),
        2 => Just(Does::Wait),
    ];
    proptest::collection::vec((does, 0_usize..8), 0..60)
}

proptest! {
    /// FO-1: whatever carriers do and however late: a message ends once, is told once, no operator is asked twice for a part, and
    /// one that was delivered before its end is told as delivered.
    #[test]
    fn every_message_is_told_once_and_no_operator_is_asked_twice(parts in 1_usize..4, deeds in deeds()) {
        let mut world = world(r#"failover = { states = ["UNDELIV"], silence = "1s", attempts = 3 }"#);
        world.accept(&message(parts), 100);
        let mut seen = 0;
        let mut queued: Vec<(String, u16)> = Vec::new();
        let mut taken_by: Vec<(String, u16)> = Vec::new();
        let mut asked = std::collections::BTreeSet::new();
        let mut delivered = std::collections::BTreeSet::new();
        let mut now = 200;
        for (does, pick) in deeds.into_iter().chain(std::iter::repeat_n((Does::Wait, 0), 45)) {
            for (queue, record) in &world.published[seen..] {
                if queue.starts_with("mt.operator.") {
                    let part = Dispatch::from_record(record).unwrap();
                    prop_assert!(asked.insert((part.operator.to_string(), part.part)), "asked once");
                    queued.push((part.operator.to_string(), part.part));
                }
            }
            seen = world.published.len();
            now += 20;
            let was_final = world.has_ended();
            match does {
                Does::Take | Does::TakeAndDeliver | Does::TakeAndFail | Does::Refuse if !queued.is_empty() => {
                    let (name, part) = queued.remove(pick % queued.len());
                    if matches!(does, Does::Refuse) {
                        world.result(SubmitResult {
                            via: via(&name),
                            reroute: Some(RerouteReason::Answer),
                            ..refused(part, now)
                        });
                        continue;
                    }
                    world.result(taken(&name, part, now));
                    match does {
                        Does::TakeAndDeliver => {
                            world.receipt(told_of(&name, part, ReceiptState::Delivered, now));
                            delivered.insert(part);
                        }
                        Does::TakeAndFail => world.receipt(told_of(&name, part, ReceiptState::Undeliverable, now)),
                        _ => taken_by.push((name, part)),
                    }
                }
                Does::DeliverLate | Does::FailLate if !taken_by.is_empty() => {
                    let (name, part) = taken_by.remove(pick % taken_by.len());
                    let state = if matches!(does, Does::DeliverLate) {
                        delivered.extend((!was_final).then_some(part));
                        ReceiptState::Delivered
                    } else {
                        ReceiptState::Undeliverable
                    };
                    world.receipt(told_of(&name, part, state, now));
                }
                _ => {
                    now += 700;
                    world.pass_to(now);
                }
            }
            let finals = world.told().len();
            prop_assert_eq!(finals, usize::from(world.has_ended()), "told when it ends, once");
        }
        world.pass_to(40_000);
        let ended = world.events.iter().filter(|event| event.name == EventName::MtFinal).count();
        prop_assert_eq!((ended, world.told().len()), (1, 1));
        let state = world.told()[0].0;
        if parts == 1 {
            prop_assert_eq!(state == MessageState::Delivered, delivered.len() == 1, "{:?}", state);
        }
    }
}
