//! Routes from phones as a table, and against a naive walk over all of them (RT-3).

use super::{MoCriterion, MoMet, MoMode, MoQuestion, MoRoute, MoVerdict, decide_mo, explain_mo, first_word};
use crate::{CountryCode, RouteTable, SenderPattern, TextPattern, TimeWindow};
use proptest::prelude::*;
use smsgw_message::{Address, ClientId, Npi, OperatorId, Timestamp, Ton};

fn client(id: &str) -> ClientId {
    ClientId::try_new(id).unwrap()
}

fn operator(id: &str) -> OperatorId {
    OperatorId::try_new(id).unwrap()
}

fn patterns(texts: &[&str]) -> Vec<SenderPattern> {
    texts
        .iter()
        .map(|text| SenderPattern::from_text(text).unwrap())
        .collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn address(text: &str) -> Address {
    Address::from_wire(Ton::UNKNOWN, Npi::UNKNOWN, text)
}

/// Monday noon UTC.
fn noon() -> Timestamp {
    Timestamp::from_rfc3339("2027-01-04T12:00:00Z").unwrap()
}

fn taken(table: &RouteTable, from: &str, to: &str, text: Option<&str>) -> Option<usize> {
    let (from, to, operator) = (address(from), address(to), operator("alpha"));
    let question = MoQuestion {
        operator: &operator,
        from: &from,
        to: &to,
        text,
        at: noon(),
    };
    let decision = decide_mo(table, question);
    let explained = explain_mo(table, question);
    assert_eq!(explained.decision, decision);
    let mut routes = explained.routes.iter();
    let shown = routes.position(|seen| seen.verdict == MoVerdict::Taken);
    assert_eq!(
        shown.map(|index| index + 1),
        decision.ok().map(|found| found.route)
    );
    decision.ok().map(|found| found.route)
}

fn table(routes: Vec<MoRoute>) -> RouteTable {
    RouteTable::try_new(vec![], routes).unwrap()
}

const PHONE: &str = "491701234567";

#[test]
fn the_route_that_says_most_is_taken() {
    let route = |to: &[&str], keywords: &[&str], priority| MoRoute {
        to: patterns(to),
        keywords: words(keywords),
        priority,
        ..MoRoute::to(client("acme"))
    };
    let table = table(vec![
        route(&[], &[], 0),
        route(&["12*"], &[], 0),
        route(&["1234*"], &[], 0),
        route(&["12345"], &[], 0),
        route(&["12345"], &[], 0),
        route(&[], &["info", "ИНФО", "πληροφορίεσ"], 0),
        route(&["12345", "12*"], &["win"], 0),
        route(&["999"], &[], 5),
        route(&["999"], &["info"], 4),
        route(&["ACME"], &[], 0),
    ]);
    for (to, text, expected) in [
        ("77777", Some("hello"), 1),
        ("12000", Some("hello"), 2),
        ("12344", Some("hello"), 3),
        ("12345", Some("hello"), 4),
        ("12345", None, 4),
        ("12345", Some(" Info: now"), 6),
        ("77777", Some("инфо"), 6),
        ("77777", Some("ΠΛΗΡΟΦΟΡΊΕΣ!"), 6),
        ("12345", Some("WIN"), 7),
        ("12000", Some("win"), 7),
        ("77777", Some("win"), 1),
        ("12345", Some("winner"), 4),
        ("999", Some("info"), 8),
        ("ACME", Some("hello"), 10),
    ] {
        assert_eq!(taken(&table, PHONE, to, text), Some(expected), "{to} {text:?}");
    }
}

#[test]
fn each_criterion_turns_a_route_away() {
    let base = || MoRoute::to(client("acme"));
    let text = |text: &str| vec![TextPattern::from_text(text).unwrap()];
    let time = |text: &str| vec![TimeWindow::from_text(text).unwrap()];
    for (holds, fails, criterion) in [
        (
            MoRoute {
                to: patterns(&["123*"]),
                ..base()
            },
            MoRoute {
                to: patterns(&["124*", "12"]),
                ..base()
            },
            MoCriterion::To,
        ),
        (
            MoRoute {
                keywords: words(&["win", "hello"]),
                ..base()
            },
            MoRoute {
                keywords: words(&["win", "you"]),
                ..base()
            },
            MoCriterion::Keyword,
        ),
        (
            MoRoute {
                operator: Some(operator("alpha")),
                ..base()
            },
            MoRoute {
                operator: Some(operator("beta")),
                ..base()
            },
            MoCriterion::Operator,
        ),
        (
            MoRoute {
                from: patterns(&["4917*"]),
                ..base()
            },
            MoRoute {
                from: patterns(&["4916*"]),
                ..base()
            },
            MoCriterion::From,
        ),
        (
            MoRoute {
                countries: vec![CountryCode::from_text("DE").unwrap()],
                ..base()
            },
            MoRoute {
                countries: vec![CountryCode::from_text("AT").unwrap()],
                ..base()
            },
            MoCriterion::Country,
        ),
        (
            MoRoute {
                times: time("mon 11:00-13:00"),
                ..base()
            },
            MoRoute {
                times: time("tue"),
                ..base()
            },
            MoCriterion::Time,
        ),
        (
            MoRoute {
                texts: text("h.llo"),
                ..base()
            },
            MoRoute {
                texts: text("^you"),
                ..base()
            },
            MoCriterion::Text,
        ),
    ] {
        assert_eq!(
            taken(&table(vec![holds]), PHONE, "12345", Some("hello you")),
            Some(1),
            "{criterion:?}"
        );
        let table = table(vec![fails]);
        let (from, to, operator) = (address(PHONE), address("12345"), operator("alpha"));
        let question = MoQuestion {
            operator: &operator,
            from: &from,
            to: &to,
            text: Some("hello you"),
            at: noon(),
        };
        let explained = explain_mo(&table, question);
        assert!(explained.decision.is_err());
        let verdicts: Vec<_> = explained.routes.iter().map(|seen| seen.verdict).collect();
        assert_eq!(verdicts, [MoVerdict::Fails(criterion)]);
    }
}

#[test]
fn what_a_route_was_met_by_is_named() {
    let everything = MoRoute {
        to: patterns(&["*", "12*", "123*", "99"]),
        from: patterns(&["33*", "49*", "4917*"]),
        keywords: words(&["win", "ГЕВИНН", "gewinn"]),
        texts: vec![
            TextPattern::from_text("z+").unwrap(),
            TextPattern::from_text("h.llo").unwrap(),
        ],
        times: vec![
            TimeWindow::from_text("tue").unwrap(),
            TimeWindow::from_text("mon").unwrap(),
        ],
        ..MoRoute::to(client("acme"))
    };
    let nothing = MoRoute::to(client("acme"));
    let (from, to, operator) = (address(PHONE), address("12345"), operator("alpha"));
    let table = table(vec![nothing, everything]);
    let question = MoQuestion {
        operator: &operator,
        from: &from,
        to: &to,
        text: Some("«гевинн» hello"),
        at: noon(),
    };
    let explained = explain_mo(&table, question);
    assert_eq!(explained.word.as_deref(), Some("гевинн"));
    assert_eq!(explained.country, CountryCode::from_text("DE"));
    let [nothing, everything] = &explained.routes[..] else {
        panic!("two routes")
    };
    assert_eq!(
        (nothing.verdict, nothing.met),
        (MoVerdict::Behind, MoMet::default())
    );
    let met = MoMet {
        to: Some(2),
        keyword: Some(1),
        from: Some(1),
        time: Some(1),
        text: Some(1),
    };
    assert_eq!((everything.verdict, everything.met), (MoVerdict::Taken, met));
}

#[test]
fn a_route_to_nobody_is_refused() {
    let nobody = MoRoute {
        clients: Vec::new(),
        mode: MoMode::All,
        ..MoRoute::to(client("acme"))
    };
    let error = RouteTable::try_new(vec![], vec![MoRoute::to(client("acme")), nobody]).unwrap_err();
    assert_eq!((error.direction, error.route), ("mo", 2));
}

#[derive(Debug, Clone)]
struct Drawn {
    priority: u32,
    to: Vec<String>,
    from: Option<String>,
    keywords: Vec<String>,
    operator: Option<bool>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (
        0u32..3,
        proptest::collection::vec("[12]{1,3}\\*?|\\*", 0..3),
        proptest::option::of("4[12]{0,2}\\*"),
        proptest::collection::vec("[aAσΣ]{1,2}", 0..3),
        proptest::option::of(any::<bool>()),
    )
        .prop_map(|(priority, to, from, keywords, operator)| Drawn {
            priority,
            to,
            from,
            keywords,
            operator,
        })
}

/// A star stands at the end only.
fn holds(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => pattern == text,
    }
}

