//! Histories in files, one labelled conversion after the other: as JSON lines, in the binary form of protocol buffers, each message after its
//! length, or packed. The first bytes tell which.
//!
//! It must never hold a file in memory, nor repeat a value that could be personal. `screen`, `train` and `evaluate` read with it.

pub mod packed;
mod times;

use std::io::{self, BufRead, Read};
use std::mem;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use self::packed::PACKED_BEGINNING;
use self::times::earliest;
use crate::vocabulary::time::Timestamp;
use crate::wire::fields::Arrival;
use crate::wire::training::{self, HistoryLine};
use crate::wire::{Violation, conversion, json, v1};

/// The longest message in the binary form, in bytes. A length beyond it is no length: the file is something else, or broken.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A line of a history and what was made of it.
#[derive(Debug)]
pub struct ReadLine {
    /// From 1. In the binary form the number of the message.
    pub number: u64,
    /// The line, or everything that is wrong with it.
    pub parsed: Result<Box<HistoryLine>, String>,
}

/// How the messages stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One `Conversion` a line in JSON.
    Conversions,
    /// One `LabeledConversion` a line in JSON.
    LabelledLines,
    /// `LabeledConversion`s in the binary form, each after its length as a varint.
    Delimited,
    /// Lines with a packed conversion, each after its length as a varint, behind a beginning of their own.
    Packed,
}

/// The messages of a history as they stand in the file, one at a time; empty lines are left out.
#[derive(Debug)]
struct Messages<R> {
    input: R,
    number: u64,
    form: Option<Form>,
    bytes: Vec<u8>,
}

impl<R: BufRead> Messages<R> {
    const fn of(input: R) -> Self {
        Self { input, number: 0, form: None, bytes: Vec::new() }
    }

    /// Reads the next message into the buffer; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Form>> {
        if self.form.is_none() {
            let beginning = self.input.fill_buf()?;
            if beginning.starts_with(PACKED_BEGINNING) {
                self.input.consume(PACKED_BEGINNING.len());
                self.form = Some(Form::Packed);
            } else {
                match begins_as(beginning) {
                    Beginning::Text => {}
                    Beginning::Delimited => self.form = Some(Form::Delimited),
                    Beginning::Neither => return Err(io::Error::new(io::ErrorKind::InvalidData, NO_HISTORY)),
                }
            }
        }
        match self.form {
            Some(form @ (Form::Delimited | Form::Packed)) => Ok(self.read_delimited()?.then_some(form)),
            Some(Form::Conversions | Form::LabelledLines) | None => self.read_line(),
        }
    }

    fn read_line(&mut self) -> io::Result<Option<Form>> {
        loop {
            self.bytes.clear();
            if self.input.read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !self.bytes.trim_ascii().is_empty() {
                return Ok(Some(*self.form.get_or_insert_with(|| form_of(&self.bytes))));
            }
        }
    }

    /// Whether there was another message.
    fn read_delimited(&mut self) -> io::Result<bool> {
        self.number += 1;
        let number = self.number;
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("message {number} {what}"));
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let length = read_length(&mut self.input)?.ok_or_else(|| broken("has no proper length"))?;
        self.bytes.clear();
        self.bytes.reserve_exact(length);
        if (&mut self.input).take(length as u64).read_to_end(&mut self.bytes)? < length {
            return Err(broken("is cut short"));
        }
        Ok(true)
    }
}

/// The lines of a history, one at a time; empty ones are left out. After an error of the input there are none.
#[derive(Debug)]
pub struct HistoryFile<R> {
    messages: Messages<R>,
    failed: bool,
}

impl<R: BufRead> HistoryFile<R> {
    /// A history in any form.
    pub const fn of(input: R) -> Self {
        Self { messages: Messages::of(input), failed: false }
    }
}

