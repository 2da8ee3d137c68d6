//! In which form `simulate` and `export` write a history.

use std::io::{self, Write};

use clap::ValueEnum;
use prost::Message;
use serde::Serialize;

/// The form of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// One JSON object a line
    Jsonl,
    /// The binary form of protocol buffers, each message after its length: a third of the size, and read several times as fast
    Protobuf,
}

/// Writes messages, one after the other.
#[derive(Debug)]
pub(super) struct HistoryOutput<W> {
    output: W,
    form: OutputForm,
    bytes: Vec<u8>,
}

impl<W: Write> HistoryOutput<W> {
    pub(super) const fn new(output: W, form: OutputForm) -> Self {
        Self { output, form, bytes: Vec::new() }
    }

    /// Writes a message.
    pub(super) fn write(&mut self, message: &(impl Message + Serialize)) -> io::Result<()> {
        self.bytes.clear();
        match self.form {
            OutputForm::Jsonl => {
                serde_json::to_writer(&mut self.bytes, message)?;
                self.bytes.push(b'\n');
            }
            OutputForm::Protobuf => message.encode_length_delimited(&mut self.bytes)?,
        }
        self.output.write_all(&self.bytes)
    }

    /// Hands on what was written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
