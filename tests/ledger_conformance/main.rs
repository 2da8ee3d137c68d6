//! What every ledger must do, run against each of them. A test name is the claim; a ledger that breaks one is no ledger.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    dead_code,
    reason = "a test fails by panicking, and says what it did; fixtures are shared with other suites"
)]

#[path = "../support/asked.rs"]
mod asked;
mod claims_acts;
mod claims_history;
mod claims_intake;
mod claims_late;
mod claims_model;
mod claims_models;
mod claims_money;
mod claims_outcomes;
mod claims_payouts;
mod claims_rekeying;
mod claims_review;
mod claims_terms;
mod claims_together;
mod claims_trail;
mod claims_writing;
#[path = "../support/postgres.rs"]
mod postgres;
mod reopening;
mod retention;
mod subject;

use std::sync::Arc;

use asked::Asked;
use selfsame::adapters::cold::MemoryCold;
use selfsame::adapters::embedded;
use selfsame::adapters::journal::postgres::{LeaseTerms, PostgresLeases, PostgresSnapshots};
use selfsame::adapters::journal::{JournalOptions, MemoryJournal};
use selfsame::adapters::system_clock::SystemClock;
use selfsame::ledger::{ColdAfter, HeldLedger, Homes, JournaledLedger, LateFacts, LedgerOptions};

use subject::{Probe, Subject};

fn in_memory() -> Subject {
    in_memory_with(LedgerOptions::default())
}

/// As [`quietly_on_disk`].
fn quietly_in_memory() -> Subject {
    in_memory_with(LedgerOptions { late_facts: LateFacts::LeftAlone, ..LedgerOptions::default() })
}

fn in_memory_with(options: LedgerOptions) -> Subject {
    let probe = Arc::new(Probe::default());
    let ledger = JournaledLedger::open(Arc::new(MemoryJournal::default()), None, options, Arc::clone(&probe) as _).unwrap();
    Subject { ledger: Asked(Box::new(ledger)), probe }
}

fn on_disk(folder: &std::path::Path) -> Subject {
    on_disk_with(folder, LedgerOptions::default())
}

/// A ledger that writes what it is told and nothing by itself, so that a test knows every record.
fn quietly_on_disk(folder: &std::path::Path) -> Subject {
    on_disk_with(folder, LedgerOptions { late_facts: LateFacts::LeftAlone, ..LedgerOptions::default() })
}

fn on_disk_with(folder: &std::path::Path, options: LedgerOptions) -> Subject {
    let probe = Arc::new(Probe::default());
    let ledger = embedded::open(folder, JournalOptions::default(), options, Arc::clone(&probe) as _).unwrap();
    Subject { ledger: Asked(Box::new(ledger)), probe }
}

/// A ledger in which each command meets nothing but what is cold.
fn all_cold() -> Subject {
    let probe = Arc::new(Probe::default());
    let homes =
        Homes { journal: Arc::new(MemoryJournal::default()), snapshots: None, cold: Some(Arc::new(MemoryCold::default())) };
    let options = LedgerOptions { cold_after: ColdAfter::EachCommand, ..LedgerOptions::default() };
    let ledger = JournaledLedger::open_in(homes, options, Arc::clone(&probe) as _).unwrap();
    Subject { ledger: Asked(Box::new(ledger)), probe }
}

/// The same in a folder.
fn all_cold_on_disk(folder: &std::path::Path) -> Subject {
    on_disk_with(folder, LedgerOptions { cold_after: ColdAfter::EachCommand, ..LedgerOptions::default() })
}

/// A ledger over a database, as one of many processes; absent where PostgreSQL is not installed.
fn in_database() -> Option<Subject> {
    let probe = Arc::new(Probe::default());
    let journal = postgres::journal(&postgres::server()?.fresh());
    let snapshots = Arc::new(PostgresSnapshots::beside(&journal).unwrap());
    let clock = Arc::new(SystemClock);
    let leases = PostgresLeases::beside(&journal, "127.0.0.1:1", LeaseTerms::default(), Arc::clone(&clock) as _);
    let (leases, options) = (Arc::new(leases), LedgerOptions::default());
    let opened = HeldLedger::open(Arc::new(journal), Some(snapshots), leases, clock, options, Arc::clone(&probe) as _);
    Some(Subject { ledger: Asked(Box::new(opened.unwrap())), probe })
}

