//! `selfsame export`: labelled history or decisions of a running server, as JSON lines or in the binary form.
//! It must never hold more than one message in memory. `main` calls it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use tonic::transport::Channel;

use super::client::{ANSWER_BYTES_MAX, ServerArgs, block_on, counting_spinner, readable};
use super::history_output::{HistoryOutput, OutputForm};
use crate::wire::v1;
use crate::wire::v1::screening_service_client::ScreeningServiceClient;
use crate::wire::v1::training_service_client::TrainingServiceClient;

/// Decisions that are asked for at a time.
const DECISIONS_PER_PAGE: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  Everything that training reads, one conversion a line, with its labels:
    selfsame export --program shop --labels -o shop.jsonl

  Only what came after the last export (its last cursor is printed at the end):
    selfsame export --program shop --labels --after-cursor 48210 -o more.jsonl

  Decisions, the newest first, for a spreadsheet or a warehouse:
    selfsame export --program shop --decisions | jq -r '[.conversionId,.verdict,.riskScore]|@csv'

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

    /// Only conversions that were screened after this cursor
    #[arg(long, default_value_t = 0, requires = "labels", value_name = "CURSOR")]
    pub after_cursor: u64,

    /// In which form to write
    #[arg(long, value_enum, default_value_t = OutputForm::Jsonl)]
    pub format: OutputForm,

    /// File to write instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
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
    block_on(async {
        let program = args.server.program()?.to_owned();
        let channel = args.server.connect().await?;
        let mut output: Box<dyn Write> = match &args.output {
            Some(path) => Box::new(File::create(path).with_context(|| format!("writing {}", path.display()))?),
            None => Box::new(std::io::stdout().lock()),
        };
        let output = HistoryOutput::new(BufWriter::new(&mut *output), args.format);
        let mut lines = Lines { output, progress: counting_spinner("{spinner} {pos} lines, {per_sec}") };
        let last_cursor = if args.what.labels {
            export_labels(channel, program, args.after_cursor, &mut lines).await?
        } else {
            export_decisions(channel, program, &mut lines).await?;
            None
        };
        lines.output.flush().context("writing the last lines")?;
        let written = lines.progress.position();
        lines.progress.finish_and_clear();
        let next = last_cursor.map(|cursor| format!("; go on with --after-cursor {cursor}")).unwrap_or_default();
        writeln!(std::io::stderr(), "{written} lines written{next}")?;
        Ok(())
    })
}

/// Where lines go.
struct Lines<W: Write> {
    output: HistoryOutput<BufWriter<W>>,
    progress: ProgressBar,
}

impl<W: Write> Lines<W> {
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
    channel: Channel,
    program_id: String,
    after_cursor: u64,
    lines: &mut Lines<impl Write>,
) -> anyhow::Result<Option<u64>> {
    let mut client = TrainingServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let request = v1::ExportConversionsRequest { program_id, after_cursor };
    let mut stream = client.export_conversions(request).await.map_err(readable)?.into_inner();
    let mut last_cursor = None;
    while let Some(v1::ExportConversionsResponse { cursor, conversion }) = stream.message().await.map_err(readable)? {
        if let Some(conversion) = conversion {
            lines.write_line(conversion)?;
        }
        last_cursor = Some(cursor);
    }
    Ok(last_cursor)
}

async fn export_decisions(channel: Channel, program_id: String, lines: &mut Lines<impl Write>) -> anyhow::Result<()> {
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
