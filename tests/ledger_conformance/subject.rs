//! The subject of the suite: a ledger with an assessor that notes each history it was shown, and builders that say only what a test is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::asked::Asked;
use futures::executor::block_on;
use parking_lot::Mutex;
use selfsame::book::command::{
    Assessor, CaseCommand, CaseStep, Change, Command, Executed, HoldCommand, HoldStep, ListCommand, ModelsCommand, ModelsStep,
    OutcomeCommand, PaidCommand, Request, ScreenCommand, SignalsCommand,
};
use selfsame::book::cursor::FeedCursor;
use selfsame::book::models::{ModelContent, ModelName, ProgramModels};
use selfsame::book::query::PageRequest;
use selfsame::book::records::Screened;
use selfsame::book::records::{
    CaseSummary, ContentFingerprint, FeedEvent, FeedKind, Freshness, HoldSubject, ListEntry, ListSubject,
};
use selfsame::book::terms::{Own, ProgramTerms};
use selfsame::ports::ledger::{Ledger, LedgerError};
use selfsame::screening::case::{Resolution, Step};
use selfsame::screening::comparability::{Comparability, Compared, ComparedKind, SideSignals, SignalKind};
use selfsame::screening::decision::{AuditSample, Decision, Reason, ReferrerSafeReason, ScoreParts, Scored, Verdict};
use selfsame::screening::evidence::{Evidence, EvidenceCode, Finding};
use selfsame::screening::explanation;
use selfsame::screening::gate::{self, Asker, Gate, GateAnswer, GateReason, Held, Record, Standing};
use selfsame::screening::history::{History, ListKind};
use selfsame::screening::model::Certificate;
use selfsame::screening::policy::PayoutPolicy;
use selfsame::screening::policy::PolicyHash;
use selfsame::screening::warning::{Warning, WarningCode};
use selfsame::vocabulary::bundle::{
    DeviceSignals, EmailSignals, NetworkSignals, PaymentKind, PaymentPurpose, PaymentSignals, SignalBundle,
};
use selfsame::vocabulary::conversion::{Conversion, ConversionKind, RefereeStanding, Reward, Side};
use selfsame::vocabulary::digest::{Digest, DigestSet, KeyId};
use selfsame::vocabulary::ids::{
    AccountId, Actor, CampaignId, CaseId, ConversionId, InvoiceId, ProgramId, RecordId, RewardId, Ucc,
};
use selfsame::vocabulary::journey::{Attribution, CapturedVia, CodeValidity, Journey};
use selfsame::vocabulary::money::Money;
use selfsame::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::time::{Span, Timestamp};

/// Decides by the campaign's name, and notes the history of each conversion.
#[derive(Default)]
pub(crate) struct Probe {
    seen: Mutex<BTreeMap<ConversionId, History>>,
    order: Mutex<Vec<ConversionId>>,
    again: Mutex<Vec<ConversionId>>,
}

impl Probe {
    /// The history that a conversion was screened with.
    pub(crate) fn history(&self, id: &str) -> History {
        self.seen.lock().get(&ConversionId::new(id).unwrap()).cloned().expect("the conversion was screened")
    }

    /// The conversions that were assessed again, as often as they were.
    pub(crate) fn looked_again(&self) -> Vec<ConversionId> {
        self.again.lock().clone()
    }

    /// The conversions in the order in which they were assessed.
    pub(crate) fn order(&self) -> Vec<ConversionId> {
        self.order.lock().clone()
    }
}

fn compared(kind: SignalKind, compared: Compared, ours: &[&str], theirs: &[&str]) -> ComparedKind {
    let keys = |ids: &[&str]| ids.iter().map(|id| KeyId::new(id).unwrap()).collect();
    let referrer = SideSignals { keys: keys(ours), newest_at: Some(minute(7)) };
    ComparedKind { kind, compared, referrer, referee: SideSignals { keys: keys(theirs), newest_at: None } }
}

