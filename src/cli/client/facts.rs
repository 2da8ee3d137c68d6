//! Amounts and times as they are written on the command line.

use clap::{ArgAction, Args};

use crate::adapters::system_clock::SystemClock;
use crate::ports::clock::Clock as _;
use crate::vocabulary::time::Timestamp;
use crate::wire::WireTimestamp;
use crate::wire::fields::time_message;
use crate::wire::v1;

/// An amount.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct MoneyArg {
    /// How much: minor units and currency, like `2000 EUR`; all of it without this
    #[arg(long, num_args = 2, value_names = ["MINOR", "CODE"], action = ArgAction::Set)]
    amount: Option<Vec<String>>,
}

impl MoneyArg {
    /// The amount, where one was given.
    pub(in crate::cli) fn message(self) -> Option<v1::Money> {
        money(&self.amount?)
    }
}

/// Minor units and currency. What is no number is refused by the server, with the field.
pub(in crate::cli) fn money(pair: &[String]) -> Option<v1::Money> {
    let [minor, currency] = pair else { return None };
    Some(v1::Money { amount_minor: minor.parse().unwrap_or(-1), currency: currency.clone() })
}

/// When something happened.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct TimeArgs {
    /// When it happened (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
}

impl TimeArgs {
    /// The time.
    pub(in crate::cli) fn message(self) -> WireTimestamp {
        time_message(self.at.unwrap_or_else(|| SystemClock.now()))
    }
}

/// A time as it is written.
///
/// # Errors
/// What is wrong with it.
pub(in crate::cli) fn time(text: &str) -> Result<Timestamp, String> {
    let read: jiff::Timestamp = text.parse().map_err(|_| "it must be a time like 2026-11-28T14:00:00Z".to_owned())?;
    Timestamp::from_millis(read.as_millisecond()).map_err(|error| error.to_string())
}
