//! Policy files: TOML to [`Policy`], with every mistake named by line and key.
//!
//! It must never fill in what the file does not say: a policy is whole or it is refused. The service, `screen`, `policy` and the offline
//! commands call it. `default_policy.toml` beside this file is the shipped policy, and the documentation of the format.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::byte_order_mark;
use crate::screening::evidence::EvidenceCode;
use crate::screening::policy::{
    AuditPolicy, CampaignPayout, CountsFrom, PayoutPolicy, Policy, PolicyHash, PolicyParts, PolicyViolation, ReviewPolicy,
    RuleMode, ScorePolicy, ScoreSource,
};
use crate::screening::rules::{Condition, InvalidCondition, Rule};
use crate::screening::similarity::closest;
use crate::vocabulary::ids::CampaignId;
use crate::vocabulary::time::Span;

/// The text of the shipped policy.
pub const SHIPPED_POLICY: &str = include_str!("default_policy.toml");
/// How the shipped policy is called in messages.
const SHIPPED_NAME: &str = "shipped policy";

/// Milliseconds of a minute, an hour and a day.
const MINUTE_MILLIS: f64 = 60_000.0;
const HOUR_MILLIS: f64 = 60.0 * MINUTE_MILLIS;
const DAY_MILLIS: f64 = 24.0 * HOUR_MILLIS;
/// No key of a policy counts so much time. Floats are exact below it.
const SPAN_MILLIS_MAX: f64 = 9e15;

/// Why a policy file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// The file cannot be read.
    #[error("the policy file `{}` cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file holds mistakes. The owner of the policy fixes them all.
    #[error("the policy was not taken: {} in {origin}\n{}", count(problems.len()), lines(origin, problems))]
    Mistakes {
        /// The file, or what stands for it.
        origin: String,
        /// Each mistake, in the order of the lines.
        problems: Vec<PolicyProblem>,
    },
}

/// One mistake in a policy file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyProblem {
    /// The line, from 1. Where a key is missing, the line of its section.
    pub line: usize,
    /// The dotted key; empty when the text is not TOML.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.line, self.problem)
        } else {
            write!(f, "{}: `{}` {}", self.line, self.key, self.problem)
        }
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 mistake".to_owned() } else { format!("{problems} mistakes") }
}

fn lines(origin: &str, problems: &[PolicyProblem]) -> String {
    problems.iter().map(|problem| format!("  {origin}:{problem}")).collect::<Vec<_>>().join("\n")
}

/// Reads a policy file.
///
/// # Errors
/// [`PolicyFileError`]: the file cannot be read, or holds mistakes.
pub fn read(path: &Path) -> Result<Policy, PolicyFileError> {
    let text =
        byte_order_mark::read_to_string(path).map_err(|cause| PolicyFileError::Unreadable { path: path.to_owned(), cause })?;
    parse(&text, &path.display().to_string())
}

/// The shipped policy.
///
/// # Errors
/// [`PolicyFileError`] never in a build that passed its tests.
pub fn shipped() -> Result<Policy, PolicyFileError> {
    parse(SHIPPED_POLICY, SHIPPED_NAME)
}

/// Reads the text of a policy. `origin` stands in the messages.
///
/// # Errors
/// [`PolicyFileError::Mistakes`].
pub fn parse(text: &str, origin: &str) -> Result<Policy, PolicyFileError> {
    let mut reader = Reader { text, lines: BTreeMap::new(), problems: Vec::new() };
    let policy = reader.policy();
    let mut problems = reader.problems;
    match policy {
        Some(policy) if problems.is_empty() => Ok(policy.of_text(hash_of(text))),
        Some(_) | None => {
            problems.sort();
            Err(PolicyFileError::Mistakes { origin: origin.to_owned(), problems })
        }
    }
}

/// The hash of a policy's text.
#[must_use]
pub fn hash_of(text: &str) -> PolicyHash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    PolicyHash(hash)
}

