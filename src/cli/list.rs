//! `selfsame list`: the accounts and values that are known to be bad, or known to be good. Values are digests: what was digested stays where it was.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use uuid::Uuid;

use super::act::waits;
use super::answer::{AnswerForm, print};
use super::client::{Client, DeskArgs, block_on, every_page, readable, time};
use super::named::{Named as _, one_of};
use super::progress;
use super::table::table;
use crate::adapters::byte_order_mark;
use crate::vocabulary::time::Timestamp;
use crate::wire::fields::time_message;
use crate::wire::v1;
use crate::wire::v1::list_service_client::ListServiceClient;
use crate::wire::v1::list_subject::Subject;
use crate::wire::words::at_time;

const EXAMPLES: &str = "\
Examples:
  selfsame list --program shop show
  selfsame list --program shop block --account mallory --note \"ring of March\"
  selfsame list --program shop block --value payment k1 9f3a…64 hexadecimal digits… --expires 2027-06-01T00:00:00Z
  selfsame list --program shop trust --account agency-7 --note \"buys for its customers\"
  selfsame list --program shop remove blocked --account mallory

  From one programme to another, or from a file of lines that are each a `selfsame.v1.ListEntry`:
    selfsame list --program shop show --output json > entries.json
    selfsame list --program shop-de import entries.json

`selfsame digest` makes the digest of a value.";

/// Block accounts and values, or trust them
///
/// An entry touches what is decided after it; unpaid conversions that were decided before are looked at again.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct ListArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    step: ListStep,
}

