//! Claims about what belongs together: accounts as a whole, clusters of cases, and one act on several of them.

use futures::executor::block_on;
use selfsame::book::command::{Acted, CasesCommand, CasesStep, Change, Command, Request, RewardsChange, RewardsCommand};
use selfsame::book::query::{CaseFilter, CaseOrder, PageRequest};
use selfsame::book::records::{ContentFingerprint, FeedKind, HistoryKind, HoldSubject};
use selfsame::book::{LeftAlone, SeenMark};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::{CaseState, Resolution};
use selfsame::screening::decision::Verdict;
use selfsame::screening::gate::Gate;
use selfsame::screening::history::IdentifierKind;
use selfsame::vocabulary::conversion::{Reward, Side};
use selfsame::vocabulary::ids::RequestId;
use selfsame::vocabulary::money::Money;

use crate::subject::{Draft, Subject, account, actor, case_id, conversion_id, draft, minute, page, pages, reward, shop};

const REJECT: CasesStep = CasesStep::Resolve(Resolution::Reject);
const ACCEPT: CasesStep = CasesStep::Resolve(Resolution::Accept);

fn eur(minor: i64) -> Money {
    Money::new(minor, "EUR").unwrap()
}

/// With a reward of so much for the referrer.
fn worth(draft: Draft, minor: i64) -> Draft {
    draft.change(|conversion| conversion.rewards[0].amount = Some(eur(minor)))
}

fn review(id: &str, referrer: &str, referee: &str) -> Draft {
    worth(draft(id, referrer, referee).decided("review"), 1_000)
}

fn marks(subject: &Subject, act: CasesStep, ids: &[&str]) -> Vec<(String, Result<SeenMark, LeftAlone>)> {
    let cases: Vec<_> = ids.iter().map(|id| case_id(id)).collect();
    let previewed = subject.ledger.preview(&shop(), act, &cases, &actor("rita"), minute(30)).unwrap();
    previewed.into_iter().map(|one| (one.case_id.to_string(), one.outcome.map(|foreseen| foreseen.mark))).collect()
}

fn act_with(
    subject: &Subject,
    id: &str,
    act: CasesStep,
    seen: &[(String, Result<SeenMark, LeftAlone>)],
) -> Result<Vec<Acted>, LedgerError> {
    let cases = seen.iter().filter_map(|(case, mark)| {
        let id = case.strip_prefix("case-").unwrap();
        mark.ok().map(|mark| (case_id(id), mark))
    });
    block_on(subject.ledger.step_cases(CasesCommand {
        program_id: shop(),
        act,
        actor: actor("rita"),
        reason_code: "ring".to_owned(),
        note: "nine on one phone".to_owned(),
        cases: cases.collect(),
        confirmation: None,
        request: Request { id: RequestId::new(id).unwrap(), content: ContentFingerprint([3; 16]) },
        at: minute(40),
    }))
}

fn outcomes(acted: &[Acted]) -> Vec<(String, Result<u32, LeftAlone>)> {
    let of =
        |acted: &Acted| (acted.case_id.to_string(), acted.outcome.as_ref().map(|(line, _)| line.revision).map_err(|left| *left));
    acted.iter().map(of).collect()
}

