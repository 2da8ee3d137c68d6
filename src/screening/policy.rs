//! The policy: which rules there are, what each may do, and where the thresholds lie. Values only; files are read in `adapters`.
//!
//! Built with [`Policy::new`], which checks everything at once. A policy that exists is valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::case::LEASE_MAX;
use super::evidence::EvidenceCode;
use super::rules::{Condition, Rule};
use crate::vocabulary::ids::CampaignId;
use crate::vocabulary::money::Money;
use crate::vocabulary::time::{Span, Timestamp};

/// What a rule may do when it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleMode {
    /// It is not evaluated.
    Off,
    /// It is evaluated and shown, and changes nothing: not the score, not the verdict.
    Shadow,
    /// It adds its weight to the score and sends the conversion to review, unless a model finds it less likely than [`ScorePolicy::review_floor`].
    Review,
    /// It adds its weight to the score and sends the conversion to review, whatever a model says.
    Insist,
    /// It adds its weight to the score and rejects the conversion.
    Reject,
    /// It adds its weight to the score and does nothing else.
    Weigh,
}

/// Where the score comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScoreSource {
    /// The active model. Without one, whatever is not rejected goes to review.
    Model,
    /// The sum of the rules' weights, calibrated by judgement.
    Judgement,
}

/// Where the score comes from and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct ScorePolicy {
    /// Model or judgement.
    pub source: ScoreSource,
    /// Log-odds of abuse of a conversion without any evidence, for the judgement score. Range: -20 to 0.
    pub intercept_log_odds: f64,
    /// Scores from here upwards go to review. Range: (0, 1]. Absent: the model's own threshold applies; the judgement score needs one.
    pub review_threshold: Option<f64>,
    /// Rules that review act from this score of a model upwards. Range: [0, 1). Without a model they always do.
    pub review_floor: f64,
}

/// When an approved reward may be paid, and how much of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PayoutPolicy {
    /// Time from the conversion to the payment, unless the campaign has its own. Counted from the later of occurrence and receipt.
    pub delay: Span,
    /// Refunds of this share of the value cancel the rewards; smaller ones scale them. Range: (0, 1].
    pub refund_cancels_from: f64,
    /// Campaigns that say otherwise.
    pub campaigns: BTreeMap<CampaignId, CampaignPayout>,
    /// Longer delays of before, which what was received under them keeps. The oldest first. Empty in a file.
    pub promises: Vec<Promise>,
}

/// The delays of before, of which something was shortened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Promise {
    /// Until when they were in force: what was received by then is not payable earlier than they say.
    pub until: Timestamp,
    /// The delay, as in [`PayoutPolicy::delay`].
    pub delay: Span,
    /// Campaigns that said otherwise.
    pub campaigns: BTreeMap<CampaignId, CampaignPayout>,
}

/// When the rewards of a campaign may be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct CampaignPayout {
    /// The delay.
    pub delay: Span,
    /// From when on it is counted.
    pub counts_from: CountsFrom,
}

/// From when on a payout delay is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, serde::Serialize, serde::Deserialize)]
pub enum CountsFrom {
    /// From the later of occurrence and receipt: what is reported late had no time to be disputed while it was looked at.
    #[default]
    Later,
    /// From the occurrence, however late it is reported: for old conversions that are sent in bulk.
    Occurrence,
}

impl PayoutPolicy {
    /// A policy of one delay, without campaigns, under which refunds of half of the value or more cancel.
    #[must_use]
    pub const fn after(delay: Span) -> Self {
        Self { delay, refund_cancels_from: 0.5, campaigns: BTreeMap::new(), promises: Vec::new() }
    }

    /// When a reward may be paid at the earliest.
    #[must_use]
    pub fn payable_from(&self, campaign: Option<&CampaignId>, occurred_at: Timestamp, received_at: Timestamp) -> Timestamp {
        let now = delay_of(self.delay, &self.campaigns, campaign).end(occurred_at, received_at);
        let promise = self.promises.iter().find(|promise| received_at <= promise.until);
        let then = promise.map(|then| delay_of(then.delay, &then.campaigns, campaign).end(occurred_at, received_at));
        then.map_or(now, |then| then.max(now))
    }