impl Assessor for Probe {
    fn assess(&self, conversion: &Conversion, history: &History, own: Own<'_>, now: Timestamp) -> Decision {
        let mut seen = self.seen.lock();
        // Another look comes later, and is not what tests ask about.
        if !seen.contains_key(&conversion.conversion_id) {
            seen.insert(conversion.conversion_id.clone(), history.clone());
            self.order.lock().push(conversion.conversion_id.clone());
        }
        drop(seen);
        let campaign = conversion.campaign_id.as_ref().map(CampaignId::as_str).unwrap_or_default();
        let (referrer, referee) = history.sides(conversion);
        let devices =
            |side: &SignalBundle| side.devices.iter().filter_map(|device| device.fingerprint.clone()).collect::<Vec<_>>();
        let (ours, theirs) = (devices(&referrer), devices(&referee));
        let on_one_device = ours.iter().any(|mine| theirs.iter().any(|other| mine.shares_value_with(other)));
        let blocked = history.list_hits.iter().filter(|hit| hit.list == ListKind::Blocked).count();
        let verdict = match campaign {
            _ if history.duplicate_of.is_some() || blocked > 1 => Verdict::Rejected,
            _ if on_one_device || blocked > 0 || history.looks_like.is_some() => Verdict::InReview,
            "review" | "audit" => Verdict::InReview,
            "reject" => Verdict::Rejected,
            _ => Verdict::Approved,
        };
        let finding = Finding::measured(0.75, f64::from(history.persons_known));
        let evidence = Evidence::absent()
            .with(EvidenceCode::SameDevice, finding)
            .with(EvidenceCode::SameAccount, Finding::CLEAR)
            .with(EvidenceCode::SimilarName, Finding::measured(0.0, 0.1 + 0.2));
        Decision {
            verdict,
            score: 0.25,
            scored: if campaign == "audit" { Scored::ByModel } else { Scored::ByJudgement },
            reasons: vec![Reason {
                code: EvidenceCode::SameDevice,
                strength: 0.75,
                contribution_log_odds: 1.5,
                sentence: explanation::sentence(EvidenceCode::SameDevice, &finding),
            }],
            referrer_safe_reason: ReferrerSafeReason::None,
            rule_hits: Vec::new(),
            policy_version: "probe-1".into(),
            policy_hash: PolicyHash([7; 16]),
            model_version: own.models.choices().map(|choices| choices.active.version.clone()),
            shadow: None,
            duplicate_of: history.duplicate_of.clone(),
            looks_like: history.looks_like.clone(),
            audit: if campaign == "audit" { AuditSample::Sampled } else { AuditSample::NotSampled },
            evidence,
            score_parts: ScoreParts {
                base_log_odds: -2.5,
                contributions: vec![(EvidenceCode::SameDevice, 0.1 + 0.2)],
                rest_log_odds: 0.7,
                review_threshold: 0.2,
                reject_threshold: None,
            },
            comparability: Comparability::of_kinds(vec![
                compared(SignalKind::Device, Compared::Yes, &["k1"], &["k2", "k1"]),
                compared(SignalKind::Name, Compared::KeysDiffer, &["k1"], &["k2"]),
            ]),
            warnings: vec![Warning {
                code: WarningCode::ZeroValue,
                field: "conversion.value".into(),
                sentence: "The conversion is worth nothing: 0 EUR.".to_owned(),
            }],
            decided_at: now,
        }
    }

    fn assess_again(&self, conversion: &Conversion, history: &History, own: Own<'_>, now: Timestamp) -> Decision {
        self.again.lock().push(conversion.conversion_id.clone());
        self.assess(conversion, history, own, now)
    }

    /// Every model promises the same.
    fn promise(&self, _: &ProgramId, _: &str) -> Option<Certificate> {
        let (rejected_samples, honest_samples, rejected_referrals) = (1_000, 1, 1_000);
        Some(Certificate { alpha: 0.01, delta: 0.05, rejected_samples, honest_samples, rejected_referrals, upper_bound: 0.01 })
    }

