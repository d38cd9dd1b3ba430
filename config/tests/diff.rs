//! A change of the configuration as a value: what it names, what it costs, and that it can be undone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use smsgw_config::{Area, ByteSize, Config, ConfigDiff, Impact, LogFormat, MtRoute, Secret, TlsSection};

fn base() -> Config {
    Config::parse("gateway.toml", include_str!("../samples/gateway.toml")).unwrap()
}

fn lines(diff: &ConfigDiff) -> Vec<String> {
    diff.changes().iter().map(ToString::to_string).collect()
}

#[test]
fn every_section_of_the_file_is_compared() {
    let all = Config::parse("all-keys.toml", include_str!("../samples/all-keys.toml"));
    // Its files are not read here; what it says is all that counts.
    let all = all.unwrap_or_else(|problems| panic!("{problems:?}"));
    let there = ConfigDiff::between(&base(), &all);
    assert_eq!(there.apply(&base()), all);
    assert_eq!(there.flipped().apply(&all), base());
}

#[test]
fn each_change_is_named_with_its_cost() {
    let mut new = base();
    new.node.data_dir = "elsewhere".into();
    new.limits.max_parts = 4;
    let alpha = new.operator.get_mut(&"alpha".parse().unwrap()).unwrap();
    alpha.window = 20;
    alpha.rate = 50.0;
    alpha.password = Some(Secret::new("changed"));
    alpha.tls = Some(TlsSection::default());
    new.operator.remove(&"beta".parse().unwrap());
    new.client.insert("new".parse().unwrap(), Default::default());
    new.route.mt.clear();
    let diff = ConfigDiff::between(&base(), &new);
    assert_eq!(
        lines(&diff),
        [
            "node.data_dir: \"data\" -> \"elsewhere\" (restart)",
            "limits.max_parts: 10 -> 4 (live)",
            "operator.alpha.tls added (relink)",
            "operator.alpha.password: (secret) -> (secret) (relink)",
            "operator.alpha.window: 100 -> 20 (relink)",
            "operator.alpha.rate: 0 -> 50 (live)",
            "operator.beta removed (relink)",
            "client.new added (live)",
            "route.mt: [table] -> [] (live)",
        ]
    );
    assert_eq!(diff.impact(), Some(Impact::Restart));
    assert_eq!(
        diff.relinked()
            .into_iter()
            .map(|id| id.as_str())
            .collect::<Vec<_>>(),
        ["alpha"]
    );
    assert_eq!(
        diff.operators_removed()
            .into_iter()
            .map(|id| id.as_str())
            .collect::<Vec<_>>(),
        ["beta"]
    );
    assert!(diff.operators_added().is_empty());
    assert_eq!(diff.flipped().operators_added().len(), 1);
    assert_eq!(diff.changes()[6].area, Area::Operator("beta".parse().unwrap()));
    assert!(!format!("{diff}").contains("changed") || !format!("{diff}").contains("test"));
}

#[test]
fn what_needs_a_restart_keeps_its_old_value() {
    let mut new = base();
    new.node.name = "other".into();
    new.limits.max_parts = 4;
    let diff = ConfigDiff::between(&base(), &new);
    let reached = diff.without_restart().apply(&base());
    assert_eq!((reached.node.name.as_str(), reached.limits.max_parts), ("gw1", 4));
    assert_eq!(
        diff.needs_restart()
            .map(|change| change.path.as_str())
            .collect::<Vec<_>>(),
        ["node.name"]
    );
    assert_eq!(ConfigDiff::between(&base(), &reached).changes().len(), 1);
}

#[test]
fn a_name_with_a_dot_is_not_taken_for_a_key() {
    let mut old = base();
    let alpha = old.operator[&"alpha".parse().unwrap()].clone();
    old.operator.insert("alpha.window".parse().unwrap(), alpha);
    let mut new = base();
    new.operator.get_mut(&"alpha".parse().unwrap()).unwrap().window = 7;
    let diff = ConfigDiff::between(&old, &new);
    assert_eq!(
        lines(&diff),
        [
            "operator.alpha.window: 100 -> 7 (relink)",
            "operator.\"alpha.window\" removed (relink)"
        ]
    );
    assert_eq!(diff.apply(&old), new);
}

