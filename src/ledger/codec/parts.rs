//! Small values that several records and rows hold: money, case states, subjects. Called by the codecs and the rows.

use super::numbers;
use crate::book::records::{ContentFingerprint, HoldSubject, ListEntry, ListSubject};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::screening::case::CaseState;
use crate::screening::history::Identifier;
use crate::vocabulary::ids::{AccountId, Actor, ConversionId};
use crate::vocabulary::money::Money;

pub(crate) fn write_money(w: &mut Writer, money: Money) {
    w.i64(money.amount_minor());
    w.raw(money.currency().as_str().as_bytes());
}

pub(crate) fn read_money(r: &mut Reader<'_>) -> Result<Money, Damaged> {
    let amount_minor = r.i64()?;
    let currency = std::str::from_utf8(r.raw(3)?).map_err(|_| Damaged("a currency is not text"))?;
    Money::new(amount_minor, currency).map_err(|_| Damaged("an amount is not valid"))
}

pub(crate) fn write_case_state(w: &mut Writer, state: &CaseState) {
    match state {
        CaseState::Open => w.u8(1),
        CaseState::Claimed { by, lease_until } => {
            w.u8(2);
            w.text(by.as_str());
            w.time(*lease_until);
        }
        CaseState::Resolved { by, resolution } => {
            w.u8(3);
            w.text(by.as_str());
            w.u8(numbers::resolution(*resolution));
        }
    }
}

pub(crate) fn read_case_state(r: &mut Reader<'_>) -> Result<CaseState, Damaged> {
    match r.u8()? {
        1 => Ok(CaseState::Open),
        2 => Ok(CaseState::Claimed { by: r.id(Actor::new)?, lease_until: r.time()? }),
        3 => Ok(CaseState::Resolved { by: r.id(Actor::new)?, resolution: numbers::read_resolution(r.u8()?)? }),
        _ => Err(Damaged("a number stands for no state of a case")),
    }
}

pub(crate) fn write_content(w: &mut Writer, content: ContentFingerprint) {
    w.raw(&content.0);
}

pub(crate) fn read_content(r: &mut Reader<'_>) -> Result<ContentFingerprint, Damaged> {
    r.array().map(ContentFingerprint)
}

pub(crate) fn write_hold_subject(w: &mut Writer, subject: &HoldSubject) {
    match subject {
        HoldSubject::Conversion(id) => {
            w.u8(1);
            w.text(id.as_str());
        }
        HoldSubject::Referrer(id) => {
            w.u8(2);
            w.text(id.as_str());
        }
    }
}

pub(crate) fn read_hold_subject(r: &mut Reader<'_>) -> Result<HoldSubject, Damaged> {
    match r.u8()? {
        1 => r.id(ConversionId::new).map(HoldSubject::Conversion),
        2 => r.id(AccountId::new).map(HoldSubject::Referrer),
        _ => Err(Damaged("a number stands for no subject of a hold")),
    }
}

pub(crate) fn write_list_entry(w: &mut Writer, entry: &ListEntry) {
    let ListEntry { list, subject, actor, note, placed_at, expires_at } = entry;
    w.u8(numbers::list_kind(*list));
    match subject {
        ListSubject::Account(id) => {
            w.u8(0);
            w.text(id.as_str());
        }
        ListSubject::Identifier(Identifier { kind, digest }) => {
            w.u8(numbers::identifier_kind(*kind));
            w.digest(digest);
        }
    }
    w.text(actor.as_str());
    w.text(note);
    w.time(*placed_at);
    w.option(*expires_at, Writer::time);
}

pub(crate) fn read_list_entry(r: &mut Reader<'_>) -> Result<ListEntry, Damaged> {
    Ok(ListEntry {
        list: numbers::read_list_kind(r.u8()?)?,
        subject: match r.u8()? {
            0 => ListSubject::Account(r.id(AccountId::new)?),
            kind => ListSubject::Identifier(Identifier { kind: numbers::read_identifier_kind(kind)?, digest: r.digest()? }),
        },
        actor: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        placed_at: r.time()?,
        expires_at: r.option(Reader::time)?,
    })
}
