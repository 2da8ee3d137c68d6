//! `selfsame export`: labelled history or decisions of a running server, as JSON lines or in the binary form.
//! It must never hold more than one message in memory. `main` calls it.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;

use super::client::{ANSWER_BYTES_MAX, Client, ServerArgs, block_on, readable};
use super::history_output::{DataForm, HistoryOutput};
use super::progress;
use super::written::Written;
use crate::book::cursor::FeedCursor;
use crate::wire::cursor::cursor_text;
use crate::wire::training::join_signals;
use crate::wire::v1;
use crate::wire::v1::screening_service_client::ScreeningServiceClient;
use crate::wire::v1::training_service_client::TrainingServiceClient;

/// Decisions that are asked for at a time.
const DECISIONS_PER_PAGE: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  Everything that training reads, one conversion a line, with its labels:
    selfsame export --program shop --labels -w shop.jsonl

  Only conversions that were screened since the last export (its last cursor is printed at the end), for a warehouse:
    selfsame export --program shop --labels --after-cursor 48210-9f3a6c2e81b04d57 -w newer.jsonl

  Decisions, the newest first, for a spreadsheet or a warehouse:
    selfsame export --program shop --decisions | jq -r '[.conversionId,.verdict,.riskScore]|@csv'

To train, take the whole export each time, without --after-cursor: the cursor counts screenings, so labels that came later for
conversions of an earlier export are only in a whole one.

Each line is one message of the API in its JSON form: `selfsame.v1.LabeledConversion` or
`selfsame.v1.Decision`. With --format protobuf they stand in their binary form, each after its length;
with --format packed, which is for --labels, in bytes of Selfsame's own. `screen`, `train` and `evaluate`
tell the forms apart by themselves, and read the packed one fastest. They hold pseudonyms only; treat them as personal data all the same.";

/// Export labelled history or decisions
///
/// Reads from a running server, so that the ledger need not be stopped. `--labels` writes what `selfsame train` and `selfsame screen` read.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct ExportArgs {
    /// The server and the programme
    #[command(flatten)]
    pub server: ServerArgs,

    /// What to export
    #[command(flatten)]
    pub what: What,

    /// Only conversions that were screened after this cursor, with the labels that they have by now; labels that came later for earlier
    /// conversions are left out, so do not train on this alone
    #[arg(long, conflicts_with = "decisions", value_name = "CURSOR")]
    pub after_cursor: Option<FeedCursor>,

    /// In which form to write
    #[arg(long, value_enum, default_value_t = DataForm::Jsonl)]
    pub format: DataForm,

    /// File to write instead of standard output; it gets its name when all of it is there
    #[arg(long, short, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// What to export.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// Conversions with decision, labels and outcomes, the oldest first
    #[arg(long)]
    pub labels: bool,

    /// Decisions, the newest first
    #[arg(long)]
    pub decisions: bool,
}

/// Runs the command.
///
/// # Errors
/// When the server refuses or the output cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    if args.what.decisions && args.format == DataForm::Packed {
        bail!("`--format packed` goes with --labels; write decisions as jsonl or protobuf");
    }
    block_on(async {
        let program = args.server.program()?;
        let channel = args.server.connect().await?;
        let output = HistoryOutput::new(Written::begin(args.write.as_deref(), &[])?, args.format);
        let mut lines = Lines { output, progress: progress::bar(None, "{spinner} {pos} lines, {per_sec}") };
        let last_cursor = if args.what.labels {
            export_labels(channel, program, args.after_cursor, &mut lines).await?
        } else {
            export_decisions(channel, program, &mut lines).await?;
            None
        };
        let Lines { output, progress } = lines;
        output.into_inner().keep()?;
        let written = progress.position();
        progress.finish_and_clear();
        progress::remark(what_was_written(written, last_cursor));
        Ok(())
    })
}

