//! Decisions as packed bytes inside journal records. Called by the record codec.
//!
//! Evidence is one nibble for each code, then the numbers that the nibbles announce; a strength of 1 and a whole measure take no eight
//! bytes. A reason repeats its evidence, so only its code and contribution are kept, unless a sentence was worded otherwise. What the feed
//! tells of a decision stands first.

use super::numbers;
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::screening::comparability::{Comparability, ComparedKind, SideSignals};
use crate::screening::decision::{
    self, AuditSample, Decision, Reason, ReferrerSafeReason, ScoreParts, Scored, ShadowScore, Verdict,
};
use crate::screening::evidence::{Evidence, EvidenceCode, Finding, Strength};
use crate::screening::explanation;
use crate::screening::policy::PolicyHash;
use crate::screening::rules::RuleHit;
use crate::screening::warning::Warning;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::time::Timestamp;

pub(crate) fn write(w: &mut Writer, decision: &Decision) {
    let Decision {
        verdict,
        score,
        scored,
        score_parts,
        reasons,
        referrer_safe_reason,
        rule_hits,
        policy_version,
        policy_hash,
        model_version,
        shadow,
        duplicate_of,
        looks_like,
        audit,
        evidence,
        comparability,
        warnings,
        decided_at,
    } = decision;
    w.u8(numbers::verdict(*verdict));
    w.time(*decided_at);
    w.list(reasons, |w, reason| w.u8(numbers::evidence_code(reason.code)));
    w.f64(*score);
    w.u8(numbers::scored(*scored));
    w.u8(numbers::safe_reason(*referrer_safe_reason));
    w.u8(numbers::audit(*audit));
    w.text(policy_version);
    w.option(model_version.as_deref(), Writer::text);
    w.option(shadow.as_ref(), |w, ShadowScore { model_version, score, verdict }| {
        w.text(model_version);
        w.f64(*score);
        w.u8(numbers::verdict(*verdict));
    });
    w.option(duplicate_of.as_ref(), |w, id| w.text(id.as_str()));
    w.option(looks_like.as_ref(), |w, id| w.text(id.as_str()));
    write_evidence(w, evidence);
    for reason in reasons {
        write_reason(w, reason, evidence);
    }
    w.list(rule_hits, |w, RuleHit { rule, mode, code, strength, contribution_log_odds }| {
        w.text(rule);
        w.u8(numbers::rule_mode(*mode));
        w.u8(numbers::evidence_code(*code));
        w.f64(*strength);
        w.f64(*contribution_log_odds);
    });
    let ScoreParts { base_log_odds, contributions, rest_log_odds, review_threshold, reject_threshold } = score_parts;
    w.f64(*base_log_odds);
    w.f64(*rest_log_odds);
    w.list(contributions, |w, (code, part)| {
        w.u8(numbers::evidence_code(*code));
        w.f64(*part);
    });
    w.f64(*review_threshold);
    w.option(*reject_threshold, Writer::f64);
    write_comparability(w, comparability);
    w.list(warnings, |w, Warning { code, field, sentence }| {
        w.u8(numbers::warning_code(*code));
        w.text(field);
        w.text(sentence);
    });
    w.raw(&policy_hash.0);
}

/// Key ids are written once, and named by their place after that: nearly always there is one.
fn write_comparability(w: &mut Writer, comparability: &Comparability) {
    let mut keys: Vec<KeyId> = Vec::new();
    for ComparedKind { referrer, referee, .. } in comparability.kinds() {
        keys.extend(referrer.keys.iter().chain(&referee.keys));
    }
    keys.sort_unstable();
    keys.dedup();
    w.list(&keys, |w, key| w.text(key.as_str()));
    let write_side = |w: &mut Writer, SideSignals { keys: own, newest_at }: &SideSignals| {
        w.list(own, |w, key| w.u64(keys.binary_search(key).map_or(u64::MAX, |place| place as u64)));
        w.option(*newest_at, Writer::time);
    };
    w.list(comparability.kinds(), |w, ComparedKind { kind, compared, referrer, referee }| {
        w.u8(numbers::signal_kind(*kind));
        w.u8(numbers::compared(*compared));
        write_side(w, referrer);
        write_side(w, referee);
    });
}

fn read_comparability(r: &mut Reader<'_>) -> Result<Comparability, Damaged> {
    let keys = r.list(|r| r.id(KeyId::new))?;
    let key = |r: &mut Reader<'_>| {
        let place = usize::try_from(r.u64()?).ok();
        place.and_then(|place| keys.get(place)).copied().ok_or(Damaged("a place stands for no key id"))
    };
    let side = |r: &mut Reader<'_>| Ok(SideSignals { keys: r.list(key)?.into(), newest_at: r.option(Reader::time)? });
    let kinds = r.list(|r| {
        let (kind, compared) = (numbers::read_signal_kind(r.u8()?)?, numbers::read_compared(r.u8()?)?);
        Ok(ComparedKind { kind, compared, referrer: side(r)?, referee: side(r)? })
    })?;
    Ok(Comparability::of_kinds(kinds))
}