    fn due_after(&self, _: &ProgramId, _: &ProgramTerms) -> Span {
        Span::from_hours(48)
    }

    fn payout(&self, _: &ProgramId, terms: &ProgramTerms) -> PayoutPolicy {
        terms.payout(PayoutPolicy::after(Span::from_days(14)))
    }
}

/// A ledger under test.
pub(crate) struct Subject {
    pub(crate) ledger: Asked<Box<dyn Ledger>>,
    pub(crate) probe: Arc<Probe>,
}

/// A time on a day in 2026, in minutes.
pub(crate) fn minute(minutes: i64) -> Timestamp {
    Timestamp::saturating_from_millis(1_790_000_000_000).plus(Span::from_minutes(minutes))
}

pub(crate) fn shop() -> ProgramId {
    ProgramId::new("shop").unwrap()
}

pub(crate) fn conversion_id(id: &str) -> ConversionId {
    ConversionId::new(id).unwrap()
}

pub(crate) fn case_id(id: &str) -> CaseId {
    CaseId::of(&conversion_id(id))
}

pub(crate) fn account(id: &str) -> AccountId {
    AccountId::new(id).unwrap()
}

pub(crate) fn actor(name: &str) -> Actor {
    Actor::new(name).unwrap()
}

pub(crate) fn reward(id: &str) -> RewardId {
    RewardId::new(id).unwrap()
}

/// A digest named by a number.
pub(crate) fn value(number: u32) -> Digest {
    let mut bytes = [0x5a; 32];
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    Digest { value: bytes, key_id: KeyId::new("k1").unwrap() }
}

fn set(number: u32) -> DigestSet {
    DigestSet::single(value(number))
}

/// A conversion of two accounts that share nothing, with what a test is about added.
#[derive(Clone)]
pub(crate) struct Draft(pub(crate) Conversion);

/// `referee` comes through `referrer`.
pub(crate) fn draft(id: &str, referrer: &str, referee: &str) -> Draft {
    Draft(Conversion {
        program_id: shop(),
        conversion_id: conversion_id(id),
        campaign_id: None,
        kind: ConversionKind::InvoicePaid,
        occurred_at: minute(0),
        value: None,
        minimum_purchase: None,
        invoice_id: Some(InvoiceId::new(&format!("inv-{id}")).unwrap()),
        referee_standing: RefereeStanding::New,
        attribution: Attribution {
            captured_via: CapturedVia::Link,
            ucc: Some(Ucc::new("ANN-10").unwrap()),
            code_validity: CodeValidity::Valid,
            previous_ucc: None,
            captured_at: None,
            attached_by: None,
        },
        referrer: SignalBundle::of_account(account(referrer)),
        referee: SignalBundle::of_account(account(referee)),
        rewards: vec![Reward { reward_id: reward(&format!("rw-{id}")), beneficiary: Side::Referrer, amount: None }],
    })
}

