//! The first page: the caller's programmes with what waits in each. With one programme there is nothing to choose.

use axum::response::Response;
use maud::html;

use crate::console::server::{Failure, Visitor, see};
use crate::console::words::link;
use crate::wire::v1;

pub(in crate::console) async fn show(visitor: Visitor) -> Result<Response, Failure> {
    let listed = visitor.api.programs().list_programs(v1::ListProgramsRequest::default()).await?.into_inner().programs;
    if let [only] = listed.as_slice() {
        return Ok(see(&link("/queue", &[("program", &only.program_id)])));
    }
    let mut rows = Vec::with_capacity(listed.len());
    for program in listed {
        let request = v1::GetQueueStatsRequest { program_id: program.program_id.clone() };
        // Who may not review in one of his programmes is shown the others all the same.
        let stats = visitor.api.review().get_queue_stats(request).await.map(tonic::Response::into_inner).ok();
        rows.push((program, stats));
    }
    let main = html! {
        h1 { "Programmes" }
        @if rows.is_empty() {
            p { "There is none that you may see. An administrator registers programmes with " code { "selfsame program create" } "." }
        } @else {
            table {
                caption { "What waits" }
                thead {
                    tr {
                        th scope="col" { "Programme" } th scope="col" { "Open" } th scope="col" { "Claimed" } th scope="col" { "Overdue" }
                    }
                }
                tbody {
                    @for (program, stats) in &rows {
                        tr data-row {
                            th scope="row" {
                                a href=(link("/queue", &[("program", &program.program_id)])) { (program.program_id) }
                                @if !program.title.is_empty() { " " (program.title) }
                                @if program.archived_at.is_some() { " (archived)" }
                            }
                            @if let Some(stats) = stats {
                                td .number { (stats.open_cases) } td .number { (stats.claimed_cases) } td .number { (stats.overdue_cases) }
                            } @else {
                                td colspan="3" { "not yours to review" }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(visitor.page("Programmes", "", &main))
}
