//! Holds `docs/errors.md` to the code: every reason with its status code and its meaning, and no other.

use std::collections::BTreeMap;

use super::*;

const PAGE: &str = include_str!("../../docs/errors.md");
const SOURCE: &str = include_str!("errors.rs");

/// The rows of the page's table: code, reason, when.
fn rows() -> Vec<[&'static str; 3]> {
    let cells = |line: &'static str| -> Option<[&'static str; 3]> {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let code = cells.next()?.strip_suffix('`')?;
        let reason = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some([code, reason, cells.next()?])
    };
    PAGE.lines().filter_map(cells).collect()
}

/// What the comment of each variant says, in the order of the variants.
fn comments() -> Vec<(&'static str, String)> {
    let declared = SOURCE.split_once("pub enum Reason {").unwrap().1.split_once("\n}").unwrap().0;
    let (mut all, mut comment) = (Vec::new(), String::new());
    for line in declared.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            comment += if comment.is_empty() { "" } else { " " };
            comment += text;
        } else if let Some(name) = line.strip_suffix(',') {
            all.push((name, std::mem::take(&mut comment)));
        }
    }
    all
}

#[test]
fn the_page_of_refusals_holds_every_reason_with_its_code_and_its_meaning() {
    let comments = comments();
    assert_eq!(comments.len(), Reason::ALL.len(), "`Reason::ALL` leaves a reason out");
    let mut told: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for [code, reason, when] in rows() {
        assert!(told.insert(reason, (code, when)).is_none(), "{reason} stands on the page twice");
    }
    for (reason, (name, comment)) in Reason::ALL.into_iter().zip(&comments) {
        assert_eq!(format!("{reason:?}"), **name, "`Reason::ALL` is in the order of the variants");
        let (code, when) = told.remove(reason.as_str()).unwrap_or_else(|| panic!("{} is not on the page", reason.as_str()));
        assert_eq!(code.replace('_', "").to_lowercase(), format!("{:?}", reason.code()).to_lowercase(), "{}", reason.as_str());
        assert_eq!(format!("{}.", when.to_lowercase()), comment.to_lowercase(), "the meaning of {}", reason.as_str());
    }
    assert!(told.is_empty(), "the page tells of reasons that there are not: {told:?}");
}

#[test]
fn a_page_token_that_is_wrong_beside_other_fields_is_one_of_several() {
    let violation = |field: &str| Violation { field: field.to_owned(), problem: "is wrong".to_owned() };
    assert_eq!(Refusal::invalid(vec![violation("page_token")]).reason(), Reason::InvalidPageToken);
    assert_eq!(Refusal::invalid(vec![violation("page_size")]).reason(), Reason::InvalidFields);
    assert_eq!(Refusal::invalid(vec![violation("page_size"), violation("page_token")]).reason(), Reason::InvalidFields);
}
