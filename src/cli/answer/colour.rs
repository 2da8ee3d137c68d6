//! Colours of what one looks for first in a table: verdicts, the gate's answers, findings. Where no terminal reads, or `NO_COLOR` is set, the writer
//! takes them out again. Pure.

use anstyle::{AnsiColor, Style};

/// The colour of a word that is one, wherever it stands.
fn of(word: &str) -> Option<Style> {
    let colour = match word {
        "APPROVED" | "ACCEPTED" | "RELEASE" | "accepted" | "approved" => AnsiColor::Green,
        "IN_REVIEW" | "HOLD" | "note" => AnsiColor::Yellow,
        "REJECTED" | "DENY" | "WRONG" | "BANNED" | "OVERDUE" | "overdue" | "rejected" => AnsiColor::Red,
        _ => return None,
    };
    Some(colour.on_default())
}

/// The text with its words coloured. Nothing else of it changes.
pub(super) fn coloured(text: &str) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_bytes = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let gap_bytes = rest.get(word_bytes..).and_then(|after| after.find(is_part)).map_or(rest.len(), |gap| word_bytes + gap);
        let (word, gap) = (rest.get(..word_bytes).unwrap_or_default(), rest.get(word_bytes..gap_bytes).unwrap_or_default());
        match of(word) {
            Some(style) => result.push_str(&format!("{style}{word}{style:#}")),
            None => result.push_str(word),
        }
        result.push_str(gap);
        rest = rest.get(gap_bytes..).unwrap_or_default();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_coloured_and_without_colours_the_text_is_as_it_was() {
        let text = "case-1  REJECTED\n  IN_REVIEW: notes of `note`, REJECTED-2, unapproved äöü\n";
        let shown = coloured(text);
        assert_eq!(anstream::adapter::strip_str(&shown).to_string(), text);
        assert_eq!(shown.matches("\u{1b}[0m").count(), 3, "{shown:?}");
        assert!(shown.contains("\u{1b}[31mREJECTED\u{1b}[0m\n") && shown.contains("REJECTED-2, unapproved"), "{shown:?}");
    }
}
