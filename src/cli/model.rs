//! `selfsame model`: the models of a running server, over the API. A convenience: everything that it does, `grpcurl` can do.
//! It must never activate without being told which and by whom. `main` calls it.

mod render;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::answer::{AnswerForm, print};
use super::client::{ANSWER_BYTES_MAX, Client, DeskArgs, block_on, readable};
use crate::wire::model::MODEL_BYTES_MAX;
use crate::wire::v1;
use crate::wire::v1::load_model_request::Source;
use crate::wire::v1::model_service_client::ModelServiceClient;

const EXAMPLES: &str = "\
Examples:
  What decides, how it is doing, and what has drifted:
    selfsame model --program shop status

  From a file to a decision, the careful way: load, watch in the shadow, read where it differs, activate:
    selfsame model --program shop load models/shop.json
    selfsame model --program shop challenger logistic-2026-11-01-ab12cd34
    selfsame model --program shop disagreements
    selfsame model --program shop activate logistic-2026-11-01-ab12cd34 --note 'two weeks in the shadow'

  Undo it:
    selfsame model --program shop rollback --note 'reviews doubled'

Nothing restarts. Decisions that were made stand; what is screened from then on is decided by the new model.
Set SELFSAME_PROGRAM, SELFSAME_SERVER and SELFSAME_ACTOR to type less. With --output json each
answer is one JSON object, as the API defines it; with --output csv a table for spreadsheets.";

/// Load, activate, watch and roll back models of a running server
///
/// Each programme chooses for itself. Every change stands in the audit trail with who, when and why.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct ModelArgs {
    /// The server, the programme, and who acts
    #[command(flatten)]
    pub desk: DeskArgs,

    /// What to do
    #[command(subcommand)]
    pub step: ModelStep,
}

/// What to do with the models.
#[derive(Debug, Subcommand)]
pub enum ModelStep {
    /// List the loaded models and what each does
    List,
    /// Say which model decides, how it is doing, what has drifted
    Status,
    /// Show who changed what, when and why
    History,
    /// Load a model file; it decides nothing until it is activated
    Load(LoadArgs),
    /// Make a loaded model the one that decides; arms its auto-reject
    Activate {
        /// The version, as `list` shows it
        version: String,
        /// Why; no personal data
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Go back to what decided before the last activation
    Rollback {
        /// Why; no personal data
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Score live traffic with a loaded model in the shadow
    Challenger {
        /// The version, as `list` shows it
        #[arg(required_unless_present = "none")]
        version: Option<String>,
        /// Stop watching
        #[arg(long, conflicts_with = "version")]
        none: bool,
        /// Why; no personal data
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List decisions that the challenger would have made otherwise, the newest first
    Disagreements {
        /// At most so many
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
}

/// Where a model comes from.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// A model file on this machine
    #[arg(required_unless_present = "from_folder")]
    pub file: Option<PathBuf>,
    /// The name of a file in the server's own model folder
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub from_folder: Option<String>,
    /// Why; no personal data
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read, the server cannot be reached, or it refuses.
pub fn run(args: &ModelArgs) -> anyhow::Result<()> {
    block_on(async {
        let program_id = args.desk.server.program()?;
        let client = ModelServiceClient::new(args.desk.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
        let desk = Desk { client, program_id, form: args.desk.answer.output };
        desk.run(&args.step).await
    })
}

/// A data scientist's place: a connection, a programme, and who acts.
struct Desk {
    client: ModelServiceClient<Client>,
    program_id: String,
    form: AnswerForm,
}

impl Desk {
    async fn run(self, step: &ModelStep) -> anyhow::Result<()> {
        match step {
            ModelStep::List => self.list().await,
            ModelStep::Status => self.status(render::status).await,
            ModelStep::History => self.status(render::history).await,
            ModelStep::Load(args) => self.load(args).await,
            ModelStep::Activate { version, note } => self.activate(version, note).await,
            ModelStep::Rollback { note } => self.roll_back(note).await,
            ModelStep::Challenger { version, none: _, note } => {
                self.challenger(version.as_deref().unwrap_or_default(), note).await
            }
            ModelStep::Disagreements { limit } => self.disagreements(*limit).await,
        }
    }

    async fn list(mut self) -> anyhow::Result<()> {
        let request = v1::ListModelsRequest { program_id: self.program_id };
        let answer = self.client.list_models(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, render::list)
    }

    async fn status(mut self, text: fn(&v1::GetModelStatusResponse) -> String) -> anyhow::Result<()> {
        let request = v1::GetModelStatusRequest { program_id: self.program_id };
        let answer = self.client.get_model_status(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, text)
    }

    async fn load(mut self, args: &LoadArgs) -> anyhow::Result<()> {
        let source = match (&args.file, &args.from_folder) {
            (Some(file), _) => {
                let content = std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
                if content.len() > MODEL_BYTES_MAX {
                    bail!("`{}` has {} bytes; a model file has at most {MODEL_BYTES_MAX}", file.display(), content.len());
                }
                Some(Source::Content(content.into()))
            }
            (None, name) => name.clone().map(Source::FileName),
        };
        let request =
            v1::LoadModelRequest { program_id: self.program_id, source, note: args.note.clone(), request_id: String::new() };
        let answer = self.client.load_model(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| render::loaded(answer.model.as_ref()))
    }

    async fn activate(mut self, version: &str, note: &str) -> anyhow::Result<()> {
        let request = v1::ActivateModelRequest {
            program_id: self.program_id.clone(),
            model_version: version.to_owned(),
            note: note.to_owned(),
            request_id: String::new(),
        };
        let answer = self.client.activate_model(request).await.map_err(readable)?.into_inner();
        let status = v1::GetModelStatusRequest { program_id: self.program_id };
        let scores = self.client.get_model_status(status).await.map_err(readable)?.into_inner().active;
        print(self.form, &answer, |answer| match scores {
            Some(_) => render::decides(answer.active.as_ref(), &answer.previous_version),
            None => render::waits(answer.active.as_ref()),
        })
    }

    async fn roll_back(mut self, note: &str) -> anyhow::Result<()> {
        let request = v1::RollbackModelRequest { program_id: self.program_id, note: note.to_owned(), request_id: String::new() };
        let answer = self.client.rollback_model(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| render::decides(answer.active.as_ref(), &answer.previous_version))
    }

    async fn challenger(mut self, version: &str, note: &str) -> anyhow::Result<()> {
        let request = v1::SetChallengerRequest {
            program_id: self.program_id,
            model_version: version.to_owned(),
            note: note.to_owned(),
            request_id: String::new(),
        };
        let answer = self.client.set_challenger(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| render::challenges(answer.challenger.as_ref()))
    }

    /// Follows the pages until there are enough: one page looks at a bounded number of decisions and may hold few.
    async fn disagreements(mut self, limit: u32) -> anyhow::Result<()> {
        let mut all = v1::ListDisagreementsResponse::default();
        loop {
            let missing = limit.saturating_sub(u32::try_from(all.disagreements.len()).unwrap_or(u32::MAX));
            let request = v1::ListDisagreementsRequest {
                program_id: self.program_id.clone(),
                page_size: missing,
                page_token: std::mem::take(&mut all.next_page_token),
                ..Default::default()
            };
            let answer = self.client.list_disagreements(request).await.map_err(readable)?.into_inner();
            all.disagreements.extend(answer.disagreements);
            all.next_page_token = answer.next_page_token;
            if all.disagreements.len() >= limit as usize || all.next_page_token.is_empty() {
                break;
            }
        }
        print(self.form, &all, render::disagreements)
    }
}
