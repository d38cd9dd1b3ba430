//! Panics and failures at every seam of a link: the engine, the clock of handlers and timers, the dial, the connection
//! under the session's driver. The link starts again, its neighbours do not notice, every part has one result.

use super::carrier::Reply;
use super::*;
use crate::dial::{Dialled, Stream};
use bytes::Bytes;
use smsgw_message::{MessageState, ReportLevel};
use smsgw_queue::BoxFuture;
use smsgw_smpp::{Address, CommandStatus, DeliverSm};
use smsgw_testkit::{Call, Prank, Pranks, restarts_below};
use smsgw_transport::{ConnectError, ConnectOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts uses down; the one at 0 panics.
#[derive(Debug, Clone)]
struct Fuse(Arc<AtomicI64>);

impl Fuse {
    fn out() -> Self {
        Self(Arc::new(AtomicI64::new(-1)))
    }

    fn light(&self, uses: i64) {
        self.0.store(uses, Ordering::SeqCst);
    }

    fn burn(&self) {
        if self.0.load(Ordering::SeqCst) >= 0 && self.0.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::panic::resume_unwind(Box::new("the fuse has burnt"));
        }
    }
}

/// A dial that panics, to connections that panic, by two fuses.
#[derive(Debug)]
struct Brittle {
    carrier: Carrier,
    dial: Fuse,
    stream: Fuse,
}

impl Dial for Brittle {
    fn dial<'a>(
        &'a self,
        hosts: &'a [String],
        options: &'a ConnectOptions,
    ) -> BoxFuture<'a, Result<Dialled, ConnectError>> {
        Box::pin(async move {
            self.dial.burn();
            let dialled = self.carrier.dial(hosts, options).await?;
            let stream = BrittleStream {
                inner: dialled.stream,
                fuse: self.stream.clone(),
            };
            Ok(Dialled {
                stream: Box::new(stream),
                ..dialled
            })
        })
    }
}

struct BrittleStream {
    inner: Box<dyn Stream>,
    fuse: Fuse,
}

impl AsyncRead for BrittleStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.fuse.burn();
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BrittleStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.fuse.burn();
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

async fn brittle(config: Config) -> (World, Fuse, Fuse) {
    let clock = Arc::new(SimClock::new());
    let memory = MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let carrier = Carrier::scripted(|_, _| Reply::After(ms(40), CommandStatus::OK));
    let (dial, stream) = (Fuse::out(), Fuse::out());
    let brittle = Arc::new(Brittle {
        carrier: carrier.clone(),
        dial: dial.clone(),
        stream: stream.clone(),
    });
    let world = World::start_over(memory, clock, config, carrier, brittle).await;
    (world, dial, stream)
}

fn two_links() -> Operator {
    Operator {
        binds: 2,
        window: 5,
        ..operator()
    }
}

fn storm(seed: u64) -> Pranks {
    Pranks::by(seed)
        .with(Prank::PanicBefore, 50)
        .with(Prank::PanicAfter, 50)
        .with(Prank::LoseAnswer, 50)
        .with(Prank::Refuse, 50)
        .with(Prank::Delay, 100)
        .at_most(30)
}

