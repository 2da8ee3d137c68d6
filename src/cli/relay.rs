//! `selfsame relay`: hands the feed on to receivers of webhooks and to NATS, and shows what waits and what is dead. What it does is in the library's `relay`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::answer::{AnswerArgs, AnswerForm, print};
use super::client::ConnectionArgs;
use super::progress;
use super::serve::told_to_stop;
use super::table::table;
use crate::adapters::figures::RELAY_FIGURES;
use crate::adapters::{private, telemetry};
use crate::book::cursor::FeedCursor;
use crate::relay::{
    Asked, DeadLetter, Lock, RelayConfig, Source, Standing, TargetKind, ask, new_secret, read_backlog, read_standings,
    run as relay,
};
use crate::vocabulary::time::Timestamp;

const EXAMPLES: &str = "\
Examples:
  A secret for a receiver, and the relay (docs/relay.example.toml shows every key):
    selfsame relay secret > billing.secrets
    selfsame relay --config relay.toml run

  Where everything stands, and what was given up:
    selfsame relay status
    selfsame relay dead list
    selfsame relay dead show billing ID
    selfsame relay dead retry billing

  Send again what came after a cursor, or everything that there is:
    selfsame relay replay billing --after-cursor 48210-9f3a6c2e81b04d57
    selfsame relay replay billing --from-beginning

  Send again to a receiver that answered 410:
    selfsame relay on billing";

/// Hand the feed on: signed webhooks, NATS JetStream
///
/// A process of its own beside the server. Every event is told at least once, in order per referral; what a receiver does not take is sent again, and in the
/// end kept as dead.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct RelayArgs {
    /// The configuration file [default: relay.toml]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    answer: AnswerArgs,

    #[command(subcommand)]
    step: RelayStep,
}

#[derive(Debug, Clone, Subcommand)]
enum RelayStep {
    /// Relay until told to stop
    Run(ConnectionArgs),
    /// Where each receiver and each stream stands
    Status,
    /// Messages that were given up
    Dead(DeadArgs),
    /// Send events again
    Replay(ReplayArgs),
    /// Send again to a receiver that is switched off
    On {
        /// The receiver
        #[arg(value_name = "RECEIVER")]
        receiver: String,
    },
    /// Print a new secret for a receiver
    Secret,
}

#[derive(Debug, Clone, Args)]
#[command(arg_required_else_help = true)]
struct DeadArgs {
    #[command(subcommand)]
    step: DeadStep,
}

