//! Folding of Unicode text that every canonical form shares, by Unicode's own tables, so that any language can do the same.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use unicode_normalization::UnicodeNormalization as _;

/// NFKC, lower case, every sigma the same, NFKC again: how e-mail addresses are folded.
///
/// Lower case is taken character by character, without context. A final sigma (`ς`) becomes `σ`, since an address in capitals
/// cannot tell them apart. Full case folding is not used here: `groß@…` and `gross@…` are two mailboxes.
pub(super) fn fold_case(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).nfkc().collect()
}

/// Unicode's full case folding (`CaseFolding.txt`, status C and F): `ß` is `ss`, each sigma is one.
pub(super) fn fold_case_fully(text: &str) -> Cow<'_, str> {
    CaseMapper::new().fold_string(text)
}

/// Takes white space, zero-width characters and byte order marks off both ends: what copying and pasting leaves there.
pub(super) fn trim_pasted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Characters that no screen shows: Unicode's `Default_Ignorable_Code_Point`. Soft hyphen, zero-width and directional marks,
/// joiners, variation selectors, fillers, byte order mark.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use icu_properties::CodePointSetData;
    use icu_properties::props::DefaultIgnorableCodePoint;

    use super::*;

    #[test]
    fn what_is_invisible_is_what_unicode_says() {
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        for c in '\0'..=char::MAX {
            assert_eq!(is_invisible(c), ignorable.contains(c), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn an_address_in_capitals_is_the_one_in_small_letters() {
        assert_eq!(fold_case("ΝΙΚΟΣ@ΠΑΡΑΔΕΙΓΜΑ.example"), fold_case("νικος@παραδειγμα.example"));
        assert_ne!(fold_case("groß"), fold_case("gross"));
    }
}
