//! Plans of changes of models, and when the audits trip a breaker.

use super::{Plan, Ruling};
use crate::book::Book;
use crate::book::command::{ModelsCommand, ModelsStep};
use crate::book::event::{BreakerTripped, Event, ModelsChanged};
use crate::book::models::{ModelAction, ModelAudits, ModelChoices, ModelName};
use crate::book::refusal::Refusal;
use crate::book::slab::ConversionNumber;
use crate::screening::AutoReject;
use crate::screening::model::Certificate;
use crate::screening::policy::ScoreSource;
use crate::vocabulary::time::Timestamp;

/// Loads, chooses or watches a model.
pub(super) fn change(book: &Book, command: ModelsCommand) -> Result<Plan, Refusal> {
    let ModelsCommand { program_id: _, step, default, actor, note, request, at } = command;
    let chosen = book.models.choices().cloned();
    let ModelChoices { active, before, challenger } =
        chosen.unwrap_or(ModelChoices { active: default, before: None, challenger: None });
    let (action, model, previous, choices) = match step {
        ModelsStep::Load(model) => (ModelAction::Loaded, Some(model), None, None),
        ModelsStep::Activate(model) => {
            let before = if active == model { before } else { Some(active.clone()) };
            let challenger = challenger.filter(|challenger| *challenger != model);
            let choices = ModelChoices { active: model.clone(), before, challenger };
            (ModelAction::Activated, Some(model), Some(active), Some(choices))
        }
        ModelsStep::RollBack => {
            let back = before.ok_or_else(nothing_before)?;
            let challenger = challenger.filter(|challenger| *challenger != back);
            let choices = ModelChoices { active: back.clone(), before: None, challenger };
            (ModelAction::RolledBack, Some(back), Some(active), Some(choices))
        }
        ModelsStep::Challenge(Some(model), ScoreSource::Model) if model == active => return Err(decides(&model)),
        ModelsStep::Challenge(model, _) => {
            let action = if model.is_some() { ModelAction::ChallengerSet } else { ModelAction::ChallengerCleared };
            let choices = ModelChoices { active, before, challenger: model.clone() };
            (action, model, challenger, Some(choices))
        }
    };
    let changed = ModelsChanged { action, model, previous, choices, actor, note, at, request };
    Ok(Plan::commit(Event::ModelsChanged(Box::new(changed))))
}

fn nothing_before() -> Refusal {
    Refusal::NotPossible(
        "there is nothing to go back to: a rollback goes back one step, to what decided before the last activation; use `model activate VERSION`"
            .to_owned(),
    )
}

fn decides(model: &ModelName) -> Refusal {
    Refusal::NotPossible(format!("model `{}` decides in this programme; a challenger is another one", model.version))
}

/// The breaker that reviewers' rulings on conversions trip together, of several models the first; `None` when none of them is audited, or each model
/// promises nothing or keeps its promise.
pub(super) fn tripped_by(
    book: &Book,
    rulings: &[(ConversionNumber, Ruling)],
    at: Timestamp,
    promise: impl Fn(&str) -> Option<Certificate>,
) -> Option<BreakerTripped> {
    book.models.once_ruled(rulings.iter().map(|(number, ruling)| (*number, ruling.verdict()))).into_iter().find_map(
        |(version, audits)| {
            let promise = promise(version).filter(|_| !audits.is_tripped())?;
            let broken = audits.live_error().breaker(promise.alpha, promise.delta) == AutoReject::Tripped;
            let ModelAudits { honest, abusive, .. } = audits;
            broken.then(|| BreakerTripped { version: version.into(), honest, abusive, at })
        },
    )
}
