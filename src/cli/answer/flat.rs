//! An answer as rows and columns. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A row: the fields of an item by their path, like `summary.caseId`.
type Row = BTreeMap<String, String>;

/// The answer as CSV with a header: a row for each item of its one list of objects, or one for the answer. Columns stand in the order of their names;
/// what lists stand inside a row is in one cell, words apart or as JSON. Of an empty list nothing is left, not even a header.
///
/// # Errors
/// When a row cannot be written, which memory does not refuse.
pub(super) fn csv(answer: Value) -> anyhow::Result<String> {
    let rows: Vec<Row> = items(answer)
        .into_iter()
        .map(|item| {
            let mut row = Row::new();
            flatten(String::new(), item, &mut row);
            row
        })
        .collect();
    let columns: BTreeSet<&String> = rows.iter().flat_map(BTreeMap::keys).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !columns.is_empty() {
        writer.write_record(&columns)?;
        for row in &rows {
            writer.write_record(columns.iter().map(|column| row.get(*column).map_or("", String::as_str)))?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// What the rows are of. An answer with one list is that list; what else stands beside it (the next page, a total) is no item.
fn items(answer: Value) -> Vec<Value> {
    let Value::Object(fields) = answer else { return vec![answer] };
    let is_list = |value: &Value| matches!(value, Value::Array(items) if items.iter().all(Value::is_object));
    let mut lists: Vec<Value> = fields.values().filter(|value| is_list(value)).cloned().collect();
    let about_pages = ["nextPageToken", "totalSize"];
    let others = fields.iter().filter(|(name, value)| !is_list(value) && !about_pages.contains(&name.as_str())).count();
    match (lists.pop(), others) {
        (Some(Value::Array(items)), 0) if lists.is_empty() => items,
        // What is left of an empty list is an empty answer.
        (None, 0) => Vec::new(),
        (_, _) => vec![Value::Object(fields)],
    }
}

fn flatten(path: String, value: Value, row: &mut Row) {
    let cell = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(if path.is_empty() { name } else { format!("{path}.{name}") }, value, row);
            }
            return;
        }
        Value::Array(items) if !items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.into_iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        value @ Value::Array(_) => value.to_string(),
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain(value),
    };
    row.insert(path, cell);
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_a_row_and_a_field_a_column() {
        let answer = json!({
            "holds": [
                {"holdId": "h-1", "subject": {"conversionId": "cv, 7"}, "note": "a \"legal\" case"},
                {"holdId": "h-2", "codes": ["a", "b"], "parts": [{"a": 1}]},
            ],
            "nextPageToken": "x",
        });
        let expected = "codes,holdId,note,parts,subject.conversionId\n\
                        ,h-1,\"a \"\"legal\"\" case\",,\"cv, 7\"\na b,h-2,,\"[{\"\"a\"\":1}]\",\n";
        assert_eq!(csv(answer).unwrap(), expected);
    }

    #[test]
    fn an_answer_of_more_than_a_list_is_one_row_and_an_empty_list_none() {
        assert_eq!(csv(json!({"hold": {"holdId": "h"}, "replayed": true})).unwrap(), "hold.holdId,replayed\nh,true\n");
        assert_eq!(csv(json!({"program": "shop", "parts": [{"a": 1}]})).unwrap(), "parts,program\n\"[{\"\"a\"\":1}]\",shop\n");
        assert_eq!((csv(json!({"holds": []})).unwrap(), csv(json!({})).unwrap()), (String::new(), String::new()));
    }
}
