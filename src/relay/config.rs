//! What the relay is told in its file: where its state is, which receivers and streams there are. `docs/relay.example.toml` shows every key.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::codegen::http::Uri;

use super::told::{kind_words, verdict_words};
use crate::adapters::config::{LogFormat, read_optional_address, write_optional_address};
use crate::adapters::log_filter::problem_of;
use crate::vocabulary::ids::{AccountId, ProgramId};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {cause}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("`{}`: {problem}", file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Values cannot be used; all of them are named.
    #[error("`{}`:\n  {}", file.display(), problems.join("\n  "))]
    Values {
        /// Which.
        file: PathBuf,
        /// The key, and what is wrong with it.
        problems: Vec<String>,
    },
}

/// Everything that an operator of a relay can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// The folder of what must not be lost: what waits, what is dead, and how far each receiver is.
    pub folder: PathBuf,
    /// Where metrics are shown.
    pub metrics: Metrics,
    /// What is logged, and how.
    pub log: Log,
    /// Receivers of webhooks.
    pub webhooks: Vec<WebhookConfig>,
    /// Streams of NATS JetStream.
    pub nats: Vec<NatsConfig>,
}

impl Default for RelayConfig {
    fn default() -> Self {
        let folder = PathBuf::from("selfsame-relay");
        Self { folder, metrics: Metrics::default(), log: Log::default(), webhooks: Vec::new(), nats: Vec::new() }
    }
}

/// Where metrics are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Where Prometheus finds them; `none` switches them off.
    #[serde(serialize_with = "write_optional_address", deserialize_with = "read_optional_address")]
    pub listen: Option<SocketAddr>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9_465))) }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter like `selfsame=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info,async_nats=warn".to_owned(), format: LogFormat::Text }
    }
}

/// A receiver of webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// What it is called here: small letters, digits, `-` and `_`. Its state hangs on it.
    pub name: String,
    /// The programme whose feed it gets.
    pub program: String,
    /// Where it is.
    pub url: String,
    /// The file of its secrets, one `whsec_…` a line, the newest first; each signs. Read again when it changes.
    pub secrets_file: PathBuf,
    /// Kinds of event that it gets; empty for all.
    pub kinds: Vec<String>,
    /// Verdicts after the event that it gets; empty for all, and for events without one.
    pub verdicts: Vec<String>,
    /// The one referrer whose events it gets; empty for all.
    pub referrer: String,
    /// Whether it may be `http` beyond this machine.
    pub plaintext: bool,
    /// The authorities that its certificate may be of, as PEM; empty for those of this machine.
    pub ca: PathBuf,
    /// How long is waited for an answer. Unit: seconds.
    pub timeout_seconds: f64,
    /// How long is waited after each attempt that failed, give or take a fifth; after the last, the message is dead. Unit: seconds.
    pub retry_after_seconds: Vec<f64>,
    /// Attempts at a time, of different referrals.
    pub in_flight_max: usize,
    /// Messages that wait; the feed is not read further while there are as many.
    pub waiting_max: usize,
    /// Dead messages; with as many the receiver is switched off, so that nothing is thrown away.
    pub dead_max: usize,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            program: String::new(),
            url: String::new(),
            secrets_file: PathBuf::new(),
            kinds: Vec::new(),
            verdicts: Vec::new(),
            referrer: String::new(),
            plaintext: false,
            ca: PathBuf::new(),
            timeout_seconds: 15.0,
            // The example of the standard, and half a minute for a receiver that is being exchanged.
            retry_after_seconds: vec![5.0, 30.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0],
            in_flight_max: 8,
            waiting_max: 10_000,
            dead_max: 10_000,
        }
    }
}

/// A stream of NATS JetStream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsConfig {
    /// What it is called here: small letters, digits, `-` and `_`.
    pub name: String,
    /// The programme whose feed it gets.
    pub program: String,
    /// The servers, by commas: `nats://` or `tls://`, host and port.
    pub url: String,
    /// The file of the credentials (`.creds`); empty for none, or for what the URL says.
    pub credentials_file: PathBuf,
    /// The authorities that the servers' certificates may be of, as PEM; empty for those of this machine.
    pub ca: PathBuf,
    /// The stream.
    pub stream: String,
    /// What subjects begin with: `<subject>.<program>.<kind>`.
    pub subject: String,
    /// Whether the stream is made where there is none.
    pub create_stream: bool,
    /// How long a stream that is made here knows a message by its id. Unit: seconds.
    pub duplicate_window_seconds: u64,
    /// Messages that wait for their acknowledgement at a time.
    pub in_flight_max: usize,
    /// How long is waited for an acknowledgement. Unit: seconds.
    pub timeout_seconds: f64,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            program: String::new(),
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials_file: PathBuf::new(),
            ca: PathBuf::new(),
            stream: "SELFSAME".to_owned(),
            subject: "selfsame".to_owned(),
            create_stream: false,
            duplicate_window_seconds: 120,
            in_flight_max: 256,
            timeout_seconds: 5.0,
        }
    }
}

