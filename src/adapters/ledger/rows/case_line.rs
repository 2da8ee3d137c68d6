//! A case's line in the queue, as it is kept: in the tables for steps, and in the ordered indexes for lists.

use super::super::codec::numbers;
use super::super::codec::parts;
use super::super::packed::{Damaged, Reader, Writer};
use super::Row;
use crate::book::records::CaseSummary;
use crate::screening::case::CaseState;
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::ids::{AccountId, CaseId, ConversionId};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// Codes kept of a case's reasons.
pub(in super::super) const REASON_CODES_MAX: usize = 8;

/// A case.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct CaseLine {
    pub(in super::super) conversion_id: ConversionId,
    pub(in super::super) referrer: AccountId,
    pub(in super::super) referee: AccountId,
    /// As it was left; a lease in it may have run out since.
    pub(in super::super) state: CaseState,
    pub(in super::super) revision: u32,
    pub(in super::super) opened_at: Timestamp,
    pub(in super::super) due_at: Timestamp,
    pub(in super::super) score: f64,
    pub(in super::super) value: Option<Money>,
    pub(in super::super) reason_codes: Vec<EvidenceCode>,
    pub(in super::super) headline: String,
}

impl CaseLine {
    /// The line as it is shown at `now`.
    pub(in super::super) fn summary(self, now: Timestamp) -> CaseSummary {
        let Self { conversion_id, referrer, referee, state, revision, opened_at, due_at, score, value, reason_codes, headline } =
            self;
        CaseSummary {
            case_id: CaseId::of(&conversion_id),
            conversion_id,
            referrer,
            referee,
            state: state.at(now),
            revision,
            opened_at,
            due_at,
            score,
            value,
            reason_codes,
            headline,
        }
    }

    /// Whether a reviewer has yet to decide.
    pub(in super::super) const fn is_undecided(&self) -> bool {
        match self.state {
            CaseState::Open | CaseState::Claimed { .. } => true,
            CaseState::Resolved { .. } => false,
        }
    }
}

impl Row for CaseLine {
    const NAME: &'static str = "a case";

    fn pack(&self) -> Vec<u8> {
        let Self { conversion_id, referrer, referee, state, revision, opened_at, due_at, score, value, reason_codes, headline } =
            self;
        let mut w = Writer::with_capacity(192);
        w.text(conversion_id.as_str());
        w.text(referrer.as_str());
        w.text(referee.as_str());
        parts::write_case_state(&mut w, state);
        w.u32(*revision);
        w.time(*opened_at);
        w.time(*due_at);
        w.f64(*score);
        w.option(*value, parts::write_money);
        w.list(reason_codes, |w, code| w.u8(numbers::evidence_code(*code)));
        w.text(headline);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            conversion_id: r.id(ConversionId::new)?,
            referrer: r.id(AccountId::new)?,
            referee: r.id(AccountId::new)?,
            state: parts::read_case_state(r)?,
            revision: r.u32()?,
            opened_at: r.time()?,
            due_at: r.time()?,
            score: r.f64()?,
            value: r.option(parts::read_money)?,
            reason_codes: r.list(|r| numbers::read_evidence_code(r.u8()?))?,
            headline: r.text()?.to_owned(),
        })
    }
}