impl Draft {
    pub(crate) fn change(mut self, change: impl FnOnce(&mut Conversion)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn at(self, minutes: i64) -> Self {
        self.change(|conversion| conversion.occurred_at = minute(minutes))
    }

    /// `review` or `reject`: what the probe decides.
    pub(crate) fn decided(self, how: &str) -> Self {
        self.change(|conversion| conversion.campaign_id = CampaignId::new(how).ok())
    }

    pub(crate) fn referee_on_device(self, number: u32) -> Self {
        self.change(|conversion| conversion.referee.devices.push(device(number)))
    }

    pub(crate) fn referrer_on_device(self, number: u32) -> Self {
        self.change(|conversion| conversion.referrer.devices.push(device(number)))
    }

    pub(crate) fn referee_on_address(self, number: u32) -> Self {
        self.change(|conversion| conversion.referee.networks.push(network(number)))
    }

    pub(crate) fn without_invoice(self) -> Self {
        self.change(|conversion| conversion.invoice_id = None)
    }

    pub(crate) fn command(&self) -> ScreenCommand {
        let text = format!("{:?}", self.0);
        let mut content = [0; 16];
        content.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        ScreenCommand { conversion: self.0.clone(), content: ContentFingerprint(content), received_at: self.0.occurred_at }
    }
}

pub(crate) fn device(number: u32) -> DeviceSignals {
    DeviceSignals {
        fingerprint: Some(set(number)),
        browser: None,
        user_agent: "".into(),
        platform: "".into(),
        time_zone: "".into(),
        languages: Vec::new(),
        screen_px: None,
        seen_at: None,
    }
}

pub(crate) fn network(number: u32) -> NetworkSignals {
    NetworkSignals { address: Some(set(number)), prefix: None, asn: None, country: None, flags: Vec::new(), seen_at: None }
}

pub(crate) fn email_of_pattern(number: u32, mailbox: u32) -> EmailSignals {
    EmailSignals {
        exact: Some(set(mailbox)),
        mailbox: Some(set(mailbox)),
        pattern: Some(set(number)),
        local_part: None,
        domain: None,
        domain_class: None,
        local_part_sketches: Vec::new(),
        person_sketches: Vec::new(),
    }
}

pub(crate) fn card(number: u32) -> PaymentSignals {
    PaymentSignals {
        instrument: set(number),
        kind: PaymentKind::Card,
        purpose: PaymentPurpose::Billing,
        country: None,
        seen_at: None,
    }
}

/// A bundle with everything that a bundle can hold.
pub(crate) fn full_bundle(id: &str, number: u32) -> SignalBundle {
    let mut bundle = SignalBundle::of_account(account(id));
    bundle.account_created_at = Some(minute(-10_000));
    bundle.emails.push(email_of_pattern(number, number + 1));
    bundle.devices.push(device(number + 2));
    bundle.networks.push(network(number + 3));
    bundle.payments.push(card(number + 4));
    bundle.journey = Journey::new(Vec::new(), None);
    bundle
}

/// All of a listing, page by page.
pub(crate) fn pages<E>(size: usize, mut read: impl FnMut(&PageRequest) -> selfsame::book::query::Page<E>) -> Vec<E> {
    let mut all = Vec::new();
    let mut request = PageRequest { size, ..PageRequest::default() };
    loop {
        let page = read(&request);
        assert!(page.entries.len() <= size);
        all.extend(page.entries);
        match page.next {
            None => return all,
            Some(token) => request.after = Some(token),
        }
    }
}

pub(crate) fn page(size: usize) -> PageRequest {
    PageRequest { size, ..PageRequest::default() }
}

impl Subject {
    pub(crate) fn screen(&self, draft: &Draft) -> Screened {
        block_on(self.ledger.screen(draft.command())).unwrap()
    }

    pub(crate) fn try_screen(&self, draft: &Draft) -> Result<Screened, LedgerError> {
        block_on(self.ledger.screen(draft.command()))
    }

    /// Screens and answers what the history was.
    pub(crate) fn history(&self, draft: &Draft) -> History {
        self.screen(draft);
        self.probe.history(draft.0.conversion_id.as_str())
    }

    pub(crate) fn signals(
        &self,
        record: &str,
        bundles: Vec<SignalBundle>,
    ) -> Result<(Option<FeedCursor>, Freshness), LedgerError> {
        let content = ContentFingerprint([u8::try_from(bundles.len()).unwrap(); 16]);
        block_on(self.ledger.record_signals(SignalsCommand {
            program_id: shop(),
            record_id: RecordId::new(record).unwrap(),
            content,
            bundles,
            received_at: minute(0),
        }))
    }

    pub(crate) fn try_outcome(
        &self,
        id: &str,
        kind: OutcomeKind,
        subject: OutcomeSubject,
    ) -> Result<(Option<FeedCursor>, Freshness), LedgerError> {
        let outcome = Outcome {
            program_id: shop(),
            outcome_id: RecordId::new(id).unwrap(),
            kind,
            subject,
            occurred_at: minute(100),
            amount: None,
            actor: None,
            note: String::new(),
        };
        let content = ContentFingerprint([u8::try_from(format!("{outcome:?}").len() % 251).unwrap(); 16]);
        block_on(self.ledger.record_outcome(OutcomeCommand { outcome, content, received_at: minute(100) }))
    }

