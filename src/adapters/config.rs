//! Configuration: defaults, then the file, then the environment, then the command line; each may overrule the one before.
//!
//! It must never print a secret, and never start a service with a value that it did not check. `serve` and the commands that share its
//! ledger call it. `docs/selfsame.example.toml` shows every key.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::error::{Actual, Kind};
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::{Figment, Metadata, Profile, Provider, value};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::log_filter;
use super::tls::TlsConfig;
use crate::screening::similarity::closest;
use crate::vocabulary::time::Span;

/// The prefix of all variables. Sections are joined with two underscores: `SELFSAME_LIMITS__IN_FLIGHT_MAX`.
pub const VARIABLE_PREFIX: &str = "SELFSAME_";
/// The file that is read when none is named, if it is there.
pub const USUAL_FILE: &str = "selfsame.toml";

/// The keys at the top of the configuration. Variables that begin with none of them (an orchestrator sets `SELFSAME_SERVICE_HOST` for a
/// service of this name) are not ours; `stray_variables` finds those among them that were meant for us.
pub(super) const TOP_KEYS: [&str; 17] = [
    "listen",
    "tls",
    "access",
    "console",
    "rest",
    "gateway",
    "data_folder",
    "journal",
    "policy",
    "models",
    "metrics",
    "traces",
    "limits",
    "ledger",
    "retention",
    "audit",
    "log",
];

/// Everything that an operator can set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the API listens.
    pub listen: ListenAddress,
    /// How connections are protected.
    pub tls: TlsConfig,
    /// Who may call.
    pub access: AccessConfig,
    /// The review queue in a browser.
    pub console: WebConfig,
    /// The API as JSON over HTTP.
    pub rest: WebConfig,
    /// What programmes already send to others.
    pub gateway: GatewayConfig,
    /// The folder that holds everything that must not be lost.
    pub data_folder: DataFolder,
    /// The database that many replicas share, where there is one.
    pub journal: JournalConfig,
    /// Where policies come from.
    pub policy: PolicyConfig,
    /// Where models come from.
    pub models: ModelsConfig,
    /// Where metrics are shown.
    pub metrics: MetricsConfig,
    /// Where traces are sent.
    pub traces: TracesConfig,
    /// How much the server takes on.
    pub limits: LimitsConfig,
    /// How the ledger uses memory and disk.
    pub ledger: LedgerConfig,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// The audit sample.
    pub audit: AuditConfig,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// Where the API listens. Default: `127.0.0.1:50051`, which only this machine reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListenAddress(pub SocketAddr);

impl Default for ListenAddress {
    fn default() -> Self {
        Self(SocketAddr::from(([127, 0, 0, 1], 50_051)))
    }
}

/// Who may call, beside those whom the ledger knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// The file of the first administrator's token: read where the ledger knows no callers yet, and made with a new token where there is none.
    pub admin_token_file: Option<PathBuf>,
    /// Whether anybody may do anything who reaches an address beyond this machine, as long as the ledger knows no callers.
    pub anybody: bool,
}

/// A port on which HTTP/1.1 is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Where it is found; nowhere unless it is named, and with `none`.
    #[serde(serialize_with = "write_optional_address", deserialize_with = "read_optional_address")]
    pub listen: Option<SocketAddr>,
    /// Whether it is reached through TLS, which a proxy before it speaks. Needed beyond this machine; the console's cookies then go no other way.
    pub https: bool,
}

/// What programmes already send to others: Stripe's and Chargebee's webhooks, an events API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Where it is sent; nowhere unless it is named, and with `none`.
    #[serde(serialize_with = "write_optional_address", deserialize_with = "read_optional_address")]
    pub listen: Option<SocketAddr>,
    /// Whether senders reach it through TLS, which a proxy before it speaks. Needed beyond this machine.
    pub https: bool,
    /// The programmes for which something is taken, by their ids.
    pub programs: BTreeMap<String, GatewayProgramConfig>,
}

