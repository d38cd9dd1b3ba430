//! Which message a carrier's id belongs to, for people who ask: `smsgw trace`.
//!
//! Reads `corr/*` as the router wrote it and changes nothing; takes no part in matching receipts. An id is tried in every
//! form in which carriers write ids (case, leading zeros, hexadecimal and decimal), in every link group that is asked for,
//! and everything it may mean is given: a person can tell.
//!
//! # Limits
//! Nothing is known of an id whose correlation has expired, or that no carrier has ever given.

use crate::carrier_id::Form;
use crate::correlate;
use smsgw_message::{Correlation, LinkGroup, MessageId, Receipt, Record, RecordError};
use smsgw_queue::{Engine, EngineError, StateKey};
use std::collections::BTreeSet;
use thiserror::Error;

/// Longest id that is looked for; SMPP 3.4 has 65 octets, the longest form that is kept 255.
const LONGEST: usize = 255;

/// Something that an id may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The id of a part.
    Part {
        /// Whose id it is.
        group: LinkGroup,
        /// The message.
        message: MessageId,
        /// Which part, from 1.
        part: u16,
        /// The id as it is kept: as the carrier's answer wrote it, or folded (lower case, no leading zeros).
        carrier_id: String,
        /// How the id that was asked for follows from that one: `same`, `hex-to-decimal` or `decimal-to-hex`.
        form: &'static str,
    },
    /// Receipts that wait for the answer to their submit.
    Parked {
        /// Whose id it is.
        group: LinkGroup,
        /// Oldest first.
        receipts: Vec<Receipt>,
    },
}

/// Why nothing can be said.
#[derive(Debug, Error)]
pub enum LookupError {
    /// The engine does not answer.
    #[error("the state cannot be read")]
    Engine(#[from] EngineError),
    /// A newer version wrote it, or the disk is damaged.
    #[error("the record {key} cannot be decoded")]
    Corrupt {
        /// Of the record.
        key: StateKey,
        /// Why.
        #[source]
        source: RecordError,
    },
}

/// Everything that a carrier's id may mean in these link groups; the likeliest form of each group first.
///
/// # Errors
/// When the state cannot be read.
pub async fn by_carrier_id(
    engine: &dyn Engine,
    groups: impl IntoIterator<Item = LinkGroup>,
    id: &str,
) -> Result<Vec<Meaning>, LookupError> {
    if id.is_empty() || id.len() > LONGEST {
        return Ok(Vec::new());
    }
    let mut places = Vec::new();
    for group in groups {
        let mut seen = BTreeSet::new();
        for form in Form::ALL {
            if let Some(answered) = form.answered(id)
                && seen.insert(answered.clone())
            {
                places.push((group.clone(), form, correlate::key(&group, &answered), answered));
            }
        }
    }
    let keys = places.iter().map(|(.., key, _)| key.clone()).collect();
    let found = engine.get(keys).await?;
    let mut meanings = Vec::new();
    for ((group, form, key, answered), there) in places.into_iter().zip(found) {
        let Some(there) = there else { continue };
        let there =
            Correlation::from_record(&there.value).map_err(|source| LookupError::Corrupt { key, source })?;
        meanings.extend(meaning(&group, form, answered.into_owned(), there));
    }
    Ok(meanings)
}

fn meaning(group: &LinkGroup, form: Form, folded: String, there: Correlation) -> Vec<Meaning> {
    let part = |message, part, carrier_id| Meaning::Part {
        group: group.clone(),
        message,
        part,
        carrier_id,
        form: form.as_str(),
    };
    match there {
        Correlation::Sent { message, part: n } => vec![part(message, n, folded)],
        Correlation::Owned { owners, .. } => owners
            .into_iter()
            .map(|owner| part(owner.message, owner.part, owner.id))
            .collect(),
        Correlation::Parked { receipts, .. } => vec![Meaning::Parked {
            group: group.clone(),
            receipts,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::handle_sent;
    use crate::fixtures::{message_id, receipt};
    use smsgw_message::ReceiptState::Delivered;
    use smsgw_queue::{Expiry, MemoryEngine, Step, StepId};
    use smsgw_testkit::SimClock;
    use std::sync::Arc;

    fn group(name: &str) -> LinkGroup {
        LinkGroup::try_new(name).unwrap()
    }

    /// An engine that knows the ids of some parts.
    async fn engine(ids: &[(&str, &str, u8)], parked: &[(&str, &str)]) -> Arc<MemoryEngine> {
        let engine = MemoryEngine::new(Arc::new(SimClock::new()));
        let mut records = Vec::new();
        for (name, id, message) in ids {
            let key = correlate::key_of(&group(name), id);
            let before = records
                .iter()
                .rfind(|(there, _)| *there == key)
                .map(|(_, record): &(_, Correlation)| record.clone());
            let claimed = handle_sent(before, id, message_id(*message), 1, false);
            records.push((key, claimed.write.unwrap()));
        }
        for (name, id) in parked {
            let record = Correlation::Parked {
                receipts: vec![receipt(id, Delivered, 5)],
                is_late: false,
            };
            records.push((correlate::key_of(&group(name), id), record));
        }
        for (n, (key, record)) in (0..).zip(records) {
            let step = Step::new(StepId::from_bytes([n; 16])).put(key, record.to_record(), Expiry::Owner);
            let committed = engine.commit(vec![step]).await;
            assert!(committed.iter().all(Result::is_ok), "{committed:?}");
        }
        engine
    }

    async fn ask(engine: &MemoryEngine, id: &str) -> Vec<(String, String, &'static str)> {
        let groups = [group("alpha"), group("beta")];
        let found = by_carrier_id(engine, groups, id).await.unwrap();
        found
            .into_iter()
            .map(|meaning| match meaning {
                Meaning::Part {
                    group,
                    carrier_id,
                    form,
                    ..
                } => (group.to_string(), carrier_id, form),
                Meaning::Parked { group, receipts } => {
                    (group.to_string(), receipts[0].carrier_id.clone(), "parked")
                }
            })
            .collect()
    }

    #[tokio::test]
    async fn an_id_is_found_however_it_is_written() {
        let engine = engine(&[("alpha", "0A7F", 1), ("beta", "0002687", 2)], &[]).await;
        for id in ["0A7F", "a7f", "000a7f"] {
            assert_eq!(
                ask(&engine, id).await,
                [
                    ("alpha".to_owned(), "0A7F".to_owned(), "same"),
                    ("beta".to_owned(), "0002687".to_owned(), "decimal-to-hex"),
                ]
            );
        }
        assert_eq!(
            ask(&engine, "2687").await,
            [
                ("alpha".to_owned(), "0A7F".to_owned(), "hex-to-decimal"),
                ("beta".to_owned(), "0002687".to_owned(), "same"),
            ]
        );
        for id in ["", "2688", "x", &"9".repeat(300)] {
            assert_eq!(ask(&engine, id).await, [], "{id}");
        }
    }

    #[tokio::test]
    async fn everything_an_id_may_mean_is_given() {
        let engine = engine(&[("alpha", "012", 1), ("alpha", "12", 2)], &[("beta", "12")]).await;
        assert_eq!(
            ask(&engine, "12").await,
            [
                ("alpha".to_owned(), "012".to_owned(), "same"),
                ("alpha".to_owned(), "12".to_owned(), "same"),
                ("beta".to_owned(), "12".to_owned(), "parked"),
            ]
        );
    }
}
