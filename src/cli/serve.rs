//! `selfsame serve`: runs the service until it is told to stop.
//! It must never start on a policy, a model that decides or a folder that it cannot read in full. `main` calls it.

mod connections;
mod signals;

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use rand::RngCore as _;
use tokio::net::TcpListener;

use self::connections::{connection_limits, open_tls, own_address, replica_links};
pub(super) use self::signals::told_to_stop;
use self::signals::{reload_on_hangup, tell_of_closing_cut_short};
use super::{AlreadyTold, in_words};
use crate::adapters::audit_secret::audit_key;
use crate::adapters::config::{
    CommandLine, Config, GatewayConfig, JournalConfig, LedgerConfig, LimitsConfig, LogFormat, PolicyConfig, WebConfig,
};
use crate::adapters::figures::FIGURES;
use crate::adapters::journal::postgres::DatabaseUrl;
use crate::adapters::journal::{JournalOptions, MemoryJournal};
use crate::adapters::model_shelf::ModelShelf;
use crate::adapters::model_store::ModelStore;
use crate::adapters::policy_store::{PolicySources, PolicyStore};
use crate::adapters::shared::SharedLedger;
use crate::adapters::standing_rules::StandingRules;
use crate::adapters::stray_variables::{StrayVariable, stray_variables};
use crate::adapters::system_clock::SystemClock;
use crate::adapters::traces::Traces;
use crate::adapters::{embedded, private, shared, telemetry};
use crate::book::command::Assessor;
use crate::console::server::{self as console, ConsoleParts};
use crate::gateway;
use crate::gateway::http::GatewayParts;
use crate::gateway::pump::Pump;
use crate::gateway::setup::Programs;
use crate::ledger::{AuditKeys, ColdAfter, GroupOptions, JournaledLedger, LateFacts, LedgerOptions};
use crate::ports::clock::Clock as _;
use crate::ports::leases::ReplicaKey;
use crate::ports::ledger::Ledger;
use crate::ports::policies::Policies;
use crate::rest::server::{self as rest, RestParts};
use crate::screening::audit::AuditKey;
use crate::screening::policy::ScoreSource;
use crate::service::directory::new_secret;
use crate::service::first_start::{admit_first_administrator, register_sandbox};
use crate::service::limits::{Limits, Pace};
use crate::service::listener::Connections;
use crate::service::server::{InProcess, ServerParts, serve};
use crate::service::{expiring, forgetting, gauges};
use crate::vocabulary::time::{Span, Timestamp};

const EXAMPLES: &str = "\
Examples:
  Try it, with a ledger that is gone afterwards:
    selfsame serve --memory

  The usual way:
    selfsame serve --data-dir /var/lib/selfsame --policy /etc/selfsame/policy.toml

  One of many replicas over a database, which forward to each other:
    SELFSAME_JOURNAL__URL=postgres://selfsame@db.internal/selfsame selfsame serve --listen 10.0.0.7:50051

  In a container, by environment (every key of the file has its variable):
    SELFSAME_LISTEN=0.0.0.0:50051 SELFSAME_TLS__CERTIFICATE_FILE=/tls/tls.crt SELFSAME_TLS__KEY_FILE=/tls/tls.key \\
      SELFSAME_DATA_FOLDER=/data SELFSAME_LOG__FORMAT=json selfsame serve

Configuration: defaults, then `selfsame.toml` or --config, then SELFSAME_* variables, then flags;
each overrules the one before. docs/selfsame.example.toml shows every key. A variable that is nearly a
key, or named like a flag, is not read, and the log says which one is.

Signals: INT and TERM drain, so that every call that was taken is answered; HUP reads the policies and
the certificate again, and keeps those in force when a new one has mistakes.
Until a token is issued whoever reaches the loopback address may do anything: `selfsame token issue` ends that.
Beyond loopback the API is TLS (`tls.certificate_file`, `tls.key_file`), unless plaintext is asked for.";

