//! What is due because of what senders said: commands with ids that are made of the senders' own, so that each is done once however often it is asked
//! for. A pure function of the book; what exists already is not due.

use std::hash::Hash;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::{
    Aftermath, CodeAnswer, CodeUse, Intake, IntakeAnswer, IntakeQuestion, Of, Payment, PaymentOf, RETROACTIVE, ReferralStep,
    SETTLES_AFTER, UserAnswer,
};
use crate::book::command::{Command, HoldCommand, HoldStep, OutcomeCommand, ScreenCommand, SignalsCommand};
use crate::book::records::{ContentFingerprint, Cursor, HoldSubject};
use crate::book::{Book, MessageKind};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, ConversionKind, RefereeStanding};
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, HoldId, InvoiceId, ProgramId, RecordId, SenderId, Ucc};
use crate::vocabulary::journey::{Attribution, CapturedVia, CodeValidity};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Timestamp;

/// As whom holds are placed.
pub(crate) const GATEWAY: &str = "gateway";

/// How a referral began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Began {
    /// With a sign-up.
    SignUp(Timestamp),
    /// The code was attached to a customer of long ago: that counts as the sign-up.
    Manual(Timestamp, Source),
    /// With a user who had an account.
    Existing,
    /// Nobody said, and it was waited for.
    Unsaid,
}

/// What ties an account to whoever referred it.
struct Tie<'i> {
    code: &'i Ucc,
    known_at: Timestamp,
    source: Source,
    given: CodeAnswer,
    began: Began,
}

impl Book {
    /// Answers a question, with the newest record that the answer is made of.
    pub(crate) fn intake(&self, program: &ProgramId, question: &IntakeQuestion, now: Timestamp) -> (IntakeAnswer, Cursor) {
        let intake: &Intake = &self.intake;
        let answer = match question {
            IntakeQuestion::DueOf(accounts) => {
                IntakeAnswer::Due(accounts.iter().flat_map(|account| self.due_of(program, account, now)).collect(), None)
            }
            IntakeQuestion::DueAfter(after, limit) => {
                let rest = intake.of_account.keys().filter(|account| after.as_ref().is_none_or(|after| *account > after));
                let page: Vec<&AccountId> = rest.take(*limit).collect();
                let last = page.last().filter(|_| page.len() == *limit).map(|last| (*last).clone());
                IntakeAnswer::Due(page.into_iter().flat_map(|account| self.due_of(program, account, now)).collect(), last)
            }
            IntakeQuestion::Code(code, user) => {
                IntakeAnswer::Code(intake.given(code, now), user.as_ref().map(|user| intake.user(user)).unwrap_or_default())
            }
            IntakeQuestion::Mistakes => IntakeAnswer::Mistakes(intake.standing_mistakes()),
        };
        (answer, intake.changed())
    }

