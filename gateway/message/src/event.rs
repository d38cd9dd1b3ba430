//! Records of the `events` log: one for each step that matters to somebody who counts.

use crate::life::{EventName, MessageState};
use crate::quick::{self, Octets, Quick, fields};
use crate::record::{Record, RecordError};
use crate::{Address, Charge, Class, ClientId, Encoding, LinkId, MessageId, OperatorId, Timestamp};
use minicbor::{Decode, Encode};

/// Something that happened, durable in the same step as the happening itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Event {
    /// When.
    #[n(0)]
    pub at: Timestamp,
    /// What.
    #[n(1)]
    pub name: EventName,
    /// The message, when one is known.
    #[n(2)]
    pub message: Option<MessageId>,
    /// Whose.
    #[n(3)]
    pub client: Option<ClientId>,
    /// Which carrier.
    #[n(4)]
    pub operator: Option<OperatorId>,
    /// Parts it stands for, messages for `mt_refused_at_accept`; 1 where nothing else is said.
    #[n(5)]
    pub parts: u16,
    /// The state reached, for `mt_final`.
    #[n(6)]
    pub state: Option<MessageState>,
    /// Error word, when there is one.
    #[n(7)]
    pub error: Option<String>,
    /// Time since the accept, in milliseconds, for `mt_sent` and `mt_final`.
    #[n(8)]
    pub age_ms: Option<u64>,
    /// Sender, as far as the writer knows it.
    #[n(9)]
    pub from: Option<Address>,
    /// Recipient: the phone of an MT, the number of an MO.
    #[n(10)]
    pub to: Option<Address>,
    /// The client's own name for the message.
    #[n(11)]
    pub reference: Option<String>,
    /// Class of service.
    #[n(12)]
    pub class: Option<Class>,
    /// The part it is about, from 1; absent for the whole message.
    #[n(13)]
    pub part: Option<u16>,
    /// Over which link.
    #[n(14)]
    pub link: Option<LinkId>,
    /// The carrier's id of the part.
    #[n(15)]
    pub carrier_id: Option<String>,
    /// The route taken, counted from 1 as in the file.
    #[n(16)]
    pub route: Option<u32>,
    /// The client's words for its statistics, for `mt_accepted`.
    #[n(17)]
    pub tags: Option<Vec<String>>,
    /// How the parts' octets are to be read, for `mt_accepted`.
    #[n(18)]
    pub encoding: Option<Encoding>,
    /// The text, where storing it is allowed, for `mt_accepted` and `mo_routed`.
    #[n(19)]
    pub text: Option<String>,
    /// Time since a carrier took the last part of it, in milliseconds, for `mt_final`.
    #[n(20)]
    pub after_sent_ms: Option<u64>,
    /// What it costs a prepaid account: for `mt_accepted`, and with the outcome for `mt_final`.
    #[n(21)]
    pub charge: Option<Charge>,
}

fields!(Event:
    at, name, message, client, operator, parts, state, error, age_ms, from, to, reference, class, part,
    link, carrier_id, route, tags, encoding, text, after_sent_ms, charge
);

impl Record for Event {
    const KIND: u8 = 7;
    const VERSION: u8 = 1;

    fn from_body(_version: u8, body: &[u8]) -> Result<Self, RecordError> {
        quick::from_body(body)
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        quick::write::body(self, out);
    }
}

impl Event {
    /// Whether a record may be an event with a charge; false only where its array ends before that field. Looks at three
    /// octets: most events move no money.
    pub fn may_be_charged(record: &[u8]) -> bool {
        const PLACE: u64 = 21;
        let fields = Self::body(record).ok().and_then(quick::array_length);
        fields.is_none_or(|fields| fields > PLACE)
    }

    /// An event with nothing but its time and name.
    pub fn new(at: Timestamp, name: EventName) -> Self {
        Self {
            at,
            name,
            message: None,
            client: None,
            operator: None,
            parts: 1,
            state: None,
            error: None,
            age_ms: None,
            from: None,
            to: None,
            reference: None,
            class: None,
            part: None,
            link: None,
            carrier_id: None,
            route: None,
            tags: None,
            encoding: None,
            text: None,
            after_sent_ms: None,
            charge: None,
        }
    }
}