/// A TOML table that is being taken apart: what is left at the end is unknown.
struct Section<'t> {
    /// The dotted key of the table; empty at the top.
    key: String,
    /// Where it begins.
    line: usize,
    /// Its entries with the place of each key, in the order of the file.
    entries: Vec<(Range<usize>, &'t str, &'t Spanned<DeValue<'t>>)>,
    /// The keys that were asked for.
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    fn dotted(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        let position = self.entries.iter().position(|(_, name, _)| *name == key)?;
        Some(self.entries.remove(position).2)
    }
}

struct Reader<'t> {
    text: &'t str,
    /// The line of every key that was read, by its dotted name.
    lines: BTreeMap<String, usize>,
    problems: Vec<PolicyProblem>,
}

impl Reader<'_> {
    fn policy(&mut self) -> Option<Policy> {
        let document = match DeTable::parse(self.text) {
            Ok(document) => document,
            Err(problem) => {
                let line = problem.span().map_or(1, |span| self.line_at(span.start));
                self.add(line, String::new(), format!("is not TOML: {}", problem.message()));
                return None;
            }
        };
        let mut top = self.section(String::new(), 1, document.get_ref());
        let version = self.text_of(&mut top, "version");
        let score = self.subsection(&mut top, "score").and_then(|section| self.score(section));
        let payout = self.subsection(&mut top, "payout").and_then(|section| self.payout(section));
        let review = self.subsection(&mut top, "review").and_then(|section| self.review(section));
        let audit = self.subsection(&mut top, "audit").and_then(|section| self.audit(section));
        let rules = self.subsection(&mut top, "rule").map(|section| self.rules(section));
        self.finish(top);
        let parts =
            PolicyParts { version: version?, score: score?, payout: payout?, review: review?, audit: audit?, rules: rules? };
        if !self.problems.is_empty() {
            return None;
        }
        Policy::new(parts).map_err(|violations| self.add_violations(violations)).ok()
    }

    fn score(&mut self, mut section: Section<'_>) -> Option<ScorePolicy> {
        let source = self.choice(&mut section, "source", &[("model", ScoreSource::Model), ("judgement", ScoreSource::Judgement)]);
        let intercept_log_odds = self.number(&mut section, "intercept_log_odds");
        let review_threshold = self.optional_number(&mut section, "review_threshold");
        let review_floor = self.number(&mut section, "review_floor");
        self.finish(section);
        Some(ScorePolicy {
            source: source?,
            intercept_log_odds: intercept_log_odds?,
            review_threshold: review_threshold?,
            review_floor: review_floor?,
        })
    }

    fn payout(&mut self, mut section: Section<'_>) -> Option<PayoutPolicy> {
        let delay = self.span(&mut section, "delay_days", DAY_MILLIS);
        let refund_cancels_from = self.number(&mut section, "refund_cancels_from");
        let campaigns = section.take("campaigns").and_then(|table| {
            let key = section.dotted("campaigns");
            self.table(key, table)
        });
        self.finish(section);
        let mut read = BTreeMap::new();
        for (place, name, value) in campaigns.map(|campaigns| campaigns.entries).unwrap_or_default() {
            let key = format!("payout.campaigns.{name}");
            let line = self.line_at(place.start);
            let payout = self.campaign(value, key.clone());
            match CampaignId::new(name) {
                Ok(campaign) => read.extend(payout.map(|payout| (campaign, payout))),
                Err(problem) => self.add(line, key, problem.to_string()),
            }
        }
        Some(PayoutPolicy { delay: delay?, refund_cancels_from: refund_cancels_from?, campaigns: read, promises: Vec::new() })
    }

    /// A campaign's days, alone or with what they are counted from.
    fn campaign(&mut self, value: &Spanned<DeValue<'_>>, key: String) -> Option<CampaignPayout> {
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            let delay = self.span_in(value, key, DAY_MILLIS)?;
            return Some(CampaignPayout { delay, counts_from: CountsFrom::Later });
        }
        let mut section = self.table(key, value)?;
        let delay = self.span(&mut section, "delay_days", DAY_MILLIS);
        let choices = [("later", CountsFrom::Later), ("occurrence", CountsFrom::Occurrence)];
        let counts_from = self.choice(&mut section, "counts_from", &choices);
        self.finish(section);
        Some(CampaignPayout { delay: delay?, counts_from: counts_from? })
    }

    fn review(&mut self, mut section: Section<'_>) -> Option<ReviewPolicy> {
        let due_after = self.span(&mut section, "due_hours", HOUR_MILLIS);
        let lease = self.span(&mut section, "lease_minutes", MINUTE_MILLIS);
        self.finish(section);
        Some(ReviewPolicy { due_after: due_after?, lease: lease? })
    }

    fn audit(&mut self, mut section: Section<'_>) -> Option<AuditPolicy> {
        let sample_share = self.number(&mut section, "sample_share");
        self.finish(section);
        Some(AuditPolicy { sample_share: sample_share? })
    }

    /// The rules, in the order of the file.
    fn rules(&mut self, section: Section<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (_, name, value) in section.entries {
            if let Some(table) = self.table(format!("rule.{name}"), value) {
                rules.extend(self.rule(name, table));
            }
        }
        rules
    }

    fn rule(&mut self, name: &str, mut section: Section<'_>) -> Option<Rule> {
        let when = self.conditions(&mut section);
        let modes = [
            ("off", RuleMode::Off),
            ("shadow", RuleMode::Shadow),
            ("weigh", RuleMode::Weigh),
            ("review", RuleMode::Review),
            ("insist", RuleMode::Insist),
            ("reject", RuleMode::Reject),
        ];
        let mode = self.choice(&mut section, "mode", &modes);
        let weight = self.number(&mut section, "weight");
        self.finish(section);
        Some(Rule { name: name.into(), when: when?, mode: mode?, weight_log_odds: weight? })
    }

    /// One condition as text, or several as a list.
    fn conditions(&mut self, section: &mut Section<'_>) -> Option<Vec<Condition>> {
        let key = section.dotted("when");
        let value = self.required(section, "when")?;
        let texts: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
            DeValue::Array(entries) => entries.iter().collect(),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => vec![value],
        };
        let mut conditions = Vec::with_capacity(texts.len());
        for text in texts {
            let line = self.line_at(text.span().start);
            match text.get_ref().as_str().map(Condition::parse) {
                Some(Ok(condition)) => conditions.push(condition),
                Some(Err(problem)) => self.add(line, key.clone(), wrong_condition(&problem)),
                None => self.add(line, key.clone(), "must be a condition in quotes, or a list of them".to_owned()),
            }
        }
        Some(conditions)
    }

    fn section<'t>(&mut self, key: String, line: usize, table: &'t DeTable<'t>) -> Section<'t> {
        let mut entries: Vec<_> = table.iter().map(|(name, value)| (name.span(), name.get_ref().as_ref(), value)).collect();
        // The parser orders tables by name; people order them by thought.
        entries.sort_by_key(|(place, _, _)| place.start);
        let section = Section { key, line, entries, known: Vec::new() };
        for (place, name, _) in &section.entries {
            self.lines.insert(section.dotted(name), self.line_at(place.start));
        }
        section
    }

    fn subsection<'t>(&mut self, parent: &mut Section<'t>, key: &'static str) -> Option<Section<'t>> {
        let value = self.required(parent, key)?;
        self.table(parent.dotted(key), value)
    }

    fn table<'t>(&mut self, key: String, value: &'t Spanned<DeValue<'t>>) -> Option<Section<'t>> {
        let line = self.lines.get(&key).copied().unwrap_or_else(|| self.line_at(value.span().start));
        if let Some(table) = value.get_ref().as_table() {
            return Some(self.section(key, line, table));
        }
        let problem = format!("must be a section, `[{key}]`");
        self.add(line, key, problem);
        None
    }

    fn required<'t>(&mut self, section: &mut Section<'t>, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        let value = section.take(key);
        if value.is_none() {
            self.add(section.line, section.dotted(key), "is missing".to_owned());
        }
        value
    }

    fn text_of(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<String> {
        let value = self.required(section, key)?;
        if let Some(text) = value.get_ref().as_str() {
            return Some(text.to_owned());
        }
        let line = self.line_at(value.span().start);
        self.add(line, section.dotted(key), format!("must be text in quotes, not {}", value.get_ref().type_str()));
        None
    }

    fn choice<T: Copy>(&mut self, section: &mut Section<'_>, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text_of(section, key)?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let key = section.dotted(key);
            let line = self.lines.get(&key).copied().unwrap_or(section.line);
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.add(line, key, format!("is `{text}`; use one of `{}`", names.join("`, `")));
        }
        chosen
    }

    fn number(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<f64> {
        let value = self.required(section, key)?;
        self.number_in(value, section.dotted(key))
    }

    /// A number that may be left out.
    #[expect(clippy::option_option, reason = "a number that is wrong is not one that is left out")]
    fn optional_number(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<Option<f64>> {
        section.take(key).map_or(Some(None), |value| self.number_in(value, section.dotted(key)).map(Some))
    }

    fn number_in(&mut self, value: &Spanned<DeValue<'_>>, key: String) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            DeValue::Integer(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let problem = match number {
            Some(number) if number.is_finite() => return Some(number),
            // TOML has words for what is no number, and what is none passes no comparison.
            Some(_) => "must be a number, neither infinite nor `nan`".to_owned(),
            None => format!("must be a number, not {}", value.get_ref().type_str()),
        };
        self.add(self.line_at(value.span().start), key, problem);
        None
    }

    fn span(&mut self, section: &mut Section<'_>, key: &'static str, unit_millis: f64) -> Option<Span> {
        let value = self.required(section, key)?;
        self.span_in(value, section.dotted(key), unit_millis)
    }

    #[expect(clippy::cast_possible_truncation, reason = "what does not fit was refused")]
    fn span_in(&mut self, value: &Spanned<DeValue<'_>>, key: String, unit_millis: f64) -> Option<Span> {
        let number = self.number_in(value, key.clone())?;
        let millis = (number * unit_millis).round();
        if millis.abs() < SPAN_MILLIS_MAX {
            return Some(Span::from_millis(millis as i64));
        }
        self.add(self.line_at(value.span().start), key, format!("is {number:e}; no time is so long"));
        None
    }

    /// Whatever was not asked for is a mistake, most often a slip of the pen.
    fn finish(&mut self, section: Section<'_>) {
        for (place, name, _) in &section.entries {
            let problem = match closest(name, section.known.iter().copied()) {
                Some(known) => format!("is not a key here; did you mean `{known}`?"),
                None => format!("is not a key here; the keys are `{}`", section.known.join("`, `")),
            };
            self.add(self.line_at(place.start), section.dotted(name), problem);
        }
    }

    fn add(&mut self, line: usize, key: String, problem: String) {
        self.problems.push(PolicyProblem { line, key, problem });
    }

    /// Violations of the checked policy name keys; the line is that of the key, or of the nearest section above it.
    fn add_violations(&mut self, violations: Vec<PolicyViolation>) {
        for PolicyViolation { key, problem } in violations {
            let mut prefix = key.as_str();
            let line = loop {
                if let Some(line) = self.lines.get(prefix) {
                    break *line;
                }
                match prefix.rsplit_once('.') {
                    Some((parent, _)) => prefix = parent,
                    None => break 1,
                }
            };
            self.add(line, key, problem);
        }
    }

    fn line_at(&self, byte: usize) -> usize {
        let before = self.text.get(..byte).unwrap_or(self.text);
        1 + before.matches('\n').count()
    }
}

