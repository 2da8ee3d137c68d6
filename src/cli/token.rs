//! `selfsame token`: says who may call a running server. A token is printed once, by the one command that issues it, and nowhere else.

use clap::{Args, Subcommand, ValueEnum};

use super::answer::{AnswerForm, print};
use super::client::{Client, DeskArgs, block_on, every_page, readable};
use super::progress::remark;
use super::table::table;
use crate::adapters::system_clock::SystemClock;
use crate::ports::clock::Clock as _;
use crate::vocabulary::time::Span;
use crate::wire::fields::time_message;
use crate::wire::v1;
use crate::wire::v1::access_service_client::AccessServiceClient;

const EXAMPLES: &str = "\
Examples:
  The first one; from now on every call needs a token:
    selfsame token issue ops --role admin --all-programs > admin.token
    export SELFSAME_TOKEN_FILE=admin.token

  The backend, the payout pipeline, a reviewer:
    selfsame token issue backend --role screener --in shop --days 90 --note \"rotated by the vault\"
    selfsame token issue payouts --role payer --in shop --days 90
    selfsame token issue rita --role reviewer --in shop --in shop-de

  A second token for rotation, then the end of the first:
    selfsame token issue backend
    selfsame token list
    selfsame token revoke tk-5c1f09aa23e1

  A token of fifteen minutes for a job, from one that lasts:
    SELFSAME_TOKEN=$(selfsame token access) selfsame export --labels --program shop

A token is shown once. What is kept of it is its SHA-256.";

/// Issue tokens to callers, list and revoke them
///
/// As long as none was issued, a server on loopback asks nobody who calls. The first must be for an `admin` in all programmes.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct TokenArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    step: TokenStep,
}

#[derive(Debug, Clone, Subcommand)]
enum TokenStep {
    /// Issue a token, and print it this once
    Issue(IssueArgs),
    /// Who may call, where, and with which tokens
    List,
    /// End a token now
    Revoke {
        /// The token's id, as `token list` shows it
        #[arg(value_name = "TOKEN_ID")]
        id: String,
    },
    /// Remove an identity with all its tokens
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Make a short-lived access token from the token that you have, and print it
    Access {
        /// How long it lasts [default: 15]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=720))]
        minutes: Option<u32>,
    },
    /// Who you are to the server, and what you may do
    Whoami,
}

#[derive(Debug, Clone, Args)]
struct IssueArgs {
    /// The identity that it lets in; its name stands in the audit trail
    #[arg(value_name = "NAME")]
    name: String,
    /// What it may do; several may be given. Needed for a new identity; of a known one it replaces what was said before
    #[arg(long = "role", value_enum, value_name = "ROLE")]
    roles: Vec<RoleArg>,
    /// A programme in which it may; several may be given
    #[arg(long = "in", value_name = "PROGRAM", conflicts_with = "all_programs", requires = "roles")]
    programs: Vec<String>,
    /// It may in all programmes, those to come included
    #[arg(long, requires = "roles")]
    all_programs: bool,
    /// How long the token lasts [default: until it is revoked]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Tells what happened: conversions, signals, outcomes, rewards
    Screener,
    /// Asks the gate, reserves and reports payments, follows the feed
    Payer,
    /// Works on the review queue
    Reviewer,
    /// Reviews, holds, lists, and takes back what others decided
    Lead,
    /// Exports what models are trained with, loads and chooses models
    Trainer,
    /// Reads everything and changes nothing
    Auditor,
    /// Registers programmes and identities, and takes backups
    Admin,
}

