//! The audit trail: what each record says of who did what, when, and to whom. An entry is derived from its event, so there is nothing to keep beside the
//! journal, and it says nothing that erasing an account takes from the event.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::acts::Act;
use super::command::{CaseStep, Change, HoldStep, RewardsChange, Settlement};
use super::directory::{Archival, DirectoryStep};
use super::event::{CaseStepped, Concerned, ConversionScreened, Event};
use super::looks::Seen;
use super::records::{Cursor, HoldSubject, ListSubject};
use super::terms::TermsSummary;
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::Verdict;
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, ProgramId};
use crate::vocabulary::outcome::OutcomeSubject;
use crate::vocabulary::time::Timestamp;

/// One entry: what one record says. Its canonical text is its JSON form; the order of its fields is part of that and never changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrailEntry {
    /// The place of its record: 1 for the first of a programme, then without a gap.
    pub place: u64,
    /// When. Unit: milliseconds since 1970.
    pub at_ms: i64,
    /// The same as text, RFC 3339.
    pub at: String,
    /// Who; `selfsame` for what the service did by itself, empty where records of before the trail do not say.
    pub by: String,
    /// What, in two words with a dot between: `case.resolved`.
    pub act: String,
    /// The conversions that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversions: Vec<String>,
    /// The accounts that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// What more there is to say, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// What outlives the entries of records that retention removed, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrailKept {
    /// The place of the first.
    pub(crate) first: Cursor,
    pub(crate) entries: Vec<KeptEntry>,
    /// What else outlives the record under whose place this is kept.
    pub(crate) beside: Option<Box<Event>>,
}

/// What outlives an entry: its hash, and its text where that outlives it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptEntry {
    pub(crate) leaf: [u8; 32],
    pub(crate) text: Option<String>,
}

/// Whether an entry outlives its record as a whole, or only as the hash that holds its place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlives {
    /// As a whole: what somebody did, money, who looked at whom.
    Whole,
    /// Its hash: what the machine did with what it was sent.
    Hash,
}

impl TrailEntry {
    /// What of it outlives its record.
    #[must_use]
    pub fn outlives(&self) -> Outlives {
        match self.act.as_str() {
            "conversion.screened" | "conversion.rechecked" | "signals.recorded" | "outcome.spread" | "outcome.expired" => {
                Outlives::Hash
            }
            _ => Outlives::Whole,
        }
    }

    fn new(place: Cursor, at: Timestamp, act: &str) -> Self {
        let act = act.to_owned();
        Self { place: place.0, at_ms: at.as_millis(), at: at.to_string(), act, ..Self::default() }
    }

    fn by(mut self, actor: &Actor) -> Self {
        actor.as_str().clone_into(&mut self.by);
        self
    }

    fn conversion(mut self, id: &ConversionId) -> Self {
        self.conversions.push(id.to_string());
        self
    }

    fn conversions<'i>(mut self, ids: impl IntoIterator<Item = &'i ConversionId>) -> Self {
        self.conversions.extend(ids.into_iter().map(ToString::to_string));
        self
    }

    fn account(mut self, id: &AccountId) -> Self {
        self.accounts.push(id.to_string());
        self
    }

    fn concerned(self, concerned: &[Concerned]) -> Self {
        self.conversions(concerned.iter().map(|one| &one.conversion_id))
    }

    fn fact(mut self, name: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        if !value.is_empty() {
            self.facts.insert(name.to_owned(), value);
        }
        self
    }

    fn maybe(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.fact(name, value),
            None => self,
        }
    }

    fn verdict(self, before: Verdict, now: Verdict) -> Self {
        self.fact("previous_verdict", word(&before)).fact("verdict", word(&now))
    }

    fn subject(self, subject: &OutcomeSubject) -> Self {
        match subject {
            OutcomeSubject::Conversion(id) => self.conversion(id),
            OutcomeSubject::Account(id) => self.account(id),
            OutcomeSubject::Invoice { referee, invoice_id } => self.account(referee).fact("invoice_id", invoice_id),
        }
    }

    fn hold(self, subject: &HoldSubject) -> Self {
        match subject {
            HoldSubject::Conversion(id) => self.conversion(id),
            HoldSubject::Referrer(id) => self.account(id),
        }
    }

    /// Of a value no more than the eight digits by which screens show it.
    fn listed(self, subject: &ListSubject) -> Self {
        match subject {
            ListSubject::Account(id) => self.account(id),
            ListSubject::Identifier(value) => self.fact("value", format!("{} {:?}", word(&value.kind), value.digest)),
        }
    }
}

