//! Deciding: one case at once, several after a preview that was confirmed, and undoing the latter. It must never decide several unasked.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use tonic::Code;

use super::{Desk, render};
use crate::cli::answer::print;
use crate::cli::client::readable;
use crate::wire::v1;
use crate::wire::v1::preview_cases_request::Selection;

/// How often a call that may have been done is sent again; its id keeps it from being done twice.
const TRIES: usize = 3;

/// Which cases are decided, and why.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// The cases
    #[arg(required_unless_present_any = ["cluster", "of_referrer", "showing"])]
    pub cases: Vec<String>,
    /// Instead: all undecided cases of the cluster that this account is in
    #[arg(long, value_name = "ACCOUNT", conflicts_with_all = ["cases", "of_referrer", "showing", "revision"])]
    pub cluster: Option<String>,
    /// Instead: all undecided cases of this referrer
    #[arg(long, value_name = "ACCOUNT", conflicts_with_all = ["cases", "revision"])]
    pub of_referrer: Option<String>,
    /// Instead: all undecided cases with this reason, like `device.same_device`
    #[arg(long, value_name = "CODE", conflicts_with_all = ["cases", "revision"])]
    pub showing: Option<String>,
    /// Why, as a code of your own, like `same_household`
    #[arg(long, default_value = "", value_name = "CODE")]
    pub reason: String,
    /// Why, in words; no personal data
    #[arg(long, default_value = "")]
    pub note: String,
    /// Of one case: only if nobody changed it since this revision
    #[arg(long, value_name = "N")]
    pub revision: Option<u32>,
    /// Of several: do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Of several: show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub preview: bool,
}

/// What is undone.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The file with the token that undoes it [default: that of the last decision on several cases made here]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Why, in words; no personal data
    #[arg(long, default_value = "")]
    pub note: String,
}

impl Desk {
    pub(super) async fn decide(mut self, args: &DecideArgs, act: v1::CaseAct) -> anyhow::Result<()> {
        let Some(selection) = selection(args) else { return self.decide_one(args, act).await };
        let wanted = v1::PreviewCasesRequest { program_id: self.program_id.clone(), act: act.into(), selection: Some(selection) };
        let preview = self.client.preview_cases(wanted).await.map_err(readable)?.into_inner();
        if args.preview {
            return print(self.form, &preview, |preview| render::preview(preview, act));
        }
        if preview.changing == 0 {
            print(self.form, &preview, |preview| render::preview(preview, act))?;
            bail!("nothing would change");
        }
        if !args.yes {
            eprintln!("{}", render::preview(&preview, act));
            if !confirmed(&render::question(&preview, act))? {
                bail!("nothing was changed");
            }
        }
        let answer = self.act(preview.preview_token, &args.reason, &args.note).await?;
        let kept = keep_undo_token(&answer.undo_token);
        print(self.form, &answer, |answer| render::acted(answer, kept.as_deref()))
    }

    /// One case that is named needs no preview: it was looked at.
    async fn decide_one(mut self, args: &DecideArgs, act: v1::CaseAct) -> anyhow::Result<()> {
        let resolution = match act {
            v1::CaseAct::Accept => v1::Resolution::Accept,
            v1::CaseAct::Reject => v1::Resolution::Reject,
            v1::CaseAct::Reopen | v1::CaseAct::Unspecified => v1::Resolution::Unspecified,
        };
        let answer = self.resolve(args.cases.join(""), resolution, &args.reason, &args.note, args.revision).await?;
        print(self.form, &answer, render::resolved)
    }

    pub(super) async fn resolve(
        &mut self,
        case_id: String,
        resolution: v1::Resolution,
        reason: &str,
        note: &str,
        revision: Option<u32>,
    ) -> anyhow::Result<v1::ResolveCaseResponse> {
        let request = v1::ResolveCaseRequest {
            program_id: self.program_id.clone(),
            case_id,
            resolution: resolution.into(),
            reason_code: reason.to_owned(),
            note: note.to_owned(),
            expected_revision: revision,
            request_id: String::new(),
        };
        Ok(self.client.resolve_case(request).await.map_err(readable)?.into_inner())
    }

    pub(super) async fn undo(mut self, args: &UndoArgs) -> anyhow::Result<()> {
        let file = args.file.clone().or_else(undo_file).context("where is the token? Name the file that holds it")?;
        let read = std::fs::read_to_string(&file);
        let token = read.with_context(|| format!("reading what undoes the last decision, from `{}`", file.display()))?;
        let answer = self.act(token.trim().to_owned(), "", &args.note).await?;
        print(self.form, &answer, |answer| render::acted(answer, None))
    }

    /// Does what a token stands for. Sent again under the same id where no answer came.
    async fn act(&mut self, token: String, reason: &str, note: &str) -> anyhow::Result<v1::ActOnCasesResponse> {
        let request = v1::ActOnCasesRequest {
            program_id: self.program_id.clone(),
            preview_token: token,
            reason_code: reason.to_owned(),
            note: note.to_owned(),
            request_id: uuid::Uuid::now_v7().to_string(),
        };
        let mut tries = 1;
        loop {
            match self.client.act_on_cases(request.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if tries < TRIES && matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => tries += 1,
                Err(status) => return Err(readable(status)),
            }
        }
    }
}

/// What is selected; absent for one case that is named.
fn selection(args: &DecideArgs) -> Option<Selection> {
    if let Some(account) = &args.cluster {
        return Some(Selection::ClusterAccountId(account.clone()));
    }
    if args.of_referrer.is_some() || args.showing.is_some() {
        return Some(Selection::Filter(v1::ListCasesRequest {
            referrer_account_id: args.of_referrer.clone().unwrap_or_default(),
            reason_code: args.showing.clone().unwrap_or_default(),
            ..Default::default()
        }));
    }
    let several = args.cases.len() > 1 || args.preview;
    several.then(|| Selection::Cases(v1::CaseIds { case_ids: args.cases.clone() }))
}

/// Asks on the terminal.
fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here: look at what `--preview` shows, then give `--yes`");
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Where the token that undoes the last decision is kept.
fn undo_file() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = of("XDG_STATE_HOME").or_else(|| of("HOME").map(|home| home.join(".local/state")))?;
    Some(folder.join("selfsame/undo"))
}

/// Keeps a token where `undo` finds it. Returns why it could not be.
fn keep_undo_token(token: &str) -> Option<String> {
    if token.is_empty() {
        return None;
    }
    let Some(file) = undo_file() else { return Some("there is no home folder".to_owned()) };
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(&file, token)).err().map(|error| format!("`{}`: {error}", file.display()))
}
