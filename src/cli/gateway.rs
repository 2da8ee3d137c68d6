//! `selfsame gateway replay`: what the gateway would make of recorded payloads, in memory, without a server.

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::adapters::byte_order_mark::Unmarked;
use crate::adapters::config::GatewayProgramConfig;
use crate::adapters::journal::MemoryJournal;
use crate::adapters::model_shelf::ModelShelf;
use crate::adapters::policy_store::{PolicySources, PolicyStore};
use crate::adapters::standing_rules::StandingRules;
use crate::adapters::system_clock::SystemClock;
use crate::book::command::{Command, Done, SourceCommand};
use crate::book::intake::{IntakeAnswer, IntakeQuestion, SETTLES_AFTER};
use crate::digesting::{Digester, ProgrammeKey};
use crate::gateway::events_api::{self, Beside};
use crate::gateway::http::content_of;
use crate::gateway::pump::named;
use crate::gateway::setup::MetadataNames;
use crate::gateway::translated::Translated;
use crate::gateway::{chargebee, stripe};
use crate::ledger::{JournaledLedger, LedgerOptions};
use crate::ports::clock::Clock as _;
use crate::ports::ledger::Ledger as _;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::{CampaignId, ProgramId};
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Timestamp;

const EXAMPLES: &str = "\
Examples:
  What would be called for recorded webhooks, one JSON object a line, or one in the file:
    selfsame gateway replay events.jsonl --code ANN-1=user-ann

  With the programme's own key, so that digests are those that the server makes:
    selfsame gateway replay events.jsonl --key-file programme.key

Each payload is known by its shape: Stripe's has `type` and `data`, Chargebee's `event_type` and `content`,
a call of the events API `eventName`. Nothing is sent anywhere. docs/gateway.md tells the rest.";

/// Take what programmes already send to others: replay recorded payloads
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct GatewayArgs {
    #[command(subcommand)]
    command: GatewayCommand,
}

#[derive(Debug, Subcommand)]
enum GatewayCommand {
    Replay(ReplayArgs),
}

/// Print what would be called for recorded payloads
#[derive(Debug, Args)]
struct ReplayArgs {
    /// The payloads: one JSON object a line, or one in the file; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Whose a referral code is; may be given several times
    #[arg(long, value_name = "CODE=USER")]
    code: Vec<String>,

    /// File that holds the programme key; without it, digests are made with a key that is forgotten
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Name of the programme key
    #[arg(long, default_value = "k1", value_parser = KeyId::new, value_name = "KEY_ID")]
    key_id: KeyId,
}

/// Runs the command.
///
/// # Errors
/// When the file or a payload in it cannot be read.
pub fn run(args: &GatewayArgs) -> anyhow::Result<()> {
    match &args.command {
        GatewayCommand::Replay(replay) => replay_file(replay),
    }
}

fn replay_file(args: &ReplayArgs) -> anyhow::Result<()> {
    let digester = Digester::new(&key(args)?);
    let GatewayProgramConfig { code_names, user_names, .. } = GatewayProgramConfig::default();
    let names = MetadataNames { code: code_names, account: user_names };
    let now = SystemClock.now();
    let program = ProgramId::new("replay")?;
    let sources = PolicySources { file: None, folder: None, kept_for: None };
    let rules = StandingRules::new(Arc::new(PolicyStore::open(sources)?), Arc::new(ModelShelf::default()), None);
    let ledger = JournaledLedger::open(Arc::new(MemoryJournal::default()), None, LedgerOptions::default(), Arc::new(rules))?;
    let mut out = std::io::stdout().lock();
    let mut take = |event: Translated| -> anyhow::Result<()> {
        let command = SourceCommand {
            program_id: program.clone(),
            source: event.source,
            event_id: event.event_id,
            at: event.at,
            content: content_of(&event.facts),
            facts: event.facts,
            noticed: event.noticed,
            received_at: now,
        };
        if let Done::Taken(taken) = block_on(ledger.execute(Command::TakeSourceEvent(Box::new(command))))?.done {
            for mistake in taken.mistakes {
                writeln!(out, "{}", json!({ "mistake": mistake.sentence() }))?;
            }
        }
        Ok(())
    };
    for pair in &args.code {
        let (code, owner) = pair.split_once('=').context("--code takes CODE=USER, like `--code ANN-1=user-ann`")?;
        let given = json!({ "productUserId": owner, "from": Timestamp::MIN.to_string() });
        take(events_api::code(code, &given, now).with_context(|| format!("--code {code}"))?)?;
    }
    for (place, payload) in (1..).zip(payloads(&args.file)?) {
        let event = translated(&payload, &digester, &names, now).with_context(|| format!("payload {place}"))?;
        take(event)?;
    }
    let question = IntakeQuestion::DueAfter(None, usize::MAX);
    let answer = block_on(ledger.intake(&program, &question, now.plus(SETTLES_AFTER)))?;
    let IntakeAnswer::Due(due, _) = answer else { bail!("the ledger answered something else") };
    for command in &due {
        writeln!(out, "{}", told(command))?;
    }
    Ok(())
}