/// The name of a variant in small letters: `InReview` is `in_review`. A fixture holds what each entry says, so that no renaming changes it unseen.
fn word(value: &impl fmt::Debug) -> String {
    let name = format!("{value:?}");
    let mut word = String::with_capacity(name.len() + 4);
    for letter in name.chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        let between = if text.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(text, "{between}{item}");
    }
    text
}

fn codes(codes: &[EvidenceCode]) -> String {
    listed(codes.iter().map(|code| code.dotted()))
}

impl Event {
    /// Who did it, where the event says so.
    pub(crate) fn actor(&self) -> Option<&Actor> {
        match self {
            Self::ConversionScreened(_)
            | Self::SourceEventTaken(_)
            | Self::SignalsRecorded(_)
            | Self::OutcomeSpread(_)
            | Self::PendingExpired(_)
            | Self::Rechecked(_)
            | Self::RewardsReserved(_)
            | Self::ReservationChanged(_)
            | Self::RewardPaid(_)
            | Self::PayoutFailed(_)
            | Self::AuditKeyMade(_)
            | Self::ErasureFinished(_)
            | Self::BreakerTripped(_)
            | Self::TrailKept(_)
            | Self::ConversionKept(_) => None,
            Self::OutcomeRecorded(recorded) => recorded.outcome.actor.as_ref(),
            Self::OutcomeRevoked(revoked) => Some(&revoked.actor),
            Self::CaseStepped(stepped) => Some(&stepped.actor),
            Self::CasesStepped(stepped) => Some(&stepped.act.actor),
            Self::RewardsChanged(changed) => Some(&changed.actor),
            Self::HoldChanged(changed) => Some(&changed.actor),
            Self::ListChanged(changed) => Some(&changed.entry.actor),
            Self::ModelsChanged(changed) => Some(&changed.actor),
            Self::TermsChanged(changed) => Some(&changed.actor),
            Self::ValuesRekeyed(rekeyed) => Some(&rekeyed.actor),
            Self::DirectoryChanged(changed) => Some(&changed.actor),
            Self::Looked(looked) => Some(&looked.actor),
            Self::AccountErased(erased) => Some(&erased.actor),
            Self::ActProposed(proposed) => Some(&proposed.pending.proposer),
            Self::ActConfirmed(confirmed) => Some(&confirmed.actor),
            Self::ActDropped(dropped) => Some(&dropped.actor),
        }
    }

    /// Whether nobody asked for it: the ledger did it by itself.
    const fn is_its_own(&self) -> bool {
        matches!(
            self,
            Self::OutcomeSpread(_)
                | Self::PendingExpired(_)
                | Self::Rechecked(_)
                | Self::AuditKeyMade(_)
                | Self::ErasureFinished(_)
                | Self::BreakerTripped(_)
                | Self::TrailKept(_)
                | Self::ConversionKept(_)
        )
    }

    /// What the record at a place says, which was made by somebody where the event itself does not say by whom.
    pub(crate) fn trail(&self, place: Cursor, by: Option<&Actor>) -> TrailEntry {
        let entry = self.told(place);
        match self.actor().or(by) {
            Some(actor) => entry.by(actor),
            None if self.is_its_own() => TrailEntry { by: ProgramId::DIRECTORY.to_owned(), ..entry },
            None => entry,
        }
    }