#[derive(Debug, Clone, Subcommand)]
enum ListStep {
    /// The entries
    Show {
        /// Of this list alone
        #[arg(value_parser = one_of::<v1::ListKind>())]
        list: Option<v1::ListKind>,
    },
    /// Known to be bad: conclusive against the side that carries it
    Block(EntryArgs),
    /// Known to be good: speaks for the side that carries it, and outweighs nothing conclusive
    Trust(EntryArgs),
    /// Take an entry from its list
    Remove {
        /// The list
        #[arg(value_parser = one_of::<v1::ListKind>())]
        list: v1::ListKind,
        #[command(flatten)]
        subject: SubjectArgs,
        /// Why; no personal data
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
    },
    /// Put all entries of a file on their lists; again is harmless
    Import {
        /// Lines that are each an entry as JSON, or what `show --output json` wrote; `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["account", "value"]))]
struct SubjectArgs {
    /// An account, on either side
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// A value, on either side: its kind, the key id, and the digest in hexadecimal digits
    #[arg(long, num_args = 3, value_names = ["KIND", "KEY_ID", "DIGEST"])]
    value: Option<Vec<String>>,
}

#[derive(Debug, Clone, Args)]
struct EntryArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Why; no personal data
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// From when on it counts no more (RFC 3339); never without it
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires: Option<Timestamp>,
}

impl SubjectArgs {
    /// # Errors
    /// When the kind or the digest is none.
    fn message(self) -> anyhow::Result<v1::ListSubject> {
        let Self { account, value } = self;
        let subject = match (account, value.as_deref()) {
            (Some(account), _) => Subject::AccountId(account),
            (None, Some([kind, key_id, digest])) => Subject::Identifier(identifier(kind, key_id, digest)?),
            (None, _) => anyhow::bail!("--value takes a kind, a key id and a digest"),
        };
        Ok(v1::ListSubject { subject: Some(subject) })
    }
}

fn identifier(kind: &str, key_id: &str, digest: &str) -> anyhow::Result<v1::Identifier> {
    let name = format!("IDENTIFIER_KIND_{}", kind.to_uppercase().replace('-', "_"));
    let kind = v1::IdentifierKind::from_str_name(&name)
        .filter(|kind| *kind != v1::IdentifierKind::Unspecified)
        .with_context(|| format!("`{kind}` is no kind of value; `mailbox`, `device`, `payment` are"))?;
    let value = hex::decode(digest).with_context(|| "the digest must be 64 hexadecimal digits")?;
    let digest = Some(v1::Digest { key_id: key_id.to_owned(), value: value.into() });
    Ok(v1::Identifier { kind: kind.into(), digest })
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, the server refuses, or the file cannot be read.
pub fn run(args: &ListArgs) -> anyhow::Result<()> {
    let ListArgs { desk, step } = args.clone();
    block_on(async move {
        let program_id = desk.server.program()?;
        let client = ListServiceClient::new(desk.connect().await?);
        answer(client, program_id, step, desk.answer.output).await
    })
}

async fn answer(
    mut client: ListServiceClient<Client>,
    program_id: String,
    step: ListStep,
    form: AnswerForm,
) -> anyhow::Result<()> {
    match step {
        ListStep::Show { list } => {
            let entries = every_page(async |page_token| {
                let list = list.map(Into::into);
                let request = v1::ListListEntriesRequest { program_id: program_id.clone(), list, page_size: 500, page_token };
                let page = client.list_list_entries(request).await?.into_inner();
                Ok((page.entries, page.next_page_token))
            })
            .await?;
            let answer = v1::ListListEntriesResponse { entries, ..Default::default() };
            print(form, &answer, |answer| listed(&answer.entries))
        }
        ListStep::Block(args) => put(client, program_id, v1::ListKind::Blocked, args, form).await,
        ListStep::Trust(args) => put(client, program_id, v1::ListKind::Trusted, args, form).await,
        ListStep::Remove { list, subject, note } => {
            let subject = Some(subject.message()?);
            let request = v1::RemoveListEntryRequest { program_id, list: list.into(), subject, note, request_id: String::new() };
            let answer = client.remove_list_entry(request).await.map_err(readable)?.into_inner();
            print(form, &answer, |answer| done(answer.pending_act.as_ref(), answer.replayed, "it is on the list no more"))
        }
        ListStep::Import { file } => {
            let entries = entries_of(&file)?;
            let taken = import(client, &program_id, entries).await?;
            progress::remark(format!("{taken} entries stand on their lists in {program_id}"));
            Ok(())
        }
    }
}

async fn put(
    mut client: ListServiceClient<Client>,
    program_id: String,
    list: v1::ListKind,
    args: EntryArgs,
    form: AnswerForm,
) -> anyhow::Result<()> {
    let EntryArgs { subject, note, expires } = args;
    let subject = Some(subject.message()?);
    let entry = v1::ListEntry { list: list.into(), subject, note, expires_at: expires.map(time_message), ..Default::default() };
    let request = v1::PutListEntryRequest { program_id, entry: Some(entry), request_id: String::new() };
    let answer = client.put_list_entry(request).await.map_err(readable)?.into_inner();
    print(form, &answer, |answer| done(answer.pending_act.as_ref(), answer.replayed, &format!("it is {}", list.word())))
}

fn done(pending: Option<&v1::PendingAct>, replayed: bool, what: &str) -> String {
    match pending {
        Some(pending) => waits(pending),
        None if replayed => format!("{what} (it stood so already)"),
        None => what.to_owned(),
    }
}

/// The entries of a file. Who put them where they come from, and when, is not theirs any more.
fn entries_of(file: &Path) -> anyhow::Result<Vec<v1::ListEntry>> {
    let shown = file.display();
    let text =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { byte_order_mark::read_to_string(file) };
    let text = text.with_context(|| format!("reading `{shown}`"))?;
    let entries = if let Ok(answer) = serde_json::from_str::<v1::ListListEntriesResponse>(&text) {
        answer.entries
    } else {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(number, line)| serde_json::from_str(line).with_context(|| format!("`{shown}`, line {}", number + 1));
        lines.map(read).collect::<anyhow::Result<_>>()?
    };
    let own = |entry: v1::ListEntry| v1::ListEntry { actor: String::new(), placed_at: None, ..entry };
    Ok(entries.into_iter().map(own).collect())
}

/// Puts one after the other; the first that is refused ends it, and what was put stays. Sent again it goes on where it ended.
async fn import(mut client: ListServiceClient<Client>, program_id: &str, entries: Vec<v1::ListEntry>) -> anyhow::Result<usize> {
    let bar = progress::bar(Some(entries.len() as u64), "{bar:40} {pos}/{len} entries, {eta} left");
    let count = entries.len();
    for (number, entry) in entries.into_iter().enumerate() {
        let request_id = format!("import-{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, serde_json::to_string(&entry)?.as_bytes()));
        let request = v1::PutListEntryRequest { program_id: program_id.to_owned(), entry: Some(entry), request_id };
        client.put_list_entry(request).await.map_err(readable).with_context(|| format!("entry {}", number + 1))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(count)
}

fn listed(entries: &[v1::ListEntry]) -> String {
    if entries.is_empty() {
        return "no entry".to_owned();
    }
    let row = |entry: &v1::ListEntry| {
        let on = match entry.subject.as_ref().and_then(|subject| subject.subject.as_ref()) {
            Some(Subject::AccountId(id)) => format!("account {id}"),
            Some(Subject::Identifier(value)) => {
                let digest = value.digest.clone().unwrap_or_default();
                format!("{} {} {}…", value.kind().word(), digest.key_id, hex::encode(digest.value.get(..4).unwrap_or_default()))
            }
            None => String::new(),
        };
        let until = entry.expires_at.as_ref().map_or_else(|| "for ever".to_owned(), |at| at_time(Some(at)));
        let placed = at_time(entry.placed_at.as_ref());
        vec![entry.list().word(), on, entry.actor.clone(), placed, until, entry.note.clone()]
    };
    let head = ["list", "what", "put by", "since", "until", "note"].map(str::to_owned).to_vec();
    table(&std::iter::once(head).chain(entries.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_show_wrote_and_lines_of_entries_are_read_alike_without_who_put_them() {
        let folder = tempfile::tempdir().unwrap();
        let entry = v1::ListEntry {
            list: v1::ListKind::Blocked.into(),
            subject: Some(v1::ListSubject { subject: Some(Subject::AccountId("mallory".to_owned())) }),
            actor: "rita".to_owned(),
            note: "ring".to_owned(),
            placed_at: Some(time_message(Timestamp::MIN)),
            ..Default::default()
        };
        let expected = v1::ListEntry { actor: String::new(), placed_at: None, ..entry.clone() };
        let answer = v1::ListListEntriesResponse { entries: vec![entry.clone(), entry.clone()], ..Default::default() };
        let line = serde_json::to_string(&entry).unwrap();
        for (name, text) in [("a", serde_json::to_string(&answer).unwrap()), ("b", format!("{line}\n\n{line}\n"))] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            assert_eq!(entries_of(&file).unwrap(), vec![expected.clone(); 2]);
        }
        let file = folder.path().join("c");
        std::fs::write(&file, format!("{line}\n{{\"lists\": 1}}\n")).unwrap();
        let refused = format!("{:#}", entries_of(&file).unwrap_err());
        assert!(refused.contains("line 2") && refused.contains("lists"), "{refused}");
    }

    #[test]
    fn a_kind_that_is_none_is_refused_with_some_that_are() {
        let refused = identifier("phone", "k1", &"ab".repeat(32)).unwrap_err().to_string();
        assert!(refused.contains("`phone`") && refused.contains("mailbox"), "{refused}");
        assert_eq!(identifier("local-part", "k1", &"ab".repeat(32)).unwrap().kind(), v1::IdentifierKind::LocalPart);
    }
}
