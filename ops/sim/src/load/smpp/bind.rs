//! One bind of SMPP load: its socket, its window, what it owes.

use super::super::delivered::{self, Delivered};
use super::super::mix::spread;
use super::super::options::LoadBind;
use super::super::report::Tally;
use super::{Job, SmppLoad, SmppLoadError};
use crate::ledger::Sent;
use crate::line::Line;
use crate::smsc::wire::{ANSWER, Cut, Head, Operation, cut, id, pdu, put_address, put_string};
use crate::token::{Token, Way};
use bytes::{Buf, BufMut, BytesMut};
use rustc_hash::FxHashMap;
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use smsgw_smpp::CommandStatus;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};

const READ: usize = 64 * 1024;
/// enquire_link after so long without anything received.
const QUIET: Duration = Duration::from_secs(20);
const TEMPORARY: u32 = 0x64;
/// How often a bind that lingers looks whether the others have the last receipt.
const LOOK: Duration = Duration::from_millis(20);

/// One submit without an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) number: u32,
    pub(super) parts: u16,
    pub(super) sent: Instant,
    pub(super) due: Option<Instant>,
}

/// A message of several parts.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) left: u16,
    /// The first error, or zero.
    pub(super) status: u32,
    pub(super) unanswered: bool,
    pub(super) ids: Vec<Box<[u8]>>,
}

pub(super) struct Bind {
    pub(super) load: SmppLoad,
    client: usize,
    submits: bool,
    stream: TcpStream,
    input: BytesMut,
    pub(super) out: BytesMut,
    sequence: u32,
    pub(super) waiting: FxHashMap<u32, Waiting>,
    /// Numbers of submits in the order of their sending.
    pub(super) order: VecDeque<(Instant, u32)>,
    pub(super) progress: FxHashMap<u32, Progress>,
    pub(super) tally: Tally,
    sent_lines: Vec<u8>,
    received_lines: Vec<u8>,
    pub(super) scratch: Vec<u8>,
    pub(super) to: Vec<u8>,
    last_answer: Instant,
    last_received: Instant,
    unbound: bool,
    /// It has told that it submits no more.
    is_done: bool,
}

impl Bind {
    /// Connects and waits until bound.
    pub(super) async fn open(load: &SmppLoad, client: usize, submits: bool) -> Result<Self, SmppLoadError> {
        let stream = connect(load).await?;
        let now = SystemClock.instant();
        let mut bind = Self {
            load: load.clone(),
            client,
            submits,
            stream,
            input: BytesMut::new(),
            out: BytesMut::new(),
            sequence: 0,
            waiting: FxHashMap::default(),
            order: VecDeque::new(),
            progress: FxHashMap::default(),
            tally: Tally::default(),
            sent_lines: Vec::new(),
            received_lines: Vec::new(),
            scratch: Vec::new(),
            to: Vec::new(),
            last_answer: now,
            last_received: now,
            unbound: false,
            is_done: !submits,
        };
        bind.bind().await?;
        Ok(bind)
    }

    pub(super) const fn submits(&self) -> bool {
        self.submits
    }

    fn failed(&self, kind: io::Error) -> SmppLoadError {
        SmppLoadError::Connection {
            doing: "talk to",
            host: self.load.host.clone(),
            kind,
        }
    }