/// Run the service
///
/// Screens conversions, keeps the review queue and gates payouts, over gRPC with server reflection. One process owns one data folder.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct ServeArgs {
    /// The configuration file [default: selfsame.toml, if it is there]
    #[arg(long, env = "SELFSAME_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where to listen [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// The folder of the ledger; made when it is not there [default: selfsame-data]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub data_dir: Option<PathBuf>,

    /// Keep the ledger in memory only; everything is lost at the end
    #[arg(long)]
    pub memory: bool,

    /// The database that holds the journal for all replicas, instead of the data folder; a password is better kept in SELFSAME_JOURNAL__URL
    #[arg(long, value_name = "URL", conflicts_with = "memory")]
    pub journal: Option<String>,

    /// The policy file [default: the policy that is shipped inside]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Where to serve the review queue to browsers, like 127.0.0.1:50052 [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub console: Option<String>,

    /// Where the API is spoken as JSON over HTTP; `none` switches it off
    #[arg(long, value_name = "ADDR")]
    pub rest: Option<String>,
    /// Where to take what programmes send to others (docs/gateway.md), like 127.0.0.1:50054 [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub gateway: Option<String>,

    /// Where to serve metrics for Prometheus, or `none` [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,

    /// What to log: a level, or a filter like `selfsame=debug,info` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,

    /// How log lines look: `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl ServeArgs {
    fn command_line(&self) -> CommandLine {
        let shown = |path: &PathBuf| path.display().to_string();
        CommandLine::default()
            .with("listen", self.listen)
            .with("data_folder", self.data_dir.as_ref().map(shown))
            .with("journal.url", self.journal.as_ref())
            .with("policy.file", self.policy.as_ref().map(shown))
            .with("console.listen", self.console.as_ref())
            .with("rest.listen", self.rest.as_ref())
            .with("gateway.listen", self.gateway.as_ref())
            .with("metrics.listen", self.metrics.as_ref())
            .with("log.level", self.log.as_ref())
            .with("log.format", self.log_format.as_ref())
    }
}

/// How often one caller may call; absent for as often as it likes.
fn pace(config: &LimitsConfig) -> Option<Pace> {
    let per_second = NonZeroU32::new(config.calls_per_second_per_caller)?;
    Some(Pace { per_second, burst: NonZeroU32::new(config.burst_per_caller).unwrap_or(per_second) })
}

/// What the configuration lets the server take on.
fn limits(config: &Config) -> Limits {
    let log_lines_per_second = config.log.lines_per_second;
    let config = &config.limits;
    Limits {
        log_lines_per_second,
        in_flight_max: config.in_flight_max,
        streams_max: config.streams_max,
        stream_in_flight_max: config.stream_in_flight_max,
        deadline_max: config.deadline(),
        message_bytes_max: config.message_bytes_max,
        connection_age_max: config.connection_age(),
        drain_max: config.drain(),
        request_bytes_max: config.request_mib << 20,
        unread_bytes_max: config.unread_mib << 20,
        pace: pace(config),
        asks_about_one: NonZeroU32::new(config.asks_about_one),
        ..Limits::default()
    }
}

/// Runs the command.
///
/// # Errors
/// When it cannot be started: the configuration or a policy has mistakes, a model that decides does not fit, the folder is in use or damaged,
/// an address is taken.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    private::keep_private();
    let format = Config::log_format_alone(args.config.as_deref(), args.command_line());
    match serve_as_configured(args) {
        Err(error) if format == LogFormat::Json => {
            // Where the configuration is what is wrong, nothing logs yet; where something does, it stays.
            drop(telemetry::start_logging(format, "error", None));
            let told = in_words(&error);
            tracing::error!(error = told, "selfsame cannot serve");
            Err(AlreadyTold(told).into())
        }
        ended => ended,
    }
}

fn serve_as_configured(args: &ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref(), args.command_line())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let traces = {
        let _inside = runtime.enter();
        Traces::begin(&config.traces).map_err(anyhow::Error::msg).context("`traces.endpoint`")?
    };
    telemetry::start_logging(config.log.format, &config.log.level, traces.as_ref())?;
    for StrayVariable { name, meant } in stray_variables(std::env::vars_os()) {
        tracing::warn!("the variable `{name}` is not read; use `{meant}`");
    }
    let keeping = match (args.memory, config.journal.is_shared()) {
        (true, _) => Keeping::Memory,
        (false, true) => Keeping::Database,
        (false, false) => Keeping::Folder,
    };
    let ended = runtime.block_on(run_until_told(&config, keeping));
    if let Some(traces) = traces {
        traces.end();
    }
    // The ledger closes with its last user.
    let closing = Instant::now();
    runtime.shutdown_timeout(CLOSING_MAX);
    if closing.elapsed() >= CLOSING_MAX {
        tell_of_closing_cut_short();
    }
    ended
}

