//! What `explain` says of a message from a phone is what the hop writes for it (EX-1): random routes, random messages.

use super::*;
use crate::explain::{MoAsked, MoExplained, explain_by};
use proptest::prelude::*;
use smsgw_message::{ClientRequest, OperatorId};
use std::fmt::Write;

const MORE: &str = r#"
[client.bound]
api_key = "bound-key"
system_id = "bound"
password = "secret"
opt_out = true
[keywords]
defaults = ["de", "ru"]
[[keywords.set]]
words = ["genug", "no more"]
action = "opt_out"
scope = "sender"
reply = "No more messages."
[[keywords.set]]
words = ["nie"]
action = "opt_out"
scope = "number"
to = ["2*"]
"#;

#[derive(Debug, Clone)]
struct Drawn {
    to: Vec<&'static str>,
    from: Option<&'static str>,
    keywords: Vec<&'static str>,
    text: Option<&'static str>,
    time: Option<&'static str>,
    operator: Option<&'static str>,
    country: Option<&'static str>,
    priority: u32,
    clients: Vec<&'static str>,
    mode: &'static str,
    reply: bool,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let some = |of: &'static [&'static str], most| {
        proptest::sample::subsequence(of, 0..=most).prop_map(|all: Vec<&'static str>| all)
    };
    let one = |of: &'static [&'static str]| proptest::option::weighted(0.25, proptest::sample::select(of));
    let clients = &["acme", "quiet", "bound", "gone"][..];
    (
        (
            some(&["2000", "20*", "3000", "*"], 2),
            one(&["4917*", "43*"]),
            some(&["win", "ГЕВИНН", "stop"], 2),
            one(&["h.llo", "z+"]),
            one(&["mon-fri", "sun 10:00-12:00"]),
        ),
        (
            one(&["alpha", "odd"]),
            one(&["DE", "AT"]),
            0u32..2,
            proptest::sample::subsequence(clients, 1..=3).prop_shuffle(),
            proptest::sample::select(&["one", "all", "failover"][..]),
            any::<bool>(),
        ),
    )
        .prop_map(
            |((to, from, keywords, text, time), (operator, country, priority, clients, mode, reply))| Drawn {
                to,
                from,
                keywords,
                text,
                time,
                operator,
                country,
                priority,
                clients,
                mode,
                reply,
            },
        )
}

fn written(routes: &[Drawn]) -> String {
    let mut text = MORE.to_owned();
    for route in routes {
        writeln!(text, "[[route.mo]]\npriority = {}", route.priority).unwrap();
        let list = |values: &[&str]| format!("{values:?}");
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                writeln!(text, "{key} = {value}").unwrap();
            }
        };
        line("to", (!route.to.is_empty()).then(|| list(&route.to)));
        line("from", route.from.map(|from| list(&[from])));
        line("text", route.text.map(|text| list(&[text])));
        line("time", route.time.map(|time| list(&[time])));
        line("country", route.country.map(|country| list(&[country])));
        line("operator", route.operator.map(|operator| format!("{operator:?}")));
        line("keyword", route.keywords.first().map(|word| format!("{word:?}")));
        line("synonyms", route.keywords.get(1).map(|word| list(&[word])));
        // An account that is gone may stand where the next one takes over, and only there.
        let there: Vec<&str> = route
            .clients
            .iter()
            .copied()
            .filter(|client| *client != "gone")
            .collect();
        let clients = if route.mode == "failover" {
            &route.clients
        } else {
            &there
        };
        match (route.mode, clients.as_slice()) {
            (_, [] | ["gone"]) => line("client", Some("\"acme\"".to_owned())),
            ("one", [first, ..]) | (_, [first]) => line("client", Some(format!("{first:?}"))),
            (mode, clients) => {
                line("clients", Some(list(clients)));
                line("mode", Some(format!("{mode:?}")));
            }
        }
        line("reply", route.reply.then(|| "\"Thank you!\"".to_owned()));
    }
    text
}

