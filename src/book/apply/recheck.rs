//! What another look at conversions changes.

use crate::book::Book;
use crate::book::cases::{Case, reason_codes};
use crate::book::event::{Reassessed, Rechecked};
use crate::book::records::Cursor;
use crate::book::slab::ConversionNumber;
use crate::screening::case::{CaseState, Resolution};
use crate::screening::decision::Verdict;
use crate::vocabulary::ids::Actor;

/// Who closes a case when the machine's own verdict changed before a person decided.
const MACHINE: &str = "selfsame";

impl Book {
    pub(super) fn rechecked(&mut self, cursor: Cursor, event: &Rechecked) -> Option<()> {
        for id in &event.seen {
            // What retention removed meanwhile needs no other look.
            if let Some(number) = self.conversions.find(id, &self.hasher) {
                self.late.looked_at(number, event.as_of);
                self.conversions.get_mut(number).changed = cursor;
            }
        }
        event.changed.iter().try_for_each(|changed| self.reassessed(cursor, changed, event))
    }

    fn reassessed(&mut self, cursor: Cursor, event: &Reassessed, look: &Rechecked) -> Option<()> {
        let number = self.conversions.find(&event.conversion_id, &self.hasher)?;
        let row = self.conversions.get_mut(number);
        row.machine = event.decision.verdict;
        row.changed = cursor;
        row.later_mut().trail.push(cursor);
        let known = row.case;
        if event.verdict == event.previous_verdict {
            if let Some(case) = known.filter(|_| event.verdict == Verdict::InReview) {
                self.cases.change(case, |case| {
                    case.revision += 1;
                    case.show(event, cursor);
                });
            }
            return Some(());
        }
        let state = match event.verdict {
            Verdict::InReview => CaseState::Open,
            Verdict::Approved | Verdict::Rejected => {
                let resolution = if event.verdict == Verdict::Approved { Resolution::Accept } else { Resolution::Reject };
                CaseState::Resolved { by: Actor::new(MACHINE).ok()?, resolution }
            }
        };
        match known {
            Some(case) => self.cases.change(case, |case| {
                case.revision += 1;
                case.show(event, cursor);
                if state == CaseState::Open {
                    (case.opened_at, case.due_at) = (look.at, event.due_at);
                }
                case.state = state;
            }),
            // What it rejected after the decision can be read, and reopened, like any other case.
            None if event.verdict != Verdict::Approved => {
                let opened = self.cases.open(Case { state, ..self.case_of(number, event, look, cursor) });
                self.conversions.get_mut(number).case = opened;
            }
            None => {}
        }
        self.change_verdict(number, event.verdict, false)?;
        if !event.paid.is_empty() {
            let rewards = self.conversions.get(number).rewards.clone();
            self.rewards.report_paid(&rewards);
        }
        Some(())
    }

    fn case_of(&self, number: ConversionNumber, event: &Reassessed, look: &Rechecked, cursor: Cursor) -> Case {
        Case {
            conversion: number,
            conversion_id: event.conversion_id.clone(),
            referrer: event.referrer.clone(),
            referee: event.referee.clone(),
            state: CaseState::Open,
            revision: 1,
            opened_at: look.at,
            due_at: event.due_at,
            score: event.decision.score,
            value: self.conversions.get(number).value,
            reason_codes: reason_codes(&event.decision),
            headline: event.headline().into(),
            changed: cursor,
        }
    }
}

impl Case {
    /// Shows what was learned after the decision.
    fn show(&mut self, event: &Reassessed, cursor: Cursor) {
        self.score = event.decision.score;
        self.reason_codes = reason_codes(&event.decision);
        self.headline = event.headline().into();
        self.changed = cursor;
    }
}

impl Reassessed {
    /// Its first reason, for the queue: what was learned after the decision.
    fn headline(&self) -> String {
        let first = self.decision.reasons.first().map(|reason| reason.sentence.as_str()).unwrap_or_default();
        format!("Learned after the decision: {first}")
    }
}
