//! The times of a line that is not read whole: of everything else only the end is looked for.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;

use super::{Form, packed};
use crate::vocabulary::time::Timestamp;
use crate::wire::WireTimestamp;
use crate::wire::fields::{Arrival, optional_time};
use crate::wire::violation::{At, Violations};

/// The earliest moment that a line tells of: its conversion, or signals before it. Outcomes and labels are never earlier than their conversion.
pub(super) fn earliest(message: &[u8], form: Form) -> Option<Timestamp> {
    let LineTimes { conversion, signals_before } = match form {
        Form::Conversions => LineTimes { conversion: serde_json::from_slice(message).ok(), signals_before: Vec::new() },
        Form::LabelledLines => serde_json::from_slice(message).ok()?,
        Form::Delimited => LineTimes::decode(message).ok()?,
        Form::Packed => return packed_line(message),
    };
    let signals = signals_before.into_iter().filter_map(|signals| signals.observed_at);
    let times = conversion.and_then(|conversion| conversion.occurred_at).into_iter().chain(signals);
    times.filter_map(|time| optional_time(Some(time), &At::MESSAGE, Arrival::Recorded, &mut Violations::default())).min()
}

/// A packed line is read faster than another's times are found.
fn packed_line(message: &[u8]) -> Option<Timestamp> {
    let line = packed::unpack(Bytes::copy_from_slice(message)).ok()?;
    let signals = line.signals_before.iter().map(|signals| signals.observed_at);
    signals.chain([line.conversion.occurred_at]).min()
}

/// The times of a `LabeledConversion`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LineTimes {
    #[prost(message, optional, tag = "1")]
    conversion: Option<ConversionTimes>,
    #[prost(message, repeated, tag = "7")]
    #[serde(alias = "signals_before", deserialize_with = "list_or_null")]
    signals_before: Vec<SignalsTimes>,
}

/// What is null is left out.
fn list_or_null<'de, D: serde::Deserializer<'de>>(list: D) -> Result<Vec<SignalsTimes>, D::Error> {
    Option::deserialize(list).map(Option::unwrap_or_default)
}

/// The time of a `Conversion`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConversionTimes {
    #[prost(message, optional, tag = "5")]
    #[serde(alias = "occurred_at")]
    occurred_at: Option<WireTimestamp>,
}

/// The time of `RecordedSignals`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SignalsTimes {
    #[prost(message, optional, tag = "3")]
    #[serde(alias = "observed_at")]
    observed_at: Option<WireTimestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::time_message;
    use crate::wire::v1;

    #[test]
    fn the_times_of_a_line_are_found_in_both_forms_without_reading_it_whole() {
        let at = |day: i64| Timestamp::from_millis(1_700_000_000_000 + day * 86_400_000).unwrap();
        let time = |day| Some(time_message(at(day)));
        let conversion = v1::Conversion { program_id: "shop".into(), occurred_at: time(9), ..Default::default() };
        let signals = |day| v1::RecordedSignals { record_id: "r".into(), bundles: Vec::new(), observed_at: time(day) };
        let line = v1::LabeledConversion {
            conversion: Some(conversion.clone()),
            labels: vec![v1::Label { labeled_at: time(1), ..Default::default() }],
            signals_before: vec![signals(7), signals(4)],
            ..Default::default()
        };
        assert_eq!(earliest(&line.encode_to_vec(), Form::Delimited), Some(at(4)));
        assert_eq!(earliest(&serde_json::to_vec(&line).unwrap(), Form::LabelledLines), Some(at(4)));
        assert_eq!(earliest(&serde_json::to_vec(&conversion).unwrap(), Form::Conversions), Some(at(9)));
        assert_eq!(earliest(b"{", Form::LabelledLines), None);
    }
}
