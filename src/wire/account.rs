//! Accounts as a whole: from requests to what is asked for, and from what is known of an account to messages. It must never decide anything. The
//! review handlers call it.

use super::enums::WireEnum;
use super::fields::{id_text, money_message, required_id, time_message};
use super::request::{ListingSeal, PageKey, page};
use super::review::short_digest;
use super::violation::{At, Violation, Violations};
use super::{decision, hold, list, v1};
use crate::book::account_file::{AccountConversion, AccountFile, AccountOutcome, Earnings, ReferralCounts, Ring};
use crate::book::query::PageRequest;
use crate::book::records::{Neighbour, identifier_words};
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::{AccountId, ProgramId};
use crate::vocabulary::money::Money;

/// An account that was asked for.
#[derive(Debug, Clone)]
pub struct AccountWanted {
    /// The programme.
    pub program_id: ProgramId,
    /// The account.
    pub account_id: AccountId,
    /// Which of its conversions as the referrer.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Reads which account is asked for.
///
/// # Errors
/// All violated fields.
pub fn wanted(message: v1::GetAccountRequest, key: &PageKey) -> Result<AccountWanted, Vec<Violation>> {
    let bare = v1::GetAccountRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::GetAccountRequest { program_id, account_id, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let account_id = required_id(&account_id, &At::path("account_id"), &mut found);
    let page = page(page_size, &page_token, seal, &mut found);
    let wanted = program_id.zip(account_id);
    found.into_result(wanted.map(|(program_id, account_id)| AccountWanted { program_id, account_id, page, seal }))
}

/// Writes an account, and where its conversions go on.
#[must_use]
pub fn message_of(file: &AccountFile, seal: ListingSeal) -> v1::GetAccountResponse {
    let AccountFile {
        account_id,
        first_seen_at,
        opened_at,
        referred_by,
        banned_at,
        referrals,
        earnings,
        as_referrer,
        as_referee,
        shared,
        ring,
        holds,
        listed,
        outcomes,
    } = file;
    let ReferralCounts { all, rejected, accepted, refunded, after_checkout } = *referrals;
    let account = v1::Account {
        account_id: account_id.to_string(),
        first_seen_at: first_seen_at.map(time_message),
        opened_at: opened_at.map(time_message),
        referred_by_account_id: id_text(referred_by.as_ref()),
        banned_at: banned_at.map(time_message),
        referrals: all,
        rejected_referrals: rejected,
        accepted_referrals: accepted,
        refunded_referrals: refunded,
        after_checkout_referrals: after_checkout,
        earnings: Some(earnings_message(earnings)),
        as_referrer: as_referrer.entries.iter().map(conversion_message).collect(),
        as_referee: as_referee.iter().map(conversion_message).collect(),
        shared: shared.iter().map(shared_message).collect(),
        ring: Some(ring_message(ring)),
        holds: holds.iter().map(hold::message_of).collect(),
        list_entries: listed.iter().map(list::entry_message).collect(),
        outcomes: outcomes.iter().map(outcome_message).collect(),
    };
    v1::GetAccountResponse { account: Some(account), next_page_token: seal.seal(as_referrer.next.as_ref()) }
}

/// Writes a conversion as it stands beside others.
#[must_use]
pub fn conversion_message(conversion: &AccountConversion) -> v1::AccountConversion {
    let AccountConversion { conversion_id, other, kind, occurred_at, value, verdict, standing, case_id } = conversion;
    v1::AccountConversion {
        conversion_id: conversion_id.to_string(),
        other_account_id: other.to_string(),
        kind: kind.to_number(),
        occurred_at: Some(time_message(*occurred_at)),
        value: value.map(money_message),
        verdict: verdict.to_number(),
        standing: Some(decision::standing_message(standing)),
        case_id: id_text(case_id.as_ref()),
    }
}

/// Writes a value that accounts share.
#[must_use]
pub fn shared_message(neighbour: &Neighbour) -> v1::SharedIdentifier {
    let Neighbour { identifier, sides, accounts_count, accounts, rejected_count, one_of_strangers } = neighbour;
    let sides = match (sides.contains(&Side::Referrer), sides.contains(&Side::Referee)) {
        (true, true) => v1::EvidenceSides::Both,
        (true, false) => v1::EvidenceSides::Referrer,
        (false, true) => v1::EvidenceSides::Referee,
        (false, false) => v1::EvidenceSides::Unspecified,
    };
    v1::SharedIdentifier {
        kind: identifier.kind.to_number(),
        digest_prefix: short_digest(&identifier.digest),
        sides: sides.into(),
        accounts: u64::from(*accounts_count),
        account_ids: accounts.iter().map(ToString::to_string).collect(),
        rejected_accounts: u64::from(*rejected_count),
        label: identifier_words(identifier.kind).to_owned(),
        one_of_strangers: *one_of_strangers,
    }
}

/// Writes amounts.
pub(super) fn amounts(amounts: &[Money]) -> Vec<v1::Money> {
    amounts.iter().copied().map(money_message).collect()
}

fn earnings_message(earnings: &Earnings) -> v1::Earnings {
    let Earnings { paid, reserved, due, held, denied, conversions } = earnings;
    v1::Earnings {
        paid: amounts(paid),
        reserved: amounts(reserved),
        due: amounts(due),
        held: amounts(held),
        denied: amounts(denied),
        conversions: u32::try_from(*conversions).unwrap_or(u32::MAX),
    }
}

fn ring_message(ring: &Ring) -> v1::Ring {
    let Ring { accounts, rejected, others } = ring;
    v1::Ring { accounts: *accounts, rejected_accounts: *rejected, account_ids: others.iter().map(ToString::to_string).collect() }
}

fn outcome_message(outcome: &AccountOutcome) -> v1::AccountOutcome {
    let AccountOutcome { kind, occurred_at, note } = outcome;
    v1::AccountOutcome { kind: kind.to_number(), occurred_at: Some(time_message(*occurred_at)), note: note.clone() }
}
