//! Destinations that are allowed and denied, by lists.
//!
//! Pure. The lists come with the configuration and are shared by all accounts that name them.
//! Invariant: what any list denies is denied, whatever another one allows.

use smsgw_config::ListName;
use smsgw_routing::NumberSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sets of all lists, by their names.
pub(crate) type Lists = BTreeMap<ListName, Vec<Arc<NumberSet>>>;

/// Why a destination is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// A list denies it.
    Listed,
    /// Some are allowed, and it is none of them.
    NotListed,
}

/// The lists that hold for somebody.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    deny: Vec<Arc<NumberSet>>,
    /// `None` where nothing is said: all are allowed. Lists that are empty allow nothing.
    allow: Option<Vec<Arc<NumberSet>>>,
}

impl Destinations {
    pub(crate) fn of(deny: &[ListName], allow: &[ListName], lists: &Lists) -> Self {
        let sets = |names: &[ListName]| -> Vec<Arc<NumberSet>> {
            let named = names.iter().filter_map(|name| lists.get(name));
            named.flatten().filter(|set| !set.is_empty()).cloned().collect()
        };
        Self {
            deny: sets(deny),
            allow: (!allow.is_empty()).then(|| sets(allow)),
        }
    }

    pub(crate) fn judge(&self, digits: &str) -> Result<(), Denied> {
        if self.deny.iter().any(|set| set.contains(digits)) {
            return Err(Denied::Listed);
        }
        match &self.allow {
            Some(allow) if !allow.iter().any(|set| set.contains(digits)) => Err(Denied::NotListed),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_routing::NumberSetBuilder;

    fn lists(all: &[(&str, &[&str])]) -> Lists {
        let set = |entries: &[&str]| {
            let mut builder = NumberSetBuilder::default();
            for entry in entries {
                builder.line(entry.as_bytes()).unwrap();
            }
            Arc::new(builder.build())
        };
        all.iter()
            .map(|(name, entries)| (ListName::from_text(name).unwrap(), vec![set(entries)]))
            .collect()
    }

    fn names(names: &[&str]) -> Vec<ListName> {
        names
            .iter()
            .map(|name| ListName::from_text(name).unwrap())
            .collect()
    }

    #[test]
    fn what_is_denied_stays_denied_and_an_allow_list_denies_the_rest() {
        let lists = lists(&[
            ("home", &["49*", "43*"]),
            ("spam", &["4990*", "491701234567"]),
            ("none", &[]),
        ]);
        let of = |deny: &[&str], allow: &[&str]| Destinations::of(&names(deny), &names(allow), &lists);
        let both = of(&["spam"], &["home"]);
        assert_eq!(both.judge("491701234568"), Ok(()));
        assert_eq!(both.judge("491701234567"), Err(Denied::Listed));
        assert_eq!(both.judge("49900"), Err(Denied::Listed));
        assert_eq!(both.judge("41791234567"), Err(Denied::NotListed));
        assert_eq!(of(&[], &[]).judge("41791234567"), Ok(()));
        assert_eq!(of(&["none"], &["none", "home"]).judge("4312345"), Ok(()));
        // A list that was emptied allows nothing more; it does not open the account.
        assert_eq!(of(&[], &["none"]).judge("4312345"), Err(Denied::NotListed));
    }
}
