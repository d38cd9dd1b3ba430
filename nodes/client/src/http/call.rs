//! One request on its way to its handler: who asks, by which tables, until when.
//!
//! A [`Call`] holds everything a handler may use, so that it can outlive the connection's task and be tested without one.
//! Invariant: a call exists only for a caller who was authenticated and has the scope that its route asks for.

use crate::http::problem::Problem;
use crate::http::receive;
use crate::{shared::Shared, tables::Tables};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use smsgw_config::Scope;
use smsgw_message::ClientId;
use std::sync::Arc;
use tokio::time::Instant;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) client: ClientId,
    /// What the key may be used for.
    pub(crate) scopes: Scopes,
    /// Until when there must be an answer (`http.request_timeout`). A stream of events or results has its own bounds.
    pub(crate) deadline: Instant,
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    /// Every scope there is.
    pub(crate) const ALL: Self = Self(u8::MAX);

    pub(crate) fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |set, scope| set | Self::bit(*scope)))
    }

    pub(crate) fn has(self, scope: Scope) -> bool {
        self.0 & Self::bit(scope) != 0
    }

    fn bit(scope: Scope) -> u8 {
        match scope {
            Scope::Send => 1,
            Scope::Read => 2,
            Scope::Inbox => 4,
        }
    }
}

/// A request whose caller is known.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    /// The epoch in force when the request came: the same from its first check to its answer.
    pub(crate) tables: Arc<Tables>,
    pub(crate) caller: Caller,
    pub(crate) head: Parts,
    /// What the placeholders of the route's path stand for, in order.
    pub(crate) params: Vec<String>,
    /// The body, until a handler takes it. Already thrown away for methods that have none.
    pub(crate) body: Option<Incoming>,
}

impl Call {
    /// The first placeholder of the path.
    pub(crate) fn param(&self) -> &str {
        self.params.first().map_or("", String::as_str)
    }

    /// The query as it was sent, without the question mark; empty when there is none.
    pub(crate) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or("")
    }

    /// The whole body, within `http.body_limit`.
    pub(crate) async fn read(&mut self) -> Result<Vec<u8>, Problem> {
        let http = &self.tables.snapshot.config.http;
        match self.body.take() {
            None => Ok(Vec::new()),
            Some(body) => receive::read(&self.head.headers, body, http, self.caller.deadline).await,
        }
    }

    /// Throws the body away, so that the refusal can be read. For a handler that refuses before it has read.
    pub(crate) async fn discard(&mut self) {
        if let Some(body) = self.body.take() {
            let http = &self.tables.snapshot.config.http;
            receive::discard(&self.head.headers, body, http).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        for one in Scope::ALL {
            let set = Scopes::of(&[*one]);
            for other in Scope::ALL {
                assert_eq!(set.has(*other), one == other);
            }
            assert!(Scopes::ALL.has(*one));
        }
        assert!(!Scopes::of(&[]).has(Scope::Send));
    }
}
