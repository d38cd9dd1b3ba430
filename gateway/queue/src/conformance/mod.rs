//! The laws that every engine keeps, as tests: an engine crate implements [`Harness`] and writes
//! `smsgw_queue::conformance!(MyHarness);`, which makes one named test of each law.
//!
//! Time is moved by hand ([`ManualClock`]). Where something is expected to come, a law waits for it at most
//! [`PATIENCE`]; where nothing may come, it asks without waiting, after what could have brought it has answered.
//! Knows no engine.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "laws are tests")]

mod bounds;
mod dead;
mod fair;
mod lanes;
mod life;
mod log;
pub mod model;
mod people;
mod queue;
mod state;
mod step;
mod wait;

pub use self::{
    bounds::*, dead::*, fair::*, lanes::*, life::*, log::*, people::*, queue::*, state::*, step::*, wait::*,
};

use crate::{
    Browsed, Committed, Delivery, Engine, Entry, Flows, Lane, LogName, Place, Position, QueueName, StateKey,
    Step, StepId, Versioned, Want,
};
use bytes::Bytes;
use smsgw_message::{Class, Clock, Timestamp};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a law waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What an engine brings to be tested.
pub trait Harness: Send + Sync + Sized + 'static {
    /// An empty engine with a clock that the harness moves, and a retention of dead letters of seven days.
    fn open() -> impl Future<Output = Self> + Send;

    /// The engine as it is open now.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Ends the engine as a kill would and opens what is left. Deliveries of the old one may still live; what they do
    /// from now on must not matter. An engine that was closed before is opened again too.
    fn crash_and_reopen(&mut self) -> impl Future<Output = ()> + Send;

    /// What the clock of the engine says.
    fn now(&self) -> Timestamp;

    /// Moves the clock forward (the waits of calls are not moved by it: they pass in tokio's time) and makes the engine look at it; returns when what became due by that is done.
    fn advance(&self, by: Duration) -> impl Future<Output = ()> + Send;
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    millis: AtomicI64,
}

impl ManualClock {
    /// Where every manual clock starts: 2026-01-01T00:00:00Z.
    pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// A clock at the start.
    pub fn new() -> Arc<Self> {
        let start = tokio::time::Instant::now().into_std();
        Arc::new(Self {
            start,
            millis: AtomicI64::new(Self::START.as_millis()),
        })
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        let later = self.now().after(by);
        self.millis.store(later.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn instant(&self) -> Instant {
        self.start + self.now().since(Self::START)
    }
}

/// Makes one test of each law for a harness.
#[macro_export]
macro_rules! conformance {
    ($harness:ty) => {
        $crate::conformance!($harness;
            published_record_is_checked_out_once,
            leased_record_is_nobody_elses,
            settled_record_is_gone_for_good,
            record_comes_back_as_it_was_published,
            released_record_is_ready_after_its_time_with_its_reason,
            attempt_grows_only_at_a_cost,
            release_keeps_its_due_time_over_a_crash,
            released_record_keeps_its_age,
            dropped_delivery_comes_back_marked,
            a_step_says_what_became_of_it_and_the_mark_goes,
            crash_marks_what_was_leased_and_keeps_its_attempt,
            lease_that_was_given_back_is_stale,
            scheduled_record_waits_for_its_time,
            held_record_waits_for_a_person,
            record_numbers_never_return,
            committed_step_survives_the_crash_wholly,
            failed_step_leaves_nothing_and_fails_no_neighbour,
            steps_of_one_call_see_each_other,
            changes_of_one_step_are_done_in_order,
            answers_come_in_the_order_of_their_steps,
            own_step_id_counts_as_done,
            steps_of_one_call_build_on_each_other_or_fail_together,
            dead_letter_is_kept_with_its_reason,
            corrupt_record_is_kept_apart,
            buried_record_is_a_dead_letter_from_the_start,
            dead_letters_are_browsed_page_by_page,
            dead_letters_are_deleted_after_their_retention,
            classes_share_by_weight,
            nobody_waits_for_an_empty_class,
            flows_take_turns,
            only_and_except_choose_flows,
            waiting_checkout_wakes_on_publish,
            waiting_checkout_wakes_when_a_record_is_due,
            waiting_checkout_wakes_when_a_delivery_is_dropped,
            waiting_checkout_is_empty_after_its_wait,
            waiting_checkout_of_one_flow_wakes_for_that_flow,
            cancelled_checkout_loses_nothing,
            waiting_reader_wakes_on_append,
            waiting_reader_is_empty_after_its_wait,
            log_is_read_in_the_order_of_appends,
            log_without_readers_keeps_everything,
            log_is_trimmed_behind_its_slowest_reader,
            readers_that_begin_in_one_step_begin_together,
            reader_position_survives_a_crash,
            reader_neither_goes_back_nor_past_the_end,
            positions_never_return,
            value_is_read_as_written,
            many_keys_are_answered_in_order,
            compare_decides_who_writes,
            deleted_key_is_gone,
            counter_adds_up,
            counter_stops_at_its_floor,
            value_expires_at_its_time,
            alarm_goes_off_once,
            later_write_replaces_the_alarm,
            alarm_survives_a_crash,
            versions_never_return,
            depth_counts_every_place,
            queues_are_listed_while_they_have_records,
            closed_engine_refuses,
            close_ends_waiting_calls,
            closed_engine_opens_again_with_everything,
            many_tasks_share_a_queue_without_loss_or_repetition,
            many_tasks_add_to_one_counter,
            full_queue_refuses_what_comes_in_and_nothing_else,
            full_engine_refuses_what_comes_in,
            dead_letters_are_told_by_reason_and_bounded,
            checkout_is_bounded_by_octets_and_gives_one_at_least,
            mistakes_of_the_caller_have_their_own_error,
            adds_of_one_step_are_done_together_and_tell_their_sums,
            held_queue_gives_nothing_until_it_is_released,
            held_flow_is_passed_over_whenever_its_records_come,
            refused_step_holds_nothing,
            single_record_is_held_where_it_waits_and_not_under_lease,
            record_that_nobody_has_handled_is_deleted_where_it_waits_and_no_other,
            moved_record_keeps_all_but_queue_and_lane,
            move_and_requeue_are_one_step_when_asked_so,
            many_records_are_moved_in_bounded_steps_and_it_may_be_repeated,
            many_dead_letters_are_requeued_in_bounded_steps,
            pages_of_one_flow_leave_nothing_out,
            classes_and_flows_get_their_turns_in_every_window,
            turns_hold_while_others_publish_settle_and_release,
            nothing_is_left_when_all_has_expired,
        );
    };
    ($harness:ty; $($law:ident),+ $(,)?) => {
        $(
            #[test]
            fn $law() {
                $crate::conformance::run($crate::conformance::$law::<$harness>());
            }
        )+
    };
}

/// Runs one law; one that hangs fails.
pub fn run(law: impl Future<Output = ()> + Send) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime for tests starts");
    runtime.block_on(async {
        tokio::time::timeout(5 * PATIENCE, law)
            .await
            .expect("a law does not hang");
    });
}

fn fresh() -> StepId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0xee; 16];
    id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    StepId::from_bytes(id)
}

