//! What senders' own events add up to: which customer is which account, whose code brought it, what was paid, given back and disputed. What has to be
//! screened and recorded because of it is in `due`, a pure function of this.
//!
//! INVARIANT: taking facts is commutative and idempotent, times of taking apart: the earliest statement counts, sets are united. So events come in any
//! order and as often as they like.

mod due;
mod facts;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::facts::{
    CodeFact, CodeUse, CustomerFact, DisputeFact, FACTS_MAX, Fact, Mistake, MistakeKind, PaymentFact, PaymentOf, ReferralStep,
    SenderSignals,
};
use super::event::SourceEventTaken;
use super::records::Cursor;
use crate::vocabulary::ids::{AccountId, CampaignId, RecordId, SenderId, Ucc};
use crate::vocabulary::money::{Currency, Money};
use crate::vocabulary::source::Source;
use crate::vocabulary::time::{CLOCK_SKEW_TOLERANCE, Span, Timestamp};

/// How long after a payment, or after the customer was first known, a code that is attached still counts for it.
pub const RETROACTIVE: Span = Span::from_days(7);
/// How long something waits for what makes it clear: a charge for its invoice, a payment for its sign-up.
pub const SETTLES_AFTER: Span = Span::from_hours(1);
/// Mistakes that are remembered; the oldest go first.
const MISTAKES_MAX: usize = 500;
/// Distinct amounts that are remembered.
const AMOUNTS_MAX: usize = 1_000;
/// What a row takes, about. Unit: bytes.
const ROW_BYTES: usize = 320;

/// An id with who uses it.
type Of<I = SenderId> = (Source, I);

/// A statement with when it was made. Of several the earliest counts.
type Stated<T> = Option<(Timestamp, T)>;

/// Keeps the earlier of two statements; of two at one time the smaller, so that no order decides.
fn state<T: Ord>(known: &mut Stated<T>, at: Timestamp, value: T) {
    let new = (at, value);
    if known.as_ref().is_none_or(|known| new < *known) {
        *known = Some(new);
    }
}

/// A customer of a sender's.
#[derive(Debug, Clone, Default, Hash, Serialize, Deserialize)]
struct Customer {
    created_at: Option<Timestamp>,
    account: Stated<AccountId>,
    code: Stated<Ucc>,
    steps: BTreeMap<ReferralStep, Timestamp>,
    payments: BTreeSet<SenderId>,
    /// Signals that are not recorded yet.
    held: BTreeSet<RecordId>,
    /// When the first event of it was taken.
    taken_at: Option<Timestamp>,
}

/// A payment.
#[derive(Debug, Clone, Hash, Serialize, Deserialize)]
struct Payment {
    customer: Option<SenderId>,
    value: (Timestamp, Money),
    of: PaymentOf,
    intent: Option<SenderId>,
    subscription: Option<SenderId>,
    taken_at: Timestamp,
    /// Whether it was sent, or sent again, when the referral was known: then it counts however old it is.
    sent_on_purpose: bool,
}

/// What came after a payment, or before it was known.
#[derive(Debug, Clone, Default, Hash, Serialize, Deserialize)]
struct Aftermath {
    refunds: BTreeMap<SenderId, (Timestamp, Option<Money>)>,
    disputes: BTreeMap<SenderId, Dispute>,
    warnings: BTreeMap<SenderId, Timestamp>,
}

#[derive(Debug, Clone, Hash, Serialize, Deserialize)]
struct Dispute {
    opened: (Timestamp, Option<Money>),
    won_at: Option<Timestamp>,
}

/// Whose a code is from a time on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Given {
    from: Timestamp,
    owner: Option<AccountId>,
    campaign: Option<CampaignId>,
    use_of: CodeUse,
}

/// Whose a code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeAnswer {
    /// Whose.
    pub owner: AccountId,
    /// The campaign; absent for the default one.
    pub campaign: Option<CampaignId>,
    /// Whether new users may use it.
    pub use_of: CodeUse,
}

