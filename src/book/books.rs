//! Books of several programmes that nobody keeps: for screening, replay and training offline. The same plans, the same changes, no journal.

use std::collections::BTreeMap;

use super::command::{Assessor, Command, Done, Executed};
use super::cursor::ChainMark;
use super::event::{Event, Rechecked};
use super::plan::{Plan, decided_then, next_piece, plan};
use super::records::{Cursor, Freshness, LaterVerdict};
use super::{Book, Refusal};
use crate::screening::history::History;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::ProgramId;

/// A book for each programme. Nothing outlives it, and what was decided is not kept.
#[derive(Debug, Default)]
pub struct Books(BTreeMap<ProgramId, Book>);

impl Books {
    /// Executes a command.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub fn execute(&mut self, command: Command, assessor: &dyn Assessor) -> Result<Executed, Refusal> {
        let program = command.program().clone();
        let book = self.0.entry(program.clone()).or_insert_with(|| Book::new(0));
        match plan(book, command, assessor)? {
            Plan::AlreadyDone(_) => Ok(Executed { cursor: None, freshness: Freshness::Replayed, done: Done::Recorded }),
            Plan::Answer(done) => Ok(Executed { cursor: None, freshness: Freshness::New, done }),
            Plan::Commit(event, known) => {
                let cursor = Cursor(book.cursor().0 + 1);
                book.apply_known(cursor, &event, *known);
                let done = book.answer(event, ChainMark::default());
                book.leave_late_alone();
                while let Some(piece) = next_piece(book, || assessor.payout(&program, book.terms())) {
                    let cursor = Cursor(book.cursor().0 + 1);
                    book.apply(cursor, &piece);
                }
                Ok(Executed { cursor: None, freshness: Freshness::New, done })
            }
        }
    }

    /// Decides a conversion again as was decided then, when something had been learned after its decision. Nothing happens where it is not known.
    pub fn decide_again(&mut self, conversion: &Conversion, later: LaterVerdict, assessor: &dyn Assessor) {
        let Some(book) = self.0.get_mut(&conversion.program_id) else { return };
        let due_after = assessor.due_after(&conversion.program_id, book.terms());
        let Some(changed) = decided_then(book, conversion, later, due_after, assessor) else { return };
        let seen = vec![conversion.conversion_id.clone()];
        let rechecked = Rechecked { at: later.at, as_of: book.cursor(), seen, changed: vec![changed] };
        book.apply(Cursor(book.cursor().0 + 1), &Event::Rechecked(Box::new(rechecked)));
    }

    /// The book of a programme; absent when it holds nothing.
    #[must_use]
    pub fn book(&self, program: &ProgramId) -> Option<&Book> {
        self.0.get(program)
    }

    /// The history that a conversion would be screened with now.
    #[must_use]
    pub fn history(&self, conversion: &Conversion) -> History {
        self.book(&conversion.program_id).map(|book| book.history(conversion)).unwrap_or_default()
    }
}
