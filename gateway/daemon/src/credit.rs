//! `/credit` of the administrator's listener: balances of prepaid accounts, their ledgers, and orders that move money.
//!
//! ```text
//! GET  /credit                                                        every account that is prepaid or ever had credit
//! GET  /credit/<client>/ledger?[from=<position>][&limit=<entries>]    without `from`: the last ones
//! POST /credit/<client>/<top-up|correct>?amount=25.50[&currency=EUR][&reference=…][&key=…]
//! ```
//! An order goes through the `instructions` queue like any other and is done by the counter node. Only for this machine, and
//! only with the header `x-smsgw-order`. Changes nothing itself.

use crate::operators::{ORDER_HEADER, Operators, json, said};
use crate::trace::query;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use smsgw_config::CreditKind;
use smsgw_message::{ClientId, CreditAccounts, LedgerPage, Record, names};
use smsgw_node_config::{CORRECT, Forwarded, TOP_UP, Verb, Wanted, give};
use smsgw_queue::{EngineError, LogName, Position, StateKey};
use smsgw_routing::{Currency, MicroUnits};
use smsgw_runtime::SystemClock;
use std::collections::BTreeSet;
use std::time::Duration;

/// Entries of a ledger in one answer, unless asked otherwise; an entry has up to 256 lines.
const ENTRIES: usize = 20;
/// Most of them.
const MOST_ENTRIES: usize = 200;
/// Longest reference, in characters.
const MAX_REFERENCE: usize = 200;
/// Longest key of an order.
const MAX_KEY: usize = 64;

/// An account in one currency. Amounts are decimal numbers as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CreditRow {
    pub(crate) client: String,
    pub(crate) currency: String,
    /// What can be spent.
    pub(crate) balance: String,
    /// Put aside for messages under way.
    pub(crate) reserved: String,
    /// Taken for good.
    pub(crate) charged: String,
    /// Paid in by administrators, less what they took out.
    pub(crate) paid: String,
    /// Whether messages of the client are paid from it now.
    pub(crate) prepaid: bool,
}

/// A part of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerRows {
    pub(crate) lines: Vec<LedgerRow>,
    /// Where to go on; there may be nothing yet.
    pub(crate) next: u64,
}

/// A movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerRow {
    pub(crate) number: u64,
    pub(crate) at: String,
    pub(crate) movement: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
    /// After this line.
    pub(crate) balance: String,
    /// The message, or the instruction.
    pub(crate) id: String,
    pub(crate) parts: u16,
    pub(crate) reference: Option<String>,
}

/// Answers a request below `/credit`.
pub(crate) async fn answer<B>(desk: &Operators<'_>, request: &Request<B>) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_start_matches("/credit");
    let query = request.uri().query().unwrap_or_default();
    let mut words = path.trim_start_matches('/').split('/');
    let words = (
        words.next().unwrap_or_default(),
        words.next(),
        words.next(),
        request.method(),
    );
    match words {
        ("", None, None, &Method::GET) => read(rows(desk).await),
        (client, Some("ledger"), None, &Method::GET) => match ClientId::try_new(client) {
            Ok(client) => match asked_for(query) {
                Some((from, limit)) => read(ledger(desk, &client, from, limit).await),
                None => said(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "from is a position, limit 1 to 200",
                ),
            },
            Err(_) => said(StatusCode::NOT_FOUND, "there is no such client"),
        },
        (client, Some(act), None, &Method::POST) => {
            let verb = match act {
                names::TOP_UP => TOP_UP,
                names::CORRECT => CORRECT,
                _ => return said(StatusCode::NOT_FOUND, "an account can be told top-up or correct"),
            };
            if !request.headers().contains_key(ORDER_HEADER) {
                return said(StatusCode::FORBIDDEN, "an order carries the header x-smsgw-order");
            }
            order(desk, verb, client, query).await
        }
        _ => said(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /credit, GET /credit/<client>/ledger, POST /credit/<client>/<top-up|correct>",
        ),
    }
}

fn read(found: Result<impl Serialize, EngineError>) -> Response<Full<Bytes>> {
    match found {
        Ok(found) => json(StatusCode::OK, &found),
        Err(error) => {
            let text = format!("the accounts could not be read: {error}");
            said(StatusCode::SERVICE_UNAVAILABLE, &text)
        }
    }
}

