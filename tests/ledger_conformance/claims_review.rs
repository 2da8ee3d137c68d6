//! Claims about the review queue: steps, case files, lists.

use selfsame::book::Refusal;
use selfsame::book::command::{CaseStep, Change};
use selfsame::book::query::{CaseFilter, CaseOrder, CaseStateKind, PageRequest};
use selfsame::book::records::{FeedKind, HistoryKind, HoldSubject, ListSubject};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::{CaseState, IllegalStep, Resolution, Step};
use selfsame::screening::decision::Verdict;
use selfsame::screening::evidence::EvidenceCode;
use selfsame::screening::gate::Gate;
use selfsame::screening::history::{Identifier, IdentifierKind};
use selfsame::vocabulary::conversion::Side;
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::time::Span;

use crate::subject::{
    Subject, account, actor, blocked, case_id, conversion_id, draft, full_bundle, minute, page, pages, shop, value,
};

fn claim() -> CaseStep {
    CaseStep::Step(Step::Claim { lease: Span::from_minutes(30) })
}

fn undecided() -> CaseFilter {
    CaseFilter { states: vec![CaseStateKind::Open, CaseStateKind::Claimed], ..CaseFilter::default() }
}

pub(crate) fn a_case_is_opened_claimed_and_resolved(subject: &Subject) {
    let made = subject.screen(&draft("c1", "ann", "bob").decided("review"));
    assert_eq!(made.record.case_id, Some(case_id("c1")));
    assert_eq!(subject.gate("c1"), Gate::Hold);
    let claimed = subject.step("c1", "rita", 10, claim()).unwrap();
    assert_eq!(claimed.state, CaseState::Claimed { by: actor("rita"), lease_until: minute(40) });
    let refused = subject.step("c1", "sam", 20, CaseStep::Step(Step::Resolve(Resolution::Accept)));
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::IllegalStep(IllegalStep::ClaimedByOther { .. })))));
    let resolved = subject.step("c1", "rita", 30, CaseStep::Step(Step::Resolve(Resolution::Accept))).unwrap();
    assert_eq!(resolved.state, CaseState::Resolved { by: actor("rita"), resolution: Resolution::Accept });
    assert_eq!((resolved.revision, resolved.opened_at, resolved.due_at), (3, minute(0), minute(48 * 60)));
    assert_eq!(resolved.reason_codes, [EvidenceCode::SameDevice]);
    assert!(!resolved.headline.is_empty());
    assert_eq!(subject.gate("c1"), Gate::Release);
    let file = subject.ledger.case(&shop(), &case_id("c1"), minute(31)).unwrap().unwrap();
    assert_eq!((file.summary, file.record.verdict), (resolved, Verdict::Approved));
    let kinds: Vec<_> = file.history.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [HistoryKind::Screened, HistoryKind::Opened, HistoryKind::Claimed, HistoryKind::Resolved]);
    let last = &file.history[3];
    assert_eq!((last.actor.clone(), &*last.previous, &*last.new), (Some(actor("rita")), "in review", "approved"));
    let unknown = subject.step("c2", "rita", 30, claim());
    assert_eq!(unknown, Err(LedgerError::Refused(Refusal::NotFound { what: "case", id: "case-c2".to_owned() })));
}

pub(crate) fn a_revision_that_is_gone_is_told(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("review"));
    subject.step_at_revision("c1", "rita", 10, claim(), Some(1)).unwrap();
    let late = subject.step_at_revision("c1", "rita", 11, CaseStep::Step(Step::Release), Some(1));
    assert_eq!(late, Err(LedgerError::Refused(Refusal::RevisionDiffers { expected: 1, actual: 2 })));
    assert_eq!(
        subject.step_at_revision("c1", "rita", 11, CaseStep::Step(Step::Release), Some(2)).unwrap().state,
        CaseState::Open
    );
}