/// One test for each claim and ledger.
macro_rules! conformance {
    ($($file:ident: $($claim:ident)+;)+) => {
        mod memory {
            $($(
                #[test]
                fn $claim() {
                    crate::$file::$claim(&crate::in_memory());
                }
            )+)+
        }

        mod sled {
            $($(
                #[test]
                fn $claim() {
                    let folder = tempfile::tempdir().unwrap();
                    crate::$file::$claim(&crate::on_disk(folder.path()));
                }
            )+)+
        }

        mod cold {
            $($(
                #[test]
                fn $claim() {
                    crate::$file::$claim(&crate::all_cold());
                }
            )+)+
        }

        mod cold_on_disk {
            $($(
                #[test]
                fn $claim() {
                    let folder = tempfile::tempdir().unwrap();
                    crate::$file::$claim(&crate::all_cold_on_disk(folder.path()));
                }
            )+)+
        }

        mod database {
            $($(
                #[test]
                fn $claim() {
                    if let Some(subject) = crate::in_database() {
                        crate::$file::$claim(&subject);
                    }
                }
            )+)+
        }
    };
}

conformance! {
    claims_together:
        what_belongs_together_is_one_cluster_whoever_is_asked_for
        clusters_are_listed_page_by_page_what_would_lose_most_first
        what_would_lose_most_is_listed_first_and_what_is_overdue_before_all
        several_cases_are_decided_in_one_record_each_as_it_was_seen
        an_act_is_undone_as_far_as_nothing_of_it_was_touched_since
        an_account_is_told_as_a_whole;
    claims_writing:
        a_retry_gets_the_first_answer_again
        an_id_with_other_content_is_refused
        a_retry_after_a_review_shows_where_the_decision_stands_now
        signals_and_outcomes_are_taken_once
        programmes_do_not_see_each_other
        nothing_of_an_unknown_programme_is_known
        the_feed_tells_everything_in_order_and_can_be_resumed_anywhere
        a_cursor_that_does_not_lead_here_is_refused_and_every_one_that_was_given_is_known
        a_page_of_decisions_goes_on_only_in_the_feed_that_it_was_read_from
        decisions_are_listed_newest_first_page_by_page
        decisions_are_listed_by_account_and_verdict;
    claims_history:
        two_hundred_conversions_that_race_on_a_device_are_counted_one_by_one
        a_conversion_does_not_see_itself
        four_hundred_accounts_on_an_address_are_four_hundred
        a_crowd_has_windows
        signals_that_came_before_are_known
        accounts_that_are_tied_are_one_person
        an_older_account_of_the_referee_is_known
        a_code_that_came_at_the_checkout_counts_for_its_referrer
        a_repeated_invoice_is_a_duplicate_and_counts_for_nothing
        what_only_looks_like_a_repeat_is_told_and_not_called_one
        a_second_sign_up_is_a_repeat_at_any_distance
        a_repeat_that_a_reviewer_accepts_counts_as_its_own
        velocity_counts_new_users_not_conversions
        rejections_are_counted_and_taken_back
        a_loop_of_referrals_is_found_however_long
        a_referee_with_another_referrer_is_told
        accounts_on_a_strong_value_are_a_ring
        a_rejected_account_is_seen_in_its_ring
        a_kiosk_makes_no_ring
        phones_of_one_model_tie_only_whoever_shares_something_else_too
        where_fingerprints_are_of_models_they_tie_nobody
        referrers_paid_out_to_one_account_are_counted_and_tied_also_above_sixteen
        a_value_on_more_accounts_than_its_kind_can_have_is_a_placeholder
        siblings_of_a_pattern_are_counted_once
        list_entries_are_hit_until_they_expire_or_are_lifted;
    claims_money:
        an_unknown_conversion_has_no_standing
        a_hold_on_the_referral_holds_and_is_lifted
        a_hold_on_the_referrer_holds_all_of_his_referrals
        holding_twice_changes_nothing
        a_refund_cancels_what_is_unpaid
        an_outcome_may_name_the_invoice
        paying_is_final_and_told_once
        a_reward_is_paid_for_one_conversion_only
        paying_an_unknown_reward_is_refused
        paying_a_rejected_referral_is_recorded_and_told
        a_rejection_after_payment_is_told_once_for_each_reward
        a_ban_cancels_all_referrals_of_the_account_also_later_ones
        a_ban_tells_of_paid_rewards
        a_ban_is_taken_however_much_there_is_to_report
        labels_follow_reviews_and_outcomes
        signals_go_with_the_conversion_that_came_next;
    claims_late:
        signals_that_come_late_hold_and_open_a_case
        a_payer_is_answered_by_what_is_known_at_that_moment
        what_a_reviewer_accepted_is_reopened_only_by_something_worse
        what_was_never_in_a_persons_hands_follows_the_facts_both_ways
        what_was_paid_is_left_alone
        a_referrer_of_many_is_looked_at_where_it_concerns_her
        everything_of_a_referrer_of_many_is_held_until_it_was_looked_at
        any_order_of_one_referrals_messages_ends_in_the_same_gate
        a_case_shows_what_was_learned_since_it_was_opened
        what_is_rejected_after_the_decision_has_a_case_that_can_be_reopened;
    claims_intake:
        an_event_of_a_sender_is_taken_once
        what_is_due_is_done_once
        any_order_of_a_senders_events_ends_in_the_same_calls
        a_code_that_comes_later_counts_for_a_week_of_payments
        a_referral_stays_in_the_campaign_that_it_began_in
        mistakes_are_noticed_and_told_once
        a_warning_holds_what_it_is_about;
    claims_model:
        random_steps_end_where_the_model_says;
    claims_outcomes:
        an_outcome_waits_for_what_it_is_about
        what_waits_too_long_is_given_up
        an_outcome_of_an_account_reaches_all_of_its_conversions
        a_dispute_that_was_won_answers_disputes_before_it_in_any_order
        a_ban_is_answered_by_opening_the_account_again
        an_outcome_is_taken_back
        refunds_are_at_most_what_was_paid
        what_is_cancelled_leaves_the_queue_and_comes_back
        refunds_count_for_the_referrer_as_long_as_they_stand
        a_refund_that_cannot_be_of_what_was_paid_waits_on
        a_partial_refund_that_is_taken_back_is_told
        what_is_told_of_a_repeat_reaches_what_it_repeats
        what_was_paid_of_a_purchase_is_told_when_an_outcome_of_its_repeat_came_first
        an_account_is_told_of_when_it_is_banned_or_opened_and_not_otherwise
        a_refund_of_a_part_that_came_first_is_told_with_the_decision;
    claims_payouts:
        what_is_reserved_is_one_payers_until_it_ends
        a_reservation_is_answered_once_however_often_it_is_sent
        a_reservation_is_renewed_as_long_as_the_gate_releases
        amounts_meet
        a_payment_against_the_gate_is_recorded_and_told
        a_payment_that_failed_makes_the_reward_payable_again
        rewards_are_added_and_changed_while_unpaid
        holds_of_two_people_are_two
        a_clock_that_steps_back_undoes_nothing
        a_retry_is_told_what_became_of_its_reservation
        what_was_learned_since_is_told_of_a_payment_that_was_reserved
        a_second_payment_of_a_reward_is_recorded_and_told
        a_change_of_a_reward_tells_what_it_was_worth;
    claims_trail:
        every_record_is_an_entry_that_says_who_and_what
        who_looked_at_whom_is_kept
        the_chain_is_the_same_after_retention
        an_erased_account_leaves_ids_codes_amounts_and_standing
        what_an_erased_account_shared_ties_nobody_to_it_any_more
        an_erasure_is_asked_for_once_and_tells_when_it_is_done;
    claims_acts:
        much_money_is_let_go_by_two_and_the_proposer_is_not_the_second
        what_is_not_known_to_be_little_is_much
        whoever_was_kept_out_is_let_in_again_by_two
        a_model_decides_once_two_want_it
        an_act_ends_by_itself_or_is_refused_or_withdrawn
        what_cannot_be_done_any_more_is_told_to_who_confirms;
    claims_terms:
        a_shorter_delay_binds_what_comes_and_what_was_decided_keeps_its_promise
        terms_are_taken_whole_and_told_with_what_they_were
        another_policy_and_an_earlier_payment_are_let_by_two;
    claims_rekeying:
        what_is_known_of_a_value_goes_on_under_its_new_name
        profiles_patterns_and_exports_speak_of_a_value_by_its_new_name
        what_contradicts_is_refused_by_row_and_nothing_of_it_is_taken;
    claims_models:
        what_is_chosen_decides_and_a_rollback_goes_back_one_step
        a_call_about_models_is_answered_once_and_its_id_names_no_other
        audits_are_counted_with_the_ruling_itself_and_the_later_word_counts
        a_broken_promise_takes_the_word_to_reject_until_an_activation;
    claims_review:
        a_case_is_opened_claimed_and_resolved
        a_revision_that_is_gone_is_told
        a_reopened_case_holds_again
        reopening_a_decision_without_a_case_opens_its_first
        a_note_changes_no_state
        a_case_file_tells_both_sides_as_they_were
        a_case_file_shows_who_else_is_on_the_values
        the_queue_is_paged_in_every_order_while_it_changes
        the_queue_is_filtered
        the_queue_is_counted
        holds_and_list_entries_are_listed_in_order;
}
