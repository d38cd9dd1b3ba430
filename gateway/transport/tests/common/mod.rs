//! A toy session: frames of eight bytes, each a number; `Say` sends one, a received one is an event.

#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    reason = "shared by several test binaries"
)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bytes::{Buf, BufMut, BytesMut};
use smsgw_session::Session;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Say(u64),
    /// Say one last number, then be over.
    Leave(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Heard(u64),
    Silence,
    Eof,
}

#[derive(Debug, Default)]
pub struct Toy {
    pub received: BytesMut,
    pub out: BytesMut,
    pub events: VecDeque<Event>,
    pub closed: bool,
    /// Answers every number with itself.
    pub echo: bool,
    /// Over after hearing this number.
    pub last: Option<u64>,
    /// Ends the session when nothing is heard for so long.
    pub patience: Option<Duration>,
    pub heard_at: Option<Instant>,
    pub eofs: usize,
    pub writes: usize,
}

impl Toy {
    pub fn patient(patience: Duration) -> Self {
        let heard_at = Some(tokio::time::Instant::now().into_std());
        Self {
            patience: Some(patience),
            heard_at,
            ..Self::default()
        }
    }
}

impl Session for Toy {
    type Command = Command;
    type Event = Event;

    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        self.heard_at = Some(now);
        self.received.extend_from_slice(bytes);
        while self.received.len() >= 8 {
            let number = self.received.get_u64();
            self.events.push_back(Event::Heard(number));
            if self.echo {
                self.out.put_u64(number);
            }
            if self.last == Some(number) {
                self.closed = true;
            }
        }
    }

    fn handle_command(&mut self, _now: Instant, command: Command) {
        match command {
            Command::Say(number) => self.out.put_u64(number),
            Command::Leave(number) => {
                self.out.put_u64(number);
                self.closed = true;
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.patience = None;
            self.events.push_back(Event::Silence);
            self.closed = true;
        }
    }

    fn handle_eof(&mut self, _now: Instant) {
        self.eofs += 1;
        self.events.push_back(Event::Eof);
        self.closed = true;
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        let any = !self.out.is_empty();
        if any {
            self.writes += 1;
            out.extend_from_slice(&self.out);
            self.out.clear();
        }
        any
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.heard_at? + self.patience?)
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}
