//! Refusals over HTTP: the status that stands for the code, and the same reason, fields and waiting time as over gRPC, in JSON.

use std::fmt::Write as _;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::service::errors::Refusal;

/// Why a call was refused.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Box<Status>);

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

impl Refused {
    /// What was sent is no request; `field` is empty where it is about all of it.
    pub(super) fn about(field: &str, problem: &str) -> Self {
        Self::from(Status::from(Refusal::invalid_field(field, problem)))
    }

    /// The same, of a line of several.
    pub(super) fn in_line(self, number: usize) -> Self {
        let details = self.0.get_error_details();
        Self::from(Status::with_error_details(self.0.code(), format!("line {number}: {}", self.0.message()), details))
    }
}

impl Refused {
    /// The refusal under another status than the one that stands for its code.
    pub(super) fn under(&self, http: StatusCode) -> Response {
        let mut answer = (http, [(CONTENT_TYPE, "application/json")], text_under(&self.0, http)).into_response();
        let wait = self.0.get_error_details().retry_info().and_then(|retry| retry.retry_delay);
        if let Some(wait) = wait {
            // Whole seconds, and never too few.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.under(http_status(self.0.code()))
    }
}

/// A refusal as JSON.
pub(super) fn text(status: &Status) -> String {
    text_under(status, http_status(status.code()))
}

fn text_under(status: &Status, http: StatusCode) -> String {
    let details = status.get_error_details();
    let mut error = Map::new();
    error.insert("code".to_owned(), json!(http.as_u16()));
    error.insert("status".to_owned(), json!(name_of(status.code())));
    error.insert("message".to_owned(), json!(status.message()));
    if let Some(info) = details.error_info() {
        error.insert("reason".to_owned(), json!(info.reason));
        if !info.metadata.is_empty() {
            let sorted: std::collections::BTreeMap<_, _> = info.metadata.iter().collect();
            error.insert("metadata".to_owned(), json!(sorted));
        }
    }
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    if !violations.is_empty() {
        let one =
            |violation: &tonic_types::FieldViolation| json!({ "field": violation.field, "description": violation.description });
        error.insert("fieldViolations".to_owned(), Value::Array(violations.iter().map(one).collect()));
    }
    if let Some(wait) = details.retry_info().and_then(|retry| retry.retry_delay) {
        error.insert("retryDelay".to_owned(), json!(format!("{}s", wait.as_secs_f64())));
    }
    json!({ "error": error }).to_string()
}

/// The name of a code as the contract writes it, like `NOT_FOUND`.
fn name_of(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        let _ = write!(name, "{}", letter.to_ascii_uppercase());
    }
    name
}

/// The status that stands for a code, as in Google's mapping.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_refusal_says_the_same_as_over_grpc() {
        let mut details = ErrorDetails::with_bad_request_violation("conversion.value", "must be above zero");
        details.set_error_info("INVALID_FIELDS", "selfsame", std::collections::HashMap::from([("a".to_owned(), "b".to_owned())]));
        details.set_retry_info(Some(std::time::Duration::from_millis(1_500)));
        let status = Status::with_error_details(Code::FailedPrecondition, "no", details);
        let said: Value = serde_json::from_str(&text(&status)).unwrap();
        let expected = json!({ "error": {
            "code": 400, "status": "FAILED_PRECONDITION", "message": "no", "reason": "INVALID_FIELDS", "metadata": { "a": "b" },
            "fieldViolations": [{ "field": "conversion.value", "description": "must be above zero" }], "retryDelay": "1.5s",
        }});
        assert_eq!(said, expected);
        let answer = Refused::from(status).into_response();
        assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (400, &HeaderValue::from(2)));
    }
}