impl RoleArg {
    const fn message(self) -> v1::Role {
        match self {
            Self::Screener => v1::Role::Screener,
            Self::Payer => v1::Role::Payer,
            Self::Reviewer => v1::Role::Reviewer,
            Self::Lead => v1::Role::Lead,
            Self::Trainer => v1::Role::Trainer,
            Self::Auditor => v1::Role::Auditor,
            Self::Admin => v1::Role::Admin,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, or the server refuses.
pub fn run(args: &TokenArgs) -> anyhow::Result<()> {
    let TokenArgs { desk, step } = args.clone();
    block_on(async move {
        let client = AccessServiceClient::new(desk.connect().await?);
        answer(client, step, desk.answer.output).await
    })
}

async fn answer(mut client: AccessServiceClient<Client>, step: TokenStep, form: AnswerForm) -> anyhow::Result<()> {
    match step {
        TokenStep::Issue(args) => issue(client, args, form).await,
        TokenStep::List => {
            let identities = every_page(async |page_token| {
                let page = client.list_identities(v1::ListIdentitiesRequest { page_size: 500, page_token }).await?.into_inner();
                Ok((page.identities, page.next_page_token))
            })
            .await?;
            let answer = v1::ListIdentitiesResponse { identities, ..Default::default() };
            print(form, &answer, |answer| listed(&answer.identities))
        }
        TokenStep::Revoke { id } => {
            let answer = client.revoke_token(v1::RevokeTokenRequest { token_id: id }).await.map_err(readable)?.into_inner();
            print(form, &answer, |answer| {
                let id = answer.token.as_ref().map_or("", |token| &token.token_id);
                format!("token {id} lets nobody in any more")
            })
        }
        TokenStep::Access { minutes } => {
            let lifetime = minutes.map(|minutes| pbjson_types::Duration { seconds: i64::from(minutes) * 60, nanos: 0 });
            let request = v1::MakeAccessTokenRequest { lifetime };
            let answer = client.make_access_token(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |answer| answer.secret.clone())
        }
        TokenStep::Remove { name } => {
            let request = v1::RemoveIdentityRequest { name: name.clone() };
            let answer = client.remove_identity(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |_| format!("{name} is no identity any more, and its tokens let nobody in"))
        }
        TokenStep::Whoami => {
            let answer = client.who_am_i(v1::WhoAmIRequest {}).await.map_err(readable)?.into_inner();
            print(form, &answer, whoami)
        }
    }
}

/// The token alone goes to standard output, so that it can be written to a file.
async fn issue(mut client: AccessServiceClient<Client>, args: IssueArgs, form: AnswerForm) -> anyhow::Result<()> {
    let IssueArgs { name, roles, programs, all_programs, days, note } = args;
    if !roles.is_empty() {
        let identity = v1::Identity {
            name: name.clone(),
            roles: roles.into_iter().map(|role| role.message().into()).collect(),
            all_programs,
            program_ids: programs,
            ..v1::Identity::default()
        };
        client.put_identity(v1::PutIdentityRequest { identity: Some(identity) }).await.map_err(readable)?;
    }
    let expires_at = days.map(|days| time_message(SystemClock.now().plus(Span::from_days(days.into()))));
    let request = v1::IssueTokenRequest { identity: name.clone(), note, expires_at };
    let answer = client.issue_token(request).await.map_err(readable)?.into_inner();
    let token = answer.token.clone().unwrap_or_default();
    remark(format!("token {} of {name}, {}; it is shown this once:", token.token_id, until(&token)));
    print(form, &answer, |answer| answer.secret.clone())
}

fn until(token: &v1::Token) -> String {
    match (&token.revoked_at, &token.expires_at) {
        (Some(at), _) => format!("revoked {}", at.spelled().unwrap_or_default()),
        (None, Some(at)) => format!("until {}", at.spelled().unwrap_or_default()),
        (None, None) => "until it is revoked".to_owned(),
    }
}

fn may(identity: &v1::Identity) -> (String, String) {
    let role = |role: v1::Role| role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
    let roles: Vec<String> = identity.roles().map(role).collect();
    let programs = if identity.all_programs { "all programmes".to_owned() } else { identity.program_ids.join(" ") };
    (roles.join(" "), programs)
}

fn listed(identities: &[v1::Identity]) -> String {
    if identities.is_empty() {
        return "no identity: nobody is asked who calls".to_owned();
    }
    let mut rows = vec![["identity", "roles", "programmes", "token", "", "for"].map(str::to_owned).to_vec()];
    for identity in identities {
        let (roles, programs) = may(identity);
        let mut head = vec![identity.name.clone(), roles, programs];
        if identity.tokens.is_empty() {
            rows.push(head.clone());
        }
        for token in &identity.tokens {
            let mut row = std::mem::replace(&mut head, vec![String::new(); 3]);
            row.extend([token.token_id.clone(), until(token), token.note.clone()]);
            rows.push(row);
        }
    }
    table(&rows)
}

fn whoami(answer: &v1::WhoAmIResponse) -> String {
    let identity = answer.identity.clone().unwrap_or_default();
    let (roles, programs) = may(&identity);
    if answer.asks_who_calls {
        format!("{}: {roles} in {programs}", identity.name)
    } else {
        format!("{}, by your own word: this server asks nobody who calls", identity.name)
    }
}
