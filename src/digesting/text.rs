//! Folding of Unicode text that every canonical form shares. Works on one character at a time, so that any language can do it.

use unicode_normalization::UnicodeNormalization as _;

/// NFKC, lower case, NFKC again.
///
/// Lower case is taken character by character, without context (a Greek capital sigma becomes `σ` everywhere).
pub(super) fn fold_case(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// Takes white space, zero-width characters and byte order marks off both ends: what copying and pasting leaves there.
pub(super) fn trim_pasted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Characters that no screen shows: soft hyphen, zero-width and directional marks, joiners, byte order mark.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}
