//! `selfsame simulate`: writes a simulated programme's labelled conversions, one JSON object a line, ready to replay and train on.
//!
//! Only arguments, files and progress; the programme is made in `offline::simulate`. Reads no clock and no key of a real programme.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::offline::labeled_line::{labeled_line, simulation_digester};
use crate::offline::people::People;
use crate::offline::simulate::{Simulation, SimulationParameters};
use crate::vocabulary::ids::ProgramId;

/// Lines between two moves of the progress bar.
const PROGRESS_STEP: u64 = 256;

const EXAMPLES: &str = "\
Examples:
  Five and a half months of a programme with 300 conversions a day:
    selfsame simulate --output programme.jsonl

  A small one, to look at:
    selfsame simulate --conversions 3 --seed 7 | jq .persona,.labels

  A harder one: copy the defaults, change what matters, keep only those lines:
    selfsame simulate --print-config > harder.toml
    selfsame simulate --config harder.toml --conversions 150000 --output harder.jsonl

A file for --config holds only what differs, for example:
    abusive_share = 0.03
    [drift]
    abuse_sharing_loss_per_month = 0.10
    [labels]
    abusive_as_honest = 0.05
    [stage.personas.household.habits.sharing]
    device = 0.40

One seed and one set of parameters give the same bytes. Memory does not grow
with --conversions: more of them make a longer programme. What such data can show, and what
it cannot, is in datasets/simulator/README.md.";

/// Make a simulated referral programme: labelled conversions to replay, train and evaluate on
///
/// Plays honest friends, households, campuses, offices and agencies next to self-referrers, rings, farms and loops, and writes
/// one labelled conversion a line in the API's JSON form, in event-time order. People are synthetic and digested as in production.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct SimulateArgs {
    /// How many conversions to write [default: 50000, or as the file of --config says]
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub conversions: Option<u64>,

    /// How many conversions there are a day, in the mean [default: 300, or as the file of --config says]
    #[arg(long, value_name = "COUNT")]
    pub conversions_per_day: Option<f64>,

    /// Share of abusive conversions at the beginning, 0 to 1 [default: about 0.08, or as the file of --config says]
    #[arg(long, value_name = "SHARE")]
    pub abusive_share: Option<f64>,

    /// The programme's id in the lines [default: simulated]
    #[arg(long, value_name = "ID")]
    pub program_id: Option<String>,

    /// One seed, one programme
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// TOML file with the parameters that differ from the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// File to write instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print all parameters as TOML, as they would be used, and end
    #[arg(long)]
    pub print_config: bool,
}

/// Runs `selfsame simulate`.
///
/// # Errors
/// When the parameters are wrong (the message names the key) or the output cannot be written.
pub fn run(args: SimulateArgs) -> anyhow::Result<()> {
    let parameters = parameters_of(&args)?;
    if args.print_config {
        let text = toml::to_string(&parameters).context("the parameters cannot be written as TOML")?;
        return io::stdout().write_all(text.as_bytes()).or_else(ended_by_reader);
    }
    let program_id = ProgramId::new(&parameters.program_id).map_err(|error| anyhow::anyhow!("`program_id` {error}"))?;
    let people = People::embedded()?;
    let digester = simulation_digester()?;
    let conversions = parameters.conversions;
    let simulation = Simulation::new(&people, parameters, args.seed)?;
    let mut output = open_output(args.output.as_deref())?;
    let bar = progress_bar(conversions);
    for (position, simulated) in (1..).zip(simulation) {
        let line = labeled_line(&simulated, &program_id, &digester)?;
        let mut text = serde_json::to_vec(&line).context("a line cannot be written as JSON")?;
        text.push(b'\n');
        if let Err(error) = output.write_all(&text) {
            bar.finish_and_clear();
            return ended_by_reader(error);
        }
        if position % PROGRESS_STEP == 0 {
            bar.set_position(position);
        }
    }
    bar.finish_and_clear();
    output.flush().or_else(ended_by_reader)
}

/// The parameters: defaults, then the file, then the arguments.
fn parameters_of(args: &SimulateArgs) -> anyhow::Result<SimulationParameters> {
    let text = match &args.config {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?,
        None => String::new(),
    };
    let mut parameters = SimulationParameters::from_toml(&text).with_context(|| match &args.config {
        Some(path) => format!("`{}` cannot be used", path.display()),
        None => "the defaults cannot be used".to_owned(),
    })?;
    if let Some(conversions) = args.conversions {
        parameters.conversions = conversions;
    }
    if let Some(conversions_per_day) = args.conversions_per_day {
        parameters.conversions_per_day = conversions_per_day;
    }
    if args.abusive_share.is_some() {
        parameters.abusive_share = args.abusive_share;
    }
    if let Some(program_id) = &args.program_id {
        parameters.program_id.clone_from(program_id);
    }
    parameters.validate()?;
    Ok(parameters)
}

fn open_output(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match path {
        Some(path) => Box::new(BufWriter::new(File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?)),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    })
}

/// On standard error; shows nothing when that is not a terminal.
fn progress_bar(conversions: u64) -> ProgressBar {
    let bar = ProgressBar::new(conversions);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} conversions, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// A reader that has seen enough (`| head`) is not an error.
fn ended_by_reader(error: io::Error) -> anyhow::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error).context("cannot write") }
}