/// The part of a decision that is written first: what the feed tells of it.
pub(crate) struct Head<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) decided_at: Timestamp,
    pub(crate) reason_codes: Vec<EvidenceCode>,
    score: f64,
    scored: Scored,
    referrer_safe_reason: ReferrerSafeReason,
    audit: AuditSample,
    policy_version: &'a str,
    model_version: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, Damaged> {
        Ok(Self {
            verdict: numbers::read_verdict(r.u8()?)?,
            decided_at: r.time()?,
            reason_codes: r.list(|r| numbers::read_evidence_code(r.u8()?))?,
            score: r.f64()?,
            scored: numbers::read_scored(r.u8()?)?,
            referrer_safe_reason: numbers::read_safe_reason(r.u8()?)?,
            audit: numbers::read_audit(r.u8()?)?,
            policy_version: r.text()?,
            model_version: r.option(Reader::text)?,
        })
    }

    /// As [`crate::screening::decision::Decision::audited_model`].
    pub(crate) fn audited_model(&self) -> Option<&'a str> {
        decision::audited_model(self.audit, self.scored, self.verdict, self.model_version)
    }
}

pub(crate) fn read(r: &mut Reader<'_>) -> Result<Decision, Damaged> {
    let Head { verdict, decided_at, reason_codes, score, scored, referrer_safe_reason, audit, policy_version, model_version } =
        Head::read(r)?;
    let shadow = r.option(|r| {
        Ok(ShadowScore { model_version: r.boxed_text()?, score: r.f64()?, verdict: numbers::read_verdict(r.u8()?)? })
    })?;
    let duplicate_of = r.option(|r| r.id(ConversionId::new))?;
    let looks_like = r.option(|r| r.id(ConversionId::new))?;
    let evidence = read_evidence(r)?;
    let reasons = reason_codes.into_iter().map(|code| read_reason(r, code, &evidence)).collect::<Result<Vec<_>, _>>()?;
    let rule_hits = r.list(|r| {
        Ok(RuleHit {
            rule: r.boxed_text()?,
            mode: numbers::read_rule_mode(r.u8()?)?,
            code: numbers::read_evidence_code(r.u8()?)?,
            strength: r.f64()?,
            contribution_log_odds: r.f64()?,
        })
    })?;
    let score_parts = ScoreParts {
        base_log_odds: r.f64()?,
        rest_log_odds: r.f64()?,
        contributions: r.list(|r| Ok((numbers::read_evidence_code(r.u8()?)?, r.f64()?)))?,
        review_threshold: r.f64()?,
        reject_threshold: r.option(Reader::f64)?,
    };
    let comparability = read_comparability(r)?;
    let warnings = r.list(|r| {
        Ok(Warning { code: numbers::read_warning_code(r.u8()?)?, field: r.boxed_text()?, sentence: r.text()?.to_owned() })
    })?;
    let policy_hash = PolicyHash(r.array()?);
    Ok(Decision {
        verdict,
        score,
        scored,
        score_parts,
        reasons,
        referrer_safe_reason,
        rule_hits,
        policy_version: policy_version.into(),
        policy_hash,
        model_version: model_version.map(Into::into),
        shadow,
        duplicate_of,
        looks_like,
        audit,
        evidence,
        comparability,
        warnings,
        decided_at,
    })
}

/// The two facts of a reason that its evidence does not tell, or all of them.
fn write_reason(w: &mut Writer, reason: &Reason, evidence: &Evidence) {
    let Reason { code, strength, contribution_log_odds, sentence } = reason;
    let finding = &evidence[*code];
    w.f64(*contribution_log_odds);
    let told = finding.strength().to_bits() == strength.to_bits()
        && *sentence == explanation::reason(*code, finding, *contribution_log_odds);
    w.option((!told).then_some(()), |w, ()| {
        w.f64(*strength);
        w.text(sentence);
    });
}

fn read_reason(r: &mut Reader<'_>, code: EvidenceCode, evidence: &Evidence) -> Result<Reason, Damaged> {
    let contribution_log_odds = r.f64()?;
    let finding = &evidence[code];
    let own = r.option(|r| Ok((r.f64()?, r.text()?.to_owned())))?;
    let (strength, sentence) =
        own.unwrap_or_else(|| (finding.strength(), explanation::reason(code, finding, contribution_log_odds)));
    Ok(Reason { code, strength, contribution_log_odds, sentence })
}

/// What a nibble says of a finding.
mod shape {
    pub(crate) const ABSENT: u8 = 0;
    pub(crate) const CLEAR: u8 = 1;
    pub(crate) const HIT: u8 = 4;
    pub(crate) const FULL_HIT: u8 = 8;
    /// Added to any of the above but absent.
    pub(crate) const WHOLE_MEASURE: u8 = 1;
    /// Added to any of the above but absent.
    pub(crate) const MEASURE: u8 = 2;
}

/// A measure as a whole number that needs few bytes; `None` when it is not one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to come back bit by bit")]
fn whole(measure: f64) -> Option<u32> {
    let number = measure as u32;
    (f64::from(number).to_bits() == measure.to_bits()).then_some(number)
}

