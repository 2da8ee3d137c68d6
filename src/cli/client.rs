//! What commands that call a running server share: where it is, who acts, how to connect, and how its answers and refusals read.
//! It must never retry a step by itself.

mod connection;
mod facts;
mod profile;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

pub(super) use self::connection::{AskedServerArgs, ConnectionArgs, Reached};
pub(super) use self::facts::{MoneyArg, TimeArgs, money, time};
use super::answer::AnswerArgs;
use crate::adapters::tls::trouble_of;
use crate::wire::credentials::Credentials;

/// The largest answer that is read. Unit: bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Where the server is, and which programme is meant.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The server
    #[command(flatten)]
    pub connection: ConnectionArgs,

    /// The programme
    #[arg(long, short, env = "SELFSAME_PROGRAM", value_name = "ID", global = true)]
    pub program: Option<String>,
}

impl ServerArgs {
    /// The programme that was named: here, or by the profile.
    ///
    /// # Errors
    /// When none was.
    pub(super) fn program(&self) -> anyhow::Result<String> {
        let named = match &self.program {
            Some(named) => Some(named.clone()),
            None => self.connection.program()?,
        };
        named.ok_or_else(|| anyhow!("which programme? Give --program, set SELFSAME_PROGRAM, or name it in the profile"))
    }

    /// A connection to the server, as the user of this machine where nobody is asked who calls.
    ///
    /// # Errors
    /// As [`Reached::connect`].
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        self.connection.reached(None)?.connect().await
    }
}

/// What commands share in which a person acts: the server, who acts, and how answers look.
#[derive(Debug, Clone, Args)]
pub struct DeskArgs {
    /// The server and the programme
    #[command(flatten)]
    pub server: ServerArgs,

    /// Who acts, where the server asks nobody who calls [default: the user of this machine]; otherwise it is who the token or the certificate is
    #[arg(long = "as", env = "SELFSAME_ACTOR", value_name = "NAME", global = true)]
    pub actor: Option<String>,

    /// How answers are shown
    #[command(flatten)]
    pub answer: AnswerArgs,
}

impl DeskArgs {
    /// A connection to the server for whoever acts.
    ///
    /// # Errors
    /// As [`Reached::connect`].
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        self.server.connection.reached(self.actor.as_deref())?.connect().await
    }
}

/// A connection that says with every call who calls.
pub(super) type Client = InterceptedService<Channel, Credentials>;

/// The variable that holds a token.
const TOKEN: &str = "SELFSAME_TOKEN";
/// The variable that names the file in which a token is.
const TOKEN_FILE: &str = "SELFSAME_TOKEN_FILE";

/// What calls show of who calls: the token of the environment or of the profile; without one, the name that was given, that of the profile, or the user
/// of this machine.
///
/// # Errors
/// When a name is given beside a token, which says who acts, and when the file or the name cannot be read.
fn credentials(token_file: Option<&Path>, actor: Option<&str>, its_actor: Option<&str>) -> anyhow::Result<Credentials> {
    let token = match (token_of_environment()?, token_file) {
        (Some(token), _) => Some(token),
        (None, Some(file)) => Some(token_in(file)?),
        (None, None) => None,
    };
    match (token, actor) {
        (Some(_), Some(name)) => {
            bail!(
                "who acts is who the token was issued to: leave `--as {name}` (SELFSAME_ACTOR) out, or unset the token ({TOKEN}, {TOKEN_FILE}, \
                 `token_file` of the profile)"
            )
        }
        (Some(token), None) => Credentials::token(&token).context("the token"),
        (None, named) => {
            let named = named.or(its_actor).map(str::to_owned);
            let named = named.or_else(|| user_name(|name| std::env::var(name).ok(), whoami));
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
    token_in(Path::new(&file)).map(Some)
}

fn token_in(file: &Path) -> anyhow::Result<String> {
    let token = std::fs::read_to_string(file).with_context(|| format!("reading the token in `{}`", file.display()))?;
    Ok(token.trim().to_owned())
}

/// Asks for one page after the other, each by the token of the one before, and puts together what stands on them.
///
/// # Errors
/// When the server refuses one.
pub(super) async fn every_page<T>(
    mut ask: impl AsyncFnMut(String) -> Result<(Vec<T>, String), Status>,
) -> anyhow::Result<Vec<T>> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = ask(token).await.map_err(readable)?;
        all.extend(page);
        if next.is_empty() {
            return Ok(all);
        }
        token = next;
    }
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
    // Of a connection that broke the first cause says most, and the status itself nothing.
    let causes = std::iter::successors(std::error::Error::source(&status), |cause| cause.source());
    if let Some(cause) = causes.last() {
        text = format!("no answer: {}", trouble_of(cause).unwrap_or_else(|| cause.to_string()));
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
}
