//! `selfsame demo`: a day of a referral programme through the real service, then a summary against the known truth.
//!
//! It must never touch a data folder but its own temporary one, nor reach past this machine. `main` calls it.

mod summary;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use hdrhistogram::Histogram;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Channel;

use self::summary::Summary;
use super::progress;
use crate::adapters::embedded;
use crate::adapters::journal::JournalOptions;
use crate::adapters::model_shelf::ModelShelf;
use crate::adapters::model_store::ModelStore;
use crate::adapters::policy_file;
use crate::adapters::policy_store::FixedPolicy;
use crate::adapters::standing_rules::StandingRules;
use crate::adapters::system_clock::SystemClock;
use crate::console::server::{self as console, ConsoleParts};
use crate::digesting::{Digester, ProgrammeKey};
use crate::ledger::LedgerOptions;
use crate::offline::simulator::day::Day;
use crate::offline::simulator::library::Library;
use crate::offline::simulator::people::People;
use crate::offline::simulator::pseudonymise::pseudonymise;
use crate::offline::simulator::raw::RawConversion;
use crate::offline::tally::Tally;
use crate::ports::clock::Clock;
use crate::ports::ledger::Ledger;
use crate::screening::audit::AuditKey;
use crate::screening::decision::Verdict;
use crate::service::first_start::register_sandbox;
use crate::service::limits::Limits;
use crate::service::listener::Connections;
use crate::service::server::{ServerParts, serve};
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::enums::WireEnum;
use crate::wire::v1::screening_service_client::ScreeningServiceClient;
use crate::wire::{conversion, v1};

/// The programme of the demo.
const PROGRAM: &str = "demo";
/// Picks the audit sample. Fixed, so that one seed is one day.
const AUDIT_KEY: [u8; 32] = [1; 32];

/// Send a day of a referral programme through the real service and see what it says.
///
/// Starts the service on its embedded default in a temporary folder and sends it about a thousand conversions over gRPC. The people and
/// their typos come from public data sets of synthetic persons; who refers whom, and the truth about it, is played by seeded personas:
/// honest friends, households, offices, dorms and influencers, and people who refer themselves, run rings or farm sign-ups.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  selfsame demo                 a day, a summary, done\n  selfsame demo --keep          the same, and the service stays up: work the queue with grpcurl\n  selfsame demo --seed 7        another day\n  selfsame demo --conversions 5000 --listen 127.0.0.1:50060"
)]
pub struct DemoArgs {
    /// One seed, one day.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// About how many conversions the day has.
    #[arg(long, short = 'n', default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=20_000))]
    conversions: u32,
    /// Leave the service running after the summary, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Where to listen; any free port unless `--keep` is given.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// With `--keep`: where to serve the review queue to browsers [default: 127.0.0.1:50052].
    #[arg(long, value_name = "ADDR", requires = "keep")]
    console: Option<SocketAddr>,
}

/// Runs the demo.
///
/// # Errors
/// When the address is taken, the temporary folder cannot be written, or the service fails.
pub fn run(args: &DemoArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(play(args))
}

