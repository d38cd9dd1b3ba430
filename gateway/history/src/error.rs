//! Why history could not be written or read.

use std::io;
use thiserror::Error;

/// What was tried, and what came in the way.
#[derive(Debug, Error)]
#[error("failed to {what}")]
pub struct HistoryError {
    /// What was tried.
    pub what: &'static str,
    /// What came in the way.
    #[source]
    pub kind: HistoryErrorKind,
}

/// What came in the way.
#[derive(Debug, Error)]
pub enum HistoryErrorKind {
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL said no, or is not there.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// The disk said no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS is asked for and cannot be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// Too many queries run at once.
    #[error("too many queries run")]
    Busy,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Late(std::time::Duration),
    /// The schema is newer than this program.
    #[error("the schema has version {0}, this program knows {1}")]
    Newer(i32, i32),
    /// The thread that asked SQLite ended.
    #[error("the query ended unexpectedly")]
    Ended,
}

impl HistoryError {
    pub(crate) fn new(what: &'static str, kind: impl Into<HistoryErrorKind>) -> Self {
        let kind = kind.into();
        Self { what, kind }
    }

    /// The words of the error and of all that stands behind it.
    pub fn words(&self) -> String {
        let mut words = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            words = format!("{words}: {error}");
            source = error.source();
        }
        words
    }

    /// The database is there and will not take these rows, however often it is asked.
    pub fn is_about_rows(&self) -> bool {
        match &self.kind {
            HistoryErrorKind::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    rusqlite::ErrorCode::ConstraintViolation
                        | rusqlite::ErrorCode::TooBig
                        | rusqlite::ErrorCode::TypeMismatch
                )
            ),
            // Class 22 is "data exception", 23 "integrity constraint violation" (SQL standard, part 2, section 24).
            HistoryErrorKind::Postgres(error) => error
                .code()
                .is_some_and(|state| ["22", "23"].iter().any(|class| state.code().starts_with(class))),
            HistoryErrorKind::Io(_)
            | HistoryErrorKind::Tls(_)
            | HistoryErrorKind::Busy
            | HistoryErrorKind::Late(_)
            | HistoryErrorKind::Newer(..)
            | HistoryErrorKind::Ended => false,
        }
    }

    /// The file is no database any more.
    pub(crate) fn is_damage(&self) -> bool {
        match &self.kind {
            HistoryErrorKind::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            ),
            HistoryErrorKind::Postgres(_)
            | HistoryErrorKind::Io(_)
            | HistoryErrorKind::Tls(_)
            | HistoryErrorKind::Busy
            | HistoryErrorKind::Late(_)
            | HistoryErrorKind::Newer(..)
            | HistoryErrorKind::Ended => false,
        }
    }
}
