//! Claims about writing and reading back: retries, isolation, feed, listings.

use std::future::poll_fn;
use std::task::Poll;

use futures::FutureExt;
use futures::executor::block_on;
use selfsame::book::Refusal;
use selfsame::book::cursor::{ChainMark, FeedCursor};
use selfsame::book::query::{DecisionFilter, PageRequest, PageToken};
use selfsame::book::records::{Cursor, FeedKind, Freshness};
use selfsame::ports::journal::Chain;
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::Resolution;
use selfsame::screening::decision::Verdict;
use selfsame::vocabulary::ids::ProgramId;
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};

use crate::subject::{Subject, account, conversion_id, draft, full_bundle, minute, page, pages, reward, shop};

pub(crate) fn a_retry_gets_the_first_answer_again(subject: &Subject) {
    let first = draft("c1", "ann", "bob").decided("review").referee_on_device(1);
    let made = subject.screen(&first);
    subject.screen(&draft("c2", "ann", "cleo").referee_on_device(1));
    subject.settled("c1");
    let again = subject.screen(&first);
    assert_eq!((made.freshness, again.freshness), (Freshness::New, Freshness::Replayed));
    assert_eq!(made.record, again.record);
    assert_eq!(subject.probe.order().len(), 2);
    assert_eq!(subject.feed().len(), 2);
}

pub(crate) fn an_id_with_other_content_is_refused(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    let other = draft("c1", "ann", "bob").referee_on_device(1);
    let refused = block_on(subject.ledger.screen(other.command()));
    assert_eq!(
        refused,
        Err(LedgerError::Refused(Refusal::ContentDiffers { field: "conversion.conversion_id", id: "c1".to_owned() }))
    );
    assert_eq!(subject.feed().len(), 1);
}

pub(crate) fn a_retry_after_a_review_shows_where_the_decision_stands_now(subject: &Subject) {
    let first = draft("c1", "ann", "bob").decided("review");
    let made = subject.screen(&first);
    subject.resolve("c1", Resolution::Accept);
    let again = subject.screen(&first);
    assert_eq!(again.record.decision, made.record.decision);
    assert_eq!((made.record.verdict, again.record.verdict), (Verdict::InReview, Verdict::Approved));
    assert_eq!(subject.ledger.decision(&shop(), &conversion_id("c1")), Ok(Some(*again.record)));
}

pub(crate) fn signals_and_outcomes_are_taken_once(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    let first = subject.signals("r1", vec![full_bundle("ann", 10)]).unwrap();
    let again = subject.signals("r1", vec![full_bundle("ann", 10)]).unwrap();
    assert_eq!((first.0, first.1, again.1), (again.0, Freshness::New, Freshness::Replayed));
    let other = subject.signals("r1", vec![full_bundle("ann", 10), full_bundle("bob", 20)]);
    assert!(matches!(other, Err(LedgerError::Refused(Refusal::ContentDiffers { .. }))));
    let about = OutcomeSubject::Conversion(conversion_id("c1"));
    let first = subject.try_outcome("o1", OutcomeKind::Chargeback, about.clone()).unwrap();
    let again = subject.try_outcome("o1", OutcomeKind::Chargeback, about.clone()).unwrap();
    assert_eq!((first.0, again.1), (again.0, Freshness::Replayed));
    let other = subject.try_outcome("o1", OutcomeKind::SubscriptionCanceled, about);
    assert!(matches!(other, Err(LedgerError::Refused(Refusal::ContentDiffers { .. }))));
}

pub(crate) fn programmes_do_not_see_each_other(subject: &Subject) {
    let sandbox = ProgramId::new("sandbox").unwrap();
    subject.screen(&draft("c1", "ann", "bob").decided("reject").referee_on_device(1));
    subject.ban("ann");
    let mut other = draft("c2", "ann", "bob").referee_on_device(1).without_invoice();
    other.0.program_id = sandbox.clone();
    let history = subject.history(&other);
    assert_eq!(history, selfsame::screening::history::History { ring: history.ring, ..Default::default() });
    assert_eq!(history.ring.accounts_rejected, 0);
    assert_eq!(subject.ledger.decision(&sandbox, &conversion_id("c1")), Ok(None));
    assert_eq!(subject.ledger.feed(&sandbox, None, 10).unwrap().0.len(), 1);
    let programs = subject.ledger.programs();
    let summaries: Vec<_> = programs.iter().map(|p| (p.program_id.as_str(), p.accounts)).collect();
    assert_eq!(summaries, [("sandbox", 2), ("shop", 2)]);
    assert_eq!(programs[0].last_cursor, Cursor(1));
    // The same id in another programme is another conversion.
    let mut same_id = draft("c1", "ann", "bob");
    same_id.0.program_id = sandbox;
    assert_eq!(subject.screen(&same_id).freshness, Freshness::New);
}

