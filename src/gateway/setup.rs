//! What the gateway needs to know of each programme: the key of its digests, the secrets of its senders, the names under which they attach codes.
//! Secrets are read from files, kept wiped when dropped, and never shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::adapters::byte_order_mark;
use crate::adapters::config::{GatewayConfig, GatewayProgramConfig};
use crate::digesting::{Digester, ProgrammeKey};
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::ProgramId;

/// The names under which a sender attaches a referral code and the new user's id; the first that is there counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataNames {
    /// Of the code.
    pub code: Vec<String>,
    /// Of the new user.
    pub account: Vec<String>,
}

/// A programme that the gateway takes events for.
pub struct GatewayProgram {
    /// Its id.
    pub id: ProgramId,
    /// Makes its pseudonyms.
    pub digester: Digester,
    /// The id of its key.
    pub key_id: KeyId,
    /// Secrets of Stripe's endpoints. Empty: Stripe is not listened to.
    pub stripe_secrets: Vec<SecretString>,
    /// `user:password` of Chargebee's webhooks. Empty: Chargebee is not listened to.
    pub chargebee_credentials: Vec<SecretString>,
    /// Where codes are attached.
    pub names: MetadataNames,
    /// Prices of plans, to notice an amount in whole units. Unit: minor units.
    pub plan_prices_minor: Vec<i64>,
}

/// The programmes by id.
pub type Programs = BTreeMap<ProgramId, Arc<GatewayProgram>>;

/// Why a programme cannot be served. Shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An id is none.
    #[error("`gateway.programs.{program}`: {problem}")]
    Program {
        /// The programme as written.
        program: String,
        /// What is wrong.
        problem: String,
    },
    /// A file cannot be read or used.
    #[error("`gateway.programs.{program}.{key}`: the file `{}` cannot be used: {problem}", path.display())]
    File {
        /// The programme.
        program: String,
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Reads everything that the configuration names.
///
/// # Errors
/// [`SetupError`]; the operator mends the configuration or the file.
pub fn programs(config: &GatewayConfig) -> Result<Programs, SetupError> {
    config.programs.iter().map(|(name, program)| read(name, program).map(|read| (read.id.clone(), Arc::new(read)))).collect()
}

fn read(name: &str, config: &GatewayProgramConfig) -> Result<GatewayProgram, SetupError> {
    let GatewayProgramConfig {
        key_file,
        key_id,
        previous_key_file,
        previous_key_id,
        stripe_secrets_file,
        chargebee_credentials_file,
        code_names,
        user_names,
        plan_prices_minor,
    } = config;
    let wrong = |problem: String| SetupError::Program { program: name.to_owned(), problem };
    let id = ProgramId::new(name).map_err(|error| wrong(format!("the name {error}")))?;
    let named = |text: &str, what: &str| KeyId::new(text).map_err(|error| wrong(format!("`{what}`: {error}")));
    let key_file = key_file.as_ref().ok_or_else(|| {
        wrong("`key_file` is required: the file of the key that the programme's digests are made with".to_owned())
    })?;
    let key_id = named(key_id, "key_id")?;
    let key = key_of(name, "key_file", key_file, key_id)?;
    let digester = match previous_key_file {
        None => Digester::new(&key),
        Some(file) => {
            let previous = key_of(name, "previous_key_file", file, named(previous_key_id, "previous_key_id")?)?;
            Digester::rotating(&key, &previous).map_err(|error| wrong(error.to_string()))?
        }
    };
    let lines = |key: &'static str, file: &Option<PathBuf>| file.as_ref().map(|file| secrets_of(name, key, file)).transpose();
    Ok(GatewayProgram {
        id,
        digester,
        key_id,
        stripe_secrets: lines("stripe_secrets_file", stripe_secrets_file)?.unwrap_or_default(),
        chargebee_credentials: lines("chargebee_credentials_file", chargebee_credentials_file)?.unwrap_or_default(),
        names: MetadataNames { code: code_names.clone(), account: user_names.clone() },
        plan_prices_minor: plan_prices_minor.clone(),
    })
}

fn key_of(program: &str, key: &'static str, path: &Path, id: KeyId) -> Result<ProgrammeKey, SetupError> {
    let unusable = |problem: String| SetupError::File { program: program.to_owned(), key, path: path.to_path_buf(), problem };
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    ProgrammeKey::from_file_content(id, &bytes).map_err(|error| unusable(error.to_string()))
}

/// The secrets of a file, one a line; empty lines and those that begin with `#` are passed over.
fn secrets_of(program: &str, key: &'static str, path: &Path) -> Result<Vec<SecretString>, SetupError> {
    let unusable = |problem: String| SetupError::File { program: program.to_owned(), key, path: path.to_path_buf(), problem };
    let text = byte_order_mark::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let text = SecretString::from(text);
    let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let secrets: Vec<SecretString> = lines.map(SecretString::from).collect();
    if secrets.is_empty() { Err(unusable("it holds no secret; write one a line".to_owned())) } else { Ok(secrets) }
}