/// What is asked of what senders said.
#[derive(Debug, Clone)]
pub enum IntakeQuestion {
    /// What is due of these accounts.
    DueOf(Vec<AccountId>),
    /// What is due of the accounts after one, or from the first on: a page of so many accounts.
    DueAfter(Option<AccountId>, usize),
    /// Whose a code is now, and what is known of whoever wants to use it.
    Code(Ucc, Option<AccountId>),
    /// What looks like mistakes and stands.
    Mistakes,
}

/// The answer to [`IntakeQuestion`].
#[derive(Debug, Clone)]
pub enum IntakeAnswer {
    /// Commands, in the order in which they are to be done; and the last account that was looked at where there are more.
    Due(Vec<super::command::Command>, Option<AccountId>),
    /// Whose the code is; absent when nobody said. And the user.
    Code(Option<CodeAnswer>, UserAnswer),
    /// The mistakes with when each was noticed, newest first.
    Mistakes(Vec<(Timestamp, Mistake)>),
}

/// What is known of a user who wants to use a code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAnswer {
    /// The code that brought him; absent when none did.
    pub came_by: Option<Ucc>,
    /// Whether he had an account before.
    pub is_existing: bool,
    /// Whether he paid before.
    pub has_paid: bool,
}

/// Everything that senders' own events say.
#[derive(Debug, Clone, Default, Hash, Serialize, Deserialize)]
pub(crate) struct Intake {
    customers: BTreeMap<Of, Customer>,
    of_account: BTreeMap<AccountId, BTreeSet<Of>>,
    of_code: BTreeMap<Ucc, BTreeSet<Of>>,
    codes: BTreeMap<Ucc, BTreeSet<Given>>,
    payments: BTreeMap<Of, Payment>,
    /// The invoice behind an intent.
    intents: BTreeMap<Of, SenderId>,
    aftermaths: BTreeMap<Of, Aftermath>,
    ended: BTreeMap<Of, Timestamp>,
    held: BTreeMap<RecordId, (Of, SenderSignals)>,
    amounts: BTreeSet<(Currency, i64)>,
    mistakes: BTreeMap<Mistake, Timestamp>,
    changed: Cursor,
}

impl Intake {
    /// Takes what an event says. Commutative and idempotent, but for what counts because it was sent on purpose.
    pub(super) fn take(&mut self, cursor: Cursor, event: &SourceEventTaken) {
        let SourceEventTaken { source, event_id, at, content: _, facts, mistakes, received_at } = event;
        self.changed = cursor;
        let on_purpose: Vec<SenderId> = self.sent_on_purpose(*source, facts);
        for fact in facts {
            self.take_fact((*source, event_id), (*at, *received_at), fact);
        }
        for payment in on_purpose {
            if let Some(payment) = self.payments.get_mut(&(*source, payment)) {
                payment.sent_on_purpose = true;
            }
        }
        for mistake in mistakes {
            self.mistakes.entry(mistake.clone()).or_insert(*received_at);
        }
        while self.mistakes.len() > MISTAKES_MAX {
            let oldest = self.mistakes.iter().min_by_key(|(_, at)| **at).map(|(mistake, _)| mistake.clone());
            oldest.map(|oldest| self.mistakes.remove(&oldest));
        }
    }