#[derive(Debug, Clone, Subcommand)]
enum DeadStep {
    /// All of them, or those of one receiver
    List {
        /// The receiver
        #[arg(value_name = "RECEIVER")]
        receiver: Option<String>,
    },
    /// One, with its body
    Show {
        /// The receiver
        #[arg(value_name = "RECEIVER")]
        receiver: String,
        /// The message
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send them again, all or some
    Retry {
        /// The receiver
        #[arg(value_name = "RECEIVER")]
        receiver: String,
        /// The messages
        #[arg(value_name = "ID")]
        ids: Vec<String>,
    },
}

#[derive(Debug, Clone, Args)]
struct ReplayArgs {
    /// The receiver
    #[arg(value_name = "RECEIVER")]
    receiver: String,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct From {
    /// What came after this
    #[arg(long, value_name = "CURSOR")]
    after_cursor: Option<FeedCursor>,
    /// Everything that the server still has
    #[arg(long)]
    from_beginning: bool,
}

/// Runs the command.
///
/// # Errors
/// When the configuration has mistakes, a receiver or a message is not known, or the relay cannot go on.
pub fn run(args: &RelayArgs) -> anyhow::Result<()> {
    let RelayArgs { config, answer: AnswerArgs { output }, step } = args;
    let file = config.clone().unwrap_or_else(|| PathBuf::from("relay.toml"));
    if matches!(step, RelayStep::Secret) {
        let secret = new_secret();
        return print(*output, &Secret { secret }, |answer| answer.secret.clone());
    }
    let config = RelayConfig::load(&file)?;
    let desk = Desk { config, form: *output };
    match step {
        RelayStep::Run(connection) => run_until_told(&desk.config, connection),
        RelayStep::Status => desk.status(),
        RelayStep::Dead(DeadArgs { step }) => match step {
            DeadStep::List { receiver } => desk.dead(receiver.as_deref()),
            DeadStep::Show { receiver, id } => desk.show(receiver, id),
            DeadStep::Retry { receiver, ids } => desk.retry(receiver, ids),
        },
        RelayStep::Replay(ReplayArgs { receiver, from: From { after_cursor, from_beginning: _ } }) => {
            let after = after_cursor.map(|cursor| cursor.to_string()).unwrap_or_default();
            desk.ask(receiver, &Asked::Replay { after }, "the feed is read again from there; what waits already is not doubled")
        }
        RelayStep::On { receiver } => desk.ask(receiver, &Asked::SwitchOn, "it is sent to again"),
        RelayStep::Secret => Ok(()),
    }
}

/// How long stopping may take: the longest that an answer may take, and a little.
fn stopping_max(config: &RelayConfig) -> std::time::Duration {
    let longest = config.webhooks.iter().map(|webhook| webhook.timeout_seconds).fold(5.0, f64::max);
    std::time::Duration::from_secs_f64(longest + 5.0)
}

fn run_until_told(config: &RelayConfig, connection: &ConnectionArgs) -> anyhow::Result<()> {
    private::keep_private();
    let reached = connection.reached(None)?;
    let source = Source { destination: reached.destination, credentials: reached.credentials };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    telemetry::start_logging(config.log.format, &config.log.level, None)?;
    runtime.block_on(async {
        let lock = Lock::take(&config.folder).await?;
        if let Some(address) = config.metrics.listen {
            telemetry::start_metrics(address, &RELAY_FIGURES).await?;
        }
        let stop = told_to_stop(stopping_max(config))?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            server = source.destination.name(),
            receivers = config.webhooks.len(),
            streams = config.nats.len(),
            folder = %config.folder.display(),
            "selfsame relays"
        );
        relay(config, &source, lock, stop).await
    })
}

/// The relay's configuration, and how answers look.
struct Desk {
    config: RelayConfig,
    form: AnswerForm,
}

#[derive(Debug, Serialize)]
struct Secret {
    secret: String,
}

#[derive(Debug, Serialize)]
struct Status {
    targets: Vec<Target>,
}

/// A receiver or a stream, and whether a relay runs that feeds it.
#[derive(Debug, Serialize)]
struct Target {
    running: bool,
    #[serde(flatten)]
    standing: Standing,
}

/// A dead message as it is shown: without its body in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadRow {
    receiver: String,
    id: String,
    kind: String,
    cursor: String,
    attempts: u32,
    died_at: String,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct DeadList {
    dead: Vec<DeadRow>,
}

#[derive(Debug, Serialize)]
struct Done {
    receiver: String,
    running: bool,
}

fn at(millis: i64) -> String {
    Timestamp::saturating_from_millis(millis).to_string()
}

impl Desk {
    fn folder(&self) -> &Path {
        &self.config.folder
    }

    /// Where everything stands: by what the relay wrote last, and of receivers by what is kept of them.
    fn status(&self) -> anyhow::Result<()> {
        let running = Lock::is_held(self.folder());
        let mut written = read_standings(self.folder()).context("reading the status")?;
        if !running {
            for standing in &mut written {
                standing.trouble.clear();
            }
        }
        let mut targets = Vec::new();
        for webhook in &self.config.webhooks {
            let told = written.iter().find(|standing| standing.name == webhook.name).cloned().unwrap_or_default();
            let backlog = read_backlog(self.folder(), &webhook.name).context("reading what waits")?;
            targets.push(Standing {
                name: webhook.name.clone(),
                kind: TargetKind::Webhook,
                program: webhook.program.clone(),
                cursor: backlog.reached().to_owned(),
                delivered: backlog.delivered(),
                retried: backlog.retried(),
                waiting: backlog.waiting() as u64,
                dead: backlog.dead_count() as u64,
                oldest_waiting_ms: backlog.oldest_waiting_ms(),
                off: backlog.off().to_owned(),
                trouble: told.trouble,
            });
        }
        for nats in &self.config.nats {
            let told = written.iter().find(|standing| standing.name == nats.name).cloned();
            targets.push(told.unwrap_or_else(|| Standing {
                name: nats.name.clone(),
                kind: TargetKind::Nats,
                program: nats.program.clone(),
                ..Standing::default()
            }));
        }
        let targets = targets.into_iter().map(|standing| Target { running, standing }).collect();
        print(self.form, &Status { targets }, status_text)
    }

    /// The receivers that are meant.
    fn receivers(&self, named: Option<&str>) -> anyhow::Result<Vec<&str>> {
        let all: Vec<&str> = self.config.webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
        match named {
            None => Ok(all),
            Some(name) if all.contains(&name) => Ok(vec![all.into_iter().find(|known| *known == name).unwrap_or_default()]),
            Some(name) => Err(anyhow!("there is no receiver `{name}` in the configuration; there are: {}", all.join(", "))),
        }
    }