fn step() -> Step {
    Step::new(fresh())
}

fn lane() -> Lane {
    Lane::new(Class::Transactional, "acme")
}

fn octets(text: impl AsRef<str>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref().as_bytes())
}

fn text(octets: &Bytes) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|delivery| text(delivery.record()))
        .collect()
}

async fn ok(engine: &Arc<dyn Engine>, step: Step) -> Committed {
    step.commit(engine.as_ref())
        .await
        .expect("this step goes through")
}

async fn publish(engine: &Arc<dyn Engine>, queue: &str, record: impl AsRef<str>) {
    ok(engine, step().publish(queue, lane(), octets(record))).await;
}

/// What can be had at once.
async fn now(engine: &Arc<dyn Engine>, queue: &str, max: usize) -> Vec<Delivery> {
    engine
        .checkout(&QueueName::from(queue), Want::new(max, Duration::ZERO))
        .await
        .unwrap()
}

/// So many records, waited for.
async fn take_from(engine: &Arc<dyn Engine>, queue: &str, count: usize, flows: Flows) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let want = Want::new(count - taken.len(), PATIENCE).flows(flows.clone());
        let more = engine.checkout(&QueueName::from(queue), want).await.unwrap();
        assert!(
            !more.is_empty(),
            "{} of {count} records of {queue} came",
            taken.len()
        );
        taken.extend(more);
    }
    taken
}

async fn take(engine: &Arc<dyn Engine>, queue: &str, count: usize) -> Vec<Delivery> {
    take_from(engine, queue, count, Flows::All).await
}

async fn one(engine: &Arc<dyn Engine>, queue: &str) -> Delivery {
    take(engine, queue, 1).await.pop().unwrap()
}

async fn nothing(engine: &Arc<dyn Engine>, queue: &str) {
    let deliveries = now(engine, queue, 10).await;
    assert!(
        deliveries.is_empty(),
        "nothing is ready in {queue}, but {:?} came",
        texts(&deliveries)
    );
}

async fn browse(engine: &Arc<dyn Engine>, queue: &str, place: Place) -> Vec<Browsed> {
    engine
        .browse(&QueueName::from(queue), place, None, 10_000)
        .await
        .unwrap()
}

async fn get(engine: &Arc<dyn Engine>, key: &str) -> Option<Versioned> {
    engine
        .get(vec![StateKey::from(key)])
        .await
        .unwrap()
        .pop()
        .expect("one answer for each key")
}

async fn entries(engine: &Arc<dyn Engine>, log: &str) -> Vec<Entry> {
    engine
        .read(&LogName::from(log), Position(0), 10_000, Duration::ZERO)
        .await
        .unwrap()
}
