//! What stands in queues, logs and state, for those who check a data directory: which kind of record belongs where.
//!
//! Knows the names that nodes share and the records that go with them. What has another name, and what only its own node
//! can read, is taken for good.

use smsgw_engine_embedded::offline::{Judge, Verdict};
use smsgw_message::{
    CreditAccounts, CreditOrder, Dispatch, Down, Event, Instruction, InstructionResult, LedgerPage,
    MessageLife, MtMessage, Record, RecordError, Told, Up, names,
};
use std::error::Error;

/// Decodes every record that a crate below the nodes defines.
#[derive(Debug)]
pub(crate) struct Decoder;

fn decodes<T: Record>(octets: &[u8]) -> Verdict {
    match T::from_record(octets) {
        Ok(_) => Verdict::Fits,
        Err(RecordError::Version { known, found }) if found > known => Verdict::Newer,
        Err(error) => Verdict::Broken(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
    }
}

fn is_key(octets: &[u8]) -> Verdict {
    match std::str::from_utf8(octets) {
        Ok(_) => Verdict::Fits,
        Err(error) => Verdict::Broken(error.to_string()),
    }
}

impl Judge for Decoder {
    fn is_beside(&self, name: &str) -> bool {
        ["cdr", "config-versions", "history", "traces"].contains(&name)
    }

    fn record(&self, queue: &str, octets: &[u8]) -> Verdict {
        match queue {
            names::MT_ACCEPTED => decodes::<MtMessage>(octets),
            names::DOWN_CALLBACK | names::DOWN_SMPP => decodes::<Down>(octets),
            names::ALARMS => is_key(octets),
            names::INSTRUCTIONS | names::INSTRUCTIONS_CREDIT => decodes::<Instruction>(octets),
            queue if queue.starts_with("mt.operator.") => decodes::<Dispatch>(octets),
            queue if queue.starts_with("up.") => decodes::<Up>(octets),
            _others => Verdict::Fits,
        }
    }

    fn value(&self, key: &str, octets: &[u8]) -> Verdict {
        match key.split_once('/').map(|(space, _)| space) {
            Some("msg") => decodes::<MessageLife>(octets),
            Some("told") => decodes::<Told>(octets),
            Some("instruction") => decodes::<InstructionResult>(octets),
            None if key == names::CREDIT => decodes::<CreditAccounts>(octets),
            Some(_) | None => Verdict::Fits,
        }
    }

    fn entry(&self, log: &str, octets: &[u8]) -> Verdict {
        match log {
            names::EVENTS => decodes::<Event>(octets),
            names::CREDIT_ORDERS => decodes::<CreditOrder>(octets),
            log if log.starts_with("ledger.") => decodes::<LedgerPage>(octets),
            _others => Verdict::Fits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::{EventName, Timestamp};

    #[test]
    fn a_record_fits_its_own_place_and_no_other() {
        let event = Event::new(Timestamp::from_millis(1), EventName::MtAccepted).to_record();
        assert_eq!(Decoder.entry(names::EVENTS, &event), Verdict::Fits);
        assert!(matches!(
            Decoder.record(names::MT_ACCEPTED, &event),
            Verdict::Broken(_)
        ));
        assert_eq!(
            Decoder.record("instructions.results", &event),
            Verdict::Fits,
            "not known here"
        );
        let mut newer = event.to_vec();
        newer[1] = 200;
        assert_eq!(Decoder.entry(names::EVENTS, &newer), Verdict::Newer);
        assert!(matches!(Decoder.entry(names::EVENTS, b""), Verdict::Broken(_)));
        assert!(matches!(Decoder.value("msg/1", b"x"), Verdict::Broken(_)));
        assert_eq!(Decoder.value("count/1/2", b"x"), Verdict::Fits);
    }
}