async fn play(args: &DemoArgs) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let kept_address = SocketAddr::from(([127, 0, 0, 1], 50_051));
    let free_address = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = args.listen.unwrap_or(if args.keep { kept_address } else { free_address });
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is another Selfsame running there? `--listen 127.0.0.1:PORT` takes another port")
    })?;
    let address = listener.local_addr()?;

    let clock = SystemClock;
    let policy = policy_file::shipped().context("the shipped policy cannot be used")?;
    let policy_version = policy.version().to_owned();
    let policies = Arc::new(FixedPolicy::new(policy));
    let shelf = Arc::new(ModelShelf::default());
    let models = ModelStore::open(Some(&folder.path().join("models")), Arc::clone(&shelf), clock.now())?;
    let model_version = models.default_model().name.version.to_string();
    let rules = StandingRules::new(Arc::clone(&policies) as _, shelf, Some(AuditKey::new(AUDIT_KEY)));
    let (journal, options) = (JournalOptions::default(), LedgerOptions::default());
    let ledger = embedded::open(&folder.path().join("ledger"), journal, options, Arc::new(rules))?;
    let ledger: Arc<dyn Ledger> = Arc::new(ledger);
    register_sandbox(&ledger, &clock, PROGRAM).await.context("registering the programme")?;
    let (models, limits) = (Arc::new(models), Limits::default());
    let parts = ServerParts { ledger, policies, clock: Arc::new(clock), models, limits, connections: Connections::default() };
    let (stop, stopped) = oneshot::channel::<()>();
    let pages = if args.keep { Some(open_console(args).await?) } else { None };
    let console_address = pages.as_ref().map(TcpListener::local_addr).transpose()?;
    let console_clock = Arc::clone(&parts.clock);
    let mount = |api| {
        if let Some(pages) = pages {
            tokio::spawn(console::serve(pages, ConsoleParts { api, clock: console_clock, https: false }));
        }
    };
    let until = async move {
        // A dropped sender means that the demo is over, too.
        let _ = stopped.await;
    };
    let server = tokio::spawn(serve(listener, parts, until, mount));

    println!("Selfsame demo: the service listens on {address}, policy {policy_version}, model {model_version}.");
    println!("Playing a day of the programme `{PROGRAM}` (seed {}) …\n", args.seed);
    let day = day_of(args, clock.now())?;
    let summary = send(&day, address).await?;
    print!("{summary}");

    if args.keep {
        println!("{}", summary.commands(address));
        if let Some(console) = console_address {
            println!("The queue in a browser: http://{console}/  (sign in with any name)\n");
        }
        println!("The service stays up on {address}. Ctrl-C ends it, and its temporary folder is removed.");
        tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
        println!("\nbye");
    } else {
        println!("{}", summary.commands(kept_address));
        println!("To try them: cargo run --release -- demo --keep");
    }
    drop(stop);
    server.await.context("the server ended badly")??;
    Ok(())
}

async fn open_console(args: &DemoArgs) -> Result<TcpListener> {
    let address = args.console.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 50_052)));
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen for browsers on {address}; `--console 127.0.0.1:PORT` takes another port"))
}

/// The day's conversions in time order. It ended a minute ago, so that none lies in the future.
fn day_of(args: &DemoArgs, now: Timestamp) -> Result<Vec<(RawConversion, v1::Conversion)>> {
    let people = People::embedded().context("the data sets that the demo is built with cannot be read")?;
    let begins_at = now.minus(Span::from_days(1)).minus(Span::from_minutes(1));
    let library =
        Library::embedded().context("the files of personas and programmes that the demo is built with cannot be read")?;
    let day = Day { seed: args.seed, begins_at, conversions: args.conversions };
    // The people are synthetic, so their key need not be secret; a fixed one makes the day repeatable.
    let key = ProgrammeKey::from_bytes(KeyId::new("demo-1")?, b"selfsame demo: no secret in here")?;
    let digester = Digester::new(&key);
    let program = ProgramId::new(PROGRAM)?;
    let digested = |raw: RawConversion| {
        let message = conversion::message_of(&pseudonymise(&raw, &program, &digester)?);
        Ok((raw, message))
    };
    day.play(&library, &people)?.into_iter().map(digested).collect()
}

/// Sends the day, one conversion after the other as they happened, and counts the answers.
async fn send(day: &[(RawConversion, v1::Conversion)], address: SocketAddr) -> Result<Summary> {
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await.context("cannot reach the service")?;
    let mut client = ScreeningServiceClient::new(channel);
    let bar = progress::bar(Some(day.len() as u64), "{bar:40} {pos}/{len} conversions, {per_sec}, {eta} to go");
    let mut tally = Tally::default();
    let mut latency_micros = Histogram::<u64>::new(3)?;
    let mut case_to_try = None;
    let began = Instant::now();
    for (raw, message) in day {
        let request = v1::ScreenConversionRequest { conversion: Some(message.clone()) };
        let sent = Instant::now();
        let answer = client.screen_conversion(request).await.with_context(|| format!("screening `{}`", raw.conversion_id))?;
        latency_micros.record(u64::try_from(sent.elapsed().as_micros())?)?;
        let decision = answer.into_inner().decision.context("an answer without a decision")?;
        bar.inc(1);
        if !decision.duplicate_of.is_empty() {
            tally.count_repeated();
            continue;
        }
        let verdict = Verdict::from_wire(decision.verdict()).context("an answer without a verdict")?;
        let first_reason = decision.reasons.first().map(|reason| reason.code.as_str());
        tally.count(raw.persona, raw.truth, verdict, first_reason);
        if !decision.case_id.is_empty() && decision.reasons.len() > 1 {
            case_to_try = Some(decision.case_id.clone());
        }
    }
    bar.finish_and_clear();
    Ok(Summary { program: PROGRAM, tally, latency_micros, took: began.elapsed().max(Duration::from_millis(1)), case_to_try })
}
