//! Violations: what is wrong with a message, field by field, all of it at once.
//!
//! Must never repeat a value that could be personal: a violation says where and what is expected, not what was sent. The readers of this
//! layer collect them; the service sends them as `google.rpc.BadRequest`, and `screen` prints them with the line's number.

use std::fmt;

use crate::screening::warning::{Warning, WarningCode};

/// How many violations of one message are collected. A message with more is refused all the same; nobody reads the thousand-first.
pub const VIOLATIONS_MAX: usize = 1_000;

/// How many warnings of one message are kept. Thousands of touchpoints can be wrong in the same way.
pub const WARNINGS_MAX: usize = 20;

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violation {
    /// The dotted path with indexes, in the names of the contract: `conversion.referrer.emails[1].mailbox[0].value`.
    pub field: String,
    /// What is wrong and what is expected, to be read after the field: ``is empty; …``. Never a value that could be personal.
    pub problem: String,
}

/// `` `field` problem``.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.problem)
    }
}

/// The violations of one message, in the order in which its fields are read; and warnings of soft signals, for which nothing is refused: money and
/// identity are right or refused, a screen size or a user agent is not worth a lost conversion.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<Violation>,
    warnings: Vec<Warning>,
}

/// What was read, with the warnings of it.
pub type Warned<T> = (T, Vec<Warning>);

impl Violations {
    /// Notes that something is wrong at a place.
    pub fn add(&mut self, at: &At<'_>, problem: impl Into<String>) {
        if self.found.len() < VIOLATIONS_MAX {
            self.found.push(Violation { field: at.to_string(), problem: problem.into() });
        }
    }

    /// Notes that a soft signal at a place was malformed. `problem` reads after the field and says what is expected; that it counted as absent is
    /// added.
    pub fn ignore(&mut self, at: &At<'_>, problem: &str) {
        self.warn(WarningCode::Ignored, at, |field| format!("`{field}` {problem}; it counted as absent."));
    }

    /// Notes that a soft signal at a place was longer than what is kept. `problem` reads after the field.
    pub fn cut(&mut self, at: &At<'_>, problem: &str) {
        self.warn(WarningCode::Cut, at, |field| format!("`{field}` {problem}; the rest was cut off."));
    }

    fn warn(&mut self, code: WarningCode, at: &At<'_>, sentence: impl FnOnce(&str) -> String) {
        if self.warnings.len() < WARNINGS_MAX {
            let field = at.to_string();
            self.warnings.push(Warning { code, sentence: sentence(&field), field: field.into() });
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The value when nothing is wrong.
    ///
    /// # Errors
    /// All violations, at least one: the sender fixes the message.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Vec<Violation>> {
        self.into_warned(value).map(|(value, _)| value)
    }

    /// The value when nothing is wrong, with the warnings of it.
    ///
    /// # Errors
    /// All violations, at least one: the sender fixes the message.
    pub fn into_warned<T>(self, value: Option<T>) -> Result<Warned<T>, Vec<Violation>> {
        match value {
            Some(value) if self.found.is_empty() => Ok((value, self.warnings)),
            Some(_) | None if !self.found.is_empty() => Err(self.found),
            Some(_) | None => {
                let problem = "cannot be read".to_owned();
                Err(vec![Violation { field: String::new(), problem }])
            }
        }
    }

    /// The value with nothing wrong, or the list of what is.
    ///
    /// # Errors
    /// All violations, at least one.
    pub fn check(self) -> Result<(), Vec<Violation>> {
        self.into_result(Some(()))
    }
}

/// A place in a message. Built on the stack while reading, so that a valid message costs no text.
#[derive(Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// A field, or a dotted path that the caller gave. Empty for the message itself.
    Field(&'a str),
    /// An entry of the repeated field above it.
    Entry(usize),
}

impl<'a> At<'a> {
    /// The message itself: its fields have no prefix.
    pub const MESSAGE: At<'static> = At { parent: None, step: Step::Field("") };

    /// A field at the top, or a dotted path.
    #[must_use]
    pub const fn path(path: &'a str) -> Self {
        Self { parent: None, step: Step::Field(path) }
    }

    /// A field of the message here.
    #[must_use]
    pub const fn field(&'a self, name: &'a str) -> Self {
        At { parent: Some(self), step: Step::Field(name) }
    }

    /// An entry of the repeated field here.
    #[must_use]
    pub const fn entry(&'a self, index: usize) -> Self {
        At { parent: Some(self), step: Step::Entry(index) }
    }

    fn is_message(&self) -> bool {
        matches!(self, At { parent: None, step: Step::Field("") })
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            fmt::Display::fmt(parent, f)?;
            if matches!(self.step, Step::Field(_)) && !parent.is_message() {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Field(name) => f.write_str(name),
            Step::Entry(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_the_path_in_the_contract() {
        let conversion = At::path("conversion");
        let (referee, emails) = (conversion.field("referee"), "emails");
        let (email, second) = (referee.field(emails), 1);
        assert_eq!(email.entry(second).field("mailbox").to_string(), "conversion.referee.emails[1].mailbox");
        assert_eq!(At::MESSAGE.field("program_id").to_string(), "program_id");
    }

    #[test]
    fn a_value_with_a_violation_is_not_handed_out() {
        let mut found = Violations::default();
        found.add(&At::path("a"), "is wrong");
        assert_eq!(found.into_result(Some(1)), Err(vec![Violation { field: "a".into(), problem: "is wrong".into() }]));
        assert_eq!(Violations::default().into_result(Some(1)), Ok(1));
        assert!(Violations::default().into_result::<u8>(None).is_err());
    }
}