    /// Whether something is payable earlier by it than by another, for what it has promised nothing.
    #[must_use]
    pub fn shortens(&self, before: &Self) -> bool {
        let named = self.campaigns.keys().chain(before.campaigns.keys()).map(Some);
        named.chain([None]).any(|campaign| {
            let now = delay_of(self.delay, &self.campaigns, campaign);
            let then = delay_of(before.delay, &before.campaigns, campaign);
            now.delay < then.delay || (now.counts_from, then.counts_from) == (CountsFrom::Occurrence, CountsFrom::Later)
        })
    }

    /// Its delays as a promise to what was received by a time.
    #[must_use]
    pub fn promised_until(&self, until: Timestamp) -> Promise {
        Promise { until, delay: self.delay, campaigns: self.campaigns.clone() }
    }

    /// The longest delay that any campaign has.
    #[must_use]
    pub fn longest_delay(&self) -> Span {
        let promised = self.promises.iter().map(Promise::longest_delay).fold(self.delay, Span::max);
        self.campaigns.values().map(|campaign| campaign.delay).fold(promised, Span::max)
    }

    /// Whether a refund of so much of a value cancels its rewards.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts are at most 10^12")]
    pub fn cancels(&self, refunded: Money, value: Money) -> bool {
        refunded.currency() != value.currency()
            || refunded.amount_minor() as f64 >= self.refund_cancels_from * value.amount_minor() as f64
    }
}

impl Promise {
    /// The longest delay that any campaign had.
    #[must_use]
    pub fn longest_delay(&self) -> Span {
        self.campaigns.values().map(|campaign| campaign.delay).fold(self.delay, Span::max)
    }
}

impl CampaignPayout {
    fn end(self, occurred_at: Timestamp, received_at: Timestamp) -> Timestamp {
        let from = match self.counts_from {
            CountsFrom::Later => occurred_at.max(received_at),
            CountsFrom::Occurrence => occurred_at,
        };
        from.plus(self.delay)
    }
}

/// The delay of a campaign, or of what has none.
fn delay_of(usual: Span, campaigns: &BTreeMap<CampaignId, CampaignPayout>, campaign: Option<&CampaignId>) -> CampaignPayout {
    let usual = CampaignPayout { delay: usual, counts_from: CountsFrom::Later };
    campaign.and_then(|id| campaigns.get(id)).copied().unwrap_or(usual)
}

/// The hash of a policy's text: equal text, equal hash, whatever the file is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct PolicyHash(pub [u8; 16]);

impl fmt::Display for PolicyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no hash of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a policy is 32 characters of `0-9` and `a-f`")]
pub struct InvalidPolicyHash;

impl std::str::FromStr for PolicyHash {
    type Err = InvalidPolicyHash;

    fn from_str(text: &str) -> Result<Self, InvalidPolicyHash> {
        let mut hash = [0; 16];
        if text.len() != 2 * hash.len() {
            return Err(InvalidPolicyHash);
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| InvalidPolicyHash)?;
            let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
            *byte = u8::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(is_digit)).ok_or(InvalidPolicyHash)?;
        }
        Ok(Self(hash))
    }
}

/// How the review queue is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewPolicy {
    /// A case that is open for longer is overdue and is shown first. It is never released for that.
    pub due_after: Span,
    /// How long a claim lasts unless the reviewer asks for another time.
    pub lease: Span,
}

/// Which would-be auto-rejects of the model go to review instead, for unbiased labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AuditPolicy {
    /// Share of the model's rejects. Range: [0, 1].
    pub sample_share: f64,
}

/// A valid policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    version: Box<str>,
    /// All zeros for one that was made without a text.
    hash: PolicyHash,
    score: ScorePolicy,
    payout: PayoutPolicy,
    review: ReviewPolicy,
    audit: AuditPolicy,
    rules: Vec<Rule>,
}

