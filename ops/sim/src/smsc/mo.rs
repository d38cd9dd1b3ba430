//! Messages from phones: how many, how fast, and what they say.
//!
//! Reads no clock. Invariant: a batch gives exactly `total` messages, and never more than its rate allows.

use crate::token::{Token, Way};
use serde::{Deserialize, Serialize};
use smsgw_smpp::{Address, COctets, DeliverSm, address};
use std::time::{Duration, Instant};

/// Messages from phones to be sent to the ESME.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MoBatch {
    /// How many messages from phones are sent once an ESME is bound.
    #[arg(long = "mo", default_value_t = 0)]
    pub total: u64,
    /// How many of them a second; 0: as fast as the window allows.
    #[arg(long = "mo-rate", default_value_t = 0.0)]
    pub rate: f64,
    /// From which number; `*` stands for the number of the message in eight digits.
    #[arg(long = "mo-from", default_value = "49170*")]
    pub from: String,
    /// To which number.
    #[arg(long = "mo-to", default_value = "12345")]
    pub to: String,
    /// What they say after their token.
    #[arg(long = "mo-text", default_value = "hello")]
    pub text: String,
}

impl Default for MoBatch {
    fn default() -> Self {
        Self {
            total: 0,
            rate: 0.0,
            from: "49170*".into(),
            to: "12345".into(),
            text: "hello".into(),
        }
    }
}

/// One message from a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mo {
    pub(super) token: Token,
    pub(super) message: DeliverSm,
}

/// A batch being sent.
#[derive(Debug)]
pub(super) struct MoSource {
    batch: MoBatch,
    run: u32,
    since: Instant,
    made: u64,
}

impl MoSource {
    pub(super) fn new(batch: MoBatch, run: u32, now: Instant) -> Self {
        Self {
            batch,
            run,
            since: now,
            made: 0,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.made >= self.batch.total
    }

    /// When the next one is due.
    pub(super) fn next_at(&self) -> Instant {
        if self.batch.rate <= 0.0 {
            return self.since;
        }
        // Numbers of messages are far below 2^32.
        let made = f64::from(u32::try_from(self.made).unwrap_or(u32::MAX));
        let after = Duration::try_from_secs_f64(made / self.batch.rate).unwrap_or(Duration::MAX);
        self.since.checked_add(after).unwrap_or(self.since)
    }

    /// The next one, if it is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Mo> {
        if self.is_finished() || self.next_at() > now {
            return None;
        }
        let number = u32::try_from(self.made % (1 << 32)).unwrap_or(0);
        self.made = self.made.saturating_add(1);
        let token = Token {
            way: Way::Mo,
            run: self.run,
            number,
        };
        let text = format!("{token} {}", self.batch.text);
        let from = self
            .batch
            .from
            .replace('*', &format!("{:08}", number % 100_000_000));
        let message = DeliverSm {
            source: of(&from, address::ton::INTERNATIONAL, address::npi::ISDN),
            destination: of(&self.batch.to, address::ton::UNKNOWN, address::npi::UNKNOWN),
            // 254 octets are what SMPP 3.4 allows in short_message (§5.2.21).
            short_message: text.into_bytes().into_iter().take(254).collect(),
            ..DeliverSm::default()
        };
        Some(Mo { token, message })
    }
}

fn of(value: &str, ton: u8, npi: u8) -> Address {
    Address {
        ton,
        npi,
        value: COctets::until_nul(value.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Clock;
    use smsgw_runtime::SystemClock;

    #[test]
    fn a_batch_gives_its_number_at_its_rate() {
        let start = SystemClock.instant();
        let mut source = MoSource::new(
            MoBatch {
                total: 3,
                rate: 10.0,
                ..MoBatch::default()
            },
            9,
            start,
        );
        let at = |millis| start + Duration::from_millis(millis);
        let first = source.take(start).unwrap();
        assert_eq!(Token::find(first.message.payload(), false, 0), Some(first.token));
        assert_eq!(first.message.source.value.to_str(), Some("4917000000000"));
        assert_eq!(source.take(at(99)), None);
        assert_eq!(source.next_at(), at(100));
        assert!(source.take(at(100)).is_some() && source.take(at(1000)).is_some());
        assert!(source.take(at(1000)).is_none() && source.is_finished());
    }
}
