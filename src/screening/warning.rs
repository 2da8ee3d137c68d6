//! Warnings: what a caller should know of what it sent, though it changes no verdict by itself. Pure; made by `assess` and by the wire's readers.

/// What a warning is about. Codes are API: never reused for another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WarningCode {
    /// Both sides sent a kind of signal, under key ids that do not meet: it could not be compared.
    KeysDiffer,
    /// A value is on more accounts than such a kind can have, as placeholders are: it counted as absent.
    Placeholder,
    /// The purchase is worth nothing.
    ZeroValue,
    /// The score alone asked for a review, and there was no evidence that a reviewer could look at.
    ScoreWithoutEvidence,
    /// A text was longer than what is kept, and was cut.
    Cut,
    /// A signal was malformed and counted as absent.
    Ignored,
}

impl WarningCode {
    /// The dotted code, like `signals.keys_differ`.
    #[must_use]
    pub const fn dotted(self) -> &'static str {
        match self {
            Self::KeysDiffer => "signals.keys_differ",
            Self::Placeholder => "signals.placeholder",
            Self::ZeroValue => "value.zero",
            Self::ScoreWithoutEvidence => "score.without_evidence",
            Self::Cut => "field.cut",
            Self::Ignored => "field.ignored",
        }
    }
}

/// One warning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// The field, by its path in the request, like `conversion.referee.devices.browser`; empty when it is about no field.
    pub field: Box<str>,
    /// One sentence. Never a value that could be personal.
    pub sentence: String,
}
