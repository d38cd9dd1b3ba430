//! Decisions by table, and against a walk over all routes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use smsgw_message::{Address, Class, ClientId, Npi, OperatorId, Ton};
use smsgw_routing::{MoRoute, MtRoute, RouteErrorKind, RouteTable, Strategy as Order, decide_mo, decide_mt};

fn client(name: &str) -> ClientId {
    ClientId::try_new(name).unwrap()
}

fn operator(name: &str) -> OperatorId {
    OperatorId::try_new(name).unwrap()
}

fn mt(prefixes: &[&str], operators: &[&str]) -> MtRoute {
    MtRoute {
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        clients: Vec::new(),
        classes: Vec::new(),
        operators: operators.iter().map(|name| operator(name)).collect(),
        strategy: Order::Failover,
    }
}

fn mo(to: &[&str], from: Option<&str>, keyword: Option<&str>, whose: &str) -> MoRoute {
    MoRoute {
        to: to.iter().map(|number| (*number).to_owned()).collect(),
        operator: from.map(operator),
        keyword: keyword.map(str::to_owned),
        client: client(whose),
    }
}

fn to(digits: &str) -> Address {
    Address::from_wire(Ton::NETWORK_SPECIFIC, Npi::UNKNOWN, digits)
}

fn chosen(table: &RouteTable, who: &str, class: Class, digits: &str) -> Option<(usize, String)> {
    let decision = decide_mt(table, &client(who), class, &to(digits)).ok()?;
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
    let decision = decide_mt(&table, &client("acme"), Class::Otp, &to("4917")).unwrap();
    assert_eq!(decision.operators(), [operator("a"), operator("b")]);
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
fn a_message_from_a_phone_goes_to_the_first_route_that_applies() {
    let table = RouteTable::try_new(
        vec![],
        vec![
            mo(&["12345"], None, Some("Stop"), "stops"),
            mo(&["12345"], Some("alpha"), None, "alpha-only"),
            mo(&[], None, Some("info"), "info"),
            mo(&["12345", "999"], None, None, "number"),
        ],
    )
    .unwrap();
    let whose = |from: &str, number: &str, text: Option<&str>| {
        decide_mo(&table, &operator(from), &to(number), text)
            .ok()
            .map(|found| found.client.to_string())
    };
    assert_eq!(
        whose("alpha", "12345", Some("  STOP please")).as_deref(),
        Some("stops")
    );
    assert_eq!(
        whose("alpha", "12345", Some("stopped")).as_deref(),
        Some("alpha-only")
    );
    assert_eq!(
        whose("beta", "12345", Some("INFO")).as_deref(),
        Some("info"),
        "the earlier route for any number"
    );
    assert_eq!(whose("beta", "12345", Some("hello")).as_deref(), Some("number"));
    assert_eq!(
        whose("beta", "999", None).as_deref(),
        Some("number"),
        "binary content has no keyword"
    );
    assert_eq!(whose("beta", "1", Some("hello")), None);
}

fn digits(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![5 => 0u8..2, 1 => 0u8..10], 1..=most)
        .prop_map(|digits| digits.iter().map(|digit| char::from(b'0' + digit)).collect())
}

proptest! {
    /// RT-1: the table answers what a walk over all routes answers.
    #[test]
    fn decisions_are_those_of_a_naive_walk(
        routes in proptest::collection::vec(
            (
                proptest::collection::vec(digits(18), 0..4),
                proptest::collection::vec(0usize..3, 0..2),
                proptest::collection::vec(0usize..3, 0..2),
            ),
            0..25,
        ),
        number in digits(20),
        who in 0usize..3,
        class in 0usize..3,
    ) {
        let clients = ["a", "b", "c"].map(client);
        let routes: Vec<MtRoute> = routes
            .into_iter()
            .enumerate()
            .map(|(n, (prefixes, whose, classes))| MtRoute {
                prefixes,
                clients: whose.into_iter().map(|at| clients[at].clone()).collect(),
                classes: classes.into_iter().map(|at| Class::ALL[at]).collect(),
                operators: vec![operator(&format!("op{n}"))],
                strategy: Order::Failover,
            })
            .collect();
        let (who, class) = (&clients[who], Class::ALL[class]);
        let mut naive: Option<(usize, usize)> = None;
        for (index, route) in routes.iter().enumerate() {
            if !(route.clients.is_empty() || route.clients.contains(who))
                || !(route.classes.is_empty() || route.classes.contains(&class))
            {
                continue;
            }
            let length = if route.prefixes.is_empty() {
                Some(0)
            } else {
                route.prefixes.iter().filter(|prefix| number.starts_with(prefix.as_str())).map(String::len).max()
            };
            if let Some(length) = length && naive.is_none_or(|(best, _)| length > best) {
                naive = Some((length, index + 1));
            }
        }
        let table = RouteTable::try_new(routes, vec![]).unwrap();
        let decision = decide_mt(&table, who, class, &to(&number)).ok().map(|found| found.route);
        prop_assert_eq!(decision, naive.map(|(_, route)| route));
    }
}