/// An [`Event`] as those read it who only count: its words borrowed from the record, what nobody counts left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub struct EventView<'b> {
    /// [`Event::at`].
    #[n(0)]
    pub at: Timestamp,
    /// [`Event::name`].
    #[n(1)]
    pub name: EventName,
    /// [`Event::message`].
    #[n(2)]
    pub message: Option<MessageId>,
    /// [`Event::client`].
    #[b(3)]
    pub client: Option<&'b str>,
    /// [`Event::operator`].
    #[b(4)]
    pub operator: Option<&'b str>,
    /// [`Event::parts`].
    #[n(5)]
    pub parts: u16,
    /// [`Event::state`].
    #[n(6)]
    pub state: Option<MessageState>,
    /// [`Event::error`].
    #[b(7)]
    pub error: Option<&'b str>,
    /// [`Event::age_ms`].
    #[n(8)]
    pub age_ms: Option<u64>,
    /// [`Event::from`].
    #[b(9)]
    pub from: Option<AddressView<'b>>,
    /// [`Event::to`].
    #[b(10)]
    pub to: Option<AddressView<'b>>,
    /// [`Event::class`].
    #[n(12)]
    pub class: Option<Class>,
    /// [`Event::route`].
    #[n(16)]
    pub route: Option<u32>,
    /// [`Event::after_sent_ms`].
    #[n(20)]
    pub after_sent_ms: Option<u64>,
}

/// An [`Event`] as history reads it: its words borrowed from the record, without what no row has.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct HistoryView<'b> {
    /// [`Event::at`].
    #[n(0)]
    pub at: Timestamp,
    /// [`Event::name`].
    #[n(1)]
    pub name: EventName,
    /// [`Event::message`].
    #[n(2)]
    pub message: Option<MessageId>,
    /// [`Event::client`].
    #[b(3)]
    pub client: Option<&'b str>,
    /// [`Event::operator`].
    #[b(4)]
    pub operator: Option<&'b str>,
    /// [`Event::parts`].
    #[n(5)]
    pub parts: u16,
    /// [`Event::state`].
    #[n(6)]
    pub state: Option<MessageState>,
    /// [`Event::error`].
    #[b(7)]
    pub error: Option<&'b str>,
    /// [`Event::from`].
    #[b(9)]
    pub from: Option<AddressView<'b>>,
    /// [`Event::to`].
    #[b(10)]
    pub to: Option<AddressView<'b>>,
    /// [`Event::reference`].
    #[b(11)]
    pub reference: Option<&'b str>,
    /// [`Event::class`].
    #[n(12)]
    pub class: Option<Class>,
    /// [`Event::part`].
    #[n(13)]
    pub part: Option<u16>,
    /// [`Event::link`].
    #[b(14)]
    pub link: Option<&'b str>,
    /// [`Event::carrier_id`].
    #[b(15)]
    pub carrier_id: Option<&'b str>,
    /// [`Event::route`].
    #[n(16)]
    pub route: Option<u32>,
    /// [`Event::tags`].
    #[b(17)]
    pub tags: Option<Vec<&'b str>>,
    /// [`Event::encoding`].
    #[n(18)]
    pub encoding: Option<Encoding>,
    /// [`Event::text`].
    #[b(19)]
    pub text: Option<&'b str>,
}

/// Reads a view from the array of the event; behind a field stands how many are passed over.
macro_rules! view {
    ($type:ident: $($field:ident $(+ $passed:literal)?),+) => {
        impl<'b> Quick<'b> for $type<'b> {
            fn read(octets: &mut Octets<'b>) -> Option<Self> {
                let mut elements = octets.elements()?;
                $(
                    let $field = elements.next()?;
                    $(elements.pass($passed)?;)?
                )+
                elements.end()?;
                Some(Self { $($field),+ })
            }
        }

        impl<'b> $type<'b> {
            /// Reads what [`Event`]'s `to_record` wrote, of any version that this build reads.
            pub fn from_record(record: &'b [u8]) -> Result<Self, RecordError> {
                quick::from_body(Event::body(record)?)
            }
        }
    };
}

view!(EventView:
    at, name, message, client, operator, parts, state, error, age_ms, from, to + 1, class + 3, route + 3, after_sent_ms + 1
);
view!(HistoryView:
    at, name, message, client, operator, parts, state, error + 1, from, to, reference, class, part, link, carrier_id, route,
    tags, encoding, text + 2
);

