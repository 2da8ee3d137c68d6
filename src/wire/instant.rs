//! The instant of a message: `google.protobuf.Timestamp`, with the one spelling that this program has for a time in JSON and in text.

use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `google.protobuf.Timestamp`.
///
/// In JSON it is written as RFC 3339 in UTC, with `Z` and 0, 3, 6 or 9 digits of a second, as the mapping of protocol buffers has it, and read in
/// whatever way RFC 3339 allows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct WireTimestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// What is beyond the whole second. Unit: nanoseconds. Range: 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// The instant is none that can be written: before the year 1, after 9999, or with nanoseconds that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no time of the years 1 to 9999")]
pub struct NoInstant;

impl WireTimestamp {
    /// RFC 3339.
    ///
    /// # Errors
    /// [`NoInstant`]: there is no such text.
    pub fn spelled(self) -> Result<String, NoInstant> {
        let Self { seconds, nanos } = self;
        if !(0..1_000_000_000).contains(&nanos) {
            return Err(NoInstant);
        }
        let instant = jiff::Timestamp::new(seconds, nanos).map_err(|_| NoInstant)?;
        let digits = match nanos {
            0 => 0,
            nanos if nanos % 1_000_000 == 0 => 3,
            nanos if nanos % 1_000 == 0 => 6,
            _ => 9,
        };
        Ok(format!("{instant:.digits$}"))
    }
}

impl Serialize for WireTimestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelled().map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for WireTimestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        pbjson_types::Timestamp::deserialize(deserializer)
            .map(|pbjson_types::Timestamp { seconds, nanos }| Self { seconds, nanos })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::fields::time_message;

    #[test]
    fn a_time_is_written_with_z_and_as_many_digits_as_it_has() {
        for (seconds, nanos, text) in [
            (1_790_000_000, 0, "2026-09-21T14:13:20Z"),
            (1_790_000_000, 500_000_000, "2026-09-21T14:13:20.500Z"),
            (1_790_000_000, 1_000, "2026-09-21T14:13:20.000001Z"),
            (1_790_000_000, 123_456_789, "2026-09-21T14:13:20.123456789Z"),
            (-1, 999_000_000, "1969-12-31T23:59:59.999Z"),
        ] {
            let time = WireTimestamp { seconds, nanos };
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{text}\""));
        }
        for (seconds, nanos) in [(i64::MAX, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(serde_json::to_string(&WireTimestamp { seconds, nanos }).is_err(), "{seconds} {nanos}");
        }
    }

    #[test]
    fn every_spelling_of_an_instant_is_read() {
        for text in ["2026-09-21T14:13:20+00:00", "2026-09-21T16:13:20.000+02:00", "2026-09-21T14:13:20Z"] {
            let read: WireTimestamp = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(read, WireTimestamp { seconds: 1_790_000_000, nanos: 0 }, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_message_and_a_text_spell_one_time_alike(millis in 946_684_800_000_i64..7_258_118_400_000) {
            let time = crate::vocabulary::time::Timestamp::from_millis(millis).unwrap();
            let json = serde_json::to_string(&time_message(time)).unwrap();
            prop_assert_eq!(&json, &format!("\"{time}\""));
            prop_assert_eq!(serde_json::from_str::<WireTimestamp>(&json).unwrap(), time_message(time));
        }
    }
}
