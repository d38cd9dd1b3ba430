//! What is asked of the table, and what follows from it: country, network, text, time on the wall.
//!
//! Each is worked out when a route first asks for it, and once. Pure: the time is part of the question.

use crate::network::{CountryCode, NetworkCode};
use crate::plan::NumberPlan;
use crate::route::MtRoute;
use crate::table::{Entry, RouteTable};
use crate::text::text_of;
use crate::window::WallTime;
use jiff::tz::TimeZone;
use smsgw_message::{Address, Class, ClientId, MessageId, MtMessage, Timestamp};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

/// A message to a phone, as far as routes look at it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who sends it.
    pub client: &'a ClientId,
    /// Class of service.
    pub class: Class,
    /// Sender.
    pub from: Option<&'a Address>,
    /// The phone.
    pub to: &'a Address,
    /// What it says.
    pub content: Content<'a>,
    /// The client's words for it.
    pub tags: &'a [String],
    /// Decides the order of [`Weighted`](crate::Strategy::Weighted) operators.
    pub id: MessageId,
    /// When it is asked.
    pub at: Timestamp,
}

/// Where the text of a message is.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// In the parts of a message; decoded when a route asks.
    Of(&'a MtMessage),
    /// Here; absent for octets that are no text.
    Is(Option<&'a str>),
}

impl<'a> Question<'a> {
    /// About a message as it was accepted.
    pub fn of(message: &'a MtMessage, at: Timestamp) -> Self {
        Self {
            client: &message.client,
            class: message.class,
            from: message.from.as_ref(),
            to: &message.to,
            content: Content::Of(message),
            tags: message.tags.as_deref().unwrap_or_default(),
            id: message.id,
            at,
        }
    }
}

/// What a route holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Criterion {
    /// `client`.
    Client,
    /// `class`.
    Class,
    /// `sender`.
    Sender,
    /// `prefix`.
    Prefix,
    /// `country`.
    Country,
    /// `network`.
    Network,
    /// `tag`.
    Tag,
    /// `time`.
    Time,
    /// `text`.
    Text,
}

impl Criterion {
    /// Its key in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Class => "class",
            Self::Sender => "sender",
            Self::Prefix => "prefix",
            Self::Country => "country",
            Self::Network => "network",
            Self::Tag => "tag",
            Self::Time => "time",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question with what follows from it.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) question: Question<'a>,
    table: &'a RouteTable,
    country: OnceCell<Option<CountryCode>>,
    network: OnceCell<Option<(NetworkCode, bool)>>,
    text: OnceCell<Option<Cow<'a, str>>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(table: &'a RouteTable, question: Question<'a>) -> Self {
        Self {
            question,
            table,
            country: OnceCell::new(),
            network: OnceCell::new(),
            text: OnceCell::new(),
        }
    }

    pub(crate) fn digits(&self) -> &'a str {
        self.question.to.as_str()
    }

    /// The country of the number plan.
    pub(crate) fn country(&self) -> Option<CountryCode> {
        *self.country.get_or_init(|| {
            let country = NumberPlan::builtin().country(self.digits())?;
            CountryCode::from_text(country.iso2)
        })
    }

    /// The network: where the number was ported to, else the one it was allocated to.
    pub(crate) fn network(&self) -> Option<NetworkCode> {
        self.network_and_ported().map(|(network, _)| network)
    }

    /// The same, and whether the number was ported.
    pub(crate) fn network_and_ported(&self) -> Option<(NetworkCode, bool)> {
        *self.network.get_or_init(|| {
            let digits = self.digits();
            let ported = self.table.ported.iter().find_map(|table| table.network(digits));
            if let Some(network) = ported {
                return Some((network, true));
            }
            let allocated = NumberPlan::builtin().network(digits)?.plmn?;
            Some((NetworkCode::of(allocated)?, false))
        })
    }

    fn text(&self) -> Option<&str> {
        self.text
            .get_or_init(|| match self.question.content {
                Content::Of(message) => text_of(message).map(Cow::Owned),
                Content::Is(text) => text.map(Cow::Borrowed),
            })
            .as_deref()
    }

    /// What the wall shows; absent for a time outside the calendar, at which no window holds.
    fn wall(&self, zone: &TimeZone) -> Option<WallTime> {
        let at = jiff::Timestamp::from_millisecond(self.question.at.as_millis()).ok()?;
        let there = zone.to_datetime(at);
        let day = there.weekday().to_monday_zero_offset();
        let minute = u16::try_from(there.hour()).ok()? * 60 + u16::try_from(there.minute()).ok()?;
        Some(WallTime {
            day: u8::try_from(day).ok()?,
            minute,
        })
    }

    /// The first criterion, in the order of their cost, for which a route does not hold. `prefix` is whether one of its
    /// prefixes holds, which the place says at which it was found.
    pub(crate) fn mismatch(&self, entry: &Entry, prefix: bool) -> Option<Criterion> {
        let Question {
            client,
            class,
            from,
            tags,
            ..
        } = self.question;
        let MtRoute {
            clients,
            classes,
            senders,
            countries,
            networks,
            texts,
            tags: wanted,
            times,
            zone,
            priority: _,
            prefixes: _,
            action: _,
            rewrite_from: _,
            rewrite_to: _,
        } = &entry.route;
        let holds = |criterion: Criterion| match criterion {
            Criterion::Client => clients.is_empty() || clients.contains(client),
            Criterion::Class => classes.is_empty() || classes.contains(&class),
            Criterion::Prefix => prefix || !entry.has_prefix,
            Criterion::Sender => {
                senders.is_empty()
                    || from.is_some_and(|from| senders.iter().any(|pattern| pattern.matches(from.as_str())))
            }
            Criterion::Tag => wanted.is_empty() || wanted.iter().any(|tag| tags.contains(tag)),
            Criterion::Country => {
                countries.is_empty() || self.country().is_some_and(|country| countries.contains(&country))
            }
            Criterion::Network => {
                networks.is_empty()
                    || self
                        .network()
                        .is_some_and(|network| networks.iter().any(|wanted| wanted.contains(network)))
            }
            Criterion::Time => {
                times.is_empty()
                    || self
                        .wall(zone)
                        .is_some_and(|wall| times.iter().any(|window| window.contains(wall)))
            }
            Criterion::Text => {
                texts.is_empty()
                    || self
                        .text()
                        .is_some_and(|text| texts.iter().any(|pattern| pattern.is_found_in(text)))
            }
        };
        [
            Criterion::Client,
            Criterion::Class,
            Criterion::Prefix,
            Criterion::Tag,
            Criterion::Sender,
            Criterion::Country,
            Criterion::Network,
            Criterion::Time,
            Criterion::Text,
        ]
        .into_iter()
        .find(|criterion| !holds(*criterion))
    }
}