    /// What is due of one account.
    fn due_of(&self, program: &ProgramId, account: &AccountId, now: Timestamp) -> Vec<Command> {
        let intake: &Intake = &self.intake;
        let mut due = self.signals_due(program, account, now);
        let Some(tie) = intake.tie(account, now) else { return due };
        let draft = Draft { program, account, tie: &tie, now };
        match tie.began {
            Began::SignUp(at) | Began::Manual(at, _) => {
                due.extend(
                    self.screened_once(now, draft.conversion(&format!("signup.{account}"), ConversionKind::NewSignup, at)),
                );
            }
            Began::Existing | Began::Unsaid => {}
        }
        let demo = intake.step(account, ReferralStep::Demo);
        let demo = demo.and_then(|at| draft.conversion(&format!("demo.{account}"), ConversionKind::DemoAttended, at));
        due.extend(self.screened_once(now, demo));
        let mut payments: Vec<(&Of, &Payment)> = intake.payments_of(account).collect();
        payments.sort_by_key(|(id, payment)| (payment.value, *id));
        let counts = |payment: &Payment| payment.sent_on_purpose || payment.value.0 >= tie.known_at.minus(RETROACTIVE);
        let mut named = Vec::new();
        for (id, payment) in payments {
            let Some((invoice, kind)) = intake.conversion_of(id, payment, now) else { continue };
            let Ok(conversion_id) = ConversionId::new(&format!("{}.{invoice}", id.0.as_str())) else { continue };
            if invoice == id.1 && counts(payment) {
                let conversion = draft.conversion(conversion_id.as_str(), kind, payment.value.0);
                let conversion = conversion.filter(|_| payment.value.1.amount_minor() > 0).map(|mut conversion| {
                    conversion.value = Some(payment.value.1);
                    conversion.invoice_id = InvoiceId::new(invoice.as_str()).ok().filter(|_| kind == ConversionKind::InvoicePaid);
                    conversion
                });
                due.extend(self.screened_once(now, conversion));
            }
            named.push((id, payment, conversion_id));
        }
        for (id, payment, conversion_id) in named {
            let is_there = |command: &Command| matches!(command, Command::Screen(screen) if screen.conversion.conversion_id == conversion_id);
            if self.row(&conversion_id).is_some() || due.iter().any(is_there) {
                due.extend(self.aftermath_due(&draft, id, payment, &conversion_id));
            }
        }
        due
    }

    fn signals_due(&self, program: &ProgramId, account: &AccountId, now: Timestamp) -> Vec<Command> {
        let intake: &Intake = &self.intake;
        let customers = intake.of_account.get(account).into_iter().flatten().filter_map(|id| intake.customers.get(id));
        let held = customers.flat_map(|customer| &customer.held);
        let command = |record: &RecordId| {
            let (_, signals) = intake.held.get(record)?;
            let taken = self.messages.find(MessageKind::Signals, record.as_str(), &self.hasher).is_some();
            let bundles = vec![signals.of(account.clone())];
            (!taken).then(|| {
                Command::RecordSignals(SignalsCommand {
                    program_id: program.clone(),
                    record_id: record.clone(),
                    content: content_of(&bundles),
                    bundles,
                    received_at: now,
                })
            })
        };
        held.filter_map(command).collect()
    }

    fn screened_once(&self, now: Timestamp, conversion: Option<Conversion>) -> Option<Command> {
        let conversion = conversion.filter(|conversion| self.row(&conversion.conversion_id).is_none())?;
        let content = content_of(&conversion);
        Some(Command::Screen(Box::new(ScreenCommand { conversion, content, received_at: now })))
    }

    /// What came after a payment.
    fn aftermath_due(&self, draft: &Draft<'_>, id: &Of, payment: &Payment, conversion_id: &ConversionId) -> Vec<Command> {
        let intake: &Intake = &self.intake;
        let none = Aftermath::default();
        let Aftermath { refunds, disputes, warnings } = intake.aftermaths.get(id).unwrap_or(&none);
        let source = id.0.as_str();
        let mut outcomes = Vec::new();
        for (refund, (at, amount)) in refunds {
            outcomes.push((format!("{source}.{refund}"), OutcomeKind::ChargeRefunded, *at, *amount));
        }
        for (dispute, known) in disputes {
            let (opened_at, amount) = known.opened;
            outcomes.push((format!("{source}.{dispute}"), OutcomeKind::Chargeback, opened_at, amount));
            let won_at = known.won_at.map(|at| at.max(opened_at));
            outcomes.extend(won_at.map(|at| (format!("{source}.{dispute}.won"), OutcomeKind::DisputeWon, at, None)));
        }
        let subscription = payment.subscription.as_ref().filter(|_| payment.of == PaymentOf::Itself);
        if let Some(subscription) = subscription
            && let Some(ended_at) = intake.ended.get(&(id.0, subscription.clone()))
            && *ended_at >= payment.value.0
        {
            let outcome_id = format!("{source}.{subscription}.ended.{}", id.1);
            outcomes.push((outcome_id, OutcomeKind::SubscriptionCanceled, *ended_at, None));
        }
        let outcome = |(outcome_id, kind, at, amount)| self.outcome_once(draft, conversion_id, outcome_id, kind, at, amount);
        let hold = |(warning, _): (&SenderId, &Timestamp)| self.hold_once(draft, conversion_id, &format!("{source}.{warning}"));
        outcomes.into_iter().filter_map(outcome).chain(warnings.iter().filter_map(hold)).collect()
    }