pub(crate) fn a_reopened_case_holds_again(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("review"));
    subject.resolve("c1", Resolution::Accept);
    assert_eq!(subject.gate("c1"), Gate::Release);
    let reopened = subject.reopen("c1");
    assert_eq!((reopened.state.clone(), reopened.opened_at), (CaseState::Open, minute(90)));
    assert_eq!(reopened.due_at, minute(90 + 48 * 60));
    assert_eq!(subject.gate("c1"), Gate::Hold);
    let event = subject.feed().pop().unwrap();
    assert_eq!(event.kind, FeedKind::CaseReopened);
    assert_eq!((event.previous_verdict, event.verdict), (Some(Verdict::Approved), Some(Verdict::InReview)));
    let twice = subject.step("c1", "rita", 91, CaseStep::Step(Step::Reopen));
    assert_eq!(twice, Err(LedgerError::Refused(Refusal::IllegalStep(IllegalStep::NotResolved))));
    subject.step("c1", "rita", 95, CaseStep::Step(Step::Resolve(Resolution::Reject))).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Deny);
}

pub(crate) fn reopening_a_decision_without_a_case_opens_its_first(subject: &Subject) {
    subject.signals("r1", vec![full_bundle("ann", 10)]).unwrap();
    subject.screen(&draft("c1", "ann", "bob").decided("reject"));
    assert_eq!(subject.ledger.case(&shop(), &case_id("c1"), minute(80)), Ok(None));
    assert!(subject.step("c1", "rita", 80, claim()).is_err());
    let opened = subject.reopen("c1");
    assert_eq!((opened.state.clone(), opened.revision, opened.opened_at), (CaseState::Open, 1, minute(90)));
    assert_eq!((opened.score, opened.reason_codes.len()), (0.25, 1));
    assert_eq!(subject.gate("c1"), Gate::Hold);
    assert_eq!(
        subject.ledger.cases(&shop(), &undecided(), CaseOrder::OldestFirst, &page(10), minute(91)).unwrap().entries,
        [opened]
    );
    let file = subject.ledger.case(&shop(), &case_id("c1"), minute(91)).unwrap().unwrap();
    assert_eq!(file.referrer, full_bundle("ann", 10));
    assert_eq!(subject.ledger.decision(&shop(), &conversion_id("c1")).unwrap().unwrap().case_id, Some(case_id("c1")));
}

pub(crate) fn a_note_changes_no_state(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("review"));
    subject.resolve("c1", Resolution::Accept);
    let before = subject.ledger.case(&shop(), &case_id("c1"), minute(90)).unwrap().unwrap();
    let noted = subject.step("c1", "sam", 91, CaseStep::Note).unwrap();
    let after = subject.ledger.case(&shop(), &case_id("c1"), minute(92)).unwrap().unwrap();
    assert_eq!((&before.summary, before.record), (&noted, after.record));
    assert_eq!(after.history.len(), before.history.len() + 1);
    assert_eq!(after.history.last().unwrap().note, "seen");
}

pub(crate) fn a_case_file_tells_both_sides_as_they_were(subject: &Subject) {
    subject.signals("r1", vec![full_bundle("ann", 10)]).unwrap();
    subject.screen(&draft("c1", "ann", "bob").decided("review").referrer_on_device(1));
    subject.signals("r2", vec![full_bundle("ann", 50), full_bundle("bob", 60)]).unwrap();
    subject.change_hold(HoldSubject::Referrer(account("ann")), Change::Place);
    subject.change_hold(HoldSubject::Conversion(conversion_id("c1")), Change::Place);
    subject.outcome("o1", OutcomeKind::ChargeRefunded, OutcomeSubject::Conversion(conversion_id("c1")));
    subject.pay("c1");
    let file = subject.ledger.case(&shop(), &case_id("c1"), minute(200)).unwrap().unwrap();
    let sent = draft("c1", "ann", "bob").referrer_on_device(1).0;
    assert_eq!(file.referrer, sent.referrer.merged_with(&full_bundle("ann", 10)));
    assert_eq!(file.referee, sent.referee);
    let kinds: Vec<_> = file.history.iter().map(|entry| entry.kind).collect();
    let wanted = [
        HistoryKind::Screened,
        HistoryKind::Opened,
        HistoryKind::HoldPlaced,
        HistoryKind::HoldPlaced,
        HistoryKind::OutcomeRecorded,
        HistoryKind::Paid,
    ];
    assert_eq!(kinds, wanted);
}

