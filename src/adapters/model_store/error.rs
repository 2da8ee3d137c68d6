//! Why the model store did not do something, in words that say what to do. The model handlers turn each into a status.

use std::path::PathBuf;

use super::{MODELS_MAX, STATE_FILE};
use crate::adapters::model_file::ModelFileError;

/// Why the store did not do it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ModelStoreError {
    /// The file is no usable model.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// A model that decides cannot be loaded. Starting without it would send everything to review.
    #[error(
        "model `{version}` decides in {place} and cannot be used: {reason}; put a file of this version that fits into `{}`, or remove the \
         programme's choice from `{STATE_FILE}` there to begin with the default model", folder.display()
    )]
    InUse {
        /// Its version, or its file.
        version: String,
        /// Where it decides.
        place: String,
        /// What is wrong.
        reason: String,
        /// The model folder.
        folder: PathBuf,
    },
    /// No such model is loaded.
    #[error("model `{0}` is not loaded in this programme; load its file first")]
    NotLoaded(String),
    /// Nothing to go back to.
    #[error(
        "there is nothing to go back to: a rollback goes back one step, to what decided before the last activation; use \
         `model activate VERSION`"
    )]
    NothingBefore,
    /// It would watch itself.
    #[error("model `{0}` decides in this programme; a challenger is another one")]
    Decides(String),
    /// Another model has this version.
    #[error(
        "another model is loaded as `{0}`; a version names one model for ever, so give yours another: `selfsame train --version-name`"
    )]
    VersionTaken(String),
    /// Another call had this id.
    #[error("`{0}` was sent before with other content; an id names one call for ever")]
    RequestTaken(String),
    /// Too many.
    #[error("{MODELS_MAX} models are loaded; remove files from the model folder and restart")]
    TooMany,
    /// The name leads out of the folder, or is no file name.
    #[error("`{0}` is not a file name: 1 to 128 letters, digits, `.`, `_` and `-`, not beginning with a dot")]
    Name(String),
    /// There is no folder.
    #[error("this server keeps nothing on disk and has no model folder; send the bytes of the file")]
    NoFolder,
    /// The state file is not one.
    #[error("`{}` cannot be used: {reason}; remove it to begin with the default model", path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
