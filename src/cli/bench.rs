//! `selfsame bench`: drives a server and reports throughput and latency, alone or side by side with a no-op server.
//! It never changes anything but by calling the API; do not point it at production. `main` calls it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;

use super::answer::{AnswerArgs, print};
use super::client::{AskedServerArgs, ConnectionArgs, Reached};
use super::progress;
use super::written::Written;
use crate::adapters::tls::{ClientFiles, Destination};
use crate::offline::load::compare::{Contestant, Standing, side_by_side};
use crate::offline::load::driver::{Pace, Plan, Progress, Target, Until, run};
use crate::offline::load::generator::{Traffic, TrafficShape, Walk};
use crate::offline::load::noop;
use crate::offline::load::plain_path;
use crate::offline::load::recorder::Measured;
use crate::offline::load::replay::{Replayed, replay};
use crate::offline::load::schedule::Arrivals;
use crate::wire::credentials::Credentials;
use crate::wire::v1;
use crate::wire::v1::program_service_client::ProgramServiceClient;

/// What the no-op server prints before its address once it listens.
const LISTENING: &str = "listening on ";

const EXAMPLES: &str = "\
Examples:
  As fast as answers come, against a server of its own:
    selfsame serve --memory --listen 127.0.0.1:50060 &
    selfsame bench --server http://127.0.0.1:50060 --seconds 20

  2,000 a second at planned times, on values that the server knows, with a report as JSON:
    selfsame bench --server http://127.0.0.1:50060 --fill --rate 2000 --write report.json

  Beside a server that does nothing, in turns:
    selfsame bench --server http://127.0.0.1:50060 --compare";

/// Send realistic conversions to a server and measure the answers.
///
/// Without `--rate`, a closed loop keeps `--in-flight` requests under way. With it, an open loop sends at planned times and counts
/// latency from the planned time, so that a stalled server shows (no coordinated omission).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct BenchArgs {
    /// The server. No variable names it: what is sent here is for a server to try.
    #[command(flatten)]
    server: AskedServerArgs,
    /// Conversions a second, at planned times (open loop).
    #[arg(long, conflicts_with = "max")]
    rate: Option<f64>,
    /// As fast as answers come (closed loop); the default.
    #[arg(long)]
    max: bool,
    /// How the planned times of `--rate` are spread.
    #[arg(long, value_enum, default_value_t = ArrivalsArg::Poisson)]
    arrivals: ArrivalsArg,
    /// Requests under way: exactly so many in a closed loop, at most so many in an open one.
    #[arg(long, default_value_t = 128, value_name = "N")]
    in_flight: usize,
    /// How long to send.
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Connections to spread the requests over.
    #[arg(long, default_value_t = 4, value_name = "N")]
    connections: usize,
    /// Values (identifiers) that the server is held to know already; referrers are drawn from their owners.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    known_values: u64,
    /// First make those values known, by one conversion for each account. Not measured.
    #[arg(long)]
    fill: bool,
    /// The programme to write to.
    #[arg(long, short, default_value = "load-test", value_name = "ID")]
    program: String,
    /// Another seed, other conversions. Drawn when left out; a repeated seed repeats the same conversions, which are then retries.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How the report is shown
    #[command(flatten)]
    answer: AnswerArgs,
    /// File to write the report to as well, as JSON
    #[arg(long, short, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Measure a no-op server with the same messages side by side, in turns, and print the ratio.
    #[arg(long, conflicts_with = "noop_server")]
    compare: bool,
    /// Measure the plain path too: a server that keeps counters by 20 read-modify-writes and two records for each decision, in a folder
    /// that is made here and removed afterwards.
    #[arg(long, requires = "compare", value_name = "FOLDER")]
    plain_path: Option<PathBuf>,
    /// Another server to measure side by side; may be given more than once.
    #[arg(long, requires = "compare", value_name = "NAME=URL")]
    beside: Vec<String>,
    /// How many turns each server gets; `--seconds` is split among them.
    #[arg(long, default_value_t = 5, requires = "compare", value_name = "N")]
    rounds: u32,
    /// Send nothing: read the programme's feed from its beginning to its end, and print how many events came for each second.
    #[arg(long, conflicts_with_all = ["rate", "fill", "compare"])]
    replay: bool,
    /// Only serve the no-op server here.
    #[arg(long, value_name = "ADDR")]
    noop_server: Option<SocketAddr>,
    /// Let that server keep each decision the plain way, in this folder.
    #[arg(long, requires = "noop_server", value_name = "FOLDER")]
    kept_plainly_in: Option<PathBuf>,
}

