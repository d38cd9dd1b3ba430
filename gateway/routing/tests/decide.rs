//! Decisions by table, and against a walk over all routes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use smsgw_message::{Address, Class, ClientId, MessageId, Npi, OperatorId, Timestamp, Ton};
use smsgw_routing::{
    Action, Content, CostRow, CostTable, CountryCode, Criterion, Currency, MicroUnits, MtRoute, NetworkCode,
    NumberPlan, PortedBuilder, Question, Refusal, RejectCode, Rewrite, RouteErrorKind, RouteTable,
    RouteVerdict, SenderPattern, Strategy as Order, TextPattern, TimeWindow, decide_mt, explain_mt,
};
use std::sync::Arc;

fn client(name: &str) -> ClientId {
    ClientId::try_new(name).unwrap()
}

fn operator(name: &str) -> OperatorId {
    OperatorId::try_new(name).unwrap()
}

fn mt(prefixes: &[&str], operators: &[&str]) -> MtRoute {
    MtRoute {
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        ..MtRoute::to(operators.iter().map(|name| operator(name)).collect())
    }
}

fn to(digits: &str) -> Address {
    Address::from_wire(Ton::NETWORK_SPECIFIC, Npi::UNKNOWN, digits)
}

/// A message as a test describes it: of acme at Monday noon UTC, with no text, unless it says otherwise.
struct Asked {
    client: ClientId,
    class: Class,
    from: Option<Address>,
    to: Address,
    text: Option<&'static str>,
    tags: Vec<String>,
    id: MessageId,
    at: Timestamp,
}

impl Asked {
    fn new(digits: &str) -> Self {
        Self {
            client: client("acme"),
            class: Class::Otp,
            from: None,
            to: to(digits),
            text: None,
            tags: Vec::new(),
            id: MessageId::from_bytes([7; 16]),
            at: Timestamp::from_rfc3339("2026-11-23T12:00:00Z").unwrap(),
        }
    }

    fn question(&self) -> Question<'_> {
        Question {
            client: &self.client,
            class: self.class,
            from: self.from.as_ref(),
            to: &self.to,
            content: Content::Is(self.text),
            tags: &self.tags,
            id: self.id,
            at: self.at,
        }
    }

    fn route(&self, table: &RouteTable) -> Option<usize> {
        decide_mt(table, self.question()).ok().map(|found| found.route)
    }
}

fn table(routes: Vec<MtRoute>) -> RouteTable {
    RouteTable::try_new(routes, vec![]).unwrap()
}

fn chosen(table: &RouteTable, who: &str, class: Class, digits: &str) -> Option<(usize, String)> {
    let asked = Asked {
        client: client(who),
        class,
        ..Asked::new(digits)
    };
    let decision = decide_mt(table, asked.question()).ok()?;
    Some((decision.route, decision.operator().to_string()))
}

#[test]
fn the_longest_prefix_wins_then_the_first_in_the_file() {
    let table = RouteTable::try_new(
        vec![
            mt(&[], &["any"]),
            mt(&["49", "43"], &["a", "b"]),
            mt(&["49"], &["late"]),
        ],
        vec![],
    )
    .unwrap();
    assert_eq!(
        chosen(&table, "acme", Class::Otp, "491700000001"),
        Some((2, "a".into()))
    );
    assert_eq!(
        chosen(&table, "acme", Class::Otp, "436640000001"),
        Some((2, "a".into()))
    );
    assert_eq!(
        chosen(&table, "acme", Class::Otp, "331000000001"),
        Some((1, "any".into()))
    );
    let asked = Asked::new("4917");
    let decision = decide_mt(&table, asked.question()).unwrap();
    assert_eq!(decision.operators(), [&operator("a"), &operator("b")]);
}

