//! What each route takes and gives, in words and schemas.
//!
//! By the route's label, which is also its `operationId`. Knows no handler. Invariant: a status that a handler can answer
//! stands here; that the real daemon keeps to it is shown by `schemathesis` in the end-to-end tests.

use crate::http::router::{Handler, Route};
use crate::http::search;
use hyper::Method;
use smsgw_message::MessageState;
use std::collections::BTreeMap;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Required, Schema, SchemaFormat,
    Type,
};

/// The security scheme of API keys.
pub(super) const BEARER: &str = "key";
/// The security scheme of name and password.
pub(super) const BASIC: &str = "password";

/// What a route is about.
struct Described {
    tag: &'static str,
    summary: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    /// Status, meaning, media type, name of the schema.
    answers: Vec<(u16, &'static str, &'static str, &'static str)>,
    /// Statuses of problems beside those that every route has.
    problems: &'static [u16],
}

const JSON: &str = "application/json";
/// The schema of an answer that is any object.
const ANY: &str = "";

/// The operation of a route; `None`: nobody has described it yet, which a test refuses.
pub(super) fn describe(route: &Route) -> Option<Operation> {
    let described = of(route.label)?;
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.label))
        .tag(described.tag)
        .summary(Some(described.summary));
    for parameter in path_parameters(route.path)
        .into_iter()
        .chain(described.parameters)
    {
        operation = operation.parameter(parameter);
    }
    operation = operation.request_body(described.body);
    let mut answers: BTreeMap<u16, Response> = BTreeMap::new();
    for (status, meaning, kind, schema) in described.answers {
        let mut answer = answer(status, meaning, kind, schema);
        for next in leads_to(route.label) {
            let link = Link::builder()
                .operation_id(*next)
                .parameter("id", "$response.body#/id");
            answer.links.insert((*next).to_owned(), link.build().into());
        }
        answers.insert(status, answer);
    }
    let is_open = matches!(route.handler, Handler::Open(_));
    let common: &[u16] = if is_open { &[] } else { &[401, 403, 422, 429, 503] };
    let has_body = [Method::POST, Method::PUT].contains(&route.method);
    let by_method: &[u16] = if has_body && !is_open { &[400, 413] } else { &[] };
    for status in common.iter().chain(by_method).chain(described.problems) {
        answers.insert(*status, problem(*status));
    }
    for (status, answer) in answers {
        operation = operation.response(status.to_string(), answer);
    }
    if !is_open {
        for scheme in [BEARER, BASIC] {
            operation = operation.security(SecurityRequirement::new(scheme, Vec::<String>::new()));
        }
    }
    Some(operation.build())
}

/// What can be asked of the thing that an answer names.
fn leads_to(label: &str) -> &'static [&'static str] {
    match label {
        "submit" => &["view", "cancel"],
        "batch" => &[
            "batch_view",
            "batch_results",
            "batch_pause",
            "batch_resume",
            "batch_cancel",
        ],
        _ => &[],
    }
}

