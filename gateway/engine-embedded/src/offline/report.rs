//! What a check found, in words a person can act on.

use std::collections::BTreeMap;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Good to know; nothing is wrong.
    Note,
    /// Something is wrong that a repair puts right without losing anything.
    Wrong,
    /// Something cannot be read back.
    Loss,
}

impl Weight {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Loss => "loss",
        }
    }
}

/// One kind of finding, with how often it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable word for it.
    pub code: &'static str,
    /// How much it weighs.
    pub weight: Weight,
    /// How often it was found.
    pub count: u64,
    /// What it means, and what a repair does about it.
    pub meaning: &'static str,
    /// The first ones, by id.
    pub examples: Vec<String>,
}

/// Examples that are kept of each finding.
const EXAMPLES: usize = 10;

/// What was looked at and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Records of queues.
    pub records: u64,
    /// Values of state.
    pub values: u64,
    /// Logs.
    pub logs: u64,
    /// Entries of logs.
    pub entries: u64,
    /// Octets of all of these.
    pub octets: u64,
    findings: BTreeMap<&'static str, Finding>,
}

impl Report {
    /// What was found, the worst first.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut findings: Vec<_> = self.findings.values().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
        findings
    }

    /// The worst that was found.
    pub fn worst(&self) -> Option<Weight> {
        self.findings.values().map(|finding| finding.weight).max()
    }

    /// Nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.worst().is_none_or(|worst| worst == Weight::Note)
    }

    pub(super) fn add(&mut self, what: What, example: impl FnOnce() -> String) {
        let (code, weight, meaning) = what.text();
        let finding = self.findings.entry(code).or_insert_with(|| Finding {
            code,
            weight,
            count: 0,
            meaning,
            examples: Vec::new(),
        });
        finding.count = finding.count.saturating_add(1);
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(example());
        }
    }
}

/// Everything that can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Journal,
    Store,
    Format,
    Table,
    Generation,
    GenerationEntry,
    Misplaced,
    Gone,
    Record,
    RecordOctets,
    RecordNewer,
    QueueName,
    Move,
    OrphanMove,
    Value,
    ValueOctets,
    ValueNewer,
    NoExpiry,
    StaleExpiry,
    Expiry,
    Log,
    LogHole,
    Entry,
    EntryNewer,
    Number,
    Leases,
    Stray,
}

impl What {
    fn text(self) -> (&'static str, Weight, &'static str) {
        use Weight::{Loss, Note, Wrong};
        match self {
            Self::Journal => (
                "journal-damaged",
                Loss,
                "a journal is damaged before its end: steps that were acknowledged stand behind the damage, and the gateway \
                 does not start. --repair keeps every whole step before and behind it and moves the journal aside",
            ),
            Self::Store => (
                "store-does-not-open",
                Loss,
                "the storage library does not open the tables. Restore a backup, or ask for help with the directory as it is",
            ),
            Self::Format => (
                "format-unknown",
                Loss,
                "the version of the directory cannot be read; a repair writes it anew",
            ),
            Self::Table => (
                "table-unreadable",
                Loss,
                "part of a table cannot be read back (a check does not match). --repair keeps everything before and behind \
                 it; what stood there is in the directory that the repair names, and only there",
            ),
            Self::Generation => (
                "generation-missing",
                Loss,
                "a run of records is entered and not there; the gateway does not start. --repair goes on without it",
            ),
            Self::GenerationEntry => (
                "generation-unknown",
                Wrong,
                "a run of records is there and what is known of it is not readable; the gateway does not start. --repair \
                 keeps its records",
            ),
            Self::Misplaced => (
                "record-misplaced",
                Wrong,
                "a record lies in a run that begins behind it; the gateway does not start. --repair keeps it: if it was \
                 settled meanwhile it may be sent a second time",
            ),
            Self::Gone => (
                "marks-unreadable",
                Loss,
                "which records are done with cannot be read back for some of them. --repair keeps those records, so they \
                 may be sent a second time",
            ),
            Self::Record => (
                "record-damaged",
                Wrong,
                "what stands before a record is not readable, so nobody knows its queue. --repair keeps its octets as a \
                 corrupt record of the queue `unreadable`",
            ),
            Self::RecordOctets => (
                "record-not-decodable",
                Wrong,
                "a record is none of the kind its queue takes. --repair puts it into the corrupt place of its queue, where \
                 the nodes would put it when they come to it",
            ),
            Self::RecordNewer => (
                "record-of-newer-version",
                Note,
                "a later version of smsgw wrote it; this one puts it into the corrupt place when it comes to it",
            ),
            Self::QueueName => (
                "queue-without-name",
                Wrong,
                "records belong to a queue whose name is gone. --repair gives the queue the name `lost.<number>`",
            ),
            Self::Move => (
                "move-damaged",
                Wrong,
                "what became of a record since it was published is not readable. --repair makes the record ready as it was",
            ),
            Self::OrphanMove => (
                "move-without-record",
                Wrong,
                "something says where a record is that does not exist; the gateway does not start. --repair removes it",
            ),
            Self::Value => (
                "value-damaged",
                Wrong,
                "a value of state is not readable. --repair keeps its octets as a corrupt record of the queue `unreadable`",
            ),
            Self::ValueOctets => (
                "value-not-decodable",
                Wrong,
                "a value is none of the kind its key takes; who reads it refuses it. A repair leaves it as it is",
            ),
            Self::ValueNewer => (
                "value-of-newer-version",
                Note,
                "a later version of smsgw wrote it",
            ),
            Self::NoExpiry => (
                "value-never-expires",
                Wrong,
                "a value has a time and nothing that reminds of it: it would stay for ever. --repair adds that",
            ),
            Self::StaleExpiry => (
                "expiry-without-value",
                Note,
                "reminders of values that were changed or deleted since; they vanish at their time",
            ),
            Self::Expiry => (
                "expiry-damaged",
                Wrong,
                "a reminder of an expiry is not readable. --repair makes all of them anew from the values",
            ),
            Self::Log => (
                "log-damaged",
                Wrong,
                "what is known of a log does not fit together (its end, its readers, its name). --repair mends it from its \
                 entries",
            ),
            Self::LogHole => (
                "log-entries-missing",
                Loss,
                "entries of a log are not there. --repair puts an empty entry at each of their positions, which its readers \
                 count as not decodable and pass",
            ),
            Self::Entry => (
                "entry-not-decodable",
                Wrong,
                "an entry of a log is none of the kind the log takes; its readers pass it. A repair leaves it as it is",
            ),
            Self::EntryNewer => (
                "entry-of-newer-version",
                Note,
                "a later version of smsgw wrote it",
            ),
            Self::Number => (
                "number-too-low",
                Wrong,
                "a number that is handed out next was used before: two records or versions could get the same one. --repair \
                 raises it",
            ),
            Self::Leases => (
                "leases-incomplete",
                Note,
                "the machine stopped without notice, or lease marks are damaged: every record counts as possibly sent, and \
                 the in-doubt policy of its operator decides",
            ),
            Self::Stray => ("stray-file", Note, "not a file of smsgw; it is left alone"),
        }
    }
}
