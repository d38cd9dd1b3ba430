//! Runs a sans-IO session on a byte stream.
//!
//! One turn: take what has come (bytes, commands, a deadline), hand it to the session, deliver its events as one
//! batch, send its bytes with one write. Knows no protocol; reads tokio's clock, so paused time works in tests.
//!
//! Invariants: no event and no command is lost: what could not be delivered or handled is in [`Driven`]. Memory is
//! bounded: when the owner does not take events, reading stops, while writing and timers go on; when the peer does
//! not take bytes, reading and commands stop, and after [`DriveOptions::write_stall`] the session ends.
//!
//! # Limits
//! An owner that waits for room in the command channel must keep taking events meanwhile (select over both): with
//! [`DriveOptions::pending_events`] undelivered, commands wait too. While reading is stopped the answers in the
//! socket are not seen, so a response deadline of the session may pass.

use crate::metric;
use bytes::{Buf, BytesMut};
use smsgw_session::Session;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, Sleep};

/// How a session is driven.
#[derive(Debug, Clone, Copy)]
pub struct DriveOptions {
    /// The word under which the connection is counted, such as `link` or `bind`.
    pub role: &'static str,
    /// Bytes taken from the socket in one turn. Default: 32 KiB.
    pub read_buffer: usize,
    /// Commands taken in one turn. Default: 256.
    pub command_batch: usize,
    /// Unsent bytes above which neither bytes nor commands are taken. Default: 256 KiB.
    pub write_high_water: usize,
    /// Undelivered events above which commands are not taken. Default: 4096.
    pub pending_events: usize,
    /// How long the peer may take no byte of what is to be sent. Default: 30 s.
    pub write_stall: Duration,
    /// How long the last bytes may take at the close. Default: 5 s.
    pub flush_timeout: Duration,
    /// How long our close waits for the peer's: closing over unread bytes would reset the connection and take our
    /// last bytes with it. Default: 500 ms.
    pub linger: Duration,
}

impl DriveOptions {
    /// The defaults, under a role.
    pub const fn new(role: &'static str) -> Self {
        Self {
            role,
            read_buffer: 32 * 1024,
            command_batch: 256,
            write_high_water: 256 * 1024,
            pending_events: 4096,
            write_stall: Duration::from_secs(30),
            flush_timeout: Duration::from_secs(5),
            linger: Duration::from_millis(500),
        }
    }
}

/// What is left when a session is over.
#[derive(Debug)]
pub struct Driven<S: Session> {
    /// The session, for what it knows: requests never answered.
    pub session: S,
    /// How it ended.
    pub end: DriveEnd,
    /// Everything was handed to the transport and the stream was shut down in good order.
    pub flushed: bool,
    /// Events the owner had no receiver for any more; empty when the owner kept it.
    pub undelivered: Vec<S::Event>,
    /// Commands that had been sent and were not handled. The channel is closed: no further one can be sent.
    pub unhandled: Vec<S::Command>,
}

/// How a session ended.
#[derive(Debug)]
pub enum DriveEnd {
    /// The session itself was over.
    Closed,
    /// The peer closed its side.
    PeerClosed,
    /// The owner dropped its receiver of events.
    OwnerGone,
    /// The transport failed.
    Failed(io::Error),
    /// The peer took no bytes for [`DriveOptions::write_stall`].
    WriteStalled,
}

/// Runs `session` on `io` until it is over, the peer closes, the transport fails or the owner is gone.
///
/// Events arrive in batches, in order, none twice. Dropping this future drops the connection and the session with it:
/// an owner that needs the rest lets it end.
pub async fn drive<S, IO>(
    session: S,
    io: IO,
    commands: mpsc::Receiver<S::Command>,
    events: mpsc::Sender<Vec<S::Event>>,
    options: DriveOptions,
) -> Driven<S>
where
    S: Session,
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut driver = Driver {
        session,
        line: Line::new(io, &options),
        commands,
        commands_open: true,
        batch: Vec::with_capacity(options.command_batch),
        events,
        pending: Vec::new(),
        stalled: false,
        options,
    };
    let end = driver.run().await;
    driver.wind_up(end).await
}