/// How long closing may take after the drain: the last snapshot, and whatever a thread still reads. What was acknowledged is durable without it.
const CLOSING_MAX: Duration = Duration::from_secs(10);

/// Where the ledger keeps what it must not lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// Nowhere: it is gone at the end.
    Memory,
    /// In the data folder.
    Folder,
    /// In a database that other replicas share; files of models in the data folder.
    Database,
}

impl Keeping {
    /// The home of the journal, as the log says it.
    const fn journal(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Folder => "folder",
            Self::Database => "database",
        }
    }
}

async fn run_until_told(config: &Config, keeping: Keeping) -> anyhow::Result<()> {
    let began = Instant::now();
    // Before anything is opened, so that the opening is measured too.
    if let Some(address) = config.metrics.listen {
        telemetry::start_metrics(address, &FIGURES).await?;
    }
    let PolicyConfig { file, folder } = config.policy.clone();
    let sources = PolicySources { file, folder, kept_for: config.retention.age() };
    let policies = Arc::new(PolicyStore::open(sources).context("reading the policies")?);
    if keeping != Keeping::Memory {
        make_data_folder(&config.data_folder.0)?;
        tighten(&config.data_folder.0)?;
    }
    let clock = Arc::new(SystemClock);
    let shelf = Arc::new(ModelShelf::default());
    let models = Arc::new(open_models(config, keeping, Arc::clone(&shelf), clock.now())?);
    let tls = open_tls(config)?;
    let (ledger, replica_key) = open_ledger(config, keeping, Arc::clone(&policies) as _, shelf)?;
    let replicas = replica_key.map(|key| replica_links(config, key)).transpose()?;
    begin_directory(config, keeping, &ledger).await?;
    let listener = TcpListener::bind(config.listen.0).await.with_context(|| format!("listening at {}", config.listen.0))?;
    let console = open_web("console", &config.console).await?;
    let json = open_web("rest", &config.rest).await?;
    let gateway = open_gateway(config).await?;
    if config.metrics.listen.is_some() {
        tokio::spawn(gauges::report(gauges::Told {
            memory_bytes_max: config.ledger.memory_mib << 20,
            ledger: Arc::clone(&ledger),
            policies: Arc::clone(&policies) as _,
            models: Arc::clone(&models),
            clock: Arc::clone(&clock) as _,
            tls: tls.clone(),
        }));
    }
    let address = listener.local_addr().context("asking for the address")?;
    tokio::spawn(forgetting::forget(Arc::clone(&ledger), Arc::clone(&clock) as _, config.retention.age()));
    let waits_for = Span::from_days(config.retention.pending_outcome_days.into());
    tokio::spawn(expiring::expire(Arc::clone(&ledger), Arc::clone(&clock) as _, waits_for));
    let stop = told_to_stop(config.limits.drain() + CLOSING_MAX + Duration::from_secs(1))?;
    reload_on_hangup(Arc::clone(&policies), tls.clone())?;
    let connections = Connections { tls, replicas, limits: connection_limits(&config.limits) };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %address,
        journal = keeping.journal(),
        data_folder = %config.data_folder.0.display(),
        policy = policies.in_force().default.version(),
        took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "selfsame serves"
    );
    let speaks = config.log.format == LogFormat::Text;
    if speaks {
        writeln!(std::io::stdout().lock(), "{}", welcome(config, keeping, address, &policies, &models))?;
    }
    let gateway = gateway.map(|(listener, programs)| begin_gateway(listener, programs, &ledger, &clock));
    let parts = ServerParts { ledger, policies, clock, models, limits: limits(config), connections };
    let (https, clock) = (config.console.https, Arc::clone(&parts.clock));
    let mut beside = tokio::task::JoinSet::new();
    let mount = |api: InProcess| {
        if let Some(listener) = console {
            beside.spawn(console::serve(listener, ConsoleParts { api: api.clone(), clock, https }));
        }
        if let Some(listener) = json {
            beside.spawn(rest::serve(listener, RestParts { api, message_bytes_max: config.limits.message_bytes_max }));
        }
    };
    serve(listener, parts, stop, mount).await?;
    beside.abort_all();
    for task in gateway.into_iter().flatten() {
        task.abort();
    }
    if speaks {
        writeln!(std::io::stdout().lock(), "stopped")?;
    }
    Ok(())
}