/// Walks over all routes and keeps the one that says most.
fn naive(routes: &[Drawn], from: &str, to: &str, text: &str) -> Option<usize> {
    let mut best: Option<((u32, bool, usize), usize)> = None;
    for (index, route) in routes.iter().enumerate() {
        let number = if route.to.is_empty() {
            Some(0)
        } else {
            let matching = route.to.iter().filter(|one| holds(one, to));
            matching
                .map(|one| if one.ends_with('*') { one.len() - 1 } else { 1_000 })
                .max()
        };
        let Some(number) = number else { continue };
        let word = first_word(text);
        let right = (route.keywords.is_empty() || route.keywords.iter().any(|one| first_word(one) == word))
            && route.from.as_ref().is_none_or(|one| holds(one, from))
            && route.operator != Some(false);
        let rank = (route.priority, !route.keywords.is_empty(), number);
        if right && best.is_none_or(|(there, _)| rank > there) {
            best = Some((rank, index + 1));
        }
    }
    best.map(|(_, number)| number)
}

proptest! {
    #[test]
    fn the_table_agrees_with_a_naive_walk(
        routes in proptest::collection::vec(drawn(), 0..12),
        asked in proptest::collection::vec(("4[12]{2}", "[12]{1,3}", "[aAσς]{0,2}( x)?"), 1..20),
    ) {
        let built = routes.iter().map(|drawn| MoRoute {
            priority: drawn.priority,
            to: drawn.to.iter().map(|text| SenderPattern::from_text(text).unwrap()).collect(),
            from: drawn.from.iter().map(|text| SenderPattern::from_text(text).unwrap()).collect(),
            keywords: drawn.keywords.clone(),
            operator: drawn.operator.map(|ours| operator(if ours { "alpha" } else { "beta" })),
            ..MoRoute::to(client("acme"))
        });
        let table = table(built.collect());
        for (from, to, text) in &asked {
            prop_assert_eq!(taken(&table, from, to, Some(text)), naive(&routes, from, to, text));
        }
    }
}
