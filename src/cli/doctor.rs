//! `selfsame doctor`: looks at what a server is to run on, or at a running server, and says of everything that is not well what to do.
//! It changes nothing. `main` calls it.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};
use serde_json::json;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::answer::{AnswerArgs, print};
use super::client::{AskedServerArgs, ConnectionArgs, block_on, readable};
use crate::adapters::config::CommandLine;
use crate::adapters::doctor;
use crate::adapters::system_clock::SystemClock;
use crate::ports::clock::Clock as _;
use crate::ports::diagnosis::{Finding, Level, Subject};
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::diagnosis::level_of;
use crate::wire::v1;
use crate::wire::v1::operations_service_client::OperationsServiceClient;

/// How far two clocks may be apart until somebody should look; what lies ten minutes ahead is taken for now.
const APART_NOTED: Span = Span::from_seconds(2);
const APART_WRONG: Span = Span::from_minutes(1);

const EXAMPLES: &str = "\
Examples:
  What this machine is to run: configuration, policies, models, folder, disk, limits, certificate:
    selfsame doctor --config /etc/selfsame/selfsame.toml

  A running server: health, clock, ledger, models, certificate, key ids in use and what could be compared under them:
    selfsame doctor --server http://127.0.0.1:50051

  Whether a server takes work, for whatever wants an exit status:
    selfsame doctor --server http://127.0.0.1:50051 --only health

  One that speaks TLS, by a profile of ~/.config/selfsame/client.toml:
    selfsame doctor --profile production

Fails when something is wrong; what is only to be looked at (`note`) is no failure.";

/// Find what is wrong, with what to do
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct DoctorArgs {
    /// The configuration file [default: selfsame.toml, if it is there]
    #[arg(long, env = "SELFSAME_CONFIG", value_name = "FILE", conflicts_with = "server")]
    pub config: Option<PathBuf>,

    /// The folder of the ledger, where it is another than the configuration's
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub data_dir: Option<PathBuf>,

    /// The running server to look at instead
    #[command(flatten)]
    pub server: AskedServerArgs,

    /// Of the server, this programme alone
    #[arg(long, short, value_name = "ID")]
    pub program: Option<String>,

    /// Only this; may be given several times
    #[arg(long, value_name = "SUBJECT")]
    pub only: Vec<Subject>,

    /// How the findings are shown
    #[command(flatten)]
    pub answer: AnswerArgs,
}

impl ValueEnum for Subject {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()))
    }
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    subject: String,
    #[serde(serialize_with = "level_word")]
    level: Level,
    sentence: String,
    fix: String,
}

impl From<Finding> for Line {
    fn from(Finding { subject, level, sentence, fix }: Finding) -> Self {
        Self { subject: subject.to_string(), level, sentence, fix }
    }
}

impl From<v1::Finding> for Line {
    fn from(message: v1::Finding) -> Self {
        // A server of another version may know levels that this program does not: better looked at than passed over.
        let level = level_of(&message).unwrap_or(Level::Note);
        let v1::Finding { subject, level: _, sentence, fix } = message;
        Self { subject, level, sentence, fix }
    }
}

impl DoctorArgs {
    fn wants(&self, subject: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.as_str() == subject)
    }
}

/// Runs the command.
///
/// # Errors
/// When something is wrong, or the server cannot be asked.
pub fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    if let Some(server) = args.server.asked() {
        block_on(async {
            lines = look_at(&server, args).await?;
            Ok(())
        })?;
    } else if args.program.is_some() {
        bail!("`--program` is about a running server; name it with --server or --profile");
    } else {
        let folder = args.data_dir.as_ref().map(|folder| folder.display().to_string());
        let found = doctor::look(args.config.as_deref(), CommandLine::default().with("data_folder", folder), SystemClock.now());
        lines.extend(found.into_iter().map(Line::from));
    }
    lines.retain(|line| args.wants(&line.subject));
    print(args.answer.output, &json!({ "findings": lines }), |_| report(&lines))?;
    match lines.iter().filter(|line| line.level == Level::Wrong).count() {
        0 => Ok(()),
        1 => bail!("something is wrong; the line `WRONG` says what to do"),
        several => bail!("{several} things are wrong; the lines `WRONG` say what to do"),
    }
}

