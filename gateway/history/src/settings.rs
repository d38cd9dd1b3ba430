//! Where history is, and what of it may be stored.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Files in a directory, one a day.
    Sqlite(PathBuf),
    /// A PostgreSQL server, 13 or newer.
    Postgres(PostgresPlace),
}

/// How a PostgreSQL server is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresPlace {
    /// `postgresql://user:password@host/database?sslmode=require` or `host=… user=…`. Never shown.
    pub url: String,
    /// Certificates of authorities that the server's may be from; absent: those of the system.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresPlace")
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// What writer and readers must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which database.
    pub place: Place,
    /// Days kept, today not counted.
    pub days: u16,
    /// Octets at most, from which on the oldest days go before their time; `None`: any.
    pub max_octets: Option<u64>,
    /// How many digits at the end of a phone number are not stored.
    pub mask: u8,
    /// Longest query.
    pub query_timeout: Duration,
}

impl Settings {
    /// SQLite in a directory, 30 days, nothing masked.
    pub fn sqlite(directory: impl Into<PathBuf>) -> Self {
        Self::at(Place::Sqlite(directory.into()))
    }

    /// A PostgreSQL server, 30 days, nothing masked.
    pub fn postgres(url: impl Into<String>) -> Self {
        let url = url.into();
        Self::at(Place::Postgres(PostgresPlace { url, ca_file: None }))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            days: 30,
            max_octets: None,
            mask: 0,
            query_timeout: Duration::from_secs(5),
        }
    }
}
