//! Lines with their conversion in the packed bytes of the journal: the form that is read fastest, for histories that are screened again and
//! again. Selfsame writes it for itself; other programs read and write JSON lines or protocol buffers.

use bytes::Bytes;
use prost::Message;

use super::all;
use crate::ledger::{pack_conversion, unpack_conversion};
use crate::wire::fields::Arrival;
use crate::wire::training::{self, HistoryLine};
use crate::wire::{Violation, conversion, v1};

/// What a packed history begins with. As a message after its length it would have a field that no line has.
pub const PACKED_BEGINNING: &[u8; 18] = b"selfsame packed 1\n";

/// A line: its conversion packed, and all else as the message that it is, without the conversion.
#[derive(Clone, PartialEq, Message)]
struct PackedLine {
    #[prost(bytes = "bytes", tag = "1")]
    conversion: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    beside: Bytes,
}

/// A line as it stands in a packed history, after its length.
///
/// # Errors
/// All violations of its conversion.
pub fn packed(mut line: v1::LabeledConversion) -> Result<Vec<u8>, Vec<Violation>> {
    let conversion = conversion::parse(line.conversion.take().unwrap_or_default(), "conversion", Arrival::Recorded)?;
    let line = PackedLine { conversion: pack_conversion(&conversion).into(), beside: line.encode_to_vec().into() };
    Ok(line.encode_length_delimited_to_vec())
}

/// The line of the bytes after a length.
pub(super) fn unpack(bytes: Bytes) -> Result<HistoryLine, String> {
    let PackedLine { conversion, beside } =
        PackedLine::decode(bytes).map_err(|error| format!("is not a packed line: {error}"))?;
    let conversion = unpack_conversion(&conversion).map_err(|error| error.to_string())?;
    let beside = v1::LabeledConversion::decode(beside).map_err(|error| format!("is not a packed line: {error}"))?;
    training::parse_beside(conversion, beside).map_err(all)
}