/// A port for HTTP/1.1, by the section of the configuration that names it; absent where none is wanted.
///
/// # Errors
/// When the address is taken, or it would be reached from beyond this machine in plaintext.
async fn open_web(section: &str, config: &WebConfig) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = config.listen else { return Ok(None) };
    if !address.ip().is_loopback() && !config.https {
        bail!(
            "`{section}.listen` at {address} is reached from beyond this machine in plaintext, where tokens, sessions and what is sent can be read on the way: put a \
             proxy before it that speaks TLS, and say so with `{section}.https = true`"
        );
    }
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening at {address} (`{section}.listen`)"))?;
    Ok(Some(listener))
}

/// The gateway's port and its programmes; absent where none is wanted.
///
/// # Errors
/// When the address is taken, senders would reach it from beyond this machine in plaintext, or a secret cannot be read.
async fn open_gateway(config: &Config) -> anyhow::Result<Option<(TcpListener, Programs)>> {
    let GatewayConfig { listen, https, programs: _ } = &config.gateway;
    let Some(listener) = open_web("gateway", &WebConfig { listen: *listen, https: *https }).await? else { return Ok(None) };
    let programs = gateway::setup::programs(&config.gateway)?;
    if programs.is_empty() {
        tracing::warn!("the gateway takes nothing: `gateway.programs` names no programme");
    }
    Ok(Some((listener, programs)))
}

/// Begins to take what senders send, and to do what is due.
fn begin_gateway(
    listener: TcpListener,
    programs: Programs,
    ledger: &Arc<dyn Ledger>,
    clock: &Arc<SystemClock>,
) -> [tokio::task::AbortHandle; 2] {
    let programs = Arc::new(programs);
    let clock: Arc<dyn crate::ports::clock::Clock> = Arc::clone(clock) as _;
    let (pump, handle) = Pump::new(Arc::clone(ledger), Arc::clone(&clock), Arc::clone(&programs));
    let parts = GatewayParts { ledger: Arc::clone(ledger), clock, programs, pump: handle };
    let serving = tokio::spawn(gateway::http::serve(listener, parts));
    [tokio::spawn(pump.run()).abort_handle(), serving.abort_handle()]
}

/// Sees to it that a new ledger can be used, and that nobody is let in whom nobody meant to let in.
///
/// # Errors
/// When the first administrator's token cannot be read or made; when the server would be open to a network.
async fn begin_directory(config: &Config, keeping: Keeping, ledger: &Arc<dyn Ledger>) -> anyhow::Result<()> {
    if keeping != Keeping::Database {
        register_sandbox(ledger, &SystemClock, FIRST_PROGRAM).await.context("registering a programme to try")?;
    }
    let asks_who_calls = ledger.directory().await.context("reading who may call")?.asks_who_calls();
    match (&config.access.admin_token_file, asks_who_calls) {
        (Some(file), false) => {
            let token = first_token(file)?;
            let admitted = admit_first_administrator(ledger, &SystemClock, &token).await;
            admitted.context("letting the first administrator in")?;
            tracing::info!(file = %file.display(), "callers are asked who they are; the first administrator's token is in this file");
        }
        (None, false) if beyond_this_machine(config).is_none() => {
            tracing::warn!(
                "nobody is asked who calls: whoever reaches this machine's loopback may do anything; `selfsame token issue` ends that"
            );
        }
        (None, false) if config.access.anybody => {
            let address = beyond_this_machine(config).unwrap_or(config.listen.0);
            tracing::warn!(%address, "nobody is asked who calls, beyond this machine too: whoever reaches the address may do anything");
        }
        (None, false) => bail!(
            "{} is reached from beyond this machine, and the ledger knows no callers: name a file with `access.admin_token_file` \
             (SELFSAME_ACCESS__ADMIN_TOKEN_FILE), which is made with a token for the first administrator, or let anybody do anything with \
             `access.anybody = true`",
            beyond_this_machine(config).unwrap_or(config.listen.0)
        ),
        (_, true) => {}
    }
    Ok(())
}

/// An address by which others than this machine reach the service.
fn beyond_this_machine(config: &Config) -> Option<SocketAddr> {
    [Some(config.listen.0), config.console.listen, config.rest.listen, config.gateway.listen]
        .into_iter()
        .flatten()
        .find(|address| !address.ip().is_loopback())
}