fn of(label: &str) -> Option<Described> {
    let plain = |tag, summary, status, meaning, schema| Described {
        tag,
        summary,
        parameters: Vec::new(),
        body: None,
        answers: vec![(status, meaning, JSON, schema)],
        problems: &[],
    };
    Some(match label {
        "submit" => Described {
            parameters: vec![idempotency_key()],
            body: Some(body(&[JSON], "MessageRequest")),
            ..plain(
                "messages",
                "Send a message",
                202,
                "It is durable and will be sent, reported or expire.",
                "Accepted",
            )
        },
        "view" => Described {
            problems: &[404],
            ..plain(
                "messages",
                "The life of a message",
                200,
                "The message.",
                "Message",
            )
        },
        "cancel" => Described {
            problems: &[404, 409],
            ..plain(
                "messages",
                "Cancel what is not sent yet",
                202,
                "It is asked for.",
                "Withdrawn",
            )
        },
        "preview" => Described {
            body: Some(body(&[JSON], "MessageRequest")),
            ..plain(
                "messages",
                "What a message would be",
                200,
                "Parts, encoding, route and price.",
                "Preview",
            )
        },
        "search" => Described {
            parameters: search(),
            problems: &[501],
            ..plain(
                "messages",
                "Find messages",
                200,
                "A page of them, newest first.",
                "Messages",
            )
        },
        "limits" => plain(
            "account",
            "What the account may do, and what is left of it",
            200,
            "The limits.",
            "Limits",
        ),
        "balance" => Described {
            problems: &[404],
            ..plain("account", "The account's credit", 200, "The credit.", "Balance")
        },
        "batch" => Described {
            parameters: vec![idempotency_key()],
            body: Some(body(&[JSON, "application/x-ndjson"], "BatchRequest")),
            ..plain(
                "batches",
                "Send one text to many, or many messages",
                202,
                "It is durable and being sent.",
                "Batch",
            )
        },
        "batches" => Described {
            parameters: vec![cursor(UUID), limit(100)],
            ..plain(
                "batches",
                "The account's newest batches",
                200,
                "A page of them.",
                "Batches",
            )
        },
        "batch_view" => Described {
            problems: &[404],
            ..plain("batches", "How far a batch is", 200, "The batch.", "Batch")
        },
        "batch_results" => Described {
            parameters: vec![cursor("^[0-9]{1,9}-[0-9]{1,3}$"), limit(1000)],
            problems: &[404],
            ..plain(
                "batches",
                "What became of each line",
                200,
                "A page of lines.",
                "BatchResults",
            )
        },
        "batch_pause" => order("Pause a batch"),
        "batch_resume" => order("Resume a batch"),
        "batch_cancel" => order("Cancel what is left of a batch"),
        "inbox" => {
            let wait = "How long to wait for the first event: `30s`; cut to `inbox.max_wait`.";
            let last = "With `Accept: text/event-stream`: the id of the last event that was seen.";
            Described {
                parameters: vec![
                    cursor("^[0-9]{1,18}$"),
                    limit(1000),
                    query("wait", wait, pattern("^[0-9]{1,4}(ms|s|m)$")),
                    ParameterBuilder::from(query("Last-Event-ID", last, pattern("^[0-9]{1,18}$")))
                        .parameter_in(ParameterIn::Header)
                        .build(),
                ],
                answers: vec![(200, "A page of events, or a stream of them.", JSON, "Inbox")],
                ..plain("inbox", "Reports and messages from phones", 200, "", ANY)
            }
        }
        "inbox_acknowledge" => {
            let through = "The cursor of the last event that was worked off.";
            let through = ParameterBuilder::from(query("through", through, pattern("^[0-9]{1,18}$")))
                .required(Required::True)
                .build();
            Described {
                parameters: vec![through],
                ..plain(
                    "inbox",
                    "Acknowledge events",
                    200,
                    "They are not given again.",
                    "Acknowledged",
                )
            }
        }
        "opt_out" => Described {
            body: Some(
                RequestBodyBuilder::from(body(&[JSON], "OptOutRequest"))
                    .required(Some(Required::False))
                    .build(),
            ),
            ..opt_out("Let a phone have no more messages", "It is durable.")
        },
        "opt_out_view" => opt_out("Whether a phone wants messages", "How things stand."),
        "opt_out_end" => opt_out("Let a phone have messages again", "It is durable."),
        "openapi" => plain(
            "description",
            "This document",
            200,
            "The API in OpenAPI 3.1.",
            ANY,
        ),
        _ => return None,
    })
}

