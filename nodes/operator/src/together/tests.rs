//! Where parts go that belong together: what is remembered, and links that check out side by side.

use super::*;
use crate::fixtures::dispatch;
use smsgw_message::Class;
use smsgw_queue::{Lane, MemoryEngine, Step, StepId};
use smsgw_testkit::{Mood, MoodyEngine, SimClock};

fn at(seconds: u64) -> Instant {
    let start = *START.get_or_init(|| tokio::time::Instant::now().into_std());
    start + Duration::from_secs(seconds)
}

static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

fn bundle(n: u64) -> Bundle {
    Bundle::Message(dispatch(n).message)
}

#[test]
fn what_belongs_together_is_told_by_message_or_bundle() {
    let long = Dispatch {
        parts: 3,
        ..dispatch(1)
    };
    let cut = Dispatch {
        bundle: Some(7),
        ..dispatch(2)
    };
    assert_eq!(Bundle::of(&dispatch(1)), None);
    assert_eq!(Bundle::of(&long), Some(bundle(1)));
    let of_cut = Bundle::of(&cut);
    assert_eq!(of_cut, Some(Bundle::Cut(cut.client.clone(), 7)));
    let stranger = Dispatch {
        client: ClientId::try_new("other").unwrap(),
        ..cut
    };
    assert_ne!(Bundle::of(&stranger), of_cut, "clients choose the same numbers");
}

#[test]
fn a_link_is_remembered_for_a_while_after_the_last_part() {
    let mut pins = Pins::new(100);
    pins.note(bundle(1), Member(1), at(0));
    assert_eq!(pins.link_of(&bundle(1), at(600)), Some(Member(1)));
    assert_eq!(pins.link_of(&bundle(1), at(601)), None);
    pins.note(bundle(1), Member(1), at(400));
    assert_eq!(pins.link_of(&bundle(1), at(900)), Some(Member(1)));
    pins.note(bundle(1), Member(2), at(401));
    assert_eq!(pins.link_of(&bundle(1), at(900)), Some(Member(2)), "it moved");
    pins.note(bundle(2), Member(3), at(2000));
    assert_eq!((pins.pins.len(), pins.order.len()), (1, 1), "nothing is for ever");
}

#[test]
fn memory_is_bounded_and_the_oldest_is_forgotten_first() {
    let mut pins = Pins::new(3);
    for n in 0..1000 {
        pins.note(bundle(n), Member(n), at(n / 100));
        pins.note(bundle(n), Member(n), at(n / 100));
        assert!(pins.pins.len() <= 3 && pins.order.len() <= 3);
    }
    assert_eq!(pins.link_of(&bundle(999), at(10)), Some(Member(999)));
    assert_eq!(pins.link_of(&bundle(996), at(10)), None);
}

/// A queue with these parts, in this order: message and number of the part, of `total`.
async fn queue(parts: &[(u64, u16)], total: u16) -> (Arc<MemoryEngine>, Arc<SimClock>, QueueName) {
    let clock = Arc::new(SimClock::new());
    let engine = MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let queue = QueueName::from("mt.operator.alpha");
    let steps = parts.iter().zip(0_u128..).map(|((message, part), n)| {
        let record = Dispatch {
            part: *part,
            parts: total,
            ..dispatch(*message)
        };
        let lane = Lane::new(Class::Otp, &record.client);
        Step::new(StepId::from_bytes(n.to_be_bytes())).publish(queue.clone(), lane, record.to_record())
    });
    for committed in engine.commit(steps.collect()).await {
        committed.unwrap();
    }
    (engine, clock, queue)
}

fn numbers(parcels: &[Parcel]) -> Vec<(u64, u16)> {
    let number = |parcel: &Parcel| {
        let part = parcel.dispatch.as_ref().unwrap();
        let message = (0..100).find(|n| dispatch(*n).message == part.message);
        (message.unwrap(), part.part)
    };
    parcels.iter().map(number).collect()
}

fn drain(handed: &mut mpsc::Receiver<Parcel>) -> Vec<Parcel> {
    std::iter::from_fn(|| handed.try_recv().ok()).collect()
}

struct Links {
    engine: Arc<MemoryEngine>,
    clock: Arc<SimClock>,
    queue: QueueName,
}

impl Links {
    async fn new(parts: &[(u64, u16)], total: u16) -> (Self, Arc<Together>) {
        let (engine, clock, queue) = queue(parts, total).await;
        let together = Together::new(&dispatch(1).operator);
        let links = Self { engine, clock, queue };
        (links, together)
    }

