//! Holds the model store to its claims: choices survive a restart, each has its line, nothing unfit decides, programmes do not touch.

use super::*;
use crate::adapters::model_file::tests::model;
use crate::book::cursor::ChainMark;
use crate::screening::features::CATALOGUE;
use crate::screening::model::ModelParts;

fn shop() -> ProgramId {
    ProgramId::new("shop").unwrap()
}

fn other() -> ProgramId {
    ProgramId::new("other").unwrap()
}

fn at(place: u64) -> FeedCursor {
    FeedCursor { place: Cursor(place), mark: ChainMark::default() }
}

fn now() -> Timestamp {
    Timestamp::saturating_from_millis(1_790_000_000_000)
}

fn dana() -> ChangeBy {
    ChangeBy { actor: Actor::new("dana").unwrap(), note: "measured".to_owned(), at: now(), request: None }
}

fn bytes(version: &str) -> Vec<u8> {
    model_file::to_bytes(&model(version)).unwrap()
}

fn opened(folder: &Path) -> (ModelStore, Arc<ModelShelf>) {
    let shelf = Arc::new(ModelShelf::default());
    (ModelStore::open(Some(folder), Arc::clone(&shelf), now()).unwrap(), shelf)
}

fn refused(folder: &Path) -> String {
    ModelStore::open(Some(folder), Arc::default(), now()).err().unwrap().to_string()
}

fn active(shelf: &ModelShelf, program: &ProgramId) -> Option<String> {
    shelf.models_of(program).active.as_ref().map(|model| model.version().to_owned())
}

/// A model file whose features this server does not have.
fn of_other_features(version: &str) -> String {
    String::from_utf8(bytes(version)).unwrap().replace(&CATALOGUE[3].name, "identity.from_elsewhere")
}