/// The conditions of a search; all hold together.
fn search() -> Vec<Parameter> {
    let text = || {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(search::LONGEST))
    };
    let word = |words: Vec<&str>| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(words))
    };
    let time = || {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
    };
    let states = MessageState::ALL
        .iter()
        .map(|state| state.as_str())
        .chain(search::MO_STATES);
    vec![
        query("reference", "Your own name for the message.", text().into()),
        query("from_time", "Accepted then or later.", time().into()),
        query("to_time", "Accepted before.", time().into()),
        query("to", "The recipient, with or without `+`.", text().into()),
        query("from", "The sender, with or without `+`.", text().into()),
        query("state", "Its state.", word(states.collect()).into()),
        query("tag", "One of its tags.", text().into()),
        query(
            "text",
            "Words that all stand in its text, where the gateway stores texts.",
            text().into(),
        ),
        query(
            "direction",
            "`mt` to phones (when absent), `mo` from phones.",
            word(vec!["mt", "mo"]).into(),
        ),
        cursor("^[0-9a-f]{32}$"),
        limit(100),
    ]
}

fn opt_out(summary: &'static str, meaning: &'static str) -> Described {
    let from = "The sender that the entry is about; absent: every sender of the account.";
    Described {
        tag: "opt-outs",
        summary,
        parameters: vec![query("from", from, pattern("^[A-Za-z0-9 .-]{1,11}$"))],
        body: None,
        answers: vec![(200, meaning, JSON, "OptOut")],
        problems: &[],
    }
}

fn order(summary: &'static str) -> Described {
    Described {
        tag: "batches",
        summary,
        parameters: Vec::new(),
        body: None,
        answers: vec![(200, "The batch as it is now.", JSON, "Batch")],
        problems: &[404, 409],
    }
}

fn path_parameters(path: &str) -> Vec<Parameter> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(match name {
                    "number" => pattern("^[1-9][0-9]{4,14}$"),
                    _ => ObjectBuilder::new()
                        .schema_type(Type::String)
                        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
                        .into(),
                }))
                .build()
        })
        .collect()
}

fn query(name: &str, what: &str, schema: Schema) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(what))
        .schema(Some(schema))
        .build()
}

fn pattern(pattern: &str) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .into()
}

/// A UUID as this API writes it.
const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

fn cursor(form: &str) -> Parameter {
    query("cursor", "`next` or `cursor` of the page before.", pattern(form))
}

fn limit(most: u32) -> Parameter {
    let number = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(most));
    query("limit", "How many a page has at most.", number.into())
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A request that is repeated with its key gets the first answer again.",
        ))
        .schema(Some(pattern("^[A-Za-z0-9_:-]{1,255}$")))
        .build()
}

fn body(kinds: &[&str], schema: &str) -> RequestBody {
    kinds
        .iter()
        .fold(RequestBodyBuilder::new(), |body, kind| {
            let content = match *kind {
                JSON => ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))),
                _ => ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))),
            };
            body.content(*kind, content.build())
        })
        .required(Some(Required::True))
        .build()
}

fn answer(status: u16, meaning: &str, kind: &str, schema: &str) -> Response {
    let schema: RefOr<Schema> = match schema {
        ANY => RefOr::T(ObjectBuilder::new().schema_type(Type::Object).into()),
        name => RefOr::Ref(Ref::from_schema_name(name)),
    };
    let answer = ResponseBuilder::new()
        .description(meaning)
        .content(kind, ContentBuilder::new().schema(Some(schema)).build());
    match status {
        202 => answer
            .header("Location", text_header("Where it can be looked at."))
            .build(),
        _ => answer.build(),
    }
}

fn text_header(what: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(what))
        .build()
}

fn problem(status: u16) -> Response {
    let meaning = match status {
        400 => "The body is not what it should be.",
        401 => "No valid key.",
        403 => "The key may not do this, or not from here.",
        404 => "There is no such thing of this account.",
        409 => "Its state does not allow this.",
        413 => "The body is too large.",
        422 => "A field cannot be taken; the code says why.",
        501 => "This gateway does not keep what the search needs.",
        429 => "Too much at once; `Retry-After` says when.",
        _ => "The gateway sheds load; `Retry-After` says when.",
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let answer = ResponseBuilder::new()
        .description(meaning)
        .content("application/problem+json", content);
    match status {
        401 => answer
            .header("WWW-Authenticate", text_header("How to authenticate."))
            .build(),
        429 | 503 => answer.header("Retry-After", text_header("Seconds.")).build(),
        _ => answer.build(),
    }
}
