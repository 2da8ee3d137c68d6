//! Records of events that senders send: what each says, as facts.

use super::{bundle, numbers, parts};
use crate::book::event::SourceEventTaken;
use crate::book::intake::{CodeFact, CustomerFact, DisputeFact, Fact, Mistake, PaymentFact, PaymentOf, SenderSignals};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::ids::{AccountId, CampaignId, SenderId, Ucc};

/// What a fact is. The numbers are stored.
mod fact {
    pub(super) const CUSTOMER: u8 = 1;
    pub(super) const SIGNALS: u8 = 2;
    pub(super) const STEP: u8 = 3;
    pub(super) const PAYMENT: u8 = 4;
    pub(super) const OF_INVOICE: u8 = 5;
    pub(super) const GIVEN_BACK: u8 = 6;
    pub(super) const DISPUTED: u8 = 7;
    pub(super) const WARNED: u8 = 8;
    pub(super) const ENDED: u8 = 9;
    pub(super) const CODE: u8 = 10;
}

pub(super) fn write(w: &mut Writer, event: &SourceEventTaken) {
    let SourceEventTaken { source, event_id, at, content, facts, mistakes, received_at } = event;
    w.u8(numbers::source(*source));
    w.text(event_id.as_str());
    w.time(*at);
    parts::write_content(w, *content);
    w.time(*received_at);
    w.list(facts, write_fact);
    w.list(mistakes, |w, Mistake { kind, source, subject }| {
        w.u8(numbers::mistake_kind(*kind));
        w.u8(numbers::source(*source));
        w.text(subject);
    });
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<SourceEventTaken, Damaged> {
    Ok(SourceEventTaken {
        source: numbers::read_source(r.u8()?)?,
        event_id: r.id(SenderId::new)?,
        at: r.time()?,
        content: parts::read_content(r)?,
        received_at: r.time()?,
        facts: r.list(read_fact)?,
        mistakes: r.list(|r| {
            let (kind, source) = (numbers::read_mistake_kind(r.u8()?)?, numbers::read_source(r.u8()?)?);
            Ok(Mistake { kind, source, subject: r.boxed_text()? })
        })?,
    })
}

fn write_id(w: &mut Writer, id: &SenderId) {
    w.text(id.as_str());
}

fn read_id(r: &mut Reader<'_>) -> Result<SenderId, Damaged> {
    r.id(SenderId::new)
}

fn write_fact(w: &mut Writer, fact: &Fact) {
    match fact {
        Fact::Customer(CustomerFact { customer, created_at, account, code }) => {
            w.u8(fact::CUSTOMER);
            write_id(w, customer);
            w.option(*created_at, Writer::time);
            w.option(account.as_ref(), |w, account| w.text(account.as_str()));
            w.option(code.as_ref(), |w, code| w.text(code.as_str()));
        }
        Fact::Signals(customer, signals) => {
            w.u8(fact::SIGNALS);
            write_id(w, customer);
            write_signals(w, signals);
        }
        Fact::Step(customer, step) => {
            w.u8(fact::STEP);
            write_id(w, customer);
            w.u8(numbers::referral_step(*step));
        }
        Fact::Payment(payment) => {
            w.u8(fact::PAYMENT);
            write_payment(w, payment);
        }
        Fact::OfInvoice { intent, invoice } => {
            w.u8(fact::OF_INVOICE);
            write_id(w, intent);
            write_id(w, invoice);
        }
        Fact::GivenBack { payment, refund, amount } => {
            w.u8(fact::GIVEN_BACK);
            write_id(w, payment);
            write_id(w, refund);
            w.option(*amount, parts::write_money);
        }
        Fact::Disputed(DisputeFact { payment, dispute, amount, opened_at, won_at }) => {
            w.u8(fact::DISPUTED);
            write_id(w, payment);
            write_id(w, dispute);
            w.option(*amount, parts::write_money);
            w.time(*opened_at);
            w.option(*won_at, Writer::time);
        }
        Fact::Warned { payment, warning } => {
            w.u8(fact::WARNED);
            write_id(w, payment);
            write_id(w, warning);
        }
        Fact::Ended(subscription) => {
            w.u8(fact::ENDED);
            write_id(w, subscription);
        }
        Fact::Code(CodeFact { code, owner, campaign, use_of }) => {
            w.u8(fact::CODE);
            w.text(code.as_str());
            w.option(owner.as_ref(), |w, owner| w.text(owner.as_str()));
            w.option(campaign.as_ref(), |w, campaign| w.text(campaign.as_str()));
            w.u8(numbers::code_use(*use_of));
        }
    }
}

fn read_fact(r: &mut Reader<'_>) -> Result<Fact, Damaged> {
    Ok(match r.u8()? {
        fact::CUSTOMER => Fact::Customer(CustomerFact {
            customer: read_id(r)?,
            created_at: r.option(Reader::time)?,
            account: r.option(|r| r.id(AccountId::new))?,
            code: r.option(|r| r.id(Ucc::new))?,
        }),
        fact::SIGNALS => Fact::Signals(read_id(r)?, Box::new(read_signals(r)?)),
        fact::STEP => Fact::Step(read_id(r)?, numbers::read_referral_step(r.u8()?)?),
        fact::PAYMENT => Fact::Payment(Box::new(read_payment(r)?)),
        fact::OF_INVOICE => Fact::OfInvoice { intent: read_id(r)?, invoice: read_id(r)? },
        fact::GIVEN_BACK => Fact::GivenBack { payment: read_id(r)?, refund: read_id(r)?, amount: r.option(parts::read_money)? },
        fact::DISPUTED => Fact::Disputed(DisputeFact {
            payment: read_id(r)?,
            dispute: read_id(r)?,
            amount: r.option(parts::read_money)?,
            opened_at: r.time()?,
            won_at: r.option(Reader::time)?,
        }),
        fact::WARNED => Fact::Warned { payment: read_id(r)?, warning: read_id(r)? },
        fact::ENDED => Fact::Ended(read_id(r)?),
        fact::CODE => Fact::Code(CodeFact {
            code: r.id(Ucc::new)?,
            owner: r.option(|r| r.id(AccountId::new))?,
            campaign: r.option(|r| r.id(CampaignId::new))?,
            use_of: numbers::read_code_use(r.u8()?)?,
        }),
        _ => return Err(Damaged("a number stands for no fact")),
    })
}

/// In the form of a bundle, whose account is not known yet.
fn write_signals(w: &mut Writer, SenderSignals { opened_at, emails, names, payments }: &SenderSignals) {
    w.option(*opened_at, Writer::time);
    w.list(emails, bundle::write_email);
    w.list(names, bundle::write_name);
    w.list(payments, bundle::write_payment);
}

fn read_signals(r: &mut Reader<'_>) -> Result<SenderSignals, Damaged> {
    Ok(SenderSignals {
        opened_at: r.option(Reader::time)?,
        emails: r.list(bundle::read_email)?,
        names: r.list(bundle::read_name)?,
        payments: r.list(bundle::read_payment)?,
    })
}

fn write_payment(w: &mut Writer, payment: &PaymentFact) {
    let PaymentFact { payment, customer, value, paid_at, of, intent, subscription } = payment;
    write_id(w, payment);
    w.option(customer.as_ref(), write_id);
    parts::write_money(w, *value);
    w.time(*paid_at);
    let of_invoice = match of {
        PaymentOf::Unclear => (1, None),
        PaymentOf::NoInvoice => (2, None),
        PaymentOf::Itself => (3, None),
        PaymentOf::Invoice(invoice) => (4, Some(invoice)),
    };
    w.u8(of_invoice.0);
    of_invoice.1.into_iter().for_each(|invoice| write_id(w, invoice));
    w.option(intent.as_ref(), write_id);
    w.option(subscription.as_ref(), write_id);
}

fn read_payment(r: &mut Reader<'_>) -> Result<PaymentFact, Damaged> {
    Ok(PaymentFact {
        payment: read_id(r)?,
        customer: r.option(read_id)?,
        value: parts::read_money(r)?,
        paid_at: r.time()?,
        of: match r.u8()? {
            1 => PaymentOf::Unclear,
            2 => PaymentOf::NoInvoice,
            3 => PaymentOf::Itself,
            4 => PaymentOf::Invoice(read_id(r)?),
            _ => return Err(Damaged("a number stands for no kind of payment")),
        },
        intent: r.option(read_id)?,
        subscription: r.option(read_id)?,
    })
}
