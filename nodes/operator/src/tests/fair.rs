//! Who goes first when there is more to send than the carrier takes: classes by weight, clients of a class in turn, and what has
//! expired never uses a slot.

use super::carrier::Reply;
use super::*;
use smsgw_message::{Address, ClientId};
use smsgw_smpp::CommandStatus;
use tokio::time::Instant;

/// A stand-in for a million: a checkout takes the records of a lane from its front, however many stand behind.
const BACKLOG: u64 = 50_000;
const OTP: u64 = 1_000_000;

impl World {
    async fn queue(&self, class: Class, client: &str, parts: impl IntoIterator<Item = Dispatch>) {
        let client = ClientId::try_new(client).unwrap();
        let steps: Vec<Step> = parts
            .into_iter()
            .map(|part| {
                let queue = QueueName::from(names::mt_operator(&part.operator));
                let lane = Lane::new(class, &client);
                Step::new(StepId::accept(part.message)).publish(queue, lane, part.to_record())
            })
            .collect();
        for committed in self.memory.commit(steps).await {
            committed.unwrap();
        }
    }

    /// When the carrier saw a part to this phone.
    fn seen_at(&self, phone: &str) -> Option<Instant> {
        let seen = self.carrier.seen();
        let part = seen
            .iter()
            .find(|seen| seen.message.destination.value.to_string() == phone);
        part.map(|part| part.at)
    }
}

fn to(phone: &str, n: u64) -> Dispatch {
    Dispatch {
        to: Address::msisdn(phone).unwrap(),
        ..dispatch(n)
    }
}

/// The longest that one of twenty passwords waits behind a backlog of campaigns.
async fn longest_wait(operator: Operator, carrier: Carrier) -> Duration {
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    world.bound().await;
    world
        .queue(Class::Bulk, "campaign", (0..BACKLOG).map(dispatch))
        .await;
    tokio::time::sleep(ms(5_000)).await;
    let mut longest = Duration::ZERO;
    for n in 0..20 {
        let phone = format!("4915100{n:05}");
        let queued = Instant::now();
        world.queue(Class::Otp, "bank", [to(&phone, OTP + n)]).await;
        world
            .until("the password is with the carrier", |world| {
                world.seen_at(&phone).is_some()
            })
            .await;
        longest = longest.max(world.seen_at(&phone).unwrap() - queued);
        tokio::time::sleep(ms(137)).await;
    }
    let left = world.depth().ready;
    assert!(left > 40_000, "the backlog was there all the time: {left}");
    longest
}

#[tokio::test(start_paused = true)]
async fn a_password_overtakes_a_backlog_at_fifty_parts_a_second_within_a_second() {
    for (burst, window) in [(1, 10), (25, 50), (50, 100)] {
        let operator = Operator {
            rate: 50.0,
            burst,
            window,
            ..operator()
        };
        let carrier = Carrier::scripted(|_, _| Reply::After(ms(20), CommandStatus::OK));
        let waited = longest_wait(operator, carrier).await;
        assert!(
            waited <= ms(1_000),
            "{waited:?} with burst {burst}, window {window}"
        );
    }
}

/// The same where the carrier itself takes no more than fifty a second, and nobody has told us.
#[tokio::test(start_paused = true)]
async fn a_password_overtakes_a_backlog_at_a_carrier_that_is_slow_by_itself() {
    let mut free_at: Option<Instant> = None;
    let carrier = Carrier::scripted(move |_, _| {
        let now = Instant::now();
        let done = free_at.map_or(now, |free| free.max(now)) + ms(20);
        free_at = Some(done);
        Reply::After(done - now, CommandStatus::OK)
    });
    let waited = longest_wait(operator(), carrier).await;
    assert!(waited <= ms(1_000), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_class_take_turns_whoever_has_more() {
    let operator = Operator {
        rate: 50.0,
        ..operator()
    };
    let world = World::start(operator).await;
    world
        .queue(Class::Bulk, "large", (0..5_000).map(|n| to("4915100000001", n)))
        .await;
    world
        .queue(
            Class::Bulk,
            "small",
            (5_000..5_100).map(|n| to("4915100000002", n)),
        )
        .await;
    world.bound().await;
    world
        .until("two hundred went", |world| world.carrier.seen().len() >= 200)
        .await;
    let seen = world.carrier.seen();
    let small = seen
        .iter()
        .take(200)
        .filter(|seen| seen.message.destination.value.to_string() == "4915100000002")
        .count();
    assert!((95..=100).contains(&small), "{small} of the first 200");
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_in_the_queue_uses_no_slot_and_no_token() {
    let operator = Operator {
        rate: 50.0,
        ..operator()
    };
    let world = World::start(operator).await;
    let expired = (0..500).map(|n| Dispatch {
        valid_until: world.clock.now(),
        ..dispatch(n)
    });
    world.queue(Class::Bulk, "campaign", expired).await;
    world
        .queue(Class::Bulk, "campaign", [to("4915100000009", 900)])
        .await;
    world.bound().await;
    let began = Instant::now();
    world
        .until("the valid one went", |world| {
            world.seen_at("4915100000009").is_some()
        })
        .await;
    assert_eq!(
        world.carrier.seen().len(),
        1,
        "the carrier saw none of the others"
    );
    let waited = world.seen_at("4915100000009").unwrap() - began;
    assert!(
        waited < ms(2_000),
        "{waited:?} behind 500 expired ones, for which 50 a second take ten seconds"
    );
}
