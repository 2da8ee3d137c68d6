//! The model card: what a model is, what it was measured at, what it promises and what it cannot do. Markdown, beside the model file.
//!
//! A pure function of the training, so the same data and seed give the same card. Called by `train`.

use std::fmt::Write as _;

use super::champion::{Contender, Trained, fingerprint_line};
use super::error_bound::rings_needed;
use super::evaluation::{Evaluation, PersonaLine, Ranking};
use super::matrix::Matrix;
use super::metrics::Measured;
use crate::screening::model::{Certificate, Model, Thresholds};
use crate::vocabulary::label::LabelSource;

/// What a card says beside the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// What the data are, in a line.
    pub data: String,
    /// How the model is made again: the command.
    pub command: String,
}

/// Writes the card.
#[must_use]
pub fn markdown(trained: &Trained, evaluation: &Evaluation, matrix: &Matrix, provenance: &Provenance) -> String {
    let mut card = String::new();
    let model = &trained.model;
    let parts = model.parts();
    let _ = writeln!(card, "# Model `{}`\n", model.version());
    let _ = writeln!(card, "| | |\n|---|---|");
    let _ = writeln!(card, "| family | {} |", parts.family);
    let _ = writeln!(card, "| data | {} |", provenance.data);
    let _ = writeln!(card, "| made by | `{}` |", provenance.command);
    let _ = writeln!(card, "| newest event | {} |", parts.trained_until);
    let _ = writeln!(card, "| fingerprints | {}, selfsame {} |", fingerprint_line(matrix), env!("CARGO_PKG_VERSION"));
    let _ = writeln!(
        card,
        "| rows | {} labelled, {} of them abusive; {} to develop, {} held out |",
        matrix.len(),
        matrix.abusive().iter().filter(|bad| **bad).count(),
        trained.split.fit.len(),
        trained.split.test.len()
    );
    let _ = writeln!(card, "| labels from | {} |", sources(matrix));
    let _ = writeln!(card, "| calibration | {} (log loss {}) |\n", trained.calibrated.name, losses(trained));
    card.push_str("## What it promises\n\n");
    promise(&mut card, model.certificate(), model.thresholds(), trained, evaluation);
    card.push_str("\n## How it measures\n\nOn groups that no fitting, calibration or choice saw. Intervals: 95 %, groups drawn again 100 times.\n\n");
    figures(&mut card, evaluation);
    card.push_str("\n## What competed\n\nAverage precision on development groups. Forward folds are fitted on what was labelled before the tested time. Only families whose score can but rise \
         with what speaks for abuse may serve; the others are yardsticks.\n\n");
    contenders(&mut card, &trained.contenders);
    for (family, reason) in &trained.dropped_out {
        let _ = writeln!(card, "\n`{}` dropped out: {reason}.", family.name());
    }
    card.push_str("\n## Who gets which verdict\n\nHeld-out rows; verdicts by the model's thresholds alone and by the shipped rules alone.\n\n");
    personas(&mut card, &evaluation.personas);
    card.push_str("\n## What speaks loudest\n\nMean size of the contribution, in log-odds.\n\n| feature | |\n|---|---|\n");
    for (feature, mean) in evaluation.contributions.iter().take(20) {
        let _ = writeln!(card, "| `{feature}` | {mean:.3} |");
    }
    card.push_str(WEAKNESSES);
    card
}

const WEAKNESSES: &str = "
## Known weaknesses

- It knows the abuse that its data hold. A new kind of abuse scores like the honest referral that it resembles.
- The certificate holds for referrals like those that were held out, and for no others: on another programme, or on this one after it has
  drifted, the share of honest among the rejected can be several times α (`docs/learning.md` has figures). Watch the stability index and the
  audit sample, whose breaker turns auto-reject into review; certify again on labels of your own.
- Label noise enters the certificate: an honest person who is labelled abusive counts as a right reject.
- Groups are as good as the data name them. A ring that the data do not know counts as several. Honest members of one household count each by
  themselves, so where a threshold wrongs whole households the bound is less sure than it says.
";