/// The longest wait that can be set. Unit: seconds.
const WAIT_SECONDS_MAX: f64 = 7.0 * 86_400.0;
/// The longest that an answer may take. Unit: seconds.
const TIMEOUT_SECONDS_MAX: f64 = 300.0;

/// A path, unless it is empty.
pub(super) fn named(path: &Path) -> Option<&Path> {
    (!path.as_os_str().is_empty()).then_some(path)
}

/// Whether there is no way between here and a host.
fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl WebhookConfig {
    /// How long is waited for an answer.
    pub(super) fn within(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds)
    }

    /// The address.
    pub(super) fn uri(&self) -> Uri {
        self.url.parse().unwrap_or_default()
    }

    fn look(&self, at: &str, problems: &mut Vec<String>) {
        match self.url.parse::<Uri>() {
            Ok(uri) if uri.host().is_none_or(str::is_empty) => {
                problems.push(format!("{at}.url must be an address like https://example.com/hooks"));
            }
            Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
                problems.push(format!("{at}.url holds a name or a password; receivers know the relay by its signatures"));
            }
            Ok(uri) => match uri.scheme_str() {
                Some("https") => {}
                Some("http") if self.plaintext || is_this_machine(&uri) => {}
                Some("http") => problems.push(format!(
                    "{at}.url is plaintext, which others can read on its way: write https://, or set plaintext = true"
                )),
                _ => problems.push(format!("{at}.url must begin with https://")),
            },
            Err(_) => problems.push(format!("{at}.url must be an address like https://example.com/hooks")),
        }
        if named(&self.secrets_file).is_none() {
            problems.push(format!("{at}.secrets_file must name a file with a line `whsec_…`; `selfsame relay secret` makes one"));
        }
        for (key, words, known) in [("kinds", &self.kinds, kind_words()), ("verdicts", &self.verdicts, verdict_words())] {
            for word in words.iter().filter(|word| !known.contains(word)) {
                problems.push(format!("{at}.{key} holds `{word}`; there are {}", known.join(", ")));
            }
        }
        if !self.referrer.is_empty() && AccountId::new(&self.referrer).is_err() {
            problems.push(format!("{at}.referrer must be the id of an account, or empty"));
        }
        timeout(self.timeout_seconds, at, problems);
        if self.retry_after_seconds.len() > 100
            || self.retry_after_seconds.iter().any(|wait| !(0.0..=WAIT_SECONDS_MAX).contains(wait))
        {
            problems.push(format!("{at}.retry_after_seconds takes at most 100 numbers, each 0 to 604800"));
        }
        within(self.in_flight_max, 1..=256, &format!("{at}.in_flight_max"), problems);
        within(self.waiting_max, 1..=100_000, &format!("{at}.waiting_max"), problems);
        within(self.dead_max, 1..=100_000, &format!("{at}.dead_max"), problems);
    }
}

impl NatsConfig {
    fn look(&self, at: &str, problems: &mut Vec<String>) {
        if self.url.is_empty() {
            problems.push(format!("{at}.url must name a server like nats://127.0.0.1:4222"));
        }
        if self.stream.is_empty() || self.stream.contains(['.', '*', '>', ' ', '/', '\\']) {
            problems.push(format!("{at}.stream must be the name of a stream, without `.`, `*`, `>`, slashes and spaces"));
        }
        if self.subject.is_empty() || self.subject.split('.').any(|token| token.is_empty() || token.contains(['*', '>', ' '])) {
            problems.push(format!("{at}.subject must be the beginning of a subject, like selfsame"));
        }
        timeout(self.timeout_seconds, at, problems);
        within(self.in_flight_max, 1..=4_096, &format!("{at}.in_flight_max"), problems);
        if !(1..=604_800).contains(&self.duplicate_window_seconds) {
            problems.push(format!("{at}.duplicate_window_seconds must be 1 to 604800"));
        }
    }
}

fn timeout(seconds: f64, at: &str, problems: &mut Vec<String>) {
    if !(0.01..=TIMEOUT_SECONDS_MAX).contains(&seconds) {
        problems.push(format!("{at}.timeout_seconds must be 0.01 to {TIMEOUT_SECONDS_MAX}"));
    }
}

fn within(number: usize, range: std::ops::RangeInclusive<usize>, key: &str, problems: &mut Vec<String>) {
    if !range.contains(&number) {
        problems.push(format!("{key} is {number}; it must be {} to {}", range.start(), range.end()));
    }
}

