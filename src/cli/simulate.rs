//! `selfsame simulate`: writes the labelled conversions of simulated programmes, one JSON object a line, ready to replay and train on.
//!
//! Only arguments, files and progress; programmes are made in `offline::simulator`. Reads no clock and no key of a real programme.

use std::io::{self, Write};
use std::iter::Peekable;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::history_output::{DataForm, HistoryOutput, encoded};
use super::progress;
use super::written::Written;
use crate::adapters::byte_order_mark;
use crate::digesting::Digester;
use crate::offline::learning::parallel;
use crate::offline::simulator::labeled_line::{labeled_line, simulation_digester};
use crate::offline::simulator::library::{Drawn, Library, Wanted, shown};
use crate::offline::simulator::months::{Months, Simulated};
use crate::offline::simulator::people::People;
use crate::vocabulary::ids::ProgramId;

/// Conversions that are digested together, on all cores.
const BATCH: usize = 4_096;

const EXAMPLES: &str = "\
Examples:
  An ordinary programme of at least half a year:
    selfsame simulate --kind ordinary --write programme.jsonl

  A small one, to look at:
    selfsame simulate --conversions 3 --seed 7 | jq .persona,.labels

  Two hundred programmes of every kind, each with people, prices and attacks of its own, to train on what holds in all:
    selfsame simulate --programs 200 --conversions 400000 --format packed --write programmes.packed

  The same without two personas, and a set that has them, to see how a model does on abuse that it never saw:
    selfsame simulate --programs 20 --hold-out-personas signup_farm,account_trader --write known.jsonl
    selfsame simulate --programs 20 --seed 2 --write all.jsonl

  A harder one: write down what differs, in the keys that --print-config shows:
    selfsame simulate --config harder.toml --conversions 150000 --write harder.jsonl

A file for --config holds only what differs, for example:
    abusive_share = [0.01, 0.05]
    [labels]
    abusive_as_honest = 0.05
    [personas]
    household = 3.0
    [persona.household.with_referrer]
    device = [0.3, 0.6]
A number stands for itself; of a pair, each programme draws a number between the two.

One seed and one set of parameters give the same bytes, on any number of cores. Who plays and where is in
datasets/simulator/personas and datasets/simulator/programmes; what such data can show, and what it cannot, is in
datasets/simulator/README.md.";

/// Make simulated referral programmes: labelled conversions to replay, train and evaluate on
///
/// Plays honest friends, households, offices, influencers and agencies next to self-referrers, rings, farms and refund abusers, and writes
/// one labelled conversion a line in the API's JSON form, in event-time order. People are synthetic and digested as in production.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct SimulateArgs {
    /// How many conversions to write, in all programmes together
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50_000)]
    pub conversions: u64,

    /// The programme's id in the lines; of several programmes each has its kind and number after it
    #[arg(long, short, value_name = "ID", default_value = "simulated")]
    pub program: String,

    /// One seed, one set of programmes
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Write this many programmes that differ from each other, in one stream
    #[arg(long, alias = "programmes", default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub programs: u16,

    /// Of which kind all programmes are; each kind in turn without it
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,

    /// Personas that do not play: what a model has not seen
    #[arg(long, value_delimiter = ',', value_name = "PERSONAS")]
    pub hold_out_personas: Vec<String>,

    /// TOML file with the parameters that differ
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// File to write instead of standard output; it gets its name when all of it is there
    #[arg(long, short, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// In which form to write
    #[arg(long, value_enum, default_value_t = DataForm::Jsonl)]
    pub format: DataForm,

    /// Print all parameters of --kind (`ordinary` without it) and of the personas as TOML, and end
    #[arg(long)]
    pub print_config: bool,
}

/// Runs `selfsame simulate`.
///
/// # Errors
/// When the parameters are wrong (the message names the key) or the output cannot be written.
pub fn run(args: SimulateArgs) -> anyhow::Result<()> {
    let library = library_of(&args)?;
    if args.print_config {
        let kind = library.kind(args.kind.as_deref().unwrap_or("ordinary"))?;
        return io::stdout().write_all(shown(kind, &library.personas).as_bytes()).or_else(ended_by_reader);
    }
    let people = People::embedded()?;
    let digester = simulation_digester()?;
    let mut programmes = programmes_of(&args, &library, &people)?;
    let inputs: Vec<_> = args.config.as_deref().into_iter().collect();
    let mut output = HistoryOutput::new(Written::begin(args.write.as_deref(), &inputs)?, args.format);
    let bar = progress::bar(Some(args.conversions), "{bar:40} {human_pos}/{human_len} conversions, {per_sec}, {eta} left");
    loop {
        let batch: Vec<_> = std::iter::from_fn(|| next_of(&mut programmes)).take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        for line in encoded_batch(&batch, &digester, args.format)? {
            if let Err(error) = output.write_encoded(&line) {
                bar.finish_and_clear();
                return ended_by_reader(error);
            }
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    output.into_inner().keep()
}

/// A programme and what of it comes next.
struct Programme<'a> {
    program_id: ProgramId,
    lines: Peekable<Months<'a>>,
}

/// The programmes to write, which share the conversions among them.
fn programmes_of<'a>(args: &SimulateArgs, library: &Library, people: &'a People) -> anyhow::Result<Vec<Programme<'a>>> {
    let wanted = Wanted {
        programmes: u64::from(args.programs),
        conversions: args.conversions,
        kind: args.kind.clone().or_else(|| (args.programs == 1).then(|| "ordinary".to_owned())),
        held_out: args.hold_out_personas.clone(),
        seed: args.seed,
    };
    let drawn = library.draw(&wanted, people)?;
    let several = drawn.len() > 1;
    let begun = |(number, drawn): (usize, Drawn<'a>)| {
        let Drawn { kind, months } = drawn;
        let id = if several { format!("{}-{kind}-{number}", args.program) } else { args.program.clone() };
        let program_id = ProgramId::new(&id).map_err(|error| anyhow::anyhow!("`--program` {error}"))?;
        Ok(Programme { program_id, lines: months.peekable() })
    };
    (1..).zip(drawn).map(begun).collect()
}

/// The earliest conversion of all programmes.
fn next_of(programmes: &mut [Programme<'_>]) -> Option<(ProgramId, Simulated)> {
    let when = |programme: &mut Programme<'_>| programme.lines.peek().map(|line| line.conversion.occurred_at);
    let (_, first) = programmes.iter_mut().enumerate().filter_map(|(at, programme)| Some((when(programme)?, at))).min()?;
    let Programme { program_id, lines } = programmes.get_mut(first)?;
    lines.next().map(|line| (program_id.clone(), line))
}

/// The lines of a batch in its order. Digesting is nearly all of the work, so it is done on all cores.
fn encoded_batch(batch: &[(ProgramId, Simulated)], digester: &Digester, form: DataForm) -> anyhow::Result<Vec<Vec<u8>>> {
    let encode = |(program_id, simulated): &(ProgramId, Simulated)| -> anyhow::Result<Vec<u8>> {
        Ok(encoded(labeled_line(simulated, program_id, digester)?, form)?)
    };
    parallel::map(batch, encode, &mut |_| {}).into_iter().collect()
}

/// The parameter files that are built in, with what the file of `--config` says instead.
fn library_of(args: &SimulateArgs) -> anyhow::Result<Library> {
    let library = Library::embedded()?;
    let Some(path) = &args.config else { return Ok(library) };
    let text = byte_order_mark::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(library.changed(&path.display().to_string(), &text)?)
}

/// A reader that has seen enough (`| head`) is not an error.
fn ended_by_reader(error: io::Error) -> anyhow::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error).context("cannot write") }
}