struct Driver<S: Session, IO> {
    session: S,
    line: Line<IO>,
    commands: mpsc::Receiver<S::Command>,
    commands_open: bool,
    /// Commands just taken; empty between turns.
    batch: Vec<S::Command>,
    events: mpsc::Sender<Vec<S::Event>>,
    /// Events not yet delivered, in order.
    pending: Vec<S::Event>,
    stalled: bool,
    options: DriveOptions,
}

/// What ended a wait.
enum Woken {
    Line(io::Result<Progress>),
    Room,
    OwnerGone,
    Commands(usize),
    Time,
}

impl<S, IO> Driver<S, IO>
where
    S: Session,
    IO: AsyncRead + AsyncWrite + Unpin,
{
    async fn run(&mut self) -> DriveEnd {
        let mut timer = pin!(Timer::new());
        loop {
            self.drain_session();
            if let Err(OwnerGone) = self.deliver() {
                return DriveEnd::OwnerGone;
            }
            if self.session.is_closed() {
                return DriveEnd::Closed;
            }
            self.line.write_now().await;
            let deadline = [
                self.session.poll_timeout().map(Instant::from_std),
                self.line.give_up_at,
            ];
            timer.as_mut().arm(deadline.into_iter().flatten().min());
            let woken = self.wait(timer.as_mut()).await;
            let now = Instant::now();
            match woken {
                Woken::Line(Ok(Progress::Read)) => {
                    self.session.handle_bytes(now.into_std(), self.line.received())
                }
                Woken::Line(Ok(Progress::Wrote)) | Woken::Room => {}
                Woken::Line(Ok(Progress::Ended)) => {
                    return match self.line.broken.take() {
                        Some(error) => DriveEnd::Failed(error),
                        None => DriveEnd::PeerClosed,
                    };
                }
                // A failed write came first, if there was one.
                Woken::Line(Err(error)) => return DriveEnd::Failed(self.line.broken.take().unwrap_or(error)),
                Woken::OwnerGone => return DriveEnd::OwnerGone,
                Woken::Commands(0) => self.commands_open = false,
                Woken::Commands(_) => {}
                Woken::Time => {
                    if self.line.give_up_at.is_some_and(|at| at <= now) {
                        return match self.line.broken.take() {
                            Some(error) => DriveEnd::Failed(error),
                            None => {
                                metric::WRITE_STALLS_TOTAL.with(&[self.options.role]).inc();
                                DriveEnd::WriteStalled
                            }
                        };
                    }
                }
            }
            self.handle_commands(now);
            if self.session.poll_timeout().is_some_and(|at| at <= now.into_std()) {
                self.session.handle_timeout(now.into_std());
            }
        }
    }

    async fn wait(&mut self, timer: Pin<&mut Timer>) -> Woken {
        let may_read = self.pending.is_empty() && self.line.out.len() < self.options.write_high_water;
        let take_commands = self.may_take_commands();
        let owner_silent = !self.commands_open;
        let Self {
            line,
            commands,
            batch,
            events,
            pending,
            options,
            ..
        } = self;
        tokio::select! {
            progress = poll_fn(|cx| line.poll(cx, may_read)) => Woken::Line(progress),
            room = events.reserve(), if !pending.is_empty() => match room {
                Ok(permit) => {
                    permit.send(std::mem::take(pending));
                    Woken::Room
                }
                Err(_) => Woken::OwnerGone,
            },
            taken = commands.recv_many(batch, options.command_batch), if take_commands => Woken::Commands(taken),
            () = events.closed(), if owner_silent => Woken::OwnerGone,
            () = timer.sleep() => Woken::Time,
        }
    }

    fn may_take_commands(&self) -> bool {
        self.commands_open
            && self.pending.len() < self.options.pending_events
            && self.line.out.len() < self.options.write_high_water
    }

    /// Hands over the commands of this turn, and those that came meanwhile, so that one write carries them all.
    fn handle_commands(&mut self, now: Instant) {
        if self.may_take_commands() {
            while self.batch.len() < self.options.command_batch {
                match self.commands.try_recv() {
                    Ok(command) => self.batch.push(command),
                    Err(mpsc::error::TryRecvError::Empty | mpsc::error::TryRecvError::Disconnected) => break,
                }
            }
        }
        for command in self.batch.drain(..) {
            self.session.handle_command(now.into_std(), command);
        }
    }

    fn drain_session(&mut self) {
        if self.line.broken.is_some() {
            // Nobody will read it; the session still has to get rid of it.
            while self.session.poll_transmit(&mut self.line.out) {
                self.line.out.clear();
            }
        } else {
            while self.session.poll_transmit(&mut self.line.out) {}
        }
        while let Some(event) = self.session.poll_event() {
            self.pending.push(event);
        }
    }

    fn deliver(&mut self) -> Result<(), OwnerGone> {
        if self.pending.is_empty() {
            self.stalled = false;
            return Ok(());
        }
        match self.events.try_reserve() {
            Ok(permit) => {
                permit.send(std::mem::take(&mut self.pending));
                self.stalled = false;
                Ok(())
            }
            Err(TrySendError::Full(())) => {
                if !self.stalled {
                    self.stalled = true;
                    metric::EVENTS_STALLED_TOTAL.with(&[self.options.role]).inc();
                }
                Ok(())
            }
            Err(TrySendError::Closed(())) => Err(OwnerGone),
        }
    }

    /// Sends the last bytes, delivers the last events, gathers what is left.
    async fn wind_up(mut self, end: DriveEnd) -> Driven<S> {
        let now = Instant::now();
        match end {
            DriveEnd::Closed => {}
            DriveEnd::PeerClosed | DriveEnd::OwnerGone | DriveEnd::Failed(_) | DriveEnd::WriteStalled => {
                self.session.handle_eof(now.into_std());
            }
        }
        self.drain_session();
        let worth_flushing = match end {
            DriveEnd::Closed | DriveEnd::PeerClosed | DriveEnd::OwnerGone => self.line.broken.is_none(),
            DriveEnd::Failed(_) | DriveEnd::WriteStalled => false,
        };
        let Self {
            session,
            mut line,
            mut commands,
            mut batch,
            events,
            mut pending,
            options,
            ..
        } = self;
        let flush = async {
            let flushed = worth_flushing
                && matches!(
                    tokio::time::timeout(options.flush_timeout, line.close()).await,
                    Ok(Ok(()))
                );
            if flushed && !matches!(end, DriveEnd::PeerClosed) {
                // Whether the peer closes in time changes nothing: what it still sends is for a session that is over.
                tokio::time::timeout(options.linger, line.read_out()).await.ok();
            }
            flushed
        };
        // An owner that lives takes its events sooner or later; one that is gone closes the channel.
        let deliver = async {
            if !pending.is_empty()
                && let Ok(permit) = events.reserve().await
            {
                permit.send(std::mem::take(&mut pending));
            }
        };
        let (flushed, ()) = tokio::join!(flush, deliver);
        commands.close();
        // A sender that holds a permit may still use it; one that never does must not hold us up.
        let rest = async {
            while let Some(command) = commands.recv().await {
                batch.push(command);
            }
        };
        tokio::time::timeout(options.flush_timeout, rest).await.ok();
        Driven {
            session,
            end,
            flushed,
            undelivered: pending,
            unhandled: batch,
        }
    }
}

