//! The gateway's own port: which path takes what, who is let in, how much and how long is read, and what is answered. An event is answered 2xx only when
//! it is durable in the ledger.

mod lookups;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::lookups::{discount, read_code, reward};
use super::events_api::Beside;
use super::payload::Fault;
use super::pump::PumpHandle;
use super::setup::{GatewayProgram, Programs};
use super::stripe::signature;
use super::translated::{SenderStage, Translated};
use super::{chargebee, events_api, stripe};
use crate::book::Refusal;
use crate::book::command::{Command, Done, Executed, SourceCommand};
use crate::book::directory::{Directory, RegisteredProgram, Stage};
use crate::book::intake::{CodeAnswer, CodeFact, Fact, IntakeAnswer, IntakeQuestion, Mistake, MistakeKind};
use crate::book::records::{ContentFingerprint, Freshness};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::service::token_pairs::{self, NotIn, Tokens};
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::role::Role;
use crate::vocabulary::source::Source;

/// The largest body. Unit: bytes. Stripe's largest events have some 100 KiB.
pub const BODY_BYTES_MAX: usize = 512 << 10;
/// How long a body may take to come.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long the head of a request may take to come.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Connections at a time; the others wait.
const CONNECTIONS_MAX: usize = 512;
/// The counter of events, by source and answer.
const EVENTS: &str = "selfsame_gateway_events_total";

/// What the gateway is made of.
#[derive(Clone)]
pub struct GatewayParts {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The programmes.
    pub programs: Arc<Programs>,
    /// Who does what is due.
    pub pump: PumpHandle,
}

/// Serves on a listener until it is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, parts: GatewayParts) -> std::io::Result<()> {
    let service = TowerToHyperService::new(routes(parts));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "the gateway cannot take connections; it tries again");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            let serving =
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).serve_connection(TokioIo::new(stream), service);
            // A sender that goes away, or is too slow, is told by the closed connection.
            drop(serving.await);
            drop(place);
        });
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn routes(parts: GatewayParts) -> Router {
    Router::new()
        .route("/", get(|| async { Json(json!({ "selfsame": "gateway" })) }))
        .route("/{program}/stripe", post(stripe_event))
        .route("/{program}/chargebee", post(chargebee_event))
        .route("/{program}/token", post(token))
        .route("/{program}/events", post(event))
        .route("/{program}/referral-codes/{code}", get(read_code).put(put_code))
        .route("/{program}/referral-codes/{code}/new-user-discount", get(discount))
        .route("/{program}/rewards/{reward}", get(reward))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing here; see docs/gateway.md") })
        .with_state(parts)
}

/// JSON as an answer.
struct Json(Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0.to_string()).into_response()
    }
}

/// Why a request was not taken. Never says anything that was personal in it.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    text: String,
    field: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), field: None, retry_after: None }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let text = fault.to_string();
        Self { field: Some(fault.field), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, text) }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let text = error.to_string();
        let with = |status, retry_after| Self { retry_after, ..Self::new(status, text.clone()) };
        match error {
            LedgerError::Refused(Refusal::ContentDiffers { .. }) => with(StatusCode::CONFLICT, None),
            LedgerError::Refused(_) => with(StatusCode::UNPROCESSABLE_ENTITY, None),
            LedgerError::Busy { retry_after } => with(StatusCode::TOO_MANY_REQUESTS, Some(retry_after)),
            LedgerError::HeldElsewhere { retry_after, .. } => with(StatusCode::SERVICE_UNAVAILABLE, Some(retry_after)),
            LedgerError::OverBudget { .. } | LedgerError::Unavailable(_) | LedgerError::Damaged(_) => {
                with(StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(30)))
            }
            LedgerError::CursorForgotten { .. } | LedgerError::CursorOfOther { .. } => {
                with(StatusCode::INTERNAL_SERVER_ERROR, None)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, text, field, retry_after } = self;
        let body = json!({ "success": false, "error": text, "field": field });
        let mut answer = (status, Json(body)).into_response();
        if let Some(retry_after) = retry_after {
            answer.headers_mut().insert(RETRY_AFTER, retry_after.as_secs().max(1).into());
        }
        if status == StatusCode::UNAUTHORIZED {
            answer
                .headers_mut()
                .insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer, Basic realm=\"selfsame\""));
        }
        answer
    }
}

type Answered = Result<Json, Problem>;

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads a body, up to its largest size and within its time.
async fn read(body: Body) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, BODY_BYTES_MAX);
    match tokio::time::timeout(BODY_WITHIN, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("the body is larger than {BODY_BYTES_MAX} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body was cut short")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to come")),
    }
}

/// The parser's own words could show a value: only the place is told.
fn parsed(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("the body is no JSON: look at line {}, column {}", error.line(), error.column());
        Problem::new(StatusCode::BAD_REQUEST, text)
    })
}