fn wrong_condition(problem: &InvalidCondition) -> String {
    match problem {
        InvalidCondition::UnknownCode(code) => match closest(code, EvidenceCode::ALL.iter().map(|known| known.dotted())) {
            Some(known) => format!("names `{code}`, which is not an evidence code; did you mean `{known}`?"),
            None => format!("names `{code}`, which is not an evidence code; `selfsame policy codes` lists them"),
        },
        InvalidCondition::Shape(_) | InvalidCondition::Unit(..) => problem.to_string(),
    }
}

#[cfg(test)]
#[path = "default_policy_tests.rs"]
mod default_policy_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match parse(text, "p.toml") {
            Ok(_) => Vec::new(),
            Err(PolicyFileError::Mistakes { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
            Err(PolicyFileError::Unreadable { .. }) => panic!("nothing was read from a file"),
        }
    }

    #[test]
    fn the_shipped_policy_is_valid_and_keeps_its_order() {
        let policy = shipped().unwrap();
        assert_eq!(policy.rules().first().map(|rule| &*rule.name), Some("same_account"));
        assert_eq!(policy.rules().last().map(|rule| &*rule.name), Some("trusted"));
    }

    #[test]
    fn the_shipped_policy_has_a_rule_for_every_piece_of_evidence() {
        let policy = shipped().unwrap();
        // Acquittals lower what crowds say; no rule may ease.
        let for_rules = |code: &EvidenceCode| code.speaks() && *code != EvidenceCode::ReferrerAccepted;
        for code in EvidenceCode::ALL.into_iter().filter(for_rules) {
            let used = policy.rules().iter().any(|rule| rule.when.iter().any(|condition| condition.code == code));
            assert!(used, "no rule uses `{code}`");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant() {
        let text = SHIPPED_POLICY.replace("review_floor = 0.07", "reviev_floor = 0.07");
        let line = 1 + text.lines().position(|line| line.starts_with("reviev_floor")).unwrap();
        let section = 1 + text.lines().position(|line| line == "[score]").unwrap();
        let expected = [
            format!("{section}: `score.review_floor` is missing"),
            format!("{line}: `score.reviev_floor` is not a key here; did you mean `review_floor`?"),
        ];
        assert_eq!(problems(&text), expected);
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let text = SHIPPED_POLICY
            .replace("source = \"model\"", "source = \"guess\"")
            .replace("sample_share = 1.0", "sample_share = \"two\"")
            .replace("when = \"ring.loop\"", "when = \"ring.loops\"")
            .replace("due_hours = 48\n", "");
        let found = problems(&text);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].ends_with("`score.source` is `guess`; use one of `model`, `judgement`"), "{found:?}");
        assert!(found[1].ends_with("`review.due_hours` is missing"), "{found:?}");
        assert!(found[2].ends_with("`audit.sample_share` must be a number, not string"), "{found:?}");
        assert!(found[3].contains("names `ring.loops`, which is not an evidence code; did you mean `ring.loop`?"), "{found:?}");
    }

