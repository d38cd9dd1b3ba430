//! How each carrier writes its ids and how many of its receipts were matched: for status pages.
//!
//! Read only; the counts are those since this process started and stand in `/metrics` too, by form. Invariant: what is shown
//! as the form is what the next receipt is matched by.

use crate::carrier_id::{Counts, Habits};
use smsgw_config::{ConfigHandle, MessageIds, Protocol};
use smsgw_message::{LinkGroup, OperatorId};
use std::sync::Arc;

/// What is known of the ids of one link group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierIds {
    /// Whose ids.
    pub operator: OperatorId,
    /// The name space that they are unique in.
    pub group: LinkGroup,
    /// How the id of a receipt follows from that of the answer: `same`, `hex-to-decimal` or `decimal-to-hex`; with `, doubted`
    /// behind it since a receipt came in another form; `mixed` where the carrier writes now one, now another. `None` as long
    /// as nothing is known. Every form is tried for each receipt but where one is known and not doubted.
    pub form: Option<&'static str>,
    /// By configuration (`message_ids`), not learnt.
    pub configured: bool,
    /// Receipts that were matched with a part.
    pub matched: u64,
    /// Receipts that came before the answer to their submit and waited for it; each is matched or unknown later.
    pub parked: u64,
    /// Receipts that belong to nothing we sent.
    pub unknown: u64,
}

impl CarrierIds {
    /// The share of receipts that were matched, of those that are matched or unknown; `None` before the first.
    pub fn matched_share(&self) -> Option<f64> {
        let all = self.matched.saturating_add(self.unknown);
        let whole = |number: u64| u32::try_from(number).map_or(f64::from(u32::MAX), f64::from);
        (all > 0).then(|| whole(self.matched) / whole(all))
    }
}

/// Where it can be asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IdTable {
    habits: Arc<Habits>,
    config: ConfigHandle,
}

impl IdTable {
    pub(crate) fn new(habits: Arc<Habits>, config: ConfigHandle) -> Self {
        Self { habits, config }
    }

    /// Every operator that gives ids, by name.
    pub fn snapshot(&self) -> Vec<CarrierIds> {
        let config = self.config.config();
        let of = |(id, configured): (&OperatorId, MessageIds)| {
            let group = LinkGroup::of(id);
            let Counts {
                matched,
                parked,
                unknown,
            } = self.habits.counts(&group);
            CarrierIds {
                operator: id.clone(),
                form: self.habits.known(&group, configured).as_str(),
                configured: configured != MessageIds::Auto,
                group,
                matched,
                parked,
                unknown,
            }
        };
        config
            .operator
            .iter()
            .filter(|(_, operator)| operator.protocol == Protocol::Smpp)
            .map(|(id, operator)| of((id, operator.message_ids)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier_id::Form;
    use smsgw_config::{Config, Operator};

    #[test]
    fn what_is_learnt_configured_and_counted_is_shown() {
        let id = |name| OperatorId::try_new(name).unwrap();
        let said = Operator {
            message_ids: MessageIds::HexToDecimal,
            ..Operator::default()
        };
        let foreign = Operator {
            protocol: Protocol::Ucp,
            ..Operator::default()
        };
        let config = Config {
            operator: [
                (id("alpha"), Operator::default()),
                (id("beta"), said),
                (id("ucp"), foreign),
            ]
            .into(),
            ..Config::default()
        };
        let habits = Arc::new(Habits::default());
        let table = IdTable::new(Arc::clone(&habits), ConfigHandle::new(config));
        let shown = table.snapshot();
        assert_eq!(shown.len(), 2, "operators of SMPP");
        assert_eq!((shown[0].form, shown[0].configured), (None, false));
        assert_eq!(
            (shown[1].form, shown[1].configured),
            (Some("hex-to-decimal"), true)
        );
        assert_eq!(shown[0].matched_share(), None);
        let group = LinkGroup::of(&id("alpha"));
        for _ in 0..3 {
            habits.count_matched(&group);
            habits.matched(&group, Form::Same);
        }
        habits.count_parked(&group);
        habits.missed(&group);
        let alpha = table.snapshot().remove(0);
        assert_eq!((alpha.matched, alpha.parked, alpha.unknown), (3, 1, 1));
        assert_eq!((alpha.form, alpha.matched_share()), (Some("same"), Some(0.75)));
        habits.matched(&group, Form::HexToDecimal);
        assert_eq!(table.snapshot()[0].form, Some("same, doubted"));
        habits.matched(&group, Form::Same);
        assert_eq!(table.snapshot()[0].form, Some("mixed"));
    }
}