#[test]
fn a_route_for_others_is_passed_over_even_when_its_prefix_is_longer() {
    let mut special = mt(&["4917"], &["special"]);
    special.clients = vec![client("acme")];
    special.classes = vec![Class::Otp];
    let table = RouteTable::try_new(vec![special, mt(&["49"], &["plain"])], vec![]).unwrap();
    assert_eq!(
        chosen(&table, "acme", Class::Otp, "4917"),
        Some((1, "special".into()))
    );
    assert_eq!(
        chosen(&table, "acme", Class::Bulk, "4917"),
        Some((2, "plain".into()))
    );
    assert_eq!(
        chosen(&table, "other", Class::Otp, "4917"),
        Some((2, "plain".into()))
    );
    assert_eq!(chosen(&table, "acme", Class::Otp, "33"), None);
}

#[test]
fn a_route_that_cannot_be_taken_is_refused_with_its_number() {
    let error = RouteTable::try_new(vec![mt(&["49"], &["a"]), mt(&["4x"], &["a"])], vec![]).unwrap_err();
    assert_eq!((error.route, error.kind), (2, RouteErrorKind::NotDigits));
    let error = RouteTable::try_new(vec![mt(&["49"], &[])], vec![]).unwrap_err();
    assert_eq!((error.route, error.kind), (1, RouteErrorKind::NoOperator));
}

#[test]
fn priority_comes_before_the_prefix() {
    let mut first = mt(&[], &["first"]);
    first.priority = 10;
    first.classes = vec![Class::Bulk];
    let table = table(vec![mt(&["4917"], &["long"]), first]);
    assert_eq!(chosen(&table, "acme", Class::Bulk, "4917").unwrap().0, 2);
    assert_eq!(chosen(&table, "acme", Class::Otp, "4917").unwrap().0, 1);
}

/// A route of each criterion alone, and questions it holds for or not.
#[test]
fn each_criterion_holds_or_does_not() {
    let with = |change: fn(&mut MtRoute)| {
        let mut route = mt(&[], &["a"]);
        change(&mut route);
        table(vec![route])
    };
    let asked = |change: fn(&mut Asked)| {
        let mut asked = Asked::new("491711234567");
        change(&mut asked);
        asked
    };
    let network = |digits: &str| {
        let plmn = NumberPlan::builtin().network(digits).unwrap().plmn.unwrap();
        NetworkCode::of(plmn).unwrap()
    };
    assert_eq!(network("491711234567").to_string(), "262-01");
    let cases: Vec<(RouteTable, Criterion, Asked, Asked)> = vec![
        (
            with(|route| route.senders = vec![SenderPattern::from_text("AC*").unwrap()]),
            Criterion::Sender,
            asked(|asked| asked.from = Some(Address::sender("ACME").unwrap())),
            asked(|_| {}),
        ),
        (
            with(|route| route.countries = vec![CountryCode::from_text("DE").unwrap()]),
            Criterion::Country,
            asked(|_| {}),
            asked(|asked| asked.to = to("436641234567")),
        ),
        (
            with(|route| route.networks = vec![NetworkCode::from_text("26201").unwrap()]),
            Criterion::Network,
            asked(|_| {}),
            asked(|asked| asked.to = to("491721234567")),
        ),
        (
            with(|route| route.networks = vec![NetworkCode::from_text("262").unwrap()]),
            Criterion::Network,
            asked(|asked| asked.to = to("491721234567")),
            asked(|asked| asked.to = to("436641234567")),
        ),
        (
            with(|route| route.texts = vec![TextPattern::from_text("(?i)code").unwrap()]),
            Criterion::Text,
            asked(|asked| asked.text = Some("Your CODE is 1")),
            asked(|asked| asked.text = Some("Hello")),
        ),
        (
            with(|route| route.tags = vec!["promo".to_owned()]),
            Criterion::Tag,
            asked(|asked| asked.tags = vec!["x".to_owned(), "promo".to_owned()]),
            asked(|asked| asked.tags = vec!["promo2".to_owned()]),
        ),
        (
            with(|route| route.times = vec![TimeWindow::from_text("mon 12:00-13:00").unwrap()]),
            Criterion::Time,
            asked(|_| {}),
            asked(|asked| asked.at = Timestamp::from_rfc3339("2026-11-23T13:00:00Z").unwrap()),
        ),
        (
            with(|route| {
                route.times = vec![TimeWindow::from_text("mon 13:00-14:00").unwrap()];
                route.zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
            }),
            Criterion::Time,
            asked(|_| {}),
            asked(|asked| asked.at = Timestamp::from_rfc3339("2026-07-20T12:30:00Z").unwrap()),
        ),
    ];
    for (table, criterion, holds, fails) in &cases {
        assert_eq!(holds.route(table), Some(1), "{criterion}");
        assert_eq!(fails.route(table), None, "{criterion}");
        let explained = explain_mt(table, fails.question());
        assert_eq!(explained.routes[0].verdict, RouteVerdict::Fails(*criterion));
    }
}