    fn dead(&self, named: Option<&str>) -> anyhow::Result<()> {
        let mut dead = Vec::new();
        for receiver in self.receivers(named)? {
            let backlog = read_backlog(self.folder(), receiver).context("reading what is dead")?;
            dead.extend(backlog.dead().into_iter().map(|letter| row(receiver, letter, None)));
        }
        print(self.form, &DeadList { dead }, |list| {
            if list.dead.is_empty() {
                return "nothing is dead".to_owned();
            }
            let head = ["RECEIVER", "ID", "KIND", "DIED", "ATTEMPTS", "WHY"].map(str::to_owned).to_vec();
            let rows = list.dead.iter().map(|row| {
                let DeadRow { receiver, id, kind, attempts, died_at, why, .. } = row;
                vec![receiver.clone(), id.clone(), kind.clone(), died_at.clone(), attempts.to_string(), why.clone()]
            });
            table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        })
    }

    fn show(&self, receiver: &str, id: &str) -> anyhow::Result<()> {
        self.receivers(Some(receiver))?;
        let backlog = read_backlog(self.folder(), receiver).context("reading what is dead")?;
        let letter = backlog.dead_letter(id).ok_or_else(|| not_dead(receiver, id))?;
        let body = serde_json::from_str(&letter.message.body).context("the body")?;
        print(self.form, &row(receiver, letter, Some(body)), |row| {
            let DeadRow { receiver, id, kind, cursor, attempts, died_at, why, body } = row;
            let body = body.as_ref().map(|body| format!("{body:#}")).unwrap_or_default();
            format!("{id} ({kind}, at {cursor}) for {receiver}\ndead since {died_at}, after {attempts} attempts: {why}\n{body}")
        })
    }

    fn retry(&self, receiver: &str, ids: &[String]) -> anyhow::Result<()> {
        self.receivers(Some(receiver))?;
        let backlog = read_backlog(self.folder(), receiver).context("reading what is dead")?;
        if let Some(id) = ids.iter().find(|id| backlog.dead_letter(id).is_none()) {
            return Err(not_dead(receiver, id));
        }
        if backlog.dead_count() == 0 {
            bail!("nothing is dead of `{receiver}`");
        }
        let count = if ids.is_empty() { backlog.dead_count() } else { ids.len() };
        self.ask(receiver, &Asked::Retry { ids: ids.to_vec() }, &format!("{count} wait again, after what waits already"))
    }

    fn ask(&self, receiver: &str, asked: &Asked, said: &str) -> anyhow::Result<()> {
        self.receivers(Some(receiver))?;
        ask(self.folder(), receiver, asked).context("asking the relay")?;
        let running = Lock::is_held(self.folder());
        if !running {
            progress::remark("no relay runs in this folder; the next one does it");
        }
        print(self.form, &Done { receiver: receiver.to_owned(), running }, |_| said.to_owned())
    }
}

fn not_dead(receiver: &str, id: &str) -> anyhow::Error {
    anyhow!("`{id}` is not dead for `{receiver}`; `selfsame relay dead list {receiver}` shows what is")
}

fn row(receiver: &str, letter: &DeadLetter, body: Option<serde_json::Value>) -> DeadRow {
    let DeadLetter { message, died_at_ms } = letter;
    DeadRow {
        receiver: receiver.to_owned(),
        id: message.id.clone(),
        kind: message.kind.clone(),
        cursor: message.cursor.clone(),
        attempts: message.attempts,
        died_at: at(*died_at_ms),
        why: message.why.clone(),
        body,
    }
}

fn status_text(status: &Status) -> String {
    let mut text =
        if status.targets.iter().any(|target| target.running) { "the relay runs\n" } else { "no relay runs in this folder\n" }
            .to_owned();
    let head = ["TARGET", "PROGRAM", "DELIVERED", "WAITING", "DEAD", "RETRIED", "UP TO"].map(str::to_owned).to_vec();
    let rows = status.targets.iter().map(|target| {
        let Standing { name, program, delivered, waiting, dead, retried, cursor, .. } = &target.standing;
        let counts = [delivered, waiting, dead, retried].map(ToString::to_string);
        [name.clone(), program.clone()].into_iter().chain(counts).chain([cursor.clone()]).collect()
    });
    text += &table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    for Target { running: _, standing: Standing { name, oldest_waiting_ms, off, trouble, .. } } in &status.targets {
        if *oldest_waiting_ms > 0 {
            let _ = writeln!(text, "{name}: the oldest that waits is of {}", at(*oldest_waiting_ms));
        }
        if !off.is_empty() {
            let _ = writeln!(text, "{name}: switched off, {off}; `selfsame relay on {name}`");
        }
        if !trouble.is_empty() {
            let _ = writeln!(text, "{name}: {trouble}");
        }
    }
    text
}