pub(crate) fn what_belongs_together_is_one_cluster_whoever_is_asked_for(subject: &Subject) {
    // One phone ties ann's and bea's referees; bea's other referral shares nothing; cy stands alone.
    subject.screen(&review("c1", "ann", "r1").referee_on_device(7));
    subject.screen(&review("c2", "bea", "r2").referee_on_device(7));
    subject.screen(&review("c3", "bea", "r3"));
    subject.screen(&review("c4", "cy", "r4"));
    // Not a case, so that it leads nowhere; its phone is the same.
    subject.screen(&draft("c5", "dot", "r5").referee_on_device(7));
    let listed = subject.ledger.clusters(&shop(), &page(10), minute(20)).unwrap();
    assert_eq!((listed.entries.len(), listed.total, listed.next), (1, Some(1), None));
    let line = &listed.entries[0];
    assert_eq!((line.account_id.clone(), line.cases, line.accounts, line.referrers), (account("ann"), 3, 5, 2));
    assert_eq!((line.at_stake.clone(), line.expected_loss), (vec![eur(3_000)], 0.25 * 30.0));
    for asked in ["ann", "bea", "r1", "r2", "r3", "r5"] {
        let file = subject.ledger.cluster(&shop(), &account(asked), minute(20)).unwrap().unwrap();
        assert_eq!(&file.summary, line, "asked for {asked}");
        assert!(file.complete);
        let ids: Vec<_> = file.accounts.iter().map(|account| account.account_id.to_string()).collect();
        assert_eq!(ids, ["ann", "bea", "r1", "r2", "r3", "r5"]);
        assert_eq!(file.cases.iter().map(|case| case.conversion_id.to_string()).collect::<Vec<_>>(), ["c1", "c2", "c3"]);
        let tie = &file.ties[0];
        assert_eq!((tie.identifier.kind, tie.accounts.len()), (IdentifierKind::Device, 3));
        assert!(tie.one_of_strangers > 1.0);
    }
    assert_eq!(subject.ledger.cluster(&shop(), &account("dot"), minute(20)), Ok(None));
    assert_eq!(subject.ledger.cluster(&shop(), &account("nobody"), minute(20)), Ok(None));
    let alone = subject.ledger.cluster(&shop(), &account("cy"), minute(20)).unwrap().unwrap();
    assert_eq!(alone.summary.cases, 1, "asked for by name, a case alone is told");
    // What is decided is in no cluster any more.
    subject.resolve("c2", Resolution::Reject);
    let left = subject.ledger.clusters(&shop(), &page(10), minute(70)).unwrap();
    assert!(left.entries.iter().all(|line| line.cases < 3), "{left:?}");
}

pub(crate) fn clusters_are_listed_page_by_page_what_would_lose_most_first(subject: &Subject) {
    for (number, minor) in [(0, 100), (1, 900), (2, 500), (3, 900)] {
        for part in 0..2 {
            let id = format!("c{number}{part}");
            subject.screen(&worth(draft(&id, &format!("a{number}"), &format!("r{id}")).decided("review"), minor));
        }
    }
    let all = subject.ledger.clusters(&shop(), &page(10), minute(20)).unwrap();
    let names = |lines: &[selfsame::book::clusters::ClusterSummary]| -> Vec<String> {
        lines.iter().map(|line| line.account_id.to_string()).collect()
    };
    assert_eq!(names(&all.entries), ["a1", "a3", "a2", "a0"]);
    for size in [1, 3] {
        let paged = pages(size, |page| subject.ledger.clusters(&shop(), page, minute(20)).unwrap());
        assert_eq!(names(&paged), names(&all.entries));
    }
}

pub(crate) fn what_would_lose_most_is_listed_first_and_what_is_overdue_before_all(subject: &Subject) {
    subject.screen(&worth(draft("c1", "a1", "r1").decided("review"), 500));
    subject.screen(&worth(draft("c2", "a2", "r2").decided("review"), 90_000).at(1));
    subject.screen(&draft("c3", "a3", "r3").decided("review").at(2));
    subject.screen(&worth(draft("c4", "a4", "r4").decided("review"), 70_000).at(3));
    let ids = |now, filter: &CaseFilter| -> Vec<String> {
        let read =
            |page: &PageRequest| subject.ledger.cases(&shop(), filter, CaseOrder::ExpectedLossFirst, page, minute(now)).unwrap();
        pages(2, read).into_iter().map(|case| case.conversion_id.to_string()).collect()
    };
    assert_eq!(ids(50, &CaseFilter::default()), ["c2", "c4", "c1", "c3"]);
    // Two days after its opening the first is overdue.
    assert_eq!(ids(48 * 60 + 1, &CaseFilter::default()), ["c1", "c2", "c4", "c3"]);
    let worth_a_look = CaseFilter { at_stake_minor_min: 70_000, ..CaseFilter::default() };
    assert_eq!(ids(50, &worth_a_look), ["c2", "c4"]);
}