    fn told(&self, place: Cursor) -> TrailEntry {
        let at = self.learned_at().unwrap_or_else(|| Timestamp::saturating_from_millis(0));
        let new = |act: &str| TrailEntry::new(place, at, act);
        match self {
            Self::ConversionScreened(screened) => self::screened(new("conversion.screened"), screened),
            Self::SignalsRecorded(recorded) => {
                recorded.bundles.iter().fold(new("signals.recorded").fact("record_id", &recorded.record_id), |entry, bundle| {
                    entry.account(&bundle.account_id)
                })
            }
            Self::SourceEventTaken(taken) => new("source.event_taken")
                .fact("source", word(&taken.source))
                .fact("event_id", &taken.event_id)
                .fact("facts", taken.facts.len()),
            Self::OutcomeRecorded(recorded) => new("outcome.recorded")
                .subject(&recorded.outcome.subject)
                .fact("outcome_id", &recorded.outcome.outcome_id)
                .fact("kind", word(&recorded.outcome.kind))
                .maybe("amount", recorded.outcome.amount),
            Self::OutcomeRevoked(revoked) => new("outcome.revoked")
                .subject(&revoked.subject)
                .fact("outcome_id", &revoked.outcome_id)
                .fact("kind", word(&revoked.kind))
                .fact("reason_code", &revoked.reason_code),
            Self::OutcomeSpread(spread) => {
                new("outcome.spread").concerned(&spread.concerned).fact("outcome_id", &spread.outcome_id)
            }
            Self::PendingExpired(expired) => new("outcome.expired").fact("outcome_ids", listed(&expired.outcome_ids)),
            Self::Rechecked(rechecked) => {
                rechecked.changed.iter().fold(new("conversion.rechecked").conversions(&rechecked.seen), |entry, changed| {
                    let told = format!("{} {}", word(&changed.previous_verdict), word(&changed.verdict));
                    entry.fact(&format!("changed {}", changed.conversion_id), told)
                })
            }
            Self::CaseStepped(stepped) => {
                let entry = new(step("case", &stepped.step).as_str());
                stepped_case(entry, stepped)
            }
            Self::CasesStepped(stepped) => new(step("cases", &stepped.act.step).as_str())
                .conversions(stepped.steps.iter().map(|step| &step.conversion_id))
                .fact("reason_code", &stepped.act.reason_code)
                .fact("request_id", &stepped.request.id)
                .fact(
                    "left_alone",
                    listed(stepped.named.iter().filter(|(_, left)| left.is_some()).map(|(conversion, _)| conversion)),
                ),
            Self::RewardsReserved(reserved) => reserved.answers.iter().fold(
                new("payout.reserved").fact("reservation_id", &reserved.request.id),
                |entry, answer| {
                    let amount = answer.amount.map(|amount| format!(" {amount}")).unwrap_or_default();
                    let reserved = if answer.reserved_until.is_some() { "reserved" } else { "not_reserved" };
                    entry
                        .conversion(&answer.conversion_id)
                        .fact(&format!("reward {}", answer.reward_id), format!("{reserved}{amount}"))
                },
            ),
            Self::ReservationChanged(changed) => new(if changed.until.is_some() { "payout.renewed" } else { "payout.released" })
                .conversions(changed.rewards.iter().map(|(conversion, _)| conversion))
                .fact("reservation_id", &changed.reservation_id)
                .fact("rewards", listed(changed.rewards.iter().map(|(_, reward)| reward)))
                .maybe("until", changed.until),
            Self::RewardPaid(paid) => new("payout.paid")
                .conversion(&paid.conversion_id)
                .account(&paid.referrer)
                .account(&paid.referee)
                .fact("reward_id", &paid.reward_id)
                .maybe("amount", paid.amount)
                .fact("verdict", word(&paid.verdict))
                .maybe("against_gate", paid.against_gate.as_ref().map(word))
                .maybe("reservation_id", paid.reservation_id.as_ref()),
            Self::PayoutFailed(failed) => new("payout.failed")
                .conversion(&failed.conversion_id)
                .account(&failed.referrer)
                .account(&failed.referee)
                .fact("reward_id", &failed.reward_id)
                .fact("reason_code", &failed.reason_code),
            Self::RewardsChanged(changed) => {
                let act = match changed.change {
                    RewardsChange::Add => "rewards.added",
                    RewardsChange::Change => "rewards.changed",
                };
                let entry = new(act).conversion(&changed.conversion_id).account(&changed.referrer).account(&changed.referee);
                changed.rewards.iter().fold(entry, |entry, change| {
                    let amount = change.reward.amount.map_or_else(|| "unknown".to_owned(), |amount| amount.to_string());
                    let before = change.previous.map(|amount| format!(", before {amount}")).unwrap_or_default();
                    entry.fact(&format!("reward {}", change.reward.reward_id), format!("{amount}{before}"))
                })
            }
            Self::HoldChanged(changed) => {
                new(&format!("hold.{}", placed(changed.change))).hold(&changed.subject).fact("hold_id", &changed.hold_id)
            }
            Self::ListChanged(changed) => new(&format!("list.{}", placed(changed.change)))
                .listed(&changed.entry.subject)
                .fact("list", word(&changed.entry.list))
                .maybe("expires_at", changed.entry.expires_at),
            Self::ModelsChanged(changed) => new(&format!("model.{}", word(&changed.action)))
                .maybe("model", changed.model.as_ref().map(|model| &model.version))
                .maybe("previous", changed.previous.as_ref().map(|model| &model.version)),
            Self::TermsChanged(changed) => {
                terms(terms(new("program.terms_changed"), "", &changed.terms.summary()), "previous_", &changed.previous)
            }
            Self::ValuesRekeyed(rekeyed) => {
                new("values.rekeyed").fact("values", rekeyed.values.len()).fact("request_id", &rekeyed.request.id)
            }
            Self::AuditKeyMade(_) => new("model.audit_key_made"),
            Self::DirectoryChanged(changed) => directory(&new, &changed.step),
            Self::Looked(looked) => looked.looks.iter().enumerate().fold(new("person.looked_at"), |entry, (number, look)| {
                let (entry, what) = match &look.seen {
                    Seen::Case(id) => (entry.conversion(id), format!("case {id}")),
                    Seen::Decision(id) => (entry.conversion(id), format!("decision {id}")),
                    Seen::Account(id) => (entry.account(id), format!("account {id}")),
                    Seen::Cluster(id) => (entry.account(id), format!("cluster {id}")),
                    Seen::Export => (entry, "export".to_owned()),
                    Seen::Backup => (entry, "backup".to_owned()),
                    Seen::Trail => (entry, "trail".to_owned()),
                };
                entry.fact(&format!("look {number:03}"), format!("{what} at {}", look.at))
            }),
            Self::AccountErased(erased) => {
                new("account.erased").account(&erased.account_id).fact("reason_code", &erased.reason_code)
            }
            Self::ErasureFinished(finished) => new("account.erasure_finished")
                .fact("asked_at", listed(finished.asked.iter().map(|place| place.0)))
                .fact("records_rewritten", finished.rewritten.len()),
            Self::ActProposed(proposed) => {
                let entry = new("act.proposed").fact("act_id", &proposed.pending.id).fact("cause", word(&proposed.pending.cause));
                proposed_act(entry, &proposed.pending.act)
            }
            Self::ActConfirmed(confirmed) => {
                let done = confirmed.done.told(place);
                let proposer = confirmed.done.actor().map(ToString::to_string).unwrap_or_default();
                let entry = TrailEntry { conversions: done.conversions, accounts: done.accounts, ..new("act.confirmed") };
                let entry = TrailEntry { facts: done.facts, ..entry };
                entry.fact("act_id", &confirmed.act_id).fact("done", done.act).fact("proposed_by", proposer)
            }
            Self::ActDropped(dropped) => new(match dropped.how {
                Settlement::Confirm => "act.confirmed",
                Settlement::Refuse => "act.refused",
                Settlement::Withdraw => "act.withdrawn",
            })
            .fact("act_id", &dropped.act_id),
            // No record of the journal is one of these.
            Self::TrailKept(_) => new("trail.kept"),
            Self::BreakerTripped(tripped) => new("model.breaker_tripped").fact("model", &tripped.version),
            Self::ConversionKept(kept) => new("conversion.kept").conversion(&kept.conversion_id),
        }
    }
}

