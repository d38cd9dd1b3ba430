//! Rules by client and prefix: a client's own before those for all, and of each the longest prefix.
//!
//! For what is agreed with a client: its price list, its senders. (Routes are another matter: there the prefix comes
//! first.) Knows no rule: it leads to numbers the caller gave.
//!
//! Invariant BC-1: among the rules that the caller takes, one that names the client comes before one that names none; of
//! these the longest prefix, and of equal ones the first that was given.

use crate::prefix::{PrefixTable, TooMany};
use rustc_hash::FxHashMap;
use smsgw_message::ClientId;

/// Leads from a client and digits to rules.
#[derive(Debug, Default)]
pub(crate) struct ByClient {
    own: FxHashMap<ClientId, PrefixTable>,
    all: PrefixTable,
}

impl ByClient {
    /// Builds the table. Each rule has its clients (none: all) and its prefixes (none: any number), of digits only; rules
    /// are numbered from 0 in their order.
    pub(crate) fn new<'a>(
        rules: impl Iterator<Item = (&'a [ClientId], &'a [String])>,
    ) -> Result<Self, TooMany> {
        let mut own: FxHashMap<ClientId, Vec<(&str, u32)>> = FxHashMap::default();
        let mut all = Vec::new();
        for (number, (clients, prefixes)) in rules.enumerate() {
            let number = u32::try_from(number).map_err(|_| TooMany)?;
            let any = prefixes.is_empty().then_some("");
            let entries = prefixes
                .iter()
                .map(String::as_str)
                .chain(any)
                .map(|prefix| (prefix, number));
            if clients.is_empty() {
                all.extend(entries.clone());
            }
            for client in clients {
                own.entry(client.clone()).or_default().extend(entries.clone());
            }
        }
        let own = own
            .into_iter()
            .map(|(client, entries)| Ok((client, PrefixTable::new(entries.into_iter())?)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            own,
            all: PrefixTable::new(all.into_iter())?,
        })
    }

    /// The first rule that the caller takes.
    pub(crate) fn first(
        &self,
        client: &ClientId,
        digits: &str,
        mut takes: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        self.own
            .get(client)
            .and_then(|own| own.first(digits, &mut takes))
            .or_else(|| self.all.first(digits, &mut takes))
    }
}
