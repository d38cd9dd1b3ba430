//! What clients are held to, as the tables that judge: destinations, senders, prices.
//!
//! Beside `routes`, and for the same reason: every node that judges judges by the same conversion.

use crate::schema::admission::{ListName, sender_of};
use crate::{Client, Config};
use smsgw_routing::{
    NumberSet, PriceError, PriceRow, PriceTable, SenderError, SenderPolicy, SenderRule, SenderTable,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

fn prefixes(prefix: &[crate::Digits]) -> Vec<String> {
    prefix.iter().map(|digits| digits.as_str().to_owned()).collect()
}

impl Config {
    /// Lists that have a file, and where it is.
    pub fn list_files(&self) -> Vec<(ListName, PathBuf)> {
        self.list
            .iter()
            .filter_map(|(name, list)| Some((name.clone(), list.file.as_ref()?.path().to_owned())))
            .collect()
    }

    /// Puts in the numbers that were read from a list's file; nothing happens when the list or its file is gone.
    pub fn fill_list(&mut self, name: &ListName, numbers: Arc<NumberSet>) {
        if let Some(file) = self.list.get_mut(name).and_then(|list| list.file.as_mut()) {
            file.fill(numbers);
        }
    }

    /// The numbers of each list: those of its file, and those that stand in the configuration. What was read is shared,
    /// not copied.
    pub fn number_lists(&self) -> BTreeMap<ListName, Vec<Arc<NumberSet>>> {
        let sets = self.list.iter().map(|(name, list)| {
            let file = list.file.as_ref().map(|file| Arc::clone(file.numbers()));
            let own = (!list.entries.is_empty()).then(|| Arc::new(list.own_numbers()));
            (name.clone(), file.into_iter().chain(own).collect())
        });
        sets.collect()
    }

    /// Builds the table of prices, once for each epoch.
    pub fn price_table(&self) -> Result<PriceTable, PriceError> {
        let rows = self.price.iter().map(|price| PriceRow {
            clients: price.client.clone(),
            prefixes: prefixes(&price.prefix),
            price: price.price,
            currency: price.currency,
            from: price.from,
            until: price.until,
        });
        PriceTable::try_new(rows.collect())
    }

    /// Builds the table of senders by destination, once for each epoch.
    pub fn sender_table(&self) -> Result<SenderTable, SenderError> {
        let rules = self.sender.iter().map(|sender| SenderRule {
            clients: sender.client.clone(),
            prefixes: prefixes(&sender.prefix),
            policy: SenderPolicy {
                allowed: sender.senders.clone(),
                default: sender_of(sender.default_from.as_deref()),
                always: sender_of(sender.override_from.as_deref()),
                alphanumeric: sender.alphanumeric_from,
            },
        });
        SenderTable::try_new(rules.collect())
    }
}

impl Client {
    /// What the account says of senders.
    pub fn sender_policy(&self) -> SenderPolicy {
        SenderPolicy {
            allowed: self.senders.clone(),
            default: sender_of(self.default_from.as_deref()),
            always: sender_of(self.override_from.as_deref()),
            alphanumeric: Some(self.alphanumeric_from),
        }
    }

    /// In which zone the account's days and months begin.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        match &self.time_zone {
            None => self.smpp.zone(),
            // Validation has found it; a value that did not come through validation is read as UTC.
            Some(name) => jiff::tz::TimeZone::get(name).unwrap_or(jiff::tz::TimeZone::UTC),
        }
    }
}