pub(crate) fn a_case_file_shows_who_else_is_on_the_values(subject: &Subject) {
    subject.screen(&draft("c0", "abe", "eve").decided("reject").referee_on_device(1));
    for number in 0..30 {
        subject.screen(&draft(&format!("x{number}"), &format!("a{number}"), &format!("b{number}")).referee_on_address(2));
    }
    subject.screen(&draft("c1", "ann", "bob").decided("review").referee_on_device(1).referrer_on_device(1).referee_on_address(2));
    let neighbours = subject.ledger.case(&shop(), &case_id("c1"), minute(200)).unwrap().unwrap().neighbours;
    let address = &neighbours[1];
    assert_eq!(address.identifier, Identifier { kind: IdentifierKind::Address, digest: value(2) });
    assert_eq!((address.accounts_count, address.accounts.len(), address.sides.clone()), (30, 10, vec![Side::Referee]));
    let device = &neighbours[0];
    assert!(device.one_of_strangers > address.one_of_strangers, "the rarest first");
    assert_eq!(device.sides, [Side::Referrer, Side::Referee]);
    assert_eq!((device.accounts.clone(), device.rejected_count), (vec![account("eve")], 1));
}

pub(crate) fn the_queue_is_paged_in_every_order_while_it_changes(subject: &Subject) {
    for number in 0..30_i64 {
        subject.screen(&draft(&format!("c{number:02}"), "ann", &format!("r{number}")).at(number / 2).decided("review"));
    }
    let ids_of = |order, size| -> Vec<String> {
        let all = pages(size, |page| subject.ledger.cases(&shop(), &undecided(), order, page, minute(50)).unwrap());
        all.into_iter().map(|case| case.conversion_id.to_string()).collect()
    };
    let ascending: Vec<String> = (0..30).map(|number| format!("c{number:02}")).collect();
    for size in [1, 4, 30, 100] {
        assert_eq!(ids_of(CaseOrder::OldestFirst, size), ascending);
        assert_eq!(ids_of(CaseOrder::DueFirst, size), ascending);
        for order in [CaseOrder::NewestFirst, CaseOrder::ScoreHighestFirst] {
            let mut found = ids_of(order, size);
            found.sort_unstable();
            assert_eq!(found, ascending);
        }
    }
    let first = subject.ledger.cases(&shop(), &undecided(), CaseOrder::OldestFirst, &page(10), minute(50)).unwrap();
    assert_eq!((first.total, first.entries.len()), (Some(30), 10));
    subject.resolve("c03", Resolution::Accept);
    subject.resolve("c09", Resolution::Accept);
    subject.resolve("c12", Resolution::Accept);
    let request = PageRequest { size: 100, after: first.next.clone(), ..PageRequest::default() };
    let rest = subject.ledger.cases(&shop(), &undecided(), CaseOrder::OldestFirst, &request, minute(50)).unwrap();
    let rest: Vec<String> = rest.entries.into_iter().map(|case| case.conversion_id.to_string()).collect();
    let wanted: Vec<String> = ascending[10..].iter().filter(|id| *id != "c12").cloned().collect();
    assert_eq!(rest, wanted, "nothing is skipped or shown twice");
    let other_order = subject.ledger.cases(&shop(), &undecided(), CaseOrder::DueFirst, &request, minute(50));
    assert_eq!(other_order, Err(LedgerError::Refused(Refusal::PageToken)));
    for order in [CaseOrder::OldestFirst, CaseOrder::NewestFirst] {
        let resolved = CaseFilter { states: vec![CaseStateKind::Resolved], ..CaseFilter::default() };
        let found = pages(1, |page| subject.ledger.cases(&shop(), &resolved, order, page, minute(50)).unwrap());
        let mut ids: Vec<String> = found.into_iter().map(|case| case.conversion_id.to_string()).collect();
        if order == CaseOrder::NewestFirst {
            ids.reverse();
        }
        assert_eq!(ids, ["c03", "c09", "c12"]);
    }
    let everything =
        pages(7, |page| subject.ledger.cases(&shop(), &CaseFilter::default(), CaseOrder::OldestFirst, page, minute(50)).unwrap());
    assert_eq!(everything.len(), 30);
}

