//! The documents that come with the program, by section. Pure.

/// The pages, by the name under which they stand in the repository.
const PAGES: [(&str, &str); 8] = [
    ("README.md", include_str!("../../README.md")),
    ("docs/access.md", include_str!("../../docs/access.md")),
    ("docs/digests.md", include_str!("../../docs/digests.md")),
    ("docs/errors.md", include_str!("../../docs/errors.md")),
    ("docs/learning.md", include_str!("../../docs/learning.md")),
    ("docs/operations.md", include_str!("../../docs/operations.md")),
    ("docs/reviewing.md", include_str!("../../docs/reviewing.md")),
    ("docs/runbook.md", include_str!("../../docs/runbook.md")),
];
/// Sections that are shown.
const SHOWN: usize = 4;
/// What of a section is shown. Unit: characters.
const SECTION_CHARS_MAX: usize = 2_500;
/// A word of a heading is worth so many of the text.
const HEADING_WEIGHT: usize = 5;

/// A part of a page below one heading.
struct Section {
    page: &'static str,
    heading: &'static str,
    text: &'static str,
}

/// The sections that say most about a question, the best first.
pub(super) fn search(question: &str) -> String {
    let words = words_of(question);
    let mut found: Vec<(usize, Section)> = PAGES
        .iter()
        .flat_map(|(page, text)| sections(page, text))
        .map(|section| (worth(&section, &words), section))
        .filter(|(worth, _)| *worth > 0)
        .collect();
    // A stable order: what is worth the same stands as the pages do.
    found.sort_by_key(|(worth, _)| std::cmp::Reverse(*worth));
    if found.is_empty() {
        let pages = PAGES.map(|(page, _)| page).join(", ");
        return format!("Nothing in the documents speaks of this. There are: {pages}.");
    }
    let shown = found.into_iter().take(SHOWN).map(|(_, Section { page, heading, text })| {
        let text: String = text.trim().chars().take(SECTION_CHARS_MAX).collect();
        format!("## {page}: {heading}\n\n{text}\n")
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn sections(page: &'static str, text: &'static str) -> Vec<Section> {
    let mut sections = Vec::new();
    let (mut heading, mut from, mut at) = (page, 0, 0);
    for line in text.split_inclusive('\n') {
        if let Some(title) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()).filter(|_| is_heading(line)) {
            sections.push(Section { page, heading, text: text.get(from..at).unwrap_or_default() });
            (heading, from) = (title, at + line.len());
        }
        at += line.len();
    }
    sections.push(Section { page, heading, text: text.get(from..).unwrap_or_default() });
    sections.retain(|section| !section.text.trim().is_empty());
    sections
}

/// A comment of a shell example begins with `#` too; headings of these pages begin with a capital letter or a quotation of code.
fn is_heading(line: &str) -> bool {
    let title = line.trim_start_matches('#');
    title.starts_with(' ') && title.trim_start().starts_with(|first: char| first.is_uppercase() || first == '`')
}

/// The words of a question that tell it from others, in lower case.
fn words_of(question: &str) -> Vec<String> {
    let parts = question.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| word.chars().count() > 2);
    parts
        .map(str::to_lowercase)
        .filter(|word| {
            !matches!(word.as_str(), "the" | "and" | "for" | "are" | "how" | "why" | "what" | "does" | "was" | "can" | "with")
        })
        .collect()
}

/// How much a section says of the words: each counts at most three times, so that long sections do not win by length, and all of them together count
/// more than one of them often.
fn worth(section: &Section, words: &[String]) -> usize {
    let (heading, text) = (section.heading.to_lowercase(), section.text.to_lowercase());
    let count =
        |word: &String| HEADING_WEIGHT * heading.matches(word.as_str()).count() + text.matches(word.as_str()).count().min(3);
    let counts: Vec<usize> = words.iter().map(count).collect();
    let met = counts.iter().filter(|count| **count > 0).count();
    counts.iter().sum::<usize>() * met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_finds_the_section_that_answers_it() {
        for (question, page, part) in [
            ("CONTENT_DIFFERS", "docs/errors.md", "CONTENT_DIFFERS"),
            ("how do I restore a backup", "docs/operations.md", "ledger restore"),
            ("canonical e-mail digest", "docs/digests.md", "igest"),
        ] {
            let found = search(question);
            assert!(found.contains(page) && found.contains(part), "{question}: {found}");
        }
        assert!(search("xylophone").starts_with("Nothing in the documents"));
    }

    #[test]
    fn comments_of_examples_are_no_headings_and_nothing_of_a_page_is_lost() {
        for (page, text) in PAGES {
            let all = sections(page, text);
            let kept: usize = all.iter().map(|section| section.text.len()).sum();
            assert!(kept * 10 > text.len() * 9, "{page}: {kept} of {}", text.len());
            assert!(all.iter().all(|section| !section.heading.starts_with('#')), "{page}");
        }
        assert!(is_heading("## What h2spec says\n") && !is_heading("# begins a server\n") && !is_heading("#!/bin/sh\n"));
    }
}