pub(crate) fn nothing_of_an_unknown_programme_is_known(subject: &Subject) {
    let nowhere = ProgramId::new("nowhere").unwrap();
    assert_eq!(subject.ledger.decision(&nowhere, &conversion_id("c1")), Ok(None));
    assert_eq!(subject.ledger.standings(&nowhere, &[(reward("rw-c1"), conversion_id("c1"))]), Ok(vec![None]));
    let beginning = FeedCursor { place: Cursor(0), mark: Chain::before_all(&nowhere).mark() };
    assert_eq!(subject.ledger.feed(&nowhere, None, 10), Ok((Vec::new(), beginning)));
    assert_eq!(subject.ledger.feed(&nowhere, Some(beginning), 10), Ok((Vec::new(), beginning)));
    assert!(subject.ledger.decisions(&nowhere, &DecisionFilter::default(), &page(10)).unwrap().entries.is_empty());
    assert!(subject.ledger.labelled(&nowhere, None, 10).unwrap().0.is_empty());
    assert!(subject.ledger.programs().is_empty());
}

pub(crate) fn the_feed_tells_everything_in_order_and_can_be_resumed_anywhere(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("review"));
    subject.signals("r1", vec![full_bundle("ann", 10)]).unwrap();
    subject.resolve("c1", Resolution::Accept);
    subject.pay("c1");
    subject.reopen("c1");
    subject.ban("ann");
    // Until the ledger has looked again it writes by itself, and the end is not the end.
    subject.settled("c1");
    let all = subject.feed();
    let kinds: Vec<FeedKind> = all.iter().map(|event| event.kind).collect();
    let wanted = [
        FeedKind::Decided,
        FeedKind::CaseResolved,
        FeedKind::Paid,
        FeedKind::CaseReopened,
        FeedKind::Cancelled,
        FeedKind::Cancelled,
        FeedKind::RejectedAfterPayment,
    ];
    assert_eq!(kinds, wanted);
    assert!(all.windows(2).all(|pair| pair[0].cursor.place <= pair[1].cursor.place));
    for limit in 1..=8 {
        let (mut resumed, mut cursor) = (Vec::new(), None);
        loop {
            let (events, reached) = subject.ledger.feed(&shop(), cursor, limit).unwrap();
            resumed.extend(events);
            if Some(reached) == cursor {
                break;
            }
            cursor = Some(reached);
        }
        assert_eq!(resumed, all);
    }
    let end = subject.ledger.feed(&shop(), None, usize::MAX).unwrap().1;
    assert_eq!(block_on(subject.ledger.end(&shop())), Ok(end));
    let end = end.place;
    block_on(subject.ledger.grown_past(&shop(), Cursor(end.0 - 1)));
    let program = shop();
    let mut waiting = subject.ledger.grown_past(&program, end);
    block_on(poll_fn(|context| {
        assert!(waiting.poll_unpin(context).is_pending(), "nothing lies past the end");
        Poll::Ready(())
    }));
    subject.screen(&draft("c9", "ann", "zoe"));
    block_on(waiting);
}

pub(crate) fn decisions_are_listed_newest_first_page_by_page(subject: &Subject) {
    for number in 0..25 {
        subject.screen(&draft(&format!("c{number}"), "ann", &format!("r{number}")).at(number));
        subject.signals(&format!("s{number}"), vec![full_bundle("zoe", 1)]).unwrap();
    }
    for size in [1, 7, 25, 100] {
        let all = pages(size, |page| subject.ledger.decisions(&shop(), &DecisionFilter::default(), page).unwrap());
        let ids: Vec<String> = all.iter().map(|record| record.conversion.conversion_id.to_string()).collect();
        let wanted: Vec<String> = (0..25).rev().map(|number| format!("c{number}")).collect();
        assert_eq!(ids, wanted);
    }
    let between = DecisionFilter { from: Some(minute(5)), until: Some(minute(8)), ..DecisionFilter::default() };
    let some = pages(2, |page| subject.ledger.decisions(&shop(), &between, page).unwrap());
    assert_eq!(some.len(), 3);
    let bad = PageRequest { size: 3, after: Some(PageToken("not a token".to_owned())), ..PageRequest::default() };
    assert_eq!(
        subject.ledger.decisions(&shop(), &DecisionFilter::default(), &bad),
        Err(LedgerError::Refused(Refusal::PageToken))
    );
}

