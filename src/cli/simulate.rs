//! `selfsame simulate`: writes a simulated programme's labelled conversions, one JSON object a line, ready to replay and train on.
//!
//! Only arguments, files and progress; the programme is made in `offline::simulate`. Reads no clock and no key of a real programme.

use std::io::{self, Write};
use std::iter::Peekable;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::history_output::{HistoryOutput, OutputForm};
use super::output::Output;
use crate::adapters::byte_order_mark;
use crate::offline::chance::Chance;
use crate::offline::labeled_line::{labeled_line, simulation_digester};
use crate::offline::people::People;
use crate::offline::simulate::{LabeledRaw, Simulation, SimulationParameters, varied};
use crate::vocabulary::ids::ProgramId;

/// Lines between two moves of the progress bar.
const PROGRESS_STEP: u64 = 256;

const EXAMPLES: &str = "\
Examples:
  Five and a half months of a programme with 300 conversions a day:
    selfsame simulate --output programme.jsonl

  A small one, to look at:
    selfsame simulate --conversions 3 --seed 7 | jq .persona,.labels

  Many programmes, each with rates of its own and signals that it never sends, to train on what holds in all:
    selfsame simulate --programs 20 --conversions 200000 --output programmes.jsonl

  To screen it often, in the form that is read fastest:
    selfsame simulate --conversions 1000000 --format packed --output programme.packed

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

    /// Write this many programmes that differ from each other, in one stream: the first as the parameters say, the others drawn around it
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub programs: u8,

    /// How much the programmes of --programs differ: 0 nearly not, 1 very much
    #[arg(long, default_value_t = 0.5, value_name = "VARIETY", value_parser = variety)]
    pub variety: f64,

    /// TOML file with the parameters that differ from the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// File to write instead of standard output; it gets its name when all of it is there
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// In which form to write
    #[arg(long, value_enum, default_value_t = OutputForm::Jsonl)]
    pub format: OutputForm,

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
    let people = People::embedded()?;
    let digester = simulation_digester()?;
    let bar = progress_bar(parameters.conversions);
    let mut programmes = programmes_of(&args, parameters, &people)?;
    let inputs: Vec<_> = args.config.as_deref().into_iter().collect();
    let mut output = HistoryOutput::new(Output::begin(args.output.as_deref(), &inputs)?, args.format);
    let mut position = 0;
    while let Some((program_id, simulated)) = next_of(&mut programmes) {
        let line = labeled_line(&simulated, program_id, &digester)?;
        if let Err(error) = output.write_line(line) {
            bar.finish_and_clear();
            return ended_by_reader(error);
        }
        position += 1;
        if position % PROGRESS_STEP == 0 {
            bar.set_position(position);
        }
    }
    bar.finish_and_clear();
    output.into_inner().keep()
}

/// A programme and what of it comes next.
struct Programme<'a> {
    program_id: ProgramId,
    lines: Peekable<Simulation<'a>>,
}

/// The programmes to write: one as the parameters say, or several that differ, which share the conversions among them.
fn programmes_of<'a>(
    args: &SimulateArgs,
    parameters: SimulationParameters,
    people: &'a People,
) -> anyhow::Result<Vec<Programme<'a>>> {
    let count = u64::from(args.programs);
    let share = |number: u64| parameters.conversions / count + u64::from(number < parameters.conversions % count);
    let mut programmes = Vec::new();
    for number in 0..count {
        let seed = args.seed.wrapping_add(number.wrapping_mul(1_000_003));
        let mut own = match number {
            0 => parameters.clone(),
            _ => varied(&parameters, args.variety, &mut Chance::of_subject(args.seed, number))?,
        };
        own.conversions = share(number);
        if number > 0 {
            own.program_id = format!("{}-{}", parameters.program_id, number + 1);
        }
        let program_id = ProgramId::new(&own.program_id).map_err(|error| anyhow::anyhow!("`program_id` {error}"))?;
        programmes.push(Programme { program_id, lines: Simulation::new(people, own, seed)?.peekable() });
    }
    Ok(programmes)
}

/// The earliest conversion of all programmes.
fn next_of<'p>(programmes: &'p mut [Programme<'_>]) -> Option<(&'p ProgramId, LabeledRaw)> {
    let when = |programme: &mut Programme<'_>| programme.lines.peek().map(|line| line.conversion.occurred_at);
    let (_, first) = programmes.iter_mut().enumerate().filter_map(|(at, programme)| Some((when(programme)?, at))).min()?;
    let Programme { program_id, lines } = programmes.get_mut(first)?;
    lines.next().map(|line| (&*program_id, line))
}

fn variety(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(variety) if (0.0..=3.0).contains(&variety) => Ok(variety),
        Ok(_) | Err(_) => Err("it must be a number from 0 to 3".to_owned()),
    }
}

/// The parameters: defaults, then the file, then the arguments.
fn parameters_of(args: &SimulateArgs) -> anyhow::Result<SimulationParameters> {
    let text = match &args.config {
        Some(path) => byte_order_mark::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?,
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