/// Terms, each with what it is called.
fn terms(entry: TrailEntry, called: &str, terms: &TermsSummary) -> TrailEntry {
    let TermsSummary { policy, payout_delay, retention } = terms;
    entry
        .maybe(&format!("{called}policy"), policy.as_ref().map(|policy| format!("{} {}", policy.version, policy.hash)))
        .maybe(&format!("{called}payout_delay"), *payout_delay)
        .maybe(&format!("{called}retention"), *retention)
}

fn screened(entry: TrailEntry, screened: &ConversionScreened) -> TrailEntry {
    let Conversion { conversion_id, referrer, referee, .. } = &screened.conversion;
    let decision = &screened.decision;
    let reasons: Vec<EvidenceCode> = decision.reasons.iter().map(|reason| reason.code).collect();
    entry
        .conversion(conversion_id)
        .account(&referrer.account_id)
        .account(&referee.account_id)
        .fact("verdict", word(&decision.verdict))
        .fact("reasons", codes(&reasons))
        .fact("policy", &decision.policy_version)
        .maybe("model", decision.model_version.as_ref())
}

fn stepped_case(entry: TrailEntry, stepped: &CaseStepped) -> TrailEntry {
    entry
        .conversion(&stepped.conversion_id)
        .account(&stepped.referrer)
        .account(&stepped.referee)
        .verdict(stepped.previous_verdict, stepped.verdict)
        .fact("reason_code", &stepped.reason_code)
        .fact("revision", stepped.revision)
        .fact("paid_before", listed(&stepped.paid))
}