pub(crate) fn decisions_are_listed_by_account_and_verdict(subject: &Subject) {
    for number in 0..40 {
        let how = if number % 4 == 0 { "reject" } else { "approve" };
        let referrer = if number % 2 == 0 { "ann" } else { "abe" };
        subject.screen(&draft(&format!("c{number}"), referrer, &format!("r{number}")).decided(how));
    }
    let rejected = DecisionFilter { verdicts: vec![Verdict::Rejected], ..DecisionFilter::default() };
    assert_eq!(pages(3, |page| subject.ledger.decisions(&shop(), &rejected, page).unwrap()).len(), 10);
    for size in [1, 3, 16, 17, 50] {
        let of_ann = DecisionFilter { referrer: Some(account("ann")), ..DecisionFilter::default() };
        let ids: Vec<String> = pages(size, |page| subject.ledger.decisions(&shop(), &of_ann, page).unwrap())
            .iter()
            .map(|record| record.conversion.conversion_id.to_string())
            .collect();
        let wanted: Vec<String> = (0..40).rev().filter(|number| number % 2 == 0).map(|number| format!("c{number}")).collect();
        assert_eq!(ids, wanted);
    }
    let as_referee = DecisionFilter { referee: Some(account("r7")), ..DecisionFilter::default() };
    assert_eq!(subject.ledger.decisions(&shop(), &as_referee, &page(10)).unwrap().entries.len(), 1);
    let not_as_referee = DecisionFilter { referee: Some(account("ann")), ..DecisionFilter::default() };
    assert!(subject.ledger.decisions(&shop(), &not_as_referee, &page(10)).unwrap().entries.is_empty());
}

pub(crate) fn a_cursor_that_does_not_lead_here_is_refused_and_every_one_that_was_given_is_known(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("review"));
    // Of somebody else: nothing is late, and no look adds a record meanwhile.
    subject.signals("r1", vec![full_bundle("kim", 10)]).unwrap();
    subject.resolve("c1", Resolution::Accept);
    let mut elsewhere = draft("c1", "ann", "bob");
    elsewhere.0.program_id = ProgramId::new("sandbox").unwrap();
    let of_sandbox = subject.screen(&elsewhere).record.cursor;
    let (told, end) = subject.ledger.feed(&shop(), None, usize::MAX).unwrap();
    let given: Vec<FeedCursor> = told.iter().map(|event| event.cursor).chain([end]).collect();
    assert_eq!(given[0], subject.ledger.decision(&shop(), &conversion_id("c1")).unwrap().unwrap().cursor);
    for cursor in &given {
        let rest: Vec<_> = told.iter().filter(|event| event.cursor.place > cursor.place).cloned().collect();
        assert_eq!(subject.ledger.feed(&shop(), Some(*cursor), usize::MAX), Ok((rest, end)));
    }
    let FeedCursor { place: first, mark } = given[0];
    let another = FeedCursor { place: first, mark: ChainMark(mark.0.map(|byte| byte ^ 1)) };
    let ahead = FeedCursor { place: Cursor(end.place.0 + 1), mark };
    let shifted = FeedCursor { place: Cursor(first.0 + 1), mark };
    let before_all = FeedCursor { place: Cursor(0), mark };
    for after in [another, ahead, shifted, before_all, of_sandbox] {
        let refused = LedgerError::CursorOfOther { after, end: end.place.0 };
        assert_eq!(subject.ledger.feed(&shop(), Some(after), 10), Err(refused.clone()));
        assert_eq!(subject.ledger.feed(&shop(), Some(after), 0), Err(refused.clone()));
        assert_eq!(subject.ledger.labelled(&shop(), Some(after), 10).unwrap_err(), refused);
    }
    let nowhere = ProgramId::new("nowhere").unwrap();
    let refused = subject.ledger.feed(&nowhere, Some(end), 10);
    assert_eq!(refused, Err(LedgerError::CursorOfOther { after: end, end: 0 }));
}

pub(crate) fn a_page_of_decisions_goes_on_only_in_the_feed_that_it_was_read_from(subject: &Subject) {
    for number in 0..4 {
        subject.screen(&draft(&format!("c{number}"), "ann", &format!("new-{number}")));
    }
    let all = DecisionFilter::default();
    let listed = pages(1, |page| subject.ledger.decisions(&shop(), &all, page).unwrap());
    let ids: Vec<_> = listed.iter().map(|record| record.conversion.conversion_id.to_string()).collect();
    assert_eq!(ids, ["c3", "c2", "c1", "c0"]);
    let next = subject.ledger.decisions(&shop(), &all, &page(2)).unwrap().next.unwrap();
    // The last digit of the mark.
    let digit = if next.0.ends_with('0') { "1" } else { "0" };
    let other = PageToken(format!("{}{digit}", &next.0[..next.0.len() - 1]));
    let asked = |after| subject.ledger.decisions(&shop(), &all, &PageRequest { after: Some(after), ..page(2) });
    assert_eq!(asked(next).unwrap().entries.len(), 2);
    assert_eq!(asked(other).unwrap_err(), LedgerError::Refused(Refusal::PageToken));
}
