//! `selfsame account`: an account as a whole, over the API. It must never show more of a digest than eight digits.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::answer::print;
use super::client::{ANSWER_BYTES_MAX, DeskArgs, block_on, readable};
use super::queue::render::{conversion_row, tie_row};
use super::table::table;
use crate::wire::v1;
use crate::wire::v1::privacy_service_client::PrivacyServiceClient;
use crate::wire::v1::review_service_client::ReviewServiceClient;
use crate::wire::words::{instant, money};

/// How long it is waited before it is asked again whether an erasure is done.
const ASKED_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  Everything of an account: whom it referred, what it earned, what it shares with others:
    selfsame account --program shop show mallory

  As the API's JSON, with more of its referrals:
    selfsame account --program shop show mallory --limit 500 --output json

  What a person asks for who wants to be forgotten:
    selfsame account --program shop erase mallory --reason asked_by_the_person";

/// Look at an account as a whole
///
/// Its conversions on both sides and what became of them, its money, the values that it shares with others, its ring, holds, lists and outcomes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct AccountArgs {
    /// The server, the programme, and who asks
    #[command(flatten)]
    pub desk: DeskArgs,

    /// What to do
    #[command(subcommand)]
    pub step: AccountStep,
}

/// What to do with an account.
#[derive(Debug, Subcommand)]
pub enum AccountStep {
    /// Show it
    Show {
        /// The account
        account: String,
        /// At most so many of its referrals, the newest
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Erase its signals from everything that holds them; ids, amounts, codes and what was decided stay
    Erase {
        /// The account
        account: String,
        /// Why, as a code like `asked_by_the_person`
        #[arg(long, default_value = "", hide_default_value = true, value_name = "CODE")]
        reason: String,
        /// The id of this call; with the same one it can be asked again whether it is done [default: one that is made up]
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Do not wait until it is done
        #[arg(long)]
        no_wait: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn run(args: &AccountArgs) -> anyhow::Result<()> {
    let (account, limit) = match &args.step {
        AccountStep::Show { account, limit } => (account, limit),
        AccountStep::Erase { account, reason, request_id, no_wait } => {
            let request_id = request_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
            let request = v1::EraseAccountRequest {
                program_id: args.desk.server.program()?,
                account_id: account.clone(),
                reason_code: reason.clone(),
                request_id,
            };
            return block_on(erase(&args.desk, request, *no_wait));
        }
    };
    block_on(async {
        let program_id = args.desk.server.program()?.clone();
        let mut client = ReviewServiceClient::new(args.desk.connect().await?).max_decoding_message_size(ANSWER_BYTES_MAX);
        let request =
            v1::GetAccountRequest { program_id, account_id: account.clone(), page_size: *limit, page_token: String::new() };
        let answer = client.get_account(request).await.map_err(readable)?.into_inner();
        print(args.desk.answer.output, &answer, shown)
    })
}

/// Asks for an erasure, and waits until it is done.
async fn erase(desk: &DeskArgs, request: v1::EraseAccountRequest, no_wait: bool) -> anyhow::Result<()> {
    let mut client = PrivacyServiceClient::new(desk.connect().await?);
    loop {
        let answer = client.erase_account(request.clone()).await.map_err(readable)?.into_inner();
        let finished = answer.state() == v1::ErasureState::Finished;
        if finished || no_wait {
            return print(desk.answer.output, &answer, |_| {
                let v1::EraseAccountRequest { account_id, request_id, .. } = &request;
                if finished {
                    format!("the signals of {account_id} are erased; backups from before still hold them until they are removed")
                } else {
                    format!("the signals of {account_id} are being erased; ask again with --request-id {request_id}")
                }
            });
        }
        tokio::time::sleep(ASKED_AGAIN).await;
    }
}

/// An account as text.
fn shown(answer: &v1::GetAccountResponse) -> String {
    let v1::GetAccountResponse { account, next_page_token } = answer;
    let account = account.clone().unwrap_or_default();
    let v1::Account {
        account_id,
        first_seen_at,
        opened_at,
        referred_by_account_id,
        banned_at,
        referrals,
        rejected_referrals,
        accepted_referrals,
        refunded_referrals,
        after_checkout_referrals,
        earnings,
        as_referrer,
        as_referee,
        shared,
        ring,
        holds,
        list_entries,
        outcomes,
    } = account;
    let since = |what: &str, at: &Option<crate::wire::WireTimestamp>| {
        at.as_ref().and_then(instant).map(|at| format!(", {what} {at}")).unwrap_or_default()
    };
    let mut text = format!(
        "{account_id}{}{}{}\n",
        since("opened", &opened_at),
        since("first seen", &first_seen_at),
        since("BANNED since", &banned_at)
    );
    if !referred_by_account_id.is_empty() {
        let _ = writeln!(text, "referred by {referred_by_account_id}");
    }
    let _ = writeln!(
        text,
        "referred {referrals} users: {rejected_referrals} rejected, {accepted_referrals} accepted by a reviewer, {refunded_referrals} refunded or \
         disputed, {after_checkout_referrals} with a code that came at the checkout"
    );
    if let Some(ring) = ring.filter(|ring| ring.accounts > 1) {
        let _ = writeln!(
            text,
            "tied to {} other accounts, {} of the ring rejected or banned: {}",
            ring.accounts - 1,
            ring.rejected_accounts,
            ring.account_ids.join(" ")
        );
    }
    section(&mut text, "MONEY", earnings.as_ref().map(money_rows).unwrap_or_default());
    section(&mut text, "REFERRED, NEWEST FIRST", as_referrer.iter().map(conversion_row).collect());
    if !next_page_token.is_empty() {
        text.push_str("and more; --limit shows them\n");
    }
    section(&mut text, "WAS REFERRED IN", as_referee.iter().map(conversion_row).collect());
    section(&mut text, "SHARES WITH OTHERS, RAREST FIRST", shared.iter().map(tie_row).collect());
    section(&mut text, "HOLDS", holds.iter().map(hold_row).collect());
    section(&mut text, "ON LISTS", list_entries.iter().map(entry_row).collect());
    section(&mut text, "REPORTED OF IT", outcomes.iter().map(outcome_row).collect());
    text
}

fn section(text: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        let _ = write!(text, "\n{title}\n{}", table(&rows));
    }
}

fn money_rows(earnings: &v1::Earnings) -> Vec<Vec<String>> {
    let v1::Earnings { paid, reserved, due, held, denied, conversions: _ } = earnings;
    let all = [("paid", paid), ("reserved by a payer", reserved), ("due", due), ("held", held), ("denied", denied)];
    all.into_iter()
        .filter(|(_, amounts)| !amounts.is_empty())
        .map(|(what, amounts)| vec![what.to_owned(), money(amounts)])
        .collect()
}

fn hold_row(hold: &v1::Hold) -> Vec<String> {
    use v1::hold_subject::Subject;

    let on = match hold.subject.as_ref().and_then(|subject| subject.subject.as_ref()) {
        Some(Subject::ConversionId(id)) => format!("on referral {id}"),
        Some(Subject::ReferrerAccountId(_)) => "on the referrer".to_owned(),
        None => String::new(),
    };
    vec![hold.hold_id.clone(), on, hold.actor.clone(), hold.note.clone()]
}

fn entry_row(entry: &v1::ListEntry) -> Vec<String> {
    use v1::list_subject::Subject;

    let list = entry.list().as_str_name().trim_start_matches("LIST_KIND_").to_lowercase();
    let on = match entry.subject.as_ref().and_then(|subject| subject.subject.as_ref()) {
        Some(Subject::AccountId(_)) => "the account".to_owned(),
        Some(Subject::Identifier(value)) => {
            format!("its {}", value.kind().as_str_name().trim_start_matches("IDENTIFIER_KIND_").to_lowercase())
        }
        None => String::new(),
    };
    vec![list, on, entry.actor.clone(), entry.note.clone()]
}

fn outcome_row(outcome: &v1::AccountOutcome) -> Vec<String> {
    let at = outcome.occurred_at.as_ref().and_then(instant).map(|at| at.to_string()).unwrap_or_default();
    let what = outcome.kind().as_str_name().trim_start_matches("OUTCOME_KIND_").to_lowercase();
    vec![at, what, outcome.note.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_shown_with_its_money_and_what_it_shares_and_nothing_that_is_not_there() {
        let amount = |minor| v1::Money { amount_minor: minor, currency: "EUR".to_owned() };
        let account = v1::Account {
            account_id: "mallory".to_owned(),
            referrals: 3,
            rejected_referrals: 2,
            earnings: Some(v1::Earnings { paid: vec![amount(2_000)], held: vec![amount(500)], ..Default::default() }),
            shared: vec![v1::SharedIdentifier {
                label: "payment instrument".to_owned(),
                digest_prefix: "ab12cd34".to_owned(),
                one_of_strangers: 40_000.0,
                account_ids: vec!["eve".to_owned()],
                ..Default::default()
            }],
            ring: Some(v1::Ring { accounts: 2, rejected_accounts: 1, account_ids: vec!["eve".to_owned()] }),
            ..Default::default()
        };
        let text = shown(&v1::GetAccountResponse { account: Some(account), next_page_token: String::new() });
        for part in [
            "referred 3 users: 2 rejected",
            "tied to 1 other accounts, 1 of the ring rejected or banned: eve",
            "MONEY\npaid  20.00 EUR\nheld  5.00 EUR\n",
            "payment instrument ab12cd34  1 of 40,000 strangers has it  eve",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("HOLDS") && !text.contains("ON LISTS") && !text.contains("BANNED"), "{text}");
    }
}