fn step(of: &str, step: &CaseStep) -> String {
    let done = match step {
        CaseStep::Note => "noted",
        CaseStep::Step(Step::Claim { .. }) => "claimed",
        CaseStep::Step(Step::Release) => "released",
        CaseStep::Step(Step::Resolve(Resolution::Accept)) => "accepted",
        CaseStep::Step(Step::Resolve(Resolution::Reject)) => "rejected",
        CaseStep::Step(Step::Reopen) => "reopened",
    };
    format!("{of}.{done}")
}

const fn placed(change: Change) -> &'static str {
    match change {
        Change::Place => "placed",
        Change::Lift => "lifted",
    }
}

fn directory(new: &impl Fn(&str) -> TrailEntry, step: &DirectoryStep) -> TrailEntry {
    match step {
        DirectoryStep::CreateProgram(settings) => new("program.created").fact("program", &settings.id),
        DirectoryStep::UpdateProgram(settings) => new("program.updated").fact("program", &settings.id),
        DirectoryStep::Archive(program, Archival::Archived) => new("program.archived").fact("program", program),
        DirectoryStep::Archive(program, Archival::InUse) => new("program.unarchived").fact("program", program),
        DirectoryStep::PutIdentity(settings) => {
            new("identity.put").fact("identity", &settings.name).fact("roles", listed(settings.roles.iter().map(word)))
        }
        DirectoryStep::RemoveIdentity(name) => new("identity.removed").fact("identity", name),
        DirectoryStep::IssueToken(name, token) => {
            new("token.issued").fact("identity", name).fact("token", &token.id).maybe("expires_at", token.expires_at)
        }
        DirectoryStep::RevokeToken(token) => new("token.revoked").fact("token", token),
        DirectoryStep::MakeKey(_) => new("ledger.key_made"),
    }
}

fn proposed_act(entry: TrailEntry, act: &Act) -> TrailEntry {
    match act {
        Act::Accept { case_id, reason_code, .. } => {
            let entry = entry.fact("wants", "case.accepted").fact("reason_code", reason_code);
            case_id.conversion_id().iter().fold(entry, TrailEntry::conversion)
        }
        Act::LiftHold(HoldStep::Lift(hold)) => entry.fact("wants", "hold.lifted").fact("hold_id", hold),
        Act::LiftHold(HoldStep::LiftOwn(subject) | HoldStep::Place { subject, .. }) => {
            entry.fact("wants", "hold.lifted").hold(subject)
        }
        Act::ChangeList(listed, change) => entry.fact("wants", format!("list.{}", placed(*change))).listed(&listed.subject),
        Act::RecordOutcome(outcome, _) => {
            let entry = entry.fact("wants", "outcome.recorded").fact("kind", word(&outcome.kind));
            entry.subject(&outcome.subject).fact("outcome_id", &outcome.outcome_id)
        }
        Act::RevokeOutcome { outcome_id, reason_code } => {
            entry.fact("wants", "outcome.revoked").fact("outcome_id", outcome_id).fact("reason_code", reason_code)
        }
        Act::ChangeTerms(_) => entry.fact("wants", "program.terms_changed"),
        Act::Activate { model, default: _ } => entry.fact("wants", "model.activated").fact("model", &model.version),
    }
}
