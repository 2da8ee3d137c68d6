//! Texts that many share: names of keys, user agents, time zones, campaigns. A programme has hundreds of them, so each is kept once.

use std::sync::Arc;

use super::index::{Hasher, Index};
use super::slab::{Slab, TextNumber};

/// The texts of a programme.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) rows: Slab<TextNumber, Arc<str>>,
    index: Index<TextNumber>,
}

impl Texts {
    pub(super) fn of_rows(rows: Slab<TextNumber, Arc<str>>, hasher: &Hasher) -> Self {
        let mut index = Index::default();
        for (number, text) in rows.iter() {
            index.insert(hasher.hash(&**text), number);
        }
        Self { rows, index }
    }

    pub(super) fn find(&self, text: &str, hasher: &Hasher) -> Option<TextNumber> {
        self.index.find(hasher.hash(text), |number| &**self.rows.get(number) == text)
    }

    /// The number of a text, given now when it has none; absent for the empty text.
    pub(super) fn intern(&mut self, text: &str, hasher: &Hasher) -> Option<TextNumber> {
        if text.is_empty() {
            return None;
        }
        if let Some(known) = self.find(text, hasher) {
            return Some(known);
        }
        let number = self.rows.push(Arc::from(text))?;
        self.index.insert(hasher.hash(text), number);
        Some(number)
    }

    pub(super) fn get(&self, number: TextNumber) -> &str {
        self.rows.get(number)
    }

    /// The text; empty when it is absent.
    pub(super) fn text(&self, number: Option<TextNumber>) -> &str {
        number.map_or("", |number| self.get(number))
    }

    /// Memory that it takes. Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.rows.iter().map(|(_, text)| text.len() + 32).sum();
        texts + self.index.bytes()
    }
}
