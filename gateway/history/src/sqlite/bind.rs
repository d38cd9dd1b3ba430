//! Parameters of a statement, one after the other.
//!
//! What is null is not bound, which is most of a row.

use rusqlite::{Statement, ToSql};
use smsgw_message::Timestamp;

/// Binds the parameters of a statement.
pub(super) struct Bind<'a, 'db> {
    statement: &'a mut Statement<'db>,
    next: usize,
}

impl<'a, 'db> Bind<'a, 'db> {
    /// All are null, and the first one is the next.
    pub(super) fn new(statement: &'a mut Statement<'db>) -> Self {
        statement.clear_bindings();
        Self { statement, next: 1 }
    }

    /// Binds the next one.
    pub(super) fn to(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(())
    }

    /// Binds the next one, or leaves it null.
    pub(super) fn some(&mut self, value: Option<impl ToSql>) -> rusqlite::Result<()> {
        match value {
            Some(value) => self.to(value),
            None => {
                self.next += 1;
                Ok(())
            }
        }
    }
}

/// A time as it is stored.
pub(super) fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}
