//! The store under an engine, opened by itself: what lies on the disk, key by key.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests; not every test uses all of it"
)]

use std::path::Path;

pub(crate) const KEYSPACES: [&str; 8] = [
    "meta", "young", "gone", "records", "moves", "state", "expiry", "logs",
];

/// A closed engine's database.
pub(crate) struct Raw {
    pub(crate) db: fjall::Database,
}

impl Raw {
    pub(crate) fn open(dir: &Path) -> Self {
        let db = fjall::Database::builder(dir.join("store")).open().unwrap();
        Self { db }
    }

    pub(crate) fn keyspace(&self, name: &str) -> fjall::Keyspace {
        self.db
            .keyspace(name, fjall::KeyspaceCreateOptions::default)
            .unwrap()
    }

    /// Keyspaces of generations.
    pub(crate) fn generations(&self) -> Vec<String> {
        let names = self.db.list_keyspace_names().into_iter();
        let mut names: Vec<String> = names.map(|name| name.to_string()).collect();
        names.retain(|name| {
            name.strip_prefix('g')
                .is_some_and(|number| number.parse::<u32>().is_ok())
        });
        names.sort();
        names
    }

    /// Every key of a keyspace, but for the one that ends it.
    pub(crate) fn keys(&self, name: &str) -> Vec<Vec<u8>> {
        let keyspace = self.keyspace(name);
        let keys = keyspace.iter().map(|item| item.key().unwrap().to_vec());
        keys.filter(|key| key.iter().any(|octet| *octet != 0xFF))
            .collect()
    }
}