/// One step away from a configuration.
#[derive(Debug, Clone)]
enum Edit {
    Name(u8),
    Parts(u8),
    Cache(u32),
    Json(bool),
    Operator(u8, Option<u32>),
    Tls(u8, Option<bool>),
    State(u8, Option<bool>),
    Client(u8, Option<u32>),
    Key(u8, u8),
    Route(u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        any::<u8>().prop_map(Edit::Name),
        any::<u8>().prop_map(Edit::Parts),
        any::<u32>().prop_map(Edit::Cache),
        any::<bool>().prop_map(Edit::Json),
        (0..4u8, any::<Option<u32>>()).prop_map(|(n, to)| Edit::Operator(n, to)),
        (0..4u8, any::<Option<bool>>()).prop_map(|(n, to)| Edit::Tls(n, to)),
        (0..4u8, any::<Option<bool>>()).prop_map(|(n, to)| Edit::State(n, to)),
        (0..4u8, any::<Option<u32>>()).prop_map(|(n, to)| Edit::Client(n, to)),
        (0..4u8, any::<u8>()).prop_map(|(n, to)| Edit::Key(n, to)),
        (0..4u8).prop_map(Edit::Route),
    ]
}

fn apply(config: &mut Config, edit: &Edit) {
    let operator = |n: &u8| {
        ["alpha", "beta", "alpha.window", "d"][usize::from(*n)]
            .parse()
            .unwrap()
    };
    let client = |n: &u8| ["acme", "b", "acme.rate", "d"][usize::from(*n)].parse().unwrap();
    match edit {
        Edit::Name(n) => config.node.name = format!("gw{n}"),
        Edit::Parts(n) => config.limits.max_parts = *n,
        Edit::Cache(n) => config.engine.cache = ByteSize::bytes(u64::from(*n)),
        Edit::Json(yes) => config.log.format = if *yes { LogFormat::Json } else { LogFormat::Text },
        Edit::Operator(n, Some(window)) => config.operator.entry(operator(n)).or_default().window = *window,
        Edit::Operator(n, None) => drop(config.operator.remove(&operator(n))),
        Edit::Tls(n, to) => {
            config.operator.entry(operator(n)).or_default().tls = to.map(|named| TlsSection {
                server_name: named.then(|| "x".into()),
                ..TlsSection::default()
            });
        }
        Edit::State(n, to) => {
            let states = &mut config.operator.entry(operator(n)).or_default().states;
            match to {
                Some(failed) => {
                    let word = if *failed { "failed" } else { "delivered" };
                    states.insert(
                        smsgw_config::ReceiptState::Unknown,
                        smsgw_config::StateWord::from_word(word).unwrap(),
                    );
                }
                None => states.clear(),
            }
        }
        Edit::Client(n, Some(binds)) => config.client.entry(client(n)).or_default().max_binds = *binds,
        Edit::Client(n, None) => drop(config.client.remove(&client(n))),
        Edit::Key(n, key) => {
            config.client.entry(client(n)).or_default().api_key = Some(Secret::new(format!("hush{key}")));
        }
        Edit::Route(n) => config.route.mt = vec![MtRoute::default(); usize::from(*n)],
    }
}

proptest! {
    #[test]
    fn a_diff_leads_there_and_its_flip_leads_back(
        one in proptest::collection::vec(edit(), 0..12),
        two in proptest::collection::vec(edit(), 0..12),
    ) {
        let (mut old, mut new) = (base(), base());
        one.iter().for_each(|edit| apply(&mut old, edit));
        two.iter().for_each(|edit| apply(&mut new, edit));
        let diff = ConfigDiff::between(&old, &new);
        prop_assert_eq!(diff.is_empty(), old == new);
        prop_assert!(ConfigDiff::between(&old, &old).is_empty());
        prop_assert_eq!(&diff.apply(&old), &new);
        prop_assert_eq!(&diff.flipped().apply(&new), &old);
        prop_assert_eq!(diff.flipped(), ConfigDiff::between(&new, &old));
        let reached = diff.without_restart().apply(&old);
        prop_assert!(ConfigDiff::between(&old, &reached).needs_restart().next().is_none());
        prop_assert!(ConfigDiff::between(&reached, &new).changes().iter().all(|change| change.impact == Impact::Restart));
        let text = format!("{diff:?}{diff}");
        prop_assert!(!text.contains("hush") && !text.contains("acme-key"));
    }
}