    async fn checkout(&self, link: &Membership, room: usize) -> Vec<Parcel> {
        let want = Want::new(room, Duration::ZERO);
        link.checkout(&*self.engine, &self.queue, want, &*self.clock)
            .await
            .unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn parts_go_where_their_siblings_went_in_the_order_of_the_queue() {
    let parts = [(1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (2, 3)];
    let (links, together) = Links::new(&parts, 3).await;
    let (one, mut to_one) = together.join();
    let (other, mut to_other) = together.join();
    let mine = links.checkout(&one, 1).await;
    assert_eq!(numbers(&mine), [(1, 1)]);
    let theirs = links.checkout(&other, 3).await;
    assert_eq!(numbers(&theirs), [(2, 1)], "two slots stay free");
    let more = links.checkout(&other, 2).await;
    assert_eq!(numbers(&more), [(2, 2), (2, 3)]);
    let handed = drain(&mut to_one);
    assert_eq!(numbers(&handed), [(1, 2), (1, 3)]);
    assert!(drain(&mut to_other).is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_a_link_is_gone_its_messages_move_and_stay_where_they_moved() {
    let parts = [(1, 1), (1, 2), (1, 3)];
    let (links, together) = Links::new(&parts, 3).await;
    let (one, mut to_one) = together.join();
    let (other, _to_other) = together.join();
    let (third, _to_third) = together.join();
    let first = links.checkout(&one, 1).await;
    drop(one);
    let second = links.checkout(&other, 1).await;
    assert_eq!(numbers(&second), [(1, 2)]);
    assert!(
        drain(&mut to_one).is_empty(),
        "nothing is put where nobody takes it"
    );
    let third_part = links.checkout(&third, 1).await;
    assert!(
        third_part.is_empty(),
        "it was handed to the link that has the second"
    );
    assert_eq!(numbers(&first), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_takes_no_more_does_not_hold_up_the_others() {
    let count = u16::try_from(HANDED).unwrap() + 2;
    let parts: Vec<(u64, u16)> = (1..=count + 1).map(|part| (1, part)).collect();
    let (links, together) = Links::new(&parts, count + 1).await;
    let (slow, mut to_slow) = together.join();
    let (quick, _to_quick) = together.join();
    let first = links.checkout(&slow, 1).await;
    assert_eq!(numbers(&first), [(1, 1)]);
    let rest = links.checkout(&quick, 1000).await;
    assert_eq!(numbers(&rest), [(1, count), (1, count + 1)], "what was too many");
    assert_eq!(drain(&mut to_slow).len(), HANDED);
}

#[tokio::test(start_paused = true)]
async fn single_parts_go_to_whoever_has_a_slot() {
    let parts: Vec<(u64, u16)> = (1..=6).map(|message| (message, 1)).collect();
    let (links, together) = Links::new(&parts, 1).await;
    let (one, mut to_one) = together.join();
    let (other, mut to_other) = together.join();
    let mine = links.checkout(&one, 2).await;
    let theirs = links.checkout(&other, 4).await;
    assert_eq!((mine.len(), theirs.len()), (2, 4));
    assert!(drain(&mut to_one).is_empty() && drain(&mut to_other).is_empty());
    assert!(together.lock().pins.pins.is_empty(), "nothing to remember");
}

#[tokio::test(start_paused = true)]
async fn a_checkout_that_is_cancelled_while_it_looks_for_requests_leaves_its_parts_unmarked() {
    let (links, together) = Links::new(&[(1, 1), (1, 2)], 2).await;
    let (one, _to_one) = together.join();
    let engine = MoodyEngine::over(Arc::clone(&links.engine) as Arc<dyn Engine>);
    engine.set(Mood::Stuck);
    let want = || Want::new(2, Duration::ZERO);
    let checkout = one.checkout(&*engine, &links.queue, want(), &*links.clock);
    let wait = Duration::from_millis(10);
    assert!(
        tokio::time::timeout(wait, checkout).await.is_err(),
        "the look is stuck"
    );
    let left = one.unsorted();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|delivery| !delivery.leased_before_crash()));
    assert!(one.unsorted().is_empty());
    drop(left);
    engine.set(Mood::Refusing(EngineError::Poisoned("fsync".to_owned())));
    let poisoned = one.checkout(&*engine, &links.queue, want(), &*links.clock);
    assert!(
        poisoned.await.is_err(),
        "nothing is sent whose answer cannot be stored"
    );
    assert_eq!(one.unsorted().len(), 2);
    engine.set(Mood::Refusing(EngineError::NoSpace));
    let again = one.checkout(&*engine, &links.queue, want(), &*links.clock);
    assert_eq!(
        numbers(&again.await.unwrap()),
        [(1, 1), (1, 2)],
        "a request came too late"
    );
}