    fn take_fact(&mut self, (source, event_id): (Source, &SenderId), (at, received_at): (Timestamp, Timestamp), fact: &Fact) {
        match fact {
            Fact::Customer(customer) => self.customer(source, at, received_at, customer),
            Fact::Signals(customer, signals) => {
                if let Some(record) = record_of(source, event_id) {
                    let customer_id = (source, customer.clone());
                    self.known(source, customer, received_at).held.insert(record.clone());
                    self.held.insert(record, (customer_id, (**signals).clone()));
                }
            }
            Fact::Step(customer, step) => {
                let first = self.known(source, customer, received_at).steps.entry(*step).or_insert(at);
                *first = at.min(*first);
            }
            Fact::Payment(payment) => self.payment(source, received_at, payment),
            Fact::OfInvoice { intent, invoice } => {
                self.intents.insert((source, intent.clone()), invoice.clone());
            }
            Fact::GivenBack { payment, refund, amount } => {
                let known = self.aftermath(source, payment).refunds.entry(refund.clone()).or_insert((at, *amount));
                *known = (*known).min((at, *amount));
            }
            Fact::Disputed(DisputeFact { payment, dispute, amount, opened_at, won_at }) => {
                let new = Dispute { opened: (*opened_at, *amount), won_at: *won_at };
                let known = self.aftermath(source, payment).disputes.entry(dispute.clone()).or_insert(new);
                known.opened = known.opened.min((*opened_at, *amount));
                known.won_at = earliest(known.won_at, *won_at);
            }
            Fact::Warned { payment, warning } => {
                let known = self.aftermath(source, payment).warnings.entry(warning.clone()).or_insert(at);
                *known = at.min(*known);
            }
            Fact::Ended(subscription) => {
                let known = self.ended.entry((source, subscription.clone())).or_insert(at);
                *known = at.min(*known);
            }
            Fact::Code(CodeFact { code, owner, campaign, use_of }) => {
                let given = Given { from: at, owner: owner.clone(), campaign: campaign.clone(), use_of: *use_of };
                self.codes.entry(code.clone()).or_default().insert(given);
            }
        }
    }

    fn known(&mut self, source: Source, customer: &SenderId, received_at: Timestamp) -> &mut Customer {
        let known = self.customers.entry((source, customer.clone())).or_default();
        known.taken_at.get_or_insert(received_at);
        known
    }

    fn customer(&mut self, source: Source, at: Timestamp, received_at: Timestamp, fact: &CustomerFact) {
        let CustomerFact { customer, created_at, account, code } = fact;
        let id = (source, customer.clone());
        let known = self.known(source, customer, received_at);
        known.created_at = earliest(known.created_at, *created_at);
        let before = (known.account.clone(), known.code.clone());
        if let Some(account) = account {
            state(&mut known.account, at, account.clone());
        }
        if let Some(code) = code {
            state(&mut known.code, at, code.clone());
        }
        let after = (known.account.clone(), known.code.clone());
        re_enter(&mut self.of_account, &id, before.0, after.0);
        re_enter(&mut self.of_code, &id, before.1, after.1);
    }

    fn payment(&mut self, source: Source, received_at: Timestamp, fact: &PaymentFact) {
        let PaymentFact { payment, customer, value, paid_at, of, intent, subscription } = fact;
        let new = Payment {
            customer: None,
            value: (*paid_at, *value),
            of: of.clone(),
            intent: None,
            subscription: None,
            taken_at: received_at,
            sent_on_purpose: false,
        };
        let known = self.payments.entry((source, payment.clone())).or_insert(new);
        known.value = known.value.min((*paid_at, *value));
        if *of > known.of {
            known.of = of.clone();
        }
        for (known, new) in
            [(&mut known.customer, customer), (&mut known.intent, intent), (&mut known.subscription, subscription)]
        {
            let smallest = known.take().into_iter().chain(new.clone()).min();
            *known = smallest;
        }
        if let (PaymentOf::Itself, Some(intent)) = (of, intent) {
            self.intents.insert((source, intent.clone()), payment.clone());
        }
        if let Some(customer) = customer {
            self.known(source, customer, received_at).payments.insert(payment.clone());
        }
        if self.amounts.len() < AMOUNTS_MAX {
            self.amounts.insert((value.currency(), value.amount_minor()));
        }
    }

    fn aftermath(&mut self, source: Source, payment: &SenderId) -> &mut Aftermath {
        self.aftermaths.entry((source, payment.clone())).or_default()
    }

    /// Signals were recorded: they need not be held any more.
    pub(super) fn recorded(&mut self, record: &RecordId) {
        if let Some((customer, _)) = self.held.remove(record)
            && let Some(customer) = self.customers.get_mut(&customer)
        {
            customer.held.remove(record);
        }
    }

