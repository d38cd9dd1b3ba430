//! `GET /v1/limits` and `GET /v1/balance`: what the account may do, and what is left of it.
//!
//! # Limits
//! There are no prepaid accounts in this version: every account's balance is `not_prepaid`.

use crate::admission::limits;
use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use hyper::{Method, StatusCode};
use serde::Serialize;
use smsgw_telemetry::ApiCode;
use tokio::time::timeout_at;

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

async fn show_balance(_call: Call) -> Result<Answer, Problem> {
    Err(Problem::new(
        ApiCode::NotPrepaid,
        "the account is not prepaid: it has no balance",
    ))
}
