//! What the model store keeps of each programme, and its file: which models were chosen, and what the audits of each found.
//!
//! Written whole or not at all. It must never read a choice that it does not understand as none. The store calls it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ModelStoreError, STATE_FILE};
use crate::adapters::model_file::{self, ModelFileError};
use crate::book::cursor::FeedCursor;
use crate::book::records::Cursor;
use crate::screening::AutoReject;
use crate::vocabulary::ids::{InvalidId, ProgramId};

/// The choices of one programme, by version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// The one that decides; absent for the rule weights.
    pub active: Option<String>,
    /// What decided before the last activation; the inner is absent for the rule weights.
    pub before: Option<Before>,
    /// The one that is only watched.
    pub challenger: Option<String>,
}

/// What a rollback brings back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The version; absent for the rule weights.
    pub version: Option<String>,
}

/// What the audits of one model found in one programme since its activation there. Only counts: the bound does not ask for their order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelAudits {
    /// Decisions up to this place of the programme's journal belong to an earlier activation and do not count.
    pub since: u64,
    /// Would-be rejects that were sent to review for their label.
    pub sampled: u64,
    /// Of these, resolved as honest.
    pub honest: u32,
    /// Of these, resolved as abusive.
    pub abusive: u32,
    /// When the breaker tripped, in milliseconds since 1970; absent while it is armed.
    pub tripped_at_millis: Option<i64>,
}

/// How far a programme's feed was read for audits, and what they found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Up to here the feed was read; absent before its beginning.
    pub read_up_to: Option<FeedCursor>,
    /// What was found, by model version.
    pub models: BTreeMap<String, ModelAudits>,
}

impl Watch {
    /// The place up to which the feed was read; 0 before its beginning.
    pub(super) fn place(&self) -> Cursor {
        self.read_up_to.map_or(Cursor(0), |read| read.place)
    }

    /// The same watch over a feed that is another one from its beginning on: nothing of it is counted yet. A breaker that tripped stays so.
    #[must_use]
    pub fn begun_again(self) -> Self {
        let tripped = |audits: ModelAudits| ModelAudits { tripped_at_millis: audits.tripped_at_millis, ..ModelAudits::default() };
        let models = self.models.into_iter().map(|(version, audits)| (version, tripped(audits))).collect();
        Self { read_up_to: None, models }
    }

    /// What reviewers found, of each model.
    pub(super) fn resolved(&self) -> impl Iterator<Item = (u32, u32)> {
        self.models.values().map(|audits| (audits.honest, audits.abusive))
    }

    /// What was found of a version; nothing where nobody looked yet.
    #[must_use]
    pub fn audits_of(&self, version: &str) -> ModelAudits {
        self.models.get(version).cloned().unwrap_or_default()
    }
}

/// Everything about one programme.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramState {
    /// Absent until somebody chose: then the default decides, also when another default comes with another server.
    pub(super) choices: Option<Choices>,
    /// The audits.
    #[serde(default)]
    pub(super) watch: Watch,
    /// Counts the choices, so that audits that were counted meanwhile are counted again.
    #[serde(skip)]
    pub(super) epoch: u64,
    /// How far `watch.read_up_to` was when it was kept last.
    #[serde(skip)]
    pub(super) kept_up_to: Cursor,
}

/// The file.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The number of the last change that is in force; later lines of the history never came into force.
    pub(super) changes: u64,
    /// What is kept of each programme.
    pub(super) programs: BTreeMap<ProgramId, ProgramState>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateForm {
    changes: u64,
    programs: BTreeMap<String, ProgramState>,
}

/// Reads the file of a folder; nothing was kept where there is none.
pub(super) fn read(folder: &Path) -> Result<State, ModelStoreError> {
    let path = folder.join(STATE_FILE);
    let bad = |reason: String| ModelStoreError::State { path: path.clone(), reason };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(bad(error.to_string())),
    };
    let StateForm { changes, programs } = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let named = |(name, mut state): (String, ProgramState)| {
        state.kept_up_to = state.watch.place();
        Ok((ProgramId::new(&name)?, state))
    };
    let programs = programs.into_iter().map(named).collect::<Result<_, InvalidId>>().map_err(|error| bad(error.to_string()))?;
    Ok(State { changes, programs })
}

/// Writes the file into a folder.
pub(super) fn write(folder: &Path, state: &State) -> Result<(), ModelStoreError> {
    let path = folder.join(STATE_FILE);
    let programs = state.programs.iter().map(|(program, kept)| (program.as_str().to_owned(), kept.clone())).collect();
    let bytes = serde_json::to_vec_pretty(&StateForm { changes: state.changes, programs })
        .map_err(|error| ModelStoreError::State { path: path.clone(), reason: error.to_string() })?;
    model_file::write_whole(&path, &bytes).map_err(|source| ModelFileError::Io { path, source })?;
    Ok(())
}

impl ModelAudits {
    /// Whether the breaker tripped.
    #[must_use]
    pub const fn is_tripped(&self) -> bool {
        self.tripped_at_millis.is_some()
    }

    /// Audits that a reviewer resolved.
    #[must_use]
    pub const fn resolved(&self) -> u32 {
        self.honest.saturating_add(self.abusive)
    }
}

impl ProgramState {
    /// Whether the chosen model may reject.
    pub(super) fn auto_reject(&self) -> AutoReject {
        self.auto_reject_of(self.choices.as_ref().and_then(|choices| choices.active.as_deref()))
    }

    /// Whether a model may reject.
    pub(super) fn auto_reject_of(&self, version: Option<&str>) -> AutoReject {
        let tripped = version.and_then(|version| self.watch.models.get(version)).is_some_and(ModelAudits::is_tripped);
        if tripped { AutoReject::Tripped } else { AutoReject::Armed }
    }
}
