//! Messages from phones to several clients, what phones want, and what they are answered.

use super::*;
use crate::reply::Answer;
use smsgw_message::{Address, ClientId, ClientRequest, KeywordAction, Npi, OptOut, Ton};

const ROUTES: &str = r#"
[[route.mo]]
to = ["2000"]
clients = ["acme", "quiet"]
mode = "all"
[[route.mo]]
to = ["3000"]
clients = ["gone", "quiet", "acme"]
mode = "failover"
[[route.mo]]
to = ["4000", "491511234567"]
client = "acme"
reply = "Thank you!"
reply_class = "otp"
reply_max = 7
reply_period = "2m"
[keywords]
defaults = ["en"]
[[keywords.set]]
words = ["genug"]
action = "opt_out"
scope = "sender"
reply = "No more messages."
reply_from = "ACME"
[[keywords.set]]
words = ["nie"]
action = "opt_out"
scope = "number"
"#;

fn address(text: &str) -> Address {
    Address::from_wire(Ton::UNKNOWN, Npi::UNKNOWN, text)
}

fn written(to: &str, text: &str) -> Mo {
    Mo {
        to: address(to),
        ..mo(text)
    }
}

fn requests(world: &World) -> Vec<ClientRequest> {
    let requests = world.published.iter();
    requests
        .filter(|(queue, _)| queue == names::CLIENT_REQUESTS)
        .map(|(_, record)| ClientRequest::from_record(record).unwrap())
        .collect()
}

#[test]
fn every_client_of_a_route_gets_its_own_event_in_one_step() {
    let mut world = World::with(ROUTES);
    world.mo(written("2000", "hello"), 10);
    let [acme] = &world.downs()[..] else {
        panic!("one callback")
    };
    let [(log, quiet)] = &world.inboxes[..] else {
        panic!("one inbox")
    };
    assert_eq!((log.as_str(), acme.client.as_str()), ("inbox.quiet", "acme"));
    assert_ne!(acme.event, quiet.event);
    assert_eq!(acme.what, quiet.what);
    assert_eq!(world.happened(), [EventName::MoRouted, EventName::MoRouted]);
    assert_eq!(world.writes, 1);
}

#[test]
fn the_next_client_gets_what_one_that_is_gone_would_have() {
    let mut world = World::with(ROUTES);
    world.mo(written("3000", "hello"), 10);
    let boxes: Vec<&str> = world.inboxes.iter().map(|(log, _)| log.as_str()).collect();
    assert_eq!(boxes, ["inbox.quiet"]);
    assert!(world.downs().is_empty() && world.buried.is_empty());
}

#[test]
fn a_route_answers_phones_once_and_nobody_else() {
    let mut world = World::with(ROUTES);
    world.mo(written("4000", "hello"), 10);
    world.mo(written("4000", "hello"), 10);
    let [first, again] = &requests(&world)[..] else {
        panic!("two requests")
    };
    assert_eq!(
        first.event, again.event,
        "the client node makes one message of both"
    );
    assert_ne!(
        first.event,
        world.downs()[0].event,
        "the client may answer as well"
    );
    assert_eq!(
        first.body,
        r#"{"text":"Thank you!","report":"none","class":"otp"}"#
    );
    assert_eq!((first.client.as_str(), first.number.as_str()), ("acme", "4000"));
    let bounds = first.auto.unwrap();
    assert_eq!(
        (bounds.max, bounds.period_millis, bounds.confirms_opt_out),
        (7, 120_000, false)
    );
    let before = requests(&world).len();
    for (from, text, answer) in [
        ("ACME", "hello", Answer::NoPhone),
        ("12345", "hello", Answer::NoPhone),
        ("491511234567", " thank YOU", Answer::OwnText),
        ("491511234567", "no more messages", Answer::OwnText),
    ] {
        let from = address(from);
        world.notes.clear();
        world.mo(
            Mo {
                from,
                ..written("491511234567", text)
            },
            10,
        );
        let said = world.notes.iter().find_map(|note| match note {
            Note::Answered(_, _, answer) => Some(*answer),
            _ => None,
        });
        assert_eq!(said, Some(answer), "{text}");
    }
    assert_eq!(requests(&world).len(), before);
}

#[test]
fn a_phone_that_says_stop_is_kept_and_its_message_given_down_marked() {
    let mut world = World::with(ROUTES);
    let (acme, phone) = (ClientId::try_new("acme").unwrap(), mo("").from);
    let number = address("4000");
    let of_client = StateKey::from(names::opted_out_of_client(&acme, &phone));
    let of_sender = StateKey::from(names::opted_out_of_clients_sender(&acme, &number, &phone));
    let of_number = StateKey::from(names::opted_out_of_sender(&number, &phone));
    world.mo(written("4000", "stop it"), 10);
    assert!(world.state.is_empty(), "that is more than the word");
    world.mo(written("4000", " STOP!"), 20);
    let kept = OptOut::from_record(&world.state[&of_client].0.value).unwrap();
    assert_eq!((kept.since, kept.until), (at(20), None));
    world.mo(written("4000", "Genug."), 30);
    world.mo(written("4000", "nie"), 30);
    let keys: Vec<&StateKey> = world.state.keys().collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.contains(&&of_sender) && keys.contains(&&of_number));
    world.mo(written("4000", "help"), 40);
    assert_eq!(world.state.len(), 3);
    world.mo(written("4000", "Start"), 50);
    assert!(world.state.is_empty());
    let said: Vec<Option<KeywordAction>> = world.mos().iter().map(|mo| mo.keyword).collect();
    use KeywordAction::{Help, OptIn, OptOut as Out};
    assert_eq!(
        said,
        [None, Some(Out), Some(Out), Some(Out), Some(Help), Some(OptIn)]
    );
    // The first was answered by the route, the third by its word, the others not at all.
    let [thanks, goodbye] = &requests(&world)[..] else {
        panic!("two answers")
    };
    assert!(!thanks.auto.unwrap().confirms_opt_out);
    assert!(goodbye.auto.unwrap().confirms_opt_out);
    assert!(goodbye.body.contains(r#""from":"ACME""#));
}

#[test]
fn half_a_message_is_no_keyword() {
    let mut world = World::with(ROUTES);
    world.mo(mo_part(7, 2, 1, "stop"), 10);
    for now in [31_000, 62_000, 93_000] {
        world.pass_to(now);
    }
    assert_eq!(world.mos()[0].keyword, None);
    assert!(!world.state.keys().any(|key| key.as_str().starts_with("optout/")));
}
