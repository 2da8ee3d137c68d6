//! Claims about the models of a programme: what was chosen, what reviewers found of it, and when it loses its word to reject.

use selfsame::book::Refusal;
use selfsame::book::command::{ModelsStep, Request};
use selfsame::book::models::{ModelAction, ModelAudits, ModelName};
use selfsame::book::records::{ContentFingerprint, Freshness};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::AutoReject;
use selfsame::screening::case::Resolution;
use selfsame::screening::policy::ScoreSource;
use selfsame::vocabulary::ids::{ProgramId, RequestId};

use crate::subject::{Subject, draft, model, shop};

fn call(id: &str, content: u8) -> Request {
    Request { id: RequestId::new(id).unwrap(), content: ContentFingerprint([content; 16]) }
}

/// What decides, what a rollback leads to, and what is watched.
fn chosen(subject: &Subject) -> [Option<String>; 3] {
    let models = subject.models();
    let version = |name: Option<&ModelName>| name.map(|name| name.version.to_string());
    let choices = models.choices();
    [choices.map(|c| &c.active), choices.and_then(|c| c.before.as_ref()), choices.and_then(|c| c.challenger.as_ref())]
        .map(version)
}

fn versions(named: [&str; 3]) -> [Option<String>; 3] {
    named.map(|version| (!version.is_empty()).then(|| version.to_owned()))
}

/// A conversion whose reject by the model that decides went to review instead.
pub(crate) fn audited(subject: &Subject, id: &str) {
    subject.screen(&draft(id, &format!("r-{id}"), &format!("e-{id}")).decided("audit"));
}

pub(crate) fn what_is_chosen_decides_and_a_rollback_goes_back_one_step(subject: &Subject) {
    assert_eq!(chosen(subject), versions(["", "", ""]), "nobody chose");
    assert_eq!(subject.activate("m-1"), Some(model("shipped")));
    assert_eq!(subject.activate("m-22"), Some(model("m-1")));
    assert_eq!(subject.activate("m-22"), Some(model("m-22")));
    assert_eq!(chosen(subject), versions(["m-22", "m-1", ""]), "activated again, it keeps what a rollback leads to");
    let challenge = |version: Option<&str>| {
        subject.try_models(ModelsStep::Challenge(version.map(model), ScoreSource::Model), None).map(|done| done.freshness)
    };
    assert_eq!(challenge(Some("m-1")), Ok(Freshness::New));
    assert_eq!(chosen(subject), versions(["m-22", "m-1", "m-1"]));
    assert!(matches!(challenge(Some("m-22")), Err(LedgerError::Refused(Refusal::NotPossible(_)))), "it decides");
    let back = subject.try_models(ModelsStep::RollBack, None).unwrap();
    assert_eq!(back.done.previous_model(), Some(model("m-22")));
    assert_eq!(chosen(subject), versions(["m-1", "", ""]), "what decides again is no challenger");
    let refused = subject.try_models(ModelsStep::RollBack, None);
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::NotPossible(_)))), "{refused:?}");
    assert_eq!(challenge(None), Ok(Freshness::New));
    let told: Vec<_> = subject.models().changes().map(|change| (change.action, change.version.to_string())).collect();
    let newest = [(ModelAction::ChallengerCleared, ""), (ModelAction::RolledBack, "m-1"), (ModelAction::ChallengerSet, "m-1")];
    assert_eq!(told[..3], newest.map(|(action, version)| (action, version.to_owned())));
    assert_eq!(told.len(), 6);
    let sandbox = ProgramId::new("sandbox").unwrap();
    assert_eq!(*subject.ledger.models(&sandbox).unwrap(), selfsame::book::models::ProgramModels::default());
}

pub(crate) fn a_call_about_models_is_answered_once_and_its_id_names_no_other(subject: &Subject) {
    let activate = |version: &str, content| {
        let executed = subject.try_models(ModelsStep::Activate(model(version)), Some(call("call-1", content)))?;
        Ok::<_, LedgerError>((executed.freshness, executed.cursor, executed.done.previous_model()))
    };
    let (first, at, previous) = activate("m-1", 1).unwrap();
    assert_eq!((first, &previous), (Freshness::New, &Some(model("shipped"))));
    subject.activate("m-22");
    assert_eq!(activate("m-1", 1), Ok((Freshness::Replayed, at, previous)));
    assert_eq!(chosen(subject)[0].as_deref(), Some("m-22"), "nothing was activated again");
    let refused = activate("m-22", 2).unwrap_err();
    assert!(matches!(refused, LedgerError::Refused(Refusal::ContentDiffers { field: "request_id", .. })), "{refused:?}");
}

pub(crate) fn audits_are_counted_with_the_ruling_itself_and_the_later_word_counts(subject: &Subject) {
    subject.activate("m-1");
    let audits = |sampled, honest, abusive| ModelAudits { sampled, honest, abusive, tripped_at: None };
    for id in ["a", "b", "c"] {
        audited(subject, id);
    }
    subject.screen(&draft("plain", "ann", "bob").decided("review"));
    subject.resolve("plain", Resolution::Accept);
    assert_eq!(subject.models().audits_of("m-1"), audits(3, 0, 0));
    subject.resolve("a", Resolution::Reject);
    subject.resolve("b", Resolution::Accept);
    assert_eq!(subject.models().audits_of("m-1"), audits(3, 1, 1));
    subject.reopen("a");
    assert_eq!(subject.models().audits_of("m-1"), audits(3, 1, 0));
    subject.resolve("a", Resolution::Reject);
    assert_eq!(subject.models().audits_of("m-1"), audits(3, 1, 1));
    subject.activate("m-1");
    assert_eq!(subject.models().audits_of("m-1"), audits(0, 0, 0), "each activation begins anew");
    subject.resolve("c", Resolution::Accept);
    subject.reopen("a");
    assert_eq!(subject.models().audits_of("m-1"), audits(0, 0, 0), "what was decided before it does not count");
}

pub(crate) fn a_broken_promise_takes_the_word_to_reject_until_an_activation(subject: &Subject) {
    subject.activate("m-1");
    let mut resolved = 0;
    while subject.models().auto_reject("m-1") == AutoReject::Armed {
        assert!(resolved < 50, "fifty honest ones break a promise of one in a hundred");
        let id = format!("c{resolved}");
        audited(subject, &id);
        subject.resolve(&id, Resolution::Accept);
        resolved += 1;
    }
    assert!(resolved > 1, "one honest referral is no proof");
    let tripped = subject.models();
    let newest = tripped.changes().next().unwrap();
    assert_eq!((newest.action, &*newest.version, newest.actor.as_ref()), (ModelAction::BreakerTripped, "m-1", None));
    assert_eq!(newest.note, format!("{resolved} of {resolved} audited rejects were honest"));
    subject.activate("m-22");
    assert_eq!(subject.models().auto_reject("m-22"), AutoReject::Armed);
    subject.try_models(ModelsStep::RollBack, None).unwrap();
    assert_eq!(subject.models().auto_reject("m-1"), AutoReject::Tripped, "a rollback brings it back as it was");
    subject.activate("m-1");
    assert_eq!(
        (subject.models().auto_reject("m-1"), subject.models().audits_of("m-1")),
        (AutoReject::Armed, ModelAudits::default())
    );
    let elsewhere = subject.try_models_in(&ProgramId::new("sandbox").unwrap(), ModelsStep::Activate(model("m-1")), None);
    assert!(elsewhere.is_ok());
    assert_eq!(subject.ledger.models(&shop()).unwrap().changes().count(), 5, "a programme keeps its own");
}
