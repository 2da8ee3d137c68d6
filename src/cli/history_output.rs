//! In which form `simulate` and `export` write a history.

use std::io::{self, Write};
use std::mem;

use clap::ValueEnum;
use prost::Message;
use serde::Serialize;

use crate::offline::history_file::packed::{PACKED_BEGINNING, packed};
use crate::wire::v1;

/// The form of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DataForm {
    /// One JSON object a line
    Jsonl,
    /// The binary form of protocol buffers, each message after its length: half the size, and read more than twice as fast
    Protobuf,
    /// Selfsame's own packed bytes, for labelled conversions that it reads again and again: the smallest, and read fastest
    Packed,
}

/// Writes messages, one after the other.
#[derive(Debug)]
pub(super) struct HistoryOutput<W> {
    output: W,
    form: DataForm,
    bytes: Vec<u8>,
    begun: bool,
}

impl<W: Write> HistoryOutput<W> {
    pub(super) const fn new(output: W, form: DataForm) -> Self {
        Self { output, form, bytes: Vec::new(), begun: false }
    }

    /// Writes a labelled conversion.
    pub(super) fn write_line(&mut self, line: v1::LabeledConversion) -> io::Result<()> {
        let bytes = encoded(line, self.form)?;
        self.write_encoded(&bytes)
    }

    /// Writes a labelled conversion that was [`encoded`] in the form of this output.
    pub(super) fn write_encoded(&mut self, line: &[u8]) -> io::Result<()> {
        if self.form == DataForm::Packed && !mem::replace(&mut self.begun, true) {
            self.output.write_all(PACKED_BEGINNING)?;
        }
        self.output.write_all(line)
    }

    /// Writes any message; of the packed form there are none but labelled conversions.
    pub(super) fn write(&mut self, message: &(impl Message + Serialize)) -> io::Result<()> {
        self.bytes.clear();
        encode(message, self.form, &mut self.bytes)?;
        self.output.write_all(&self.bytes)
    }

    /// What was written to.
    pub(super) fn into_inner(self) -> W {
        self.output
    }
}

/// The bytes of a labelled conversion in this form. Lines can be encoded on many threads and written by one.
pub(super) fn encoded(line: v1::LabeledConversion, form: DataForm) -> io::Result<Vec<u8>> {
    match form {
        DataForm::Jsonl | DataForm::Protobuf => {
            let mut bytes = Vec::new();
            encode(&line, form, &mut bytes)?;
            Ok(bytes)
        }
        DataForm::Packed => packed(line).map_err(|found| {
            let named: Vec<String> = found.iter().take(5).map(ToString::to_string).collect();
            io::Error::new(io::ErrorKind::InvalidData, named.join("; "))
        }),
    }
}

fn encode(message: &(impl Message + Serialize), form: DataForm, bytes: &mut Vec<u8>) -> io::Result<()> {
    match form {
        DataForm::Jsonl => {
            serde_json::to_writer(&mut *bytes, message)?;
            bytes.push(b'\n');
        }
        DataForm::Protobuf => message.encode_length_delimited(bytes)?,
        DataForm::Packed => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only labelled conversions can be packed"));
        }
    }
    Ok(())
}
