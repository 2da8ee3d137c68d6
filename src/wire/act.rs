//! One act on several cases: what is selected, the token that stands for a preview, and what became of each case. It must never decide anything.
//! The review handlers call it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use super::account::amounts;
use super::enums::WireEnum;
use super::fields::required_id;
use super::request::{PageKey, note, reason_code, request};
use super::review::{CaseListing, case_listing, summary_message};
use super::violation::{At, Violation, Violations};
use super::{content, v1};
use crate::book::SeenMark;
use crate::book::command::{ACT_CASES_MAX, Acted, CasesCommand, CasesStep};
use crate::book::plan::{Foreseen, Previewed};
use crate::screening::case::Resolution;
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId};
use crate::vocabulary::money::{Money, Totals};
use crate::vocabulary::time::Timestamp;

/// Bytes of a token that hold the rest together.
const SEAL_BYTES: usize = 16;

/// Which cases are meant.
#[derive(Debug, Clone)]
pub enum Selection {
    /// These.
    Cases(Vec<CaseId>),
    /// Those of the cluster that this account is in.
    Cluster(AccountId),
    /// Those that pass a filter.
    Filter(Box<CaseListing>),
}

/// A preview that was asked for.
#[derive(Debug, Clone)]
pub struct PreviewWanted {
    /// The programme.
    pub program_id: ProgramId,
    /// What would be done.
    pub act: CasesStep,
    /// With which cases.
    pub selection: Selection,
}