/// What the gateway needs to know of a programme. Secrets stand in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayProgramConfig {
    /// The file of the key that e-mails, names and payment instruments are digested with: that of the programme's other callers. Required.
    pub key_file: Option<PathBuf>,
    /// The id of that key.
    pub key_id: String,
    /// The file of the key before it, while keys rotate.
    pub previous_key_file: Option<PathBuf>,
    /// The id of the key before it.
    pub previous_key_id: String,
    /// The signing secrets of Stripe's endpoints, one a line; absent: Stripe is not listened to.
    pub stripe_secrets_file: Option<PathBuf>,
    /// `user:password` of Chargebee's webhooks, one a line; absent: Chargebee is not listened to.
    pub chargebee_credentials_file: Option<PathBuf>,
    /// The names under which a referral code is attached to a customer; the first that is there counts.
    pub code_names: Vec<String>,
    /// The names under which the new user's id is attached.
    pub user_names: Vec<String>,
    /// Prices of plans, so that an amount in whole units is noticed. Unit: the minor unit.
    pub plan_prices_minor: Vec<i64>,
}

impl Default for GatewayProgramConfig {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            key_file: None,
            key_id: "k1".to_owned(),
            previous_key_file: None,
            previous_key_id: "k0".to_owned(),
            stripe_secrets_file: None,
            chargebee_credentials_file: None,
            code_names: names(&["cello_ucc", "ucc"]),
            user_names: names(&["new_user_id", "cello_new_user_id"]),
            plan_prices_minor: Vec::new(),
        }
    }
}

/// The folder of the ledger. Default: `selfsame-data` in the working folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataFolder(pub PathBuf);

impl Default for DataFolder {
    fn default() -> Self {
        Self(PathBuf::from("selfsame-data"))
    }
}

/// The database that many replicas share. Without it the journal is in the data folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// The database, like `postgres://user:password@host/database`. Best set by `SELFSAME_JOURNAL__URL`, for it can hold a password.
    #[serde(skip_serializing, deserialize_with = "read_secret")]
    pub url: Option<SecretString>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// Where the other replicas reach this one, like `10.0.0.7:50051`; absent: where it listens.
    pub address: Option<String>,
}

impl JournalConfig {
    /// Whether there is a database.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.url.is_some() || self.url_file.is_some()
    }
}

/// Where policies come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// The file of the default policy; the shipped one when absent.
    pub file: Option<PathBuf>,
    /// A folder of `<programme>.toml` for programmes with their own policy; absent when none has.
    pub folder: Option<PathBuf>,
}

/// Where models come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// The folder of model files and of the choice among them; `models` inside the data folder when absent.
    pub folder: Option<PathBuf>,
}

/// Where metrics are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Where Prometheus finds them; `none` in the file switches them off.
    #[serde(serialize_with = "write_optional_address", deserialize_with = "read_optional_address")]
    pub listen: Option<SocketAddr>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9_464))) }
    }
}

/// Where traces are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// The collector beside this server, by OTLP over gRPC in plaintext, like `http://127.0.0.1:4317`; absent: no traces.
    pub endpoint: Option<String>,
    /// The share of calls that are traced, of those whose caller has not decided it. Range: 0 to 1.
    pub share: f64,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self { endpoint: None, share: 0.01 }
    }
}