fn key(args: &ReplayArgs) -> anyhow::Result<ProgrammeKey> {
    let Some(file) = &args.key_file else {
        return Ok(ProgrammeKey::from_bytes(args.key_id, &rand::random::<[u8; 32]>())?);
    };
    let content = std::fs::read(file).with_context(|| format!("reading the key file `{}`", file.display()))?;
    ProgrammeKey::from_file_content(args.key_id, &content).with_context(|| format!("the key file `{}`", file.display()))
}

/// The payloads of a file: one in all, or one a line.
fn payloads(file: &Path) -> anyhow::Result<Vec<Value>> {
    let opened: Box<dyn std::io::Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).with_context(|| format!("opening `{}`", file.display()))?)
    };
    let mut text = String::new();
    std::io::Read::read_to_string(&mut Unmarked::of(opened), &mut text)
        .with_context(|| format!("reading `{}`", file.display()))?;
    if let Ok(one) = serde_json::from_str::<Value>(&text) {
        return Ok(vec![one]);
    }
    let mut found = Vec::new();
    for (place, line) in (1..).zip(text.as_bytes().lines()) {
        let line = line?;
        if !line.trim().is_empty() {
            // The parser's own words could show a value.
            let parsed = serde_json::from_str(&line);
            found.push(parsed.map_err(|error| anyhow::anyhow!("line {place} is no JSON: look at column {}", error.column()))?);
        }
    }
    Ok(found)
}

fn translated(payload: &Value, digester: &Digester, names: &MetadataNames, now: Timestamp) -> anyhow::Result<Translated> {
    let has = |field: &str| payload.get(field).is_some();
    Ok(if has("eventName") {
        events_api::translate(payload, &Beside { digester, plan_prices_minor: &[], key: None, now })?
    } else if has("event_type") && has("content") {
        chargebee::translate(payload, digester, names)?
    } else if has("type") && has("data") {
        stripe::translate(payload, digester, names)?
    } else {
        let known = Source::ALL.map(Source::as_str).join(", ");
        bail!(
            "it is of none of the senders ({known}): it has neither `eventName`, nor `event_type` and `content`, nor `type` and `data`"
        )
    })
}

/// A call in a line, without digests.
fn told(command: &Command) -> Value {
    let (call, id) = named(command);
    let mut line = json!({ "call": call, "id": id });
    let mut add = |name: &str, value: Value| line[name] = value;
    match command {
        Command::RecordSignals(signals) => {
            for bundle in &signals.bundles {
                add("account", bundle.account_id.as_str().into());
                add("emails", bundle.emails.len().into());
                add("names", bundle.names.len().into());
                add("payments", bundle.payments.len().into());
            }
        }
        Command::Screen(screen) => {
            let conversion = &screen.conversion;
            add("kind", format!("{:?}", conversion.kind).into());
            add("occurredAt", conversion.occurred_at.to_string().into());
            add("referrer", conversion.referrer.account_id.as_str().into());
            add("referee", conversion.referee.account_id.as_str().into());
            add("value", conversion.value.map(|value| value.to_string()).into());
            add("campaign", conversion.campaign_id.as_ref().map(CampaignId::as_str).into());
        }
        Command::RecordOutcome(outcome) => {
            add("kind", format!("{:?}", outcome.outcome.kind).into());
            add("occurredAt", outcome.outcome.occurred_at.to_string().into());
            add("amount", outcome.outcome.amount.map(|amount| amount.to_string()).into());
        }
        Command::ChangeHold(_)
        | Command::RevokeOutcome(_)
        | Command::ExpirePending(..)
        | Command::StepCase(..)
        | Command::StepCases(_)
        | Command::Recheck(_)
        | Command::Reserve(_)
        | Command::ChangeReservation(_)
        | Command::MarkPaid(_)
        | Command::MarkFailed(_)
        | Command::ChangeRewards(_)
        | Command::ChangeList(_)
        | Command::ChangeModels(_)
        | Command::ChangeTerms(_)
        | Command::Rekey(_)
        | Command::KeepLooks(_)
        | Command::Erase(_)
        | Command::ErasuresDone(_)
        | Command::By(..)
        | Command::ChangeDirectory(_)
        | Command::Propose(_)
        | Command::SettleAct(_)
        | Command::TakeSourceEvent(_) => {}
    }
    line
}