#[test]
fn a_ported_number_goes_by_its_new_network() {
    let mut ported = PortedBuilder::default();
    ported.line(b"491711234567 26203").unwrap();
    let mut to_o2 = mt(&[], &["o2"]);
    to_o2.networks = vec![NetworkCode::from_text("262-03").unwrap()];
    let mut to_telekom = mt(&[], &["telekom"]);
    to_telekom.networks = vec![NetworkCode::from_text("262-01").unwrap()];
    let table = table(vec![to_telekom, to_o2]).with_ported(vec![Arc::new(ported.build().unwrap())]);
    assert_eq!(Asked::new("491711234567").route(&table), Some(2));
    assert_eq!(Asked::new("491711234568").route(&table), Some(1));
    let asked = Asked::new("491711234567");
    assert!(explain_mt(&table, asked.question()).ported);
}

#[test]
fn a_route_may_refuse_and_may_rewrite() {
    let mut rewriting = mt(&["49"], &["a"]);
    rewriting.rewrite_from = vec![Rewrite::from_text("set:ACME").unwrap()];
    rewriting.rewrite_to = vec![Rewrite::from_text("prefix:99").unwrap()];
    let mut refusing = MtRoute::new(Action::Reject(RejectCode::DestinationDenied));
    refusing.prefixes = vec!["4990".to_owned()];
    let table = table(vec![rewriting, refusing]);
    let refusal = decide_mt(&table, Asked::new("49901").question()).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Rejected {
            route: 2,
            code: RejectCode::DestinationDenied
        }
    );
    assert_eq!(refusal.as_str(), "destination_denied");
    let asked = Asked::new("49170123456");
    let sent_as = decide_mt(&table, asked.question()).unwrap().sent_as.unwrap();
    assert_eq!(sent_as.from.unwrap().as_str(), "ACME");
    assert_eq!(sent_as.to.unwrap().as_str(), "9949170123456");
    let too_long = Asked::new("4917012345678");
    assert!(decide_mt(&table, too_long.question()).is_ok());
    let too_long = Asked::new("49170123456789");
    let refusal = decide_mt(&table, too_long.question()).unwrap_err();
    assert_eq!(refusal, Refusal::NoAddress { route: 1 });
}

#[test]
fn the_cheapest_operator_goes_first() {
    let row = |name: &str, prefix: &str, cost| CostRow {
        operators: vec![operator(name)],
        prefixes: vec![prefix.to_owned()],
        cost: MicroUnits::new(cost),
        currency: Currency::EUR,
        from: None,
        until: None,
    };
    let costs = CostTable::try_new(vec![
        row("b", "49", 50_000),
        row("c", "49", 40_000),
        row("c", "4917", 60_000),
    ]);
    let mut route = mt(&[], &["a", "b", "c"]);
    route.action = Action::Send {
        operators: ["a", "b", "c"].map(operator).to_vec(),
        strategy: Order::LeastCost,
        weights: Vec::new(),
    };
    let table = table(vec![route]).with_costs(costs.unwrap());
    let order = |digits: &str| {
        let asked = Asked::new(digits);
        let decision = decide_mt(&table, asked.question()).unwrap();
        decision
            .operators()
            .iter()
            .map(|name| name.as_str().to_owned())
            .collect::<String>()
    };
    assert_eq!(
        (order("4915"), order("4917"), order("1")),
        ("cba".into(), "bca".into(), "abc".into())
    );
}

