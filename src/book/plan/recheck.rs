//! Plans of another look at conversions to which something was added after they were decided.

use super::Plan;
use crate::book::Book;
use crate::book::cases::reason_codes;
use crate::book::command::{Assessor, RecheckCommand};
use crate::book::conversions::{ConversionRow, Hands};
use crate::book::event::{Event, Reassessed, Rechecked};
use crate::book::records::{Cursor, LaterVerdict};
use crate::screening::case::CaseState;
use crate::screening::decision::{Decision, Verdict};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{AccountId, ConversionId};
use crate::vocabulary::time::{Span, Timestamp};

/// Looks at conversions again. What is not late any more is left out.
pub(super) fn recheck(book: &Book, command: RecheckCommand, assessor: &dyn Assessor) -> Plan {
    let RecheckCommand { program_id, conversions, unreadable, at } = command;
    let mut second = SecondLook::new(book, assessor, assessor.due_after(&program_id, &book.terms), at);
    for conversion in &conversions {
        if book.row(&conversion.conversion_id).is_some_and(|(number, _)| book.late.contains(number)) {
            second.look(conversion);
        }
    }
    let is_late = |id: &ConversionId| book.row(id).is_some_and(|(number, _)| book.late.contains(number));
    second.seen.extend(unreadable.into_iter().filter(is_late));
    match second.into_event() {
        Some(event) => Plan::commit(Event::Rechecked(Box::new(event))),
        None => Plan::AlreadyDone(Cursor(0)),
    }
}

/// Another look at some conversions, and what it came to so far.
pub(super) struct SecondLook<'a> {
    book: &'a Book,
    assessor: &'a dyn Assessor,
    due_after: Span,
    at: Timestamp,
    seen: Vec<ConversionId>,
    changed: Vec<Reassessed>,
}

impl<'a> SecondLook<'a> {
    pub(super) const fn new(book: &'a Book, assessor: &'a dyn Assessor, due_after: Span, at: Timestamp) -> Self {
        Self { book, assessor, due_after, at, seen: Vec::new(), changed: Vec::new() }
    }

    /// Looks at one conversion, late or not. Returns the verdict that is in force then.
    pub(super) fn look(&mut self, conversion: &Conversion) -> Option<Verdict> {
        let (number, row) = self.book.row(&conversion.conversion_id)?;
        let decision =
            self.assessor.assess_again(conversion, &self.book.history_again(conversion, number), self.book.own(), self.at);
        let changed = self.reassessed(row, decision);
        let verdict = changed.as_ref().map_or(row.verdict, |changed| changed.verdict);
        if changed.is_some() || self.book.late.contains(number) {
            self.seen.push(row.id.clone());
        }
        self.changed.extend(changed);
        Some(verdict)
    }

    /// The referrers of what it rejects.
    pub(super) fn rejected(&self) -> impl Iterator<Item = &AccountId> {
        self.changed.iter().filter(|changed| changed.verdict == Verdict::Rejected).map(|changed| &changed.referrer)
    }

    /// The record of it; absent when nothing was late and nothing changed.
    pub(super) fn into_event(self) -> Option<Rechecked> {
        let Self { book, at, seen, changed, assessor: _, due_after: _ } = self;
        (!seen.is_empty()).then_some(Rechecked { at, as_of: book.cursor, seen, changed })
    }

    /// What becomes of a conversion whose facts say something else by now; absent when nothing.
    ///
    /// Until a person decides, the verdict is what the machine says of everything that is known, whichever part of it came first. What a reviewer
    /// accepted is looked at by a reviewer again when the machine says worse than what he saw. Who has claimed the case is not passed over.
    fn reassessed(&self, row: &ConversionRow, decision: Decision) -> Option<Reassessed> {
        let state = row.case.map(|case| self.book.cases.rows.get(case).state.at(self.at));
        let claimed = matches!(state, Some(CaseState::Claimed { .. }));
        let verdict = match decided_by(row) {
            DecidedBy::Accepted if decision.verdict > row.machine => Verdict::InReview,
            DecidedBy::Machine if !claimed && decision.verdict != row.verdict => decision.verdict,
            // Noted, so that who decides it is not asked again because of what he could see.
            DecidedBy::Machine | DecidedBy::Person if decision.verdict != row.machine => row.verdict,
            // Shown, so that nobody decides on what was known when he looked.
            DecidedBy::Machine | DecidedBy::Person if self.shows_something_new(row, &decision) => row.verdict,
            DecidedBy::Accepted | DecidedBy::Machine | DecidedBy::Person | DecidedBy::Rejected => return None,
        };
        let paid = if verdict == Verdict::Rejected { self.book.rewards.paid_unreported(&row.rewards) } else { Vec::new() };
        Some(Reassessed { paid, ..unpaid(self.book, row, verdict, self.at.plus(self.due_after), decision) })
    }

    /// Whether the case of a conversion that is being reviewed has other reasons than it had.
    fn shows_something_new(&self, row: &ConversionRow, decision: &Decision) -> bool {
        let case = row.case.filter(|_| row.verdict == Verdict::InReview).map(|case| self.book.cases.rows.get(case));
        case.is_some_and(|case| case.reason_codes != reason_codes(decision))
    }
}

/// What became of a conversion then: as its history tells it, whatever would be made of it now. `None` where it is not known.
pub(in crate::book) fn decided_then(
    book: &Book,
    conversion: &Conversion,
    later: LaterVerdict,
    due_after: Span,
    assessor: &dyn Assessor,
) -> Option<Reassessed> {
    let LaterVerdict { verdict, machine, at } = later;
    let (number, row) = book.row(&conversion.conversion_id)?;
    let decision = assessor.assess_again(conversion, &book.history_again(conversion, number), book.own(), at);
    Some(unpaid(book, row, verdict, at.plus(due_after), Decision { verdict: machine, ..decision }))
}

/// What another look makes of a conversion of which nothing was paid.
fn unpaid(book: &Book, row: &ConversionRow, verdict: Verdict, due_at: Timestamp, decision: Decision) -> Reassessed {
    let (referrer, referee) = book.sides_of(row);
    Reassessed {
        conversion_id: row.id.clone(),
        referrer,
        referee,
        previous_verdict: row.verdict,
        verdict,
        due_at,
        paid: Vec::new(),
        decision: Box::new(decision),
    }
}

/// Who decided last.
enum DecidedBy {
    /// The machine, or nobody yet of those who have the case.
    Machine,
    /// A reviewer accepted.
    Accepted,
    /// A person: who reopened it decides it.
    Person,
    /// A reviewer rejected: what comes later does not make it good.
    Rejected,
}

fn decided_by(row: &ConversionRow) -> DecidedBy {
    match (row.verdict, row.hands) {
        (_, Hands::Machine) => DecidedBy::Machine,
        (Verdict::Rejected, Hands::Person) => DecidedBy::Rejected,
        (Verdict::Approved, Hands::Person) => DecidedBy::Accepted,
        (Verdict::InReview, Hands::Person) => DecidedBy::Person,
    }
}