    fn outcome_once(
        &self,
        draft: &Draft<'_>,
        conversion_id: &ConversionId,
        outcome_id: String,
        kind: OutcomeKind,
        at: Timestamp,
        amount: Option<Money>,
    ) -> Option<Command> {
        let outcome_id = RecordId::new(&outcome_id).ok()?;
        if self.messages.find(MessageKind::Outcome, outcome_id.as_str(), &self.hasher).is_some() {
            return None;
        }
        if amount.is_some_and(|amount| amount.amount_minor() == 0) {
            return None;
        }
        let outcome = Outcome {
            program_id: draft.program.clone(),
            outcome_id,
            kind,
            subject: OutcomeSubject::Conversion(conversion_id.clone()),
            occurred_at: at.min(draft.now),
            amount,
            actor: None,
            note: String::new(),
        };
        let content = content_of(&(outcome.outcome_id.as_str(), conversion_id.as_str(), outcome.occurred_at, amount));
        Some(Command::RecordOutcome(OutcomeCommand { outcome, content, received_at: draft.now }))
    }

    fn hold_once(&self, draft: &Draft<'_>, conversion_id: &ConversionId, hold_id: &str) -> Option<Command> {
        let hold_id = HoldId::new(hold_id).ok()?;
        let lifted = self.messages.find(MessageKind::LiftedHold, hold_id.as_str(), &self.hasher).is_some();
        if lifted || self.holds.contains_key(&hold_id) {
            return None;
        }
        let step = HoldStep::Place { hold_id: Some(hold_id), subject: HoldSubject::Conversion(conversion_id.clone()) };
        Some(Command::ChangeHold(HoldCommand {
            program_id: draft.program.clone(),
            step,
            actor: Actor::new(GATEWAY).ok()?,
            note: "the card's issuer warned of fraud on this payment".to_owned(),
            request: None,
            at: draft.now,
        }))
    }
}

/// What all conversions of one referral say.
struct Draft<'d> {
    program: &'d ProgramId,
    account: &'d AccountId,
    tie: &'d Tie<'d>,
    now: Timestamp,
}

impl Draft<'_> {
    fn conversion(&self, id: &str, kind: ConversionKind, at: Timestamp) -> Option<Conversion> {
        let Tie { code, known_at, source, given, began } = self.tie;
        let (captured_via, attached_by) = match began {
            Began::Manual(_, by) => (CapturedVia::Manual, Actor::new(by.as_str()).ok()),
            Began::SignUp(_) | Began::Existing | Began::Unsaid => (CapturedVia::Api, None),
        };
        let referee_standing = match began {
            Began::SignUp(_) | Began::Unsaid => RefereeStanding::New,
            Began::Manual(..) | Began::Existing => RefereeStanding::Existing,
        };
        let code_validity = match given.use_of {
            CodeUse::Open => CodeValidity::Valid,
            CodeUse::Ended => CodeValidity::Invalid,
        };
        Some(Conversion {
            program_id: self.program.clone(),
            conversion_id: ConversionId::new(id).ok()?,
            campaign_id: given.campaign.clone(),
            kind,
            occurred_at: at.min(self.now),
            value: None,
            minimum_purchase: None,
            invoice_id: None,
            referee_standing,
            attribution: Attribution {
                captured_via,
                ucc: Some((*code).clone()),
                code_validity,
                previous_ucc: None,
                captured_at: (*source == Source::Events).then_some(*known_at),
                attached_by,
            },
            referrer: SignalBundle::of_account(given.owner.clone()),
            referee: SignalBundle::of_account(self.account.clone()),
            rewards: Vec::new(),
        })
    }
}

