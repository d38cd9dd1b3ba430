//! `GET /v1/openapi.json`: the API described in OpenAPI 3.1, made from the route tables and the types of the answers.
//!
//! Public: whoever writes a client needs no key to read it. `operations` says what each route takes and gives, `schemas`
//! what the requests look like; the types of answers describe themselves where they are. Invariant: every route of the
//! tables is described, and nothing else is (a test).

mod operations;
mod schemas;

pub(crate) use schemas::EventDocument;

use crate::http::answer::json;
use crate::http::router::{Handler, Route, TABLES};
use hyper::{Method, StatusCode};
use std::sync::OnceLock;
use utoipa::openapi::path::{HttpMethod, PathItem, PathsBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, License, OpenApi, OpenApiBuilder};

pub(crate) const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/v1/openapi.json",
    label: "openapi",
    handler: Handler::Open(|_| Box::pin(async { Ok(json(StatusCode::OK, text().to_vec())) })),
}];

/// The document as it is served; made once.
fn text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text =
            serde_json::to_vec_pretty(&document()).expect("maps of texts and numbers are valid JSON");
        text.push(b'\n');
        text
    })
}

fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for route in TABLES.iter().copied().flatten() {
        if let (Some(method), Some(operation)) = (method(&route.method), operations::describe(route)) {
            paths = paths.path(route.path, PathItem::new(method, operation));
        }
    }
    let mut components = schemas::components(Components::new());
    for (name, scheme) in [
        (operations::BEARER, HttpAuthScheme::Bearer),
        (operations::BASIC, HttpAuthScheme::Basic),
    ] {
        components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
    }
    let info = InfoBuilder::new()
        .title("smsgw")
        .version("1")
        .description(Some(
            "Sends SMS, and tells what became of them. The manual is ops/docs/api/http.md.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths.build())
        .components(Some(components))
        .build()
}

fn method(method: &Method) -> Option<HttpMethod> {
    match method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        "DELETE" => Some(HttpMethod::Delete),
        "PUT" => Some(HttpMethod::Put),
        "PATCH" => Some(HttpMethod::Patch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::path::Path;

    fn served() -> Value {
        serde_json::from_slice(text()).unwrap()
    }

    #[test]
    fn every_route_is_described_once_and_nothing_else_is() {
        let served = served();
        assert_eq!(served["openapi"], "3.1.0");
        let paths = served["paths"].as_object().unwrap();
        let mut described: Vec<(String, String)> = Vec::new();
        for (path, item) in paths {
            for method in item.as_object().unwrap().keys() {
                described.push((method.to_uppercase(), path.clone()));
            }
        }
        let mut routes: Vec<(String, String)> = TABLES
            .iter()
            .copied()
            .flatten()
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        described.sort();
        routes.sort();
        assert_eq!(described, routes, "add the route to `operations::describe`");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
                    Value::String(target) if name == "$ref" => found.push(target.clone()),
                    other => references(other, found),
                }),
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let served = served();
        let mut found = Vec::new();
        references(&served, &mut found);
        for target in &found {
            let at = target.strip_prefix('#').unwrap();
            assert!(served.pointer(at).is_some(), "{target} leads nowhere");
        }
        for name in served["components"]["schemas"].as_object().unwrap().keys() {
            let target = format!("#/components/schemas/{name}");
            assert!(found.contains(&target), "{name} is referred to by nothing");
        }
    }

    /// What is served is what is published: `SMSGW_BLESS=1` writes the file.
    #[test]
    fn the_published_document_is_the_one_that_is_served() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/docs/api/openapi.json");
        if std::env::var_os("SMSGW_BLESS").is_some() {
            std::fs::write(&file, text()).unwrap();
        }
        let published = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            published.as_bytes() == text(),
            "{} is not what is served: run with SMSGW_BLESS=1 and look at the difference",
            file.display()
        );
    }
}
