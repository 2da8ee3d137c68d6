//! How the programme is doing: what the service finds wrong, and the model that decides.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};

use crate::console::server::{Failure, Visitor};
use crate::console::words::{named, time};
use crate::wire::v1;

/// What is asked for.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Asked {
    program: String,
}

pub(in crate::console) async fn show(visitor: Visitor, Query(Asked { program }): Query<Asked>) -> Result<Response, Failure> {
    let (mut operations, mut models) = (visitor.api.operations(), visitor.api.models());
    let (found, model) = tokio::join!(
        operations.diagnose(v1::DiagnoseRequest { program_id: program.clone() }),
        models.get_model_status(v1::GetModelStatusRequest { program_id: program.clone() })
    );
    let main = html! {
        h1 { "Health" }
        @match found {
            Ok(found) => (findings(&found.into_inner())),
            Err(status) => p .empty { (status.message()) },
        }
        h2 { "Model" }
        @match model {
            Ok(model) => (state(&model.into_inner())),
            Err(status) => p .empty { (status.message()) },
        }
    };
    Ok(visitor.page_at("Health", &program, "Health", &main))
}

fn findings(found: &v1::DiagnoseResponse) -> Markup {
    html! {
        table {
            caption { "What was looked at, by version " (found.version) " at " (time(found.server_time.as_ref())) }
            thead { tr { th scope="col" { "Subject" } th scope="col" { "How it is" } th scope="col" { "What was found" } th scope="col" { "What to do" } } }
            tbody {
                @for finding in &found.findings {
                    tr {
                        th scope="row" { (finding.subject) }
                        td data-bad[finding.level() != v1::FindingLevel::Fine] { (named(finding.level().as_str_name(), "FINDING_LEVEL_")) }
                        td { (finding.sentence) } td { (finding.fix) }
                    }
                }
            }
        }
    }
}

fn state(model: &v1::GetModelStatusResponse) -> Markup {
    let version =
        |model: Option<&v1::ModelSummary>| model.map_or_else(|| "rule weights".to_owned(), |model| model.model_version.clone());
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    html! {
        dl .sums {
            div { dt { "Decides" } dd { (version(model.active.as_ref())) } }
            @if model.challenger.is_some() { div { dt { "Challenger" } dd { (version(model.challenger.as_ref())) } } }
            @if let Some(audit) = &model.audit {
                div { dt { "Breaker" } dd { (named(audit.breaker().as_str_name(), "BREAKER_STATE_")) } }
                div { dt { "Audited" } dd { (audit.resolved) " of " (audit.sampled) " decided, " (audit.honest) " honest" } }
                @if let Some(bound) = audit.live_error_bound { div { dt { "Live error at most" } dd { (share(bound)) } } }
            }
            @if let Some(drift) = &model.score_drift {
                div { dt { "Drift of the score" } dd { (named(drift.level().as_str_name(), "DRIFT_LEVEL_")) } }
            }
        }
        @if !model.changes.is_empty() {
            table {
                caption { "What was done, the newest first" }
                thead { tr { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Model" } th scope="col" { "Why" } } }
                tbody {
                    @for change in model.changes.iter().take(20) {
                        tr {
                            td { (time(change.at.as_ref())) } td { (change.actor) } td { (named(change.kind().as_str_name(), "MODEL_CHANGE_KIND_")) }
                            td { (change.model_version) } td { (change.note) }
                        }
                    }
                }
            }
        }
    }
}
