//! `selfsame evaluate`: what a model does on labelled conversions, and whether its kind of certificate keeps its promise when repeated.
//!
//! Only arguments, files and progress; measuring is in `offline::learning`.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::history_input::{HistoryInput, progress_bar, share};
use crate::adapters::model_file;
use crate::offline::learning::certification::Promise;
use crate::offline::learning::evaluation::evaluate;
use crate::offline::learning::resampling::{Resampled, resample};
use crate::offline::learning::{card, report};

const EXAMPLES: &str = "\
Examples:
  What would this model have done last quarter?
    selfsame evaluate --model models/default.json --input quarter.jsonl --report quarter.html

  Does certification keep its promise? Certify on half of the groups, look at the other half, 200 times:
    selfsame evaluate --model models/default.json --input quarter.jsonl --certify-resamples 200

All lines are measured; give data that the model was not trained on.";

/// Measure a model on labelled conversions, with the rules alone beside it
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct EvaluateArgs {
    #[command(flatten)]
    history: HistoryInput,

    /// Model file to measure
    #[arg(long, short, value_name = "FILE")]
    model: PathBuf,

    /// HTML report to write
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Certify this often on one part of the groups and look at the rest
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    certify_resamples: Option<u32>,

    /// Promise to certify in the resamples, instead of the model's
    #[arg(long, value_parser = share)]
    alpha: Option<f64>,

    /// Seed of bootstrap and resamples
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs `selfsame evaluate`.
///
/// # Errors
/// When a file cannot be read or written, or nothing is labelled.
pub fn run(args: EvaluateArgs) -> anyhow::Result<()> {
    let model = model_file::read(&args.model)?;
    let matrix = args.history.matrix()?;
    let rows: Vec<usize> = (0..matrix.len()).collect();
    let mut out = std::io::stdout().lock();
    let evaluation = evaluate(&model, &matrix, &rows, args.seed);
    let mut text = format!(
        "{} on {}: {} labelled referrals, {} abusive\n\n",
        model.version(),
        args.history.name(),
        evaluation.rows,
        evaluation.abusive
    );
    card::figures(&mut text, &evaluation);
    text.push('\n');
    text += &evaluation.at_reject.as_ref().map_or_else(
        || "rejects nothing by itself: no certified threshold\n".to_owned(),
        |at| {
            format!(
                "rejects from {:.4}: {} referrals, {} of them honest ({:.3} %), {:.1} % of the abusive\n",
                at.threshold,
                at.flagged,
                at.flagged - at.caught,
                (1.0 - at.precision) * 100.0,
                at.recall * 100.0
            )
        },
    );
    let at = &evaluation.at_review;
    text.push_str(&format!(
        "reviews from {:.4}: {} referrals or rejected, {:.1} % of the abusive\n\n",
        at.threshold,
        at.flagged,
        at.recall * 100.0
    ));
    card::personas(&mut text, &evaluation.personas);
    writeln!(out, "{text}")?;
    if let Some(path) = &args.report {
        let facts = [
            format!("{}; {} referrals, {} abusive", args.history.name(), evaluation.rows, evaluation.abusive),
            card::promise_line(&model),
        ];
        let page = report::html(&format!("Model {}", model.version()), &facts, model.thresholds(), &evaluation);
        fs::write(path, page).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if let Some(times) = args.certify_resamples {
        let certificate = model.certificate();
        let promise = Promise { alpha: args.alpha.unwrap_or(certificate.alpha), delta: certificate.delta };
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        let bar = progress_bar("certifying", times);
        let resampled = resample(&model, &matrix, promise, times, args.seed, &mut |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        writeln!(out, "{}", resampled_text(promise, resampled))?;
    }
    Ok(())
}

fn resampled_text(promise: Promise, resampled: Resampled) -> String {
    let Resampled { times, certified, broken, mean_recall, naive, naive_by_sample } = resampled;
    let percent = |part: u32| 100.0 * f64::from(part) / f64::from(times.max(1));
    let share = |of: f64| if of > 0.0 { format!("{:.1} %", 100.0 * mean_recall / of) } else { "none".to_owned() };
    format!(
        "{times} resamples at alpha {}, delta {}: {certified} certified a threshold\n\n\
         | threshold | error above alpha | mean recall | recall of the certified by it |\n|---|---|---|---|\n\
         | certified | {broken} ({:.1} %) | {mean_recall:.3} | |\n\
         | naive, share of referrals | {} ({:.1} %) | {:.3} | {} |\n\
         | naive, rings counted once | {} ({:.1} %) | {:.3} | {} |",
        promise.alpha,
        promise.delta,
        percent(broken),
        naive.broken,
        percent(naive.broken),
        naive.mean_recall,
        share(naive.mean_recall),
        naive_by_sample.broken,
        percent(naive_by_sample.broken),
        naive_by_sample.mean_recall,
        share(naive_by_sample.mean_recall),
    )
}
