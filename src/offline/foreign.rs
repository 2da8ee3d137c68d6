//! Other people's data: a CSV file and a mapping of its columns become a labelled history that can be replayed.
//!
//! Whatever identifies a person or a device is digested with a key that is drawn for this run and forgotten, so nothing that leaves the replay
//! can be looked up. A set without referrals has one side only: each sign-up is a referee, and a house account for each source (or one for
//! all) stands for the referrer. The sign-up is learned at its own time, the conversion comes at its own. Called by `train` and `evaluate`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::learning::LearningError;
use crate::adapters::byte_order_mark;
use crate::book::records::RecordedSignals;
use crate::digesting::{
    DigestKind, Digester, InvalidNetworkAddress, InvalidProgrammeKey, ProgrammeKey, digest_device, digest_email, digest_name,
    digest_network, digest_payment, is_placeholder,
};
use crate::vocabulary::bundle::{NetworkSignals, PaymentKind, PaymentPurpose, PaymentSignals, SignalBundle};
use crate::vocabulary::conversion::{Conversion, ConversionKind, RefereeStanding};
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::{AccountId, ConversionId, InvalidId, ProgramId, RecordId};
use crate::vocabulary::journey::{Attribution, CapturedVia, CodeValidity, Journey, Touchpoint, TouchpointKind};
use crate::vocabulary::label::{Label, LabelSource, Truth};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::training::HistoryLine;

/// Why a foreign file cannot be read. Never shows a cell.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// A file cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The mapping is none.
    #[error("the mapping cannot be used: {0}")]
    Mapping(String),
    /// The file is no CSV.
    #[error("the file is not CSV: {0}")]
    Csv(#[from] csv::Error),
    /// A line has other cells than the header.
    #[error("line {line}: has {cells} cells, the header {columns}")]
    Ragged {
        /// Where.
        line: u64,
        /// How many it has.
        cells: u64,
        /// How many the header has.
        columns: u64,
    },
    /// The mapping names a column that the file does not have.
    #[error("the mapping names the column `{column}` for `{role}`, and the file does not have it; it has {present}")]
    NoColumn {
        /// In the mapping.
        role: &'static str,
        /// In the mapping.
        column: String,
        /// In the file.
        present: String,
    },
    /// The first line names none of the mapping's columns, so it is not shown: it may hold data.
    #[error(
        "the first line of the file has none of the mapping's columns, like `{column}` for `{role}`: the mapping is another file's, or the \
         file is not CSV with a header"
    )]
    NoHeader {
        /// In the mapping.
        role: &'static str,
        /// In the mapping.
        column: String,
    },
    /// A cell cannot be read.
    #[error("line {line}: `{role}` {reason}")]
    Cell {
        /// Where.
        line: u64,
        /// What for.
        role: &'static str,
        /// What is wrong, without the cell.
        reason: String,
    },
    /// The key of this run cannot be made.
    #[error(transparent)]
    Key(#[from] InvalidProgrammeKey),
    /// Nothing to learn from.
    #[error(transparent)]
    Learning(#[from] LearningError),
}

/// How a file's columns become signals. Read from TOML.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The programme's name.
    #[serde(default = "foreign")]
    pub program_id: String,
    /// Three capital letters; needed with an amount.
    #[serde(default)]
    pub currency: Option<String>,
    /// How times are written, as `strftime` has it, in UTC. Absent for RFC 3339.
    #[serde(default)]
    pub time_format: Option<String>,
    /// Days after the conversion at which labels became known.
    #[serde(default)]
    pub label_delay_days: i64,
    /// Cells of the label column that mean abusive; all others mean honest, empty ones mean unknown.
    pub abusive: Vec<String>,
    /// Which column is what.
    pub columns: Columns,
}

fn foreign() -> String {
    "foreign".to_owned()
}

/// Which column is what. All but three may be left out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The new user's account.
    pub referee: String,
    /// When the conversion happened.
    pub occurred_at: String,
    /// The label.
    pub label: String,
    /// The account that referred; without it the house refers.
    pub referrer: Option<String>,
    /// The house has one account for each value of this column.
    pub source: Option<String>,
    /// When the referee signed up.
    pub signed_up_at: Option<String>,
    /// What was paid, in major units with a decimal point.
    pub amount: Option<String>,
    /// The referee's device.
    pub device: Option<String>,
    /// The referee's browser or user agent: a plain attribute.
    pub user_agent: Option<String>,
    /// The referee's network address, written out or as a number.
    pub address: Option<String>,
    /// The referee's e-mail address.
    pub email: Option<String>,
    /// The referee's name.
    pub name: Option<String>,
    /// The referee's payment instrument.
    pub payment: Option<String>,
    /// Rows of one group are never split; without it groups follow shared identifiers.
    pub group: Option<String>,
    /// The kind of people, for evaluation.
    pub persona: Option<String>,
}

