//! The driver's laws with a toy session on an in-memory line: nothing lost, nothing unbounded, every wait ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Command, Event, Toy};
use rand::Rng;
use smsgw_transport::{BYTES_TOTAL, DriveEnd, DriveOptions, Driven, drive};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

struct Rig {
    peer: DuplexStream,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Vec<Event>>,
    driving: JoinHandle<Driven<Toy>>,
}

fn rig(toy: Toy, line: usize, batches: usize, options: DriveOptions) -> Rig {
    let (ours, peer) = duplex(line);
    let (commands, taken) = mpsc::channel(64);
    let (sent, events) = mpsc::channel(batches);
    let driving = tokio::spawn(drive(toy, ours, taken, sent, options));
    Rig {
        peer,
        commands,
        events,
        driving,
    }
}

const OPTIONS: DriveOptions = DriveOptions::new("test");

fn frames(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    numbers.flat_map(u64::to_be_bytes).collect()
}

fn heard(events: &[Event]) -> Vec<u64> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Heard(number) => Some(*number),
            Event::Silence | Event::Eof => None,
        })
        .collect()
}

/// Takes no more than a random number of bytes at a time, and is not ready now and then.
struct Choppy<T>(T);

impl<T> Choppy<T> {
    fn balks(cx: &Context<'_>) -> bool {
        let balks = rand::rng().random_ratio(1, 4);
        if balks {
            cx.waker().wake_by_ref();
        }
        balks
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Choppy<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if Self::balks(cx) {
            return Poll::Pending;
        }
        let mut bytes = [0; 40];
        let most = rand::rng().random_range(1..=40);
        let mut small = ReadBuf::new(&mut bytes[..most]);
        let polled = Pin::new(&mut self.0).poll_read(cx, &mut small);
        buffer.put_slice(small.filled());
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Choppy<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if Self::balks(cx) {
            return Poll::Pending;
        }
        let most = rand::rng().random_range(1..=40).min(bytes.len());
        Pin::new(&mut self.0).poll_write(cx, &bytes[..most])
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if Self::balks(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_line_cut_anywhere_loses_and_reorders_nothing_in_either_direction() {
    const COUNT: u64 = 20_000;
    let (left, right) = duplex(1000);
    let (say, commands) = mpsc::channel(16);
    let (sent, mut events) = mpsc::channel(2);
    let (unused, no_commands) = mpsc::channel(1);
    let (echoed, mut echoes) = mpsc::channel(2);
    let caller = Toy {
        last: Some(COUNT - 1),
        ..Toy::default()
    };
    let caller = tokio::spawn(drive(caller, Choppy(left), commands, sent, OPTIONS));
    let echo = Toy {
        echo: true,
        ..Toy::default()
    };
    let echo = tokio::spawn(drive(echo, Choppy(right), no_commands, echoed, OPTIONS));
    let talking = tokio::spawn(async move {
        for number in 0..COUNT {
            say.send(Command::Say(number)).await.unwrap();
        }
        say
    });
    let listening = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(batch) = echoes.recv().await {
            all.extend(batch);
        }
        all
    });
    let mut all = Vec::new();
    while let Some(batch) = events.recv().await {
        assert!(!batch.is_empty());
        all.extend(batch);
    }
    assert!(heard(&all).into_iter().eq(0..COUNT));
    let caller = caller.await.unwrap();
    assert!(matches!(caller.end, DriveEnd::Closed) && caller.flushed);
    drop(talking.await.unwrap());
    let echo = echo.await.unwrap();
    assert!(matches!(echo.end, DriveEnd::PeerClosed), "{:?}", echo.end);
    let all = listening.await.unwrap();
    assert!(heard(&all).into_iter().eq(0..COUNT));
    assert_eq!(all.last(), Some(&Event::Eof));
    drop(unused);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_takes_no_events_stops_the_reading_but_not_the_writing() {
    let mut rig = rig(Toy::default(), 4096, 1, OPTIONS);
    // Far more than line, read buffer and channel hold.
    let total = 100_000_u64;
    let (mut read_half, mut write_half) = tokio::io::split(rig.peer);
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let writing = tokio::spawn(async move {
        for number in 0..total {
            write_half.write_all(&number.to_be_bytes()).await.unwrap();
            count.fetch_add(8, Ordering::Relaxed);
        }
        write_half.shutdown().await.unwrap();
        write_half
    });
    sleep(Duration::from_secs(5)).await;
    let stuck_at = accepted.load(Ordering::Relaxed);
    assert!(
        stuck_at <= 4 * 4096,
        "{stuck_at} bytes taken while nobody takes events"
    );
    // Commands are still taken and written.
    for number in 0..1000 {
        rig.commands.send(Command::Say(number)).await.unwrap();
    }
    let mut bytes = vec![0; 8000];
    read_half.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, frames(0..1000));
    assert_eq!(accepted.load(Ordering::Relaxed), stuck_at);
    // The owner wakes up: everything arrives, in order.
    let mut all = Vec::new();
    while let Some(batch) = rig.events.recv().await {
        all.extend(batch);
    }
    assert!(heard(&all).into_iter().eq(0..total));
    assert_eq!(all.last(), Some(&Event::Eof));
    assert!(matches!(rig.driving.await.unwrap().end, DriveEnd::PeerClosed));
    drop((read_half, writing.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn timers_run_while_the_owner_is_stalled_and_its_events_still_arrive() {
    let mut rig = rig(Toy::patient(Duration::from_secs(7)), 4096, 1, OPTIONS);
    let begin = Instant::now();
    for number in 0..3_u64 {
        rig.peer.write_all(&number.to_be_bytes()).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(60)).await;
    let mut all = Vec::new();
    while let Some(batch) = rig.events.recv().await {
        all.extend(batch);
    }
    // The third number lay in the socket when the deadline after the second came.
    assert_eq!(all, [Event::Heard(0), Event::Heard(1), Event::Silence]);
    let driven = rig.driving.await.unwrap();
    assert!(matches!(driven.end, DriveEnd::Closed));
    assert!(begin.elapsed() < Duration::from_secs(62));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_session_is_kept_to_the_moment_and_moves_with_traffic() {
    let mut rig = rig(Toy::patient(Duration::from_secs(30)), 4096, 8, OPTIONS);
    let begin = Instant::now();
    for number in 0..5_u64 {
        sleep(Duration::from_secs(20)).await;
        rig.peer.write_all(&number.to_be_bytes()).await.unwrap();
        assert_eq!(rig.events.recv().await.unwrap(), [Event::Heard(number)]);
    }
    assert_eq!(rig.events.recv().await.unwrap(), [Event::Silence]);
    let waited = begin.elapsed();
    assert!(
        (Duration::from_secs(130)..Duration::from_millis(130_010)).contains(&waited),
        "{waited:?}"
    );
    rig.driving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_last_bytes_are_flushed_at_the_close_and_the_commands_after_it_come_back() {
    // A narrow line: the flush takes many writes.
    let mut rig = rig(Toy::default(), 16, 8, OPTIONS);
    let mut said = Vec::new();
    for number in 0..40 {
        said.push(number);
        rig.commands.try_send(Command::Say(number)).unwrap();
    }
    said.push(99);
    rig.commands.try_send(Command::Leave(99)).unwrap();
    let mut bytes = Vec::new();
    let reading = tokio::spawn(async move {
        rig.peer.read_to_end(&mut bytes).await.unwrap();
        bytes
    });
    let driven = rig.driving.await.unwrap();
    assert!(matches!(driven.end, DriveEnd::Closed) && driven.flushed);
    assert_eq!(reading.await.unwrap(), frames(said.into_iter()));
    assert!(
        rig.commands.send(Command::Say(1)).await.is_err(),
        "the channel is closed"
    );
    assert!(rig.events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn commands_that_were_sent_but_not_handled_are_given_back() {
    let options = DriveOptions {
        command_batch: 2,
        ..OPTIONS
    };
    let mut rig = rig(Toy::default(), 4096, 8, options);
    for command in [
        Command::Say(1),
        Command::Leave(2),
        Command::Say(3),
        Command::Say(4),
        Command::Say(5),
    ] {
        rig.commands.try_send(command).unwrap();
    }
    // One more sender has a place and does not use it: it is waited for, but not for ever.
    let permit = rig.commands.clone().reserve_owned().await.unwrap();
    let begin = Instant::now();
    let mut bytes = Vec::new();
    rig.peer.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, frames(1..=2));
    let driven = rig.driving.await.unwrap();
    assert_eq!(
        driven.unhandled,
        [Command::Say(3), Command::Say(4), Command::Say(5)]
    );
    assert!(begin.elapsed() < Duration::from_secs(7), "{:?}", begin.elapsed());
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_ends_the_session_after_the_stall_time() {
    let options = DriveOptions {
        write_stall: Duration::from_secs(9),
        ..OPTIONS
    };
    let mut rig = rig(Toy::default(), 64, 8, options);
    let begin = Instant::now();
    for number in 0..32 {
        rig.commands.send(Command::Say(number)).await.unwrap();
    }
    // Progress starts the stall time anew.
    sleep(Duration::from_secs(5)).await;
    let mut some = [0; 16];
    rig.peer.read_exact(&mut some).await.unwrap();
    let driven = rig.driving.await.unwrap();
    assert!(
        matches!(driven.end, DriveEnd::WriteStalled) && !driven.flushed,
        "{:?}",
        driven.end
    );
    assert_eq!(begin.elapsed().as_secs(), 14);
    assert_eq!(driven.session.eofs, 1);
    assert_eq!(rig.events.recv().await.unwrap(), [Event::Eof]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_does_not_make_us_buffer_without_bound() {
    let options = DriveOptions {
        write_high_water: 1000,
        ..OPTIONS
    };
    let mut rig = rig(
        Toy {
            echo: true,
            ..Toy::default()
        },
        64,
        10_000,
        options,
    );
    let (mut read_half, mut write_half) = tokio::io::split(rig.peer);
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let writing = tokio::spawn(async move {
        for number in 0..10_000_u64 {
            write_half.write_all(&number.to_be_bytes()).await.unwrap();
            count.fetch_add(8, Ordering::Relaxed);
        }
        write_half
    });
    sleep(Duration::from_secs(1)).await;
    assert!(accepted.load(Ordering::Relaxed) <= 1000 + 4 * 64);
    // It reads after all: nothing was lost.
    let mut bytes = vec![0; 80_000];
    read_half.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, frames(0..10_000));
    drop((read_half, writing.await.unwrap()));
    rig.events.close();
    rig.driving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_does_not_get_through_ends_at_its_deadline() {
    let options = DriveOptions {
        flush_timeout: Duration::from_secs(3),
        ..OPTIONS
    };
    let rig = rig(Toy::default(), 16, 8, options);
    for number in 0..8 {
        rig.commands.try_send(Command::Say(number)).unwrap();
    }
    rig.commands.try_send(Command::Leave(9)).unwrap();
    let begin = Instant::now();
    let driven = rig.driving.await.unwrap();
    assert!(matches!(driven.end, DriveEnd::Closed) && !driven.flushed);
    assert_eq!(begin.elapsed().as_secs(), 3);
    drop(rig.peer);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_drops_its_receiver_gets_what_is_left_with_the_result() {
    let mut rig = rig(Toy::default(), 4096, 1, OPTIONS);
    rig.events.close();
    rig.peer.write_all(&frames(0..3)).await.unwrap();
    let driven = rig.driving.await.unwrap();
    assert!(matches!(driven.end, DriveEnd::OwnerGone));
    assert_eq!(heard(&driven.undelivered), [0, 1, 2]);
    // Both ends gone and a silent peer: the session ends as well.
    let (ours, _peer) = duplex(64);
    let (commands, taken) = mpsc::channel(1);
    let (sent, events) = mpsc::channel(1);
    let driving = tokio::spawn(drive(Toy::default(), ours, taken, sent, OPTIONS));
    sleep(Duration::from_secs(1)).await;
    drop((commands, events));
    assert!(matches!(driving.await.unwrap().end, DriveEnd::OwnerGone));
}

/// Reads from one stream; every write fails.
struct WriteFails(DuplexStream);

impl AsyncRead for WriteFails {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteFails {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, _bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_sent_before_a_write_failed_is_still_heard() {
    let (ours, mut peer) = duplex(100_000);
    let (commands, taken) = mpsc::channel(4);
    let (sent, mut events) = mpsc::channel(100);
    commands.send(Command::Say(1)).await.unwrap();
    peer.write_all(&frames(0..10_000)).await.unwrap();
    drop(peer);
    let driving = tokio::spawn(drive(Toy::default(), WriteFails(ours), taken, sent, OPTIONS));
    let mut all = Vec::new();
    while let Some(batch) = events.recv().await {
        all.extend(batch);
    }
    assert!(heard(&all).into_iter().eq(0..10_000));
    let driven = driving.await.unwrap();
    let DriveEnd::Failed(error) = driven.end else {
        panic!("{:?}", driven.end)
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn the_commands_of_one_turn_leave_in_one_write() {
    let options = DriveOptions::new("coalesce");
    let rig = rig(Toy::default(), 100_000, 8, options);
    for number in 0..60 {
        rig.commands.try_send(Command::Say(number)).unwrap();
    }
    drop(rig.commands);
    sleep(Duration::from_secs(1)).await;
    drop(rig.peer);
    let driven = rig.driving.await.unwrap();
    assert_eq!(driven.session.writes, 1);
    assert_eq!(BYTES_TOTAL.with(&["coalesce", "out"]).get(), 480);
}