impl<R: BufRead> Iterator for HistoryFile<R> {
    type Item = io::Result<ReadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let form = match self.messages.read() {
            Ok(form) => form?,
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        };
        let Messages { number, bytes, .. } = &mut self.messages;
        let parsed = match form {
            Form::Conversions => text_of(bytes).and_then(parse_conversion),
            Form::LabelledLines => text_of(bytes).and_then(parse_labelled),
            // The message shares the bytes that were read, and copies none.
            Form::Delimited => parse_message(mem::take(bytes).into()),
            Form::Packed => packed::unpack(mem::take(bytes).into()).map(Box::new),
        };
        Some(Ok(ReadLine { number: *number, parsed }))
    }
}

/// The earliest moments that the lines of a history tell of: how far a replay may go before the next line is read.
#[derive(Debug)]
pub struct Horizon {
    /// By line: the earliest moment of it and of all lines after it; absent when they tell of none.
    from_line: Vec<Option<Timestamp>>,
}

impl Horizon {
    /// Looks through a history for its times only. A line that cannot be read has none; who reads it whole will say so.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn of(input: impl BufRead) -> io::Result<Self> {
        let mut messages = Messages::of(input);
        let mut from_line = Vec::new();
        while let Some(form) = messages.read()? {
            from_line.push(earliest(&messages.bytes, form));
        }
        for line in (1..from_line.len()).rev() {
            let later = from_line[line];
            from_line[line - 1] = match (from_line[line - 1], later) {
                (Some(own), Some(later)) => Some(own.min(later)),
                (known, None) | (None, known) => known,
            };
        }
        Ok(Self { from_line })
    }

    /// How many lines there are.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.from_line.len()
    }

    /// Everything before this instant was told by so many lines; absent when no later line tells of anything.
    #[must_use]
    pub fn after(&self, lines: usize) -> Option<Timestamp> {
        self.from_line.get(lines).copied().flatten()
    }
}

/// Lines that go from thread to thread at once: one by one, waking each other would cost as much as reading.
const LINES_TOGETHER: usize = 32;
/// Bundles of lines that wait to be taken.
const BUNDLES_AHEAD: usize = 8;

/// A history that is read and checked on a thread of its own, some lines ahead of whoever takes them, and in order.
#[derive(Debug)]
pub struct ReadAhead {
    bundles: Receiver<Vec<io::Result<ReadLine>>>,
    bundle: std::vec::IntoIter<io::Result<ReadLine>>,
    reader: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Begins to read.
    pub fn of(input: impl BufRead + Send + 'static) -> Self {
        let (sender, bundles) = mpsc::sync_channel(BUNDLES_AHEAD);
        let reader = thread::spawn(move || {
            let mut lines = HistoryFile::of(input);
            loop {
                let bundle: Vec<_> = lines.by_ref().take(LINES_TOGETHER).collect();
                // Whoever took the lines may have seen enough.
                if bundle.is_empty() || sender.send(bundle).is_err() {
                    return;
                }
            }
        });
        Self { bundles, bundle: Vec::new().into_iter(), reader: Some(reader) }
    }
}

impl Iterator for ReadAhead {
    type Item = io::Result<ReadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bundle.len() == 0 {
            let Ok(bundle) = self.bundles.recv() else {
                // The end is the end only if the reader says so.
                let ended = self.reader.take()?.join();
                return ended.err().map(|_| Err(io::Error::other("the thread that reads has panicked")));
            };
            self.bundle = bundle.into_iter();
        }
        self.bundle.next()
    }
}

/// What is said of a file that is no history.
const NO_HISTORY: &str = "it is no history: neither JSON lines, each an object that begins with `{`, nor conversions in a binary form of \
    `simulate` and `export`. `train` and `evaluate` read other people's CSV with --format csv and --mapping";

/// What a file begins like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// JSON lines, or nothing.
    Text,
    /// Messages after their lengths.
    Delimited,
    /// Something else.
    Neither,
}

/// The longest varint. Unit: bytes.
const VARINT_BYTES_MAX: usize = 10;

