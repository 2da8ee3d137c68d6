//! Refusals: why a book does not do what a command asks. Nothing was changed.

use crate::screening::case::IllegalStep;

/// Why a command is refused, or a question cannot be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The id was used with other content.
    #[error("`{id}` was sent before with other content; an id names one message for ever")]
    ContentDiffers {
        /// The field that holds the id.
        field: &'static str,
        /// The id.
        id: String,
    },
    /// A field of the message does not fit what is known.
    #[error("{}", said(.0))]
    Invalid(Vec<Misfit>),
    /// There is no such thing in the programme.
    #[error("{what} `{id}` is not known in this programme")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// It was in the programme, and its record is not kept any more.
    #[error("{what} `{id}` was removed by retention; nothing more can be done with it, and its ids stay taken")]
    Removed {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The step is not possible now.
    #[error(transparent)]
    IllegalStep(#[from] IllegalStep),
    /// Somebody else changed it meanwhile.
    #[error("the case is at revision {actual}, not {expected}; read it again")]
    RevisionDiffers {
        /// What the actor saw.
        expected: u32,
        /// What it is.
        actual: u32,
    },
    /// The change is not possible from where the thing stands.
    #[error("{0}")]
    NotPossible(String),
    /// Whoever proposed an act cannot confirm it.
    #[error("you proposed it yourself; another identity with the role has to confirm it")]
    OwnAct,
    /// The page token is not one of this listing.
    #[error("the page token is not valid for this listing; start again without it")]
    PageToken,
}

/// Why a case was left as it is by a step on several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum LeftAlone {
    /// What it shows, its verdict, its holds or its money are not what was seen.
    #[error("it changed since it was seen; look at it again")]
    Changed,
    /// Another reviewer works on it.
    #[error("another reviewer has claimed it")]
    ClaimedByOther,
    /// It was decided before.
    #[error("it is resolved already; reopen it to decide again")]
    AlreadyResolved,
    /// There is nothing to reopen.
    #[error("it is not resolved; there is nothing to reopen")]
    NotResolved,
    /// A second identity must confirm that it is accepted.
    #[error("a second identity must confirm it: accept it by itself")]
    NeedsConfirmation,
    /// There is no such case, or its record is not kept any more.
    #[error("it is not known in this programme, or retention removed it")]
    Gone,
}

/// A field that does not fit what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The path of the field in the message.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Misfit {
    /// One field that does not fit.
    #[must_use]
    pub fn at(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

fn said(misfits: &[Misfit]) -> String {
    misfits.iter().map(|Misfit { field, problem }| format!("`{field}` {problem}")).collect::<Vec<_>>().join("; ")
}
