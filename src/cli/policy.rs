//! `selfsame policy`: checks policy files, shows the shipped one, lists rules and evidence codes.
//! It must never touch a ledger or a running service. `main` calls it.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{AnswerArgs, print};
use super::table::table;
use crate::adapters::policy_file::{self, SHIPPED_POLICY};
use crate::screening::evidence::{EvidenceCode, Sides};
use crate::screening::policy::{Policy, RuleMode};
use crate::screening::rules::{Condition, Rule};

const EXAMPLES: &str = "\
Examples:
  Begin with the shipped policy, which explains itself:
    selfsame policy show > policy.toml

  Check a changed file before the service reads it; mistakes are named with line and key:
    selfsame policy check policy.toml policies/*.toml

  See what it does, one rule a line:
    selfsame policy rules policy.toml

  What can stand in a rule's `when`:
    selfsame policy codes";

/// Check and explain policies
///
/// A policy says what each piece of evidence may do (review, reject, weigh, or be watched in shadow), where the score's thresholds lie, and
/// how long payouts wait. It is a TOML file; without one the shipped policy is in force.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct PolicyArgs {
    /// How rules and codes are shown
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check files; names every mistake with its line and key, and fails if there is one
    Check {
        /// Policy files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print the shipped policy as a file to begin with
    Show,
    /// List the rules of a policy, one a line
    Rules {
        /// A policy file; the shipped policy without it
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List the evidence codes with their meaning
    Codes,
}

/// Runs the command.
///
/// # Errors
/// A policy that cannot be read or holds mistakes, or an output that cannot be written.
pub fn run(args: &PolicyArgs) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match &args.command {
        PolicyCommand::Check { files } => check(files, &mut out),
        PolicyCommand::Show => Ok(out.write_all(SHIPPED_POLICY.as_bytes())?),
        PolicyCommand::Rules { file } => {
            let policy = file.as_deref().map_or_else(policy_file::shipped, policy_file::read)?;
            print(args.answer.output, &rules_as_json(&policy), |_| rules_as_text(&policy))
        }
        PolicyCommand::Codes => print(args.answer.output, &codes_as_json(), |_| codes_as_text()),
    }
}

/// Checks all files, so that one run names all mistakes.
fn check(files: &[PathBuf], out: &mut impl Write) -> anyhow::Result<()> {
    let mut refused = Vec::new();
    for file in files {
        match policy_file::read(file) {
            Ok(policy) => writeln!(out, "{}: valid. {}", file.display(), in_short(&policy))?,
            Err(error) => refused.push(error.to_string()),
        }
    }
    if !refused.is_empty() {
        bail!("{}", refused.join("\n"));
    }
    Ok(())
}

fn in_short(policy: &Policy) -> String {
    let count = |mode: RuleMode| policy.rules().iter().filter(|rule| rule.mode == mode).count();
    format!(
        "Version `{}`, {} rules: {} reject, {} insist on a review, {} review, {} weigh, {} in shadow, {} off.",
        policy.version(),
        policy.rules().len(),
        count(RuleMode::Reject),
        count(RuleMode::Insist),
        count(RuleMode::Review),
        count(RuleMode::Weigh),
        count(RuleMode::Shadow),
        count(RuleMode::Off),
    )
}

fn conditions(rule: &Rule) -> String {
    rule.when.iter().map(Condition::to_string).collect::<Vec<_>>().join(" and ")
}

fn rules_as_json(policy: &Policy) -> Value {
    let row = |rule: &Rule| {
        let Rule { name, when: _, mode, weight_log_odds } = rule;
        json!({ "rule": name, "mode": mode_text(*mode), "weightLogOdds": weight_log_odds, "when": conditions(rule) })
    };
    json!({ "rules": policy.rules().iter().map(row).collect::<Vec<_>>() })
}

fn rules_as_text(policy: &Policy) -> String {
    let head = ["rule", "mode", "weight", "when"].map(str::to_owned).to_vec();
    let row = |rule: &Rule| {
        let Rule { name, when: _, mode, weight_log_odds } = rule;
        vec![name.to_string(), mode_text(*mode).to_owned(), format!("{weight_log_odds:>+6.1}"), conditions(rule)]
    };
    let score = policy.score();
    let reviewed =
        score.review_threshold.map_or_else(|| "the model's own threshold".to_owned(), |from| format!("a score of {from}"));
    format!(
        "{}\nVersion `{}`. Reviewed from {reviewed}; rules that review act from {}. Payout after {}.",
        table(&std::iter::once(head).chain(policy.rules().iter().map(row)).collect::<Vec<_>>()),
        policy.version(),
        score.review_floor,
        policy.payout().delay
    )
}

const fn mode_text(mode: RuleMode) -> &'static str {
    match mode {
        RuleMode::Off => "off",
        RuleMode::Shadow => "shadow",
        RuleMode::Review => "review",
        RuleMode::Insist => "insist",
        RuleMode::Reject => "reject",
        RuleMode::Weigh => "weigh",
    }
}

/// A code with the sides that it is about, its unit, and what it means.
fn code_row(code: EvidenceCode) -> [String; 4] {
    let sides = match code.sides() {
        Sides::Both => "both",
        Sides::Referrer => "referrer",
        Sides::Referee => "referee",
    };
    let unit = code.bits_full().map_or_else(|| "strength 0 to 1".to_owned(), |full| format!("0 to {full} bits"));
    [code.dotted().to_owned(), sides.to_owned(), unit, code.meaning().to_owned()]
}

fn codes_as_json() -> Value {
    let row =
        |[code, sides, unit, meaning]: [String; 4]| json!({ "code": code, "sides": sides, "unit": unit, "meaning": meaning });
    json!({ "codes": EvidenceCode::ALL.into_iter().map(code_row).map(row).collect::<Vec<_>>() })
}

fn codes_as_text() -> String {
    table(&EvidenceCode::ALL.into_iter().map(code_row).map(Vec::from).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_with_its_meaning() {
        let text = codes_as_text();
        assert_eq!(text.lines().count(), EvidenceCode::COUNT);
        assert!(text.contains("Both sides use one payment instrument."));
    }

    #[test]
    fn a_good_file_is_summed_up_and_a_bad_one_fails_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good.toml"), folder.path().join("bad.toml"));
        std::fs::write(&good, SHIPPED_POLICY).unwrap();
        std::fs::write(&bad, SHIPPED_POLICY.replace("weight = 9.0", "wieght = 9.0")).unwrap();
        let mut out = Vec::new();
        let error = check(&[good, bad], &mut out).unwrap_err().to_string();
        assert!(String::from_utf8(out).unwrap().contains("valid. Version `default-5`"));
        assert!(error.contains("did you mean `weight`?") && error.contains("bad.toml:"), "{error}");
    }

    #[test]
    fn the_rules_are_listed_one_a_line() {
        let text = rules_as_text(&policy_file::shipped().unwrap());
        assert!(
            text.contains("journey.signup_to_conversion and network.anonymised >= 0.5")
                && text.contains("device.same_device >= 8 bits"),
            "{text}"
        );
    }
}