/// How much the server takes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Calls in flight over all connections; more are refused at once with `RESOURCE_EXHAUSTED`. Range: 1 to 1,000,000.
    pub in_flight_max: usize,
    /// Open streams over all connections. Range: 1 to 100,000.
    pub streams_max: usize,
    /// Conversions of one stream that are screened at a time. Range: 1 to 10,000.
    pub stream_in_flight_max: usize,
    /// The largest message that is read. Unit: bytes. Range: 64 KiB to 64 MiB.
    pub message_bytes_max: usize,
    /// The longest that a call may take. Unit: milliseconds. Range: 10 ms to 10 minutes.
    pub deadline_millis: u64,
    /// How long a shutdown waits for running calls. Unit: seconds. Range: 0 to 600.
    pub drain_seconds: u64,
    /// The age at which a connection is asked to reconnect, so that clients spread over replicas. Unit: seconds. 0 means never.
    pub connection_age_seconds: u64,
    /// Connections in all; more are closed at once. Fewer where the process may not have so many descriptors. Range: 1 to 1,000,000.
    pub connections_max: usize,
    /// Connections of one address, or of one IPv6 network of 64 bits. Range: 1 to 1,000,000.
    pub connections_an_address_max: usize,
    /// Calls of one connection at a time. Range: 1 to 10,000.
    pub connection_streams_max: u32,
    /// How long agreeing on TLS, and each frame that a client began to send, may take. Unit: seconds. Range: 1 to 600.
    pub connection_frame_seconds: u64,
    /// How long a connection may be there before its first call. Unit: seconds. Range: 1 to 86,400.
    pub connection_first_call_seconds: u64,
    /// How long a connection may be there without a call. Unit: seconds. 0 means for ever. Range: 0 to 86,400.
    pub connection_idle_seconds: u64,
    /// What requests may hold from their first byte until they are answered, over all connections; of calls beyond it each is refused at once. One caller
    /// may hold half. Unit: MiB. Range: 1 to 65,536, and at least twice the largest message.
    pub request_mib: usize,
    /// What answers of streams may hold that their readers have not taken, over all streams. One caller may hold half. Unit: MiB. Range: 1 to 65,536.
    pub unread_mib: usize,
    /// Calls, and conversions of streams, that one caller gains in a second. Unit: calls a second. 0: as many as it likes.
    pub calls_per_second_per_caller: u32,
    /// Calls that one caller may make at once when it was quiet. 0: what it gains in a second.
    pub burst_per_caller: u32,
    /// How often one caller may ask about one person (its account, mailbox or payment instrument) in ten minutes: screen it, or look at its decisions. 0: as
    /// often as it likes.
    pub asks_about_one: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            in_flight_max: 1_024,
            streams_max: 256,
            stream_in_flight_max: 128,
            message_bytes_max: 4 << 20,
            deadline_millis: 30_000,
            drain_seconds: 20,
            connection_age_seconds: 0,
            connections_max: 2_048,
            connections_an_address_max: 1_024,
            connection_streams_max: 200,
            connection_frame_seconds: 10,
            connection_first_call_seconds: 60,
            connection_idle_seconds: 300,
            request_mib: 64,
            unread_mib: 64,
            calls_per_second_per_caller: 0,
            burst_per_caller: 0,
            asks_about_one: 60,
        }
    }
}

impl LimitsConfig {
    /// The longest that a call may take.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_millis)
    }

    /// How long a shutdown waits for running calls.
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// The age at which a connection is asked to reconnect; absent means never.
    #[must_use]
    pub fn connection_age(&self) -> Option<Duration> {
        (self.connection_age_seconds > 0).then(|| Duration::from_secs(self.connection_age_seconds))
    }
}

/// How the ledger uses memory and disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// Memory that what is known may take; beyond it writes are refused with `RESOURCE_EXHAUSTED`. Unit: MiB. Range: 16 to 1,048,576.
    pub memory_mib: usize,
    /// Signals of accounts that nobody met for so long move from memory to the disk, until somebody does. Unit: days. 0 keeps all in memory; otherwise
    /// at least 7.
    pub cold_after_days: u32,
    /// Records of a programme after which a snapshot is taken, so that the next start need not replay them. Range: 1,000 to 100,000,000.
    pub snapshot_every_records: u64,
    /// Memory that the journal's store is asked to keep to; it takes it as a wish. Unit: bytes. Range: 1 MiB to 64 GiB.
    pub journal_cache_bytes: u64,
    /// Commands that become durable with one write. Range: 1 to 65,536.
    pub group_commands_max: usize,
    /// Commands that wait to be written; more are refused with `RESOURCE_EXHAUSTED`. Range: 1 to 1,000,000.
    pub queue_commands_max: usize,
}

impl LedgerConfig {
    /// How long signals stay in memory that nobody met; absent when for ever.
    #[must_use]
    pub fn cold_after(&self) -> Option<Span> {
        (self.cold_after_days > 0).then(|| Span::from_days(self.cold_after_days.into()))
    }
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            memory_mib: 4_096,
            // Judgement: what is asked of a referral (its payout delay, its refunds and disputes) has been asked by then.
            cold_after_days: 180,
            snapshot_every_records: 50_000,
            journal_cache_bytes: 64 << 20,
            group_commands_max: 512,
            queue_commands_max: 4_096,
        }
    }
}

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Records and sightings that are older are removed. Unit: days. 0 keeps them for ever; otherwise at least 90, which evidence needs, and at least
    /// the longest payout delay.
    pub days: u32,
    /// Refunds and disputes that wait for longer for a purchase that nobody reported are given up. Unit: days. Range: 1 to 36,500.
    pub pending_outcome_days: u32,
}