    pub(crate) fn outcome(&self, id: &str, kind: OutcomeKind, subject: OutcomeSubject) -> Option<FeedCursor> {
        self.try_outcome(id, kind, subject).unwrap().0
    }

    pub(crate) fn ban(&self, id: &str) -> Option<FeedCursor> {
        self.outcome(&format!("ban-{id}"), OutcomeKind::AccountBanned, OutcomeSubject::Account(account(id)))
    }

    pub(crate) fn step(&self, id: &str, by: &str, minutes: i64, step: CaseStep) -> Result<CaseSummary, LedgerError> {
        self.step_at_revision(id, by, minutes, step, None)
    }

    pub(crate) fn step_at_revision(
        &self,
        id: &str,
        by: &str,
        minutes: i64,
        step: CaseStep,
        expected_revision: Option<u32>,
    ) -> Result<CaseSummary, LedgerError> {
        block_on(self.ledger.step_case(CaseCommand {
            program_id: shop(),
            case_id: case_id(id),
            step,
            actor: actor(by),
            reason_code: "checked".to_owned(),
            note: "seen".to_owned(),
            expected_revision,
            request: None,
            at: minute(minutes),
        }))
    }

    pub(crate) fn resolve(&self, id: &str, resolution: Resolution) -> CaseSummary {
        self.step(id, "rita", 60, CaseStep::Step(Step::Resolve(resolution))).unwrap()
    }

    pub(crate) fn reopen(&self, id: &str) -> CaseSummary {
        self.step(id, "rita", 90, CaseStep::Step(Step::Reopen)).unwrap()
    }

    pub(crate) fn try_pay(&self, id: &str, reward_id: &str) -> Result<(Option<FeedCursor>, Freshness), LedgerError> {
        self.try_pay_amount(id, reward_id, None)
    }

    pub(crate) fn try_pay_amount(
        &self,
        id: &str,
        reward_id: &str,
        amount: Option<Money>,
    ) -> Result<(Option<FeedCursor>, Freshness), LedgerError> {
        block_on(self.ledger.mark_paid(PaidCommand {
            program_id: shop(),
            conversion_id: conversion_id(id),
            reward_id: reward(reward_id),
            reservation_id: None,
            paid_at: minute(80),
            amount,
            request: None,
            received_at: minute(80),
        }))
    }

    pub(crate) fn execute(&self, command: Command) -> Result<Executed, LedgerError> {
        block_on(self.ledger.execute(command))
    }

    pub(crate) fn pay(&self, id: &str) -> (Option<FeedCursor>, Freshness) {
        self.try_pay(id, &format!("rw-{id}")).unwrap()
    }

    pub(crate) fn change_hold(&self, subject: HoldSubject, change: Change) -> (Option<FeedCursor>, Freshness) {
        self.try_change_hold(subject, change).unwrap()
    }

    pub(crate) fn try_change_hold(
        &self,
        subject: HoldSubject,
        change: Change,
    ) -> Result<(Option<FeedCursor>, Freshness), LedgerError> {
        let step = match change {
            Change::Place => HoldStep::Place { hold_id: None, subject },
            Change::Lift => HoldStep::LiftOwn(subject),
        };
        self.step_hold(step, "olga")
    }

    pub(crate) fn step_hold(&self, step: HoldStep, by: &str) -> Result<(Option<FeedCursor>, Freshness), LedgerError> {
        block_on(self.ledger.change_hold(HoldCommand {
            program_id: shop(),
            step,
            actor: actor(by),
            note: "asked by finance".to_owned(),
            request: None,
            at: minute(70),
        }))
    }

    pub(crate) fn change_list(&self, entry: ListEntry, change: Change) -> (Option<FeedCursor>, Freshness) {
        block_on(self.ledger.change_list(ListCommand { program_id: shop(), entry, change, request: None })).unwrap()
    }