/// How planned times are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArrivalsArg {
    /// Independent callers.
    Poisson,
    /// Equal gaps.
    Fixed,
}

/// The report as it is written to a file.
#[derive(Debug, Serialize)]
struct Report {
    mode: String,
    in_flight: usize,
    connections: usize,
    known_values: u64,
    seed: u64,
    request_bytes_mean: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    filled: Option<Measured>,
    servers: Vec<Standing>,
}

impl BenchArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// When a server cannot be reached or the report cannot be written.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
        runtime.block_on(async {
            match self.noop_server {
                Some(address) => serve_noop(address, self.kept_plainly_in.as_deref()).await,
                None if self.replay => self.measure_replay().await,
                None => self.measure().await,
            }
        })
    }

    async fn measure(&self) -> Result<()> {
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            bail!("`--rate` must be above 0");
        }
        // A drawn seed is short enough to be typed again.
        let report_file = self.report_file()?;
        let seed = self.seed.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1 & 0xffff_ffff);
        let shape = TrafficShape::with_known_values(&self.program, self.known_values, seed);
        let target = self.target().await?;
        let filled = if self.fill { Some(self.fill(&target, &shape).await?) } else { None };

        let plan = self.plan(Traffic::new(shape, Walk::Measuring));
        let (contestants, _processes) = self.contestants(target).await?;
        let turns = if self.compare { self.rounds.max(1) } else { 1 };
        let slice = Duration::from_secs(self.seconds) / turns;
        let servers = {
            let progress = Arc::new(Progress::default());
            let length = u32::try_from(contestants.len()).unwrap_or(u32::MAX).saturating_mul(turns);
            let _shown = shown(&progress, Until::Elapsed(slice * length));
            side_by_side(&contestants, &plan, slice, turns, &progress).await?
        };
        let report = Report {
            mode: self.mode(),
            in_flight: self.in_flight,
            connections: self.connections,
            known_values: self.known_values,
            seed,
            request_bytes_mean: request_bytes_mean(&plan.traffic),
            filled,
            servers,
        };
        print(self.answer.output, &report, as_text)?;
        if let Some(file) = report_file {
            write_json(file, &report)?;
        }
        Ok(())
    }

    /// The server, with the programme to write to registered where the caller may do that.
    async fn target(&self) -> Result<Target> {
        let target = self.connect(self.connections).await?;
        let program =
            v1::Program { program_id: self.program.clone(), stage: v1::ProgramStage::Sandbox.into(), ..v1::Program::default() };
        let request = v1::CreateProgramRequest { program: Some(program) };
        if let Err(refused) = ProgramServiceClient::new(target.first_channel()).create_program(request).await {
            // It may be registered otherwise, or be another's to register; what matters is whether it screens.
            tracing::debug!(%refused, "the programme was not registered");
        }
        Ok(target)
    }

    /// Connections to the server.
    async fn connect(&self, connections: usize) -> Result<Target> {
        let Reached { destination, credentials } = ConnectionArgs::from(self.server.clone()).reached(None)?;
        Ok(Target::connect(&destination, connections, &credentials).await?)
    }

    /// Connections to a server beside it, which is spoken to as that one is.
    async fn connect_beside(&self, url: &str) -> Result<Target> {
        let server = AskedServerArgs { server: Some(url.to_owned()), ..self.server.clone() };
        let Reached { destination, credentials } = ConnectionArgs::from(server).reached(None)?;
        Ok(Target::connect(&destination, self.connections, &credentials).await?)
    }

    /// Connections to a process that was started here.
    async fn connect_to_own(&self, address: SocketAddr) -> Result<Target> {
        let own = Destination::open(&format!("http://{address}"), ClientFiles::default())?;
        Ok(Target::connect(&own, self.connections, &Credentials::default()).await?)
    }

    async fn measure_replay(&self) -> Result<()> {
        let report_file = self.report_file()?;
        let target = self.connect(1).await?;
        let replayed = replay(&target, &self.program).await.context("reading the feed")?;
        let Replayed { events, messages, seconds } = replayed;
        let rate = replayed.events_per_second();
        print(self.answer.output, &replayed, |_| {
            format!("{events} events in {messages} messages, {seconds:.3} s: {rate:.0} events/s")
        })?;
        if let Some(file) = report_file {
            write_json(file, &replayed)?;
        }
        Ok(())
    }

    /// The file of `--write`, begun before the work.
    fn report_file(&self) -> Result<Option<Written>> {
        self.write.as_deref().map(|path| Written::file(path, &[])).transpose()
    }

    fn plan(&self, traffic: Traffic) -> Plan {
        let arrivals = match self.arrivals {
            ArrivalsArg::Poisson => Arrivals::Poisson,
            ArrivalsArg::Fixed => Arrivals::Fixed,
        };
        let pace = self.rate.map_or(Pace::ClosedLoop, |rate_per_second| Pace::OpenLoop { rate_per_second, arrivals });
        let until = Until::Elapsed(Duration::from_secs(self.seconds));
        Plan { traffic, first_index: 0, pace, until, in_flight: self.in_flight }
    }

    fn mode(&self) -> String {
        self.rate.map_or_else(
            || format!("closed loop, {} in flight", self.in_flight),
            |rate| format!("open loop, {rate} a second, {:?}", self.arrivals).to_lowercase(),
        )
    }

    async fn fill(&self, target: &Target, shape: &TrafficShape) -> Result<Measured> {
        let until = Until::Sent(shape.known_accounts);
        let traffic = Traffic::new(shape.clone(), Walk::Filling);
        let plan = Plan { traffic, first_index: 0, pace: Pace::ClosedLoop, until, in_flight: self.in_flight.max(512) };
        let progress = Arc::new(Progress::default());
        let _shown = shown(&progress, until);
        let measured = run(target, &plan, &progress).await?;
        if measured.answered < shape.known_accounts {
            bail!("filling was refused: {}", measured.refusals().unwrap_or_default());
        }
        Ok(measured)
    }

    /// The servers to measure, the reference first, with the processes that were started for it.
    async fn contestants(&self, target: Target) -> Result<(Vec<Contestant>, Vec<NoopProcess>)> {
        if !self.compare {
            return Ok((vec![Contestant { name: target.name().to_owned(), target }], Vec::new()));
        }
        let (process, address) = NoopProcess::start(&[])?;
        let mut processes = vec![process];
        let noop = self.connect_to_own(address).await?;
        let mut contestants =
            vec![Contestant { name: "no-op".to_owned(), target: noop }, Contestant { name: "selfsame".to_owned(), target }];
        if let Some(folder) = &self.plain_path {
            let (process, address) = NoopProcess::start(&["--kept-plainly-in".as_ref(), folder.as_os_str()])?;
            processes.push(process);
            let target = self.connect_to_own(address).await?;
            contestants.push(Contestant { name: "plain path".to_owned(), target });
        }
        for beside in &self.beside {
            let (name, url) = beside.split_once('=').context("`--beside` is written `NAME=URL`")?;
            let target = self.connect_beside(url).await?;
            contestants.push(Contestant { name: name.to_owned(), target });
        }
        Ok((contestants, processes))
    }
}

