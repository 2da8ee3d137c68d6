//! The console's own port: which path is which page, who may send what, and what every answer carries. It must never take a form that another site
//! sent, nor answer under a name that is not its own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::Markup;
use tokio::net::TcpListener;
use tonic::Code;

use super::api::Api;
use super::layout::{Frame, notice, page};
use super::pages::{account, case, cluster, health, home, login, queue, together};
use super::session::{Session, Sessions};
use crate::ports::clock::Clock;
use crate::service::server::InProcess;
use crate::vocabulary::time::Timestamp;

/// Where the style stands; the name changes with it, so that browsers keep it.
pub(super) const STYLE_PATH: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), "/console.css");
/// Where the script stands.
pub(super) const SCRIPT_PATH: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), "/console.js");

const STYLE: &str = include_str!("console.css");
const SCRIPT: &str = include_str!("console.js");

/// Nothing from elsewhere, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The largest form that is read. Unit: bytes.
const FORM_BYTES_MAX: usize = 1 << 20;

/// What the console is made of.
#[derive(Clone)]
pub struct ConsoleParts {
    /// The API, behind its door.
    pub api: InProcess,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Whether browsers reach it through TLS: its cookies then go no other way.
    pub https: bool,
}

/// What pages are made with.
#[derive(Clone)]
pub(super) struct Desk {
    parts: ConsoleParts,
    sessions: Sessions,
    /// Whether only this machine reaches it: then it answers under no other name, so that no other site can pretend to be it.
    loopback: bool,
}

/// Serves the console on a listener until it is dropped: a page that is on its way can be asked for again, and a step is a call of the API, which ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, parts: ConsoleParts) -> std::io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    axum::serve(listener, routes(Desk { parts, sessions: Sessions::default(), loopback })).await
}

fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/", get(home::show))
        .route("/login", get(login::show).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/queue", get(queue::show))
        .route("/next", post(case::next))
        .route("/case", get(case::show))
        .route("/step", post(case::step))
        .route("/account", get(account::show))
        .route("/clusters", get(cluster::list))
        .route("/cluster", get(cluster::show))
        .route("/preview", post(together::preview))
        .route("/act", post(together::act))
        .route("/health", get(health::show))
        .route(STYLE_PATH, get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route(SCRIPT_PATH, get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .fallback(|visitor: Visitor| async move { visitor.page("Not found", "", &notice("Not found", "There is no such page.")) })
        .layer(axum::extract::DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let kept = "public, max-age=31536000, immutable";
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, kept)], text).into_response()
}

/// Refuses what is not meant for this console, and gives every answer its headers.
async fn guard(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let mut answer = match desk.refuses(request.method(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    let headers = answer.headers_mut();
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

impl Desk {
    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(super) const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(super) fn api(&self, credentials: crate::wire::credentials::Credentials) -> Api {
        Api::new(self.parts.api.clone(), credentials)
    }

    const fn cookie_name(&self) -> &'static str {
        // A browser takes a cookie of the first name through TLS only, and from this very host.
        if self.parts.https { "__Host-selfsame" } else { "selfsame" }
    }

    /// What stands in the session's cookie of a request.
    pub(super) fn cookie_of(&self, headers: &HeaderMap) -> Option<String> {
        let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.cookie_name()).map(|(_, value)| value.to_owned()).next()
    }

    /// The header that gives a session's cookie, or takes it back.
    pub(super) fn set_cookie(&self, cookie: Option<&str>) -> (HeaderName, String) {
        let secure = if self.parts.https { "; Secure" } else { "" };
        let ends = if cookie.is_some() { "" } else { "; Max-Age=0" };
        let (name, value) = (self.cookie_name(), cookie.unwrap_or_default());
        (SET_COOKIE, format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}"))
    }

    /// Why a request is not for this console: another site sent it, or it came under another name.
    fn refuses(&self, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(HOST).unwrap_or_default();
        if self.loopback && !is_loopback(host) {
            return Some("this console answers under the names of this machine only: open http://127.0.0.1 with its port");
        }
        if *method == Method::GET || *method == Method::HEAD {
            return None;
        }
        let elsewhere =
            text(HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site != "same-origin" && site != "none");
        let origin = text(ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        let other_origin = origin.is_some_and(|origin| origin != host);
        (elsewhere || other_origin).then_some("another site sent this")
    }
}

/// Whether a host, with or without a port, names this machine.
fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Somebody who signed in, on a page.
pub(super) struct Visitor {
    pub(super) desk: Desk,
    pub(super) session: Session,
    pub(super) api: Api,
}

impl FromRequestParts<Desk> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Failure> {
        let cookie = desk.cookie_of(&parts.headers);
        let session = cookie.and_then(|cookie| desk.sessions.of(&cookie, desk.now()));
        let back = if parts.method == Method::GET { parts.uri.to_string() } else { String::new() };
        let session = session.ok_or(Failure::SignIn { back })?;
        let api = desk.api(session.credentials.clone());
        Ok(Self { desk: desk.clone(), session, api })
    }
}

impl Visitor {
    /// A page for this visitor.
    pub(super) fn page(&self, title: &str, program: &str, main: &Markup) -> Response {
        self.page_at(title, program, title, main)
    }

    /// A page that belongs to an entry of the menu.
    pub(super) fn page_at(&self, title: &str, program: &str, here: &str, main: &Markup) -> Response {
        html(&page(&Frame { title, session: Some(&self.session), program, here }, main))
    }

    /// Whether a form was sent by this session's own page.
    ///
    /// # Errors
    /// [`Failure::Forged`] otherwise.
    pub(super) fn sent(&self, form_token: &str) -> Result<(), Failure> {
        if self.session.sent(form_token) { Ok(()) } else { Err(Failure::Forged) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.desk.now()
    }
}

/// A page as an answer.
pub(super) fn html(markup: &Markup) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], markup.0.clone()).into_response()
}

/// Sends a browser on to another page, after a form.
pub(super) fn see(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody signed in; where to go afterwards.
    SignIn { back: String },
    /// A form that no page of this session sent.
    Forged,
    /// The API refuses.
    Refused(tonic::Status),
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(status)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::SignIn { back } => return see(&super::words::link("/login", &[("back", &back)])),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "Not taken",
                "This form is not of your session: go back, load the page again, and repeat it.".to_owned(),
            ),
            Self::Refused(status) if status.code() == Code::Unauthenticated => return see("/login"),
            Self::Refused(status) => {
                let http = match status.code() {
                    Code::NotFound => StatusCode::NOT_FOUND,
                    Code::PermissionDenied => StatusCode::FORBIDDEN,
                    Code::InvalidArgument | Code::FailedPrecondition | Code::Aborted => StatusCode::CONFLICT,
                    Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
                    _ => StatusCode::BAD_GATEWAY,
                };
                (http, "It was refused", status.message().to_owned())
            }
        };
        let frame = Frame { title, session: None, program: "", here: "" };
        let mut answer = html(&page(&frame, &notice(title, &text)));
        *answer.status_mut() = status;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for host in ["127.0.0.1:8080", "localhost", "localhost:8080", "[::1]:8080", "127.0.0.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1:80"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
