//! What is where: one row for each method of each path, which `openapi.json` is held against.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use voiddht_node::GatewayRequest;

use crate::found::JSON;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::{batch, events, kept, pkarr, signed, values};

/// The document that describes all of this to programs.
const OPENAPI: &str = include_str!("openapi.json");

/// A method of a path, and what answers it.
struct Route {
    path: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the document by its test"))]
    method: MethodFilter,
    handler: MethodRouter<Shared>,
}

impl Route {
    fn new<H, T>(method: MethodFilter, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        Self { path, method, handler: on(method, handler) }
    }
}

/// All that is served.
fn routes() -> Vec<Route> {
    const GET: MethodFilter = MethodFilter::GET;
    const PUT: MethodFilter = MethodFilter::PUT;
    const POST: MethodFilter = MethodFilter::POST;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    vec![
        Route::new(GET, "/v1/values/{key}", values::get),
        Route::new(PUT, "/v1/values/{key}", values::put),
        Route::new(GET, "/v1/values/{key}/events", events::get),
        Route::new(POST, "/v1/values", values::post),
        Route::new(GET, "/v1/text/{words}", values::get_text),
        Route::new(PUT, "/v1/text/{words}", values::put_text),
        Route::new(PUT, "/v1/signed", signed::put),
        Route::new(GET, "/v1/signed/{owner}", signed::get),
        Route::new(GET, "/v1/signed/{owner}/{salt}", signed::get),
        Route::new(GET, "/v1/kept", kept::list),
        Route::new(GET, "/v1/kept/{key}", kept::get),
        Route::new(PUT, "/v1/kept/{key}", kept::put),
        Route::new(DELETE, "/v1/kept/{key}", kept::delete),
        Route::new(POST, "/v1/batch", batch::post),
        Route::new(GET, "/v1/openapi.json", openapi),
        Route::new(GET, "/pkarr/{key}", pkarr::get),
        Route::new(PUT, "/pkarr/{key}", pkarr::put),
    ]
}

/// The routes, with their bounds.
pub(crate) fn router(shared: &Shared) -> Router {
    let mut router = Router::new();
    for Route { path, handler, .. } in routes() {
        router = router.route(path, handler);
    }
    router
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared.clone())
        .layer(from_fn_with_state(shared.clone(), admit))
}

/// What answers where nothing is.
pub(crate) async fn no_such_path() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "Nothing is served at this path.",
        "GET /v1/openapi.json lists what is.",
    )
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        "This path does not take this method.",
        "The field Allow lists those that it takes; GET /v1/openapi.json describes them.",
    )
}

/// Counts a request, and refuses it while too many are in flight.
async fn admit(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    // Lines of a batch are counted one by one.
    if request.uri().path() != "/v1/batch" {
        let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        let kind = if is_read { GatewayRequest::Read } else { GatewayRequest::Write };
        shared.node.gateway_request(kind);
    }
    match shared.bounds.request(&shared.node) {
        Ok(_slot) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, JSON)], OPENAPI)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn name(method: MethodFilter) -> String {
        let known = [
            ("get", MethodFilter::GET),
            ("put", MethodFilter::PUT),
            ("post", MethodFilter::POST),
            ("delete", MethodFilter::DELETE),
        ];
        known.into_iter().find(|(_, it)| *it == method).unwrap().0.to_owned()
    }

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let named = path.matches('{').count();
            let parameters = operations["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(parameters, named, "{path}");
            for (method, operation) in operations.as_object().unwrap() {
                if method == "parameters" {
                    continue;
                }
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(
                    operation["responses"].as_object().unwrap().len() > 1 || path.ends_with("json")
                );
                described.insert((path.clone(), method.clone()));
            }
        }
        let served = routes().into_iter().map(|it| (it.path.to_owned(), name(it.method)));
        assert_eq!(described, served.collect());
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut waiting = vec![&document];
        let mut seen = 0;
        while let Some(value) = waiting.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
                seen += 1;
            }
            match value {
                Value::Array(items) => waiting.extend(items),
                Value::Object(members) => waiting.extend(members.values()),
                _ => {}
            }
        }
        assert!(seen > 10, "{seen}");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
