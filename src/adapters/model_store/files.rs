//! The files of the model folder: where each model lies, and whose it is.
//!
//! It must never lead out of the folder. The store calls it.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{LoadedModel, ModelStoreError};
use crate::adapters::model_file::{self, ModelFileError};
use crate::screening::model::Model;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Timestamp;

/// The folder of what was loaded for single programmes.
const PROGRAMMES: &str = "programmes";

/// A file that should be a model.
pub(super) struct ModelPath {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its name.
    pub(super) name: String,
    /// Whose it is; absent when it is there for all programmes.
    pub(super) program: Option<ProgramId>,
}

impl ModelPath {
    /// Reads it. It counts as loaded when its file was written.
    pub(super) fn read(&self) -> Result<LoadedModel, ModelFileError> {
        let model = model_file::read(&self.path)?;
        let io = |source| ModelFileError::Io { path: self.path.clone(), source };
        let written = std::fs::metadata(&self.path).and_then(|metadata| metadata.modified()).map_err(io)?;
        let millis = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let loaded_at = Timestamp::saturating_from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
        LoadedModel::new(model, loaded_at)
    }
}

/// All files of a folder that should be models, by name: those for all programmes first.
pub(super) fn models_in(folder: &Path) -> Result<Vec<ModelPath>, ModelStoreError> {
    let mut found = json_files(folder, None)?;
    let programmes = folder.join(PROGRAMMES);
    if programmes.is_dir() {
        for (path, name) in entries(&programmes)? {
            if let Some(program) = program_of(&name) {
                found.extend(json_files(&path, Some(&program))?);
            } else {
                tracing::warn!(folder = %path.display(), "this is no programme's folder of models and is left out");
            }
        }
    }
    Ok(found)
}

fn json_files(folder: &Path, program: Option<&ProgramId>) -> Result<Vec<ModelPath>, ModelStoreError> {
    let is_model = |path: &Path| path.extension().is_some_and(|end| end == "json") && path.is_file();
    let files = entries(folder)?.into_iter().filter(|(path, _)| is_model(path));
    Ok(files.map(|(path, name)| ModelPath { path, name, program: program.cloned() }).collect())
}

fn entries(folder: &Path) -> Result<Vec<(PathBuf, String)>, ModelStoreError> {
    let io = |source| ModelFileError::Io { path: folder.to_owned(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        entries.push((entry.path(), entry.file_name().to_string_lossy().into_owned()));
    }
    entries.sort();
    Ok(entries)
}

/// Keeps a model for a programme. The same again changes nothing.
pub(super) fn keep(folder: &Path, program: &ProgramId, model: &Model) -> Result<(), ModelStoreError> {
    let own = folder.join(PROGRAMMES).join(folder_of(program));
    let name = name_of(model.version());
    check_name(&name)?;
    std::fs::create_dir_all(&own).map_err(|source| ModelFileError::Io { path: own.clone(), source })?;
    let path = own.join(name);
    if !path.exists() {
        model_file::write(&path, model)?;
    }
    Ok(())
}

/// The name of a model's file.
pub(super) fn name_of(version: &str) -> String {
    format!("{version}.json")
}

/// Whether a model of this version can be loaded: the file that keeps it is named after it.
#[must_use]
pub fn can_be_version(version: &str) -> bool {
    check_name(&name_of(version)).is_ok()
}

/// Whether a name is a plain file name.
pub(super) fn check_name(name: &str) -> Result<(), ModelStoreError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let fine = !name.is_empty() && name.len() <= 133 && !name.starts_with('.') && name.bytes().all(allowed);
    if fine { Ok(()) } else { Err(ModelStoreError::Name(name.to_owned())) }
}

/// A programme's folder. Ids may hold slashes and dots, and some disks do not tell upper from lower case: such bytes are written as `%` and two
/// hexadecimal digits.
fn folder_of(program: &ProgramId) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    let written = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") };
    program.as_str().bytes().map(written).collect()
}

fn program_of(folder: &str) -> Option<ProgramId> {
    let mut bytes = Vec::with_capacity(folder.len());
    let mut rest = folder.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let (digits, after) = tail.split_at_checked(2)?;
            bytes.extend(hex::decode(digits).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    let program = ProgramId::new(std::str::from_utf8(&bytes).ok()?).ok()?;
    (folder_of(&program) == folder).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programmes_folder_leads_back_to_it_and_never_out_of_the_folder() {
        for name in ["shop", "Shop", "../../etc", "a/b", ".", "50%"] {
            let program = ProgramId::new(name).unwrap();
            let folder = folder_of(&program);
            assert_eq!(program_of(&folder), Some(program));
            assert!(!folder.contains(['/', '.']) && check_name(&folder.replace('%', "_")).is_ok(), "{folder}");
        }
        assert_eq!((program_of("%zz"), program_of("%4"), program_of("Shop")), (None, None, None));
    }
}