#[test]
fn every_route_is_explained() {
    let mut high = mt(&[], &["high"]);
    high.priority = 1;
    high.clients = vec![client("other")];
    let table = table(vec![
        mt(&[], &["any"]),
        mt(&["49"], &["short"]),
        mt(&["4917"], &["taken"]),
        mt(&["4917"], &["later"]),
        mt(&["43"], &["else"]),
        high,
    ]);
    let asked = Asked::new("491711234567");
    let explained = explain_mt(&table, asked.question());
    assert_eq!(explained.decision.unwrap().route, 3);
    assert_eq!(explained.country.unwrap().as_str(), "DE");
    let verdicts: Vec<RouteVerdict> = explained.routes.iter().map(|route| route.verdict).collect();
    assert_eq!(
        verdicts,
        [
            RouteVerdict::ShorterPrefix,
            RouteVerdict::ShorterPrefix,
            RouteVerdict::Taken,
            RouteVerdict::Later,
            RouteVerdict::Fails(Criterion::Prefix),
            RouteVerdict::Fails(Criterion::Client),
        ]
    );
    assert_eq!(explained.routes[1].prefix, Some(2));
}

fn digits(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![5 => 0u8..2, 1 => 0u8..10], 1..=most)
        .prop_map(|digits| digits.iter().map(|digit| char::from(b'0' + digit)).collect())
}

/// What a test route of the naive walk holds for, each criterion by the index of a value or none.
#[derive(Debug, Clone)]
struct Drawn {
    priority: u32,
    prefixes: Vec<String>,
    client: Option<usize>,
    class: Option<usize>,
    country: Option<usize>,
    network: Option<usize>,
    tag: bool,
    night: bool,
}

const CLIENTS: [&str; 3] = ["a", "b", "c"];
const COUNTRIES: [&str; 2] = ["DE", "AT"];
/// With digits of a number of each, none of which was ported.
const NETWORKS: [&str; 3] = ["262-01", "262-02", "232"];
const NUMBERS: [&str; 4] = ["4917112", "4917212", "436485", "1212"];

fn drawn() -> impl Strategy<Value = Drawn> {
    let prefix = (0_usize..NUMBERS.len(), 1_usize..9, any::<bool>()).prop_map(|(number, length, long)| {
        let tail = if long { "0000000000000" } else { "" };
        let digits = format!("{}{tail}", NUMBERS[number]);
        digits[..length.min(digits.len())].to_owned()
    });
    let maybe = |most: usize| proptest::option::weighted(0.3, 0..most);
    (
        (0_u32..3, proptest::collection::vec(prefix, 0..3)),
        (maybe(3), maybe(3), maybe(2), maybe(3)),
        (proptest::bool::weighted(0.2), proptest::bool::weighted(0.2)),
    )
        .prop_map(
            |((priority, prefixes), (client, class, country, network), (tag, night))| Drawn {
                priority,
                prefixes,
                client,
                class,
                country,
                network,
                tag,
                night,
            },
        )
}

fn as_route(drawn: &Drawn) -> MtRoute {
    MtRoute {
        priority: drawn.priority,
        prefixes: drawn.prefixes.clone(),
        clients: drawn.client.iter().map(|at| client(CLIENTS[*at])).collect(),
        classes: drawn.class.iter().map(|at| Class::ALL[*at]).collect(),
        countries: drawn
            .country
            .iter()
            .map(|at| CountryCode::from_text(COUNTRIES[*at]).unwrap())
            .collect(),
        networks: drawn
            .network
            .iter()
            .map(|at| NetworkCode::from_text(NETWORKS[*at]).unwrap())
            .collect(),
        tags: drawn.tag.then(|| "tag".to_owned()).into_iter().collect(),
        times: drawn
            .night
            .then(|| TimeWindow::from_text("22:00-06:00").unwrap())
            .into_iter()
            .collect(),
        ..mt(&[], &["op"])
    }
}

