//! `selfsame train`: from labelled conversions to a calibrated, certified model with its card and report.
//!
//! Only arguments, files and progress; learning is in `offline::learning`. The same data and seed write the same bytes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::history_input::{HistoryInput, above_zero, share};
use super::progress::spinner;
use super::written::Written;
use crate::adapters::{model_file, model_store};
use crate::offline::learning::card::{self, Provenance};
use crate::offline::learning::certification::Promise;
use crate::offline::learning::champion::{TrainingPlan, train};
use crate::offline::learning::estimators::Family;
use crate::offline::learning::evaluation::evaluate;
use crate::offline::learning::review_threshold::ReviewCosts;
use crate::offline::learning::{matrix_export, report};

const EXAMPLES: &str = "\
Examples:
  A model of your own programme, from its exported labels:
    selfsame export --labels --program shop > labels.jsonl
    selfsame train --input labels.jsonl --write models/shop.json

  Promise less, or more: at most 1 % honest among the rejected, with 99 % confidence:
    selfsame train --input labels.jsonl --write shop.json --alpha 0.01 --delta 0.01

  Other people's data:
    selfsame train --input signups.csv --format csv --mapping datasets/mappings/ecommerce_signups.toml --write model.json

Writes three files: the model (.json), its card (.md) and a report with plots (.html).
Groups are never split: 65 % of them develop, 35 % certify and measure. If no threshold can be certified, the model rejects
nothing by itself, and the card says so. Activate a model with `selfsame model activate`.";

/// Train a model on labelled conversions: choose, calibrate, certify, document
///
/// Replays the history through the same engine that serves live traffic, lets several estimators compete, and certifies the threshold
/// from which the winner may reject by itself.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct TrainArgs {
    #[command(flatten)]
    history: HistoryInput,

    /// Model file to write; card and report stand beside it
    #[arg(long, short, value_name = "FILE")]
    write: PathBuf,

    /// Largest share of honest referrals among those that the model rejects by itself
    #[arg(long, default_value_t = 0.005, value_parser = share)]
    alpha: f64,

    /// Probability that this does not hold
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    delta: f64,

    /// Share of groups that certify and measure
    #[arg(long, default_value_t = 0.35, value_parser = share)]
    hold_out: f64,

    /// Grouped folds of the competition
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=20))]
    folds: u8,

    /// Seed of folds and estimators
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Estimators that compete; all without it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAMILY")]
    families: Vec<Family>,

    /// What an abusive referral earns when it is approved, in minor units
    #[arg(long, default_value_t = 2_000.0, value_parser = above_zero)]
    reward_minor: f64,

    /// A reviewer's minutes for one case
    #[arg(long, default_value_t = 2.0, value_parser = above_zero)]
    review_minutes: f64,

    /// What a reviewer's hour costs, in minor units
    #[arg(long, default_value_t = 3_000.0, value_parser = above_zero)]
    review_hour_minor: f64,

    /// The model's version: letters, digits, `.`, `_` and `-`; made of family, date and the model's fingerprint without it
    #[arg(long, value_parser = version, value_name = "NAME")]
    version_name: Option<String>,

    /// Also write features, labels, groups and folds here, for other tools
    #[arg(long, value_name = "FOLDER")]
    export_matrix: Option<PathBuf>,
}

