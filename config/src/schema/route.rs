//! `[[route.mt]]` and `[[route.mo]]`: where messages go.
//!
//! Must not know how a route is chosen (`routing` decides).
//! Invariant: every operator and client a route names exists (checked across sections).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use smsgw_message::Timestamp;
use smsgw_routing::{
    CountryCode, Currency, MicroUnits, NetworkCode, PortedNumbers, Rewrite, SenderPattern, TextPattern,
    TimeWindow,
};

use super::operator::ReceiptState;
use crate::section::{Check, at_most_chars, between, if_set, not_empty};
use crate::types::{Class, ClientId, Digits, OperatorId};

/// Greatest weight of an operator.
const MAX_WEIGHT: u32 = 1_000;

words! {
    /// In which order the operators of a route are used.
    Strategy {
        /// As they are named: the next ones stand by.
        Failover = "failover",
        /// By `weights`, for each message anew; the same message has the same order whenever it is asked.
        Weighted = "weighted",
        /// The cheapest first (`[[cost]]`); those without a cost last.
        LeastCost = "least-cost",
        /// By destination and `weights`: the same phone has the same operator.
        Sticky = "sticky",
    }
}

words! {
    /// What a route that refuses tells the client.
    Reject {
        /// As if there were no route.
        NoRoute = "no_route",
        /// Not to this destination.
        DestinationDenied = "destination_denied",
        /// Not from this sender.
        SenderDenied = "sender_denied",
        /// Not with this text.
        ContentDenied = "content_denied",
    }
}

section! {
    /// Routes in both directions.
    Routes {
        /// Routes to phones; the highest priority wins, then the longest prefix, then the earlier entry. Since 0.1.
        mt: Vec<MtRoute> = Vec::new(), Live;
        /// Routes from phones; the highest priority wins, then the one that says most. Since 0.1.
        mo: Vec<MoRoute> = Vec::new(), Live;
    }
}

section! {
    /// `[[route.mt]]`: messages to phones. All of its criteria have to hold; of one with several values, one of them. Of the
    /// routes that hold the one with the highest `priority` is taken, then the longest `prefix`, then the earlier entry.
    MtRoute {
        /// Higher comes first, whatever the prefixes say. Since 0.1.
        priority: u32 = 0, Live where between(0, 1_000_000);
        /// First digits of the recipient; empty or absent: any. Since 0.1.
        prefix: Vec<Digits> = Vec::new(), Live;
        /// Only to numbers of these countries by the number plan: ISO 3166-1 such as `DE`, or `001` for codes of no country;
        /// empty or absent: all. Since 0.1.
        country: Vec<CountryCode> = Vec::new(), Live;
        /// Only to these networks: MCC and MNC such as `262-01`, or an MCC for all of its networks; where the number was ported to
        /// (`[mnp]`), else where it was allocated to. Empty or absent: all. Since 0.1.
        network: Vec<NetworkCode> = Vec::new(), Live;
        /// Operators by name, in order; this or `reject`. Since 0.1.
        operators: Vec<OperatorId> = Vec::new(), Live;
        /// In which order they are used. Since 0.1.
        strategy: Strategy = Strategy::Failover, Live;
        /// For `weighted` and `sticky`: how much each of the operators gets, in their order; an operator of 0 stands by. Empty or
        /// absent: all the same. Since 0.1.
        weights: Vec<u32> = Vec::new(), Live where weights();
        /// Refuses messages with this code instead of sending them. Since 0.1.
        reject: Option<Reject> = None, Live;
        /// Only for these clients; empty or absent: all. Since 0.1.
        client: Vec<ClientId> = Vec::new(), Live;
        /// Only for these classes; empty or absent: all. Since 0.1.
        class: Vec<Class> = Vec::new(), Live;
        /// Only from these senders; empty or absent: all. Since 0.1.
        sender: Vec<SenderPattern> = Vec::new(), Live;
        /// Only messages with one of these tags; empty or absent: all. Since 0.1.
        tag: Vec<String> = Vec::new(), Live;
        /// Only texts in which one of these regular expressions is found; empty or absent: all. Since 0.1.
        text: Vec<TextPattern> = Vec::new(), Live;
        /// Only at these times: days, a time of day, or both; one that runs over midnight belongs to the day on which it begins.
        /// Empty or absent: always. Since 0.1.
        time: Vec<TimeWindow> = Vec::new(), Live;
        /// The zone of `time`. Since 0.1.
        time_zone: String = "UTC".to_owned(), Live where is_zone();
        /// How the sender changes on its way to the carrier, one rule after the other: `set:ACME`, `prefix:49` or `replace:0=49`
        /// (where it begins so). Reports keep what the client gave. Since 0.1.
        rewrite_from: Vec<Rewrite> = Vec::new(), Live where rewrites(false);
        /// How the destination changes on its way to the carrier. Since 0.1.
        rewrite_to: Vec<Rewrite> = Vec::new(), Live where rewrites(true);
        /// When another operator of the route is tried after one has taken the message. Since 0.1.
        failover: Failover = Failover::default(), Live;
    }
}