    pub(super) fn holds(&self, record: &RecordId) -> bool {
        self.held.contains_key(record)
    }

    /// Payments among these facts that are older than the referral by more than counts by itself, and are sent when it is known.
    fn sent_on_purpose(&self, source: Source, facts: &[Fact]) -> Vec<SenderId> {
        let old = |fact: &&PaymentFact| {
            let customer = fact.customer.as_ref().and_then(|customer| self.customers.get(&(source, customer.clone())));
            let account = customer.and_then(|customer| customer.account.as_ref());
            let code = account.and_then(|(_, account)| self.code_of(account));
            code.is_some_and(|(known_at, _, _)| fact.paid_at < known_at.minus(RETROACTIVE))
        };
        payments_of(facts).filter(old).map(|fact| fact.payment.clone()).collect()
    }

    /// Whether an event that was taken before would change something when it is sent again: an old payment counts then.
    pub(super) fn would_count(&self, source: Source, facts: &[Fact]) -> bool {
        let counts = |payment: SenderId| self.payments.get(&(source, payment)).is_none_or(|known| !known.sent_on_purpose);
        self.sent_on_purpose(source, facts).into_iter().any(counts)
    }

    /// The code that brought an account: the earliest, with who attached it.
    fn code_of(&self, account: &AccountId) -> Option<(Timestamp, &Ucc, &Of)> {
        let customers = self.of_account.get(account)?;
        let stated = |id| self.customers.get(id).and_then(|customer| customer.code.as_ref());
        customers.iter().filter_map(|id| stated(id).map(|(at, code)| (*at, code, id))).min()
    }

    /// Whose a code is at a time; of a code that was given later, at its beginning.
    fn given(&self, code: &Ucc, at: Timestamp) -> Option<CodeAnswer> {
        let all = self.codes.get(code)?;
        let then = all.iter().rev().find(|given| given.from <= at).or(all.first())?;
        let before = all.iter().rev().filter(|given| given.from <= at).find_map(|given| given.owner.clone());
        let owner = before.or_else(|| all.iter().find_map(|given| given.owner.clone()))?;
        Some(CodeAnswer { owner, campaign: then.campaign.clone(), use_of: then.use_of })
    }

    /// What looks like a mistake in an event, as far as it was not told before.
    pub(super) fn mistakes_in(&self, (source, at): (Source, Timestamp), facts: &[Fact], noticed: Vec<Mistake>) -> Vec<Mistake> {
        let mut found: Vec<Mistake> = noticed;
        let mut add = |kind, subject: &str| found.push(Mistake { kind, source, subject: subject.into() });
        let codes_given: BTreeSet<&Ucc> =
            facts.iter().filter_map(|fact| if let Fact::Code(code) = fact { Some(&code.code) } else { None }).collect();
        for fact in facts {
            match fact {
                Fact::Customer(CustomerFact { customer, account, code: Some(code), .. }) => {
                    let known = self.customers.get(&(source, customer.clone()));
                    if account.is_none() && known.is_none_or(|known| known.account.is_none()) {
                        add(MistakeKind::NoAccount, customer.as_str());
                    }
                    if !codes_given.contains(code) && self.given(code, at).is_none() {
                        add(MistakeKind::UnknownCode, code.as_str());
                    }
                }
                Fact::Payment(payment) if source == Source::Events => {
                    let (minor, currency) = (payment.value.amount_minor(), payment.value.currency());
                    let usual =
                        minor.checked_mul(100).is_some_and(|usual| minor > 0 && self.amounts.contains(&(currency, usual)));
                    if usual && !self.amounts.contains(&(currency, minor)) {
                        add(MistakeKind::AmountInMajorUnits, &format!("{minor} {}", currency.as_str()));
                    }
                    if payment.customer.as_ref().is_some_and(|customer| self.signed_up_after(customer, payment.paid_at)) {
                        add(MistakeKind::BeforeSignUp, payment.customer.as_ref().map_or("", SenderId::as_str));
                    }
                }
                Fact::Step(customer, ReferralStep::Demo) if self.signed_up_after(customer, at) => {
                    add(MistakeKind::BeforeSignUp, customer.as_str());
                }
                Fact::Step(customer, ReferralStep::SignUp) if source == Source::Events && self.paid_before(customer, at) => {
                    add(MistakeKind::BeforeSignUp, customer.as_str());
                }
                Fact::Customer(_)
                | Fact::Signals(..)
                | Fact::Step(..)
                | Fact::Payment(_)
                | Fact::OfInvoice { .. }
                | Fact::GivenBack { .. }
                | Fact::Disputed(_)
                | Fact::Warned { .. }
                | Fact::Ended(_)
                | Fact::Code(_) => {}
            }
        }
        found.sort();
        found.dedup();
        found.retain(|mistake| !self.mistakes.contains_key(mistake));
        found
    }