impl RetentionConfig {
    /// How long records are kept; absent when for ever.
    #[must_use]
    pub fn age(&self) -> Option<Span> {
        (self.days > 0).then(|| Span::from_days(self.days.into()))
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        // Judgement: card networks let a payer dispute for up to 120 days.
        Self { days: 0, pending_outcome_days: 180 }
    }
}

/// The audit sample.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// The secret that picks the sample, at least 32 characters. Best set by `SELFSAME_AUDIT__KEY`. Absent: `key_file`, or a key that is
    /// made once and kept in the data folder.
    #[serde(skip_serializing, deserialize_with = "read_secret")]
    pub key: Option<SecretString>,
    /// A file that holds the secret.
    pub key_file: Option<PathBuf>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter like `selfsame=debug,tonic=warn`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// Decisions that have a line of their own in a second, and as many refusals; how many had none is told with the next line. 0: none has.
    pub lines_per_second: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text, lines_per_second: 100 }
    }
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// One value that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigViolation {
    /// The dotted key, like `limits.in_flight_max`; empty when a whole source cannot be read.
    pub key: String,
    /// Where it was set, like `selfsame.toml` or an environment variable; empty for a default.
    pub origin: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for ConfigViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.problem)?;
        if self.origin.is_empty() { Ok(()) } else { write!(f, " (set by {})", self.origin) }
    }
}

/// Why there is no configuration. The operator changes what is named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is not usable:\n{}", .0.iter().map(|violation| format!("  {violation}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<ConfigViolation>);

