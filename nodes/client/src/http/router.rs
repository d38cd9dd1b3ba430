//! Which handler answers which path and method.
//!
//! Each resource has a module with a `ROUTES` table; [`TABLES`] lists them. A path is compared segment by segment as it
//! was sent: nothing is decoded, no slash is merged or forgiven, so there is one way to write each path. Knows no resource.
//! Invariant: a path and method lead to one entry (proved by a test over all tables).

use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::{account, messages, preview, search};
use crate::http::{batch, inbox, openapi, optouts};
use crate::shared::Shared;
use hyper::Method;
use smsgw_config::Scope;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

/// What a handler gives back; boxed, since handlers stand in tables.
pub(crate) type Handled = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

/// A path, a method, and who answers.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// As in the documentation: `/v1/messages/{id}`; a segment in braces stands for any one that is not empty.
    pub(crate) path: &'static str,
    /// The word in metrics.
    pub(crate) label: &'static str,
    pub(crate) handler: Handler,
}

/// Who answers, and to whom.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// To everybody, without a key.
    Open(fn(Arc<Shared>) -> Handled),
    /// To every account's key, whatever its scopes.
    Known(fn(Call) -> Handled),
    /// To keys with this scope.
    Scoped(Scope, fn(Call) -> Handled),
}

/// The tables of all resources.
pub(crate) const TABLES: &[&[Route]] = &[
    messages::ROUTES,
    search::ROUTES,
    preview::ROUTES,
    account::ROUTES,
    batch::ROUTES,
    inbox::ROUTES,
    optouts::ROUTES,
    openapi::ROUTES,
];

/// Where a path and method lead.
pub(crate) enum Found {
    /// To this entry, with what the placeholders stand for.
    Route(&'static Route, Vec<String>),
    /// The path is known and has these methods.
    WrongMethod(String),
    /// There is no such path.
    Unknown,
}

/// A path of the tables, with all who answer it.
struct Known {
    path: &'static str,
    /// The path as far as its first placeholder, if it has one: what a request must begin with to be compared further.
    before: Option<&'static str>,
    routes: Vec<&'static Route>,
}

/// Every path once. A path of its own goes before one with a placeholder: /v1/messages/preview is no message, whatever is
/// asked of it.
static PATHS: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let mut paths: Vec<Known> = Vec::new();
    for route in TABLES.iter().copied().flatten() {
        match paths.iter_mut().find(|known| known.path == route.path) {
            Some(known) => known.routes.push(route),
            None => paths.push(Known {
                path: route.path,
                before: route.path.split_once('{').map(|(before, _)| before),
                routes: vec![route],
            }),
        }
    }
    paths.sort_by_key(|known| known.path.matches('{').count());
    paths
});

/// Looks a request up. `HEAD` goes where `GET` goes: hyper leaves the body out of its answer.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let known = PATHS.iter().find_map(|known| {
        let params = match known.before {
            None => (known.path == path).then(Vec::new),
            Some(before) if path.starts_with(before) => matches(known.path, path),
            Some(_) => None,
        };
        params.map(|params| (known, params))
    });
    let Some((Known { routes, .. }, params)) = known else {
        return Found::Unknown;
    };
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    if let Some(route) = routes.iter().find(|route| route.method == *method) {
        return Found::Route(route, params);
    }
    let mut allow: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.sort_unstable();
    Found::WrongMethod(allow.join(", "))
}

fn matches(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut params = Vec::new();
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(wanted), Some(given)) if wanted.starts_with('{') => {
                if given.is_empty() {
                    return None;
                }
                params.push(given.to_owned());
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(_) | None, _) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_path_and_no_two_are_the_same() {
        let all: Vec<&Route> = TABLES.iter().copied().flatten().collect();
        for (index, route) in all.iter().enumerate() {
            let path = route.path.replace("{id}", "x");
            let Found::Route(found, _) = find(&route.method, &path) else {
                panic!("{} {}", route.method, route.path)
            };
            assert_eq!((found.path, &found.method), (route.path, &route.method));
            let twins = all
                .iter()
                .filter(|other| other.path == route.path && other.method == route.method);
            assert_eq!(twins.count(), 1, "{index}: {} {}", route.method, route.path);
        }
    }

    #[test]
    fn a_segment_stands_for_one_segment_and_nothing_is_forgiven() {
        assert_eq!(
            matches("/v1/messages/{id}", "/v1/messages/a"),
            Some(vec!["a".to_owned()])
        );
        for wrong in [
            "/v1/messages/",
            "/v1/messages",
            "/v1/messages/a/",
            "/v1//messages/a",
            "v1/messages/a",
            "/v1/messages/a/b",
        ] {
            assert_eq!(matches("/v1/messages/{id}", wrong), None, "{wrong}");
        }
        assert!(matches!(
            find(&Method::GET, "/v1/messages/%2e%2e/x"),
            Found::Unknown
        ));
        let Found::WrongMethod(allow) = find(&Method::PUT, "/v1/messages/x") else {
            panic!()
        };
        assert_eq!(allow, "DELETE, GET, HEAD");
    }

    #[test]
    fn a_path_of_its_own_goes_before_a_placeholder_and_braces_in_a_request_are_a_name() {
        let Found::WrongMethod(allow) = find(&Method::GET, "/v1/messages/preview") else {
            panic!("a message named preview was found")
        };
        assert_eq!(allow, "POST");
        let Found::Route(route, params) = find(&Method::HEAD, "/v1/messages/{id}") else {
            panic!()
        };
        assert_eq!((route.label, params), ("view", vec!["{id}".to_owned()]));
    }
}
