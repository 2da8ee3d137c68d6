//! The lines of a file of conversions, read one at a time.
//! It must never hold the file in memory. `screen` calls it.

use std::io::{self, BufRead};

use crate::ports::records::ContentFingerprint;
use crate::wire::fields::Arrival;
use crate::wire::training::{self, HistoryLine};
use crate::wire::{Violation, content, conversion, v1};

/// A conversion with what stands beside it on its line.
pub(super) struct LineForm {
    /// The line.
    pub(super) line: HistoryLine,
    /// The fingerprint of the conversion's message.
    pub(super) content: ContentFingerprint,
}

/// A line and what was made of it.
pub(super) struct ReadLine {
    /// From 1.
    pub(super) number: u64,
    /// The line, or everything that is wrong with it.
    pub(super) parsed: Result<Box<LineForm>, String>,
}

/// What stands on each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Conversion,
    Labelled,
}

/// The lines of an input, empty ones left out.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    form: Option<Form>,
    text: String,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input, number: 0, form: None, text: String::new() }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<ReadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.text.clear();
            match self.input.read_line(&mut self.text) {
                Ok(0) => return None,
                Ok(_) => self.number += 1,
                Err(error) => return Some(Err(error)),
            }
            if !self.text.trim().is_empty() {
                let form = *self.form.get_or_insert_with(|| form_of(&self.text));
                return Some(Ok(ReadLine { number: self.number, parsed: parse(&self.text, form) }));
            }
        }
    }
}

/// A labelled line holds its conversion in a field of that name; a conversion has no such field.
fn form_of(text: &str) -> Form {
    let fields: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
    match fields {
        Ok(fields) if fields.contains_key("conversion") => Form::Labelled,
        Ok(_) | Err(_) => Form::Conversion,
    }
}

fn parse(text: &str, form: Form) -> Result<Box<LineForm>, String> {
    match form {
        Form::Conversion => {
            let message: v1::Conversion = serde_json::from_str(text).map_err(|error| not_json(&error, "Conversion"))?;
            let content = content::fingerprint(&message);
            let conversion = conversion::parse(message, "", Arrival::Recorded).map_err(all)?;
            Ok(Box::new(LineForm { line: HistoryLine::of_conversion(conversion), content }))
        }
        Form::Labelled => {
            let message: v1::LabeledConversion =
                serde_json::from_str(text).map_err(|error| not_json(&error, "LabeledConversion"))?;
            let content = message.conversion.as_ref().map(content::fingerprint);
            let line = training::parse(message).map_err(all)?;
            content.map(|content| Box::new(LineForm { line, content })).ok_or_else(|| "`conversion` is required".to_owned())
        }
    }
}

/// What the JSON reader says of unknown fields and types, without what it says of values: those could be personal.
fn not_json(error: &serde_json::Error, message: &str) -> String {
    let place = format!("at column {}", error.column());
    match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => format!("is not JSON ({place})"),
        serde_json::error::Category::Io => format!("cannot be read ({place})"),
        serde_json::error::Category::Data => {
            let text = error.to_string();
            let known = text.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
            match known {
                Some((field, _)) => format!("is not a `selfsame.v1.{message}`: it has no field `{field}` ({place})"),
                None => format!("is not a `selfsame.v1.{message}` in JSON: a value has the wrong type ({place})"),
            }
        }
    }
}

fn all(violations: Vec<Violation>) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