pub(crate) fn several_cases_are_decided_in_one_record_each_as_it_was_seen(subject: &Subject) {
    for id in ["c1", "c2", "c3", "c4", "c5"] {
        subject.screen(&review(id, "ann", &format!("r-{id}")));
    }
    let seen = marks(subject, REJECT, &["c1", "c2", "c3", "c4", "c5", "c9"]);
    assert_eq!(seen[5].1, Err(LeftAlone::Gone));
    // Between the preview and the act: another decides one, money is added to another, a third is held, and one is claimed and given back.
    subject.resolve("c2", Resolution::Accept);
    let added = Reward { reward_id: reward("rw-more"), beneficiary: Side::Referrer, amount: Some(eur(900)) };
    let command = RewardsCommand {
        program_id: shop(),
        conversion_id: conversion_id("c3"),
        rewards: vec![added],
        change: RewardsChange::Add,
        actor: actor("backend"),
        note: String::new(),
        request: None,
        at: minute(31),
    };
    subject.execute(Command::ChangeRewards(command)).unwrap();
    subject.change_hold(HoldSubject::Conversion(conversion_id("c4")), Change::Place);
    let before = subject.feed().len();
    let acted = act_with(subject, "act-1", REJECT, &seen).unwrap();
    let expected = [
        ("case-c1".to_owned(), Ok(2)),
        ("case-c2".to_owned(), Err(LeftAlone::AlreadyResolved)),
        ("case-c3".to_owned(), Err(LeftAlone::Changed)),
        ("case-c4".to_owned(), Err(LeftAlone::Changed)),
        ("case-c5".to_owned(), Ok(2)),
    ];
    assert_eq!(outcomes(&acted), expected);
    let gates = ["c1", "c2", "c3", "c4", "c5"].map(|id| subject.gate(id));
    assert_eq!(gates, [Gate::Deny, Gate::Release, Gate::Hold, Gate::Hold, Gate::Deny]);
    let told = subject.feed().split_off(before);
    let resolved: Vec<_> = told.iter().filter(|event| event.kind == FeedKind::CaseResolved).collect();
    assert_eq!(resolved.len(), 2);
    assert_eq!(resolved[0].cursor, resolved[1].cursor, "it is one record");
    for id in ["c1", "c5"] {
        let file = subject.ledger.case(&shop(), &case_id(id), minute(50)).unwrap().unwrap();
        assert_eq!(file.summary.state, CaseState::Resolved { by: actor("rita"), resolution: Resolution::Reject });
        let last = file.history.iter().rfind(|entry| entry.kind == HistoryKind::Resolved).unwrap();
        assert_eq!((&*last.reason_code, &*last.note, last.actor.clone()), ("ring", "nine on one phone", Some(actor("rita"))));
    }
    // Sent again, as after a crash: the same answer, and nothing more is written.
    let end = subject.feed().len();
    assert_eq!(outcomes(&act_with(subject, "act-1", REJECT, &seen).unwrap()), expected);
    assert_eq!(subject.feed().len(), end);
}