/// Reads a mapping.
///
/// # Errors
/// [`ForeignError::Io`], [`ForeignError::Mapping`].
pub fn read_mapping(path: &Path) -> Result<Mapping, ForeignError> {
    let text =
        byte_order_mark::read_to_string(path).map_err(|source| ForeignError::Io { path: path.display().to_string(), source })?;
    toml::from_str(&text).map_err(|error| ForeignError::Mapping(error.to_string()))
}

/// Reads a CSV file with a header line as a labelled history. `key` is forgotten afterwards.
///
/// # Errors
/// [`ForeignError`] names the line and what the column was for, never the cell.
pub fn read_csv(mut reader: impl std::io::Read, mapping: &Mapping, key: &[u8; 32]) -> Result<Vec<HistoryLine>, ForeignError> {
    let mut content = Vec::new();
    reader.read_to_end(&mut content).map_err(csv::Error::from)?;
    let key_id = KeyId::new("ephemeral").map_err(|error| ForeignError::Mapping(error.to_string()))?;
    let digester = Digester::new(&ProgrammeKey::from_bytes(key_id, key)?);
    let mut csv = csv::Reader::from_reader(content.as_slice());
    let header = csv.headers()?.clone();
    let places = Places::of(&mapping.columns, &header)?;
    let reader = RowReader { mapping, places, digester };
    let mut lines = Vec::new();
    for record in csv.records() {
        let record = record.map_err(|error| match error.kind() {
            csv::ErrorKind::UnequalLengths { pos: Some(position), expected_len, len } => {
                ForeignError::Ragged { line: line_of(position, &content), cells: *len, columns: *expected_len }
            }
            _ => ForeignError::Csv(error),
        })?;
        let line = record.position().map_or(0, |position| line_of(position, &content));
        lines.push(Row { reader: &reader, record: &record, line }.history_line()?);
    }
    Ok(lines)
}

/// The line on which a record begins. The reader's position stands before empty lines, and before the `\n` of the line before where that
/// ends with `\r\n`.
fn line_of(position: &csv::Position, content: &[u8]) -> u64 {
    let from = usize::try_from(position.byte()).ok().and_then(|byte| content.get(byte..)).unwrap_or_default();
    let skipped = from.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
    position.line() + skipped as u64
}

type Place = Option<usize>;

/// Where each role stands in the file.
struct Places(BTreeMap<&'static str, usize>);

impl Places {
    fn of(columns: &Columns, header: &csv::StringRecord) -> Result<Self, ForeignError> {
        let Columns {
            referee,
            occurred_at,
            label,
            referrer,
            source,
            signed_up_at,
            amount,
            device,
            user_agent,
            address,
            email,
            name,
            payment,
            group,
            persona,
        } = columns;
        let needed = [("referee", referee), ("occurred_at", occurred_at), ("label", label)];
        let optional = [
            ("referrer", referrer),
            ("source", source),
            ("signed_up_at", signed_up_at),
            ("amount", amount),
            ("device", device),
            ("user_agent", user_agent),
            ("address", address),
            ("email", email),
            ("name", name),
            ("payment", payment),
            ("group", group),
            ("persona", persona),
        ];
        let given = optional.into_iter().filter_map(|(role, column)| Some((role, column.as_ref()?)));
        let (mut places, mut missing) = (BTreeMap::new(), None);
        for (role, column) in needed.into_iter().chain(given) {
            match header.iter().position(|name| name == column) {
                Some(place) => {
                    places.insert(role, place);
                }
                None => missing = missing.or(Some((role, column.clone()))),
            }
        }
        match missing {
            None => Ok(Self(places)),
            Some((role, column)) if places.is_empty() => Err(ForeignError::NoHeader { role, column }),
            Some((role, column)) => {
                let present = header.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                Err(ForeignError::NoColumn { role, column, present })
            }
        }
    }

    fn place(&self, role: &str) -> Place {
        self.0.get(role).copied()
    }
}

struct RowReader<'a> {
    mapping: &'a Mapping,
    places: Places,
    digester: Digester,
}