    pub(crate) fn standing(&self, id: &str) -> Option<Standing> {
        self.standing_for(&format!("rw-{id}"), id)
    }

    fn standing_for(&self, reward_id: &str, id: &str) -> Option<Standing> {
        self.ledger.standings(&shop(), &[(reward(reward_id), conversion_id(id))]).unwrap().remove(0)
    }

    /// What the gate says of a conversion's reward, long after every delay.
    pub(crate) fn gate(&self, id: &str) -> Gate {
        self.gate_of(&format!("rw-{id}"), id)
    }

    /// As [`Subject::gate`], for a reward of any name, once nothing is late and everything is durable.
    pub(crate) fn gate_of(&self, reward_id: &str, id: &str) -> Gate {
        self.settled(id);
        self.gate_now(reward_id, id)
    }

    /// The verdict in force once nothing of a conversion is late any more, and everything durable. Absent when it is not known.
    pub(crate) fn settled(&self, id: &str) -> Option<Verdict> {
        for _ in 0..200_000 {
            let standing = self.standing(id)?;
            if standing.record == Record::Removed {
                return None;
            }
            if standing.late_facts == Held::No {
                return self.ledger.decision(&shop(), &conversion_id(id)).unwrap().map(|record| record.verdict);
            }
            std::thread::yield_now();
        }
        panic!("nobody looked at {id} again")
    }

    /// As [`Subject::gate_of`], at this very moment.
    pub(crate) fn gate_now(&self, reward_id: &str, id: &str) -> Gate {
        self.answer_now(reward_id, id).gate
    }

    /// Why the gate says of a conversion's reward what it says at this very moment.
    pub(crate) fn reason_now(&self, id: &str) -> GateReason {
        self.answer_now(&format!("rw-{id}"), id).reason
    }

    fn answer_now(&self, reward_id: &str, id: &str) -> GateAnswer {
        let far = minute(0).plus(Span::from_days(400));
        let policy = PayoutPolicy::after(Span::from_days(14));
        gate::check(self.standing_for(reward_id, id).as_ref(), &reward(reward_id), Asker::Anybody, &policy, far)
    }

    pub(crate) fn try_models(&self, step: ModelsStep, request: Option<Request>) -> Result<Executed, LedgerError> {
        self.try_models_in(&shop(), step, request)
    }

    pub(crate) fn try_models_in(
        &self,
        program: &ProgramId,
        step: ModelsStep,
        request: Option<Request>,
    ) -> Result<Executed, LedgerError> {
        let (program_id, default, actor) = (program.clone(), model("shipped"), actor("dana"));
        let command = ModelsCommand { program_id, step, default, actor, note: "measured".to_owned(), request, at: minute(50) };
        block_on(self.ledger.execute(Command::ChangeModels(command)))
    }

    /// Makes a model decide, and gives what did until then.
    pub(crate) fn activate(&self, version: &str) -> Option<ModelName> {
        self.try_models(ModelsStep::Activate(model(version)), None).unwrap().done.previous_model()
    }

    pub(crate) fn models(&self) -> Arc<ProgramModels> {
        self.ledger.models(&shop()).unwrap()
    }

    pub(crate) fn feed(&self) -> Vec<FeedEvent> {
        self.ledger.feed(&shop(), None, usize::MAX).unwrap().0
    }

    pub(crate) fn feed_kinds(&self) -> Vec<FeedKind> {
        self.feed().into_iter().map(|event| event.kind).collect()
    }
}

pub(crate) fn blocked(subject: ListSubject) -> ListEntry {
    ListEntry {
        list: ListKind::Blocked,
        subject,
        actor: actor("olga"),
        note: String::new(),
        placed_at: minute(-1),
        expires_at: None,
    }
}

pub(crate) fn model(version: &str) -> ModelName {
    ModelName { version: version.into(), content: ModelContent([u8::try_from(version.len()).unwrap(); 16]) }
}