async fn rows(desk: &Operators<'_>) -> Result<Vec<CreditRow>, EngineError> {
    let config = desk.config.config();
    let prepaid: BTreeSet<(ClientId, String)> = config
        .client
        .iter()
        .filter(|(_, client)| client.credit.kind == CreditKind::Prepaid)
        .map(|(id, client)| (id.clone(), client.credit.currency.to_string()))
        .collect();
    let known = desk.engine.get(vec![StateKey::from(names::CREDIT)]).await?;
    let mut purses = prepaid.clone();
    if let Some(known) = known.into_iter().flatten().next() {
        let known = CreditAccounts::from_record(&known.value)
            .map_err(|error| EngineError::Read(format!("the list of accounts: {error}")))?;
        purses.extend(known.accounts);
    }
    let counters = [
        names::CREDIT_BALANCE,
        names::CREDIT_RESERVED,
        names::CREDIT_CHARGED,
        names::CREDIT_PAID,
    ];
    let mut rows = Vec::with_capacity(purses.len());
    for purse in purses {
        let (client, currency) = &purse;
        let keys = counters.map(|what| StateKey::from(names::credit(client, currency, what)));
        let found = desk.engine.get(keys.into()).await?;
        let mut amounts = found.into_iter().map(|there| match there {
            None => Ok(0),
            Some(there) => there
                .as_counter()
                .ok_or_else(|| EngineError::Read("a balance is no number".to_owned())),
        });
        let mut amount = || {
            let amount = amounts.next().unwrap_or(Ok(0))?;
            Ok::<_, EngineError>(MicroUnits::new(amount).to_string())
        };
        rows.push(CreditRow {
            client: client.to_string(),
            currency: currency.clone(),
            balance: amount()?,
            reserved: amount()?,
            charged: amount()?,
            paid: amount()?,
            prepaid: prepaid.contains(&purse),
        });
    }
    Ok(rows)
}

/// Position and number of entries; `None` when the query is wrong.
fn asked_for(query: &str) -> Option<(Option<u64>, usize)> {
    let from = match query::value(query, "from") {
        None => None,
        Some(from) => Some(from.parse().ok()?),
    };
    let limit = match query::value(query, "limit") {
        None => ENTRIES,
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=MOST_ENTRIES).contains(limit))?,
    };
    Some((from, limit))
}

async fn ledger(
    desk: &Operators<'_>,
    client: &ClientId,
    from: Option<u64>,
    limit: usize,
) -> Result<LedgerRows, EngineError> {
    let log = LogName::from(names::ledger(client));
    let end = desk.engine.log_end(&log).0;
    let last = end.saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX));
    let from = Position(from.unwrap_or(last));
    let entries = desk.engine.read(&log, from, limit, Duration::ZERO).await?;
    let next = entries.last().map_or(from, |entry| entry.position.next());
    let mut lines = Vec::new();
    for entry in entries {
        let page = LedgerPage::from_record(&entry.record).map_err(|error| {
            EngineError::Read(format!("entry {} of the ledger: {error}", entry.position.0))
        })?;
        let currency = page.currency;
        lines.extend(page.lines.into_iter().map(|line| LedgerRow {
            number: line.number,
            at: line.at.to_string(),
            movement: line.movement.as_str().to_owned(),
            amount: MicroUnits::new(line.amount).to_string(),
            currency: currency.clone(),
            balance: MicroUnits::new(line.balance).to_string(),
            id: line.id.to_string(),
            parts: line.parts,
            reference: line.reference,
        }));
    }
    Ok(LedgerRows { lines, next: next.0 })
}

async fn order(desk: &Operators<'_>, verb: Forwarded, client: &str, query: &str) -> Response<Full<Bytes>> {
    let config = desk.config.config();
    let known = ClientId::try_new(client)
        .ok()
        .and_then(|id| config.client.get(&id))
        .filter(|client| client.credit.kind == CreditKind::Prepaid);
    let Some(account) = known else {
        return said(StatusCode::NOT_FOUND, "there is no such prepaid client");
    };
    let wrong = |text: &str| said(StatusCode::UNPROCESSABLE_ENTITY, text);
    let amount = query::value(query, "amount");
    let Some(amount) = amount.as_deref().and_then(MicroUnits::from_amount) else {
        return wrong("amount is a decimal number with at most six digits behind the point");
    };
    let currency = match query::value(query, "currency") {
        None => account.credit.currency,
        Some(currency) => match Currency::from_text(&currency) {
            Some(currency) => currency,
            None => return wrong("currency is three capital letters"),
        },
    };
    let reference = query::value(query, "reference").filter(|reference| !reference.is_empty());
    if reference
        .as_ref()
        .is_some_and(|text| text.chars().count() > MAX_REFERENCE)
    {
        return wrong("reference has at most 200 characters");
    }
    let mut argument = format!("{amount} {currency}");
    if let Some(key) = query::value(query, "key") {
        let right = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
        if !(1..=MAX_KEY).contains(&key.len()) || !key.bytes().all(right) {
            return wrong("key is 1 to 64 letters, digits, '.', '_' or '-'");
        }
        argument = format!("{argument} {key}");
    }
    let wanted = Wanted {
        target: Some(client.to_owned()),
        reason: reference,
        argument: Some(argument),
        ..Wanted::default()
    };
    let given = give(
        desk.engine,
        &SystemClock,
        Verb::Forwarded(verb),
        wanted,
        &desk.caller.by(),
    )
    .await;
    desk.told(given).await
}
