//! Records of names under a new key.

use super::{numbers, payouts};
use crate::book::event::ValuesRekeyed;
use crate::book::rekeying::{NewSketches, Rekeyed};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::ids::Actor;

pub(super) fn write(w: &mut Writer, ValuesRekeyed { values, actor, note, request, at }: &ValuesRekeyed) {
    w.list(values, |w, Rekeyed { kind, old, new, sketches }| {
        w.u8(numbers::rekeyed_kind(*kind));
        w.digest(old);
        w.digest(new);
        let NewSketches { of_text, of_person } = sketches;
        w.option(of_text.as_ref(), |w, bits| w.raw(bits));
        w.option(of_person.as_ref(), |w, bits| w.raw(bits));
    });
    w.text(actor.as_str());
    w.text(note);
    payouts::write_request(w, request);
    w.time(*at);
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<ValuesRekeyed, Damaged> {
    let value = |r: &mut Reader<'_>| {
        let kind = numbers::read_rekeyed_kind(r.u8()?)?;
        let (old, new) = (r.digest()?, r.digest()?);
        let sketches = NewSketches { of_text: r.option(Reader::array)?, of_person: r.option(Reader::array)? };
        Ok(Rekeyed { kind, old, new, sketches })
    };
    Ok(ValuesRekeyed {
        values: r.list(value)?,
        actor: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        request: payouts::read_request(r)?,
        at: r.time()?,
    })
}