/// The parts of a policy before they are checked.
#[derive(Debug, Clone)]
pub struct PolicyParts {
    /// The version that decisions quote. 1 to 64 printable characters.
    pub version: String,
    /// The score.
    pub score: ScorePolicy,
    /// The payout delays.
    pub payout: PayoutPolicy,
    /// The queue.
    pub review: ReviewPolicy,
    /// The audit sample.
    pub audit: AuditPolicy,
    /// The rules, in the order in which they are shown.
    pub rules: Vec<Rule>,
}

/// One thing that is wrong with a policy: where, by its key in the file, and what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("`{key}` {problem}")]
pub struct PolicyViolation {
    /// The dotted key, like `score.review_threshold` or `rule.same_card.weight`.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Policy {
    /// Checks the parts and makes them a policy.
    ///
    /// # Errors
    /// Every violation that there is, in the order of the file's keys; the owner of the policy fixes them.
    pub fn new(parts: PolicyParts) -> Result<Self, Vec<PolicyViolation>> {
        let mut violations = Violations::default();
        violations.check(
            !parts.version.is_empty() && parts.version.len() <= 64 && parts.version.bytes().all(|b| b.is_ascii_graphic()),
            "version",
            "must be 1 to 64 printable characters without spaces",
        );
        violations.check_score(&parts.score);
        violations.check_payout(&parts.payout);
        violations.check_span("review.due_hours", parts.review.due_after, Unit::Hours, (Least::AboveZero, None));
        violations.check_span("review.lease_minutes", parts.review.lease, Unit::Minutes, (Least::AboveZero, Some(LEASE_MAX)));
        violations.check_range("audit.sample_share", parts.audit.sample_share, 0.0, 1.0);
        violations.check_rules(&parts.rules);
        violations.check_incomparable(&parts.rules);
        if violations.found.is_empty() {
            let PolicyParts { version, score, payout, review, audit, rules } = parts;
            Ok(Self { version: version.into(), hash: PolicyHash::default(), score, payout, review, audit, rules })
        } else {
            Err(violations.found)
        }
    }

    /// The same policy, made of a text with this hash.
    #[must_use]
    pub fn of_text(self, hash: PolicyHash) -> Self {
        Self { hash, ..self }
    }

    /// What stands in for a policy that cannot be read: everything goes to review, and nothing is payable for as long as a delay can be.
    #[must_use]
    pub fn unreadable(version: &str, hash: PolicyHash) -> Self {
        Self {
            version: version.into(),
            hash,
            score: ScorePolicy {
                source: ScoreSource::Judgement,
                intercept_log_odds: 0.0,
                review_threshold: Some(f64::MIN_POSITIVE),
                review_floor: 0.0,
            },
            payout: PayoutPolicy::after(PAYOUT_DELAY_MAX),
            review: ReviewPolicy { due_after: Span::from_hours(1), lease: LEASE_MAX },
            audit: AuditPolicy { sample_share: 0.0 },
            rules: Vec::new(),
        }
    }

    /// The hash of its text, which decisions quote beside the version. All zeros for one that was made without a text.
    #[must_use]
    pub const fn hash(&self) -> PolicyHash {
        self.hash
    }

    /// The version that decisions quote.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the score comes from and what it does.
    #[must_use]
    pub const fn score(&self) -> &ScorePolicy {
        &self.score
    }

    /// The same policy with the rules' weights as its score, whatever it says: the rules alone, to compare a model with.
    #[must_use]
    pub fn scored_by_rules(mut self) -> Self {
        self.score.source = ScoreSource::Judgement;
        self
    }

    /// When rewards may be paid.
    #[must_use]
    pub const fn payout(&self) -> &PayoutPolicy {
        &self.payout
    }

    /// How the queue is run.
    #[must_use]
    pub const fn review(&self) -> &ReviewPolicy {
        &self.review
    }