/// Values of the command line, by their dotted keys.
#[derive(Debug, Clone, Default)]
pub struct CommandLine(Vec<(&'static str, String)>);

impl CommandLine {
    /// Notes a value if it was given.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (key, value.to_string())));
        self
    }
}

impl Provider for CommandLine {
    fn metadata(&self) -> Metadata {
        Metadata::named("the command line")
    }

    fn data(&self) -> Result<value::Map<Profile, value::Dict>, figment::Error> {
        let mut values = value::Dict::new();
        for (key, text) in &self.0 {
            let value: value::Value = text.parse().unwrap_or_else(|_| text.clone().into());
            match key.split_once('.') {
                None => {
                    values.insert((*key).to_owned(), value);
                }
                Some((section, key)) => {
                    let earlier = values.remove(section).and_then(value::Value::into_dict).unwrap_or_default();
                    let entry = std::iter::once((key.to_owned(), value));
                    values.insert(section.to_owned(), earlier.into_iter().chain(entry).collect::<value::Dict>().into());
                }
            }
        }
        Ok(Profile::Default.collect(values))
    }
}

impl Config {
    /// Reads the configuration. `file`: the one that was named; when none was, [`USUAL_FILE`] is read if it is there.
    ///
    /// # Errors
    /// [`ConfigError`] with every value that is wrong as far as can be told at once.
    pub fn load(file: Option<&Path>, command_line: CommandLine) -> Result<Self, ConfigError> {
        if let Some((named, cause)) = file.and_then(|named| Some((named, std::fs::metadata(named).err()?))) {
            let problem =
                format!("the file `{}` (--config, or `{VARIABLE_PREFIX}CONFIG`) cannot be read: {cause}", named.display());
            return Err(ConfigError(vec![ConfigViolation { key: String::new(), origin: String::new(), problem }]));
        }
        let file = match file {
            Some(named) => Toml::file_exact(named),
            None => Toml::file(USUAL_FILE),
        };
        let is_ours = |key: &str| {
            let top = key.split('.').next().unwrap_or_default();
            TOP_KEYS.iter().any(|known| known.eq_ignore_ascii_case(top))
        };
        let variables = Env::prefixed(VARIABLE_PREFIX).split("__").filter(move |key| is_ours(key.as_str()));
        let figment = Figment::from(Serialized::defaults(Self::default())).merge(file).merge(variables).merge(command_line);
        let config: Self = figment.extract().map_err(|errors| ConfigError(errors.into_iter().map(violation).collect()))?;
        let wrong = config.violations();
        if wrong.is_empty() {
            return Ok(config);
        }
        let located = wrong.into_iter().map(|(key, problem)| ConfigViolation {
            origin: origin_of(figment.find_metadata(key), key),
            key: key.to_owned(),
            problem,
        });
        Err(ConfigError(located.collect()))
    }

    /// How the log looks, as far as the sources that can be read say so: what is wrong with the configuration is said in that form too.
    #[must_use]
    pub fn log_format_alone(file: Option<&Path>, command_line: CommandLine) -> LogFormat {
        let variables = Env::prefixed(VARIABLE_PREFIX).split("__").filter(|key| key.as_str().to_lowercase().starts_with("log"));
        let spoken = Figment::from(variables).merge(command_line);
        let all = Figment::from(Toml::file(file.unwrap_or(Path::new(USUAL_FILE)))).merge(spoken.clone());
        let format = |sources: &Figment| sources.extract_inner::<LogFormat>("log.format").ok();
        format(&all).or_else(|| format(&spoken)).unwrap_or(LogFormat::Text)
    }

    /// What the types cannot say.
    fn violations(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut within = |key: &'static str, value: u64, low: u64, high: u64| {
            if !(low..=high).contains(&value) {
                found.push((key, format!("is {value}; it must be between {low} and {high}")));
            }
        };
        let Self { limits, ledger, retention, .. } = self;
        within("limits.in_flight_max", limits.in_flight_max as u64, 1, 1_000_000);
        within("limits.streams_max", limits.streams_max as u64, 1, 100_000);
        within("limits.stream_in_flight_max", limits.stream_in_flight_max as u64, 1, 10_000);
        within("limits.message_bytes_max", limits.message_bytes_max as u64, 64 << 10, 64 << 20);
        within("limits.deadline_millis", limits.deadline_millis, 10, 600_000);
        within("limits.drain_seconds", limits.drain_seconds, 0, 600);
        within("limits.connection_age_seconds", limits.connection_age_seconds, 0, 30 * 86_400);
        within("limits.connections_max", limits.connections_max as u64, 1, 1_000_000);
        within("limits.connections_an_address_max", limits.connections_an_address_max as u64, 1, 1_000_000);
        within("limits.connection_streams_max", limits.connection_streams_max.into(), 1, 10_000);
        within("limits.connection_frame_seconds", limits.connection_frame_seconds, 1, 600);
        within("limits.connection_first_call_seconds", limits.connection_first_call_seconds, 1, 86_400);
        within("limits.connection_idle_seconds", limits.connection_idle_seconds, 0, 86_400);
        within("limits.request_mib", limits.request_mib as u64, 1, 1 << 16);
        within("limits.unread_mib", limits.unread_mib as u64, 1, 1 << 16);
        within("ledger.memory_mib", ledger.memory_mib as u64, 16, 1 << 20);
        within("ledger.snapshot_every_records", ledger.snapshot_every_records, 1_000, 100_000_000);
        within("ledger.journal_cache_bytes", ledger.journal_cache_bytes, 1 << 20, 64 << 30);
        within("ledger.group_commands_max", ledger.group_commands_max as u64, 1, 65_536);
        within("ledger.queue_commands_max", ledger.queue_commands_max as u64, 1, 1_000_000);
        within("retention.pending_outcome_days", u64::from(retention.pending_outcome_days), 1, 36_500);
        if retention.days != 0 && !(90..=36_500).contains(&retention.days) {
            let problem = format!("is {}; it must be 0, which keeps all for ever, or between 90 and 36500", retention.days);
            found.push(("retention.days", problem));
        }
        if ledger.cold_after_days != 0 && !(7..=36_500).contains(&ledger.cold_after_days) {
            let problem =
                format!("is {}; it must be 0, which keeps all in memory, or between 7 and 36500", ledger.cold_after_days);
            found.push(("ledger.cold_after_days", problem));
        }
        found.extend(self.tls.violations(self.listen.0));
        if (1..=1 << 16).contains(&limits.request_mib) && limits.request_mib << 20 < 2 * limits.message_bytes_max {
            let problem = format!(
                "is {}; it must hold two of the largest messages (`limits.message_bytes_max` is {}), because one caller may hold half of it",
                limits.request_mib, limits.message_bytes_max
            );
            found.push(("limits.request_mib", problem));
        }
        if limits.burst_per_caller > 0 && limits.calls_per_second_per_caller == 0 {
            let problem = "has no effect without `limits.calls_per_second_per_caller`".to_owned();
            found.push(("limits.burst_per_caller", problem));
        }
        if self.audit.key.is_some() && self.audit.key_file.is_some() {
            found.push(("audit.key_file", "stands beside `audit.key`; give one of the two".to_owned()));
        }
        if self.journal.url.is_some() && self.journal.url_file.is_some() {
            found.push(("journal.url_file", "stands beside `journal.url`; give one of the two".to_owned()));
        }
        if self.journal.is_shared() && self.journal.address.is_none() && self.listen.0.ip().is_unspecified() {
            let problem = format!(
                "is needed: nobody reaches `{}`; name the address at which the other replicas reach this one",
                self.listen.0
            );
            found.push(("journal.address", problem));
        }
        if let Some(problem) = log_filter::problem_of(&self.log.level) {
            found.push(("log.level", problem));
        }
        if !(0.0..=1.0).contains(&self.traces.share) {
            found.push(("traces.share", format!("is {}; it must be between 0 and 1", self.traces.share)));
        }
        if let Some(endpoint) = self.traces.endpoint.as_deref().filter(|endpoint| !is_plaintext_url(endpoint)) {
            let problem = format!(
                "is `{endpoint}`; it must be like `http://127.0.0.1:4317`: a collector beside this server, which speaks TLS to others"
            );
            found.push(("traces.endpoint", problem));
        }
        if self.data_folder.0.as_os_str().is_empty() {
            found.push(("data_folder", "is empty; name a folder".to_owned()));
        }
        found
    }
}

