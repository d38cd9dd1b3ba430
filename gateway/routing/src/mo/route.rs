//! Routes from phones as plain values.
//!
//! Must not know where they are written down. Invariant: none of its own; [`MoTable`](super::MoTable) refuses routes to nobody.

use crate::network::CountryCode;
use crate::sender::SenderPattern;
use crate::text::TextPattern;
use crate::window::TimeWindow;
use jiff::tz::TimeZone;
use smsgw_message::{Class, ClientId, OperatorId};
use std::time::Duration;

/// Which of its clients a route gives a message to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MoMode {
    /// There is one.
    #[default]
    One,
    /// Each gets it, as an event of its own.
    All,
    /// The first whose account there is.
    Failover,
}

/// A text that goes back to the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoReply {
    /// The text.
    pub text: String,
    /// Its sender; absent: the number that the phone wrote to.
    pub from: Option<String>,
    /// Its class; absent: the client's.
    pub class: Option<Class>,
    /// So many at most to one phone from one number within `period`.
    pub max: u32,
    /// The period of `max`.
    pub period: Duration,
}

/// A route from phones. All criteria have to hold; of one with several values, one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoRoute {
    /// Greater comes first.
    pub priority: u32,
    /// Numbers the phone wrote to, or patterns of them; none: any.
    pub to: Vec<SenderPattern>,
    /// Only from these phones; none: all.
    pub from: Vec<SenderPattern>,
    /// Only from phones of these countries; none: all.
    pub countries: Vec<CountryCode>,
    /// Only from this operator.
    pub operator: Option<OperatorId>,
    /// Only texts whose first word is one of these; none: all.
    pub keywords: Vec<String>,
    /// Only texts in which one of these is found; none: all.
    pub texts: Vec<TextPattern>,
    /// Only at these times; none: always.
    pub times: Vec<TimeWindow>,
    /// In which zone they are meant.
    pub zone: TimeZone,
    /// Who gets the message; at least one.
    pub clients: Vec<ClientId>,
    /// Which of them.
    pub mode: MoMode,
    /// What the phone is answered.
    pub reply: Option<AutoReply>,
}

impl MoRoute {
    /// A route of every message to one client.
    pub fn to(client: ClientId) -> Self {
        Self {
            priority: 0,
            to: Vec::new(),
            from: Vec::new(),
            countries: Vec::new(),
            operator: None,
            keywords: Vec::new(),
            texts: Vec::new(),
            times: Vec::new(),
            zone: TimeZone::UTC,
            clients: vec![client],
            mode: MoMode::One,
            reply: None,
        }
    }
}