#[tokio::test(start_paused = true)]
async fn panics_at_every_seam_restart_the_link_and_every_part_has_one_result() {
    let operator = Operator {
        in_doubt_max: 1_000,
        ..two_links()
    };
    let (mut panics, mut restarted) = (0, 0);
    let mut both = (0, 0);
    for seed in 0..12 {
        let (world, dial, stream) = brittle(config(&[("alpha", operator.clone())])).await;
        world.engine.play(storm(seed));
        world.luck.panic_by(seed, 20, 8);
        stream.light(60);
        for n in 0..60 {
            // What every second answer says is all there is to say.
            match n % 2 {
                0 => world.send([n]).await,
                _ => world.send_accepted(ReportLevel::Final, [n]).await,
            }
            if n % 20 == 19 {
                tokio::time::sleep(ms(1_500)).await;
                dial.light(1);
                stream.light(40);
            }
        }
        let mut results: BTreeMap<MessageId, usize> = BTreeMap::new();
        let mut written = 0;
        while results.len() + written < 60 {
            let within = world.up_within(Duration::from_secs(600)).await;
            written = 0;
            for n in (1..60).step_by(2) {
                written += usize::from(world.life(n).await.state == MessageState::Sent);
            }
            let Some((up, _)) = within else {
                assert_eq!(
                    results.len() + written,
                    60,
                    "seed {seed}; {:#?}",
                    world.tree.status()
                );
                break;
            };
            let result = match up {
                Up::SubmitResult(result) => result,
                Up::InDoubt(_) => continue,
                other => panic!("{other:?}"),
            };
            assert!(matches!(result.outcome, SubmitOutcome::Sent { .. }), "{result:?}");
            *results.entry(result.message).or_default() += 1;
        }
        panics += world.engine.panics() + world.luck.panics();
        world.engine.calm();
        world.luck.calm();
        assert!(
            world.up_within(Duration::from_secs(120)).await.is_none(),
            "seed {seed}: a second result"
        );
        assert!(results.values().all(|count| *count == 1), "seed {seed}");
        both.0 += results.len();
        both.1 += written;
        assert_eq!(world.depth(), Depth::default(), "seed {seed}");
        let sent = world.event_names().await;
        let sent = sent.iter().filter(|name| **name == EventName::MtSent).count();
        assert_eq!(sent, 60, "seed {seed}: one event each");
        assert!(world.carrier.seen().len() >= 60);
        world.bound().await;
        let status = world.tree.status();
        let restarts = restarts_below(status.find(&["operator"]).unwrap());
        assert!(status.is_running() && restarts > 0, "seed {seed}: {status:#?}");
        assert_eq!(
            status.find(&["operator"]).unwrap().restarts,
            0,
            "links never end the node"
        );
        assert_eq!(world.neighbour.load(Ordering::SeqCst), 1);
        restarted += restarts;
        world.drain().await;
    }
    assert!(
        panics > 60 && restarted > 60,
        "{panics} panics, {restarted} restarts"
    );
    assert!(both.0 >= 12 * 30 && both.1 > 0, "results and lives: {both:?}");
}

