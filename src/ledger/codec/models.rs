//! Records of models: what was chosen, the key of the audit sample, and a breaker that tripped.

use super::{numbers, payouts};
use crate::book::event::{AuditKeyMade, BreakerTripped, ModelsChanged};
use crate::book::models::{Audited, ModelChoices, ModelContent, ModelName};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::screening::audit::AuditKey;
use crate::vocabulary::ids::Actor;

pub(super) fn write_name(w: &mut Writer, ModelName { version, content }: &ModelName) {
    w.text(version);
    w.raw(&content.0);
}

pub(super) fn read_name(r: &mut Reader<'_>) -> Result<ModelName, Damaged> {
    Ok(ModelName { version: r.boxed_text()?, content: ModelContent(r.array()?) })
}

pub(super) fn write_changed(w: &mut Writer, event: &ModelsChanged) {
    let ModelsChanged { action, model, previous, choices, actor, note, at, request } = event;
    w.u8(numbers::model_action(*action));
    w.option(model.as_ref(), write_name);
    w.option(previous.as_ref(), write_name);
    w.option(choices.as_ref(), |w, ModelChoices { active, before, challenger }| {
        write_name(w, active);
        w.option(before.as_ref(), write_name);
        w.option(challenger.as_ref(), write_name);
    });
    w.text(actor.as_str());
    w.text(note);
    w.time(*at);
    w.option(request.as_ref(), payouts::write_request);
}

pub(super) fn read_changed(r: &mut Reader<'_>) -> Result<ModelsChanged, Damaged> {
    let choices = |r: &mut Reader<'_>| {
        Ok(ModelChoices { active: read_name(r)?, before: r.option(read_name)?, challenger: r.option(read_name)? })
    };
    Ok(ModelsChanged {
        action: numbers::read_model_action(r.u8()?)?,
        model: r.option(read_name)?,
        previous: r.option(read_name)?,
        choices: r.option(choices)?,
        actor: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        at: r.time()?,
        request: r.option(payouts::read_request)?,
    })
}

pub(super) fn write_tripped(w: &mut Writer, BreakerTripped { version, honest, abusive, at }: &BreakerTripped) {
    w.text(version);
    w.u32(*honest);
    w.u32(*abusive);
    w.time(*at);
}

pub(super) fn read_tripped(r: &mut Reader<'_>) -> Result<BreakerTripped, Damaged> {
    Ok(BreakerTripped { version: r.boxed_text()?, honest: r.u32()?, abusive: r.u32()?, at: r.time()? })
}

pub(super) fn write_key(w: &mut Writer, AuditKeyMade { key, at }: &AuditKeyMade) {
    w.raw(key.bytes());
    w.time(*at);
}

pub(super) fn read_key(r: &mut Reader<'_>) -> Result<AuditKeyMade, Damaged> {
    Ok(AuditKeyMade { key: AuditKey::new(r.array()?), at: r.time()? })
}

pub(super) fn write_audited(w: &mut Writer, Audited { version, ruled }: &Audited) {
    w.text(version);
    w.option(*ruled, |w, verdict| w.u8(numbers::verdict(verdict)));
}

pub(super) fn read_audited(r: &mut Reader<'_>) -> Result<Audited, Damaged> {
    Ok(Audited { version: r.boxed_text()?, ruled: r.option(|r| numbers::read_verdict(r.u8()?))? })
}
