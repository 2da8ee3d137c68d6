//! `selfsame queue`: the review queue from a terminal, over the API. A convenience: everything that it does, `grpcurl` can do.
//! It must never decide without being told how and by whom. `main` calls it.

mod act;
mod next;
pub(super) mod render;

use clap::{Args, Subcommand, ValueEnum};

use super::answer::{AnswerForm, print};
use super::client::{ANSWER_BYTES_MAX, Client, DeskArgs, block_on, readable};
use crate::adapters::system_clock::SystemClock;
use crate::ports::clock::Clock as _;
use crate::wire::v1;
use crate::wire::v1::review_service_client::ReviewServiceClient;

/// Cases that one page of the server holds at most.
const PAGE_SIZE_MAX: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  What waits, the most overdue first:
    selfsame queue --program shop list

  One case, both sides next to each other:
    selfsame queue --program shop show case-cv-3

  Take it, decide it, and say why:
    selfsame queue --program shop claim case-cv-3
    selfsame queue --program shop reject case-cv-3 --reason same_device --note 'one phone, two accounts'

  Undo it:
    selfsame queue --program shop reopen case-cv-3 --note 'they called: a couple'

  Work through what waits, what would lose most first:
    selfsame queue --program shop next

  What belongs together, and all of it at once; it shows what would change, and asks:
    selfsame queue --program shop clusters
    selfsame queue --program shop reject --cluster mallory --reason ring
    selfsame queue --program shop undo

  Put an approved conversion back into review:
    selfsame queue --program shop reopen --conversion cv-7 --note 'owner reported it'

Set SELFSAME_PROGRAM, SELFSAME_SERVER and SELFSAME_ACTOR to type less. With --output json each
answer is one JSON object, as the API defines it; with --output csv a table for spreadsheets.";

/// Work the review queue from a terminal
///
/// Lists cases, shows both sides next to each other, and accepts or rejects, through a running server.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct QueueArgs {
    /// The server, the programme, and who acts
    #[command(flatten)]
    pub desk: DeskArgs,

    /// What to do
    #[command(subcommand)]
    pub step: QueueStep,
}

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub enum QueueStep {
    /// List cases
    List(ListArgs),
    /// Show one case: both sides, reasons, neighbours, history
    Show {
        /// The case, like `case-cv-3`
        case: String,
    },
    /// Take one case after the other, what would lose most first, and decide it
    Next(next::NextArgs),
    /// List what belongs together: cases of one ring or one referrer
    Clusters {
        /// At most so many
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Show what an account's undecided cases belong to: accounts, what ties them, cases
    Cluster {
        /// Any account of it
        account: String,
    },
    /// Count the queue
    Stats,
    /// Accept: the referral is honest. Of several: shows what would change, and asks
    Accept(act::DecideArgs),
    /// Reject: the referral is abusive. Of several: shows what would change, and asks
    Reject(act::DecideArgs),
    /// Undo the last decision on several cases, as far as nothing of it changed or was paid since
    Undo(act::UndoArgs),
    /// Claim a case, so that nobody else decides it meanwhile
    Claim {
        /// The case
        case: String,
        /// For how many minutes [default: what the policy says]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=1_440))]
        minutes: Option<i64>,
    },
    /// Give a claimed case back
    Release {
        /// The case
        case: String,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Put a decision back into review
    Reopen(ReopenArgs),
    /// Write a note into the history of a case
    Note {
        /// The case
        case: String,
        /// The note; no personal data
        text: String,
    },
}

/// Which cases to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// State; may be given more than once [default: open and claimed]
    #[arg(long, value_enum)]
    pub state: Vec<State>,
    /// Order
    #[arg(long, value_enum, default_value_t = Order::Loss)]
    pub order: Order,
    /// Only cases with this reason, like `device.same_device`
    #[arg(long, value_name = "CODE", default_value = "")]
    pub reason: String,
    /// Only cases of this referrer
    #[arg(long, value_name = "ACCOUNT", default_value = "")]
    pub referrer: String,
    /// Only cases with a risk score of at least this, 0 to 99
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=99))]
    pub min_risk: Option<u8>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// A state of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Waits
    Open,
    /// Somebody has it
    Claimed,
    /// Decided
    Resolved,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// What is overdue, then what paying out would lose most
    Loss,
    /// The nearest due time first
    Due,
    /// The highest score first
    Score,
    /// The longest waiting first
    Oldest,
    /// The newest first
    Newest,
}

