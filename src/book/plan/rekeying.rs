//! Plans of names under a new key. What contradicts itself, or what was taught before, is refused row by row: nothing of it is taken.

use std::collections::BTreeMap;

use super::Plan;
use crate::book::Book;
use crate::book::command::RekeyCommand;
use crate::book::event::{Event, ValuesRekeyed};
use crate::book::records::Cursor;
use crate::book::refusal::{Misfit, Refusal};
use crate::book::rekeying::{NewSketches, Rekeyed, RekeyedKind};
use crate::vocabulary::digest::Digest;

/// Teaches names, or finds that they are known.
pub(super) fn rekey(book: &Book, command: RekeyCommand) -> Result<Plan, Refusal> {
    let RekeyCommand { program_id: _, values, actor, note, request, at } = command;
    let mut misfits = Vec::new();
    let (mut of_old, mut of_new) = (Rows::default(), Rows::default());
    for (index, Rekeyed { kind, old, new, sketches: _ }) in values.iter().enumerate() {
        let mut misfit = |field: &str, problem: String| misfits.push(Misfit::at(format!("values[{index}].{field}"), problem));
        if let Some((row, other)) = of_old.insert((*kind, old), (index, new)).filter(|(_, other)| *other != new) {
            of_old.insert((*kind, old), (row, other));
            misfit("old_value", format!("is another value under the new key than in `values[{row}]`; one of them is wrong"));
        } else if let Some(known) = book.name_under(*kind, old, &new.key_id).filter(|known| known != new) {
            misfit("old_value", format!("is known under the new key as the value that begins with {known:?}, not {new:?}"));
        }
        if let Some((row, other)) = of_new.insert((*kind, new), (index, old)).filter(|(_, other)| *other != old) {
            of_new.insert((*kind, new), (row, other));
            misfit("new_value", format!("is another value under the old key than in `values[{row}]`; one of them is wrong"));
        } else if let Some(known) = book.name_under(*kind, new, &old.key_id).filter(|known| known != old) {
            misfit("new_value", format!("is known under the old key as the value that begins with {known:?}, not {old:?}"));
        }
    }
    if !misfits.is_empty() {
        return Err(Refusal::Invalid(misfits));
    }
    let is_new = |Rekeyed { kind, old, new, sketches }: &Rekeyed| {
        *sketches != NewSketches::NONE || book.name_under(*kind, old, &new.key_id).is_none()
    };
    let values: Vec<Rekeyed> = values.into_iter().filter(is_new).collect();
    if values.is_empty() {
        return Ok(Plan::AlreadyDone(Cursor(0)));
    }
    Ok(Plan::commit(Event::ValuesRekeyed(Box::new(ValuesRekeyed { values, actor, note, request, at }))))
}

/// Rows of a call by one of their names, each with its place and its other name.
type Rows<'a> = BTreeMap<(RekeyedKind, &'a Digest), (usize, &'a Digest)>;