    fn signed_up_after(&self, customer: &SenderId, at: Timestamp) -> bool {
        let known = self.customers.get(&(Source::Events, customer.clone()));
        let signed_up = known.and_then(|known| known.steps.get(&ReferralStep::SignUp));
        signed_up.is_some_and(|signed_up| at < signed_up.minus(CLOCK_SKEW_TOLERANCE))
    }

    fn paid_before(&self, customer: &SenderId, at: Timestamp) -> bool {
        let known = self.customers.get(&(Source::Events, customer.clone()));
        let payments = known.into_iter().flat_map(|known| &known.payments);
        let paid_at = |payment: &SenderId| self.payments.get(&(Source::Events, payment.clone())).map(|payment| payment.value.0);
        payments.filter_map(paid_at).any(|paid_at| paid_at < at.minus(CLOCK_SKEW_TOLERANCE))
    }

    /// The mistakes that stand, newest first: a code whose owner was named since is none any more.
    pub(super) fn standing_mistakes(&self) -> Vec<(Timestamp, Mistake)> {
        let stands = |mistake: &Mistake| match mistake.kind {
            MistakeKind::UnknownCode => Ucc::new(&mistake.subject).is_ok_and(|code| !self.codes.contains_key(&code)),
            MistakeKind::NoAccount => SenderId::new(&mistake.subject).is_ok_and(|customer| {
                self.customers.get(&(mistake.source, customer)).is_none_or(|customer| customer.account.is_none())
            }),
            MistakeKind::AmountInMajorUnits
            | MistakeKind::SandboxIntoProduction
            | MistakeKind::BeforeSignUp
            | MistakeKind::Unreadable => true,
        };
        let mut found: Vec<_> =
            self.mistakes.iter().filter(|(mistake, _)| stands(mistake)).map(|(mistake, at)| (*at, mistake.clone())).collect();
        found.sort_by(|a, b| b.cmp(a));
        found
    }

    /// Whose a sender's customer is; absent when nobody said.
    pub(super) fn account_of(&self, source: Source, customer: &SenderId) -> Option<&AccountId> {
        let customer = self.customers.get(&(source, customer.clone()))?;
        customer.account.as_ref().map(|(_, account)| account)
    }