/// The same with a checksum that fits, as another server would have written it.
fn unfit(version: &str) -> String {
    let edited = of_other_features(version);
    match model_file::from_bytes(edited.as_bytes()) {
        Err(ModelFileError::Checksum { stated, computed }) => edited.replace(&stated, &computed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_shipped_model_fits_the_features_of_this_server() {
    let model = model_file::from_bytes(SHIPPED_MODEL).unwrap();
    assert_eq!(model.parts().features.len(), CATALOGUE.len());
}

#[test]
fn the_shipped_model_decides_where_nobody_chose_and_a_file_of_the_folder_comes_before_it() {
    let shipped = model_file::from_bytes(SHIPPED_MODEL).unwrap().version().to_owned();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(active(&opened(folder.path()).1, &shop()), Some(shipped.clone()));
    let memory = Arc::new(ModelShelf::default());
    let store = ModelStore::open(None, Arc::clone(&memory), now()).unwrap();
    assert_eq!((active(&memory, &shop()), store.default_version()), (Some(shipped.clone()), shipped));
    model_file::write(&folder.path().join(DEFAULT_FILE), &model("ours")).unwrap();
    let (store, shelf) = opened(folder.path());
    assert_eq!(active(&shelf, &shop()).as_deref(), Some("ours"));
    assert_eq!(store.choices(&shop()).active.as_deref(), Some("ours"));
}

#[test]
fn what_was_activated_decides_after_a_restart_and_can_be_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = opened(folder.path());
    let shipped = store.default_version();
    for version in ["m-1", "m-2"] {
        store.load(&shop(), &bytes(version), dana()).unwrap();
    }
    assert_eq!(store.activate(&shop(), "m-1", at(0), dana()).unwrap().previous, Some(shipped.clone()));
    assert_eq!(store.activate(&shop(), "m-2", at(0), dana()).unwrap().previous, Some("m-1".to_owned()));
    let (store, shelf) = opened(folder.path());
    assert_eq!((active(&shelf, &shop()).as_deref(), active(&shelf, &other())), (Some("m-2"), Some(shipped)));
    assert_eq!(store.roll_back(&shop(), dana()).unwrap().previous, Some("m-2".to_owned()));
    assert_eq!(active(&shelf, &shop()).as_deref(), Some("m-1"));
    let refused = store.roll_back(&shop(), dana()).unwrap_err();
    assert!(matches!(refused, ModelStoreError::NothingBefore));
    assert!(refused.to_string().contains("one step") && refused.to_string().contains("`model activate VERSION`"), "{refused}");
}

#[test]
fn activating_the_active_model_again_keeps_what_a_rollback_leads_to() {
    let (store, shelf) = opened(tempfile::tempdir().unwrap().path());
    for version in ["m-1", "m-2"] {
        store.load(&shop(), &bytes(version), dana()).unwrap();
        store.activate(&shop(), version, at(0), dana()).unwrap();
    }
    assert_eq!(store.activate(&shop(), "m-2", at(0), dana()).unwrap().previous, Some("m-2".to_owned()));
    store.roll_back(&shop(), dana()).unwrap();
    assert_eq!(active(&shelf, &shop()).as_deref(), Some("m-1"));
}

#[test]
fn a_challenger_that_comes_to_decide_is_no_challenger_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (store, shelf) = opened(folder.path());
    for version in ["m-1", "m-2"] {
        store.load(&shop(), &bytes(version), dana()).unwrap();
    }
    store.activate(&shop(), "m-1", at(0), dana()).unwrap();
    store.set_challenger(&shop(), Some("m-2"), dana()).unwrap();
    store.activate(&shop(), "m-2", at(0), dana()).unwrap();
    assert_eq!((active(&shelf, &shop()).as_deref(), store.choices(&shop()).challenger), (Some("m-2"), None));
    assert!(shelf.models_of(&shop()).challenger.is_none());
    store.set_challenger(&shop(), Some("m-1"), dana()).unwrap();
    store.roll_back(&shop(), dana()).unwrap();
    assert_eq!((active(&shelf, &shop()).as_deref(), store.choices(&shop()).challenger), (Some("m-1"), None));
}

#[test]
fn each_change_has_its_line_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = opened(folder.path());
    store.load(&shop(), &bytes("m-1"), dana()).unwrap();
    store.load(&shop(), &bytes("m-1"), dana()).unwrap();
    store.activate(&shop(), "m-1", at(7), dana()).unwrap();
    store.set_challenger(&other(), None, dana()).unwrap();
    assert!(store.activate(&shop(), "ghost", at(7), dana()).is_err());
    let (store, _) = opened(folder.path());
    let history = store.history(&shop(), 10);
    let said: Vec<_> = history.iter().map(|change| (change.action, change.version.as_deref(), change.actor.as_str())).collect();
    assert_eq!(said, [(ModelAction::Activated, Some("m-1"), "dana"), (ModelAction::Loaded, Some("m-1"), "dana")]);
    assert_eq!(history[0].previous, Some(store.default_version()));
    assert_eq!(store.history(&other(), 10).len(), 1);
}

#[test]
fn what_is_not_loaded_cannot_be_activated_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, shelf) = opened(folder.path());
    let before = (active(&shelf, &shop()), store.choices(&shop()));
    assert!(matches!(store.activate(&shop(), "ghost", at(0), dana()), Err(ModelStoreError::NotLoaded(_))));
    assert!(matches!(store.load_file(&shop(), "../elsewhere.json", dana()), Err(ModelStoreError::Name(_))));
    assert_eq!((active(&shelf, &shop()), store.choices(&shop())), before);
    assert_eq!(store.history(&shop(), 10), []);
}

#[test]
fn a_model_of_one_programme_is_not_there_for_another_and_does_not_take_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = opened(folder.path());
    store.load(&shop(), &bytes("m-1"), dana()).unwrap();
    assert!(store.model(&other(), "m-1").is_none());
    assert!(matches!(store.activate(&other(), "m-1", at(0), dana()), Err(ModelStoreError::NotLoaded(_))));
    let namesake = ModelParts { family: "other".into(), ..model("m-1").parts().clone() };
    let namesake = Model::from_parts(namesake).unwrap();
    store.load(&other(), &model_file::to_bytes(&namesake).unwrap(), dana()).unwrap();
    let (store, _) = opened(folder.path());
    assert_eq!(store.models(&other()).len(), 2, "its own and the shipped one");
    let family = |program| store.model(&program, "m-1").unwrap().model.parts().family.to_string();
    assert_eq!((family(shop()), family(other())), ("logistic".to_owned(), "other".to_owned()));
}