    #[test]
    fn values_that_the_core_refuses_are_named_with_their_line() {
        let text =
            SHIPPED_POLICY.replace("source = \"model\"", "source = \"judgement\"").replace("review_threshold = 0.10\n", "");
        let section = 1 + text.lines().position(|line| line == "[score]").unwrap();
        let found = problems(&text);
        let said = format!("{section}: `score.review_threshold` is missing; the judgement score has no threshold of its own");
        assert_eq!(found, [said]);
    }

    /// What is said of the shipped policy with one line replaced, without the line's number.
    fn said_of(line: &str, instead: &str) -> Vec<String> {
        let text = SHIPPED_POLICY.replacen(line, instead, 1);
        assert_ne!(text, SHIPPED_POLICY, "{line}");
        problems(&text).iter().map(|problem| problem.split_once(": ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn a_value_out_of_range_is_told_with_its_key_itself_and_the_range_in_one_unit() {
        for (line, instead, said) in [
            (
                "intercept_log_odds = -5.0",
                "intercept_log_odds = 3",
                "`score.intercept_log_odds` is 3; it must be between -20 and 0",
            ),
            (
                "review_threshold = 0.10",
                "review_threshold = 0",
                "`score.review_threshold` is 0; it must be above 0 and at most 1",
            ),
            ("review_floor = 0.07", "review_floor = 1", "`score.review_floor` is 1; it must be at least 0 and below 1"),
            (
                "refund_cancels_from = 0.5",
                "refund_cancels_from = 1.5",
                "`payout.refund_cancels_from` is 1.5; it must be above 0 and at most 1",
            ),
            (
                "refund_cancels_from = 0.5",
                "refund_cancels_from = 0.0",
                "`payout.refund_cancels_from` is 0; it must be above 0 and at most 1",
            ),
            (
                "refund_cancels_from = 0.5",
                "refund_cancels_from = 1e300",
                "`payout.refund_cancels_from` is 1e300; it must be above 0 and at most 1",
            ),
            ("delay_days = 14", "delay_days = -1", "`payout.delay_days` is -1 days; it must be between 0 and 730"),
            ("delay_days = 14", "delay_days = 730.5", "`payout.delay_days` is 730.5 days; it must be between 0 and 730"),
            ("delay_days = 14", "delay_days = 1e300", "`payout.delay_days` is 1e300; no time is so long"),
            ("delay_days = 14", "delay_days = nan", "`payout.delay_days` must be a number, neither infinite nor `nan`"),
            (
                "# black_friday = 30",
                "black_friday = 800",
                "`payout.campaigns.black_friday` is 800 days; it must be between 0 and 730",
            ),
            ("due_hours = 48", "due_hours = -2.5", "`review.due_hours` is -2.5 hours; it must be above 0"),
            (
                "lease_minutes = 30",
                "lease_minutes = 0",
                "`review.lease_minutes` is 0 minutes; it must be above 0 and at most 1440",
            ),
            (
                "lease_minutes = 30",
                "lease_minutes = 1441",
                "`review.lease_minutes` is 1441 minutes; it must be above 0 and at most 1440",
            ),
            ("sample_share = 1.0", "sample_share = 1.01", "`audit.sample_share` is 1.01; it must be between 0 and 1"),
            ("sample_share = 1.0", "sample_share = inf", "`audit.sample_share` must be a number, neither infinite nor `nan`"),
            ("weight = 9.0", "weight = 20.5", "`rule.same_account.weight` is 20.5; it must be between -20 and 20"),
            (
                "when = \"ring.loop\"",
                "when = \"ring.loop >= 1.5\"",
                "`rule.ring_loop.when` asks for a strength of 1.5; it must be above 0 and at most 1",
            ),
            (
                "when = \"identity.one_person >= 22 bits\"",
                "when = \"identity.one_person >= 44 bits\"",
                "`rule.one_person.when` asks for 44 bits; it must be above 0 and at most 40",
            ),
        ] {
            assert!(said_of(line, instead).iter().any(|problem| problem == said), "{instead}: {:?}", said_of(line, instead));
        }
    }

    #[test]
    fn what_is_not_certain_cannot_be_made_to_reject() {
        let text = SHIPPED_POLICY
            .replace("when = \"network.same_address\"\nmode = \"weigh\"", "when = \"network.same_address\"\nmode = \"reject\"");
        let found = problems(&text);
        assert!(
            found.len() == 1 && found[0].contains("`rule.same_address.mode` rejects by itself what is not certain; use `insist`"),
            "{found:?}"
        );
    }

    #[test]
    fn text_that_is_not_toml_names_the_line() {
        let found = problems("version = \"a\"\n[score\n");
        assert!(found[0].starts_with("2: is not TOML"), "{found:?}");
    }

    #[test]
    fn a_campaign_has_its_own_delay() {
        let text = SHIPPED_POLICY.replace("# black_friday = 30", "black_friday = 0.5");
        let policy = parse(&text, "p.toml").unwrap();
        let campaign = CampaignId::new("black_friday").unwrap();
        let [then, later] = [0, 86_400_000].map(crate::vocabulary::time::Timestamp::saturating_from_millis);
        let payable_from = |campaign| policy.payout().payable_from(campaign, then, later);
        assert_eq!(payable_from(Some(&campaign)), later.plus(Span::from_hours(12)));
        assert_eq!(payable_from(None), later.plus(Span::from_days(14)));
    }
}