impl GatewayParts {
    fn configured(&self, program: &str) -> Result<&Arc<GatewayProgram>, Problem> {
        let known = ProgramId::new(program).ok().and_then(|id| self.programs.get(&id));
        known.ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, "the gateway takes nothing for this programme: `gateway.programs`")
        })
    }

    /// The programme as it is registered, if it takes anything.
    async fn registered(&self, program: &GatewayProgram) -> Result<Arc<RegisteredProgram>, Problem> {
        let directory = self.ledger.directory().await?;
        registered_in(&directory, program)
    }

    /// Takes what was translated, and answers when it is durable.
    async fn take(&self, program: &GatewayProgram, mut event: Translated) -> Answered {
        let registered = self.registered(program).await?;
        let (source, id) = (event.source, event.event_id.clone());
        if event.stage == SenderStage::Test && registered.settings.stage == Stage::Production {
            event.facts.clear();
            let kind = MistakeKind::SandboxIntoProduction;
            event.noticed.push(Mistake { kind, source, subject: "an event".into() });
        }
        if event.facts.is_empty() && event.noticed.is_empty() {
            metrics::counter!(EVENTS, "source" => source.as_str(), "answer" => "passed_over").increment(1);
            return Ok(Json(json!({ "success": true, "id": id.as_str(), "taken": false, "mistakes": [] })));
        }
        let command = SourceCommand {
            program_id: program.id.clone(),
            source,
            event_id: event.event_id,
            at: event.at,
            content: content_of(&event.facts),
            facts: event.facts,
            noticed: event.noticed,
            received_at: self.clock.now(),
        };
        let Executed { done, freshness, cursor: _ } = self.ledger.execute(Command::TakeSourceEvent(Box::new(command))).await?;
        let Done::Taken(taken) = done else {
            // It was taken so long ago that its record is gone.
            return Ok(Json(json!({ "success": true, "id": id.as_str(), "taken": true, "replayed": true, "mistakes": [] })));
        };
        let replayed = freshness == Freshness::Replayed;
        let answer = if replayed { "replayed" } else { "taken" };
        metrics::counter!(EVENTS, "source" => source.as_str(), "answer" => answer).increment(1);
        let mistakes: Vec<String> = taken.mistakes.iter().map(Mistake::sentence).collect();
        if !replayed {
            for mistake in &mistakes {
                tracing::warn!(program = %program.id, mistake, "what a sender sent looks like a mistake");
            }
        }
        self.pump.look_at(&program.id, taken.accounts);
        Ok(Json(json!({ "success": true, "id": id.as_str(), "taken": true, "replayed": replayed, "mistakes": mistakes })))
    }

    /// Whether whoever shows this may tell of a programme.
    async fn admit(&self, program: &GatewayProgram, headers: &HeaderMap) -> Result<(), Problem> {
        let directory = self.ledger.directory().await?;
        registered_in(&directory, program)?;
        if !directory.asks_who_calls() {
            return Ok(());
        }
        let token = text_of(headers, AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let Some(token) = token else {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "`Authorization: Bearer TOKEN` is required; `POST token` gives one",
            ));
        };
        let now = self.clock.now();
        let identity = token_pairs::identify(&directory, token, now).map_err(not_in)?;
        let settings = &identity.settings;
        if settings.roles.contains(&Role::Screener) && settings.scope.includes(&program.id) {
            return Ok(());
        }
        let text = format!(
            "`{}` may not tell anything of the programme `{}`: it takes the role screener there; are these the credentials of another environment?",
            settings.name, program.id
        );
        Err(Problem::new(StatusCode::FORBIDDEN, text))
    }
}

fn registered_in(directory: &Directory, program: &GatewayProgram) -> Result<Arc<RegisteredProgram>, Problem> {
    let known = directory.program(&program.id).map(Arc::clone).ok_or_else(|| {
        let text = format!("the programme `{}` is not registered: `selfsame program create`", program.id);
        Problem::new(StatusCode::NOT_FOUND, text)
    })?;
    if known.archived_at.is_some() {
        return Err(Problem::new(StatusCode::CONFLICT, format!("the programme `{}` is archived", program.id)));
    }
    if !known.settings.key_ids.is_empty() && !known.settings.key_ids.contains(&program.key_id) {
        let text = format!("the programme takes no digests of the key `{}` (`gateway.programs`)", program.key_id.as_str());
        return Err(Problem {
            retry_after: Some(Duration::from_secs(60)),
            ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
        });
    }
    Ok(known)
}

/// A fingerprint of facts, digests of people apart: those differ while keys rotate.
#[must_use]
pub fn content_of(facts: &[Fact]) -> ContentFingerprint {
    let mut hasher = blake3::Hasher::new();
    for fact in facts {
        if !matches!(fact, Fact::Signals(..)) {
            hasher.update(format!("{fact:?}\n").as_bytes());
        }
    }
    let mut first = [0; 16];
    hasher.finalize_xof().fill(&mut first);
    ContentFingerprint(first)
}

fn not_in(why: NotIn) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, why.to_string())
}

/// Counts what was not taken.
fn counted<T>(source: Source, answer: Result<T, Problem>) -> Result<T, Problem> {
    if answer.is_err() {
        metrics::counter!(EVENTS, "source" => source.as_str(), "answer" => "refused").increment(1);
    }
    answer
}

