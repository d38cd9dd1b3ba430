//! `[history]`: the life of messages in SQL.
//!
//! Must not know the schema of the database.
//! Invariant: nothing is kept longer than it is said to be, and no text is stored that nobody asked to store.

use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use crate::section::between;
use crate::types::{ByteSize, ClientId, Secret};

const SECOND: Duration = Duration::from_secs(1);

words! {
    /// Which database.
    HistoryKind {
        /// Files in a directory, one a day.
        Sqlite = "sqlite",
        /// A PostgreSQL server.
        Postgres = "postgres",
        /// None: searches are answered `501 history_required`.
        Off = "off",
    }
}

section! {
    /// `[history]`: the life of messages in SQL, for searches and traces.
    HistorySection {
        /// `sqlite`: files in a directory, one a day; `postgres`: a server; `off`: none, and what happens meanwhile is in none
        /// later. Since 0.1.
        kind: HistoryKind = HistoryKind::Sqlite, Restart;
        /// Directory of SQLite's files, created when absent; a relative path counts from the configuration file; absent: `history`
        /// in `data_dir`. Since 0.1.
        dir: Option<PathBuf> = None, Restart;
        /// Where PostgreSQL is: `postgresql://user:password@host/database?sslmode=require`. With `sslmode=require` its certificate
        /// and name are verified. Or `url_file`. Since 0.1.
        url: Option<Secret> = None, Restart;
        /// File with the URL (its first line); a relative path counts from the file. Since 0.1.
        url_file: Option<PathBuf> = None, Restart;
        /// Certificates of authorities (PEM) that PostgreSQL's may be from; absent: those of the system. Since 0.1.
        ca_file: Option<PathBuf> = None, Restart;
        /// Days after which the messages of a day are deleted. Since 0.1.
        keep_days: u32 = 30, Restart where between(1, 3_650);
        /// Size of all days together from which on the oldest go before their time, looked at every ten minutes; 0: any. Since 0.1.
        max_size: ByteSize = ByteSize::gib(16), Restart;
        /// Whether texts of messages may be stored and searched; a client may have its own. Since 0.1.
        store_text: bool = false, Live;
        /// Digits at the end of each phone number that are not stored; who searches a number finds all that differ in these only.
        /// Since 0.1.
        mask_numbers: u8 = 0, Restart where between(0, 20);
        /// Longest search; above it `503 overloaded`. Since 0.1.
        query_timeout: Duration = 5 * SECOND, Restart where between(Duration::from_millis(100), 60 * SECOND);
    }
}

impl Config {
    /// Whether the texts of a client's messages may be stored.
    pub fn stores_text(&self, client: &ClientId) -> bool {
        let own = self.client.get(client).and_then(|client| client.store_text);
        own.unwrap_or(self.history.store_text)
    }
}