/// An [`Address`] inside a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub struct AddressView<'b> {
    /// [`Address::as_str`].
    #[b(2)]
    pub text: &'b str,
}

impl<'b> Quick<'b> for AddressView<'b> {
    fn read(octets: &mut Octets<'b>) -> Option<Self> {
        let mut elements = octets.elements()?;
        // Type and plan: read, as numbers are passed over more slowly.
        let _: (u8, u8) = (elements.next()?, elements.next()?);
        let text = elements.next()?;
        elements.end()?;
        Some(Self { text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_says_what_the_event_says_and_refuses_what_is_none() {
        let at = Timestamp::from_millis(1_795_248_001_000);
        let event = Event {
            message: Some(MessageId::from_parts(at, [7; 10])),
            client: ClientId::try_new("acme").ok(),
            operator: OperatorId::try_new("alpha").ok(),
            parts: 3,
            state: Some(MessageState::Failed),
            error: Some("001".to_owned()),
            age_ms: Some(5),
            from: Address::sender("BRAND").ok(),
            to: Address::msisdn("491700000001").ok(),
            reference: Some("order-7".to_owned()),
            class: Some(Class::Bulk),
            part: Some(2),
            link: LinkId::try_new("alpha-1").ok(),
            carrier_id: Some("A7".to_owned()),
            route: Some(4),
            tags: Some(vec!["news".to_owned(), String::new()]),
            encoding: Some(Encoding::Ucs2),
            text: Some("Hello".to_owned()),
            after_sent_ms: Some(6),
            ..Event::new(at, EventName::MtFinal)
        };
        let record = event.to_record();
        let view = EventView::from_record(&record).unwrap();
        let text = |address: Option<AddressView<'_>>| address.map(|address| address.text.to_owned());
        assert_eq!(
            (view.at, view.name, view.message),
            (at, EventName::MtFinal, event.message)
        );
        assert_eq!((view.client, view.operator), (Some("acme"), Some("alpha")));
        assert_eq!(
            (view.parts, view.state, view.error),
            (3, event.state, Some("001"))
        );
        assert_eq!(text(view.from).as_deref(), Some("BRAND"));
        assert_eq!(text(view.to).as_deref(), Some("491700000001"));
        assert_eq!((view.class, view.route), (Some(Class::Bulk), Some(4)));
        assert_eq!((view.age_ms, view.after_sent_ms), (Some(5), Some(6)));
        let more = HistoryView::from_record(&record).unwrap();
        let expected = HistoryView {
            at: view.at,
            name: view.name,
            message: view.message,
            client: view.client,
            operator: view.operator,
            parts: view.parts,
            state: view.state,
            error: view.error,
            from: view.from,
            to: view.to,
            reference: Some("order-7"),
            class: view.class,
            part: Some(2),
            link: Some("alpha-1"),
            carrier_id: Some("A7"),
            route: view.route,
            tags: Some(vec!["news", ""]),
            encoding: Some(Encoding::Ucs2),
            text: Some("Hello"),
        };
        assert_eq!(more, expected);
        let bare = Event::new(at, EventName::DrUnknown).to_record();
        assert_eq!(EventView::from_record(&bare).unwrap().client, None);
        assert_eq!(HistoryView::from_record(&bare).unwrap().text, None);
        assert!(!Event::may_be_charged(&record) && !Event::may_be_charged(&bare));
        let charge = Charge {
            per_part: 7,
            currency: "EUR".to_owned(),
            parts: 1,
            at: crate::ChargeAt::Sent,
            outcome: None,
        };
        let charged = Event {
            charge: Some(charge),
            ..event
        };
        assert!(Event::may_be_charged(&charged.to_record()));
        for broken in [
            &b""[..],
            b"\x07",
            b"\x07\x02\x80",
            b"\x06\x01\x80",
            b"\x07\x01\xff",
        ] {
            assert!(EventView::from_record(broken).is_err(), "{broken:?}");
            assert!(HistoryView::from_record(broken).is_err(), "{broken:?}");
            assert_eq!(
                Event::may_be_charged(broken),
                broken != b"\x07\x01\x80",
                "{broken:?}"
            );
        }
    }
}