async fn stripe_event(
    State(parts): State<GatewayParts>,
    Path(program): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    counted(Source::Stripe, from_stripe(&parts, &program, &headers, body).await)
}

async fn from_stripe(parts: &GatewayParts, program: &str, headers: &HeaderMap, body: Body) -> Answered {
    let program = parts.configured(program)?;
    if program.stripe_secrets.is_empty() {
        let text = "Stripe is not listened to for this programme: `stripe_secrets_file`";
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    }
    let body = read(body).await?;
    let header = text_of(headers, "stripe-signature");
    signature::verify(header, &body, &program.stripe_secrets, parts.clock.now())
        .map_err(|error| Problem::new(StatusCode::UNAUTHORIZED, error.to_string()))?;
    let event = stripe::translate(&parsed(&body)?, &program.digester, &program.names)?;
    parts.take(program, event).await
}

async fn chargebee_event(
    State(parts): State<GatewayParts>,
    Path(program): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    counted(Source::Chargebee, from_chargebee(&parts, &program, &headers, body).await)
}

async fn from_chargebee(parts: &GatewayParts, program: &str, headers: &HeaderMap, body: Body) -> Answered {
    let program = parts.configured(program)?;
    if program.chargebee_credentials.is_empty() {
        let text = "Chargebee is not listened to for this programme: `chargebee_credentials_file`";
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    }
    let shown = text_of(headers, AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Basic "));
    let pair = shown.and_then(|shown| STANDARD.decode(shown.trim()).ok());
    if !pair.is_some_and(|pair| chargebee::knows(&program.chargebee_credentials, &pair)) {
        let text = "the webhook's user and password are none of `chargebee_credentials_file`";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, text));
    }
    let body = read(body).await?;
    let event = chargebee::translate(&parsed(&body)?, &program.digester, &program.names)?;
    parts.take(program, event).await
}

async fn event(State(parts): State<GatewayParts>, Path(program): Path<String>, headers: HeaderMap, body: Body) -> Answered {
    counted(Source::Events, from_events(&parts, &program, &headers, body).await)
}

async fn from_events(parts: &GatewayParts, program: &str, headers: &HeaderMap, body: Body) -> Answered {
    let program = parts.configured(program)?;
    parts.admit(program, headers).await?;
    let payload = parsed(&read(body).await?)?;
    let beside = Beside {
        digester: &program.digester,
        plan_prices_minor: &program.plan_prices_minor,
        key: text_of(headers, "idempotency-key").map(str::trim),
        now: parts.clock.now(),
    };
    parts.take(program, events_api::translate(&payload, &beside)?).await
}

/// What is sent for a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    refresh_token: Option<String>,
}

async fn token(State(parts): State<GatewayParts>, Path(program): Path<String>, body: Body) -> Answered {
    parts.configured(&program)?;
    let payload = parsed(&read(body).await?)?;
    let unreadable =
        |_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "`accessKeyId`, `secretAccessKey` and `refreshToken` are texts");
    let TokenRequest { access_key_id, secret_access_key, refresh_token } = serde_json::from_value(payload).map_err(unreadable)?;
    let directory = parts.ledger.directory().await?;
    let now = parts.clock.now();
    if !directory.asks_who_calls() {
        let text = "nobody is asked who calls: send events without a token, or end that with `selfsame token issue`";
        return Err(Problem::new(StatusCode::CONFLICT, text));
    }
    let tokens = match (access_key_id, secret_access_key, refresh_token) {
        (Some(id), Some(secret), None) => token_pairs::begin(&directory, &id, &secret, now),
        (None, None, Some(refresh)) => token_pairs::refresh(&directory, &refresh, now),
        _ => {
            let text = "send `accessKeyId` and `secretAccessKey`, or `refreshToken` alone";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
    };
    let Tokens { access, refresh, lasts } = tokens.map_err(not_in)?;
    let mut answer = json!({ "accessToken": access, "expiresIn": lasts.as_millis() / 1_000 });
    if let Some(refresh) = refresh {
        answer["refreshToken"] = refresh.into();
    }
    Ok(Json(answer))
}

async fn put_code(
    State(parts): State<GatewayParts>,
    Path((program, code)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let program = parts.configured(&program)?;
    parts.admit(program, &headers).await?;
    let payload = parsed(&read(body).await?)?;
    let now = parts.clock.now();
    let event = events_api::code(&code, &payload, now)?;
    if payload.get("from").is_none()
        && let [Fact::Code(said)] = event.facts.as_slice()
    {
        let question = IntakeQuestion::Code(said.code.clone(), None);
        let known = parts.ledger.intake(&program.id, &question, now).await?;
        let CodeFact { code: _, owner, campaign, use_of } = said;
        let is_known =
            |known: &CodeAnswer| (Some(&known.owner), &known.campaign, known.use_of) == (owner.as_ref(), campaign, *use_of);
        if matches!(&known, IntakeAnswer::Code(Some(known), _) if is_known(known)) {
            let id = event.event_id.as_str();
            return Ok(Json(json!({ "success": true, "id": id, "taken": false, "replayed": true, "mistakes": [] })));
        }
    }
    parts.take(program, event).await
}
