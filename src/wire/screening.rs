//! Requests to read decisions: one, or a list.
//! It must never widen a filter. The screening handlers call it.

use super::fields::{Arrival, enum_set, optional_id, optional_time, required_id};
use super::request::{ListingSeal, PageKey, page};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::query::{ChallengerFilter, DecisionFilter, PageRequest};
use crate::vocabulary::ids::{ConversionId, ProgramId};

/// How much of a decision is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionView {
    /// The decision.
    Basic,
    /// The decision and all that it was made from.
    Full,
}

/// A decision that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionWanted {
    /// The programme.
    pub program_id: ProgramId,
    /// The conversion.
    pub conversion_id: ConversionId,
    /// How much of it.
    pub view: DecisionView,
}

/// Reads which decision is asked for.
///
/// # Errors
/// All violated fields.
pub fn decision_wanted(message: v1::GetDecisionRequest) -> Result<DecisionWanted, Vec<Violation>> {
    let v1::GetDecisionRequest { program_id, conversion_id, view } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let conversion_id = required_id(&conversion_id, &At::path("conversion_id"), &mut found);
    let view = match view.map(v1::DecisionView::try_from) {
        None | Some(Ok(v1::DecisionView::Basic)) => DecisionView::Basic,
        Some(Ok(v1::DecisionView::Full)) => DecisionView::Full,
        Some(Ok(v1::DecisionView::Unspecified) | Err(_)) => {
            found.add(&At::path("view"), "must be `DECISION_VIEW_BASIC` or `DECISION_VIEW_FULL`, or left out");
            DecisionView::Basic
        }
    };
    let wanted =
        program_id.zip(conversion_id).map(|(program_id, conversion_id)| DecisionWanted { program_id, conversion_id, view });
    found.into_result(wanted)
}

/// A listing of decisions that was asked for.
#[derive(Debug, Clone)]
pub struct DecisionListing {
    /// The programme.
    pub program_id: ProgramId,
    /// Which decisions.
    pub filter: DecisionFilter,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Reads a listing request.
///
/// # Errors
/// All violated fields.
pub fn decision_listing(message: v1::ListDecisionsRequest, key: &PageKey) -> Result<DecisionListing, Vec<Violation>> {
    let bare = v1::ListDecisionsRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListDecisionsRequest {
        program_id,
        verdicts,
        referrer_account_id,
        referee_account_id,
        decided_from,
        decided_until,
        page_size,
        page_token,
    } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let filter = DecisionFilter {
        verdicts: enum_set(&verdicts, 3, &At::path("verdicts"), &mut found),
        referrer: optional_id(&referrer_account_id, &At::path("referrer_account_id"), &mut found),
        referee: optional_id(&referee_account_id, &At::path("referee_account_id"), &mut found),
        from: optional_time(decided_from, &At::path("decided_from"), Arrival::Recorded, &mut found),
        until: optional_time(decided_until, &At::path("decided_until"), Arrival::Recorded, &mut found),
        challenger: ChallengerFilter::Any,
    };
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        found.add(&At::path("decided_until"), "must lie after `decided_from`");
    }
    let page = page(page_size, &page_token, seal, &mut found);
    let listing = program_id.map(|program_id| DecisionListing { program_id, filter, page, seal });
    found.into_result(listing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::directory::LedgerKey;

    #[test]
    fn everything_wrong_with_a_listing_is_named() {
        let message = v1::ListDecisionsRequest {
            verdicts: vec![0, 7],
            referrer_account_id: "a b".to_owned(),
            page_size: 501,
            page_token: "x".to_owned(),
            ..Default::default()
        };
        let fields: Vec<String> = decision_listing(message, &PageKey::of(&LedgerKey([1; 32])))
            .unwrap_err()
            .into_iter()
            .map(|violation| violation.field)
            .collect();
        assert_eq!(fields, ["program_id", "verdicts[0]", "verdicts[1]", "referrer_account_id", "page_size", "page_token"]);
    }
}