/// Runs `selfsame train`.
///
/// # Errors
/// When the data cannot be read or are too few, or a file cannot be written.
pub fn run(args: TrainArgs) -> anyhow::Result<()> {
    let [mut model_out, mut card_out, mut report_out] = args.outputs()?;
    let matrix = args.history.matrix()?;
    let plan = args.plan();
    if let Some(folder) = &args.export_matrix {
        matrix_export::write(folder, &matrix, &plan).with_context(|| format!("cannot write to `{}`", folder.display()))?;
    }
    let bar = spinner();
    let trained = train(&matrix, &plan, &mut |what| bar.set_message(what.to_owned()))?;
    bar.set_message("measuring");
    let evaluation = evaluate(&trained.model, &matrix, &trained.split.test, plan.seed);
    bar.finish_and_clear();
    model_out.write_all(&model_file::to_bytes(&trained.model)?).context("writing the model")?;
    let card = card::markdown(&trained, &evaluation, &matrix, &args.provenance());
    card_out.write_all(card.as_bytes()).context("writing the card")?;
    let facts = [
        format!("{}; {} held-out referrals, {} abusive", args.history.name(), evaluation.rows, evaluation.abusive),
        card::promise_line(&trained.model),
    ];
    let page = report::html(&format!("Model {}", trained.model.version()), &facts, trained.model.thresholds(), &evaluation);
    report_out.write_all(page.as_bytes()).context("writing the report")?;
    for whole in [card_out, report_out, model_out] {
        whole.keep()?;
    }
    let until_figures = card.split("\n## Who gets").next().unwrap_or(&card);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{until_figures}\nWrote {}, with its card (.md) and report (.html).", args.write.display())?;
    Ok(())
}

/// A version under which a server keeps the model's file.
fn version(text: &str) -> Result<String, String> {
    if model_store::can_be_version(text) {
        return Ok(text.to_owned());
    }
    Err("a server keeps the model in a file of this name: it must have 1 to 128 letters, digits, `.`, `_` and `-`, not begin with a dot, \
         and not be `state`"
        .to_owned())
}

impl TrainArgs {
    /// Model, card and report: begun before the work, which takes long and must not be for nothing.
    fn outputs(&self) -> anyhow::Result<[Written; 3]> {
        let (card, report) = (self.write.with_extension("md"), self.write.with_extension("html"));
        if self.write == card || self.write == report {
            bail!("`{}` is the name of the card or the report; name the model `….json`", self.write.display());
        }
        let inputs: Vec<&Path> = self.history.files().collect();
        if let Some(folder) = &self.export_matrix {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot write to `{}`", folder.display()))?;
            for name in matrix_export::FILES {
                Written::file(&folder.join(name), &inputs)?;
            }
        }
        Ok([Written::file(&self.write, &inputs)?, Written::file(&card, &inputs)?, Written::file(&report, &inputs)?])
    }

    fn plan(&self) -> TrainingPlan {
        TrainingPlan {
            families: if self.families.is_empty() { Family::ALL.to_vec() } else { self.families.clone() },
            folds: usize::from(self.folds),
            hold_out_share: self.hold_out,
            promise: Promise { alpha: self.alpha, delta: self.delta },
            costs: ReviewCosts {
                reward_minor: self.reward_minor,
                minutes_per_case: self.review_minutes,
                hour_minor: self.review_hour_minor,
                ..ReviewCosts::default()
            },
            seed: self.seed,
            version: self.version_name.clone(),
            ..TrainingPlan::default()
        }
    }

    /// Without folders, so that the card is the same wherever it is made. Every flag that changes the model stands in the command.
    fn provenance(&self) -> Provenance {
        let data = self.history.name();
        let output = self.write.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut command = format!("selfsame train --input {data} --write {output}");
        let mut flag = |name: &str, value: String| {
            command.push_str(" --");
            command.push_str(name);
            command.push(' ');
            command.push_str(&value);
        };
        for (name, value) in self.history.changed_flags() {
            flag(name, value);
        }
        flag("alpha", self.alpha.to_string());
        flag("delta", self.delta.to_string());
        flag("seed", self.seed.to_string());
        let usual = TrainingPlan::default();
        let ReviewCosts { reward_minor, minutes_per_case, hour_minor, caught_share: _ } = usual.costs;
        let numbers = [
            ("hold-out", self.hold_out, usual.hold_out_share),
            ("reward-minor", self.reward_minor, reward_minor),
            ("review-minutes", self.review_minutes, minutes_per_case),
            ("review-hour-minor", self.review_hour_minor, hour_minor),
        ];
        for (name, given, _) in numbers.into_iter().filter(|(_, given, usual)| given.total_cmp(usual).is_ne()) {
            flag(name, given.to_string());
        }
        if usize::from(self.folds) != usual.folds {
            flag("folds", self.folds.to_string());
        }
        if !self.families.is_empty() {
            flag("families", self.families.iter().map(|family| family.name()).collect::<Vec<_>>().join(","));
        }
        if let Some(version) = &self.version_name {
            flag("version-name", version.clone());
        }
        Provenance { data, command }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        train: TrainArgs,
    }