impl RelayConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`]: everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|cause| ConfigError::Unreadable { file: file.to_owned(), cause })?;
        Self::read(&text, file)
    }

    fn read(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let malformed = |error: toml::de::Error| ConfigError::Malformed { file: file.to_owned(), problem: error.to_string() };
        let config: Self = toml::from_str(text).map_err(malformed)?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Values { file: file.to_owned(), problems }) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            problem_of(&self.log.level).into_iter().map(|problem| format!("log.level {problem}")).collect();
        let mut names = BTreeSet::new();
        let mut name = |name: &str, program: &str, at: &str, problems: &mut Vec<String>| {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
            if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
                problems.push(format!("{at}.name must be 1 to 64 small letters, digits, `-` and `_`"));
            } else if !names.insert(name.to_owned()) {
                problems.push(format!("{at}.name is `{name}`, which another one has"));
            }
            if let Err(problem) = ProgramId::new(program) {
                problems.push(format!("{at}.program {problem}"));
            }
        };
        for (number, webhook) in self.webhooks.iter().enumerate() {
            let at = format!("webhooks[{number}]");
            name(&webhook.name, &webhook.program, &at, &mut problems);
            webhook.look(&at, &mut problems);
        }
        for (number, nats) in self.nats.iter().enumerate() {
            let at = format!("nats[{number}]");
            name(&nats.name, &nats.program, &at, &mut problems);
            nats.look(&at, &mut problems);
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../docs/relay.example.toml");

    fn read(text: &str) -> Result<RelayConfig, ConfigError> {
        RelayConfig::read(text, Path::new("relay.toml"))
    }

    #[test]
    fn the_example_states_every_key_and_the_defaults_of_what_has_one() {
        let example = read(EXAMPLE).unwrap();
        let default = RelayConfig::default();
        assert_eq!((&example.folder, &example.metrics, &example.log), (&default.folder, &default.metrics, &default.log));
        let [webhook, nats] =
            [serde_json::to_value(&example.webhooks[0]).unwrap(), serde_json::to_value(&example.nats[0]).unwrap()];
        let usual =
            [serde_json::to_value(WebhookConfig::default()).unwrap(), serde_json::to_value(NatsConfig::default()).unwrap()];
        let own = ["name", "program", "url", "secrets_file"];
        for (shown, usual) in [webhook, nats].iter().zip(&usual) {
            for (key, value) in usual.as_object().unwrap() {
                assert!(EXAMPLE.contains(&format!("\n{key} = ")), "`{key}` is not in the example");
                assert!(own.contains(&key.as_str()) || &shown[key] == value, "`{key}` has not its default in the example");
            }
        }
        for key in ["folder", "listen", "level", "format"] {
            assert!(EXAMPLE.contains(&format!("{key} = ")), "`{key}` is not in the example");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_what_to_do() {
        let text = "[log]\nlevel = \"loud\"\n[[webhooks]]\nname = \"A\"\nprogram = \"\"\nurl = \"http://example.com/\"\nkinds = [\"paied\"]\nin_flight_max = 0\n\
                    retry_after_seconds = [-1.0]\n[[nats]]\nname = \"a\"\nprogram = \"shop\"\nstream = \"a.b\"\n[[nats]]\nname = \"a\"\nprogram = \"shop\"\n";
        let said = read(text).unwrap_err().to_string();
        for part in [
            "log.level holds `loud`, which is no level",
            "webhooks[0].name must be",
            "webhooks[0].program must not be empty",
            "webhooks[0].url is plaintext",
            "webhooks[0].secrets_file must name a file",
            "`paied`; there are decided, case-resolved",
            "webhooks[0].retry_after_seconds takes",
            "webhooks[0].in_flight_max is 0",
            "nats[0].stream must be",
            "nats[1].name is `a`, which another one has",
        ] {
            assert!(said.contains(part), "`{part}` is not said in {said}");
        }
        assert!(read("[[webhooks]]\nsecret = \"x\"").unwrap_err().to_string().contains("secrets_file"));
        assert!(read("[metrics]\nlisten = \"here\"").unwrap_err().to_string().contains("write an address"));
    }

    #[test]
    fn plaintext_is_for_this_machine_unless_it_is_asked_for() {
        let of = |url: &str, more: &str| {
            read(&format!("[[webhooks]]\nname = \"a\"\nprogram = \"shop\"\nsecrets_file = \"s\"\nurl = \"{url}\"\n{more}"))
                .is_ok()
        };
        assert!(of("http://127.0.0.1:1/", "") && of("http://[::1]:1/", "") && of("http://localhost/", ""));
        assert!(of("https://example.com/", "") && of("http://example.com/", "plaintext = true"));
        assert!(!of("http://example.com/", "") && !of("ftp://example.com/", "") && !of("/hooks", "") && !of("", ""));
    }
}
