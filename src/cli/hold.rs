//! `selfsame hold`: keeps the rewards of a referral or a referrer from being paid, and lets them go again.

use clap::{Args, Subcommand};

use super::act::waits;
use super::answer::{AnswerForm, print};
use super::client::{Client, DeskArgs, block_on, every_page, readable};
use super::table::table;
use crate::wire::v1;
use crate::wire::v1::hold_subject::Subject;
use crate::wire::v1::payout_service_client::PayoutServiceClient;
use crate::wire::words::at_time;

const EXAMPLES: &str = "\
Examples:
  selfsame hold --program shop list
  selfsame hold --program shop place --conversion cv-7 --note \"asked the customer\"
  selfsame hold --program shop place --referrer mallory --id legal-2026-14     also of referrals to come
  selfsame hold --program shop lift --id legal-2026-14 --note \"settled\"
  selfsame hold --program shop lift --conversion cv-7                          your own hold on it";

/// Hold rewards, and lift holds
///
/// A hold keeps all rewards of one referral, or of one referrer, from being paid until it is lifted. Several holds are lifted one by one.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct HoldArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    step: HoldStep,
}

#[derive(Debug, Clone, Subcommand)]
enum HoldStep {
    /// The holds in force
    List,
    /// Place a hold
    Place(PlaceArgs),
    /// Lift a hold
    Lift(LiftArgs),
}

#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
struct SubjectArgs {
    /// The rewards of the referral behind this conversion
    #[arg(long, value_name = "ID")]
    conversion: Option<String>,
    /// The rewards of all referrals of this account
    #[arg(long, value_name = "ACCOUNT")]
    referrer: Option<String>,
}

#[derive(Debug, Clone, Args)]
struct PlaceArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// The id of the hold, like the number of a legal case; one of Selfsame's without it
    #[arg(long, default_value = "", hide_default_value = true)]
    id: String,
    /// Why; no personal data
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

#[derive(Debug, Clone, Args)]
struct LiftArgs {
    /// The hold, as `hold list` shows it
    #[arg(long, default_value = "", hide_default_value = true, required_unless_present_any = ["conversion", "referrer"])]
    id: String,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Why; no personal data
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

impl From<SubjectArgs> for Option<v1::HoldSubject> {
    fn from(SubjectArgs { conversion, referrer }: SubjectArgs) -> Self {
        let subject = conversion.map(Subject::ConversionId).or(referrer.map(Subject::ReferrerAccountId))?;
        Some(v1::HoldSubject { subject: Some(subject) })
    }
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, or the server refuses.
pub fn run(args: &HoldArgs) -> anyhow::Result<()> {
    let HoldArgs { desk, step } = args.clone();
    block_on(async move {
        let program_id = desk.server.program()?;
        let client = PayoutServiceClient::new(desk.connect().await?);
        answer(client, program_id, step, desk.answer.output).await
    })
}

async fn answer(
    mut client: PayoutServiceClient<Client>,
    program_id: String,
    step: HoldStep,
    form: AnswerForm,
) -> anyhow::Result<()> {
    let request_id = String::new();
    match step {
        HoldStep::List => {
            let holds = every_page(async |page_token| {
                let request = v1::ListHoldsRequest { program_id: program_id.clone(), page_size: 500, page_token };
                let page = client.list_holds(request).await?.into_inner();
                Ok((page.holds, page.next_page_token))
            })
            .await?;
            let answer = v1::ListHoldsResponse { holds, ..Default::default() };
            print(form, &answer, |answer| listed(&answer.holds))
        }
        HoldStep::Place(PlaceArgs { subject, id, note }) => {
            let request = v1::PlaceHoldRequest { program_id, subject: subject.into(), note, hold_id: id, request_id };
            let answer = client.place_hold(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |answer| {
                format!("hold {} is {}in force", answer.hold_id, if answer.replayed { "already " } else { "" })
            })
        }
        HoldStep::Lift(LiftArgs { id, subject, note }) => {
            let request = v1::LiftHoldRequest { program_id, subject: subject.into(), note, hold_id: id, request_id };
            let answer = client.lift_hold(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |answer| match (&answer.pending_act, answer.holds_left) {
                (Some(pending), _) => waits(pending),
                (None, 0) => "the hold is lifted; no other is left on it".to_owned(),
                (None, left) => format!("the hold is lifted; left on it: {left}"),
            })
        }
    }
}

fn listed(holds: &[v1::Hold]) -> String {
    if holds.is_empty() {
        return "no hold is in force".to_owned();
    }
    let row = |hold: &v1::Hold| {
        let v1::Hold { subject, actor, note, placed_at, hold_id } = hold.clone();
        let on = match subject.and_then(|subject| subject.subject) {
            Some(Subject::ConversionId(id)) => format!("conversion {id}"),
            Some(Subject::ReferrerAccountId(id)) => format!("referrer {id}"),
            None => String::new(),
        };
        vec![hold_id, on, actor, at_time(placed_at.as_ref()), note]
    };
    let head = ["hold", "on", "placed by", "since", "note"].map(str::to_owned).to_vec();
    table(&std::iter::once(head).chain(holds.iter().map(row)).collect::<Vec<_>>())
}