#[test]
fn a_file_of_the_folder_is_loaded_by_name_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = opened(folder.path());
    model_file::write(&folder.path().join("by-hand.json"), &model("m-9")).unwrap();
    store.load_file(&shop(), "by-hand.json", dana()).unwrap();
    store.activate(&other(), "m-9", at(0), dana()).unwrap();
    let (_, shelf) = opened(folder.path());
    assert_eq!(active(&shelf, &other()).as_deref(), Some("m-9"));
}

#[test]
fn a_model_that_decides_and_does_not_fit_stops_the_start_and_says_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(DEFAULT_FILE), unfit("ours")).unwrap();
    let said = refused(folder.path());
    assert!(
        said.contains("default.json") && said.contains("identity.from_elsewhere") && said.contains("shipped model"),
        "{said}"
    );
    std::fs::remove_file(folder.path().join(DEFAULT_FILE)).unwrap();
    let (store, _) = opened(folder.path());
    store.load(&shop(), &bytes("m-1"), dana()).unwrap();
    store.activate(&shop(), "m-1", at(0), dana()).unwrap();
    std::fs::write(folder.path().join("programmes/shop/m-1.json"), unfit("m-1")).unwrap();
    let said = refused(folder.path());
    assert!(said.contains("`m-1` decides in programme `shop`") && said.contains(STATE_FILE), "{said}");
}

#[test]
fn a_file_that_nothing_uses_and_that_does_not_fit_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.json"), unfit("old")).unwrap();
    let (store, _) = opened(folder.path());
    assert_eq!(store.models(&shop()).len(), 1);
    assert!(matches!(store.load_file(&shop(), "old.json", dana()), Err(ModelStoreError::File(ModelFileError::Model(_)))));
}

#[test]
fn a_breaker_stays_tripped_over_a_restart_and_a_rollback_until_the_model_is_activated_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (store, shelf) = opened(folder.path());
    for version in ["m-1", "m-2"] {
        store.load(&shop(), &bytes(version), dana()).unwrap();
    }
    store.activate(&shop(), "m-1", at(5), dana()).unwrap();
    let mut watched = store.watched(&shop()).unwrap();
    assert_eq!((watched.version.as_str(), watched.watch.models["m-1"].since), ("m-1", 5));
    let audits = ModelAudits { since: 5, sampled: 20, honest: 10, abusive: 2, tripped_at_millis: Some(now().as_millis()) };
    watched.watch.models.insert("m-1".to_owned(), audits);
    assert_eq!(store.note_audits(&shop(), &watched, now()).unwrap(), Noted::Tripped);
    let auto_reject = |shelf: &ModelShelf| shelf.models_of(&shop()).auto_reject;
    assert_eq!(auto_reject(&shelf), AutoReject::Tripped);
    let (store, shelf) = opened(folder.path());
    assert_eq!(auto_reject(&shelf), AutoReject::Tripped);
    assert_eq!(store.history(&shop(), 1)[0].action, ModelAction::BreakerTripped);
    let watched = store.watched(&shop()).unwrap();
    store.activate(&shop(), "m-2", at(9), dana()).unwrap();
    assert_eq!(auto_reject(&shelf), AutoReject::Armed);
    assert_eq!(store.note_audits(&shop(), &watched, now()).unwrap(), Noted::ChosenMeanwhile);
    store.roll_back(&shop(), dana()).unwrap();
    assert_eq!(auto_reject(&shelf), AutoReject::Tripped);
    store.activate(&shop(), "m-1", at(9), dana()).unwrap();
    assert_eq!(auto_reject(&shelf), AutoReject::Armed);
    assert_eq!(store.watched(&shop()).unwrap().watch.models["m-1"], ModelAudits { since: 9, ..ModelAudits::default() });
}