async fn look_at(server: &ConnectionArgs, args: &DoctorArgs) -> anyhow::Result<Vec<Line>> {
    let channel = server.reached(None)?.connect().await?;
    let mut lines = Vec::new();
    if args.wants(Subject::Health.as_str()) {
        let checked = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.map_err(readable)?;
        lines.push(health(checked.into_inner()).into());
    }
    if [Subject::Clock, Subject::Ledger, Subject::Models, Subject::Keys, Subject::Certificate, Subject::Senders]
        .iter()
        .any(|subject| args.wants(subject.as_str()))
    {
        let mut client = OperationsServiceClient::new(channel);
        let request = v1::DiagnoseRequest { program_id: args.program.clone().unwrap_or_default() };
        let asked = SystemClock.now();
        let answer = client.diagnose(request).await.map_err(readable)?.into_inner();
        let answered = SystemClock.now();
        let v1::DiagnoseResponse { findings, keys, server_time, version } = answer;
        let told = server_time.context("the server did not tell its time")?;
        let told = Timestamp::saturating_from_millis(told.seconds.saturating_mul(1_000) + i64::from(told.nanos) / 1_000_000);
        lines.push(clock(asked, told, answered).into());
        lines.push(Finding::fine(Subject::Ledger, format!("the server is selfsame {version}")).into());
        lines.extend(findings.into_iter().map(Line::from));
        lines.extend(keys.iter().map(|key| Line::from(Finding::fine(Subject::Keys, key_sentence(key)))));
    }
    Ok(lines)
}

fn health(HealthCheckResponse { status }: HealthCheckResponse) -> Finding {
    match ServingStatus::try_from(status) {
        Ok(ServingStatus::Serving) => Finding::fine(Subject::Health, "the server takes work"),
        Ok(ServingStatus::NotServing | ServingStatus::Unknown | ServingStatus::ServiceUnknown) | Err(_) => Finding::wrong(
            Subject::Health,
            "the server takes no work",
            "its log says why; see `SelfsameRefusesWrites` in docs/runbook.md",
        ),
    }
}

/// How far the clocks are apart, given when the server was asked, its time, and when its answer came.
fn clock(asked: Timestamp, told: Timestamp, answered: Timestamp) -> Finding {
    // What lies between asking and answering is no difference.
    let apart = if told > answered {
        told.since(answered)
    } else if told < asked {
        told.since(asked)
    } else {
        return Finding::fine(Subject::Clock, "the server's clock and this machine's agree");
    };
    let sentence =
        format!("the server's clock is {:.1} s {}", apart.abs().as_seconds(), if told > asked { "ahead" } else { "behind" });
    let fix = "compare both with a time server (`chronyc tracking`)";
    if apart.abs() > APART_WRONG {
        Finding::wrong(Subject::Clock, sentence, fix)
    } else if apart.abs() > APART_NOTED {
        Finding::note(Subject::Clock, sentence, fix)
    } else {
        Finding::fine(Subject::Clock, sentence)
    }
}

fn key_sentence(key: &v1::KeyUse) -> String {
    let v1::KeyUse { program_id, key_id, decisions, compared } = key;
    format!("{program_id}: key `{key_id}` in {decisions} of the newest conversions, {compared} of them compared")
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Fine => "ok",
        Level::Note => "note",
        Level::Wrong => "WRONG",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn level_word<S: Serializer>(level: &Level, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(word(*level))
}

/// What was found, the worst last, where one looks first.
fn report(lines: &[Line]) -> String {
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by_key(|line| line.level);
    let mut text = String::new();
    for Line { subject, level, sentence, fix } in sorted {
        let level = word(*level);
        text += &format!("{level:<6} {subject:<14} {sentence}\n");
        if !fix.is_empty() {
            text += &format!("{:<21} do: {fix}\n", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_apart_by_what_the_way_to_the_server_does_not_explain() {
        let at = |millis: i64| Timestamp::saturating_from_millis(1_790_000_000_000 + millis);
        let told = |server: i64| clock(at(0), at(server), at(400)).level;
        assert_eq!([200, 0, 1_400, 5_000, -5_000].map(told), [Level::Fine, Level::Fine, Level::Fine, Level::Note, Level::Note]);
        assert_eq!([90_000, -90_000].map(told), [Level::Wrong, Level::Wrong]);
        assert!(clock(at(0), at(-90_000), at(400)).sentence.contains("90.0 s behind"));
    }

    #[test]
    fn the_worst_stands_last_with_what_to_do() {
        let lines = [
            Finding::wrong(Subject::Disk, "it is full", "free some"),
            Finding::fine(Subject::Clock, "it goes"),
            Finding::note(Subject::Keys, "two", "send both"),
        ];
        let text = report(&lines.map(Line::from));
        assert_eq!(text.lines().map(|line| &line[..6]).collect::<Vec<_>>(), ["ok    ", "note  ", "      ", "WRONG ", "      "]);
        assert!(text.ends_with("do: free some\n"), "{text}");
    }

    #[test]
    fn what_a_server_of_another_version_says_is_looked_at() {
        let unknown = v1::Finding { subject: "tides".to_owned(), level: 99, sentence: "high".to_owned(), fix: String::new() };
        assert_eq!(Line::from(unknown).level, Level::Note);
    }
}
