//! Why the database cannot be used, in an operator's words; never with a password.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::ports::journal::JournalError;

/// Why the journal in a database does not open. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresError {
    /// The URL cannot be used; the text says what would be right.
    #[error("the URL of the database {0}")]
    Url(String),
    /// Nobody could be trusted: no certificates are known, or a file of them cannot be read.
    #[error("TLS to the database is not possible: {0}")]
    Tls(String),
    /// A newer release has changed the tables.
    #[error(
        "the tables in the database are of version {found}, and this release knows them up to {supported}: run the release that the other \
         replicas run, or a newer one; nothing was changed"
    )]
    NewerSchema {
        /// The version in the database.
        found: i64,
        /// The newest that is known here.
        supported: i64,
    },
    /// The database cannot be reached, or refuses.
    #[error(transparent)]
    Database(#[from] JournalError),
    /// The thread that talks with the database cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(String),
}

/// Whether asking again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It may pass: two transactions met, or the connection is gone.
    MayPass,
    /// It will be the same again.
    Stays,
}

/// Why one attempt did not succeed.
#[derive(Debug)]
pub(super) enum Failed {
    /// What the database or the connection said.
    Sql(tokio_postgres::Error),
    /// There is no connection.
    NoConnection(PoolError),
    /// No answer within the time of one attempt.
    Late,
    /// What the port says of it.
    Told(JournalError),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<JournalError> for Failed {
    fn from(error: JournalError) -> Self {
        Self::Told(error)
    }
}

impl Failed {
    /// Whether asking again can help.
    pub(super) fn outlook(&self) -> Outlook {
        match self {
            Self::Sql(error) | Self::NoConnection(PoolError::Backend(error)) => outlook_of(error),
            Self::NoConnection(PoolError::Timeout(_)) | Self::Late => Outlook::MayPass,
            Self::NoConnection(_) | Self::Told(_) => Outlook::Stays,
        }
    }

    /// What the caller is told.
    pub(super) fn told(self) -> JournalError {
        let text = match self {
            Self::Told(error) => return error,
            Self::Sql(error) | Self::NoConnection(PoolError::Backend(error)) => explained(&error),
            Self::NoConnection(PoolError::Timeout(_)) => "no connection became free or was made in time".to_owned(),
            Self::NoConnection(error) => error.to_string(),
            Self::Late => "no answer in time".to_owned(),
        };
        JournalError::Unavailable(format!("the database: {text}"))
    }
}

fn outlook_of(error: &tokio_postgres::Error) -> Outlook {
    // Without a code it is the connection that failed, not the statement; but for what was never sent.
    let Some(code) = error.code() else {
        let of_tls = error.to_string().contains("TLS");
        return if of_tls { Outlook::Stays } else { Outlook::MayPass };
    };
    let may_pass = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN,
        // A place that is taken is looked at before anything is written again.
        SqlState::UNIQUE_VIOLATION,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::QUERY_CANCELED,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    if may_pass.contains(code) || code.code().starts_with("08") { Outlook::MayPass } else { Outlook::Stays }
}

/// What the server said with its code, or how the connection failed, with all causes.
fn explained(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