struct Row<'a> {
    reader: &'a RowReader<'a>,
    record: &'a csv::StringRecord,
    line: u64,
}

impl Row<'_> {
    /// A cell; `None` when the column is not mapped, or the cell is empty or says that there is no value.
    fn cell(&self, role: &str) -> Option<&str> {
        let cell = self.reader.places.place(role).and_then(|place| self.record.get(place)).map(str::trim);
        cell.filter(|cell| !cell.is_empty() && !is_placeholder(cell))
    }

    fn wrong(&self, role: &'static str, reason: impl std::fmt::Display) -> ForeignError {
        ForeignError::Cell { line: self.line, role, reason: reason.to_string() }
    }

    fn required(&self, role: &'static str) -> Result<&str, ForeignError> {
        self.cell(role).ok_or_else(|| self.wrong(role, "is empty"))
    }

    fn time(&self, role: &'static str) -> Result<Option<Timestamp>, ForeignError> {
        let Some(cell) = self.cell(role) else { return Ok(None) };
        let instant = match &self.reader.mapping.time_format {
            Some(format) => {
                jiff::civil::DateTime::strptime(format, cell).and_then(|time| jiff::tz::TimeZone::UTC.to_timestamp(time))
            }
            None => cell.parse::<jiff::Timestamp>(),
        };
        let instant = instant.map_err(|_| self.wrong(role, "is not a time of the mapping's `time_format`"))?;
        Timestamp::from_millis(instant.as_millisecond()).map(Some).map_err(|error| self.wrong(role, error))
    }

    fn amount(&self) -> Result<Option<Money>, ForeignError> {
        let Some(cell) = self.cell("amount") else { return Ok(None) };
        let currency = self
            .reader
            .mapping
            .currency
            .as_deref()
            .ok_or_else(|| ForeignError::Mapping("`currency` is needed with an amount".to_owned()))?;
        let major: f64 = cell.parse().map_err(|_| self.wrong("amount", "is not a number"))?;
        #[expect(clippy::cast_possible_truncation, reason = "checked by `Money`")]
        let minor = (major * 100.0).round() as i64;
        Money::new(minor, currency).map(Some).map_err(|error| self.wrong("amount", error))
    }

    /// Everything known of the referee, seen at a time.
    fn bundle(&self, account: AccountId, seen_at: Timestamp) -> Result<SignalBundle, ForeignError> {
        let digester = &self.reader.digester;
        let mut bundle = SignalBundle::of_account(account);
        if let Some(device) = self.cell("device").or(self.cell("user_agent")) {
            let fingerprint = self.cell("device").map(|_| device);
            let mut signals = digest_device(digester, fingerprint, None).map_err(|error| self.wrong("device", error))?;
            signals.user_agent = self.cell("user_agent").unwrap_or_default().chars().take(100).collect::<String>().into();
            signals.seen_at = Some(seen_at);
            bundle.devices.push(signals);
        }
        if let Some(address) = self.cell("address") {
            let found = digest_address(digester, address).map_err(|error| self.wrong("address", error))?;
            bundle.networks.extend(found.map(|signals| NetworkSignals { seen_at: Some(seen_at), ..signals }));
        }
        if let Some(email) = self.cell("email") {
            bundle.emails.push(digest_email(digester, email).map_err(|error| self.wrong("email", error))?);
        }
        if let Some(name) = self.cell("name") {
            bundle.names.push(digest_name(digester, name).map_err(|error| self.wrong("name", error))?);
        }
        if let Some(payment) = self.cell("payment") {
            let instrument = digest_payment(digester, payment).map_err(|error| self.wrong("payment", error))?;
            bundle.payments.push(PaymentSignals {
                instrument,
                kind: PaymentKind::Other,
                purpose: PaymentPurpose::Billing,
                country: None,
                seen_at: Some(seen_at),
            });
        }
        Ok(bundle)
    }

    /// An account id that does not show what the file calls it.
    fn account(&self, role: &'static str, cell: &str) -> Result<AccountId, ForeignError> {
        let digest = self.reader.digester.digest(DigestKind::EmailExact, &format!("{role}\u{0}{cell}"));
        let text: Vec<String> =
            digest.iter().take(1).flat_map(|digest| digest.value.iter().take(12)).map(|byte| format!("{byte:02x}")).collect();
        AccountId::new(&text.concat()).map_err(|error| self.wrong(role, error))
    }

    fn history_line(&self) -> Result<HistoryLine, ForeignError> {
        let referee = self.account("referee", self.required("referee")?)?;
        let occurred_at = self.time("occurred_at")?.ok_or_else(|| self.wrong("occurred_at", "is empty"))?;
        let signed_up_at = self.time("signed_up_at")?.filter(|at| *at <= occurred_at);
        let referrer = match (self.cell("referrer"), self.cell("source")) {
            (Some(cell), _) => self.account("referrer", cell)?,
            (None, Some(source)) => self.account("source", source)?,
            (None, None) => self.account("source", "house")?,
        };
        let mut side = self.bundle(referee.clone(), occurred_at)?;
        side.account_created_at = signed_up_at;
        if let Some(at) = signed_up_at {
            let signup = Touchpoint {
                kind: TouchpointKind::Signup,
                occurred_at: at,
                device: None,
                browser: None,
                path_token: Box::default(),
            };
            side.journey = Journey::new(vec![signup], None);
        }
        let id = |error: InvalidId| self.wrong("referee", error);
        let signals_before = match signed_up_at {
            Some(at) => {
                let mut learned = self.bundle(referee, at)?;
                learned.account_created_at = Some(at);
                let record_id = RecordId::new(&format!("signup.{}", self.line)).map_err(id)?;
                vec![RecordedSignals { record_id, bundles: vec![learned], observed_at: at }]
            }
            None => Vec::new(),
        };
        let conversion = Conversion {
            program_id: ProgramId::new(&self.reader.mapping.program_id).map_err(id)?,
            conversion_id: ConversionId::new(&format!("line.{}", self.line)).map_err(id)?,
            campaign_id: None,
            kind: ConversionKind::ChargeSucceeded,
            occurred_at,
            value: self.amount()?,
            minimum_purchase: None,
            invoice_id: None,
            referee_standing: RefereeStanding::New,
            attribution: Attribution {
                captured_via: CapturedVia::Api,
                ucc: None,
                code_validity: CodeValidity::Unchecked,
                previous_ucc: None,
                captured_at: None,
                attached_by: None,
            },
            referrer: SignalBundle::of_account(referrer),
            referee: side,
            rewards: Vec::new(),
        };
        Ok(HistoryLine {
            conversion,
            labels: self.labels(occurred_at),
            decision: None,
            group_id: self.group()?,
            persona: self.cell("persona").unwrap_or_default().chars().take(60).collect::<String>().into(),
            outcomes: Vec::new(),
            signals_before,
            later_verdicts: Vec::new(),
            warnings: Vec::new(),
        })
    }

    fn labels(&self, occurred_at: Timestamp) -> Vec<Label> {
        let Mapping { abusive, label_delay_days, .. } = self.reader.mapping;
        let truth = |cell: &str| if abusive.iter().any(|known| known == cell) { Truth::Abusive } else { Truth::Honest };
        let labeled_at = occurred_at.plus(Span::from_days(*label_delay_days));
        self.cell("label")
            .map(|cell| Label { truth: truth(cell), source: LabelSource::OwnerReport, labeled_at })
            .into_iter()
            .collect()
    }

    fn group(&self) -> Result<Box<str>, ForeignError> {
        match self.cell("group") {
            Some(cell) => Ok(self.account("group", cell)?.as_str().into()),
            None => Ok(Box::default()),
        }
    }
}

/// An address as it is usually written, or as the number that it stands for, perhaps with decimals. `None` for one that is no user's, such as
/// a multicast address, of which made-up sets have many.
fn digest_address(digester: &Digester, cell: &str) -> Result<Option<NetworkSignals>, InvalidNetworkAddress> {
    let number: Option<f64> = cell.parse().ok().filter(|number| (0.0..=f64::from(u32::MAX)).contains(number));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 32 bits")]
    let written = number.map(|number| std::net::Ipv4Addr::from(number as u32).to_string());
    match digest_network(digester, written.as_deref().unwrap_or(cell)) {
        Ok(signals) => Ok(Some(signals)),
        Err(InvalidNetworkAddress::NotOfAUser) => Ok(None),
        Err(error @ InvalidNetworkAddress::NotAnAddress) => Err(error),
    }
}

#[cfg(test)]
#[path = "foreign/tests.rs"]
mod tests;
