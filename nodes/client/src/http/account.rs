//! `GET /v1/limits` and `GET /v1/balance`: what the account may do, and what is left of it.
//!
//! Invariant: a balance is what was durable when it was asked for, and exact. Balance and what is put aside are two counters
//! that change in one step: under traffic they may be read a moment apart.

use crate::admission::limits;
use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use hyper::{Method, StatusCode};
use serde::Serialize;
use smsgw_routing::MicroUnits;
use smsgw_telemetry::ApiCode;
use tokio::time::timeout_at;
use tracing::error;

pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/v1/limits",
        label: "limits",
        handler: Handler::Known(|call| Box::pin(show_limits(call))),
    },
    Route {
        method: Method::GET,
        path: "/v1/balance",
        label: "balance",
        handler: Handler::Known(|call| Box::pin(show_balance(call))),
    },
];

/// Durations in seconds; `null` is no limit.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsView {
    rate: Option<RateView>,
    quotas: Vec<QuotaView>,
    max_parts: u8,
    default_validity: u64,
    max_validity: u64,
    max_schedule: u64,
    body_limit: usize,
    connections: ConnectionsView,
    smpp: Option<SmppView>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RateLeft)]
pub(crate) struct RateView {
    parts_per_second: f64,
    burst: u32,
    left: u32,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = QuotaLeft)]
pub(crate) struct QuotaView {
    period: &'static str,
    limit: u64,
    used: u64,
    left: u64,
    resets_at: String,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Connections)]
pub(crate) struct ConnectionsView {
    limit: Option<u32>,
    open: u32,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SmppLimits)]
pub(crate) struct SmppView {
    max_binds: Option<u32>,
    window: u32,
}

async fn show_limits(call: Call) -> Result<Answer, Problem> {
    let Call {
        shared,
        tables,
        caller,
        ..
    } = call;
    let config = &tables.snapshot.config;
    let account = config
        .client
        .get(&caller.client)
        .ok_or_else(|| Problem::new(ApiCode::Unauthorized, "the account no longer exists"))?;
    let left = timeout_at(caller.deadline, limits::left(&shared, &tables, &caller.client))
        .await
        .map_err(|_| Problem::overloaded("the gateway could not read the account's counters in time"))??;
    let some = |limit: u32| (limit > 0).then_some(limit);
    let view = LimitsView {
        rate: left.rate.map(|rate| RateView {
            parts_per_second: rate.rate,
            burst: rate.burst,
            left: rate.left,
        }),
        quotas: left
            .quotas
            .iter()
            .map(|(period, quota)| QuotaView {
                period: period.as_str(),
                limit: quota.limit,
                used: quota.used,
                left: quota.left(),
                resets_at: quota.resets_at.to_string(),
            })
            .collect(),
        max_parts: account.max_parts.unwrap_or(config.limits.max_parts),
        default_validity: config.limits.validity.as_secs(),
        max_validity: config.limits.max_validity.as_secs(),
        max_schedule: config.limits.max_schedule.as_secs(),
        body_limit: config.http.body_limit.as_usize(),
        connections: ConnectionsView {
            limit: some(account.max_connections),
            open: shared.seats.open(&caller.client),
        },
        smpp: account.system_id.as_ref().map(|_| SmppView {
            max_binds: some(account.max_binds),
            window: account.window.unwrap_or(config.smpp.window),
        }),
    };
    Ok(document(StatusCode::OK, &view))
}

/// Amounts are decimal numbers as text, exact.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Balance)]
pub(crate) struct BalanceView {
    /// What can be spent, without the overdraft; below zero when part of that is used.
    balance: String,
    /// What is put aside for messages that have not come to their end.
    reserved: String,
    /// How far the balance may go below zero.
    overdraft: String,
    currency: String,
}

async fn show_balance(call: Call) -> Result<Answer, Problem> {
    let Call {
        shared,
        tables,
        caller,
        ..
    } = call;
    let account = tables
        .account(&caller.client)
        .ok_or_else(|| Problem::new(ApiCode::Unauthorized, "the account no longer exists"))?;
    let credit = account.credit().ok_or_else(|| {
        Problem::new(
            ApiCode::NotPrepaid,
            "the account is not prepaid: it has no balance",
        )
    })?;
    let unreadable = || Problem::overloaded("the gateway could not read the account's credit");
    let found = timeout_at(caller.deadline, shared.engine.get(credit.counters().into()))
        .await
        .map_err(|_| Problem::overloaded("the gateway could not read the account's credit in time"))?
        .map_err(|error| {
            error!(client = %caller.client, %error, "the credit of an account could not be read");
            unreadable()
        })?;
    let mut amounts = found.into_iter().map(|there| match there {
        None => Some(0),
        Some(there) => there.as_counter(),
    });
    let mut amount = || {
        let amount = amounts.next().flatten().ok_or_else(unreadable)?;
        Ok::<_, Problem>(MicroUnits::new(amount).to_string())
    };
    let view = BalanceView {
        balance: amount()?,
        reserved: amount()?,
        overdraft: credit.overdraft().to_string(),
        currency: credit.currency().to_string(),
    };
    Ok(document(StatusCode::OK, &view))
}
