//! The policies in force: the default, and one for each programme that has its own; read again while the service runs.
//!
//! It must never put a policy in force that was not checked, nor drop one because its file became unreadable: with any mistake in any file
//! all earlier policies stay. The service and the ledger's assessor ask it; the operator's reload is the only writer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::own_policies::OwnPolicies;
use super::policy_file::{self, PolicyFileError};
use crate::book::terms::ProgramTerms;
use crate::ports::policies::Policies;
use crate::screening::policy::Policy;
use crate::vocabulary::ids::{InvalidId, ProgramId};
use crate::vocabulary::time::Span;

/// Where policies come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySources {
    /// The file of the default policy; the shipped one when absent.
    pub file: Option<PathBuf>,
    /// A folder of `<programme>.toml`, each for one programme; absent when all programmes have the default.
    pub folder: Option<PathBuf>,
    /// How long records are kept; a policy that pays later is refused, because what is removed before it may be paid never could be. Absent when they are kept
    /// for ever.
    pub kept_for: Option<Span>,
}

/// Policies that were read together.
#[derive(Debug, Clone)]
pub struct PolicySet {
    /// For every programme without its own.
    pub default: Arc<Policy>,
    /// Of programmes with their own.
    pub programs: BTreeMap<ProgramId, Arc<Policy>>,
}

impl PolicySet {
    /// The policy of a programme.
    #[must_use]
    pub fn policy_of(&self, program: &ProgramId) -> &Arc<Policy> {
        self.programs.get(program).unwrap_or(&self.default)
    }
}

/// One file of several that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PolicySourceError {
    /// A file with mistakes.
    #[error(transparent)]
    File(#[from] PolicyFileError),
    /// The folder cannot be listed.
    #[error("the policies folder `{}` cannot be read: {cause}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Records are removed before they may be paid.
    #[error(
        "`retention.days` is {kept}, and the longest payout delay of a policy is {longest} days; keep records at least as long"
    )]
    PaysTooLate {
        /// How long records are kept. Unit: days.
        kept: f64,
        /// The longest delay. Unit: days.
        longest: f64,
    },
    /// The file's name is not that of a programme.
    #[error("the policy file `{}` is not named after a programme: {cause}", path.display())]
    Name {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: InvalidId,
    },
}

/// Why the policies were not taken. The earlier ones, if there were any, stay in force.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct PoliciesRefused(pub Vec<PolicySourceError>);

/// The policies in force.
#[derive(Debug)]
pub struct PolicyStore {
    sources: PolicySources,
    in_force: RwLock<Arc<PolicySet>>,
    own: OwnPolicies,
}

impl PolicyStore {
    /// Reads the policies for the first time.
    ///
    /// # Errors
    /// [`PoliciesRefused`] with every mistake of every file; the service does not start.
    pub fn open(sources: PolicySources) -> Result<Self, PoliciesRefused> {
        let set = read(&sources)?;
        Ok(Self { sources, in_force: RwLock::new(Arc::new(set)), own: OwnPolicies::default() })
    }

    /// The policies as they are now. A decision keeps what it got.
    #[must_use]
    pub fn in_force(&self) -> Arc<PolicySet> {
        Arc::clone(&self.in_force.read())
    }

    /// Reads all files again and puts them in force together.
    ///
    /// # Errors
    /// [`PoliciesRefused`] with every mistake of every file; the earlier policies stay in force.
    pub fn reload(&self) -> Result<Arc<PolicySet>, PoliciesRefused> {
        let set = Arc::new(read(&self.sources)?);
        *self.in_force.write() = Arc::clone(&set);
        Ok(set)
    }
}

impl Policies for PolicyStore {
    fn policy_of(&self, program: &ProgramId, terms: &ProgramTerms) -> Arc<Policy> {
        terms.policy().map_or_else(|| Arc::clone(self.in_force().policy_of(program)), |named| self.own.of(named))
    }

    fn kept_for(&self) -> Option<Span> {
        self.sources.kept_for
    }
}

/// One policy for all programmes that name none, which never changes: for `screen`, `demo` and tests.
#[derive(Debug)]
pub struct FixedPolicy(Arc<Policy>, OwnPolicies);

impl FixedPolicy {
    /// This policy, always.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(policy), OwnPolicies::default())
    }
}

impl Policies for FixedPolicy {
    fn policy_of(&self, _program: &ProgramId, terms: &ProgramTerms) -> Arc<Policy> {
        terms.policy().map_or_else(|| Arc::clone(&self.0), |named| self.1.of(named))
    }
}