struct OwnerGone;

/// The deadline of the session, kept in one timer that is moved only when it must ring earlier than set: most
/// deadlines move later and pass over to the next one when it rings.
struct Timer {
    armed: bool,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    fn new() -> Self {
        Self {
            armed: false,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    fn arm(self: Pin<&mut Self>, deadline: Option<Instant>) {
        let this = self.get_mut();
        let Some(deadline) = deadline else {
            this.armed = false;
            return;
        };
        if !this.armed || this.sleep.is_elapsed() || deadline < this.sleep.deadline() {
            this.sleep.as_mut().reset(deadline);
        }
        this.armed = true;
    }

    /// Rings at the deadline or before it.
    async fn sleep(self: Pin<&mut Self>) {
        let this = self.get_mut();
        if this.armed {
            this.sleep.as_mut().await;
        } else {
            std::future::pending().await
        }
    }
}

enum Progress {
    /// Bytes are in the buffer.
    Read,
    /// The peer took some bytes.
    Wrote,
    /// The peer closed its side.
    Ended,
}

/// The stream, what is to be sent and what was received.
struct Line<IO> {
    io: IO,
    out: BytesMut,
    /// Written but not yet flushed (TLS keeps a buffer of its own).
    unflushed: bool,
    buffer: Vec<u8>,
    filled: usize,
    /// Writing failed. What the peer sent before is still read, then this is how the session ends.
    broken: Option<io::Error>,
    /// The peer has to take a byte, or close after a failed write, until then.
    give_up_at: Option<Instant>,
    write_stall: Duration,
    flush_timeout: Duration,
    bytes_in: smsgw_telemetry::IntCounter,
    bytes_out: smsgw_telemetry::IntCounter,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Line<IO> {
    fn new(io: IO, options: &DriveOptions) -> Self {
        Self {
            io,
            out: BytesMut::with_capacity(options.read_buffer),
            unflushed: false,
            buffer: vec![0; options.read_buffer.max(1)],
            filled: 0,
            broken: None,
            give_up_at: None,
            write_stall: options.write_stall,
            flush_timeout: options.flush_timeout,
            bytes_in: metric::BYTES_TOTAL.with(&[options.role, "in"]),
            bytes_out: metric::BYTES_TOTAL.with(&[options.role, "out"]),
        }
    }

    fn received(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// Sends what the peer takes at once; the rest is sent while waiting.
    async fn write_now(&mut self) {
        poll_fn(|cx| {
            let _progress = self.poll_write(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>, may_read: bool) -> Poll<io::Result<Progress>> {
        if self.poll_write(cx) {
            return Poll::Ready(Ok(Progress::Wrote));
        }
        if !may_read {
            return Poll::Pending;
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        self.filled = buffer.filled().len();
        self.bytes_in
            .inc_by(u64::try_from(self.filled).unwrap_or(u64::MAX));
        Poll::Ready(Ok(if self.filled == 0 {
            Progress::Ended
        } else {
            Progress::Read
        }))
    }

    /// Whether anything changed: bytes taken, or the line found broken.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.broken.is_some() {
            return false;
        }
        match self.try_write(cx) {
            Ok(progress) => progress,
            Err(error) => {
                self.broken = Some(error);
                self.out.clear();
                self.unflushed = false;
                self.give_up_at = Instant::now().checked_add(self.flush_timeout);
                true
            }
        }
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.out) {
                Poll::Ready(taken) => {
                    let taken = taken?;
                    if taken == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    self.bytes_out.inc_by(u64::try_from(taken).unwrap_or(u64::MAX));
                    self.out.advance(taken);
                    self.unflushed = true;
                    progress = true;
                }
                Poll::Pending => break,
            }
        }
        let mut done = self.out.is_empty();
        if self.unflushed && done {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                    progress = true;
                }
                Poll::Pending => done = false,
            }
        }
        if done {
            self.give_up_at = None;
        } else if progress || self.give_up_at.is_none() {
            self.give_up_at = Instant::now().checked_add(self.write_stall);
        }
        Ok(progress)
    }

    /// Sends everything and closes our side.
    async fn close(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            self.try_write(cx)?;
            if self.out.is_empty() && !self.unflushed {
                return Pin::new(&mut self.io).poll_shutdown(cx);
            }
            Poll::Pending
        })
        .await
    }

    /// Reads and forgets until the peer closes.
    async fn read_out(&mut self) {
        poll_fn(|cx| {
            loop {
                let mut buffer = ReadBuf::new(&mut self.buffer);
                match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                    Ok(()) if !buffer.filled().is_empty() => {}
                    Ok(()) | Err(_) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}
