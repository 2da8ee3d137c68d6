//! Signing in and out.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::console::layout::{Frame, page};
use crate::console::server::{Desk, Failure, Visitor, html as answer, see};
use crate::service::directory::TOKEN_PREFIX;
use crate::wire::credentials::Credentials;
use crate::wire::v1;

/// Where to go afterwards.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Back {
    #[serde(default)]
    back: String,
}

/// What is asked.
#[derive(serde::Deserialize)]
pub(in crate::console) struct SignIn {
    shown: String,
    #[serde(default)]
    back: String,
}

/// The form of a session, nothing more.
#[derive(serde::Deserialize)]
pub(in crate::console) struct SignOut {
    form_token: String,
}

pub(in crate::console) async fn show(Query(Back { back }): Query<Back>) -> Response {
    asked(&back, "")
}

fn asked(back: &str, wrong: &str) -> Response {
    let main = html! {
        section .login {
            h1 { "Sign in" }
            form method="post" action="/login" {
                input type="hidden" name="back" value=(back);
                label for="shown" { "Your token" }
                input #shown name="shown" type="password" autocomplete="current-password" required autofocus aria-describedby="hint wrong";
                p #hint {
                    "An administrator issues it: " code { "selfsame token issue NAME --role reviewer --in PROGRAM" }
                    ". Where no token was issued yet, give your name instead."
                }
                @if !wrong.is_empty() { p #wrong .wrong role="alert" { (wrong) } }
                button .primary { "Sign in" }
            }
        }
    };
    answer(&page(&Frame { title: "Sign in", session: None, program: "", here: "" }, &main))
}

pub(in crate::console) async fn sign_in(State(desk): State<Desk>, Form(SignIn { shown, back }): Form<SignIn>) -> Response {
    let shown = shown.trim();
    let is_token = shown.starts_with(TOKEN_PREFIX);
    let credentials = if is_token { Credentials::token(shown) } else { Credentials::name(shown) };
    let Ok(credentials) = credentials else { return asked(&back, "That holds characters that no token or name has.") };
    let who = desk.api(credentials.clone()).access().who_am_i(v1::WhoAmIRequest {}).await;
    let identity = match who {
        Ok(answer) => answer.into_inner().identity.unwrap_or_default(),
        Err(status) => return wrong(&back, status.message()),
    };
    let cookie = desk.sessions().begin(identity.name, credentials, desk.now());
    // Only paths of this console, so that a link cannot lead elsewhere after signing in.
    let to = if back.starts_with('/') && !back.starts_with("//") && !back.contains('\\') { back.as_str() } else { "/" };
    ([desk.set_cookie(Some(&cookie))], see(to)).into_response()
}

fn wrong(back: &str, why: &str) -> Response {
    let mut answer = asked(back, why);
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    answer
}

pub(in crate::console) async fn sign_out(
    State(desk): State<Desk>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(SignOut { form_token }): Form<SignOut>,
) -> Result<Response, Failure> {
    visitor.sent(&form_token)?;
    if let Some(cookie) = desk.cookie_of(&headers) {
        desk.sessions().end(&cookie);
    }
    Ok(([desk.set_cookie(None)], see("/login")).into_response())
}