    /// The audit sample.
    #[must_use]
    pub const fn audit(&self) -> &AuditPolicy {
        &self.audit
    }

    /// Whether a rule that does more than be shown has this evidence among its conditions.
    #[must_use]
    pub fn counts(&self, code: EvidenceCode) -> bool {
        let active = self.rules.iter().filter(|rule| !matches!(rule.mode, RuleMode::Off | RuleMode::Shadow));
        active.flat_map(|rule| &rule.when).any(|condition| condition.code == code)
    }

    /// The rules, in the order in which they are shown.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// The longest payout delay. Judgement: two years outlast every dispute.
pub const PAYOUT_DELAY_MAX: Span = Span::from_days(730);

/// The least that a time may be.
#[derive(Debug, Clone, Copy)]
enum Least {
    Zero,
    AboveZero,
}

/// In what a key of the file counts time.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Minutes,
    Hours,
    Days,
}

impl Unit {
    /// So many of it, with their fraction.
    fn count(self, span: Span) -> f64 {
        let seconds = match self {
            Self::Minutes => 60.0,
            Self::Hours => 3_600.0,
            Self::Days => 86_400.0,
        };
        span.as_seconds() / seconds
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        })
    }
}

/// A number as people write it: without hundreds of zeros where it is very large or very small.
struct Shown(f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        let is_plain = number == 0.0 || !number.is_finite() || (1e-6..1e15).contains(&number.abs());
        if is_plain { write!(f, "{number}") } else { write!(f, "{number:e}") }
    }
}

#[derive(Default)]
struct Violations {
    found: Vec<PolicyViolation>,
}

impl Violations {
    fn check(&mut self, holds: bool, key: &str, problem: &str) {
        if !holds {
            self.found.push(PolicyViolation { key: key.to_owned(), problem: problem.to_owned() });
        }
    }

    /// Both ends included; not-a-number is refused.
    fn check_range(&mut self, key: &str, value: f64, low: f64, high: f64) {
        let problem = format!("is {}; it must be between {low} and {high}", Shown(value));
        self.check((low..=high).contains(&value), key, &problem);
    }

    /// A part of something, neither nothing nor more than all; not-a-number is refused. `what` is said of the value.
    fn check_part(&mut self, key: &str, what: &str, value: f64) {
        let problem = format!("{what} {}; it must be above 0 and at most 1", Shown(value));
        self.check(value > 0.0 && value <= 1.0, key, &problem);
    }

    /// The least strength that a condition asks for, in its own unit.
    fn check_strength(&mut self, key: &str, Condition { code, strength_min }: Condition) {
        match code.bits_full() {
            None => self.check_part(key, "asks for a strength of", strength_min),
            Some(full) => {
                let problem = format!("asks for {} bits; it must be above 0 and at most {full}", Shown(strength_min * full));
                self.check(strength_min > 0.0 && strength_min <= 1.0, key, &problem);
            }
        }
    }

    fn check_span(&mut self, key: &str, value: Span, unit: Unit, (least, most): (Least, Option<Span>)) {
        let shown = |span: Span| Shown(unit.count(span));
        let is_enough = match least {
            Least::Zero => value >= Span::ZERO,
            Least::AboveZero => value > Span::ZERO,
        };
        let range = match (least, most) {
            (Least::Zero, Some(most)) => format!("between 0 and {}", shown(most)),
            (Least::Zero, None) => "0 or more".to_owned(),
            (Least::AboveZero, Some(most)) => format!("above 0 and at most {}", shown(most)),
            (Least::AboveZero, None) => "above 0".to_owned(),
        };
        let problem = format!("is {} {unit}; it must be {range}", shown(value));
        self.check(is_enough && most.is_none_or(|most| value <= most), key, &problem);
    }