fn read(sources: &PolicySources) -> Result<PolicySet, PoliciesRefused> {
    let mut refused = Vec::new();
    let default = match sources.file.as_deref().map_or_else(policy_file::shipped, policy_file::read) {
        Ok(policy) => Some(Arc::new(policy)),
        Err(error) => {
            refused.push(error.into());
            None
        }
    };
    let mut programs = BTreeMap::new();
    if let Some(folder) = &sources.folder {
        match policy_files(folder) {
            Ok(files) => {
                for file in files {
                    match of_program(&file) {
                        Ok((program, policy)) => {
                            programs.insert(program, policy);
                        }
                        Err(error) => refused.push(error),
                    }
                }
            }
            Err(cause) => refused.push(PolicySourceError::Folder { path: folder.clone(), cause }),
        }
    }
    let delays = default.iter().chain(programs.values()).map(|policy| policy.payout().longest_delay());
    if let (Some(kept), Some(longest)) = (sources.kept_for, delays.max())
        && kept < longest
    {
        let days = |span: Span| span.as_seconds() / 86_400.0;
        refused.push(PolicySourceError::PaysTooLate { kept: days(kept), longest: days(longest) });
    }
    match default {
        Some(default) if refused.is_empty() => Ok(PolicySet { default, programs }),
        Some(_) | None => Err(PoliciesRefused(refused)),
    }
}

/// The `.toml` files of a folder, by name.
fn policy_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn of_program(file: &Path) -> Result<(ProgramId, Arc<Policy>), PolicySourceError> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let program = ProgramId::new(&stem).map_err(|cause| PolicySourceError::Name { path: file.to_owned(), cause })?;
    Ok((program, Arc::new(policy_file::read(file)?)))
}

#[cfg(test)]
mod tests {
    use super::super::policy_file::SHIPPED_POLICY;
    use super::*;

    fn version_of(store: &PolicyStore, program: &str) -> String {
        store.policy_of(&ProgramId::new(program).unwrap(), &ProgramTerms::default()).version().to_owned()
    }

    fn policy_of_version(version: &str) -> String {
        SHIPPED_POLICY.replace("version = \"default-5\"", &format!("version = \"{version}\""))
    }

    #[test]
    fn a_programme_with_its_own_file_has_its_own_policy() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("shop.toml"), policy_of_version("shop-3")).unwrap();
        let store =
            PolicyStore::open(PolicySources { folder: Some(folder.path().to_owned()), ..PolicySources::default() }).unwrap();
        assert_eq!((version_of(&store, "shop"), version_of(&store, "other")), ("shop-3".into(), "default-5".into()));
    }

    #[test]
    fn a_policy_that_pays_after_its_records_are_gone_is_refused_at_the_start_and_at_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        let paying_after = |days: u32| SHIPPED_POLICY.replace("delay_days = 14", &format!("delay_days = {days}"));
        fs::write(&file, paying_after(90)).unwrap();
        let sources = PolicySources { file: Some(file.clone()), kept_for: Some(Span::from_days(90)), ..PolicySources::default() };
        let store = PolicyStore::open(sources.clone()).unwrap();
        fs::write(&file, paying_after(91)).unwrap();
        let expected =
            "`retention.days` is 90, and the longest payout delay of a policy is 91 days; keep records at least as long";
        assert_eq!(store.reload().unwrap_err().to_string(), expected);
        assert_eq!(store.in_force().default.payout().longest_delay(), Span::from_days(90), "the earlier one stays in force");
        assert_eq!(PolicyStore::open(sources.clone()).unwrap_err().to_string(), expected);
        assert!(PolicyStore::open(PolicySources { kept_for: None, ..sources }).is_ok(), "kept for ever");
    }

    #[test]
    fn a_reload_takes_what_changed_and_refuses_mistakes_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        fs::write(&file, policy_of_version("one")).unwrap();
        let store = PolicyStore::open(PolicySources { file: Some(file.clone()), ..PolicySources::default() }).unwrap();
        fs::write(&file, policy_of_version("two")).unwrap();
        assert!(store.reload().is_ok());
        assert_eq!(version_of(&store, "shop"), "two");
        fs::write(&file, policy_of_version("three").replace("mode = \"reject\"", "mode = \"Reject\"")).unwrap();
        assert!(store.reload().is_err());
        fs::remove_file(&file).unwrap();
        assert!(store.reload().unwrap_err().to_string().contains("cannot be read"));
        assert_eq!(version_of(&store, "shop"), "two");
    }

    #[test]
    fn every_mistake_of_every_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.toml"), "version = 1").unwrap();
        fs::write(folder.path().join("b c.toml"), SHIPPED_POLICY).unwrap();
        let sources =
            PolicySources { file: Some(folder.path().join("none")), folder: Some(folder.path().to_owned()), kept_for: None };
        let refused = PolicyStore::open(sources).unwrap_err();
        assert_eq!(refused.0.len(), 3, "{refused}");
    }
}
