//! How far the keys of each family reach in `state`: what sorts behind them is not there, and nobody has to look.
//!
//! A family is what a key has in front of its first `/`. The id of a message begins with its time, so the life of a new one sorts
//! behind all that are no longer young; otherwise every table is asked for it once, to find it absent.
//! Invariant: no key in `state` sorts behind the last one that is known of its family.

use crate::config::OpenErrorKind;
use crate::format::state_key;
use crate::store::Store;
use rustc_hash::FxHashMap;

/// Families that are told apart: their names are in our code, a handful.
const MOST: usize = 64;
/// Sorts right behind [`SLASH`].
const BEHIND_SLASH: u8 = SLASH + 1;
const SLASH: u8 = b'/';

/// The committer's.
#[derive(Debug, Default)]
pub(crate) struct Families {
    last: FxHashMap<String, String>,
    /// There are more than [`MOST`]: of one that is not here nothing is known.
    too_many: bool,
}

/// Keys without a slash are in none.
fn family(key: &str) -> Option<&str> {
    key.split_once('/').map(|(family, _)| family)
}

impl Families {
    /// As they are in a store of which nothing is young.
    pub(crate) fn of(store: &Store) -> Result<Self, OpenErrorKind> {
        let mut families = Self::default();
        let (mut from, end) = (state_key(""), [b'k' + 1].to_vec());
        let text = |key: &[u8]| {
            let text = key.get(1..).and_then(|text| std::str::from_utf8(text).ok());
            let damaged = || OpenErrorKind::damaged("a value", "its key is not UTF-8");
            text.map(str::to_owned).ok_or_else(damaged)
        };
        while let Some(first) = store.state.range(from.clone()..end.clone()).next() {
            let first = first.key().map_err(OpenErrorKind::Store)?;
            from = first.to_vec();
            from.push(0);
            let first = text(&first)?;
            if let Some(family) = family(&first) {
                let (mut begin, mut behind) = (state_key(family), state_key(family));
                begin.push(SLASH);
                behind.push(BEHIND_SLASH);
                if let Some(last) = store.state.range(begin..behind.clone()).next_back() {
                    families.add(&text(&last.key().map_err(OpenErrorKind::Store)?)?);
                }
                from = behind;
            }
        }
        Ok(families)
    }

    /// Whether a key can be in `state`.
    pub(crate) fn may_have(&self, key: &str) -> bool {
        match family(key) {
            None => true,
            Some(family) => self
                .last
                .get(family)
                .map_or(self.too_many, |last| key <= last.as_str()),
        }
    }

    /// A key goes to `state`.
    pub(crate) fn add(&mut self, key: &str) {
        let Some(family) = family(key) else { return };
        if let Some(last) = self.last.get_mut(family) {
            if last.as_str() < key {
                key.clone_into(last);
            }
        } else if self.last.len() < MOST {
            self.last.insert(family.to_owned(), key.to_owned());
        } else {
            self.too_many = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmbeddedConfig;
    use crate::lock::DirLock;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = String> {
        let family = prop_oneof![
            Just("msg"),
            Just("msg-x"),
            Just("msg0"),
            Just("m"),
            Just(""),
            Just("ü")
        ];
        prop_oneof![
            (family, "[a-c/]{0,3}").prop_map(|(family, rest)| format!("{family}/{rest}")),
            "[a-c]{0,2}"
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn what_is_there_is_found_before_and_after_a_start(keys in vec(key(), 0..20), new in vec(key(), 0..10), asked in vec(key(), 0..30)) {
            let dir = tempfile::tempdir().unwrap();
            let lock = DirLock::acquire(dir.path()).unwrap();
            let store = Store::open(&EmbeddedConfig::new(dir.path()), lock).unwrap();
            for key in &keys {
                store.state.insert(state_key(key), "").unwrap();
            }
            store.state.insert(crate::format::STATE_HEAD, "").unwrap();
            let mut families = Families::of(&store).unwrap();
            new.iter().for_each(|key| families.add(key));
            let there = || keys.iter().chain(&new);
            prop_assert!(there().all(|key| families.may_have(key)));
            for key in asked {
                let of_one = |other: &&String| family(other).is_some() && family(other) == family(&key);
                let is_behind_all = there().filter(of_one).all(|other| *other < key);
                prop_assert_eq!(families.may_have(&key), family(&key).is_none() || !is_behind_all);
            }
        }
    }

    #[test]
    fn of_a_family_too_many_nothing_is_known() {
        let mut families = Families::default();
        for n in 0..MOST {
            families.add(&format!("{n}/a"));
        }
        assert!(!families.may_have("0/b") && !families.may_have("another/a"));
        families.add("another/a");
        assert!(
            !families.may_have("0/b") && families.may_have("another/a") && families.may_have("a third/z")
        );
    }
}