pub(crate) fn an_act_is_undone_as_far_as_nothing_of_it_was_touched_since(subject: &Subject) {
    for id in ["c1", "c2", "c3"] {
        subject.screen(&review(id, &format!("a-{id}"), &format!("r-{id}")));
    }
    let acted = act_with(subject, "act-1", ACCEPT, &marks(subject, ACCEPT, &["c1", "c2", "c3"])).unwrap();
    let undo: Vec<_> = acted
        .iter()
        .map(|one| (one.case_id.to_string(), one.outcome.as_ref().map(|(_, mark)| *mark).map_err(|left| *left)))
        .collect();
    assert_eq!(subject.gate("c1"), Gate::Release);
    // One is paid, one was reopened and decided again by somebody else.
    subject.pay("c2");
    subject.reopen("c3");
    subject.resolve("c3", Resolution::Accept);
    let undone = act_with(subject, "act-2", CasesStep::Reopen, &undo).unwrap();
    let expected = [
        ("case-c1".to_owned(), Ok(3)),
        ("case-c2".to_owned(), Err(LeftAlone::Changed)),
        ("case-c3".to_owned(), Err(LeftAlone::Changed)),
    ];
    assert_eq!(outcomes(&undone), expected);
    assert_eq!((subject.gate("c1"), subject.gate("c2"), subject.gate("c3")), (Gate::Hold, Gate::Deny, Gate::Release));
    let again = act_with(subject, "act-3", CasesStep::Reopen, &undo).unwrap();
    assert_eq!(outcomes(&again)[0].1, Err(LeftAlone::NotResolved), "undone once");
}

pub(crate) fn an_account_is_told_as_a_whole(subject: &Subject) {
    subject.screen(&worth(draft("c1", "ann", "r1"), 1_000).referee_on_device(7).at(0));
    subject.screen(&review("c2", "ann", "r2").referee_on_device(7).at(1));
    subject.screen(&worth(draft("c3", "ann", "r3").decided("reject"), 1_000).at(2));
    subject.screen(&worth(draft("c4", "ann", "r4"), 2_500).at(3));
    subject.screen(&worth(draft("c5", "bob", "ann"), 700).at(4));
    subject.pay("c4");
    subject.change_hold(HoldSubject::Referrer(account("ann")), Change::Place);
    let now = minute(30 * 24 * 60);
    let file = subject.ledger.account(&shop(), &account("ann"), &page(10), now).unwrap().unwrap();
    let counted = file.referrals;
    assert_eq!((counted.all, counted.rejected, counted.accepted), (4, 1, 0));
    assert_eq!(file.referred_by, Some(account("bob")));
    let shown: Vec<_> = file.as_referrer.entries.iter().map(|one| (one.conversion_id.to_string(), one.verdict)).collect();
    let expected = [
        ("c4".to_owned(), Verdict::Approved),
        ("c3".to_owned(), Verdict::Rejected),
        ("c2".to_owned(), Verdict::InReview),
        ("c1".to_owned(), Verdict::Approved),
    ];
    assert_eq!(shown, expected);
    assert_eq!(file.as_referee.iter().map(|one| one.other.to_string()).collect::<Vec<_>>(), ["bob"]);
    let earned = &file.earnings;
    assert_eq!((&earned.paid, &earned.held, &earned.denied), (&vec![eur(2_500)], &vec![eur(2_000)], &vec![eur(1_000)]));
    assert_eq!((&earned.due, &earned.reserved, earned.conversions), (&vec![], &vec![], 5));
    assert_eq!(file.holds.len(), 1);
    for size in [1, 3] {
        let read = |page: &PageRequest| subject.ledger.account(&shop(), &account("ann"), page, now).unwrap().unwrap().as_referrer;
        assert_eq!(pages(size, read), file.as_referrer.entries);
    }
    let tied = subject.ledger.account(&shop(), &account("r1"), &page(10), now).unwrap().unwrap();
    assert_eq!((tied.ring.accounts, tied.ring.others.clone()), (2, vec![account("r2")]));
    let shared = &tied.shared[0];
    assert_eq!((shared.identifier.kind, shared.accounts.clone()), (IdentifierKind::Device, vec![account("r2")]));
    assert_eq!(subject.ledger.account(&shop(), &account("nobody"), &page(10), now), Ok(None));
    let case = subject.ledger.case(&shop(), &case_id("c2"), now).unwrap().unwrap();
    let others: Vec<_> = case.others_of_referrer.iter().map(|one| one.conversion_id.to_string()).collect();
    assert_eq!(others, ["c4", "c3", "c1"]);
}
