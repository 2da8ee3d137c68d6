//! Pages: tokens that name the last entry shown, so that a listing goes on rightly while its things change; and the listings that are a
//! plain walk along a shelf.

use std::ops::ControlFlow;

use super::super::codec::numbers;
use super::super::rows::Row;
use super::super::rows::index::Shelf;
use super::super::tables::Tables;
use super::{Direction, Records, Shelves, View};
use crate::book::query::{Page, PageRequest, PageToken};
use crate::book::records::{Hold, ListEntry};
use crate::ports::ledger::LedgerError;
use crate::screening::history::ListKind;

/// Entries of a page, held to what is allowed.
pub(super) fn size(page: &PageRequest) -> usize {
    page.size.clamp(1, 500)
}

/// A token: the letter of the listing, and the key of the last entry.
pub(super) fn token(listing: char, key: &[u8]) -> PageToken {
    PageToken(format!("{listing}{}", hex::encode(key)))
}

/// The key in a token of this listing.
pub(super) fn key_of(listing: char, token: &PageToken) -> Result<Vec<u8>, LedgerError> {
    let key = token.0.strip_prefix(listing).and_then(|text| hex::decode(text).ok());
    key.ok_or(LedgerError::PageToken)
}

/// A number in a token of this listing.
pub(super) fn number_of(listing: char, token: &PageToken) -> Result<u64, LedgerError> {
    let key = key_of(listing, token)?;
    key.try_into().map(u64::from_be_bytes).map_err(|_| LedgerError::PageToken)
}

impl<T: Tables, R: Records, S: Shelves> View<'_, T, R, S> {
    pub(in super::super) fn holds(&self, page: &PageRequest) -> Result<Page<Hold>, LedgerError> {
        self.along(Shelf::Holds, 'h', &[], page)
    }

    pub(in super::super) fn list_entries(
        &self,
        list: Option<ListKind>,
        page: &PageRequest,
    ) -> Result<Page<ListEntry>, LedgerError> {
        match list {
            None => self.along(Shelf::ListEntries, 'l', &[], page),
            Some(list) => self.along(Shelf::ListEntries, 'l', &[numbers::list_kind(list)], page),
        }
    }

    /// The entries of a shelf whose keys begin with a prefix.
    fn along<E: Row>(&self, shelf: Shelf, listing: char, prefix: &[u8], page: &PageRequest) -> Result<Page<E>, LedgerError> {
        let size = size(page);
        let after = page.after.as_ref().map(|token| key_of(listing, token)).transpose()?;
        let past = after.as_deref().or(if prefix.is_empty() { None } else { Some(prefix) });
        let mut entries: Vec<E> = Vec::new();
        let mut next = None;
        let mut last_key = Vec::new();
        self.shelves.walk(shelf, past, Direction::Forward, &mut |key, value| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            if entries.len() == size {
                next = Some(token(listing, &last_key));
                return Ok(ControlFlow::Break(()));
            }
            entries.push(E::of_bytes(value)?);
            last_key.clear();
            last_key.extend_from_slice(key);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Page { entries, next, total: None })
    }
}