/// How many labels of each source were believed.
fn sources(matrix: &Matrix) -> String {
    let named = [
        (LabelSource::OwnerReport, "owners"),
        (LabelSource::Reviewer, "reviewers"),
        (LabelSource::Chargeback, "refunds and disputes"),
        (LabelSource::Simulated, "the simulator"),
    ];
    let count = |source| matrix.sources().iter().filter(|of| **of == source).count();
    let counted = named.into_iter().map(|(source, name)| (count(source), name)).filter(|(count, _)| *count > 0);
    counted.map(|(count, name)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn losses(trained: &Trained) -> String {
    trained.calibrated.log_losses.iter().map(|(name, loss)| format!("{name} {loss:.5}")).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn promise(card: &mut String, certificate: Certificate, thresholds: Thresholds, trained: &Trained, evaluation: &Evaluation) {
    let Certificate { alpha, delta, rejected_samples, honest_samples, rejected_referrals, upper_bound } = certificate;
    if let Some(at) = &evaluation.at_reject {
        let _ = writeln!(
            card,
            "**Rejects {}. With {:.0} % confidence at most {:.2} % of those it rejects are honest** (exact bound reached: {:.3} %).",
            what_rejects(&trained.model),
            (1.0 - delta) * 100.0,
            alpha * 100.0,
            upper_bound * 100.0
        );
        let _ = writeln!(
            card,
            "Seen on the held-out data: {rejected_referrals} referrals, {honest_samples} of them honest, the others in {} rings; {:.1} % of all abusive referrals are rejected.",
            rejected_samples.saturating_sub(honest_samples),
            at.recall * 100.0
        );
        if !evaluation.conjunctions.is_empty() {
            let _ = writeln!(
                card,
                "\n| what is rejected whatever the score is | referrals that none above rejects | of them honest |\n|---|---|---|"
            );
        }
        for (conditions, rejected, honest) in &evaluation.conjunctions {
            let _ = writeln!(card, "| `{conditions}` | {rejected} | {honest} |");
        }
    } else {
        let planned = if trained.sequence.is_empty() {
            "The data hold too few rings to reach the bound."
        } else {
            "The first planned threshold did not hold the bound."
        };
        let needed = rings_needed(alpha, delta);
        let reach = trained.alpha_within_reach * 100.0;
        let _ = writeln!(
            card,
            "**It rejects nothing by itself.** No threshold was certified at α = {alpha}, δ = {delta}. {planned} Without an honest referral among them, {needed} rings of one would be needed, or fewer that are larger; judged by the development data, as much data could certify α of about {reach:.1} %."
        );
    }
    let at = &evaluation.at_review;
    let _ = writeln!(
        card,
        "\nSends to review from {:.4} upwards, by expected cost: {:.1} % of all referrals are flagged there or above, {:.1} % of the abusive are among them, {:.1} % of the flagged are abusive.",
        thresholds.review,
        at.flagged as f64 / evaluation.rows.max(1) as f64 * 100.0,
        at.recall * 100.0,
        at.precision * 100.0
    );
}

/// What a model rejects by itself, as the end of a sentence.
fn what_rejects(model: &Model) -> String {
    let together = match model.parts().conjunctions.len() {
        0 => None,
        1 => Some("what one conjunction of evidence demands".to_owned()),
        many => Some(format!("what one of {many} conjunctions of evidence demands")),
    };
    let by_score = model.thresholds().reject.map(|reject| format!("from {reject:.4} upwards"));
    together.into_iter().chain(by_score).collect::<Vec<_>>().join(", and ")
}

/// What the model promises, in a sentence.
#[must_use]
pub fn promise_line(model: &Model) -> String {
    let Certificate { alpha, delta, rejected_samples, honest_samples, rejected_referrals, upper_bound: _ } = model.certificate();
    let review = model.thresholds().review;
    if model.rejects() {
        format!(
            "Reviews from {review:.4}, rejects {}: with {:.0} % confidence at most {:.2} % of those it rejects are honest ({honest_samples} of {rejected_referrals} were when it was certified, the others in {} rings).",
            what_rejects(model),
            (1.0 - delta) * 100.0,
            alpha * 100.0,
            rejected_samples.saturating_sub(honest_samples)
        )
    } else {
        format!("Reviews from {review:.4}; rejects nothing by itself: nothing was certified at α = {alpha}, δ = {delta}.")
    }
}

fn interval(measured: Measured) -> String {
    let Measured { value, low, high } = measured;
    format!("{value:.4} ({low:.4}–{high:.4})")
}

/// The table of figures, for cards and for the terminal.
pub fn figures(card: &mut String, evaluation: &Evaluation) {
    let Evaluation { model, rules, brier, calibration_error, .. } = evaluation;
    let _ = writeln!(card, "| figure | model | rules alone |\n|---|---|---|");
    let row = |card: &mut String, name: &str, of: fn(&Ranking) -> Measured| {
        let _ = writeln!(card, "| {name} | {} | {} |", interval(of(model)), interval(of(rules)));
    };
    row(card, "ROC-AUC", |ranking| ranking.roc_auc);
    row(card, "average precision", |ranking| ranking.average_precision);
    row(card, "recall at 95 % precision", |ranking| ranking.recalls[0].1);
    row(card, "recall at 99 % precision", |ranking| ranking.recalls[1].1);
    row(card, "recall at 99.5 % precision", |ranking| ranking.recalls[2].1);
    let _ = writeln!(card, "| Brier score | {} | |", interval(*brier));
    let _ = writeln!(card, "| expected calibration error | {} | |", interval(*calibration_error));
}

/// The table of contenders, the champion first.
pub fn contenders(card: &mut String, contenders: &[Contender]) {
    let _ = writeln!(card, "| family | grouped folds | forward folds | rows fitted on at most |\n|---|---|---|---|");
    for contender in contenders {
        let Contender { family, grouped_precision, forward_precision, margins: _ } = contender;
        let forward = forward_precision.map_or_else(|| "–".to_owned(), |precision| format!("{precision:.4}"));
        let rows = if family.rows_max() == usize::MAX { "all".to_owned() } else { family.rows_max().to_string() };
        let _ = writeln!(card, "| {} | {grouped_precision:.4} | {forward} | {rows} |", family.name());
    }
}

/// The table of personas.
pub fn personas(card: &mut String, lines: &[PersonaLine]) {
    let _ = writeln!(
        card,
        "| persona | referrals | abusive | model rejects | model reviews | rules reject | rules review |\n|---|---|---|---|---|---|---|"
    );
    for PersonaLine { persona, rows, abusive, model: [rejects, reviews], rules: [rule_rejects, rule_reviews] } in lines {
        let name = if persona.is_empty() { "(unknown)" } else { persona };
        let _ = writeln!(card, "| {name} | {rows} | {abusive} | {rejects} | {reviews} | {rule_rejects} | {rule_reviews} |");
    }
}
