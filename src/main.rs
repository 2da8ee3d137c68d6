//! The `selfsame` binary: reads the command line and runs one command. Everything else is in the library.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use selfsame::cli::{
    AlreadyTold, account, act, audit, demo, digest, doctor, evaluate, export, in_words, ledger, load, manuals, model, policy,
    program, queue, screen, serve, simulate, token, train,
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
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Queue(queue::QueueArgs),
    Account(account::AccountArgs),
    Model(model::ModelArgs),
    Export(export::ExportArgs),
    Screen(screen::ScreenArgs),
    Program(program::ProgramArgs),
    Token(token::TokenArgs),
    Act(act::ActArgs),
    Audit(audit::AuditArgs),
    Policy(policy::PolicyArgs),
    Digest(digest::DigestArgs),
    Simulate(simulate::SimulateArgs),
    Train(train::TrainArgs),
    Evaluate(evaluate::EvaluateArgs),
    Ledger(ledger::LedgerCommand),
    Load(load::LoadCommand),
    Doctor(doctor::DoctorArgs),
    Completions(manuals::CompletionsArgs),
    Man(manuals::ManArgs),
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Queue(args) => queue::run(&args),
        Command::Account(args) => account::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Screen(args) => screen::run(&args),
        Command::Program(args) => program::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Act(args) => act::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Digest(args) => digest::run(&args),
        Command::Simulate(args) => simulate::run(args),
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Ledger(args) => args.run(),
        Command::Load(args) => args.run(),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => manuals::completions(&args, Cli::command()),
        Command::Man(args) => manuals::man(&args, Cli::command()),
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