    fn check_score(&mut self, score: &ScorePolicy) {
        self.check_range("score.intercept_log_odds", score.intercept_log_odds, -20.0, 0.0);
        if let Some(threshold) = score.review_threshold {
            self.check_part("score.review_threshold", "is", threshold);
        }
        self.check(
            score.review_threshold.is_some() || score.source == ScoreSource::Model,
            "score.review_threshold",
            "is missing; the judgement score has no threshold of its own",
        );
        let problem = format!("is {}; it must be at least 0 and below 1", Shown(score.review_floor));
        self.check((0.0..1.0).contains(&score.review_floor), "score.review_floor", &problem);
    }

    fn check_payout(&mut self, payout: &PayoutPolicy) {
        let range = (Least::Zero, Some(PAYOUT_DELAY_MAX));
        self.check_span("payout.delay_days", payout.delay, Unit::Days, range);
        for (campaign, CampaignPayout { delay, counts_from: _ }) in &payout.campaigns {
            self.check_span(&format!("payout.campaigns.{campaign}"), *delay, Unit::Days, range);
        }
        self.check_part("payout.refund_cancels_from", "is", payout.refund_cancels_from);
    }

    fn check_rules(&mut self, rules: &[Rule]) {
        self.check(!rules.is_empty(), "rule", "there is none; a policy without rules would approve everything");
        let mut names = BTreeSet::new();
        for rule in rules {
            let key = |field: &str| format!("rule.{}.{field}", rule.name);
            self.check(names.insert(&rule.name), &key("name"), "stands twice; give each rule its own name");
            let name_fits = !rule.name.is_empty() && rule.name.len() <= 64 && rule.name.bytes().all(|b| b.is_ascii_graphic());
            self.check(name_fits, &key("name"), "must be 1 to 64 printable characters without spaces");
            self.check_range(&key("weight"), rule.weight_log_odds, -20.0, 20.0);
            self.check(!rule.when.is_empty(), &key("when"), "is empty; name at least one condition");
            for condition in &rule.when {
                self.check_strength(&key("when"), *condition);
            }
            // Promise 7: one more hit of damning evidence never lowers a verdict.
            let eases = rule.weight_log_odds < 0.0;
            let only_trust = rule.when.iter().all(|condition| condition.code == EvidenceCode::Trusted);
            self.check(!eases || only_trust, &key("weight"), "is negative; only a rule on `list.trusted` may ease a score");
            let decides = matches!(rule.mode, RuleMode::Review | RuleMode::Insist | RuleMode::Reject);
            self.check(!(eases && decides), &key("mode"), "must be `weigh`, `shadow` or `off` when the weight is negative");
            self.check_certain(rule);
        }
    }

    /// What could not be compared is not approved because nobody thought of it: a policy says what becomes of it, be it with `mode = "off"`.
    fn check_incomparable(&mut self, rules: &[Rule]) {
        let alone = |rule: &Rule| matches!(&*rule.when, [condition] if condition.code == EvidenceCode::Incomparable);
        self.check(
            rules.is_empty() || rules.iter().any(alone),
            "rule",
            "none says what becomes of a referral whose sides could not be compared; add one with `when = \"signals.incomparable\"`, \
             `mode = \"review\"` (or `\"off\"`) and a weight",
        );
    }

    /// A rule rejects only what is certain: one account on both sides, what the owner blocked, a proven repeat. All else is rejected under a certificate.
    fn check_certain(&mut self, rule: &Rule) {
        let certain = |Condition { code, strength_min }: &Condition| {
            let when_full = matches!(code, EvidenceCode::Blocked | EvidenceCode::DuplicateInvoice);
            *code == EvidenceCode::SameAccount || (when_full && *strength_min >= 1.0)
        };
        let key = format!("rule.{}.mode", rule.name);
        self.check(
            rule.mode != RuleMode::Reject || rule.when.iter().any(certain),
            &key,
            "rejects by itself what is not certain; use `insist`, and leave rejecting to a certified model. A rule may reject on `identity.same_account`, \
             `list.blocked >= 1.0` or `value.duplicate_invoice >= 1.0`",
        );
    }
}
