//! `selfsame program`: registers programmes with a running server, changes and archives them.

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::answer::{AnswerForm, print};
use super::client::{Client, DeskArgs, block_on, every_page, money, readable};
use super::rekey::{self, RekeyArgs};
use super::table::table;
use super::terms::{self, PolicyArgs, SetArgs};
use crate::wire::v1;
use crate::wire::v1::program_service_client::ProgramServiceClient;

const EXAMPLES: &str = "\
Examples:
  selfsame program list
  selfsame program create shop --title \"The shop\"                 a sandbox: no money follows
  selfsame program create shop-de --production --currency EUR
  selfsame program update shop --production --currency EUR --currency CHF
  selfsame program update shop --production --confirm-above 20000 EUR --confirm-unbans --confirm-models
  selfsame program archive shop                                   read as before, takes nothing more
  selfsame program set shop --policy shop.toml --note \"as measured in May\"
  selfsame program set shop --payout-delay-days 30 --retention-days 400 --note \"as the lawyers say\"
  selfsame program rekey shop mapping.jsonl                       what `digest --rekey` wrote
  selfsame program keys shop                                      when the old key can go
  selfsame program terms shop                                     who changed what, and what was promised before
  selfsame program policy shop --hash 3f...                       the policy that a decision quotes";

/// Register programmes, change and archive them
///
/// Everything is asked in a programme that is registered; one that is misspelt is refused and creates nothing.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct ProgramArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    step: ProgramStep,
}

#[derive(Debug, Clone, Subcommand)]
enum ProgramStep {
    /// The programmes that you may know of
    List,
    /// One programme
    Show(NamedArgs),
    /// Register a programme
    Create(SettingsArgs),
    /// Replace what is said of a programme
    Update(SettingsArgs),
    /// Let a programme take nothing more; it is read as before
    Archive(NamedArgs),
    /// Take an archived programme into use again
    Unarchive(NamedArgs),
    /// What a programme says for itself of policy, payout delay and retention, and who changed it
    Terms(NamedArgs),
    /// Change policy, payout delay or retention of a programme
    Set(SetArgs),
    /// Write out the policy of a programme
    Policy(PolicyArgs),
    /// Teach what is known under an old key its names under a new one
    Rekey(RekeyArgs),
    /// Under which keys values are known, and which key can go
    Keys(NamedArgs),
}

#[derive(Debug, Clone, Args)]
struct NamedArgs {
    /// The programme
    #[arg(value_name = "ID")]
    id: String,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone, Args)]
struct SettingsArgs {
    /// The programme
    #[arg(value_name = "ID")]
    id: String,
    /// What people call it
    #[arg(long, default_value = "", hide_default_value = true)]
    title: String,
    /// What it is for
    #[arg(long, value_enum, default_value_t = StageArg::Sandbox)]
    stage: StageArg,
    /// Money follows: the same as `--stage production`
    #[arg(long, conflicts_with = "stage")]
    production: bool,
    /// A currency that it pays in, as in ISO 4217; several may be given, none means any
    #[arg(long = "currency", value_name = "CODE")]
    currencies: Vec<String>,
    /// A key id under which digests are taken; several may be given, none means any
    #[arg(long = "key-id", value_name = "KEY_ID")]
    key_ids: Vec<String>,
    /// Letting go of more than this needs a second identity: minor units and currency, like `20000 EUR`; once for each currency
    #[arg(long = "confirm-above", num_args = 2, value_names = ["MINOR", "CODE"], action = ArgAction::Append)]
    confirm_above: Vec<String>,
    /// Letting somebody in again who was kept out needs a second identity
    #[arg(long)]
    confirm_unbans: bool,
    /// Letting another model decide needs a second identity
    #[arg(long)]
    confirm_models: bool,
    /// Letting another policy decide, or money be payable earlier, needs a second identity
    #[arg(long)]
    confirm_terms: bool,
    /// How long an act waits for a second identity [default: 7 days]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=720))]
    confirm_within_hours: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StageArg {
    /// Trying out: no money follows
    Sandbox,
    /// Money follows
    Production,
}

impl SettingsArgs {
    fn message(self) -> v1::Program {
        let stage = match (self.production, self.stage) {
            (true, _) | (_, StageArg::Production) => v1::ProgramStage::Production,
            (false, StageArg::Sandbox) => v1::ProgramStage::Sandbox,
        };
        let confirmation = self.confirmation();
        let Self { id, title, currencies, key_ids, .. } = self;
        v1::Program { program_id: id, title, stage: stage.into(), currencies, confirmation, key_ids, ..v1::Program::default() }
    }

