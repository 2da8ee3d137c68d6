//! The `selfsame` binary: reads the command line and runs one command. Everything else is in the library.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use selfsame::cli::{
    AlreadyTold, account, act, audit, bench, demo, digest, doctor, evaluate, export, gateway, hold, in_words, ledger, list,
    manuals, mcp, model, outcome, payout, policy, program, progress, queue, relay, screen, serve, simulate, token, train,
};

/// A decision is allocated by one thread and freed by another; the C library's allocator took a fifth of all time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "\
First steps:
  selfsame demo                            a day of a referral programme, through the real service
  selfsame serve                           run it; prints the first grpcurl lines to try
  selfsame queue --program shop list       what waits for a reviewer

Every command has a --help with examples.";

/// Stops referral fraud before money leaves the house
///
/// Selfsame answers one question when a referral is about to earn money: are the referrer and the referee the same person, or is
/// somebody farming the programme? It compares keyed digests, never e-mails; rejects what is certain, approves what is clean, keeps the
/// rest in a review queue, and tells the payout pipeline what it may release.
#[derive(Debug, Parser)]
#[command(name = "selfsame", version, after_long_help = EXAMPLES, after_help = "Try --help for first steps.", arg_required_else_help = true)]
struct Cli {
    /// Say results and errors only: no progress, no remarks
    #[arg(long, short, global = true)]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Queue(queue::QueueArgs),
    Account(account::AccountArgs),
    Hold(hold::HoldArgs),
    List(list::ListArgs),
    Outcome(outcome::OutcomeArgs),
    Payout(payout::PayoutArgs),
    Model(model::ModelArgs),
    Relay(relay::RelayArgs),
    Export(export::ExportArgs),
    Screen(screen::ScreenArgs),
    Program(program::ProgramArgs),
    Token(token::TokenArgs),
    Act(act::ActArgs),
    Audit(audit::AuditArgs),
    Policy(policy::PolicyArgs),
    Digest(digest::DigestArgs),
    Gateway(gateway::GatewayArgs),
    Simulate(simulate::SimulateArgs),
    Train(train::TrainArgs),
    Evaluate(evaluate::EvaluateArgs),
    Ledger(ledger::LedgerCommand),
    Bench(bench::BenchArgs),
    Doctor(doctor::DoctorArgs),
    Mcp(mcp::McpArgs),
    Completions(manuals::CompletionsArgs),
    Man(manuals::ManArgs),
    #[command(name = "openapi")]
    OpenApi(manuals::OpenApiArgs),
}

fn main() -> ExitCode {
    let Cli { quiet, command } = Cli::parse();
    if quiet {
        progress::silence();
    }
    let outcome = match command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Queue(args) => queue::run(&args),
        Command::Account(args) => account::run(&args),
        Command::Hold(args) => hold::run(&args),
        Command::List(args) => list::run(&args),
        Command::Outcome(args) => outcome::run(&args),
        Command::Payout(args) => payout::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Relay(args) => relay::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Screen(args) => screen::run(&args),
        Command::Program(args) => program::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Act(args) => act::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Digest(args) => digest::run(&args),
        Command::Gateway(args) => gateway::run(&args),
        Command::Simulate(args) => simulate::run(args),
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Ledger(args) => args.run(),
        Command::Bench(args) => args.run(),
        Command::Doctor(args) => doctor::run(&args),
        Command::Mcp(args) => mcp::run(&args),
        Command::Completions(args) => manuals::completions(&args, Cli::command()),
        Command::Man(args) => manuals::man(&args, Cli::command()),
        Command::OpenApi(args) => manuals::openapi(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads standard output has seen enough (`| head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<AlreadyTold>() => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", in_words(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|problem| problem.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(broken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn walk(command: &clap::Command, path: &str, look: &mut impl FnMut(&str, &clap::Arg)) {
        for argument in command.get_arguments() {
            look(path, argument);
        }
        for step in command.get_subcommands() {
            walk(step, &format!("{path} {}", step.get_name()), look);
        }
    }

    /// What a flag takes: its short form, and what its value is called.
    type Meaning = (Option<char>, Vec<String>);

    fn meaning(flag: &clap::Arg) -> Meaning {
        let values = flag.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
        let takes = flag.get_action().takes_values();
        (flag.get_short(), if takes { values } else { Vec::new() })
    }

    #[test]
    fn a_flag_means_one_thing_in_all_commands() {
        Cli::command().debug_assert();
        let mut meanings: BTreeMap<String, BTreeMap<Meaning, Vec<String>>> = BTreeMap::new();
        let mut shorts: BTreeMap<char, String> = BTreeMap::new();
        walk(&Cli::command(), "selfsame", &mut |path, flag| {
            let Some(long) = flag.get_long() else { return };
            meanings.entry(long.to_owned()).or_default().entry(meaning(flag)).or_default().push(path.to_owned());
            if let Some(short) = flag.get_short() {
                assert_eq!(shorts.entry(short).or_insert_with(|| long.to_owned()), long, "-{short} in `{path}`");
            }
        });
        let several: Vec<_> =
            meanings.iter().filter(|(_, meanings)| meanings.len() > 1).map(|several| format!("{several:?}")).collect();
        assert!(several.is_empty(), "{}", several.join("\n"));
        for flag in ["output", "program", "server", "input", "write", "format", "quiet", "note"] {
            assert!(meanings.contains_key(flag), "no command has --{flag}");
        }
    }

    #[test]
    fn every_command_that_shows_an_answer_shows_it_in_every_form() {
        let mut shown = std::collections::BTreeSet::new();
        walk(&Cli::command(), "selfsame", &mut |path, flag| {
            if flag.get_long() == Some("output") {
                let forms: Vec<String> = flag.get_possible_values().iter().map(|form| form.get_name().to_owned()).collect();
                assert_eq!(forms, ["table", "json", "csv"], "`{path}`");
                shown.insert(path.to_owned());
            }
        });
        let command = Cli::command();
        let silent =
            command.get_subcommands().map(clap::Command::get_name).filter(|name| !shown.contains(&format!("selfsame {name}")));
        // What these print is their work: files of data, reports, pages, a log.
        let works = [
            "serve",
            "demo",
            "export",
            "screen",
            "digest",
            "gateway",
            "simulate",
            "train",
            "evaluate",
            "mcp",
            "completions",
            "man",
            "openapi",
        ];
        assert_eq!(silent.collect::<Vec<_>>(), works);
    }
}