async fn serve_noop(address: SocketAddr, plain: Option<&Path>) -> Result<()> {
    let keeping = match plain {
        None => noop::Keeping::Nothing,
        Some(folder) => noop::Keeping::Plainly(plain_path::PlainPath::open(folder)?),
    };
    let (listener, bound) = noop::bind(address).await.with_context(|| format!("binding `{address}`"))?;
    writeln!(stdout(), "{LISTENING}{bound}")?;
    Ok(noop::serve(listener, keeping).await?)
}

/// The no-op server in a process of its own, as the measured one is. Ends with this value.
struct NoopProcess(Child);

impl NoopProcess {
    fn start(more: &[&OsStr]) -> Result<(Self, SocketAddr)> {
        let own = std::env::current_exe().context("finding this program")?;
        let mut child = Command::new(own)
            .args(["bench", "--noop-server", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the no-op server")?;
        let out = child.stdout.take().context("the no-op server has no output")?;
        let process = Self(child);
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().strip_prefix(LISTENING).context("the no-op server did not say where it listens")?;
        Ok((process, address.parse()?))
    }
}

impl Drop for NoopProcess {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A progress bar that is drawn until it is dropped.
struct Shown {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

fn shown(progress: &Arc<Progress>, until: Until) -> Shown {
    let length = match until {
        Until::Elapsed(length) => u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        Until::Sent(count) => count,
    };
    let bar = progress::bar(Some(length), "{bar:40} {percent:>3} %  {msg}  {eta} left");
    let (drawn, progress) = (bar.clone(), Arc::clone(progress));
    let task = tokio::spawn(async move {
        let start = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut answered_before = 0;
        loop {
            tick.tick().await;
            let answered = progress.answered();
            drawn.set_position(match until {
                Until::Elapsed(_) => u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
                Until::Sent(_) => answered,
            });
            let waiting = progress.sent().saturating_sub(answered);
            drawn.set_message(format!("{answered} answered, {}/s, {waiting} under way", (answered - answered_before) * 4));
            answered_before = answered;
        }
    });
    Shown { bar, task }
}

fn request_bytes_mean(traffic: &Traffic) -> usize {
    let sizes = (0..100).map(|index| prost::Message::encoded_len(&traffic.conversion(index)));
    sizes.sum::<usize>() / 100
}

fn write_json(mut file: Written, report: &impl Serialize) -> Result<()> {
    serde_json::to_writer_pretty(&mut file, report).context("writing the report")?;
    file.keep()
}

fn as_text(report: &Report) -> String {
    let Report { mode, in_flight: _, connections, known_values, seed, request_bytes_mean, filled, servers } = report;
    let mut text = format!(
        "{mode}, {connections} connections, {known_values} known values, {request_bytes_mean} bytes a request, seed {seed}\n"
    );
    if let Some(filled) = filled {
        text += &format!("filled with {} conversions at {:.0}/s\n", filled.answered, filled.answers_per_second);
    }
    let reference = servers.first().map(|first| first.name.clone()).unwrap_or_default();
    text += &format!(
        "{:<28} {:>10} {:>9} {:>9} {:>9} {:>9}  ratio to {reference}\n",
        "server", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms"
    );
    for server in servers {
        let middle = |of: fn(&Measured) -> f64| middle(server.rounds.iter().map(of).collect()) / 1_000.0;
        text += &format!(
            "{:<28} {:>10.0} {:>9.3} {:>9.3} {:>9.3} {:>9.3}  {:.3}\n",
            server.name,
            server.answers_per_second_median,
            middle(|round| round.latency_micros.p50),
            middle(|round| round.latency_micros.p99),
            middle(|round| round.latency_micros.p999),
            middle(|round| round.latency_micros.max),
            server.ratio_to_first_median
        );
        for refusals in server.rounds.iter().filter_map(Measured::refusals) {
            text += &format!("  refused: {refusals}\n");
        }
    }
    text
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
