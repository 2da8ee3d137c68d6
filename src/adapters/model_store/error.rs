//! Why the model store did not do something, in words that say what to do. The model handlers turn each into a status.

use std::path::PathBuf;

use super::MODELS_MAX;
use crate::adapters::model_file::ModelFileError;

/// Why the store did not do it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ModelStoreError {
    /// The file is no usable model.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The folder's default model cannot be loaded. Starting without it would let another model decide where nobody chose.
    #[error(
        "`default.json` of `{}` decides where nobody chose and cannot be used: {error}; put a file there that fits, or take it away to begin with the shipped \
         model", folder.display()
    )]
    Default {
        /// What is wrong.
        error: ModelFileError,
        /// The model folder.
        folder: PathBuf,
    },
    /// No such model is loaded.
    #[error("model `{0}` is not loaded in this programme; load its file first")]
    NotLoaded(String),
    /// Another model has this version.
    #[error(
        "another model is loaded as `{0}`; a version names one model for ever, so give yours another: `selfsame train --version-name`"
    )]
    VersionTaken(String),
    /// Too many.
    #[error("{MODELS_MAX} models are loaded; remove files from the model folder and restart")]
    TooMany,
    /// The name leads out of the folder, or is no file name.
    #[error("`{0}` is not a file name: 1 to 128 letters, digits, `.`, `_` and `-`, not beginning with a dot")]
    Name(String),
    /// There is no folder.
    #[error("this server keeps nothing on disk and has no model folder; send the bytes of the file")]
    NoFolder,
}