/// The first administrator's token, which is made where there is none.
fn first_token(file: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let token = text.trim().to_owned();
            if token.len() < TOKEN_CHARACTERS_MIN {
                bail!(
                    "the token in `{}` has {} characters; it takes {TOKEN_CHARACTERS_MIN} or more",
                    file.display(),
                    token.len()
                );
            }
            Ok(token)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let token = new_secret();
            let made = File::options().write(true).create_new(true).open(file).and_then(|mut made| {
                writeln!(made, "{token}")?;
                made.sync_all()
            });
            made.with_context(|| format!("making the file `{}` with the first administrator's token", file.display()))?;
            Ok(token)
        }
        Err(error) => Err(error).with_context(|| format!("reading the first administrator's token in `{}`", file.display())),
    }
}

/// The programme that a new ledger begins with, so that the first examples work.
const FIRST_PROGRAM: &str = "shop";
/// A token of so many random characters cannot be guessed.
const TOKEN_CHARACTERS_MIN: usize = 32;

/// Makes the data folder where there is none, before anything is looked for inside.
fn make_data_folder(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() && !folder.is_dir() {
        bail!(
            "`{}` is not a folder; --data-dir (the key `data_folder`) names one, which is made when it is not there",
            folder.display()
        );
    }
    private::make_folder(folder).with_context(|| format!("making the data folder `{}`", folder.display()))
}

/// Takes what others could read in the data folder from them, and says so.
fn tighten(folder: &Path) -> anyhow::Result<()> {
    let found = private::tighten(folder).with_context(|| format!("looking through the data folder `{}`", folder.display()))?;
    if found.corrected > 0 {
        tracing::warn!(
            count = found.corrected,
            "files and folders of the data folder were open to other users of the machine; they are their owner's alone now"
        );
    }
    telemetry::tell_exposed(found.left.len());
    for (path, error) in found.left {
        tracing::warn!(path = %path.display(), %error, "this is open to other users of the machine, and cannot be taken from them");
    }
    Ok(())
}

fn open_models(config: &Config, keeping: Keeping, shelf: Arc<ModelShelf>, now: Timestamp) -> anyhow::Result<ModelStore> {
    let folder = match keeping {
        Keeping::Memory => None,
        Keeping::Folder | Keeping::Database => Some(model_folder(config)),
    };
    ModelStore::open(folder.as_deref(), shelf, now).context("opening the models")
}

/// The folder that was named, or `models` inside the data folder.
fn model_folder(config: &Config) -> PathBuf {
    config.models.folder.clone().unwrap_or_else(|| config.data_folder.0.join("models"))
}

fn open_ledger(
    config: &Config,
    keeping: Keeping,
    policies: Arc<dyn Policies>,
    models: Arc<ModelShelf>,
) -> anyhow::Result<(Arc<dyn Ledger>, Option<ReplicaKey>)> {
    let folder = &config.data_folder.0;
    let key = audit_key(&config.audit)?;
    let options = ledger_options(config, key.as_ref());
    let assessor: Arc<dyn Assessor> = Arc::new(StandingRules::new(policies, models, key));
    match keeping {
        Keeping::Memory => {
            let ledger = JournaledLedger::open(Arc::new(MemoryJournal::default()), None, options, assessor);
            Ok((Arc::new(ledger.context("opening the ledger in memory")?), None))
        }
        Keeping::Folder => {
            let journal = JournalOptions { cache_bytes: config.ledger.journal_cache_bytes, ..JournalOptions::default() };
            let ledger = embedded::open(folder, journal, options, assessor)
                .with_context(|| format!("opening the ledger in {}", folder.display()))?;
            Ok((Arc::new(ledger), None))
        }
        Keeping::Database => {
            let opened = shared::open(&database_url(&config.journal)?, &own_address(config), options, assessor);
            let SharedLedger { ledger, key } = opened.context("opening the ledger in the database")?;
            Ok((Arc::new(ledger), Some(key)))
        }
    }
}

fn database_url(config: &JournalConfig) -> anyhow::Result<DatabaseUrl> {
    match (&config.url, &config.url_file) {
        (Some(url), _) => Ok(DatabaseUrl::new(url.clone())),
        (None, Some(file)) => Ok(DatabaseUrl::from_file(file)?),
        (None, None) => bail!("`journal.url` names no database"),
    }
}