/// Whether it names a server that plaintext gRPC can be spoken with.
fn is_plaintext_url(text: &str) -> bool {
    let url = text.parse::<hyper::Uri>().ok();
    url.is_some_and(|url| url.scheme_str() == Some("http") && url.authority().is_some())
}

/// Where a value was set, in an operator's words; empty for a default.
fn origin_of(metadata: Option<&Metadata>, key: &str) -> String {
    let Some(metadata) = metadata else { return String::new() };
    match &metadata.source {
        Some(source @ (figment::Source::File(_) | figment::Source::Custom(_))) => source.to_string(),
        Some(_) | None if metadata.name.contains("environment") => {
            format!("the variable `{VARIABLE_PREFIX}{}`", key.replace('.', "__").to_uppercase())
        }
        // A default is a value in this file's own code.
        Some(_) => String::new(),
        None => metadata.name.to_string(),
    }
}

fn violation(error: figment::Error) -> ConfigViolation {
    let mut key = error.path.join(".");
    let problem = match &error.kind {
        Kind::UnknownField(name, expected) => {
            if error.path.last() != Some(name) {
                key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            }
            match closest(name, expected.iter().copied()) {
                Some(known) => format!("is not a key; did you mean `{known}`?"),
                None => format!("is not a key; the keys here are `{}`", expected.join("`, `")),
            }
        }
        // A wrong secret must not be shown.
        _ if key == "journal.url" => "must be text in quotes, like \"postgres://user:password@host/database\"".to_owned(),
        _ if key == "audit.key" => "must be text in quotes of at least 32 characters".to_owned(),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            not_a_count(found, expected).unwrap_or_else(|| format!("is not usable: {}", error.kind))
        }
        other => format!("is not usable: {other}"),
    };
    let origin = origin_of(error.metadata.as_ref(), &key);
    if key.is_empty() {
        let source = if origin.is_empty() { "a source".to_owned() } else { format!("`{origin}`") };
        return ConfigViolation { key, origin: String::new(), problem: format!("{source} {problem}") };
    }
    ConfigViolation { key, origin, problem }
}

/// What is said of something that stands where a whole number is counted; `None` where something else is expected.
fn not_a_count(found: &Actual, expected: &str) -> Option<String> {
    let found = match found {
        Actual::Signed(number) => number.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("`{text}`"),
        other => other.to_string(),
    };
    match expected {
        "u32" => Some(format!("is {found}; it must be a whole number of 0 or more, and less than {}", 1_u64 << 32)),
        "u64" | "usize" => Some(format!("is {found}; it must be a whole number of 0 or more")),
        _ => None,
    }
}

pub(crate) fn read_optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "none" { Ok(None) } else { text.parse().map(Some).map_err(|_| serde::de::Error::custom(NOT_AN_ADDRESS)) }
}

/// What is said of a metrics address that is none.
const NOT_AN_ADDRESS: &str = "write an address with its port, like `127.0.0.1:9464`, or `none`";

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(crate) fn write_optional_address<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_str("none"),
    }
}

fn read_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(SecretString::from(text)))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
