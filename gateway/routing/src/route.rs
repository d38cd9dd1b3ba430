//! Routes as plain values: what they hold for, and what they do.
//!
//! Must not know where routes are written down: whoever has a configuration turns it into [`MtRoute`] and [`MoRoute`](crate::MoRoute).

use crate::network::{CountryCode, NetworkCode};
use crate::rewrite::Rewrite;
use crate::sender::SenderPattern;
use crate::text::TextPattern;
use crate::window::TimeWindow;
use jiff::tz::TimeZone;
use smsgw_message::{Class, ClientId, OperatorId};
use thiserror::Error;

/// In which order the operators of a route are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// As they are named: the next ones stand by.
    #[default]
    Failover,
    /// By weight, for each message anew; the same message has the same order whenever it is asked.
    Weighted,
    /// The cheapest first; those without a cost last.
    LeastCost,
    /// By destination: the same phone has the same operator, whoever writes to it.
    Sticky,
}

impl Strategy {
    /// The word in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Weighted => "weighted",
            Self::LeastCost => "least-cost",
            Self::Sticky => "sticky",
        }
    }
}

/// Why a route refuses, as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectCode {
    /// As if there were no route.
    NoRoute,
    /// Not to this destination.
    DestinationDenied,
    /// Not from this sender.
    SenderDenied,
    /// Not with this text.
    ContentDenied,
}

impl RejectCode {
    /// The code of the HTTP API, and the error word of a message that ends by it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::DestinationDenied => "destination_denied",
            Self::SenderDenied => "sender_denied",
            Self::ContentDenied => "content_denied",
        }
    }
}

/// What a route does with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It goes to one of these operators.
    Send {
        /// At least one.
        operators: Vec<OperatorId>,
        /// In which order they are tried.
        strategy: Strategy,
        /// For [`Strategy::Weighted`] and [`Strategy::Sticky`], as many as operators; none: all the same. One of 0 stands by.
        weights: Vec<u32>,
    },
    /// It is refused.
    Reject(RejectCode),
}

/// A route to phones. All criteria have to hold; of one with several values, one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtRoute {
    /// Greater comes first.
    pub priority: u32,
    /// First digits of the recipient; none: any number.
    pub prefixes: Vec<String>,
    /// Only for these clients; none: all.
    pub clients: Vec<ClientId>,
    /// Only for these classes; none: all.
    pub classes: Vec<Class>,
    /// Only from these senders; none: all.
    pub senders: Vec<SenderPattern>,
    /// Only to these countries; none: all.
    pub countries: Vec<CountryCode>,
    /// Only to these networks; none: all.
    pub networks: Vec<NetworkCode>,
    /// Only texts in which one of these is found; none: all.
    pub texts: Vec<TextPattern>,
    /// Only messages with one of these tags; none: all.
    pub tags: Vec<String>,
    /// Only at these times; none: always.
    pub times: Vec<TimeWindow>,
    /// In which zone they are meant.
    pub zone: TimeZone,
    /// What it does.
    pub action: Action,
    /// How the sender changes, one rule after the other.
    pub rewrite_from: Vec<Rewrite>,
    /// How the destination changes.
    pub rewrite_to: Vec<Rewrite>,
}

impl MtRoute {
    /// A route that holds for everything.
    pub fn new(action: Action) -> Self {
        Self {
            priority: 0,
            prefixes: Vec::new(),
            clients: Vec::new(),
            classes: Vec::new(),
            senders: Vec::new(),
            countries: Vec::new(),
            networks: Vec::new(),
            texts: Vec::new(),
            tags: Vec::new(),
            times: Vec::new(),
            zone: TimeZone::UTC,
            action,
            rewrite_from: Vec::new(),
            rewrite_to: Vec::new(),
        }
    }

    /// A route to these operators, in their order.
    pub fn to(operators: Vec<OperatorId>) -> Self {
        Self::new(Action::Send {
            operators,
            strategy: Strategy::Failover,
            weights: Vec::new(),
        })
    }
}

/// A route that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to build the route table at {direction} route {route}")]
pub struct RouteError {
    /// `mt` or `mo`.
    pub direction: &'static str,
    /// Which route, counted from 1 as in the file.
    pub route: usize,
    /// What is wrong with it.
    #[source]
    pub kind: RouteErrorKind,
}

/// Why a route cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteErrorKind {
    /// A prefix with something other than digits.
    #[error("a prefix holds something other than digits")]
    NotDigits,
    /// An empty list of operators.
    #[error("no operator is named")]
    NoOperator,
    /// Weights that do not go with the operators.
    #[error("there are not as many weights as operators")]
    Weights,
    /// More prefixes than the table can number.
    #[error("there are more routes and prefixes than a table can hold")]
    TooMany,
    /// An empty list of clients.
    #[error("no client is named")]
    NoClient,
    /// The costs of operators cannot be looked up.
    #[error("the costs cannot be looked up")]
    Costs(#[source] crate::price::PriceError),
}