    async fn bind(&mut self) -> Result<(), SmppLoadError> {
        let command = match (self.load.bind, self.submits) {
            (LoadBind::Transceiver, _) => id::BIND_TRANSCEIVER,
            (LoadBind::Pair, true) => id::BIND_TRANSMITTER,
            (LoadBind::Pair, false) => id::BIND_RECEIVER,
        };
        let name = self.load.system_id.replace('*', &self.client.to_string());
        let (password, version) = (self.load.password.clone(), self.load.interface_version);
        self.sequence = 1;
        pdu(&mut self.out, command, 0, 1, |out| {
            put_string(out, name.as_bytes());
            put_string(out, password.as_bytes());
            put_string(out, b"");
            out.put_u8(version);
            put_address(out, 0, 0, b"");
        });
        let within = self.load.timeout;
        let bound = async {
            loop {
                self.write()?;
                self.stream.readable().await?;
                if !self.read()? {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                let Cut::Pdu(head, _, length) = cut(&self.input) else {
                    continue;
                };
                self.input.advance(length);
                if head.id == ANSWER | command {
                    return Ok(head.status);
                }
                if head.id == id::ENQUIRE_LINK {
                    pdu(&mut self.out, ANSWER | id::ENQUIRE_LINK, 0, head.sequence, |_| {});
                }
            }
        };
        let status = match timeout(within, bound).await {
            Ok(Ok(status)) => status,
            Ok(Err(kind)) => return Err(self.failed(kind)),
            Err(_) => return Err(self.failed(io::ErrorKind::TimedOut.into())),
        };
        if status != 0 {
            return Err(SmppLoadError::Refused(CommandStatus(status)));
        }
        self.last_received = SystemClock.instant();
        Ok(())
    }

    /// Sends what the socket takes.
    fn write(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what there is; `false` at the end.
    fn read(&mut self) -> io::Result<bool> {
        self.input.reserve(READ);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn work(
        mut self,
        job: Arc<Job>,
        done: Arc<watch::Sender<usize>>,
        mut is_done: watch::Receiver<usize>,
    ) -> Result<(Tally, Instant), SmppLoadError> {
        let mut failures = 0_u32;
        let worked = loop {
            match self.run(&job, &done, &mut is_done).await {
                Ok(()) => break Ok(()),
                Err(error) => {
                    self.forget(&job);
                    self.keep(&job)?;
                    if failures >= self.load.reconnects
                        || (self.submits && job.pace.is_over(SystemClock.instant()))
                    {
                        break Err(error);
                    }
                    failures = failures.saturating_add(1);
                    self.tally.reconnects = self.tally.reconnects.saturating_add(1);
                    job.progress.again.add();
                    sleep(self.load.reconnect_after).await;
                    if let Ok(stream) = connect(&self.load).await {
                        self.stream = stream;
                        self.input.clear();
                        self.out.clear();
                        self.unbound = false;
                        if self.bind().await.is_ok() {
                            failures = 0;
                        }
                    }
                }
            }
        };
        self.tell_done(&done);
        self.keep(&job)?;
        match worked {
            // With the plan's time over there is nothing left to reconnect for.
            Err(_) if self.load.reconnects > 0 => Ok((self.tally, self.last_answer)),
            Err(error) => Err(error),
            Ok(()) => Ok((self.tally, self.last_answer)),
        }
    }

    /// Submits and receives until the plan is done and everything is answered, then unbinds.
    async fn run(
        &mut self,
        job: &Job,
        done: &watch::Sender<usize>,
        is_done: &mut watch::Receiver<usize>,
    ) -> Result<(), SmppLoadError> {
        let mut next = None;
        let mut over = !self.submits;
        let mut linger_until: Option<Instant> = None;
        loop {
            let now = SystemClock.instant();
            self.expire(job, now);
            while !over && !self.unbound && self.waiting.len() < self.load.window.max(1) {
                if next.is_none() {
                    next = job.pace.take(now);
                }
                let Some((number, due)) = next else {
                    over = true;
                    job.note_over();
                    break;
                };
                if due.is_some_and(|due| due > now) {
                    break;
                }
                self.submit(job, number, due, now);
                next = None;
            }
            self.keep(job)?;
            self.write().map_err(|kind| self.failed(kind))?;
            if over && self.waiting.is_empty() {
                self.tell_done(done);
            }
            // A bind stays for what comes back as long as another one submits.
            if over && self.waiting.is_empty() && *is_done.borrow_and_update() == 0 {
                if linger_until.is_none() {
                    job.note_answered();
                }
                let until =
                    *linger_until.get_or_insert_with(|| now.checked_add(self.load.linger).unwrap_or(now));
                if until <= now || (self.load.until_receipts && job.has_all_receipts()) {
                    return self.unbind(job).await;
                }
            }
            let due = next
                .filter(|_| self.waiting.len() < self.load.window.max(1))
                .and_then(|(_, due)| due);
            let expires = self
                .order
                .front()
                .and_then(|(sent, _)| sent.checked_add(self.load.timeout));
            let quiet = self.last_received.checked_add(QUIET);
            // The last receipt may come over another bind.
            let look = linger_until
                .filter(|_| self.load.until_receipts)
                .and_then(|_| now.checked_add(LOOK));
            let wake = [due, expires, quiet, linger_until, look]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(now);
            tokio::select! {
                ready = self.stream.readable() => {
                    let read = ready.and_then(|()| self.read());
                    if !read.map_err(|kind| self.failed(kind))? {
                        return Err(self.failed(io::ErrorKind::ConnectionReset.into()));
                    }
                    self.handle(job);
                }
                ready = self.stream.writable(), if !self.out.is_empty() => ready.map_err(|kind| self.failed(kind))?,
                () = sleep_until(tokio::time::Instant::from_std(wake)) => {
                    if quiet.is_some_and(|at| at <= SystemClock.instant()) {
                        self.last_received = SystemClock.instant();
                        let sequence = self.number();
                        pdu(&mut self.out, id::ENQUIRE_LINK, 0, sequence, |_| {});
                    }
                }
                // A sender that is gone is done.
                _ = is_done.changed(), if over && self.waiting.is_empty() && linger_until.is_none() => {}
            }
        }
    }

    /// Tells the other binds, once, that this one submits no more.
    fn tell_done(&mut self, done: &watch::Sender<usize>) {
        if !self.is_done {
            self.is_done = true;
            done.send_modify(|left| *left = left.saturating_sub(1));
        }
    }

    async fn unbind(&mut self, job: &Job) -> Result<(), SmppLoadError> {
        let sequence = self.number();
        pdu(&mut self.out, id::UNBIND, 0, sequence, |_| {});
        let last = async {
            while self.write().is_ok() && !self.unbound {
                if self.stream.readable().await.is_err() || !self.read().is_ok_and(|more| more) {
                    break;
                }
                self.handle(job);
                if self.keep(job).is_err() {
                    break;
                }
            }
        };
        // A peer that does not answer loses nothing by it.
        timeout(Duration::from_secs(1), last).await.ok();
        self.keep(job)?;
        Ok(())
    }

    pub(super) fn number(&mut self) -> u32 {
        self.sequence = if self.sequence >= 0x7FFF_FFFF {
            1
        } else {
            self.sequence.saturating_add(1)
        };
        self.sequence
    }

    pub(super) fn token(job: &Job, number: u32) -> Token {
        Token {
            way: Way::Mt,
            run: job.run,
            number,
        }
    }

    /// Takes all whole PDUs from the input.
    fn handle(&mut self, job: &Job) {
        let now = SystemClock.instant();
        self.last_received = now;
        let input = std::mem::take(&mut self.input);
        let mut rest: &[u8] = &input;
        loop {
            match cut(rest) {
                Cut::Pdu(head, body, length) => {
                    self.handle_pdu(job, now, head, body);
                    rest = rest.get(length..).unwrap_or(&[]);
                }
                Cut::Partial => break,
                Cut::BadLength => {
                    // Nothing after it can be understood: as good as closed.
                    self.unbound = true;
                    rest = &[];
                    break;
                }
            }
        }
        let taken = input.len().saturating_sub(rest.len());
        self.input = input;
        self.input.advance(taken);
        while self
            .order
            .front()
            .is_some_and(|(_, sequence)| !self.waiting.contains_key(sequence))
        {
            self.order.pop_front();
        }
    }

    fn handle_pdu(&mut self, job: &Job, now: Instant, head: Head, body: &[u8]) {
        match head.id {
            command if command == ANSWER | id::SUBMIT_SM || command == id::GENERIC_NACK => {
                let Some(waiting) = self.waiting.remove(&head.sequence) else {
                    return;
                };
                let status = if command == id::GENERIC_NACK && head.status == 0 {
                    0xff
                } else {
                    head.status
                };
                let end = body.iter().position(|octet| *octet == 0).unwrap_or(body.len());
                self.finish(job, now, waiting, Some((status, body.get(..end).unwrap_or(&[]))));
            }
            command @ (id::DELIVER_SM | id::DATA_SM) => {
                let share = self.load.refuse_deliveries;
                let chance = f64::from(u32::try_from(spread(head.sequence) % 10_000).unwrap_or(0)) / 10_000.0;
                let status = if chance < share { TEMPORARY } else { 0 };
                let at = SystemClock.now().as_millis();
                let operation = if command == id::DATA_SM {
                    Operation::DataSm
                } else {
                    Operation::SubmitSm
                };
                let mut none = Vec::new();
                let lines = if job.keeps_received {
                    &mut self.received_lines
                } else {
                    &mut none
                };
                match delivered::note(operation, body, at, status, lines) {
                    Delivered::Receipt => {
                        self.tally.receipts = self.tally.receipts.saturating_add(1);
                        if status == 0 {
                            job.note_receipt(now);
                        }
                    }
                    Delivered::Mo => self.tally.mo = self.tally.mo.saturating_add(1),
                    Delivered::Unreadable => self.tally.unreadable = self.tally.unreadable.saturating_add(1),
                }
                self.tally.delivered = self.tally.delivered.saturating_add(1);
                pdu(&mut self.out, ANSWER | command, status, head.sequence, |out| {
                    out.put_u8(0)
                });
            }
            id::ENQUIRE_LINK => pdu(&mut self.out, ANSWER | id::ENQUIRE_LINK, 0, head.sequence, |_| {}),
            id::UNBIND => {
                pdu(&mut self.out, ANSWER | id::UNBIND, 0, head.sequence, |_| {});
                self.unbound = true;
            }
            command if command == ANSWER | id::UNBIND => self.unbound = true,
            command if command & ANSWER == 0 && command != id::ALERT_NOTIFICATION => {
                pdu(&mut self.out, id::GENERIC_NACK, 0x03, head.sequence, |_| {});
            }
            _ => {}
        }
    }

    /// Submits that were not answered in time.
    fn expire(&mut self, job: &Job, now: Instant) {
        while let Some((sent, sequence)) = self.order.front().copied()
            && now.saturating_duration_since(sent) >= self.load.timeout
        {
            self.order.pop_front();
            if let Some(waiting) = self.waiting.remove(&sequence) {
                self.finish(job, now, waiting, None);
            }
        }
    }

    /// The connection is lost: everything that waits is in doubt.
    fn forget(&mut self, job: &Job) {
        let now = SystemClock.instant();
        self.order.clear();
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            self.finish(job, now, waiting, None);
        }
    }

    fn finish(&mut self, job: &Job, now: Instant, waiting: Waiting, answer: Option<(u32, &[u8])>) {
        if answer.is_some() {
            self.last_answer = now;
            self.tally
                .latency
                .record(now.saturating_duration_since(waiting.sent));
            let due = waiting.due.unwrap_or(waiting.sent);
            self.tally.from_due.record(now.saturating_duration_since(due));
        }
        if matches!(answer, Some((0, _))) {
            job.note_accepted();
        }
        if waiting.parts == 1 {
            let (status, id) =
                answer.map_or((0, &[][..]), |(status, id)| (status.wrapping_add(Sent::SMPP), id));
            let ids = if status == Sent::SMPP {
                std::slice::from_ref(&id)
            } else {
                &[]
            };
            return self.tell(job, waiting.number, status, ids);
        }
        let Some(progress) = self.progress.get_mut(&waiting.number) else {
            return;
        };
        progress.left = progress.left.saturating_sub(1);
        match answer {
            None => progress.unanswered = true,
            Some((0, id)) => progress.ids.push(id.into()),
            Some((status, _)) => {
                progress.status = if progress.status == 0 {
                    status
                } else {
                    progress.status
                }
            }
        }
        if progress.left > 0 {
            return;
        }
        let Some(progress) = self.progress.remove(&waiting.number) else {
            return;
        };
        let ids: Vec<&[u8]> = progress.ids.iter().map(|id| &**id).collect();
        // With one part in doubt the whole message is.
        let status = if progress.unanswered {
            0
        } else {
            progress.status.wrapping_add(Sent::SMPP)
        };
        let ids = if status == Sent::SMPP { &ids[..] } else { &[] };
        self.tell(job, waiting.number, status, ids);
    }

    fn tell(&mut self, job: &Job, number: u32, status: u32, ids: &[&[u8]]) {
        self.tally.count(status);
        self.tally.accepted = self.tally.accepted.saturating_add(u64::from(!ids.is_empty()));
        job.progress.note_end(!ids.is_empty(), status != 0);
        if !job.keeps_sent {
            return;
        }
        let Some(item) = job.mix.item(number) else { return };
        let token = Self::token(job, number);
        let mut digits = [0; crate::token::LENGTH];
        token.write(&mut digits);
        self.to.clear();
        job.mix.write_to(number, &mut self.to);
        let text = item.sum(token, &mut self.scratch);
        let mut line = Line::new(&mut self.sent_lines);
        line.number("at", SystemClock.now().as_millis())
            .text("token", &digits)
            .text("to", &self.to)
            .text("from", self.load.from.as_bytes())
            .sum("text", text)
            .number("status", status)
            .optional("id", ids.first().copied());
        if let [_, more @ ..] = ids
            && !more.is_empty()
        {
            line.texts("more_ids", more);
        }
        line.end();
    }

    fn keep(&mut self, job: &Job) -> Result<(), SmppLoadError> {
        Job::keep(&job.sent, &mut self.sent_lines)?;
        Job::keep(&job.received, &mut self.received_lines)?;
        Ok(())
    }
}

async fn connect(load: &SmppLoad) -> Result<TcpStream, SmppLoadError> {
    let failed = |kind| SmppLoadError::Connection {
        doing: "connect to",
        host: load.host.clone(),
        kind,
    };
    let stream = match timeout(load.timeout, TcpStream::connect(&load.host)).await {
        Ok(stream) => stream.map_err(failed)?,
        Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
    };
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}