pub(crate) fn the_queue_is_filtered(subject: &Subject) {
    for (id, referrer, minutes) in [("c1", "ann", 0), ("c2", "abe", 5), ("c3", "ann", 9)] {
        subject.screen(&draft(id, referrer, &format!("r-{id}")).at(minutes).decided("review"));
    }
    subject.step("c2", "rita", 10, claim()).unwrap();
    subject.resolve("c3", Resolution::Reject);
    let found = |filter: CaseFilter, minutes: i64| -> Vec<String> {
        let page = subject.ledger.cases(&shop(), &filter, CaseOrder::OldestFirst, &page(10), minute(minutes)).unwrap();
        page.entries.into_iter().map(|case| case.conversion_id.to_string()).collect()
    };
    let of_state = |kind| CaseFilter { states: vec![kind], ..CaseFilter::default() };
    assert_eq!(found(of_state(CaseStateKind::Open), 20), ["c1"]);
    assert_eq!(found(of_state(CaseStateKind::Claimed), 20), ["c2"]);
    assert_eq!(found(of_state(CaseStateKind::Open), 40), ["c1", "c2"], "the lease has run out");
    assert_eq!(found(of_state(CaseStateKind::Resolved), 70), ["c3"]);
    assert_eq!(found(CaseFilter { referrer: Some(account("ann")), ..CaseFilter::default() }, 20), ["c1", "c3"]);
    assert_eq!(found(CaseFilter { claimed_by: Some(actor("rita")), ..CaseFilter::default() }, 20), ["c2"]);
    assert_eq!(found(CaseFilter { opened_from: Some(minute(5)), ..CaseFilter::default() }, 20), ["c2", "c3"]);
    assert_eq!(found(CaseFilter { opened_until: Some(minute(4)), ..CaseFilter::default() }, 20), ["c1"]);
    assert_eq!(found(CaseFilter { score_min: Some(0.3), ..CaseFilter::default() }, 20), Vec::<String>::new());
    assert_eq!(found(CaseFilter { score_max: Some(0.3), ..CaseFilter::default() }, 20).len(), 3);
    assert_eq!(found(CaseFilter { reason: Some(EvidenceCode::SameDevice), ..CaseFilter::default() }, 20).len(), 3);
    assert_eq!(found(CaseFilter { reason: Some(EvidenceCode::RingLoop), ..CaseFilter::default() }, 20).len(), 0);
}

pub(crate) fn the_queue_is_counted(subject: &Subject) {
    for number in 0..5 {
        subject.screen(&draft(&format!("c{number}"), "ann", &format!("r{number}")).at(number).decided("review"));
    }
    subject.step("c1", "rita", 10, claim()).unwrap();
    subject.resolve("c2", Resolution::Accept);
    subject.resolve("c3", Resolution::Accept);
    subject.reopen("c3");
    let stats = subject.ledger.queue_stats(&shop(), minute(20)).unwrap();
    assert_eq!((stats.open, stats.claimed, stats.resolved, stats.overdue), (3, 1, 1, 0));
    assert_eq!(stats.oldest_opened_at, Some(minute(0)));
    assert_eq!(stats.by_first_reason, [(EvidenceCode::SameDevice, 4)]);
    let later = subject.ledger.queue_stats(&shop(), minute(48 * 60 + 2)).unwrap();
    assert_eq!((later.open, later.claimed, later.overdue), (4, 0, 2));
}

pub(crate) fn holds_and_list_entries_are_listed_in_order(subject: &Subject) {
    for number in (0..20).rev() {
        subject.screen(&draft(&format!("c{number:02}"), "ann", &format!("r{number}")));
        subject.change_hold(HoldSubject::Conversion(conversion_id(&format!("c{number:02}"))), Change::Place);
        subject.change_hold(HoldSubject::Referrer(account(&format!("a{number:02}"))), Change::Place);
        subject.change_list(blocked(ListSubject::Account(account(&format!("a{number:02}")))), Change::Place);
    }
    subject.change_list(
        blocked(ListSubject::Identifier(Identifier { kind: IdentifierKind::Device, digest: value(1) })),
        Change::Place,
    );
    subject.change_hold(HoldSubject::Conversion(conversion_id("c07")), Change::Lift);
    for size in [1, 7, 100] {
        let holds = pages(size, |page| subject.ledger.holds(&shop(), page).unwrap());
        assert_eq!(holds.len(), 39);
        assert!(holds.windows(2).all(|pair| pair[0].hold_id < pair[1].hold_id));
        let entries = pages(size, |page| subject.ledger.list_entries(&shop(), None, page).unwrap());
        assert_eq!(entries.len(), 21);
        assert!(entries.windows(2).all(|pair| pair[0].subject < pair[1].subject));
    }
    let trusted = selfsame::screening::history::ListKind::Trusted;
    assert!(subject.ledger.list_entries(&shop(), Some(trusted), &page(10)).unwrap().entries.is_empty());
}
