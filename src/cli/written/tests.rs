//! Holds outputs to their claims: never an input, whole or not at all, and what is no file as it comes.

use super::*;

fn begun(path: &Path, inputs: &[&Path]) -> Written {
    let mut output = Written::file(path, inputs).unwrap();
    output.write_all(b"new").unwrap();
    output
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_has_its_name_when_it_is_kept_and_nothing_is_left_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    drop(begun(&path, &[]));
    assert_eq!(names(folder.path()), Vec::<String>::new());
    let output = begun(&path, &[]);
    assert!(output.is_file() && !path.exists());
    output.keep().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["out.jsonl"]);
}

#[test]
fn what_stood_there_before_stays_until_the_new_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    fs::write(&path, "old").unwrap();
    drop(begun(&path, &[]));
    assert_eq!(fs::read(&path).unwrap(), b"old");
    begun(&path, &[]).keep().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn an_output_that_is_an_input_is_refused_under_every_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.jsonl");
    fs::write(&path, "data").unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let mut same = vec![path.clone(), folder.path().join("sub/../h.jsonl")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        fs::hard_link(&path, folder.path().join("twin")).unwrap();
        same.extend([folder.path().join("link"), folder.path().join("twin")]);
    }
    for output in same {
        let refused = Written::file(&output, &[Path::new("other"), &path]).unwrap_err().to_string();
        assert!(refused.contains("is also read") && refused.contains("h.jsonl"), "{refused}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"data");
}

#[test]
fn a_folder_that_is_not_there_is_noticed_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let refused = format!("{:#}", Written::file(&folder.path().join("nowhere/out.json"), &[]).unwrap_err());
    assert!(refused.starts_with("cannot write `") && refused.contains("nowhere"), "{refused}");
    assert!(Written::file(folder.path(), &[]).is_err(), "a folder is no file");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_written_as_it_comes() {
    use std::os::unix::fs::FileTypeExt as _;

    let null = Path::new("/dev/null");
    let output = begun(null, &[null]);
    assert!(!output.is_file());
    output.keep().unwrap();
    assert!(fs::metadata(null).unwrap().file_type().is_char_device());
}

#[cfg(unix)]
#[test]
fn a_new_file_has_the_permissions_of_any_and_a_replaced_one_keeps_its_own() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (usual, path) = (folder.path().join("usual"), folder.path().join("out"));
    fs::write(&usual, "").unwrap();
    begun(&path, &[]).keep().unwrap();
    assert_eq!(mode(&path), mode(&usual));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    begun(&path, &[]).keep().unwrap();
    assert_eq!(mode(&path), 0o640);
}

#[cfg(unix)]
#[test]
fn a_link_keeps_pointing_to_the_file_that_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    begun(&link, &[]).keep().unwrap();
    assert_eq!((fs::read(&file).unwrap(), fs::read_link(&link).unwrap()), (b"new".to_vec(), file));
}
