//! Holds the model store to its claims: what is loaded is there after a restart, nothing unfit is, programmes do not touch.

use super::*;
use crate::adapters::model_file::tests::model;
use crate::book::models::ProgramModels;
use crate::book::models::tests::chosen;
use crate::screening::features::CATALOGUE;
use crate::screening::model::ModelParts;

fn shop() -> ProgramId {
    ProgramId::new("shop").unwrap()
}

fn other() -> ProgramId {
    ProgramId::new("other").unwrap()
}

fn now() -> Timestamp {
    Timestamp::saturating_from_millis(1_790_000_000_000)
}

fn bytes(version: &str) -> Vec<u8> {
    model_file::to_bytes(&model(version)).unwrap()
}

fn opened(folder: &Path) -> ModelStore {
    ModelStore::open(Some(folder), Arc::default(), now()).unwrap()
}

fn refused(folder: &Path) -> String {
    ModelStore::open(Some(folder), Arc::default(), now()).err().unwrap().to_string()
}

/// What decides in a programme whose book says this.
fn active(store: &ModelStore, program: &ProgramId, book: &ProgramModels) -> Option<String> {
    store.shelf().models_of(program, book).active.as_ref().map(|model| model.version().to_owned())
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
    let (folder, nobody) = (tempfile::tempdir().unwrap(), ProgramModels::default());
    assert_eq!(active(&opened(folder.path()), &shop(), &nobody), Some(shipped.clone()));
    let memory = ModelStore::open(None, Arc::default(), now()).unwrap();
    assert!(memory.default_is_shipped());
    assert_eq!((active(&memory, &shop(), &nobody), &*memory.default_model().name.version), (Some(shipped.clone()), &*shipped));
    model_file::write(&folder.path().join(DEFAULT_FILE), &model("ours")).unwrap();
    let store = opened(folder.path());
    assert_eq!(active(&store, &shop(), &nobody).as_deref(), Some("ours"));
    assert_eq!((&*store.default_model().name.version, store.default_is_shipped()), ("ours", false));
}

#[test]
fn what_was_loaded_is_found_after_a_restart_by_what_the_book_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    let (loaded, arrival) = store.load(&shop(), &bytes("m-1"), now()).unwrap();
    assert_eq!(arrival, Arrival::New);
    assert_eq!(store.load(&shop(), &bytes("m-1"), now()).unwrap().1, Arrival::Known);
    store.keep_shipped(&shop()).unwrap();
    let store = opened(folder.path());
    assert_eq!(active(&store, &shop(), &chosen(loaded.name.clone())).as_deref(), Some("m-1"));
    assert_eq!(store.named(&shop(), &loaded.name).unwrap().name, loaded.name);
    let shipped = store.default_model().name.version;
    assert!(folder.path().join(format!("programmes/shop/{shipped}.json")).exists());
}

#[test]
fn a_file_that_comes_later_is_found_at_the_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    let name = model_file::name_of(&model("m-1")).unwrap();
    assert_eq!(store.shelf().models_of(&shop(), &chosen(name.clone())).missing, Some(name.clone()));
    model_file::write(&folder.path().join("brought.json"), &model("m-1")).unwrap();
    store.look_again().unwrap();
    assert_eq!(active(&store, &shop(), &chosen(name)).as_deref(), Some("m-1"));
}

#[test]
fn a_model_of_one_programme_is_not_there_for_another_and_does_not_take_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    let (of_shop, _) = store.load(&shop(), &bytes("m-1"), now()).unwrap();
    assert!(store.model(&other(), "m-1").is_none());
    assert_eq!(active(&store, &other(), &chosen(of_shop.name)), None);
    let namesake = ModelParts { family: "other".into(), ..model("m-1").parts().clone() };
    let namesake = Model::from_parts(namesake).unwrap();
    store.load(&other(), &model_file::to_bytes(&namesake).unwrap(), now()).unwrap();
    let taken = store.load(&shop(), &model_file::to_bytes(&namesake).unwrap(), now());
    assert!(matches!(taken, Err(ModelStoreError::VersionTaken(_))));
    let store = opened(folder.path());
    let own: Vec<_> = store.models(&other()).into_iter().map(|loaded| loaded.name.version).collect();
    assert_eq!(own.len(), 2, "its own and the shipped one: {own:?}");
    let family = |program| store.model(&program, "m-1").unwrap().model.parts().family.to_string();
    assert_eq!((family(shop()), family(other())), ("logistic".to_owned(), "other".to_owned()));
}

#[test]
fn a_file_of_the_folder_is_loaded_by_name_for_all_and_none_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path());
    model_file::write(&folder.path().join("by-hand.json"), &model("m-9")).unwrap();
    let (loaded, _) = store.load_file(&shop(), "by-hand.json", now()).unwrap();
    assert_eq!(active(&store, &other(), &chosen(loaded.name)).as_deref(), Some("m-9"));
    assert!(matches!(store.load_file(&shop(), "../elsewhere.json", now()), Err(ModelStoreError::Name(_))));
}

#[test]
fn a_default_that_does_not_fit_stops_the_start_and_says_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(DEFAULT_FILE), unfit("ours")).unwrap();
    let said = refused(folder.path());
    assert!(
        said.contains("default.json") && said.contains("identity.from_elsewhere") && said.contains("shipped model"),
        "{said}"
    );
}

#[test]
fn a_file_that_does_not_fit_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.json"), unfit("old")).unwrap();
    let store = opened(folder.path());
    assert_eq!(store.models(&shop()).len(), 1);
    assert!(matches!(store.load_file(&shop(), "old.json", now()), Err(ModelStoreError::File(ModelFileError::Model(_)))));
}