/// What the configuration gives the ledger.
fn ledger_options(config: &Config, configured: Option<&AuditKey>) -> LedgerOptions {
    let LedgerConfig {
        memory_mib,
        cold_after_days: _,
        snapshot_every_records,
        journal_cache_bytes: _,
        group_commands_max,
        queue_commands_max,
    } = config.ledger;
    LedgerOptions {
        group: GroupOptions { group_records: group_commands_max, queue_records: queue_commands_max, ..GroupOptions::default() },
        snapshot_every_records,
        memory_bytes_max: memory_mib << 20,
        late_facts: LateFacts::LookedAt,
        cold_after: config.ledger.cold_after().map_or(ColdAfter::Never, ColdAfter::Unmet),
        audit_keys: if configured.is_some() { AuditKeys::Configured } else { AuditKeys::MadeOnce },
        seed: rand::thread_rng().next_u64(),
    }
}

fn welcome(config: &Config, keeping: Keeping, address: SocketAddr, policies: &PolicyStore, models: &ModelStore) -> String {
    let data = match keeping {
        Keeping::Memory => "memory only; lost at the end".to_owned(),
        Keeping::Folder => config.data_folder.0.display().to_string(),
        Keeping::Database => format!("a shared database; files of models in {}", config.data_folder.0.display()),
    };
    let policies = policies.in_force();
    let policy_version = policies.default.version();
    let own = match policies.programs.len() {
        0 => String::new(),
        count => format!(", and {count} of programmes with their own"),
    };
    let origin = config.policy.file.as_ref().map_or_else(|| "shipped".to_owned(), |path| path.display().to_string());
    let model = match policies.default.score().source {
        ScoreSource::Model => format!("{}  ({})", models.default_model().name.version, model_origin(models)),
        ScoreSource::Judgement => "none; the policy scores by its rules' weights".to_owned(),
    };
    let console =
        config.console.listen.map_or_else(|| "none; --console 127.0.0.1:50052 opens it".to_owned(), |at| format!("http://{at}/"));
    let rest = config
        .rest
        .listen
        .map_or_else(|| "none; --rest 127.0.0.1:50053 opens it".to_owned(), |at| format!("http://{at}/openapi.json"));
    let gateway =
        config.gateway.listen.map_or_else(|| "none; --gateway 127.0.0.1:50054 opens it".to_owned(), |at| format!("http://{at}/"));
    let metrics = config.metrics.listen.map_or_else(|| "none".to_owned(), |at| format!("http://{at}/metrics"));
    let (spoken, flags) = match (&config.tls.certificate_file, &config.tls.client_ca_file) {
        (None, _) => ("plaintext", "-plaintext"),
        (Some(_), None) => ("TLS", "-cacert CA.pem"),
        (Some(_), Some(_)) => ("TLS, with client certificates", "-cacert CA.pem -cert CLIENT.pem -key CLIENT.key"),
    };
    format!(
        "selfsame {version} serves
  API      {address}  (gRPC, {spoken}, with reflection)
  console  {console}
  REST     {rest}
  gateway  {gateway}
  metrics  {metrics}
  data     {data}
  policy   {policy_version}  ({origin}{own})
  model    {model}

Try:
  grpcurl {flags} {address} list
  grpcurl {flags} {address} describe selfsame.v1.Conversion
  grpcurl {flags} -d '{{\"program_id\":\"shop\"}}' {address} selfsame.v1.ReviewService/ListCases
  grpcurl {flags} -d '{{\"program_id\":\"shop\",\"payouts\":[{{\"reward_id\":\"r-1\",\"conversion_id\":\"cv-1\"}}]}}' {address} selfsame.v1.PayoutService/CheckPayouts

Ctrl-C drains and stops. HUP (pid {pid}) reads the policies and the certificate again.",
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
    )
}

/// Where the default model comes from.
fn model_origin(models: &ModelStore) -> &'static str {
    if models.default_is_shipped() { "shipped" } else { "default.json of the model folder" }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    #[test]
    fn a_data_folder_without_effect_is_refused() {
        assert!(Line::try_parse_from(["serve", "--memory"]).unwrap().serve.memory);
        let refused = Line::try_parse_from(["serve", "--memory", "--data-dir", "d"]).unwrap_err();
        assert_eq!(refused.kind(), clap::error::ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_data_folder_that_is_a_file_is_named_itself() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("afile");
        std::fs::write(&file, "").unwrap();
        let refused = make_data_folder(&file).unwrap_err().to_string();
        assert!(refused.contains("afile` is not a folder") && refused.contains("--data-dir"), "{refused}");
        make_data_folder(&folder.path().join("new")).unwrap();
        assert!(folder.path().join("new").is_dir());
    }
}