/// Written without the table: what a walk over all routes takes.
fn naive(routes: &[Drawn], asked: &Asked, number: usize) -> Option<usize> {
    let digits = asked.to.as_str();
    let country = [Some("DE"), Some("DE"), Some("AT"), None][number];
    let network = [Some(0), Some(1), Some(2), None][number];
    let night = asked.at.as_millis() % 86_400_000 < 6 * 3_600_000;
    let mut best: Option<((u32, usize), usize)> = None;
    for (index, route) in routes.iter().enumerate() {
        let holds = route.client.is_none_or(|at| client(CLIENTS[at]) == asked.client)
            && route.class.is_none_or(|at| Class::ALL[at] == asked.class)
            && route.country.is_none_or(|at| country == Some(COUNTRIES[at]))
            && route.network.is_none_or(|at| network == Some(at))
            && (!route.tag || !asked.tags.is_empty())
            && (!route.night || night);
        let length = if route.prefixes.is_empty() {
            Some(0)
        } else {
            let fitting = route
                .prefixes
                .iter()
                .filter(|prefix| digits.starts_with(prefix.as_str()));
            fitting.map(String::len).max()
        };
        if let (true, Some(length)) = (holds, length)
            && best.is_none_or(|(rank, _)| (route.priority, length) > rank)
        {
            best = Some(((route.priority, length), index + 1));
        }
    }
    best.map(|(_, route)| route)
}

fn asked(number: usize, who: usize, class: usize, tag: bool, night: bool) -> Asked {
    Asked {
        client: client(CLIENTS[who]),
        class: Class::ALL[class],
        tags: tag.then(|| "tag".to_owned()).into_iter().collect(),
        at: Timestamp::from_rfc3339(if night {
            "2026-11-23T03:00:00Z"
        } else {
            "2026-11-23T12:00:00Z"
        })
        .unwrap(),
        ..Asked::new(&format!("{}00000", NUMBERS[number]))
    }
}

fn agree(routes: &[Drawn], table: &RouteTable, asked: &Asked, number: usize) -> Result<(), TestCaseError> {
    let expected = naive(routes, asked, number);
    prop_assert_eq!(asked.route(table), expected);
    let explained = explain_mt(table, asked.question());
    let taken: Vec<usize> = explained
        .routes
        .iter()
        .filter(|route| route.verdict == RouteVerdict::Taken)
        .map(|route| route.route)
        .collect();
    prop_assert_eq!(taken, expected.into_iter().collect::<Vec<_>>());
    Ok(())
}

proptest! {
    /// RT-1: the table answers what a walk over all routes answers, and the explanation says the same.
    #[test]
    fn decisions_are_those_of_a_naive_walk(
        routes in proptest::collection::vec(drawn(), 0..40),
        number in 0_usize..NUMBERS.len(),
        who in 0_usize..3,
        class in 0_usize..3,
        tag in any::<bool>(),
        night in any::<bool>(),
    ) {
        let table = table(routes.iter().map(as_route).collect());
        agree(&routes, &table, &asked(number, who, class, tag, night), number)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The same with as many routes as a large file has, every question asked of them.
    #[test]
    fn ten_thousand_routes_agree_with_a_naive_walk(routes in proptest::collection::vec(drawn(), 10_000)) {
        let table = table(routes.iter().map(as_route).collect());
        for number in 0..NUMBERS.len() {
            for (who, class) in [(0, 0), (1, 2), (2, 1)] {
                agree(&routes, &table, &asked(number, who, class, class == 0, who == 1), number)?;
            }
        }
    }

    /// Prefixes of any digits, longer than a key has room for.
    #[test]
    fn prefixes_of_any_length_agree_with_a_naive_walk(
        routes in proptest::collection::vec(proptest::collection::vec(digits(18), 0..4), 0..25),
        numbers in proptest::collection::vec(digits(20), 1..20),
    ) {
        let table = table(routes.iter().map(|prefixes| MtRoute { prefixes: prefixes.clone(), ..mt(&[], &["op"]) }).collect());
        for number in numbers {
            let mut naive: Option<(usize, usize)> = None;
            for (index, prefixes) in routes.iter().enumerate() {
                let fitting = prefixes.iter().filter(|prefix| number.starts_with(prefix.as_str()));
                let length = if prefixes.is_empty() { Some(0) } else { fitting.map(String::len).max() };
                if let Some(length) = length && naive.is_none_or(|(best, _)| length > best) {
                    naive = Some((length, index + 1));
                }
            }
            prop_assert_eq!(Asked::new(&number).route(&table), naive.map(|(_, route)| route));
        }
    }
}
