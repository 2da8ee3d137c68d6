//! Records of looks and erasures, and the form of a record from which an account's signals were taken.

use super::{decode, encode, payouts};
use crate::book::erasures::{AccountErased, ErasureFinished};
use crate::book::event::Event;
use crate::book::looks::{Look, Looked, Seen};
use crate::book::records::Cursor;
use crate::book::trail::{KeptEntry, TrailKept};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::ids::{AccountId, Actor, ConversionId};

pub(super) fn write_looked(w: &mut Writer, Looked { actor, looks, at }: &Looked) {
    w.text(actor.as_str());
    w.time(*at);
    w.list(looks, |w, Look { seen, at }| {
        match seen {
            Seen::Case(id) => {
                w.u8(1);
                w.text(id.as_str());
            }
            Seen::Decision(id) => {
                w.u8(2);
                w.text(id.as_str());
            }
            Seen::Account(id) => {
                w.u8(3);
                w.text(id.as_str());
            }
            Seen::Cluster(id) => {
                w.u8(4);
                w.text(id.as_str());
            }
            Seen::Export => w.u8(5),
            Seen::Backup => w.u8(6),
            Seen::Trail => w.u8(7),
        }
        w.time(*at);
    });
}

pub(super) fn read_looked(r: &mut Reader<'_>) -> Result<Looked, Damaged> {
    let (actor, at) = (r.id(Actor::new)?, r.time()?);
    let looks = r.list(|r| {
        let seen = match r.u8()? {
            1 => Seen::Case(r.id(ConversionId::new)?),
            2 => Seen::Decision(r.id(ConversionId::new)?),
            3 => Seen::Account(r.id(AccountId::new)?),
            4 => Seen::Cluster(r.id(AccountId::new)?),
            5 => Seen::Export,
            6 => Seen::Backup,
            7 => Seen::Trail,
            _ => return Err(Damaged("a number stands for nothing that is looked at")),
        };
        Ok(Look { seen, at: r.time()? })
    })?;
    Ok(Looked { actor, looks, at })
}

pub(super) fn write_erased(w: &mut Writer, AccountErased { account_id, actor, reason_code, request, at }: &AccountErased) {
    w.text(account_id.as_str());
    w.text(actor.as_str());
    w.text(reason_code);
    w.option(request.as_ref(), payouts::write_request);
    w.time(*at);
}

pub(super) fn read_erased(r: &mut Reader<'_>) -> Result<AccountErased, Damaged> {
    Ok(AccountErased {
        account_id: r.id(AccountId::new)?,
        actor: r.id(Actor::new)?,
        reason_code: r.text()?.to_owned(),
        request: r.option(payouts::read_request)?,
        at: r.time()?,
    })
}

pub(super) fn write_finished(w: &mut Writer, ErasureFinished { asked, rewritten, at }: &ErasureFinished) {
    w.list(asked, |w, place| w.u64(place.0));
    w.list(rewritten, |w, (place, hash)| {
        w.u64(place.0);
        w.raw(hash);
    });
    w.time(*at);
}

pub(super) fn read_finished(r: &mut Reader<'_>) -> Result<ErasureFinished, Damaged> {
    Ok(ErasureFinished {
        asked: r.list(|r| r.u64().map(Cursor))?,
        rewritten: r.list(|r| Ok((Cursor(r.u64()?), r.array()?)))?,
        at: r.time()?,
    })
}

pub(super) fn write_kept(w: &mut Writer, TrailKept { first, entries, beside }: &TrailKept) {
    w.u64(first.0);
    w.list(entries, |w, KeptEntry { leaf, text }| {
        w.raw(leaf);
        w.option(text.as_deref(), Writer::text);
    });
    w.option(beside.as_deref(), |w, event: &Event| {
        let record = encode(event);
        w.len(record.len());
        w.raw(&record);
    });
}

pub(super) fn read_kept(r: &mut Reader<'_>) -> Result<TrailKept, Damaged> {
    Ok(TrailKept {
        first: Cursor(r.u64()?),
        entries: r.list(|r| Ok(KeptEntry { leaf: r.array()?, text: r.option(|r| Ok(r.text()?.to_owned()))? }))?,
        beside: r.option(|r| {
            let length = r.len()?;
            match decode(r.raw(length)?)? {
                Event::TrailKept(_) => Err(Damaged("what outlives a trail stands beside another")),
                event => Ok(Box::new(event)),
            }
        })?,
    })
}