/// What is said at the end.
fn what_was_written(lines: u64, last_cursor: Option<String>) -> String {
    let next = last_cursor.map(|cursor| {
        format!(
            "; --after-cursor {cursor} gives the conversions screened since (to train, export all again: these may get labels later)"
        )
    });
    format!("{lines} lines written{}", next.unwrap_or_default())
}

/// Where lines go.
struct Lines {
    output: HistoryOutput<Written>,
    progress: ProgressBar,
}

impl Lines {
    fn write_line(&mut self, line: v1::LabeledConversion) -> anyhow::Result<()> {
        self.output.write_line(line).context("writing a line")?;
        self.progress.inc(1);
        Ok(())
    }

    fn write(&mut self, message: &(impl prost::Message + serde::Serialize)) -> anyhow::Result<()> {
        self.output.write(message).context("writing a line")?;
        self.progress.inc(1);
        Ok(())
    }
}

async fn export_labels(
    channel: Client,
    program_id: String,
    after_cursor: Option<FeedCursor>,
    lines: &mut Lines,
) -> anyhow::Result<Option<String>> {
    let mut client = TrainingServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let request = v1::ExportConversionsRequest { program_id, after_cursor: cursor_text(after_cursor) };
    let mut stream = client.export_conversions(request).await.map_err(readable)?.into_inner();
    let (mut last_cursor, mut ahead) = (None, Vec::new());
    while let Some(v1::ExportConversionsResponse { cursor, conversion, signals_before }) =
        stream.message().await.map_err(readable)?
    {
        for signals in signals_before {
            join_signals(&mut ahead, signals);
        }
        if let Some(mut conversion) = conversion {
            let mut signals = std::mem::take(&mut ahead);
            for own in std::mem::take(&mut conversion.signals_before) {
                join_signals(&mut signals, own);
            }
            lines.write_line(v1::LabeledConversion { signals_before: signals, ..conversion })?;
            last_cursor = Some(cursor);
        }
    }
    Ok(last_cursor)
}

async fn export_decisions(channel: Client, program_id: String, lines: &mut Lines) -> anyhow::Result<()> {
    let mut client = ScreeningServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut request = v1::ListDecisionsRequest { program_id, page_size: DECISIONS_PER_PAGE, ..Default::default() };
    loop {
        let v1::ListDecisionsResponse { decisions, next_page_token, total_size: _ } =
            client.list_decisions(request.clone()).await.map_err(readable)?.into_inner();
        for decision in &decisions {
            lines.write(decision)?;
        }
        if next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = next_page_token;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        export: ExportArgs,
    }

    fn parsed(words: &str) -> Result<ExportArgs, clap::Error> {
        Line::try_parse_from(["export", "--program", "shop"].into_iter().chain(words.split(' '))).map(|line| line.export)
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        let kept = "5-00000000000000ab";
        assert_eq!(parsed(&format!("--labels --after-cursor {kept}")).unwrap().after_cursor.unwrap().to_string(), kept);
        assert!(parsed("--labels --after-cursor 5").unwrap_err().to_string().contains("must be a cursor as this API gave it"));
        let refused = parsed(&format!("--decisions --after-cursor {kept}")).unwrap_err();
        assert_eq!(refused.kind(), clap::error::ErrorKind::ArgumentConflict);
        assert!(parsed(&format!("--after-cursor {kept}")).is_err());
        let packed = run(&parsed("--decisions --format packed").unwrap()).unwrap_err().to_string();
        assert!(packed.contains("goes with --labels"), "{packed}");
    }

    #[test]
    fn the_end_of_an_export_says_what_the_cursor_is_not_for() {
        let said = what_was_written(7, Some("12-00000000000000ab".to_owned()));
        assert!(
            said.starts_with("7 lines written; --after-cursor 12-00000000000000ab ")
                && said.contains("to train, export all again"),
            "{said}"
        );
        assert_eq!(what_was_written(7, None), "7 lines written");
    }
}
