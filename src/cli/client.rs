//! What commands that call a running server share: where it is, who acts, how to connect, and how its answers and refusals read.
//! It must never retry a step by itself. `queue`, `model`, `export` and `ledger backup` call it.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt as _;

use crate::wire::credentials::Credentials;

/// The largest answer that is read. Unit: bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Where the server is, and which programme is meant.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The server
    #[arg(long, env = "SELFSAME_SERVER", default_value = "http://127.0.0.1:50051", value_name = "URL", global = true)]
    pub server: String,

    /// The programme
    #[arg(long, short, env = "SELFSAME_PROGRAM", value_name = "ID", global = true)]
    pub program: Option<String>,
}

impl ServerArgs {
    /// The programme that was named.
    ///
    /// # Errors
    /// When none was.
    pub(super) fn program(&self) -> anyhow::Result<&str> {
        self.program.as_deref().ok_or_else(|| anyhow!("which programme? Give --program, or set SELFSAME_PROGRAM"))
    }

    /// A connection to the server, as the user of this machine where nobody is asked who calls.
    ///
    /// # Errors
    /// As [`connect`].
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        connect(&self.server, None).await
    }
}

/// What commands share in which a person acts: the server, who acts, and how answers look.
#[derive(Debug, Clone, Args)]
pub struct DeskArgs {
    /// The server and the programme
    #[command(flatten)]
    pub server: ServerArgs,

    /// Who acts, where the server asks nobody who calls [default: the user of this machine]; otherwise it is who the token was issued to
    #[arg(long = "as", env = "SELFSAME_ACTOR", value_name = "NAME", global = true)]
    pub actor: Option<String>,

    /// Print the API's JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

impl DeskArgs {
    /// A connection to the server for whoever acts.
    ///
    /// # Errors
    /// As [`connect`].
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        connect(&self.server.server, self.actor.as_deref()).await
    }
}

/// A connection that says with every call who calls.
pub(super) type Client = InterceptedService<Channel, Credentials>;

/// The variable that holds a token.
const TOKEN: &str = "SELFSAME_TOKEN";
/// The variable that names the file in which a token is.
const TOKEN_FILE: &str = "SELFSAME_TOKEN_FILE";

/// What calls show of who calls: the token of the environment; without one, the name that was given, or the user of this machine.
///
/// # Errors
/// When a name is given beside a token, which says who acts, and when the file or the name cannot be read.
pub(super) fn credentials(actor: Option<&str>) -> anyhow::Result<Credentials> {
    match (token_of_environment()?, actor) {
        (Some(_), Some(name)) => {
            bail!(
                "who acts is who the token of {TOKEN} was issued to: leave `--as {name}` (SELFSAME_ACTOR) out, or unset the token"
            )
        }
        (Some(token), None) => Credentials::token(&token).context("the token of the environment"),
        (None, named) => {
            let named = named.map(str::to_owned).or_else(|| user_name(|name| std::env::var(name).ok(), whoami));
            named.map_or_else(
                || Ok(Credentials::default()),
                |name| Credentials::name(&name).with_context(|| format!("the name `{name}`")),
            )
        }
    }
}

fn token_of_environment() -> anyhow::Result<Option<String>> {
    if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        return Ok(Some(token));
    }
    let Some(file) = std::env::var_os(TOKEN_FILE).filter(|file| !file.is_empty()) else { return Ok(None) };
    let file = std::path::PathBuf::from(file);
    let token = std::fs::read_to_string(&file).with_context(|| format!("reading the token in `{}`", file.display()))?;
    Ok(Some(token.trim().to_owned()))
}

/// Prints an answer: as the API's JSON, or as text.
///
/// # Errors
/// When it cannot be written.
pub(super) fn print<M: serde::Serialize>(json: bool, message: &M, text: impl FnOnce(&M) -> String) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(message)? } else { text(message) };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(())
}

/// A spinner that counts what it cannot foresee; hidden where nobody watches.
pub(super) fn counting_spinner(template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

/// The user of this machine: by the environment, else by what the system answers. The server refuses what is not a name.
fn user_name(variable: impl Fn(&str) -> Option<String>, asked: impl FnOnce() -> Option<String>) -> Option<String> {
    let told = ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(variable).find(|name| !name.is_empty());
    told.or_else(|| asked().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()))
}

/// What the system's own command answers; services and containers often have no `USER`.
fn whoami() -> Option<String> {
    let output = std::process::Command::new("whoami").output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// A connection to a server, by its URL or its address and port, for whoever the environment says, or for somebody by name.
///
/// # Errors
/// When the address is malformed, asks for TLS, which is not spoken here, nobody answers there, or who calls cannot be told.
pub(super) async fn connect(server: &str, actor: Option<&str>) -> anyhow::Result<Client> {
    let credentials = credentials(actor)?;
    let url = plaintext_url(server)?;
    let endpoint = Endpoint::from_shared(url).with_context(|| format!("`{server}` is not an address"))?;
    let connected = endpoint.connect().await;
    let channel = connected.with_context(|| format!("nobody answers at {server}; is `selfsame serve` running there?"))?;
    Ok(InterceptedService::new(channel, credentials))
}

/// The URL of a server. What asks for more than plaintext is refused: it would be spoken to in plaintext all the same.
///
/// # Errors
/// When the scheme is not `http`.
pub(super) fn plaintext_url(server: &str) -> anyhow::Result<String> {
    match server.split_once("://") {
        None => Ok(format!("http://{server}")),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => Ok(server.to_owned()),
        Some((scheme, rest)) => bail!(
            "`{server}`: this command speaks plaintext only, not `{scheme}`. Inside your network give http://{rest}; from outside go through \
             a tunnel or a proxy on this machine that speaks TLS for you, and give its address"
        ),
    }
}

/// Runs a future on a small runtime of its own.
///
/// # Errors
/// What the future fails with, or that there is no runtime.
pub(super) fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(work)
}

/// A refusal as a person reads it: the sentence, each violated field, and when to try again.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub(super) fn readable(status: Status) -> anyhow::Error {
    let details = status.get_error_details();
    let mut text = status.message().to_owned();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    // The sentence of a single violation names its field already.
    for violation in violations.iter().filter(|_| violations.len() > 1) {
        let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
    }
    if let Some(after) = details.retry_info().and_then(|retry| retry.retry_delay) {
        let _ = write!(text, "\n  try again in {} ms", after.as_millis());
    }
    if text.is_empty() {
        text = format!("{:?}", status.code());
    }
    anyhow!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_told_by_the_environment_then_by_the_system_and_is_never_made_up() {
        let logname = |name: &str| match name {
            "USER" => Some(String::new()),
            "LOGNAME" => Some("rita".to_owned()),
            _ => None,
        };
        assert_eq!(user_name(logname, || Some("root".to_owned())).as_deref(), Some("rita"));
        assert_eq!(user_name(|_| None, || Some("root\n".to_owned())).as_deref(), Some("root"));
        assert_eq!((user_name(|_| None, || None), user_name(|_| None, || Some("\n".to_owned()))), (None, None));
    }

    #[test]
    fn what_asks_for_tls_is_not_spoken_to_in_plaintext() {
        for server in ["127.0.0.1:50051", "http://127.0.0.1:50051"] {
            assert_eq!(plaintext_url(server).unwrap(), "http://127.0.0.1:50051");
        }
        for server in ["https://screening.example:443", "grpcs://screening.example"] {
            let refused = plaintext_url(server).unwrap_err().to_string();
            assert!(refused.contains("plaintext only") && refused.contains("http://screening.example"), "{refused}");
        }
    }
}
