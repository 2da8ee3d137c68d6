//! What stands on the lists of one subject: at most one entry for each list.

use super::super::codec::parts;
use super::super::packed::{Damaged, Reader, Writer};
use super::Row;
use crate::book::records::ListEntry;
use crate::screening::history::ListKind;
use crate::vocabulary::time::Timestamp;

/// The entries of one subject, with the record that wrote each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Listed {
    pub(in super::super) entries: Vec<(ListEntry, u64)>,
}

impl Listed {
    /// The entry on a list.
    pub(in super::super) fn on(&self, list: ListKind) -> Option<&(ListEntry, u64)> {
        self.entries.iter().find(|(entry, _)| entry.list == list)
    }

    /// The lists on which it stands as of a time.
    pub(in super::super) fn lists_at(&self, as_of: Timestamp) -> impl Iterator<Item = ListKind> {
        let counts = move |entry: &ListEntry| entry.expires_at.is_none_or(|end| as_of < end);
        self.entries.iter().filter(move |(entry, _)| counts(entry)).map(|(entry, _)| entry.list)
    }
}

impl Row for Listed {
    const NAME: &'static str = "list entries";

    fn pack(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(96);
        w.list(&self.entries, |w, (entry, cursor)| {
            parts::write_list_entry(w, entry);
            w.u64(*cursor);
        });
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self { entries: r.list(|r| Ok((parts::read_list_entry(r)?, r.u64()?)))? })
    }
}