/// What a file begins like. JSON lines begin with white space or with an object on one line. A message of 123 bytes would begin with `{` too,
/// and go on with the tag of its conversion, which is a line feed: no line of JSON does. What is neither is told by that tag.
fn begins_as(beginning: &[u8]) -> Beginning {
    match beginning {
        [] => return Beginning::Text,
        [b'{', next, ..] if *next == b'\n' => return Beginning::Delimited,
        [first, ..] if first.is_ascii_whitespace() || *first == b'{' => return Beginning::Text,
        [..] => {}
    }
    let mut after = beginning;
    let is_delimited = match read_length(&mut after) {
        Ok(Some(0)) => true,
        Ok(Some(_)) => after.first().is_none_or(|tag| *tag == b'\n'),
        // A pipe may give the first bytes of a length alone.
        Ok(None) | Err(_) => beginning.len() < VARINT_BYTES_MAX,
    };
    if is_delimited { Beginning::Delimited } else { Beginning::Neither }
}

/// A length as a varint; `None` for what is no length.
fn read_length(input: &mut impl BufRead) -> io::Result<Option<usize>> {
    let mut length = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some(&byte) = input.fill_buf()?.first() else { return Ok(None) };
        input.consume(1);
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(usize::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX));
        }
    }
    Ok(None)
}

/// A labelled line holds its conversion in a field of that name; a conversion has no such field.
fn form_of(text: &[u8]) -> Form {
    let fields: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(text);
    match fields {
        Ok(fields) if fields.contains_key("conversion") => Form::LabelledLines,
        Ok(_) | Err(_) => Form::Conversions,
    }
}

/// A line as text: looked at once, instead of by the JSON reader for each of its values.
fn text_of(line: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(line).map_err(|error| format!("is not JSON (at column {}: not UTF-8)", error.valid_up_to() + 1))
}

fn parse_conversion(text: &str) -> Result<Box<HistoryLine>, String> {
    let message: v1::Conversion = read_json(text, "Conversion")?;
    let (conversion, warnings) =
        conversion::parse_warned(message, CONVERSION, Arrival::Recorded).map_err(|violations| all(of_the_line(violations)))?;
    Ok(Box::new(HistoryLine { warnings, ..HistoryLine::of_conversion(conversion) }))
}

/// Where a conversion stands in a request of the service: what is warned of has the same path here and there.
const CONVERSION: &str = "conversion";

/// On a line that is the conversion itself, what is wrong is named by the fields of the line.
fn of_the_line(mut violations: Vec<Violation>) -> Vec<Violation> {
    for violation in &mut violations {
        if let Some(field) = violation.field.strip_prefix(CONVERSION).and_then(|rest| rest.strip_prefix('.')) {
            violation.field = field.to_owned();
        }
    }
    violations
}

fn parse_labelled(text: &str) -> Result<Box<HistoryLine>, String> {
    let message: v1::LabeledConversion = read_json(text, "LabeledConversion")?;
    training::parse(message).map(Box::new).map_err(all)
}

fn parse_message(bytes: Bytes) -> Result<Box<HistoryLine>, String> {
    // What the decoder says names fields and wire types, never values.
    let message =
        v1::LabeledConversion::decode(bytes).map_err(|error| format!("is not a `selfsame.v1.LabeledConversion`: {error}"))?;
    training::parse(message).map(Box::new).map_err(all)
}

/// A message in JSON: read quickly as it is written here, and by the whole of the mapping where it is written otherwise.
fn read_json<T: DeserializeOwned>(text: &str, message: &str) -> Result<T, String> {
    serde_json::from_str(text).or_else(|error| {
        let place = format!("at column {}", error.column());
        match error.classify() {
            Category::Syntax | Category::Eof => Err(format!("is not JSON ({place})")),
            Category::Io => Err(format!("cannot be read ({place})")),
            Category::Data => json::read_by_contract(text, message)
                .map_err(|refused| format!("is not a `selfsame.v1.{message}` in JSON: {refused}")),
        }
    })
}

fn all(violations: Vec<Violation>) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "history_file/tests.rs"]
mod tests;
