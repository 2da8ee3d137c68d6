//! `selfsame act`: shows what waits for a second identity, and confirms, refuses or withdraws it.

use clap::{Args, Subcommand};

use super::answer::{AnswerForm, print};
use super::client::{Client, DeskArgs, block_on, every_page, readable};
use super::table::table;
use crate::wire::v1;
use crate::wire::v1::confirmation_service_client::ConfirmationServiceClient;

const EXAMPLES: &str = "\
Examples:
  selfsame act list --program shop                       what waits for a second identity
  selfsame act confirm act-17 --note \"I looked too\"      it is done now, as its proposer's
  selfsame act refuse act-17 --note \"same card\"
  selfsame act withdraw act-17                           your own proposal

What a programme asks a second identity for: `selfsame program update --confirm-above 200 EUR ...`.";

/// Confirm what others proposed, or refuse it
///
/// Whoever proposed an act cannot confirm it. An act that nobody confirms ends by itself.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct ActArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    step: ActStep,
}

#[derive(Debug, Clone, Subcommand)]
enum ActStep {
    /// What waits, the oldest first
    List,
    /// Confirm an act: it is done
    Confirm(NamedArgs),
    /// Refuse an act: it is not done
    Refuse(NamedArgs),
    /// Take your own proposal back
    Withdraw(NamedArgs),
}

#[derive(Debug, Clone, Args)]
struct NamedArgs {
    /// The act, as `act list` shows it
    #[arg(value_name = "ACT")]
    id: String,
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, or the server refuses.
pub fn run(args: &ActArgs) -> anyhow::Result<()> {
    let ActArgs { desk, step } = args.clone();
    block_on(async move {
        let program_id = desk.server.program()?.clone();
        let client = ConfirmationServiceClient::new(desk.connect().await?);
        answer(client, program_id, step, desk.answer.output).await
    })
}

async fn answer(
    mut client: ConfirmationServiceClient<Client>,
    program_id: String,
    step: ActStep,
    form: AnswerForm,
) -> anyhow::Result<()> {
    let request_id = String::new();
    match step {
        ActStep::List => {
            let acts = every_page(async |page_token| {
                let request = v1::ListPendingActsRequest { program_id: program_id.clone(), page_size: 500, page_token };
                let page = client.list_pending_acts(request).await?.into_inner();
                Ok((page.acts, page.next_page_token))
            })
            .await?;
            let answer = v1::ListPendingActsResponse { acts, ..Default::default() };
            print(form, &answer, |answer| listed(&answer.acts))
        }
        ActStep::Confirm(NamedArgs { id, note }) => {
            let request = v1::ConfirmActRequest { program_id, act_id: id.clone(), note, request_id };
            let answer = client.confirm_act(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |_| format!("{id} is confirmed, and done"))
        }
        ActStep::Refuse(NamedArgs { id, note }) => {
            let request = v1::RefuseActRequest { program_id, act_id: id.clone(), note, request_id };
            let answer = client.refuse_act(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |_| format!("{id} is refused: nothing was done"))
        }
        ActStep::Withdraw(NamedArgs { id, note }) => {
            let request = v1::WithdrawActRequest { program_id, act_id: id.clone(), note, request_id };
            let answer = client.withdraw_act(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |_| format!("{id} is withdrawn: nothing was done"))
        }
    }
}

/// What is said of something that was not done yet.
pub(super) fn waits(pending: &v1::PendingAct) -> String {
    let v1::PendingAct { act_id, sentence, .. } = pending;
    format!("Not done yet: `{sentence}` waits for a second identity as {act_id} (`selfsame act confirm {act_id}`)")
}

fn listed(acts: &[v1::PendingAct]) -> String {
    if acts.is_empty() {
        return "nothing waits for a second identity".to_owned();
    }
    let row = |act: &v1::PendingAct| {
        let why = match act.cause() {
            v1::ConfirmationCause::Amount => "amount",
            v1::ConfirmationCause::Unban => "unban",
            v1::ConfirmationCause::Model => "model",
            v1::ConfirmationCause::Terms => "terms",
            v1::ConfirmationCause::Unspecified => "",
        };
        let end = act.expires_at.as_ref().and_then(|end| end.spelled().ok()).unwrap_or_default();
        vec![act.act_id.clone(), why.to_owned(), act.proposer.clone(), end, act.sentence.clone(), act.note.clone()]
    };
    let head = ["act", "why", "proposed by", "ends", "what", "note"].map(str::to_owned).to_vec();
    table(&std::iter::once(head).chain(acts.iter().map(row)).collect::<Vec<_>>())
}