fn mo(n: u64) -> DeliverSm {
    DeliverSm {
        source: Address::international("491700000001").unwrap(),
        destination: Address::short_code("12345").unwrap(),
        short_message: Bytes::from(format!("mo {n}")),
        ..DeliverSm::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_carrier_delivers_meanwhile_is_answered_only_when_it_is_durable() {
    let mut repeats = 0;
    for seed in 0..8 {
        let (world, _, stream) = brittle(config(&[("alpha", operator())])).await;
        world.bound().await;
        world.engine.play(storm(seed));
        world.luck.panic_by(seed, 20, 8);
        // As carriers do: what was not answered OK is delivered again, over the next session.
        let mut tag = 0;
        for n in 0..30 {
            if n % 10 == 5 {
                stream.light(6);
            }
            let first = tag;
            'again: loop {
                assert!(tag - first < 1_000, "seed {seed}: {n} is never taken");
                tag += 1;
                let delivered = world.carrier.try_deliver(tag * 100 + n, mo(n));
                for _ in 0..if delivered { 20 } else { 1 } {
                    tokio::time::sleep(ms(100)).await;
                    if world
                        .carrier
                        .answered()
                        .contains(&(tag * 100 + n, CommandStatus::OK))
                    {
                        break 'again;
                    }
                }
                repeats += 1;
            }
        }
        world.engine.calm();
        world.luck.calm();
        let mut up = BTreeMap::<String, usize>::new();
        while let Some((Up::Mo(mo), _)) = world.up_within(Duration::from_secs(10)).await {
            *up.entry(String::from_utf8(mo.data.to_vec()).unwrap())
                .or_default() += 1;
        }
        let all: BTreeSet<String> = (0..30).map(|n| format!("mo {n}")).collect();
        assert_eq!(up.keys().cloned().collect::<BTreeSet<_>>(), all, "seed {seed}");
        let durable: usize = up.values().sum();
        assert!(
            durable <= usize::try_from(tag).unwrap(),
            "seed {seed}: one record a delivery at most"
        );
        assert!(
            restarts_below(world.tree.status().find(&["operator"]).unwrap()) > 0,
            "seed {seed}"
        );
        world.drain().await;
    }
    assert!(repeats > 30, "{repeats} deliveries repeated");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_panics_for_ever_is_not_noticed_by_the_other_operators() {
    let (world, ..) = brittle(config(&[("alpha", operator()), ("beta", operator())])).await;
    world.bound().await;
    let beta = |world: &World| {
        let all = world.table.snapshot().into_iter();
        all.filter(|status| status.operator.as_str() == "beta")
            .collect::<Vec<_>>()
    };
    let before = beta(&world);
    let of_alpha = |call: &Call<'_>| matches!(call, Call::Checkout(queue) if queue.as_str() == names::mt_operator(&alpha()));
    world
        .engine
        .play(Pranks::by(1).with(Prank::PanicBefore, 1000).only(of_alpha));
    world.send([1]).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let status = world.tree.status();
    assert!(world.tree.is_running());
    assert!(restarts_below(status.find(&["operator", "link-alpha-1"]).unwrap()) > 50);
    assert_eq!(status.find(&["operator", "link-beta-1"]).unwrap().restarts, 0);
    assert_eq!(status.find(&["operator", "keeper"]).unwrap().restarts, 0);
    assert_eq!(beta(&world), before, "the same session as an hour ago");
    world.engine.calm();
    assert_eq!(world.result().await.message, id(1), "the part was kept");
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_panics_half_way_finishes_the_change_after_its_restart() {
    let world = World::start(operator()).await;
    world.bound().await;
    let ucp = Operator {
        protocol: smsgw_config::Protocol::Http,
        ..operator()
    };
    let before = world.table.snapshot();
    // The link waits for traffic; the keeper is the first to look at the clock.
    world.luck.panic_by(1, 1000, 1);
    world
        .config
        .publish(config(&[("alpha", operator()), ("beta", ucp)]));
    world
        .until("the new operator is shown", |world| world.states().len() == 2)
        .await;
    assert_eq!(world.luck.panics(), 1);
    let status = world.tree.status();
    assert_eq!(status.find(&["operator", "keeper"]).unwrap().restarts, 1);
    assert_eq!(status.find(&["operator", "link-alpha-1"]).unwrap().restarts, 0);
    let after = world.table.snapshot();
    assert!(after.iter().any(|status| status.state == LinkState::Unsupported));
    assert_eq!(after[0], before[0], "the link of the other operator is as it was");
    world.drain().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_counts_from_its_beginning_however_often_the_link_tries() {
    let world = World::start(operator()).await;
    world.bound().await;
    let bound = world.table.snapshot()[0].since;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.carrier.close_port(true);
    world.carrier.hang_up();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let down = world.table.snapshot().remove(0);
    assert!(
        matches!(down.state, LinkState::Down | LinkState::Connecting),
        "{down:?}"
    );
    assert_eq!(down.since.since(bound).as_secs(), 10);
    world.carrier.close_port(false);
    world.bound().await;
    assert!(world.table.snapshot()[0].since.since(bound).as_secs() > 600);
    world.send(0..10).await;
    world.results(10).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (_, load) = world.table.loads().remove(0);
    assert_eq!((load.in_flight, load.window), (0, 10));
    assert!((load.sent_per_second - 1.0).abs() < 0.05, "{load:?}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.table.loads()[0].1.sent_per_second < 0.05);
    world.drain().await;
}
