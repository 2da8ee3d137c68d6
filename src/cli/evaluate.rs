//! `selfsame evaluate`: what a model does on labelled conversions, and whether its kind of certificate keeps its promise when repeated.
//!
//! Only arguments, files and progress; measuring is in `offline::learning`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::history_input::{HistoryInput, progress_bar, share};
use super::written::Written;
use crate::adapters::model_file;
use crate::offline::learning::certification::Promise;
use crate::offline::learning::evaluation::evaluate;
use crate::offline::learning::resampling::{Repeated, Resampled, resample};
use crate::offline::learning::{card, report};
use crate::vocabulary::time::Timestamp;

const EXAMPLES: &str = "\
Examples:
  What would this model have done last quarter?
    selfsame evaluate --model models/default.json --input quarter.jsonl --report quarter.html

  Trained on what happened before the first of March, measured on what came after it, with all of it as history:
    selfsame evaluate --model shop.json --input all.jsonl --from 2026-03-01T00:00:00Z

  Does certification keep its promise? Certify on groups drawn anew, 200 times, and look at all others:
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

    /// Measure only what happened from this time on (RFC 3339); what came before is history
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,

    /// HTML report to write
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Certify this often on groups drawn anew, and count how often the promise is broken
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    certify_resamples: Option<u32>,

    /// Promise to certify in the resamples, instead of the model's
    #[arg(long, requires = "certify_resamples", value_parser = share)]
    alpha: Option<f64>,

    /// Seed of bootstrap and resamples
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// Runs `selfsame evaluate`.
///
/// # Errors
/// When a file cannot be read or written, or nothing is labelled.
pub fn run(args: EvaluateArgs) -> anyhow::Result<()> {
    let model = model_file::read(&args.model)?;
    let inputs: Vec<&Path> = args.history.files().chain([args.model.as_path()]).collect();
    let report_file = args.report.as_deref().map(|path| Written::file(path, &inputs)).transpose()?;
    let matrix = args.history.matrix()?;
    let from = args.from.map(|time| Timestamp::from_millis(time.as_millisecond())).transpose().context("`--from`")?;
    let rows: Vec<usize> = (0..matrix.len()).filter(|row| from.is_none_or(|from| matrix.occurred_at()[*row] >= from)).collect();
    if rows.is_empty() {
        bail!(
            "nothing labelled happened from `--from` on; the newest is of {}",
            matrix.occurred_at().iter().max().copied().unwrap_or(Timestamp::MIN)
        );
    }
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
        "reviews from {:.4}: {} referrals, those that it rejects among them, {:.1} % of the abusive\n\n",
        at.threshold,
        at.flagged,
        at.recall * 100.0
    ));
    card::personas(&mut text, &evaluation.personas);
    writeln!(out, "{text}")?;
    if let Some(mut file) = report_file {
        let facts = [
            format!("{}; {} referrals, {} abusive", args.history.name(), evaluation.rows, evaluation.abusive),
            card::promise_line(&model),
        ];
        let page = report::html(&format!("Model {}", model.version()), &facts, model.thresholds(), &evaluation);
        file.write_all(page.as_bytes()).context("writing the report")?;
        file.keep()?;
    }
    if let Some(times) = args.certify_resamples {
        let certificate = model.certificate();
        let promise = Promise { alpha: args.alpha.unwrap_or(certificate.alpha), delta: certificate.delta };
        let bar = progress_bar("certifying", usize::try_from(times).unwrap_or(usize::MAX));
        let resampled = resample(&model, &matrix, promise, times, args.seed, &mut |done| bar.set_position(u64::from(done)));
        bar.finish_and_clear();
        writeln!(out, "{}", resampled_text(promise, resampled))?;
    }
    Ok(())
}

fn resampled_text(promise: Promise, resampled: Resampled) -> String {
    let Resampled { times, certified, naive } = resampled;
    let percent = |part: u32| 100.0 * f64::from(part) / f64::from(times.max(1));
    let row = |name: &str, Repeated { found, broken, broken_unseen, mean_recall }: Repeated| {
        format!(
            "| {name} | {found} | {broken} ({:.1} %) | {broken_unseen} ({:.1} %) | {mean_recall:.3} |",
            percent(broken),
            percent(broken_unseen)
        )
    };
    let of_naive = if naive.mean_recall > 0.0 { 100.0 * certified.mean_recall / naive.mean_recall } else { 100.0 };
    format!(
        "{times} resamples at alpha {}, delta {}: certified thresholds have {of_naive:.1} % of the naive ones' recall\n\n\
         | threshold | found | error above alpha | the same, on groups not drawn | mean recall |\n|---|---|---|---|---|\n{}\n{}",
        promise.alpha,
        promise.delta,
        row("certified", certified),
        row("naive: the share as seen", naive),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        evaluate: EvaluateArgs,
    }

    #[test]
    fn a_promise_without_resamples_is_refused() {
        let parsed = |more: &str| Line::try_parse_from(format!("evaluate --model m --input i{more}").split(' '));
        assert!(parsed(" --certify-resamples 9 --alpha 0.01").is_ok());
        let refused = parsed(" --alpha 0.01").unwrap_err().to_string();
        assert!(refused.contains("--certify-resamples"), "{refused}");
    }

    #[test]
    fn the_report_is_never_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.json");
        std::fs::write(&model, crate::adapters::model_store::SHIPPED_MODEL).unwrap();
        let name = model.to_str().unwrap();
        let line = format!("evaluate --model {name} --input {name} --report {name}");
        let refused = run(Line::try_parse_from(line.split(' ')).unwrap().evaluate).unwrap_err().to_string();
        assert!(refused.contains("is also read"), "{refused}");
        assert_eq!(std::fs::read(&model).unwrap(), crate::adapters::model_store::SHIPPED_MODEL);
    }
}