/// What was written is what was said.
fn agrees(world: &World, said: &MoExplained) {
    let routed = world
        .events
        .iter()
        .filter(|event| event.name == EventName::MoRouted);
    let routed: Vec<(String, Option<u32>)> = routed
        .map(|event| (event.client.as_ref().unwrap().to_string(), event.route))
        .collect();
    let route = said.route.map(|route| u32::try_from(route).unwrap());
    let told: Vec<(String, Option<u32>)> = said
        .clients
        .iter()
        .map(|taker| (taker.client.clone(), route))
        .collect();
    assert_eq!(routed, told);
    let at = |place: &str| {
        let takers = said.clients.iter().filter(|taker| taker.place == place);
        takers.map(|taker| taker.client.clone()).collect::<Vec<_>>()
    };
    let published = |queue: &str| {
        let downs = world.published.iter().filter(|(there, _)| there == queue);
        downs
            .map(|(_, record)| Down::from_record(record).unwrap().client.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(published(names::DOWN_CALLBACK), at("callback"));
    assert_eq!(published(names::DOWN_SMPP), at("binds"));
    let boxes: Vec<String> = world
        .inboxes
        .iter()
        .map(|(_, down)| down.client.to_string())
        .collect();
    assert_eq!(boxes, at("inbox"));
    let nobody = at("dead_letter")
        .into_iter()
        .map(|_| ("down.callback".to_owned(), "no_owner"));
    let letter = said
        .dead_letter
        .iter()
        .map(|(queue, reason)| (queue.clone(), reason.as_str()));
    let buried: Vec<(String, &str)> = world
        .buried
        .iter()
        .map(|(queue, reason)| (queue.clone(), reason.as_str()))
        .collect();
    assert_eq!(buried, nobody.chain(letter).collect::<Vec<_>>());
    let listed = world
        .state
        .keys()
        .filter(|key| key.as_str().starts_with("optout/"));
    let opt_outs = said.clients.iter().filter_map(|taker| taker.keyword.as_ref());
    let opt_outs = opt_outs.filter(|keyword| keyword.action == "opt_out");
    // Two clients whose phones opt out of a number for everybody share the entry.
    let (listed, said_to_be) = (
        listed.count(),
        opt_outs.map(|keyword| keyword.entries).sum::<usize>(),
    );
    assert!(
        listed == said_to_be || (listed == 1 && said_to_be > 1),
        "{listed} {said_to_be}"
    );
    let requests = world
        .published
        .iter()
        .filter(|(queue, _)| queue == names::CLIENT_REQUESTS);
    let requests: Vec<ClientRequest> = requests
        .map(|(_, record)| ClientRequest::from_record(record).unwrap())
        .collect();
    match said.reply.as_ref().filter(|reply| reply.is_asked()) {
        None => assert!(requests.is_empty(), "{requests:?}"),
        Some(reply) => {
            let [request] = &requests[..] else {
                panic!("one answer: {requests:?}")
            };
            assert_eq!(request.client.as_str(), reply.client);
            assert!(request.body.contains(&reply.text), "{}", request.body);
            let auto = request.auto.unwrap();
            assert_eq!(
                (auto.max, auto.confirms_opt_out),
                (reply.max, reply.confirms_opt_out)
            );
        }
    }
}

fn asked(mo: &Mo, now: i64, text: &str) -> MoAsked {
    MoAsked {
        from: mo.from.clone(),
        to: mo.to.clone(),
        operator: OperatorId::clone(&mo.via.operator),
        text: Some(text.to_owned()),
        at: at(now),
    }
}

/// Monday noon UTC, 1970-01-05.
const MONDAY: i64 = (4 * 24 + 12) * 3_600_000;

proptest! {
    #[test]
    fn what_is_explained_is_what_is_done(
        routes in proptest::collection::vec(drawn(), 0..6),
        messages in proptest::collection::vec(
            (
                proptest::sample::select(&["491701234567", "436641234567", "12345", "ACME"][..]),
                proptest::sample::select(&["2000", "2001", "3000", "4000"][..]),
                proptest::sample::select(&[
                    "hello", "WIN now", "«гевинн»", "Stop", "СТОП!", "start", "no  more", "nie.", "Thank you!", "hilfe",
                ][..]),
                any::<bool>(),
            ),
            1..12,
        ),
    ) {
        let text = written(&routes);
        for (from, to, said, is_monday) in messages {
            let mut world = World::with(&text);
            let now = if is_monday { MONDAY } else { MONDAY - 24 * 3_600_000 };
            let mo = Mo {
                from: MoAsked::address(from).unwrap(),
                to: MoAsked::address(to).unwrap(),
                // The alphabet of the content is the decoder's affair.
                encoding: smsgw_message::Encoding::Ucs2,
                data: said.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>().into(),
                ..mo("")
            };
            let explained = explain_by(&world.plan, &asked(&mo, now, said));
            world.mo(mo, now);
            agrees(&world, &explained);
        }
    }
}

#[test]
fn a_route_names_what_it_was_met_by() {
    let world = World::with(
        r#"
[[route.mo]]
to = ["99", "20*"]
keyword = "win"
synonyms = ["гевинн"]
clients = ["gone", "acme"]
mode = "failover"
reply = "Thank you!"
"#,
    );
    let mo = Mo {
        to: MoAsked::address("2000").unwrap(),
        ..mo("")
    };
    let said = explain_by(&world.plan, &asked(&mo, 0, "ГЕВИНН!"));
    assert_eq!(
        (said.word.as_deref(), said.route, said.mode.as_deref()),
        (Some("гевинн"), Some(3), Some("failover"))
    );
    let met = &said.routes[2].met;
    assert_eq!(
        (met.to.as_deref(), met.keyword.as_deref()),
        (Some("20*"), Some("гевинн"))
    );
    assert_eq!(said.routes[0].criterion.as_deref(), Some("to"));
    assert_eq!((said.clients.len(), said.clients[0].client.as_str()), (1, "acme"));
    assert!(said.reply.unwrap().is_asked());
    let nobody = explain_by(&world.plan, &asked(&mo, 0, "lose"));
    assert_eq!(
        nobody.dead_letter,
        Some((names::up(&mo.via.group), "no_route".to_owned()))
    );
}