    /// The accounts of which facts may make something due.
    pub(super) fn accounts_of(&self, source: Source, facts: &[Fact]) -> Vec<AccountId> {
        let mut customers: BTreeSet<Of> = BTreeSet::new();
        let mut of_payment = |payment: &SenderId| {
            let known = self.payments.get(&(source, payment.clone()));
            customers.extend(known.and_then(|known| known.customer.clone()).map(|customer| (source, customer)));
        };
        for fact in facts {
            match fact {
                Fact::GivenBack { payment, .. } | Fact::Warned { payment, .. } => of_payment(payment),
                Fact::Disputed(dispute) => of_payment(&dispute.payment),
                Fact::OfInvoice { invoice, .. } => of_payment(invoice),
                Fact::Payment(payment) => of_payment(&payment.payment),
                Fact::Customer(_) | Fact::Signals(..) | Fact::Step(..) | Fact::Ended(_) | Fact::Code(_) => {}
            }
        }
        for fact in facts {
            match fact {
                Fact::Customer(CustomerFact { customer, .. }) | Fact::Signals(customer, _) | Fact::Step(customer, _) => {
                    customers.insert((source, customer.clone()));
                }
                Fact::Code(code) => customers.extend(self.of_code.get(&code.code).into_iter().flatten().cloned()),
                Fact::Ended(subscription) => {
                    let of_it = |payment: &&Payment| payment.subscription.as_ref() == Some(subscription);
                    let all = self.payments.iter().filter(|((of, _), _)| *of == source).map(|(_, payment)| payment);
                    customers.extend(all.filter(of_it).filter_map(|payment| Some((source, payment.customer.clone()?))));
                }
                Fact::Payment(_) | Fact::OfInvoice { .. } | Fact::GivenBack { .. } | Fact::Disputed(_) | Fact::Warned { .. } => {}
            }
        }
        let account =
            |id: &Of| self.customers.get(id).and_then(|known| known.account.as_ref()).map(|(_, account)| account.clone());
        let accounts: BTreeSet<AccountId> = customers.iter().filter_map(account).collect();
        accounts.into_iter().collect()
    }

    /// What of an event must be known for longer than its record is kept: what made a customer somebody's, and whose a code is.
    pub(super) fn still_says(&self, event: &SourceEventTaken) -> bool {
        event.lasting().any(|fact| match fact {
            Fact::Customer(CustomerFact { customer, account, code, .. }) => {
                let known = self.customers.get(&(event.source, customer.clone()));
                known.is_some_and(|known| {
                    let of_account = account.as_ref().is_some_and(|it| known.account.as_ref() == Some(&(event.at, it.clone())));
                    of_account || code.as_ref().is_some_and(|it| known.code.as_ref() == Some(&(event.at, it.clone())))
                })
            }
            Fact::Code(code) => self.codes.contains_key(&code.code),
            Fact::Step(..) => true,
            Fact::Signals(..)
            | Fact::Payment(_)
            | Fact::OfInvoice { .. }
            | Fact::GivenBack { .. }
            | Fact::Disputed(_)
            | Fact::Warned { .. }
            | Fact::Ended(_) => false,
        })
    }

    /// The newest record that changed any of it.
    pub(super) const fn changed(&self) -> Cursor {
        self.changed
    }

    /// What it takes, about. Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        let rows = 2 * self.customers.len() + self.payments.len() + self.intents.len() + self.aftermaths.len() + self.codes.len();
        rows * ROW_BYTES + self.held.len() * 8 * ROW_BYTES
    }
}

/// The id under which the signals of an event are recorded.
pub(super) fn record_of(source: Source, event_id: &SenderId) -> Option<RecordId> {
    RecordId::new(&format!("{}.{event_id}", source.as_str())).ok()
}

/// The name under which an event that was taken is remembered.
pub(super) fn message_of(source: Source, event_id: &SenderId) -> String {
    format!("{}.{event_id}", source.as_str())
}

fn payments_of(facts: &[Fact]) -> impl Iterator<Item = &PaymentFact> {
    facts.iter().filter_map(|fact| if let Fact::Payment(payment) = fact { Some(&**payment) } else { None })
}

/// Moves a customer to where it belongs by now.
fn re_enter<K: Ord + Clone>(index: &mut BTreeMap<K, BTreeSet<Of>>, id: &Of, before: Stated<K>, after: Stated<K>) {
    let (before, after) = (before.map(|(_, key)| key), after.map(|(_, key)| key));
    if before == after {
        return;
    }
    if let Some(before) = before
        && let Some(ids) = index.get_mut(&before)
    {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(&before);
        }
    }
    if let Some(after) = after {
        index.entry(after).or_default().insert(id.clone());
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}
