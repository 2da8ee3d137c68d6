//! Pages whose answers clients can take: a page holds as many entries as fit into a message of the size that gRPC clients take unless told otherwise,
//! and goes on with the next where that is fewer than were asked for.

use std::sync::Arc;

use prost::Message;

use super::access::Share;
use super::errors::Refusal;
use super::shared::Shared;
use crate::book::query::{Page, PageRequest, PageToken};
use crate::ports::ledger::{Ledger, LedgerError};

/// Entries of an answer take at most so much; clients take 4 MiB, and an answer holds a little beside its entries. Unit: bytes.
pub(super) const ENTRIES_BYTES_MAX: usize = 3 << 20;
/// What an entry takes beside its content: its field's number and its length.
const ENTRY_BYTES: usize = 6;

/// A page as it is sent.
pub(super) struct Sent<M> {
    pub(super) entries: Vec<M>,
    pub(super) next: Option<PageToken>,
    pub(super) total: Option<u64>,
}

/// How many entries of these lengths, from the first, fit into an answer. At least one, so that a listing always goes on.
pub(super) fn fitting(lengths: impl IntoIterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = |length: &usize| {
        bytes += length + ENTRY_BYTES;
        bytes <= ENTRIES_BYTES_MAX
    };
    lengths.into_iter().take_while(fits).count().max(1)
}

/// Reads a page, and reads a smaller one where its entries do not fit into an answer. `message` gives the message of an entry; `None` for what is not
/// shown.
pub(super) async fn page<T, M, F>(
    shared: &Shared,
    share: &Share,
    mut request: PageRequest,
    read: impl Fn(Arc<dyn Ledger>, PageRequest) -> F + Clone + Send + 'static,
    message: impl Fn(&T) -> Option<M>,
) -> Result<Sent<M>, Refusal>
where
    T: Send + 'static,
    M: Message,
    F: Future<Output = Result<Page<T>, LedgerError>> + Send + 'static,
{
    loop {
        let (read, asked) = (read.clone(), request.clone());
        let Page { entries, next, total } =
            shared.read(share, move |ledger, wanted| read(ledger, PageRequest { wanted, ..asked })).await?;
        let entries: Vec<Option<M>> = entries.iter().map(&message).collect();
        let fit = fitting(entries.iter().map(|entry| entry.as_ref().map_or(0, Message::encoded_len)));
        if fit >= entries.len() {
            return Ok(Sent { entries: entries.into_iter().flatten().collect(), next, total });
        }
        request.size = fit;
    }
}

/// The part of entries in memory, ordered by name, that a page asks for; their names are what its token tells.
///
/// # Errors
/// None: a token that leads nowhere leads to what follows it.
pub(super) fn part<M: Message>(entries: impl Iterator<Item = M>, name: impl Fn(&M) -> &str, request: &PageRequest) -> Sent<M> {
    let after = request.after.as_ref().map(|PageToken(name)| name.as_str());
    let mut rest = entries.skip_while(|entry| after.is_some_and(|after| name(entry) <= after));
    let mut entries: Vec<M> = rest.by_ref().take(request.size).collect();
    let fit = fitting(entries.iter().map(Message::encoded_len));
    let more = fit < entries.len() || rest.next().is_some();
    entries.truncate(fit);
    let next = entries.last().filter(|_| more).map(|last| PageToken(name(last).to_owned()));
    Sent { entries, next, total: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1;

    fn program(name: &str, title_bytes: usize) -> v1::Program {
        v1::Program { program_id: name.to_owned(), title: "x".repeat(title_bytes), ..v1::Program::default() }
    }

    fn names(title_bytes: usize, size: usize) -> Vec<Vec<String>> {
        let (mut request, mut pages) = (PageRequest { size, ..PageRequest::default() }, Vec::new());
        loop {
            let all = ["a", "b", "c", "d", "e"].map(|name| program(name, title_bytes));
            let Sent { entries, next, total: _ } = part(all.into_iter(), |program| &program.program_id, &request);
            pages.push(entries.into_iter().map(|program| program.program_id).collect());
            let Some(next) = next else { return pages };
            request.after = Some(next);
        }
    }

    #[test]
    fn a_page_ends_where_its_size_or_a_message_ends_and_goes_on_from_there() {
        assert_eq!(names(1, 5), [["a", "b", "c", "d", "e"]]);
        assert_eq!(names(1, 2), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
        assert_eq!(names(ENTRIES_BYTES_MAX / 2 - 100, 5), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
        assert_eq!(names(ENTRIES_BYTES_MAX * 2, 5).len(), 5, "what fits nowhere is sent by itself");
    }
}
