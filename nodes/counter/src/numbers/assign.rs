//! Which number a message gets. Pure: the caller brings the last numbers, and writes what comes out.
//!
//! Invariant AS-1: cut a log into batches as you like: with the last numbers carried from one to the next, each message gets
//! the same number.

use sha2::{Digest, Sha256};
use smsgw_config::{Config, Numbering};
use smsgw_message::{Address, Event, EventName, MessageId, Timestamp, names};
use smsgw_queue::StateKey;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A message that is to have a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of the last number.
    pub(super) key: StateKey,
    /// Whose number it will be.
    pub(super) message: MessageId,
    /// Until when the number of the message can be asked for: at least as long as the message itself.
    pub(super) message_until: Timestamp,
    /// When the count is forgotten; `None`: never.
    pub(super) key_until: Option<Timestamp>,
}

/// What an event asks for; `None`: no number.
pub(super) fn wanted(event: &Event, config: &Config) -> Option<Wanted> {
    let (phone, ours) = match event.name {
        EventName::MtAccepted => (&event.to, &event.from),
        EventName::MoRouted => (&event.from, &event.to),
        EventName::MtRouted
        | EventName::MtUnroutable
        | EventName::MtSent
        | EventName::MtRefused
        | EventName::MtProgress
        | EventName::MtFinal
        | EventName::MoReceived
        | EventName::DrReceived
        | EventName::DeliveredToClient
        | EventName::ClientUnreachable
        | EventName::DrUnknown
        | EventName::MtInDoubt
        | EventName::MtRecut
        | EventName::MtRerouted
        | EventName::MtCancelRequested
        | EventName::MtRefusedAtAccept
        | EventName::MtReplaced
        | EventName::MtTakenBack => return None,
    };
    let id = event.client.as_ref()?;
    let client = config.client.get(id)?;
    let (key, key_until) = match client.number {
        Numbering::None => return None,
        Numbering::Client => (names::last_number(id, None), None),
        Numbering::Conversation => {
            let digest = conversation(phone.as_ref(), ours.as_ref());
            let until = event.at.after(client.number_kept);
            (names::last_number(id, Some(&digest)), Some(until))
        }
    };
    let limits = &config.limits;
    let longest = [
        limits.max_schedule,
        limits.max_validity,
        limits.receipt_grace,
        limits.message_retention,
    ];
    Some(Wanted {
        key: key.into(),
        message: event.message?,
        message_until: longest.into_iter().fold(event.at, Timestamp::after),
        key_until,
    })
}

/// Half a digest of both numbers is enough to tell conversations of a client apart.
fn conversation(phone: Option<&Address>, ours: Option<&Address>) -> String {
    let mut digest = Sha256::new();
    digest.update(phone.map_or("", Address::as_str));
    digest.update([0]);
    digest.update(ours.map_or("", Address::as_str));
    let mut text = String::with_capacity(32);
    for octet in digest.finalize().iter().take(16) {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
    }
    text
}

/// The last numbers of the keys of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Last(pub(super) BTreeMap<StateKey, i64>);

impl Last {
    /// The next number of a key.
    pub(super) fn next(&mut self, key: &StateKey) -> i64 {
        let last = self.0.entry(key.clone()).or_default();
        *last = last.saturating_add(1);
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smsgw_message::ClientId;
    use std::collections::BTreeSet;

    fn config(rest: &str) -> Config {
        let text = format!(
            "[node]\nname = \"t\"\n[client.a]\napi_key = \"a\"\nnumber = \"client\"\n[client.b]\napi_key = \"b\"\nnumber = \
             \"conversation\"\n{rest}[client.c]\napi_key = \"c\"\n"
        );
        Config::parse("t.toml", &text).unwrap()
    }

    fn event(n: u8, name: EventName, client: &str, phone: &str, ours: Option<&str>) -> Event {
        let phone = Some(Address::msisdn(phone).unwrap());
        let ours = ours.map(|ours| Address::sender(ours).unwrap());
        let (from, to) = match name {
            EventName::MoRouted => (phone, ours),
            _ => (ours, phone),
        };
        Event {
            message: Some(MessageId::from_bytes([n; 16])),
            client: Some(ClientId::try_new(client).unwrap()),
            from,
            to,
            ..Event::new(Timestamp::from_millis(i64::from(n)), name)
        }
    }

    #[test]
    fn both_directions_of_a_conversation_are_one_and_others_are_others() {
        let config = config("number_kept = \"10d\"\n");
        let of = |name, client, phone, ours| wanted(&event(1, name, client, phone, ours), &config);
        let key = |name, client, phone, ours| of(name, client, phone, ours).map(|wanted| wanted.key);
        let (out, back) = (EventName::MtAccepted, EventName::MoRouted);
        let one = key(out, "b", "491700000001", Some("12345"));
        assert_eq!(one, key(back, "b", "491700000001", Some("12345")));
        let all: BTreeSet<_> = [
            one.clone(),
            key(out, "b", "491700000002", Some("12345")),
            key(out, "b", "491700000001", Some("12346")),
            key(out, "b", "491700000001", None),
            key(out, "a", "491700000001", Some("12345")),
        ]
        .into();
        assert_eq!(all.len(), 5);
        assert!(
            !one.unwrap().as_str().contains("1700000001"),
            "no number stands in a key"
        );
        assert_eq!(of(out, "c", "491700000001", None), None);
        assert_eq!(of(EventName::MtFinal, "a", "491700000001", None), None);
        let kept = of(out, "b", "491700000001", None).unwrap().key_until;
        assert_eq!(kept, Some(Timestamp::from_millis(1 + 10 * 86_400_000)));
        assert_eq!(of(out, "a", "491700000001", None).unwrap().key_until, None);
    }

    proptest! {
        /// AS-1, and no gap and no repetition.
        #[test]
        fn numbers_have_no_gap_and_do_not_depend_on_how_the_log_is_cut(
            log in prop::collection::vec((0u8..3, 0u8..3, any::<bool>()), 0..80),
            cuts in prop::collection::vec(0usize..80, 0..6),
        ) {
            let config = config("");
            let events: Vec<Event> = (0u8..).zip(&log).map(|(n, (client, phone, out))| {
                let name = if *out { EventName::MtAccepted } else { EventName::MoRouted };
                let client = ["a", "b", "c"][usize::from(*client)];
                event(n, name, client, &format!("49170000000{phone}"), Some("12345"))
            }).collect();
            let give = |last: &mut Last, events: &[Event]| -> Vec<(StateKey, MessageId, i64)> {
                events.iter().filter_map(|event| wanted(event, &config)).map(|wanted| {
                    let number = last.next(&wanted.key);
                    (wanted.key, wanted.message, number)
                }).collect()
            };
            let whole = give(&mut Last::default(), &events);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(events.len())).collect();
            cuts.extend([0, events.len()]);
            cuts.sort_unstable();
            let (mut last, mut pieces) = (Last::default(), Vec::new());
            for pair in cuts.windows(2) {
                pieces.extend(give(&mut last, &events[pair[0]..pair[1]]));
            }
            prop_assert_eq!(&pieces, &whole);
            let mut by_key: BTreeMap<StateKey, Vec<i64>> = BTreeMap::new();
            for (key, _, number) in whole {
                by_key.entry(key).or_default().push(number);
            }
            for (key, numbers) in by_key {
                let expected: Vec<i64> = (1..).take(numbers.len()).collect();
                prop_assert_eq!(numbers, expected, "{}", key);
            }
        }
    }
}