section! {
    /// `failover` of a route: when another operator is tried though one has taken the message, and how often. (After a refusal
    /// another one is tried as `operator.<id>.reroute` says.) The client is told of the last attempt only.
    Failover {
        /// Final states of receipts, as the carrier writes them, after which another operator is tried. Since 0.1.
        states: Vec<ReceiptState> = Vec::new(), Live where not_delivered();
        /// Error codes of receipts that say that a message failed, after which another operator is tried. Since 0.1.
        errors: Vec<String> = Vec::new(), Live;
        /// Another operator is tried when no final receipt has come so long after the carrier took the message. A receipt of the
        /// first one that comes later and says that it is delivered ends the message. Absent: never. Since 0.1.
        silence: Option<Duration> = None, Live where if_set(between(Duration::from_secs(1), Duration::from_secs(7 * 86_400)));
        /// Operators at most, with the first; absent: `limits.reroutes` and one. Since 0.1.
        attempts: Option<u32> = None, Live where if_set(between(1, 100));
        /// What a part may cost at most (`[[cost]]`), with the operators that took it before; an operator without a cost is then
        /// not tried again. Absent: any. Since 0.1.
        cost: Option<MicroUnits> = None, Live;
        /// No other operator is tried so long after the message was accepted, or was to be sent. Absent: as long as it is valid.
        /// Since 0.1.
        within: Option<Duration> = None, Live where if_set(between(Duration::from_secs(1), Duration::from_secs(30 * 86_400)));
    }
}

section! {
    /// `[[cost]]`: what a part costs at an operator; of several, the longest prefix is taken, then the one that began last, then
    /// the earlier entry. All in one currency.
    CostSection {
        /// At these operators. Since 0.1.
        operator: Vec<OperatorId> = Vec::new(), Live [required] where not_empty();
        /// First digits of the recipient; empty or absent: any. Since 0.1.
        prefix: Vec<Digits> = Vec::new(), Live;
        /// Cost of a part, as text so that nothing is rounded. Since 0.1.
        cost: MicroUnits = MicroUnits::new(0), Live [required];
        /// Currency of the cost. Since 0.1.
        currency: Currency = Currency::EUR, Live [required];
        /// Valid from then on; absent: always was. Since 0.1.
        from: Option<Timestamp> = None, Live;
        /// Not valid from then on; absent: for ever. Since 0.1.
        until: Option<Timestamp> = None, Live;
    }
}

section! {
    /// `[mnp]`: numbers that were ported to another network.
    MnpSection {
        /// Files of a number and its network a line (`491701234567 26202`; space, tab, comma or semicolon between them), `#` begins
        /// a comment; a relative path counts from the configuration file. Of a number in several files the first counts. Read
        /// again by every reload when size or time has changed. Since 0.1.
        files: Vec<PortedFile> = Vec::new(), Live;
    }
}

/// A file of ported numbers, and what was read from it. Two are equal when the path and the numbers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortedFile {
    path: PathBuf,
    numbers: Arc<PortedNumbers>,
}

impl PortedFile {
    /// A file that was not read.
    pub fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self {
            path: PathBuf::from(text),
            numbers: Arc::default(),
        })
    }

    /// The file; a relative path counts from the configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was read from it.
    pub fn numbers(&self) -> &Arc<PortedNumbers> {
        &self.numbers
    }

    pub(crate) fn fill(&mut self, numbers: Arc<PortedNumbers>) {
        self.numbers = numbers;
    }
}

/// `"de.csv" (1000 numbers)`
impl fmt::Display for PortedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} numbers)", self.path, self.numbers.len())
    }
}

fn weights() -> Check<Vec<u32>> {
    Check {
        text: format!("0 to {MAX_WEIGHT} each"),
        test: Box::new(|weights| weights.iter().all(|weight| *weight <= MAX_WEIGHT)),
    }
}

/// What can be answered: some text, of a few parts.
pub(crate) fn is_reply() -> Check<String> {
    Check {
        text: "1 to 1000 characters".to_owned(),
        test: Box::new(|text| !text.trim().is_empty() && text.chars().count() <= 1_000),
    }
}

