//! What can be looked up at the gateway: whose a code is, who may use it and with a discount, and what became of a reward.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Answered, GatewayParts, Json, Problem};
use crate::book::intake::{CodeUse, IntakeAnswer, IntakeQuestion, UserAnswer};
use crate::gateway::payload::{Fault, account_of, code_of};
use crate::screening::decision::Verdict;
use crate::screening::gate::{Record, RewardStanding, RewardState, Standing};
use crate::vocabulary::ids::{ConversionId, RewardId, Ucc};

/// Of which user something is asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    new_user_id: Option<String>,
}

/// Whose a code is, and what is known of a user.
async fn looked_up(
    parts: &GatewayParts,
    program: &str,
    code: &str,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<LookedUp, Problem> {
    let program = parts.configured(program)?;
    parts.admit(program, headers).await?;
    let code = code_of(code).map_err(|problem| Fault::new("code", problem))?;
    let user = asked.new_user_id.as_deref().map(account_of).transpose().map_err(|problem| Fault::new("newUserId", problem))?;
    let question = IntakeQuestion::Code(code.clone(), user.clone());
    let IntakeAnswer::Code(found, known) = parts.ledger.intake(&program.id, &question, parts.clock.now()).await? else {
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the ledger answered something else"));
    };
    let Some(found) = found else {
        let text = format!("nobody said whose the code `{code}` is: `PUT /referral-codes/{code}`");
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    };
    let is_own = user.as_ref() == Some(&found.owner);
    Ok(LookedUp {
        code,
        owner: found.owner.to_string(),
        campaign: found.campaign.map(|id| id.to_string()),
        use_of: found.use_of,
        user: user.is_some(),
        is_own,
        known,
    })
}

struct LookedUp {
    code: Ucc,
    owner: String,
    campaign: Option<String>,
    use_of: CodeUse,
    user: bool,
    is_own: bool,
    known: UserAnswer,
}

impl LookedUp {
    /// Why the user may not use the code; `None` when he may.
    fn hindrance(&self) -> Option<&'static str> {
        let by_another = self.known.came_by.as_ref().is_some_and(|code| *code != self.code);
        if self.use_of == CodeUse::Ended {
            Some("the code was changed for another, or ended")
        } else if self.is_own {
            Some("the code is the user's own")
        } else if by_another {
            Some("the user came by another code")
        } else {
            None
        }
    }
}

pub(super) async fn read_code(
    State(parts): State<GatewayParts>,
    Path((program, code)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Answered {
    let found = looked_up(&parts, &program, &code, &asked, &headers).await?;
    let mut answer = json!({
        "code": found.code.as_str(),
        "productUserId": found.owner,
        "valid": found.use_of == CodeUse::Open,
        "campaignId": found.campaign.clone().unwrap_or_default(),
    });
    if found.user {
        let why = found.hindrance();
        answer["mayUse"] = why.is_none().into();
        answer["why"] = why.unwrap_or_default().into();
    }
    Ok(Json(answer))
}

pub(super) async fn discount(
    State(parts): State<GatewayParts>,
    Path((program, code)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Answered {
    let found = looked_up(&parts, &program, &code, &asked, &headers).await?;
    if !found.user {
        return Err(Fault::new("newUserId", "is required: `?newUserId=…`").into());
    }
    let why = found.hindrance().or(if found.known.has_paid {
        Some("the user has paid before")
    } else if found.known.is_existing {
        Some("the user had an account before")
    } else {
        None
    });
    Ok(Json(
        json!({ "eligible": why.is_none(), "why": why.unwrap_or_default(), "campaignId": found.campaign.unwrap_or_default() }),
    ))
}

/// Of which conversion a reward is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RewardAsked {
    conversion_id: Option<String>,
}

pub(super) async fn reward(
    State(parts): State<GatewayParts>,
    Path((program, reward)): Path<(String, String)>,
    Query(asked): Query<RewardAsked>,
    headers: HeaderMap,
) -> Answered {
    let program = parts.configured(&program)?;
    parts.admit(program, &headers).await?;
    let reward_id = RewardId::new(&reward).map_err(|error| Fault::new("reward", error.to_string()))?;
    let conversion = asked.conversion_id.ok_or_else(|| Fault::new("conversionId", "is required: `?conversionId=…`"))?;
    let conversion = ConversionId::new(&conversion).map_err(|error| Fault::new("conversionId", error.to_string()))?;
    let about = [(reward_id, conversion)];
    let standing = parts.ledger.standings(&program.id, &about).await?.pop().flatten();
    let [(reward_id, conversion)] = about;
    let known = standing.as_ref().and_then(|standing| standing.rewards.iter().find(|known| known.reward_id == reward_id));
    let (Some(standing), Some(known)) = (&standing, known) else {
        let text = match &standing {
            Some(_) => format!("the conversion `{conversion}` has no reward `{reward_id}`"),
            None => format!("the conversion `{conversion}` is not known"),
        };
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    };
    let verdict = format!("{:?}", standing.verdict).to_uppercase();
    Ok(Json(json!({
        "id": reward_id.as_str(),
        "conversionId": conversion.as_str(),
        "state": state_of(standing, known),
        "verdict": if verdict == "INREVIEW" { "IN_REVIEW" } else { verdict.as_str() },
        "why": standing.sentence(),
    })))
}

/// The state of a reward in the words of referral platforms. What was paid stays `PROCESSED`, whatever is learned later: it is never clawed back.
fn state_of(standing: &Standing, reward: &RewardStanding) -> &'static str {
    let cancelled = standing.cancelled.is_some() || standing.duplicate_of.is_some() || standing.record == Record::Removed;
    match (&reward.state, standing.verdict) {
        (RewardState::Paid { .. }, _) => "PROCESSED",
        (_, Verdict::Rejected) => "REJECTED",
        (RewardState::Elsewhere, _) => "CANCELED",
        (RewardState::Unpaid | RewardState::Reserved { .. }, Verdict::Approved | Verdict::InReview) => {
            if cancelled {
                "CANCELED"
            } else {
                "CREATED"
            }
        }
    }
}