/// What a token stands for. A message of its own, so that it can grow.
#[derive(Clone, PartialEq, prost::Message)]
struct Token {
    #[prost(string, tag = "1")]
    program_id: String,
    #[prost(enumeration = "v1::CaseAct", tag = "2")]
    act: i32,
    #[prost(message, repeated, tag = "3")]
    cases: Vec<SeenCase>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SeenCase {
    #[prost(string, tag = "1")]
    conversion_id: String,
    #[prost(fixed64, tag = "2")]
    mark: u64,
}

/// Reads a request for a preview.
///
/// # Errors
/// All violated fields.
pub fn preview(message: v1::PreviewCasesRequest, key: &PageKey, now: Timestamp) -> Result<PreviewWanted, Vec<Violation>> {
    use v1::preview_cases_request::Selection as Wire;

    let v1::PreviewCasesRequest { program_id: program, act, selection } = message;
    let mut found = Violations::default();
    let program_id: Option<ProgramId> = required_id(&program, &At::path("program_id"), &mut found);
    let act = act_of(act, &mut found);
    let selection = match selection {
        Some(Wire::Cases(v1::CaseIds { case_ids })) => Some(Selection::Cases(ids(&case_ids, &mut found))),
        Some(Wire::ClusterAccountId(id)) => required_id(&id, &At::path("cluster_account_id"), &mut found).map(Selection::Cluster),
        Some(Wire::Filter(filter)) => {
            filtered(filter, &program, (key, now), &mut found).map(|listing| Selection::Filter(Box::new(listing)))
        }
        None => {
            found.add(&At::path("selection"), "is required: one of `cases`, `cluster_account_id` and `filter`");
            None
        }
    };
    let wanted = program_id.zip(act).zip(selection);
    found.into_result(wanted.map(|((program_id, act), selection)| PreviewWanted { program_id, act, selection }))
}

fn ids(texts: &[String], found: &mut Violations) -> Vec<CaseId> {
    if texts.is_empty() || texts.len() > ACT_CASES_MAX {
        found.add(&At::path("cases.case_ids"), format!("holds {} ids; 1 to {ACT_CASES_MAX} are allowed", texts.len()));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        if let Some(conversion) = text.strip_prefix("case-").and_then(|id| ConversionId::new(id).ok()) {
            read.push(CaseId::of(&conversion));
        } else {
            let at = format!("cases.case_ids[{index}]");
            found.add(&At::path(&at), "is not the id of a case; those begin with `case-`");
        }
    }
    read
}

/// A filter names no programme, order or page of its own: what would lose most is taken first, as much as one act takes.
fn filtered(
    filter: v1::ListCasesRequest,
    program: &str,
    (key, now): (&PageKey, Timestamp),
    found: &mut Violations,
) -> Option<CaseListing> {
    let set = [
        ("program_id", !filter.program_id.is_empty()),
        ("order_by", filter.order_by.is_some()),
        ("page_size", filter.page_size != 0),
        ("page_token", !filter.page_token.is_empty()),
    ];
    for (field, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
        found.add(&At::path(&format!("filter.{field}")), "must be empty in a filter");
    }
    let page_size = u32::try_from(ACT_CASES_MAX).unwrap_or(u32::MAX);
    match case_listing(v1::ListCasesRequest { program_id: program.to_owned(), page_size, ..filter }, key, now) {
        Ok(listing) => Some(listing),
        Err(violations) => {
            for violation in violations.into_iter().filter(|violation| violation.field != "program_id") {
                found.add(&At::path(&format!("filter.{}", violation.field)), violation.problem);
            }
            None
        }
    }
}

fn act_of(number: i32, found: &mut Violations) -> Option<CasesStep> {
    match v1::CaseAct::try_from(number) {
        Ok(v1::CaseAct::Accept) => Some(CasesStep::Resolve(Resolution::Accept)),
        Ok(v1::CaseAct::Reject) => Some(CasesStep::Resolve(Resolution::Reject)),
        Ok(v1::CaseAct::Reopen) => Some(CasesStep::Reopen),
        Ok(v1::CaseAct::Unspecified) | Err(_) => {
            found.add(&At::path("act"), "is required: one of CASE_ACT_ACCEPT, CASE_ACT_REJECT and CASE_ACT_REOPEN");
            None
        }
    }
}

const fn act_number(act: CasesStep) -> v1::CaseAct {
    match act {
        CasesStep::Resolve(Resolution::Accept) => v1::CaseAct::Accept,
        CasesStep::Resolve(Resolution::Reject) => v1::CaseAct::Reject,
        CasesStep::Reopen => v1::CaseAct::Reopen,
    }
}

/// Writes a preview. `more`: the selection held more cases than are here.
#[must_use]
pub fn preview_message(
    program: &ProgramId,
    act: CasesStep,
    previewed: &[Previewed],
    more: bool,
    now: Timestamp,
) -> v1::PreviewCasesResponse {
    let (mut seen, mut at_stake, mut due) = (Vec::new(), Totals::default(), Totals::default());
    let mut referrers = std::collections::BTreeSet::new();
    let mut cases = Vec::with_capacity(previewed.len());
    for Previewed { case_id, summary, outcome } in previewed {
        let mut message = v1::PreviewedCase {
            case_id: case_id.to_string(),
            summary: summary.as_ref().map(|summary| summary_message(summary, now)),
            ..Default::default()
        };
        match outcome {
            Ok(Foreseen { mark, verdict, due: released, paid }) => {
                seen.push((case_id, *mark));
                message.verdict = verdict.to_number();
                message.due = amounts(released);
                message.paid_reward_ids = paid.iter().map(ToString::to_string).collect();
                due.extend(released.iter().copied());
                if let Some(summary) = summary {
                    at_stake.extend(summary.at_stake.iter().copied());
                    referrers.insert(summary.referrer.to_string());
                }
            }
            Err(left) => message.left_alone = left.to_number(),
        }
        cases.push(message);
    }
    let of = |totals: Totals| -> Vec<Money> { totals.amounts() };
    v1::PreviewCasesResponse {
        changing: count(seen.len()),
        left_alone: count(previewed.len() - seen.len()),
        preview_token: token(program, act, &seen),
        at_stake: amounts(&of(at_stake)),
        due: amounts(&of(due)),
        referrer_account_ids: referrers.into_iter().collect(),
        cases,
        more,
    }
}

/// Reads in which programme something is to be done: whoever may not act there is told nothing of his token.
///
/// # Errors
/// The violated field.
pub fn program_of(message: &v1::ActOnCasesRequest) -> Result<ProgramId, Vec<Violation>> {
    let mut found = Violations::default();
    let program_id = required_id(&message.program_id, &At::path("program_id"), &mut found);
    found.into_result(program_id)
}

/// Reads the act that a token stands for.
///
/// # Errors
/// All violated fields: a token that was changed, or is of another programme, is refused.
pub fn act(message: v1::ActOnCasesRequest, actor: &Actor, at: Timestamp) -> Result<CasesCommand, Vec<Violation>> {
    let fingerprint = content::fingerprint(&message);
    let v1::ActOnCasesRequest { program_id, preview_token, reason_code: code, note: why, request_id } = message;
    let mut found = Violations::default();
    let program_id: Option<ProgramId> = required_id(&program_id, &At::path("program_id"), &mut found);
    let token = open(&preview_token, &mut found);
    if let (Some(program), Some((of, ..))) = (&program_id, &token)
        && program != of
    {
        found.add(&At::path("preview_token"), format!("is of programme `{of}`"));
    }
    let reason_code = reason_code(code, &mut found);
    let note = note(why, &At::path("note"), &mut found);
    if request_id.is_empty() {
        found.add(&At::path("request_id"), "is required: with it the call can be repeated after a time-out, and is done once");
    }
    let request = request(&request_id, fingerprint, &mut found);
    let command = token.zip(request).map(|((program_id, act, cases), request)| CasesCommand {
        program_id,
        act,
        actor: actor.clone(),
        reason_code,
        note,
        cases,
        confirmation: None,
        request,
        at,
    });
    found.into_result(command)
}

/// Writes what became of each case.
#[must_use]
pub fn acted_message(program: &ProgramId, acted: &[Acted], undoes: Option<CasesStep>, now: Timestamp) -> v1::ActOnCasesResponse {
    let mut seen = Vec::new();
    let mut cases = Vec::with_capacity(acted.len());
    for Acted { case_id, outcome } in acted {
        let (summary, left_alone) = match outcome {
            Ok((summary, mark)) => {
                seen.push((case_id, *mark));
                (Some(summary_message(summary, now)), 0)
            }
            Err(left) => (None, left.to_number()),
        };
        cases.push(v1::ActedCase { case_id: case_id.to_string(), summary, left_alone });
    }
    v1::ActOnCasesResponse {
        changed: count(seen.len()),
        left_alone: count(acted.len() - seen.len()),
        undo_token: undoes.map(|act| token(program, act, &seen)).unwrap_or_default(),
        cases,
    }
}

/// The act that undoes another; absent where what it did is to be decided again.
#[must_use]
pub const fn undoing(act: CasesStep) -> Option<CasesStep> {
    match act {
        CasesStep::Resolve(_) => Some(CasesStep::Reopen),
        CasesStep::Reopen => None,
    }
}

fn count(cases: usize) -> u32 {
    u32::try_from(cases).unwrap_or(u32::MAX)
}

/// A token of the act on cases as they were seen. Empty when there are none.
fn token(program: &ProgramId, act: CasesStep, seen: &[(&CaseId, SeenMark)]) -> String {
    if seen.is_empty() {
        return String::new();
    }
    let case = |(case, SeenMark(mark)): &(&CaseId, SeenMark)| {
        let conversion_id = case.conversion_id().map(|id| id.to_string()).unwrap_or_default();
        SeenCase { conversion_id, mark: *mark }
    };
    let token = Token { program_id: program.to_string(), act: act_number(act).into(), cases: seen.iter().map(case).collect() };
    let bytes = token.encode_to_vec();
    URL_SAFE_NO_PAD.encode([&seal(&bytes)[..], &bytes].concat())
}

/// Tells a token that was cut or changed on its way. It keeps nobody from making one: what it does is authorised like any other call.
fn seal(bytes: &[u8]) -> [u8; SEAL_BYTES] {
    let mut seal = [0; SEAL_BYTES];
    blake3::Hasher::new().update(b"an act on cases").update(bytes).finalize_xof().fill(&mut seal);
    seal
}

type Opened = (ProgramId, CasesStep, Vec<(CaseId, SeenMark)>);

fn open(sent: &str, found: &mut Violations) -> Option<Opened> {
    let at = At::path("preview_token");
    if sent.is_empty() {
        found.add(&at, "is required: `PreviewCases` gives one");
        return None;
    }
    let opened = URL_SAFE_NO_PAD.decode(sent).ok().and_then(|bytes| {
        let (sealed, rest) = bytes.split_first_chunk::<SEAL_BYTES>()?;
        let token = Token::decode(rest).ok().filter(|_| *sealed == seal(rest))?;
        let mut ignored = Violations::default();
        let act = act_of(token.act, &mut ignored)?;
        let case = |case: SeenCase| Some((CaseId::of(&ConversionId::new(&case.conversion_id).ok()?), SeenMark(case.mark)));
        let cases: Option<Vec<(CaseId, SeenMark)>> = token.cases.into_iter().map(case).collect();
        Some((ProgramId::new(&token.program_id).ok()?, act, cases.filter(|cases| cases.len() <= ACT_CASES_MAX)?))
    });
    if opened.is_none() {
        found.add(&at, "is not a token of `PreviewCases`, or was cut or changed on its way: preview again");
    }
    opened
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::directory::LedgerKey;

    fn shop() -> ProgramId {
        ProgramId::new("shop").unwrap()
    }

    fn case(id: &str) -> CaseId {
        CaseId::of(&ConversionId::new(id).unwrap())
    }

    fn request_with(token: String) -> v1::ActOnCasesRequest {
        v1::ActOnCasesRequest {
            program_id: "shop".to_owned(),
            preview_token: token,
            request_id: "act-1".to_owned(),
            ..Default::default()
        }
    }

    fn fields(refused: &[Violation]) -> Vec<&str> {
        refused.iter().map(|violation| violation.field.as_str()).collect()
    }

    #[test]
    fn a_token_stands_for_what_was_previewed_and_a_changed_one_for_nothing() {
        let ann = Actor::new("ann").unwrap();
        let (a, b) = (case("cv-1"), case("cv-2"));
        let made = token(&shop(), CasesStep::Resolve(Resolution::Reject), &[(&a, SeenMark(7)), (&b, SeenMark(u64::MAX))]);
        let command = act(request_with(made.clone()), &ann, Timestamp::saturating_from_millis(1)).unwrap();
        assert_eq!(command.cases, [(a, SeenMark(7)), (b, SeenMark(u64::MAX))]);
        assert_eq!(command.act, CasesStep::Resolve(Resolution::Reject));
        for place in 0..made.len() {
            let mut changed = made.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let refused = act(request_with(String::from_utf8(changed).unwrap()), &ann, Timestamp::saturating_from_millis(1));
            assert_eq!(fields(&refused.unwrap_err()), ["preview_token"], "changed at {place}");
        }
    }

    #[test]
    fn a_token_of_another_programme_and_a_call_without_an_id_are_refused() {
        let made = token(&ProgramId::new("other").unwrap(), CasesStep::Reopen, &[(&case("cv-1"), SeenMark(7))]);
        let message = v1::ActOnCasesRequest { request_id: String::new(), ..request_with(made) };
        let refused = act(message, &Actor::new("ann").unwrap(), Timestamp::saturating_from_millis(1)).unwrap_err();
        assert_eq!(fields(&refused), ["preview_token", "request_id"]);
    }

    #[test]
    fn everything_wrong_with_a_selection_is_named() {
        let filter = v1::ListCasesRequest { page_size: 3, reason_code: "nonsense".to_owned(), ..Default::default() };
        let message = v1::PreviewCasesRequest {
            program_id: String::new(),
            act: 0,
            selection: Some(v1::preview_cases_request::Selection::Filter(filter)),
        };
        let refused = preview(message, &PageKey::of(&LedgerKey([7; 32])), Timestamp::saturating_from_millis(1)).unwrap_err();
        assert_eq!(fields(&refused), ["program_id", "act", "filter.page_size", "filter.reason_code"]);
    }
}