fn is_zone() -> Check<String> {
    Check {
        text: "zone of the tz database such as \"Europe/Berlin\"".to_owned(),
        test: Box::new(|name| jiff::tz::TimeZone::get(name).is_ok()),
    }
}

fn rewrites(is_number: bool) -> Check<Vec<Rewrite>> {
    let text = if is_number {
        "digits only, and a number to set"
    } else {
        "a sender to set"
    };
    Check {
        text: text.to_owned(),
        test: Box::new(move |rules| rules.iter().all(|rule| rule.is_right(is_number))),
    }
}

fn not_delivered() -> Check<Vec<ReceiptState>> {
    Check {
        text: "EXPIRED, DELETED, UNDELIV, UNKNOWN or REJECTD".to_owned(),
        test: Box::new(|states| {
            states.iter().all(|state| match state {
                ReceiptState::Delivrd | ReceiptState::Enroute | ReceiptState::Acceptd => false,
                ReceiptState::Expired
                | ReceiptState::Deleted
                | ReceiptState::Undeliv
                | ReceiptState::Unknown
                | ReceiptState::Rejectd => true,
            })
        }),
    }
}

words! {
    /// Which clients of a route get a message.
    MoMode {
        /// The only one.
        One = "one",
        /// Each of them, as an event of its own.
        All = "all",
        /// The first whose account there is. One of them has to be there; the others may be gone, or still to come.
        Failover = "failover",
    }
}

section! {
    /// `[[route.mo]]`: messages from phones. All of its criteria have to hold; of one with several values, one of them. Of the
    /// routes that hold the one with the highest `priority` is taken, then one with a keyword before one without, then a number
    /// before a pattern (the one with more characters first) before any number, then the earlier entry.
    MoRoute {
        /// Higher comes first, whatever else the routes say. Since 0.1.
        priority: u32 = 0, Live where between(0, 1_000_000);
        /// Numbers the phone wrote to: long codes, short codes, names; `*` stands for any characters, `?` for one. Empty or absent:
        /// any. Since 0.1.
        to: Vec<SenderPattern> = Vec::new(), Live;
        /// Only from these phones, patterns as in `to`: `4917*`; empty or absent: all. Since 0.1.
        from: Vec<SenderPattern> = Vec::new(), Live;
        /// Only from phones of these countries by the number plan: ISO 3166-1 such as `DE`; empty or absent: all. Since 0.1.
        country: Vec<CountryCode> = Vec::new(), Live;
        /// Only from this operator; absent: all. Since 0.1.
        operator: Option<OperatorId> = None, Live;
        /// Only texts whose first word is this one; case, and punctuation around it, do not count. Absent: all. Since 0.1.
        keyword: Option<String> = None, Live where if_set(at_most_chars(160));
        /// Further words that count as the keyword, in whatever alphabet. Since 0.1.
        synonyms: Vec<String> = Vec::new(), Live;
        /// Only texts in which one of these regular expressions is found; empty or absent: all. Since 0.1.
        text: Vec<TextPattern> = Vec::new(), Live;
        /// Only at these times: days, a time of day, or both, as of `[[route.mt]]`. Empty or absent: always. Since 0.1.
        time: Vec<TimeWindow> = Vec::new(), Live;
        /// The zone of `time`. Since 0.1.
        time_zone: String = "UTC".to_owned(), Live where is_zone();
        /// Who gets the message; this or `clients`. Since 0.1.
        client: Option<ClientId> = None, Live;
        /// Who gets the message, by `mode`. Since 0.1.
        clients: Vec<ClientId> = Vec::new(), Live;
        /// Which of `clients`. Since 0.1.
        mode: MoMode = MoMode::One, Live;
        /// What the phone is answered, in the name of the first client that gets the message. Never to names and short codes, and
        /// never to a text that is such an answer itself. Since 0.1.
        reply: Option<String> = None, Live where if_set(is_reply());
        /// Sender of the answer; absent: the number that the phone wrote to. Since 0.1.
        reply_from: Option<String> = None, Live where if_set(super::admission::is_sender());
        /// Class of the answer; absent: the client's. Since 0.1.
        reply_class: Option<Class> = None, Live;
        /// Answers to one phone from one number at most within `reply_period`, those of routes and keywords together; what is
        /// above it is not sent. Since 0.1.
        reply_max: u32 = 3, Live where between(1, 1_000);
        /// Period of `reply_max`. Since 0.1.
        reply_period: Duration = Duration::from_secs(3_600), Live where between(Duration::from_secs(1), Duration::from_secs(31 * 86_400));
    }
}

impl MoRoute {
    /// Everyone the route names.
    pub fn everyone(&self) -> impl Iterator<Item = &ClientId> {
        self.client.iter().chain(&self.clients)
    }
}