    fn confirmation(&self) -> Option<v1::Confirmation> {
        let above: Vec<v1::Money> = self.confirm_above.chunks(2).filter_map(money).collect();
        let hours = self.confirm_within_hours.map(i64::from);
        let expires_after = hours.map(|hours| pbjson_types::Duration { seconds: hours * 3_600, nanos: 0 });
        let (unbans, models, terms) = (self.confirm_unbans, self.confirm_models, self.confirm_terms);
        let asked = !above.is_empty() || unbans || models || terms || expires_after.is_some();
        asked.then_some(v1::Confirmation { above, unbans, models, terms, expires_after })
    }
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, or the server refuses.
pub fn run(args: &ProgramArgs) -> anyhow::Result<()> {
    let ProgramArgs { desk, step } = args.clone();
    block_on(async move {
        let client = ProgramServiceClient::new(desk.connect().await?);
        answer(client, step, desk.answer.output).await
    })
}

async fn answer(mut client: ProgramServiceClient<Client>, step: ProgramStep, form: AnswerForm) -> anyhow::Result<()> {
    let program = match step {
        ProgramStep::List => {
            let found = every_page(async |page_token| {
                let page = client.list_programs(v1::ListProgramsRequest { page_size: 500, page_token }).await?.into_inner();
                Ok((page.programs, page.next_page_token))
            })
            .await?;
            let answer = v1::ListProgramsResponse { programs: found, ..Default::default() };
            return print(form, &answer, |answer| programs(&answer.programs));
        }
        ProgramStep::Show(NamedArgs { id }) => {
            let request = v1::GetProgramRequest { program_id: id };
            client.get_program(request).await.map_err(readable)?.into_inner().program
        }
        ProgramStep::Create(settings) => {
            let request = v1::CreateProgramRequest { program: Some(settings.message()) };
            client.create_program(request).await.map_err(readable)?.into_inner().program
        }
        ProgramStep::Update(settings) => {
            let request = v1::UpdateProgramRequest { program: Some(settings.message()) };
            client.update_program(request).await.map_err(readable)?.into_inner().program
        }
        ProgramStep::Archive(NamedArgs { id }) => {
            let request = v1::ArchiveProgramRequest { program_id: id };
            client.archive_program(request).await.map_err(readable)?.into_inner().program
        }
        ProgramStep::Terms(NamedArgs { id }) => return terms::show(client, id, form).await,
        ProgramStep::Set(args) => return terms::set(client, args, form).await,
        ProgramStep::Policy(args) => return terms::policy(client, args).await,
        ProgramStep::Rekey(args) => return rekey::rekey(client, args, form).await,
        ProgramStep::Keys(NamedArgs { id }) => return rekey::keys(client, id, form).await,
        ProgramStep::Unarchive(NamedArgs { id }) => {
            let request = v1::UnarchiveProgramRequest { program_id: id };
            client.unarchive_program(request).await.map_err(readable)?.into_inner().program
        }
    };
    print(form, &program.unwrap_or_default(), |program| programs(std::slice::from_ref(program)))
}

/// What a second identity must confirm.
fn second_identity_for(confirmation: &v1::Confirmation) -> String {
    let v1::Confirmation { above, unbans, models, terms, expires_after: _ } = confirmation;
    let amounts = above.iter().map(|money| format!("above {} {}", money.amount_minor, money.currency));
    let others = [(*unbans, "unbans"), (*models, "models"), (*terms, "terms")].into_iter().filter(|(asked, _)| *asked);
    amounts.chain(others.map(|(_, what)| what.to_owned())).collect::<Vec<_>>().join(", ")
}

fn programs(programs: &[v1::Program]) -> String {
    if programs.is_empty() {
        return "no programme is registered that you may know of; `selfsame program create ID` registers one".to_owned();
    }
    let row = |program: &v1::Program| {
        let stage = match (program.archived_at, program.stage()) {
            (Some(_), _) => "archived",
            (None, v1::ProgramStage::Production) => "production",
            (None, v1::ProgramStage::Sandbox | v1::ProgramStage::Unspecified) => "sandbox",
        };
        let currencies = if program.currencies.is_empty() { "any".to_owned() } else { program.currencies.join(" ") };
        let second = program.confirmation.as_ref().map_or_else(|| "nothing".to_owned(), second_identity_for);
        let (id, by, title) = (program.program_id.clone(), program.created_by.clone(), program.title.clone());
        vec![id, stage.to_owned(), currencies, second, by, title]
    };
    let head = ["programme", "stage", "currencies", "second identity for", "registered by", "title"].map(str::to_owned).to_vec();
    table(&std::iter::once(head).chain(programs.iter().map(row)).collect::<Vec<_>>())
}