    fn parsed(line: &str) -> TrainArgs {
        Line::try_parse_from(line.split(' ').skip(1)).unwrap().train
    }

    #[test]
    fn the_command_on_the_card_makes_the_same_plan_again() {
        let given = "selfsame train --input f/in.csv --format csv --mapping f/map.toml --policy f/p.toml --known-by 2026-03-01T00:00:00Z \
            --label-sources reviewer,chargeback --write f/out.json --alpha 0.01 --delta 0.1 --hold-out 0.4 --folds 3 --seed 9 \
            --families scorecard,adaboost,boosting --reward-minor 500 --review-minutes 4 --review-hour-minor 6000 --version-name v7";
        let given = given.replace("            ", "").replace('\n', "");
        let first = parsed(&given);
        let on_card = first.provenance().command;
        assert_eq!(on_card.matches(" --").count(), given.matches(" --").count(), "{on_card}");
        let again = parsed(&on_card);
        assert_eq!(again.plan(), first.plan());
        assert_eq!(again.history.changed_flags(), first.history.changed_flags());
    }

    #[test]
    fn what_was_not_given_does_not_stand_on_the_card() {
        let command = parsed("selfsame train --input in.jsonl --write out.json").provenance().command;
        assert_eq!(command, "selfsame train --input in.jsonl --write out.json --alpha 0.005 --delta 0.05 --seed 1");
    }

    #[test]
    fn a_version_that_is_no_file_name_is_refused_before_training() {
        for (wrong, right) in [("my model/1 é", "my-model.1"), (".hidden", "v7")] {
            let parsed = |name| Line::try_parse_from(["train", "-i", "a", "-w", "b.json", "--version-name", name]);
            let refused = parsed(wrong).unwrap_err().to_string();
            assert!(refused.contains("--version-name") && refused.contains("letters, digits"), "{refused}");
            assert_eq!(parsed(right).unwrap().train.version_name.as_deref(), Some(right));
        }
    }

    #[test]
    fn neither_the_data_nor_a_folder_that_is_not_there_is_trained_on_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("h.html");
        std::fs::write(&data, "labels").unwrap();
        let refused = |output: &str| {
            let line = format!("train -i {} -w {}", data.display(), folder.path().join(output).display());
            format!("{:#}", run(Line::try_parse_from(line.split(' ')).unwrap().train).unwrap_err())
        };
        assert!(refused("h.json").contains("is also read"), "the report would be the data");
        assert!(refused("h.html").contains("name the model"));
        assert!(refused("nowhere/m.json").starts_with("cannot write"));
        std::fs::copy(&data, folder.path().join("rows.csv")).unwrap();
        let line = format!("train -i {0}/rows.csv -w {0}/m.json --export-matrix {0}", folder.path().display());
        let matrix = run(Line::try_parse_from(line.split(' ')).unwrap().train).unwrap_err().to_string();
        assert!(matrix.contains("rows.csv` is also read"), "{matrix}");
        assert_eq!(std::fs::read_to_string(&data).unwrap(), "labels");
    }

    #[test]
    fn shares_outside_their_range_are_refused() {
        for wrong in ["--alpha 0", "--alpha 1.5", "--delta x", "--hold-out 1", "--review-minutes 0"] {
            let line = format!("train --input a --write b {wrong}");
            assert!(Line::try_parse_from(line.split(' ')).is_err(), "{wrong}");
        }
    }
}
