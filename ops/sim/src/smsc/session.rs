//! One connection of the simulated carrier: an [`SmscSession`] with the faults that lie below messages.
//!
//! Sans-IO like the session inside. Invariant: without a fault asked for, it does exactly what the session inside does;
//! `Closed` comes once and last, after a cut as well.

use super::machine::SessionId;
use bytes::{Bytes, BytesMut};
use smsgw_session::Session;
use smsgw_smpp::{SmscCommand, SmscConfig, SmscEvent, SmscSession};
use std::time::Instant;

const ENQUIRE_LINK_RESP: [u8; 4] = [0x80, 0, 0, 0x15];

/// What the carrier asks of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimCommand {
    /// Of the protocol.
    Smsc(SmscCommand),
    /// Send these bytes after what was sent before.
    Raw(Bytes),
    /// Close the connection without unbinding.
    Cut,
}

/// What a connection tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimEvent {
    /// Which connection.
    pub session: SessionId,
    /// What.
    pub event: SmscEvent,
}

/// See the module.
#[derive(Debug)]
pub struct SimSession {
    id: SessionId,
    inner: SmscSession,
    ignore_enquire_link: bool,
    /// Bytes whose place among the others is fixed already.
    out: BytesMut,
}

impl SimSession {
    /// A connection that waits for a bind.
    #[must_use]
    pub fn new(id: SessionId, config: SmscConfig, ignore_enquire_link: bool, now: Instant) -> Self {
        Self {
            id,
            inner: SmscSession::new(config, now),
            ignore_enquire_link,
            out: BytesMut::new(),
        }
    }

    /// Takes what the session inside has to send.
    fn gather(&mut self) {
        if !self.ignore_enquire_link {
            while self.inner.poll_transmit(&mut self.out) {}
            return;
        }
        let mut fresh = BytesMut::new();
        while self.inner.poll_transmit(&mut fresh) {}
        // What a session sends is whole PDUs, each with its length in front.
        while let Some(length) = fresh.first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let pdu = fresh.split_to(length.clamp(4, fresh.len()));
            if pdu.get(4..8) != Some(&ENQUIRE_LINK_RESP) {
                self.out.extend_from_slice(&pdu);
            }
        }
    }
}

impl Session for SimSession {
    type Command = SimCommand;
    type Event = SimEvent;

    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        self.inner.handle_bytes(now, bytes);
    }

    fn handle_command(&mut self, now: Instant, command: SimCommand) {
        match command {
            SimCommand::Smsc(command) => self.inner.handle_command(now, command),
            SimCommand::Raw(bytes) => {
                self.gather();
                if !self.inner.is_closed() {
                    self.out.extend_from_slice(&bytes);
                }
            }
            SimCommand::Cut => {
                self.gather();
                self.inner.handle_eof(now);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.inner.handle_timeout(now);
    }

    fn handle_eof(&mut self, now: Instant) {
        self.inner.handle_eof(now);
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        if self.out.is_empty() && !self.ignore_enquire_link {
            return self.inner.poll_transmit(out);
        }
        self.gather();
        let some = !self.out.is_empty();
        out.extend_from_slice(&self.out);
        self.out.clear();
        some
    }

    fn poll_event(&mut self) -> Option<SimEvent> {
        let event = self.inner.poll_event()?;
        Some(SimEvent {
            session: self.id,
            event,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}
