//! The port on which the API is spoken as JSON. It must never read more than a request may be, nor answer browsers of other sites.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::calls::Sent;
use super::openapi;
use super::refusals::Refused;
use super::routes::{self, ROUTES, Route, Verb};
use crate::service::server::InProcess;
use crate::wire::credentials::{ACTOR, AUTHORIZATION};
use crate::wire::json::{self, NotThisMessage};

/// The headers of a call that go along: who calls, and in which trace.
const FORWARDED: [&str; 4] = [AUTHORIZATION, ACTOR, "traceparent", "tracestate"];

/// What the port is made of.
#[derive(Clone)]
pub struct RestParts {
    /// The API, behind its door.
    pub api: InProcess,
    /// The largest request. Unit: bytes.
    pub message_bytes_max: usize,
}

/// Serves on a listener until it is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, parts: RestParts) -> std::io::Result<()> {
    axum::serve(listener, router(parts)).await
}

fn router(parts: RestParts) -> Router {
    let mut by_path: BTreeMap<String, MethodRouter> = BTreeMap::new();
    for route in &ROUTES {
        let parts = parts.clone();
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Put => MethodFilter::PUT,
            Verb::Delete => MethodFilter::DELETE,
        };
        let handler = move |named: RawPathParams, request: Request| {
            let parts = parts.clone();
            async move { answered(route, &parts, &named, request).await.unwrap_or_else(Refused::into_response) }
        };
        let methods = by_path.remove(&positions(route)).unwrap_or_default();
        by_path.insert(positions(route), methods.on(filter, handler));
    }
    let document: Arc<str> = openapi::document().into();
    let described = move || async move { ([(CONTENT_TYPE, "application/json")], document.to_string()) };
    by_path
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(&path, methods))
        .route("/openapi.json", axum::routing::get(described))
        .fallback(async || {
            Refused::from(Status::not_found("there is nothing under this path; /openapi.json lists all there are"))
                .into_response()
        })
        .method_not_allowed_fallback(async || {
            let other = Status::unimplemented("the path is known, and takes other verbs: see /openapi.json");
            Refused::from(other).under(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(axum::middleware::map_response(with_fixed_headers))
}

/// Answers are for the one who asked: nobody keeps them, and no page of a browser takes them for anything else.
async fn with_fixed_headers(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A route's path with its fields by their places: two routes may name what stands in one place differently.
fn positions(route: &Route) -> String {
    let mut path = String::new();
    for (number, part) in route.path.split(['{', '}']).enumerate() {
        match number % 2 {
            0 => path.push_str(part),
            _ => path.push_str(&format!("{{field{number}}}")),
        }
    }
    path
}

async fn answered(
    route: &'static Route,
    parts: &RestParts,
    named: &RawPathParams,
    request: Request,
) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let method = format!("/selfsame.v1.{}/{}", route.service, route.method);
    let path = PathAndQuery::try_from(method).map_err(|error| Status::internal(error.to_string()))?;
    let sent = match route.body {
        routes::Body::Lines => Sent::Lines(body),
        routes::Body::None | routes::Body::Whole | routes::Body::Field(_) => {
            Sent::One(request_of(route, parts, named, &head, body).await?)
        }
    };
    (route.call)(parts.api.clone(), path, metadata(&head.headers), sent).await
}

/// The headers that go along.
fn metadata(headers: &HeaderMap) -> MetadataMap {
    let named = FORWARDED.iter().filter_map(|name| Some(((*name).parse().ok()?, headers.get(*name)?.clone())));
    MetadataMap::from_headers(named.collect())
}

/// The request: what the body holds, what the query says, and what the path names.
async fn request_of(route: &Route, parts: &RestParts, named: &RawPathParams, head: &Parts, body: Body) -> Result<Value, Refused> {
    let message = format!("{}Request", route.method);
    let mut request = match route.body {
        routes::Body::None | routes::Body::Lines => Map::new(),
        routes::Body::Whole => object(body, parts.message_bytes_max).await?,
        routes::Body::Field(field) => {
            Map::from_iter([(field.to_owned(), Value::Object(object(body, parts.message_bytes_max).await?))])
        }
    };
    let query = head.uri.query().unwrap_or_default();
    let mut asked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(query).map_err(|_| Refused::about("", "has a query that cannot be read"))?;
    for (name, text) in pairs {
        asked.entry(name).or_default().push(text);
    }
    for (name, texts) in asked {
        let wrong = |NotThisMessage { field, problem }| Refused::about(&field, &problem);
        let (field, value) = json::from_texts(&message, &name, texts).map_err(wrong)?;
        request.insert(field, value);
    }
    for (field, (_, text)) in route.fields().zip(named) {
        put(&mut request, field, text)?;
    }
    Ok(Value::Object(request))
}

/// The object that a body is. An empty body is an empty one.
async fn object(body: Body, bytes_max: usize) -> Result<Map<String, Value>, Refused> {
    let too_large = || Status::new(Code::OutOfRange, format!("the request cannot be read, or is larger than {bytes_max} bytes"));
    let bytes = to_bytes(body, bytes_max).await.map_err(|_| too_large())?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(Refused::about("", "must be a JSON object")),
    }
}

/// Puts what the path names where it belongs. A body that says something else is refused: nobody knows which is meant.
fn put(request: &mut Map<String, Value>, field: &str, text: &str) -> Result<(), Refused> {
    let (first, rest) = field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
    let spelled = [first.to_owned(), json::json_name(first)];
    if let Some(rest) = rest {
        let key = spelled.iter().find(|key| request.contains_key(*key)).cloned().unwrap_or_else(|| first.to_owned());
        let inner = request.entry(key).or_insert_with(|| Value::Object(Map::new()));
        return match inner {
            Value::Object(inner) => put(inner, rest, text),
            _ => Err(Refused::about(first, "must be an object in braces")),
        };
    }
    for key in spelled {
        if let Some(said) = request.remove(&key)
            && said != Value::String(text.to_owned())
        {
            return Err(Refused::about(field, "is another than the one of the path"));
        }
    }
    request.insert(first.to_owned(), Value::String(text.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_path_names_is_put_where_it_belongs_and_contradicted_by_nobody() {
        let put_in = |body: Value, field: &str| {
            let Value::Object(mut body) = body else { panic!("an object") };
            put(&mut body, field, "shop").map(|()| Value::Object(body))
        };
        assert_eq!(put_in(json!({}), "program_id").unwrap(), json!({ "program_id": "shop" }));
        assert_eq!(put_in(json!({ "programId": "shop" }), "program_id").unwrap(), json!({ "program_id": "shop" }));
        assert!(put_in(json!({ "programId": "other" }), "program_id").is_err());
        let inside = put_in(json!({ "conversion": { "kind": 1 } }), "conversion.program_id").unwrap();
        assert_eq!(inside, json!({ "conversion": { "kind": 1, "program_id": "shop" } }));
        assert!(put_in(json!({ "conversion": 1 }), "conversion.program_id").is_err());
    }

    #[test]
    fn every_path_can_be_told_from_every_other() {
        let mut seen = std::collections::BTreeSet::new();
        for route in &ROUTES {
            assert!(seen.insert((format!("{:?}", route.verb), positions(route))), "{} is there twice", route.path);
        }
    }
}
