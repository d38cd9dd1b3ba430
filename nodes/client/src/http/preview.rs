//! `POST /v1/messages/preview`: what a message would be, without sending it.
//!
//! Takes the body of `POST /v1/messages` and goes the same way up to the accept, so a preview and its message never
//! differ by anything but what changes in between. Invariant: nothing is written and nothing is used up.

use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use crate::http::submit;
use crate::http::view::{PriceView, SmartView};
use hyper::{Method, StatusCode};
use serde::Serialize;
use smsgw_config::Scope;
use smsgw_message::{Address, MessageId};

pub(crate) const ROUTES: &[Route] = &[Route {
    method: Method::POST,
    path: "/v1/messages/preview",
    label: "preview",
    handler: Handler::Scoped(Scope::Send, |call| Box::pin(preview(call))),
}];

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Preview)]
pub(crate) struct Preview<'a> {
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    encoding: &'static str,
    parts: u16,
    /// Units of the encoding in all parts: septets, octets or UTF-16 units.
    units: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    smart: Option<SmartView<'a>>,
    route: RouteView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceView>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = PreviewRoute)]
pub(crate) struct RouteView<'a> {
    /// The route that is taken, counted from 1 as in the file.
    number: usize,
    /// By which rule its operators stand in their order: `failover`, `weighted`, `least-cost` or `sticky`.
    strategy: &'static str,
    /// In the order in which they are tried.
    operators: Vec<&'a str>,
}

async fn preview(mut call: Call) -> Result<Answer, Problem> {
    let octets = call.read().await?;
    let Call {
        shared,
        tables,
        caller,
        ..
    } = call;
    let body = submit::parse(&octets)?;
    let now = shared.clock.now();
    let id = MessageId::from_parts(now, [0; 10]);
    let config = &tables.snapshot.config;
    let submit::Built { mut message, smart } = submit::build(&body, &caller.client, config, id, now, 0)?;
    let admitted = tables.judge(&mut message)?;
    let decision = tables.decide(&message)?;
    let octets: usize = message.parts.iter().map(|part| part.data.len()).sum();
    let preview = Preview {
        to: message.to.as_str(),
        from: message.from.as_ref().map(Address::as_str),
        encoding: message.encoding.as_str(),
        parts: message.part_count(),
        units: octets / message.encoding.unit_octets(),
        smart: smart.as_ref().map(SmartView::of),
        route: RouteView {
            number: decision.route,
            strategy: decision.strategy.as_str(),
            operators: decision
                .operators()
                .iter()
                .map(|operator| operator.as_str())
                .collect(),
        },
        price: admitted.charge.as_ref().map(PriceView::of),
    };
    Ok(document(StatusCode::OK, &preview))
}
