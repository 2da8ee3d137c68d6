//! What a look at a server, or at what it is to run on, finds: each with what to do.

use std::fmt;

/// How much a finding matters. Ordered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All is well.
    Fine,
    /// Look at it within the working day.
    Note,
    /// It is wrong now.
    Wrong,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The configuration, with variables that are nearly keys.
    Configuration,
    /// The policies.
    Policies,
    /// The models: readable, made for these features, here, within their certificate, near their training.
    Models,
    /// The data folder: there, and its owner's alone.
    Folder,
    /// Room on the disk.
    Disk,
    /// Descriptors and memory of the machine.
    Machine,
    /// The certificate that the server shows: readable, its key private, not about to end.
    Certificate,
    /// Whether a server takes work.
    Health,
    /// The clock of this machine beside the server's.
    Clock,
    /// The ledger: writes, snapshots, what waits.
    Ledger,
    /// Key ids in use, and what could be compared under them.
    Keys,
    /// What senders send to the gateway, as far as it looks like a mistake.
    Senders,
}

impl Subject {
    /// All, in the order in which they are looked at.
    pub const ALL: [Self; 12] = [
        Self::Configuration,
        Self::Policies,
        Self::Models,
        Self::Folder,
        Self::Disk,
        Self::Machine,
        Self::Certificate,
        Self::Health,
        Self::Clock,
        Self::Ledger,
        Self::Keys,
        Self::Senders,
    ];

    /// Its name, as `keys`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Policies => "policies",
            Self::Models => "models",
            Self::Folder => "folder",
            Self::Disk => "disk",
            Self::Machine => "machine",
            Self::Certificate => "certificate",
            Self::Health => "health",
            Self::Clock => "clock",
            Self::Ledger => "ledger",
            Self::Keys => "keys",
            Self::Senders => "senders",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: Subject,
    /// How much it matters.
    pub level: Level,
    /// What was found, in a sentence.
    pub sentence: String,
    /// What to do; empty where all is well.
    pub fix: String,
}

impl Finding {
    /// All is well.
    pub fn fine(subject: Subject, sentence: impl Into<String>) -> Self {
        Self { subject, level: Level::Fine, sentence: sentence.into(), fix: String::new() }
    }

    /// Something to look at.
    pub fn note(subject: Subject, sentence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject, level: Level::Note, sentence: sentence.into(), fix: fix.into() }
    }

    /// Something that is wrong.
    pub fn wrong(subject: Subject, sentence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject, level: Level::Wrong, sentence: sentence.into(), fix: fix.into() }
    }
}