fn shape_of(finding: &Finding) -> u8 {
    let (base, measure) = match finding {
        Finding::Absent => return shape::ABSENT,
        Finding::Clear { measure } => (shape::CLEAR, measure),
        Finding::Hit { strength, measure } if strength.value().to_bits() == 1.0_f64.to_bits() => (shape::FULL_HIT, measure),
        Finding::Hit { measure, .. } => (shape::HIT, measure),
    };
    match measure {
        None => base,
        Some(measure) if whole(*measure).is_some() => base + shape::WHOLE_MEASURE,
        Some(_) => base + shape::MEASURE,
    }
}

/// By the frozen numbers of the codes, not by their place in the catalogue, which may change.
fn by_number(evidence: &Evidence) -> Vec<(u8, &Finding)> {
    let mut findings: Vec<(u8, &Finding)> =
        evidence.iter().map(|(code, finding)| (numbers::evidence_code(code), finding)).collect();
    findings.sort_unstable_by_key(|(number, _)| *number);
    findings
}

fn write_evidence(w: &mut Writer, evidence: &Evidence) {
    let findings = by_number(evidence);
    w.len(findings.len());
    for pair in findings.chunks(2) {
        let nibble = |place: usize| pair.get(place).map_or(0, |(_, finding)| shape_of(finding));
        w.u8(nibble(0) | (nibble(1) << 4));
    }
    for (_, finding) in &findings {
        if let Finding::Hit { strength, .. } = finding
            && strength.value().to_bits() != 1.0_f64.to_bits()
        {
            w.f64(strength.value());
        }
        match finding.measure().map(|measure| (measure, whole(measure))) {
            None => {}
            Some((_, Some(number))) => w.u32(number),
            Some((measure, None)) => w.f64(measure),
        }
    }
}

fn read_evidence(r: &mut Reader<'_>) -> Result<Evidence, Damaged> {
    let count = u8::try_from(r.u64()?).map_err(|_| Damaged("there is more evidence than codes"))?;
    let nibbles = r.raw(usize::from(count).div_ceil(2))?;
    let mut evidence = Evidence::absent();
    for (number, place) in (1..=count).zip(0_usize..) {
        let both = nibbles.get(place / 2).copied().unwrap_or(0);
        let shape = if place % 2 == 0 { both & 0x0f } else { both >> 4 };
        if shape == shape::ABSENT {
            continue;
        }
        let finding = read_finding(r, shape)?;
        evidence = evidence.with(numbers::read_evidence_code(number)?, finding);
    }
    Ok(evidence)
}

fn read_finding(r: &mut Reader<'_>, shape: u8) -> Result<Finding, Damaged> {
    let (base, measured) = match shape {
        shape::CLEAR..shape::HIT => (shape::CLEAR, shape - shape::CLEAR),
        shape::HIT..shape::FULL_HIT => (shape::HIT, shape - shape::HIT),
        shape::FULL_HIT..=15 => (shape::FULL_HIT, shape - shape::FULL_HIT),
        _ => return Err(Damaged("a finding has no shape")),
    };
    let strength = match base {
        shape::HIT => Some(r.f64()?),
        shape::FULL_HIT => Some(1.0),
        _ => None,
    };
    let measure = match measured {
        0 => None,
        shape::WHOLE_MEASURE => Some(f64::from(r.u32()?)),
        shape::MEASURE => Some(r.f64()?),
        _ => return Err(Damaged("a finding has no shape")),
    };
    match strength {
        None => Ok(Finding::Clear { measure }),
        Some(value) => {
            let strength = Strength::new(value).ok_or(Damaged("a strength is not above zero"))?;
            Ok(Finding::Hit { strength, measure })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_codes_have_no_gap() {
        let evidence = Evidence::absent();
        let found: Vec<u8> = by_number(&evidence).into_iter().map(|(number, _)| number).collect();
        let wanted: Vec<u8> = (1..=u8::try_from(EvidenceCode::COUNT).unwrap()).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn every_shape_of_a_finding_comes_back_bit_by_bit() {
        let strengths = [None, Some(1.0), Some(0.1 + 0.2)];
        let measures = [None, Some(0.0), Some(-0.0), Some(7.0), Some(0.123), Some(-3.0), Some(1e300)];
        for strength in strengths {
            for measure in measures {
                let finding = match strength.and_then(Strength::new) {
                    None => Finding::Clear { measure },
                    Some(strength) => Finding::Hit { strength, measure },
                };
                let evidence = Evidence::absent().with(EvidenceCode::SameDevice, finding);
                let mut w = Writer::default();
                write_evidence(&mut w, &evidence);
                let bytes = w.finish();
                let back = read_evidence(&mut Reader::new(&bytes)).unwrap();
                let bits = |finding: &Finding| (finding.strength().to_bits(), finding.measure().map(f64::to_bits));
                assert_eq!(bits(&back[EvidenceCode::SameDevice]), bits(&finding));
            }
        }
    }
}