/// What is reopened.
#[derive(Debug, Args)]
pub struct ReopenArgs {
    /// The case
    #[arg(required_unless_present = "conversion", conflicts_with = "conversion")]
    pub case: Option<String>,
    /// A conversion that was approved or rejected, also one that never had a case
    #[arg(long, value_name = "ID")]
    pub conversion: Option<String>,
    /// Why, as a code of your own
    #[arg(long, default_value = "", value_name = "CODE")]
    pub reason: String,
    /// Why, in words; no personal data
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Runs the command.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn run(args: &QueueArgs) -> anyhow::Result<()> {
    block_on(async {
        let program_id = args.desk.server.program()?;
        let client = ReviewServiceClient::new(args.desk.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
        let desk = Desk { client, program_id, form: args.desk.answer.output };
        desk.run(&args.step).await
    })
}

/// A reviewer's place: a connection, a programme, and who acts.
struct Desk {
    client: ReviewServiceClient<Client>,
    program_id: String,
    form: AnswerForm,
}

impl Desk {
    async fn run(self, step: &QueueStep) -> anyhow::Result<()> {
        match step {
            QueueStep::List(args) => self.list(args).await,
            QueueStep::Show { case } => self.show(case).await,
            QueueStep::Stats => self.stats().await,
            QueueStep::Next(args) => self.next(args).await,
            QueueStep::Clusters { limit } => self.clusters(*limit).await,
            QueueStep::Cluster { account } => self.cluster(account).await,
            QueueStep::Accept(args) => self.decide(args, v1::CaseAct::Accept).await,
            QueueStep::Reject(args) => self.decide(args, v1::CaseAct::Reject).await,
            QueueStep::Undo(args) => self.undo(args).await,
            QueueStep::Claim { case, minutes } => self.claim(case, *minutes).await,
            QueueStep::Release { case, note } => self.release(case, note).await,
            QueueStep::Reopen(args) => self.reopen(args).await,
            QueueStep::Note { case, text } => self.note(case, text).await,
        }
    }

    async fn list(mut self, args: &ListArgs) -> anyhow::Result<()> {
        let state = |state: &State| match state {
            State::Open => v1::CaseState::Open.into(),
            State::Claimed => v1::CaseState::Claimed.into(),
            State::Resolved => v1::CaseState::Resolved.into(),
        };
        let order = match args.order {
            Order::Loss => v1::CaseOrder::ExpectedLossFirst,
            Order::Due => v1::CaseOrder::DueFirst,
            Order::Score => v1::CaseOrder::ScoreHighestFirst,
            Order::Oldest => v1::CaseOrder::OldestFirst,
            Order::Newest => v1::CaseOrder::NewestFirst,
        };
        let mut request = v1::ListCasesRequest {
            program_id: self.program_id.clone(),
            states: args.state.iter().map(state).collect(),
            min_score: args.min_risk.map(|risk| f64::from(risk) / 100.0),
            reason_code: args.reason.clone(),
            referrer_account_id: args.referrer.clone(),
            order_by: Some(order.into()),
            ..Default::default()
        };
        let mut all = v1::ListCasesResponse::default();
        loop {
            let missing = args.limit.saturating_sub(u32::try_from(all.cases.len()).unwrap_or(u32::MAX));
            request.page_size = missing.min(PAGE_SIZE_MAX);
            request.page_token = std::mem::take(&mut all.next_page_token);
            let v1::ListCasesResponse { cases, next_page_token, total_size } =
                self.client.list_cases(request.clone()).await.map_err(readable)?.into_inner();
            all.cases.extend(cases);
            all.next_page_token = next_page_token;
            all.total_size = all.total_size.or(total_size);
            if all.cases.len() >= args.limit as usize || all.next_page_token.is_empty() {
                break;
            }
        }
        print(self.form, &all, |all| render::list(all, SystemClock.now()))
    }

    async fn show(mut self, case: &str) -> anyhow::Result<()> {
        let (program_id, case_id) = (self.program_id.clone(), case.to_owned());
        let mut request = v1::GetCaseRequest { program_id, case_id, history_page_token: String::new(), view: None };
        let v1::GetCaseResponse { review_case, mut earlier_history_page_token } =
            self.client.get_case(request.clone()).await.map_err(readable)?.into_inner();
        let mut case = review_case.unwrap_or_default();
        while !earlier_history_page_token.is_empty() {
            request.history_page_token = earlier_history_page_token;
            let before = self.client.get_case(request.clone()).await.map_err(readable)?.into_inner();
            let earlier = before.review_case.unwrap_or_default().history;
            case.history.splice(0..0, earlier);
            earlier_history_page_token = before.earlier_history_page_token;
        }
        print(self.form, &case, |case| render::case(case, SystemClock.now()))
    }

    async fn clusters(mut self, limit: u32) -> anyhow::Result<()> {
        let request =
            v1::ListClustersRequest { program_id: self.program_id.clone(), page_size: limit, page_token: String::new() };
        let answer = self.client.list_clusters(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, render::clusters)
    }

    async fn cluster(mut self, account: &str) -> anyhow::Result<()> {
        let request = v1::GetClusterRequest { program_id: self.program_id.clone(), account_id: account.to_owned() };
        let answer = self.client.get_cluster(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer.cluster.unwrap_or_default(), |cluster| render::cluster(cluster, SystemClock.now()))
    }

    async fn stats(mut self) -> anyhow::Result<()> {
        let request = v1::GetQueueStatsRequest { program_id: self.program_id.clone() };
        let answer = self.client.get_queue_stats(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, render::stats)
    }

    async fn claim(mut self, case: &str, minutes: Option<i64>) -> anyhow::Result<()> {
        let request = v1::ClaimCaseRequest {
            program_id: self.program_id,
            case_id: case.to_owned(),
            lease: minutes.map(|minutes| pbjson_types::Duration { seconds: minutes * 60, nanos: 0 }),
            expected_revision: None,
            request_id: String::new(),
        };
        let answer = self.client.claim_case(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| render::changed(answer.summary.as_ref()))
    }

    async fn release(mut self, case: &str, note: &str) -> anyhow::Result<()> {
        let request = v1::ReleaseCaseRequest {
            program_id: self.program_id,
            case_id: case.to_owned(),
            note: note.to_owned(),
            expected_revision: None,
            request_id: String::new(),
        };
        let answer = self.client.release_case(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| render::changed(answer.summary.as_ref()))
    }

    async fn reopen(mut self, args: &ReopenArgs) -> anyhow::Result<()> {
        use v1::reopen_case_request::Target;

        let by_case = args.case.clone().map(Target::CaseId);
        let request = v1::ReopenCaseRequest {
            program_id: self.program_id,
            target: by_case.or_else(|| args.conversion.clone().map(Target::ConversionId)),
            reason_code: args.reason.clone(),
            note: args.note.clone(),
            expected_revision: None,
            request_id: String::new(),
        };
        let answer = self.client.reopen_case(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| render::changed(answer.summary.as_ref()))
    }

    async fn note(mut self, case: &str, text: &str) -> anyhow::Result<()> {
        let request = v1::AddNoteRequest {
            program_id: self.program_id,
            case_id: case.to_owned(),
            note: text.to_owned(),
            request_id: String::new(),
        };
        let answer = self.client.add_note(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| render::changed(answer.summary.as_ref()))
    }
}
