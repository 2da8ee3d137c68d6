//! `selfsame outcome`: tells a running server what became of conversions and accounts, and takes it back.

use clap::{ArgGroup, Args, Subcommand};

use super::act::waits;
use super::answer::{AnswerForm, print};
use super::client::{Client, DeskArgs, MoneyArg, TimeArgs, block_on, every_page, readable};
use super::named::{Named as _, one_of};
use super::table::table;
use crate::wire::v1;
use crate::wire::v1::outcome::Subject;
use crate::wire::v1::screening_service_client::ScreeningServiceClient;
use crate::wire::words::{at_time, money};

const EXAMPLES: &str = "\
Examples:
  selfsame outcome --program shop record re_1 charge-refunded --conversion cv-7
  selfsame outcome --program shop record re_2 charge-refunded --invoice bob in_41 --amount 500 EUR
  selfsame outcome --program shop record ban-9 account-banned --account mallory --note \"terms, section 4\"
  selfsame outcome --program shop revoke ban-9 --note \"mistaken identity\"
  selfsame outcome --program shop pending            what waits for its conversion or account

The first word after `record` is your id of the outcome: told again it is answered as the first time.";

/// Report what became of conversions and accounts
///
/// Refunds, disputes, cancellations and bans cancel what is unpaid, and become history. They may come in any order, also before what they are about.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct OutcomeArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    step: OutcomeStep,
}

#[derive(Debug, Clone, Subcommand)]
enum OutcomeStep {
    /// Report an outcome
    Record(RecordArgs),
    /// Take an outcome back
    Revoke {
        /// The outcome
        #[arg(value_name = "OUTCOME")]
        id: String,
        /// Why, as a code of your own
        #[arg(long, default_value = "", hide_default_value = true, value_name = "CODE")]
        reason: String,
        /// Why, in words; no personal data
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
    },
    /// What waits for what it is about
    Pending,
}

#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["conversion", "account", "invoice"]))]
struct RecordArgs {
    /// Your id of the outcome
    #[arg(value_name = "OUTCOME")]
    id: String,
    /// What happened
    #[arg(value_name = "KIND", value_parser = one_of::<v1::OutcomeKind>())]
    kind: v1::OutcomeKind,
    /// It happened to one conversion
    #[arg(long, value_name = "ID")]
    conversion: Option<String>,
    /// It happened to an account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// It happened to an invoice of a referee
    #[arg(long, num_args = 2, value_names = ["REFEREE", "INVOICE"])]
    invoice: Option<Vec<String>>,
    #[command(flatten)]
    amount: MoneyArg,
    #[command(flatten)]
    at: TimeArgs,
    /// Anything worth keeping; no personal data
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

impl RecordArgs {
    fn request(self, program_id: String) -> v1::RecordOutcomeRequest {
        let Self { id, kind, conversion, account, invoice, amount, at, note } = self;
        let invoice = invoice.map(|pair| {
            let mut pair = pair.into_iter();
            let (referee_account_id, invoice_id) = (pair.next().unwrap_or_default(), pair.next().unwrap_or_default());
            Subject::Invoice(v1::InvoiceSubject { referee_account_id, invoice_id })
        });
        let subject = conversion.map(Subject::ConversionId).or(account.map(Subject::AccountId)).or(invoice);
        let outcome = v1::Outcome {
            kind: kind.into(),
            subject,
            occurred_at: Some(at.message()),
            amount: amount.message(),
            note,
            ..v1::Outcome::default()
        };
        v1::RecordOutcomeRequest { program_id, outcome_id: id, outcome: Some(outcome) }
    }
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, or the server refuses.
pub fn run(args: &OutcomeArgs) -> anyhow::Result<()> {
    let OutcomeArgs { desk, step } = args.clone();
    block_on(async move {
        let program_id = desk.server.program()?;
        let client = ScreeningServiceClient::new(desk.connect().await?);
        answer(client, program_id, step, desk.answer.output).await
    })
}

async fn answer(
    mut client: ScreeningServiceClient<Client>,
    program_id: String,
    step: OutcomeStep,
    form: AnswerForm,
) -> anyhow::Result<()> {
    match step {
        OutcomeStep::Record(args) => {
            let answer = client.record_outcome(args.request(program_id)).await.map_err(readable)?.into_inner();
            print(form, &answer, recorded)
        }
        OutcomeStep::Revoke { id, reason, note } => {
            let request =
                v1::RevokeOutcomeRequest { program_id, outcome_id: id, reason_code: reason, note, request_id: String::new() };
            let answer = client.revoke_outcome(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |answer| answer.pending_act.as_ref().map_or_else(|| "it is taken back".to_owned(), waits))
        }
        OutcomeStep::Pending => {
            let outcomes = every_page(async |page_token| {
                let request = v1::ListPendingOutcomesRequest { program_id: program_id.clone(), page_size: 500, page_token };
                let page = client.list_pending_outcomes(request).await?.into_inner();
                Ok((page.outcomes, page.next_page_token))
            })
            .await?;
            let answer = v1::ListPendingOutcomesResponse { outcomes, ..Default::default() };
            print(form, &answer, |answer| pending(&answer.outcomes))
        }
    }
}

fn recorded(answer: &v1::RecordOutcomeResponse) -> String {
    let v1::RecordOutcomeResponse { replayed, cursor: _, pending, warnings, pending_act } = answer;
    let mut text = match (pending_act, replayed, pending) {
        (Some(act), _, _) => waits(act),
        (None, _, true) => "recorded; it waits for what it is about".to_owned(),
        (None, true, false) => "it was recorded before".to_owned(),
        (None, false, false) => "recorded".to_owned(),
    };
    for warning in warnings {
        text += &format!("\nnote: {warning}");
    }
    text
}

fn pending(outcomes: &[v1::PendingOutcome]) -> String {
    if outcomes.is_empty() {
        return "no outcome waits".to_owned();
    }
    let row = |pending: &v1::PendingOutcome| {
        let v1::PendingOutcome { outcome_id, outcome, received_at } = pending.clone();
        let outcome = outcome.unwrap_or_default();
        let on = match &outcome.subject {
            Some(Subject::ConversionId(id)) => format!("conversion {id}"),
            Some(Subject::AccountId(id)) => format!("account {id}"),
            Some(Subject::Invoice(invoice)) => format!("invoice {} of {}", invoice.invoice_id, invoice.referee_account_id),
            None => String::new(),
        };
        let amount = money(outcome.amount.as_slice());
        vec![outcome_id, outcome.kind().word(), on, amount, at_time(received_at.as_ref()), outcome.note]
    };
    let head = ["outcome", "what", "of", "amount", "received", "note"].map(str::to_owned).to_vec();
    table(&std::iter::once(head).chain(outcomes.iter().map(row)).collect::<Vec<_>>())
}