impl Intake {
    fn tie(&self, account: &AccountId, now: Timestamp) -> Option<Tie<'_>> {
        let (known_at, code, id) = self.code_of(account)?;
        let given = self.given(code, known_at)?;
        let began = self.began(account, (known_at, id), now)?;
        Some(Tie { code, known_at, source: id.0, given, began })
    }

    /// How a referral began; absent while that may still be told.
    fn began(&self, account: &AccountId, (known_at, id): (Timestamp, &Of), now: Timestamp) -> Option<Began> {
        if let Some(at) = self.step(account, ReferralStep::SignUp) {
            return Some(Began::SignUp(at));
        }
        if self.step(account, ReferralStep::SignIn).is_some() {
            return Some(Began::Existing);
        }
        let customer = self.customers.get(id)?;
        let waited = customer.taken_at.is_none_or(|taken_at| now >= taken_at.plus(SETTLES_AFTER));
        match (id.0, customer.created_at) {
            (Source::Events, _) => waited.then_some(Began::Unsaid),
            (Source::Stripe | Source::Chargebee, Some(created_at)) if known_at <= created_at.plus(RETROACTIVE) => {
                Some(Began::SignUp(created_at))
            }
            (Source::Stripe | Source::Chargebee, Some(_)) => Some(Began::Manual(known_at, id.0)),
            (Source::Stripe | Source::Chargebee, None) => waited.then_some(Began::Manual(known_at, id.0)),
        }
    }

    /// When an account took a step first.
    fn step(&self, account: &AccountId, step: ReferralStep) -> Option<Timestamp> {
        let customers = self.of_account.get(account).into_iter().flatten().filter_map(|id| self.customers.get(id));
        customers.filter_map(|customer| customer.steps.get(&step).copied()).min()
    }

    fn payments_of(&self, account: &AccountId) -> impl Iterator<Item = (&Of, &Payment)> {
        let customers = self.of_account.get(account).into_iter().flatten();
        customers.flat_map(move |id| {
            let payments = self.customers.get(id).into_iter().flat_map(|customer| &customer.payments);
            payments.filter_map(move |payment| self.payments.get_key_value(&(id.0, payment.clone())))
        })
    }

    /// The sender's id that the conversion of a payment has: of a charge of an invoice that one's. Absent while it may still turn out to be one.
    fn conversion_of(&self, id: &Of, payment: &Payment, now: Timestamp) -> Option<(SenderId, ConversionKind)> {
        let behind = || payment.intent.as_ref().and_then(|intent| self.intents.get(&(id.0, intent.clone())));
        let own = (id.1.clone(), ConversionKind::ChargeSucceeded);
        match &payment.of {
            PaymentOf::Itself => Some((id.1.clone(), ConversionKind::InvoicePaid)),
            PaymentOf::Invoice(invoice) => Some((invoice.clone(), ConversionKind::InvoicePaid)),
            PaymentOf::NoInvoice => Some(own),
            PaymentOf::Unclear => match behind() {
                Some(invoice) => Some((invoice.clone(), ConversionKind::InvoicePaid)),
                None => (now >= payment.taken_at.plus(SETTLES_AFTER)).then_some(own),
            },
        }
    }

    fn user(&self, account: &AccountId) -> UserAnswer {
        let code = self.code_of(account);
        UserAnswer {
            came_by: code.map(|(_, code, _)| code.clone()),
            is_existing: self.step(account, ReferralStep::SignIn).is_some()
                || (code.is_none() && self.of_account.contains_key(account)),
            has_paid: self.payments_of(account).any(|(_, payment)| payment.value.1.amount_minor() > 0),
        }
    }
}

/// A fingerprint of what a command says, for two processes of one build that do the same at once.
fn content_of(said: &impl Hash) -> ContentFingerprint {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    said.hash(&mut hasher);
    ContentFingerprint(hasher.finish128().as_u128().to_be_bytes())
}
