//! People's names, folded so that order, case, accents and punctuation do not matter, and no two people of any script become one.

use icu_properties::props::{EnumeratedProperty as _, GeneralCategory, GeneralCategoryGroup, Script};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::compose;

use super::placeholders::is_placeholder_name;
use super::text::{fold_case_fully, is_invisible, trim_pasted};

/// The longest name as typed, in bytes. Judgement.
const NAME_BYTES_MAX: usize = 512;

/// Letters that Unicode does not decompose and that people write in two ways.
const LETTERS: &[(char, &str)] =
    &[('æ', "ae"), ('œ', "oe"), ('ø', "o"), ('ł', "l"), ('đ', "d"), ('ð', "d"), ('þ', "th"), ('ħ', "h"), ('ı', "i")];

/// Composed Cyrillic letters whose mark is left out in everyday writing, or only says where the stress lies.
const ACCENTED_CYRILLIC: &[char] = &['ё', 'ѐ', 'ѝ'];

/// A person's name, folded: words of letters and digits without accents, in Unicode's folded case and NFKC, sorted, with one space
/// between them.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName {
    folded: String,
    /// The same words in the order in which they were typed.
    in_order: String,
}

/// The text is not a name. No variant shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidName {
    /// No letter and no digit.
    #[error("the name holds no letter")]
    Empty,
    /// More than 512 bytes.
    #[error("the name is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// `N/A`, `unknown`, `Test User`, digits.
    #[error("is a placeholder (such as `n/a` or `test user`), not a name; leave it empty")]
    Placeholder,
}

impl PersonName {
    /// Folds a name as it was typed: given and family names in any order, with any accents and punctuation.
    ///
    /// Apostrophes go (`O'Brien` is `obrien`); all else that is neither letter, mark nor digit ends a word (`Smith-Jones` is two).
    ///
    /// # Errors
    /// [`InvalidName`]: send the bundle without the name.
    pub fn parse(typed: &str) -> Result<Self, InvalidName> {
        let typed = trim_pasted(typed);
        if typed.len() > NAME_BYTES_MAX {
            return Err(InvalidName::TooLong);
        }
        let in_order = words_in_order(typed);
        let mut words: Vec<&str> = in_order.split(' ').collect();
        words.sort_unstable();
        let folded = words.join(" ");
        if typed.is_empty() {
            Err(InvalidName::Empty)
        } else if is_placeholder_name(typed, &folded) {
            Err(InvalidName::Placeholder)
        } else if folded.is_empty() {
            Err(InvalidName::Empty)
        } else {
            Ok(Self { folded, in_order })
        }
    }

    /// The folded name.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The words of the folded name in the order in which they were typed, with one space between them.
    pub(super) fn in_order(&self) -> &str {
        &self.in_order
    }
}

/// The words of a text, each folded as those of a name are, in order and with one space between them.
pub(super) fn words_in_order(typed: &str) -> String {
    let spelled = spelled(&folded_case(typed));
    spelled.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// What no screen shows and apostrophes taken out, then Unicode's folding for compatibility caseless matching (definition D146).
///
/// All of it is done to the decomposed text, so that a name has one folding in every normal form: `\u{1ffd}` is `´` in two of them, and a
/// space with an accent over it in the other two.
fn folded_case(typed: &str) -> String {
    let decomposed: String = typed.nfkd().filter(|c| !is_silent(*c)).nfd().collect();
    let shown: String = decomposed.replace(SPACING_ACUTE, "").nfd().collect();
    let once: String = fold_case_fully(&shown).nfkd().collect();
    let twice: String = fold_case_fully(&once).nfkd().collect();
    twice.chars().filter(|c| !is_silent(*c)).nfc().nfd().collect()
}

/// What `´`, which people write for an apostrophe, is decomposed: a space with an acute accent over it.
const SPACING_ACUTE: &str = " \u{301}";

/// The words, in NFC: accents dropped, other marks kept with their letters, single letters spelled, all else a space.
fn spelled(decomposed: &str) -> String {
    let mut words = String::with_capacity(decomposed.len());
    let mut base = None;
    for c in decomposed.chars() {
        let category = GeneralCategory::for_char(c);
        if GeneralCategoryGroup::Mark.contains(category) {
            if base.is_some_and(|base| !is_accent(base, c)) {
                words.push(c);
            }
        } else if GeneralCategoryGroup::Letter.contains(category) || GeneralCategoryGroup::Number.contains(category) {
            base = Some(c);
            match LETTERS.iter().find(|(letter, _)| *letter == c) {
                Some((_, spelling)) => words.push_str(spelling),
                None => words.push(c),
            }
        } else {
            base = None;
            words.push(' ');
        }
    }
    words.nfc().collect()
}

/// Whether a mark over a letter is an accent, which people leave out as they please, and not part of what the letter says.
///
/// Latin and Greek marks are accents. In Cyrillic `й`, `ї` and `ў` are letters of their own, so only what stands over `е` and the sign of
/// stress go. Everywhere else (vowel signs of India and of South-East Asia, points of Hebrew and Arabic, voicing marks of kana) a
/// mark tells one name from another.
fn is_accent(base: char, mark: char) -> bool {
    match Script::for_char(base) {
        Script::Latin | Script::Greek => true,
        Script::Cyrillic => compose(base, mark).is_none_or(|letter| ACCENTED_CYRILLIC.contains(&letter)),
        _ => false,
    }
}

/// Apostrophes, what is used as one, the stroke that only stretches an Arabic word, and what no screen shows.
fn is_silent(c: char) -> bool {
    is_invisible(c)
        || matches!(
            c,
            '\'' | '`' | '\u{2bb}' | '\u{2bc}' | '\u{5f3}' | '\u{640}' | '\u{2018}' | '\u{2019}' | '\u{2032}' | '\u{ff07}'
        )
}

/// Shows nothing of the name.
impl std::fmt::Debug for PersonName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonName([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(typed: &str) -> String {
        PersonName::parse(typed).unwrap().folded
    }

    #[test]
    fn order_accents_case_and_punctuation_do_not_matter() {
        for (one, other) in [
            ("Jane Doe", "DOE, Jane"),
            ("José Ángel Núñez", "jose angel nunez"),
            ("Anne-Marie O’Brien", "O'brien Anne Marie"),
            ("Anne-Marie O´Brien", "O＇Brien Anne\u{ad} Marie"),
            ("Jürgen Groß", "Jurgen Gross"),
            ("JÜRGEN GROẞ", "Jürgen GROSS"),
            ("Łukasz Sørensen", "Lukasz Sorensen"),
            ("  Jane\u{a0}\tDoe ", "Jane Doe"),
            ("Kaʻiulani", "Ka'iulani"),
            ("İpek Işık", "ipek isik"),
        ] {
            assert_eq!(folded(one), folded(other));
        }
        assert_eq!(folded("Doe, Jane"), "doe jane");
    }

    #[test]
    fn one_name_of_any_script_is_one_however_it_is_written() {
        for (one, other) in [
            ("ΓΙΩΡΓΟΣ ΠΑΠΑΔΟΠΟΥΛΟΣ", "Γιώργος Παπαδόπουλος"),
            ("ΦΌΡΙΣ", "φορισ"),
            ("АЛЁНА СЕМЁНОВА", "Алена Семенова"),
            ("Ива\u{301}н", "Иван"),
            ("արև", "ԱՐԵՒ"),
            ("ᲜᲘᲜᲝ", "ნინო"),
            ("ｻﾞｷﾔﾏ", "ザキヤマ"),
            ("ガク", "カ\u{3099}ク"),
            ("각", "\u{1100}\u{1161}\u{11a8}"),
            ("की\u{200d}रण", "कीरण"),
            ("क़ासिम", "क\u{93c}ासिम"),
            ("محـمـد", "محمد"),
            ("ﻣﺤﻤﺪ", "محمد"),
            ("צ׳רלי", "צ'רלי"),
            ("กำพล", "ก\u{e4d}าพล"),
        ] {
            assert_eq!(folded(one), folded(other), "{one}");
        }
    }

    #[test]
    fn different_people_stay_apart() {
        for (one, other) in [
            ("Jane Doe", "Jan Doe"),
            ("李 小龙", "李 大龙"),
            ("কমল", "কমলা"),       // Bengali: a vowel sign
            ("মিনা", "মীনা"),       // Bengali: short and long
            ("किरण", "कीरण"),     // Devanagari
            ("सज़ा", "सजा"),       // Devanagari: nukta
            ("கமல", "கமலா"),       // Tamil
            ("கண்", "கண"),         // Tamil: virama
            ("రవి", "రవీ"),         // Telugu
            ("ಕಿರಣ", "ಕೀರಣ"),       // Kannada
            ("രവി", "രവീ"),       // Malayalam
            ("ગીતા", "ગિતા"),     // Gujarati
            ("ਸਿਮਰ", "ਸੀਮਰ"),     // Gurmukhi
            ("නිමල", "නීමල"),       // Sinhala
            ("သိန်း", "သီန်း"),       // Myanmar
            ("សុខ", "សូខ"),         // Khmer
            ("ນິດ", "ນີດ"),         // Lao
            ("นิด", "นีด"),         // Thai
            ("ป่า", "ป้า"),         // Thai: tone
            ("བསོད", "བསད"),       // Tibetan
            ("ガク", "カク"),     // katakana: voicing
            ("ハナ", "パナ"),     // katakana: half-voicing
            ("ぎん", "きん"),     // hiragana
            ("דָּן", "דַּן"),         // Hebrew: points
            ("عُمَر", "عِمَر"),       // Arabic: vowels
            ("أمل", "امل"),       // Arabic: hamza
            ("Андрей", "Андреи"), // Cyrillic: й is a letter
            ("Їжак", "Іжак"),     // Ukrainian
        ] {
            assert_ne!(folded(one), folded(other), "{one}");
        }
    }

    /// The text in each of Unicode's normal forms.
    fn normal_forms(text: &str) -> [String; 4] {
        [text.nfc().collect(), text.nfd().collect(), text.nfkc().collect(), text.nfkd().collect()]
    }

    #[test]
    fn an_apostrophe_is_none_of_the_name_in_any_normal_form() {
        for typed in ["O´Brien", "O\u{1ffd}Brien", "O\u{384}Brien", "O\u{1fef}Brien", "O’Brien", "O＇Brien"] {
            for form in normal_forms(typed) {
                assert_eq!(folded(&form), "obrien", "{typed:?} as {form:?}");
            }
        }
    }

    #[test]
    fn a_mark_after_an_apostrophe_stays_in_any_normal_form() {
        for typed in ["অ\u{b4}\u{a01}", "অ\u{1ffd}\u{a01}"] {
            for form in normal_forms(typed) {
                assert_eq!(folded(&form), "অ\u{a01}", "{typed:?} as {form:?}");
            }
        }
    }

    #[test]
    fn punctuation_alone_is_no_name() {
        assert_eq!(PersonName::parse(" \u{200b} "), Err(InvalidName::Empty));
        assert_eq!(PersonName::parse(" -- ' "), Err(InvalidName::Placeholder));
        assert_eq!(PersonName::parse("N/A"), Err(InvalidName::Placeholder));
        assert_eq!(PersonName::parse(&"x".repeat(600)), Err(InvalidName::TooLong));
    }

    /// A letter of a script with marks, and one to three of its own marks.
    fn marked() -> impl Strategy<Value = (String, String)> {
        let scripts = prop::sample::select(vec![
            ('\u{995}', '\u{9bf}', '\u{9c0}'),
            ('\u{915}', '\u{93f}', '\u{940}'),
            ('\u{b95}', '\u{bbf}', '\u{bc0}'),
            ('\u{1780}', '\u{17b7}', '\u{17b8}'),
            ('\u{e01}', '\u{e34}', '\u{e35}'),
            ('\u{5d3}', '\u{5b8}', '\u{5b7}'),
            ('\u{30ab}', '\u{3099}', '\u{309a}'),
            ('\u{1000}', '\u{102d}', '\u{102e}'),
        ]);
        (scripts, 1_usize..4).prop_map(|((base, one, other), letters)| {
            let word = |mark: char| format!("{}{mark}", base.to_string().repeat(letters));
            (word(one), word(other))
        })
    }

    /// All of Unicode, and more often what is decomposed, what is silent, and marks.
    fn any_text() -> impl Strategy<Value = String> {
        let decomposed = prop::sample::select(vec![
            '\u{b4}', '\u{384}', '\u{385}', '\u{1ffd}', '\u{1fef}', '\u{1fbd}', '\u{1fce}', '\u{a8}', '\u{b8}', '\u{2017}',
            '\u{149}', '\u{1e9e}', '\u{130}', '\u{fb03}', '\u{1f80}', '\u{3131}', '\u{ac01}', '\u{ff76}', '\u{ff9e}', '\u{958}',
            '\u{e33}', '\u{fe70}', '\u{fdfa}', '\u{116}', ' ', '\'', 'a', '\u{995}', '\u{430}', '\u{3b1}',
        ]);
        let marks = prop::sample::select(vec![
            '\u{301}', '\u{308}', '\u{327}', '\u{345}', '\u{9bf}', '\u{a01}', '\u{3099}', '\u{5b8}', '\u{200d}',
        ]);
        let mixed = prop::collection::vec(prop_oneof![decomposed, marks, any::<char>()], 0..12);
        prop_oneof![any::<String>(), mixed.prop_map(String::from_iter)]
    }

    proptest! {
        #[test]
        fn a_folded_name_folds_to_itself(typed in "\\PC{0,30}") {
            if let Ok(name) = PersonName::parse(&typed) {
                prop_assert_eq!(folded(name.folded()), name.folded());
            }
        }

        #[test]
        fn all_of_unicode_folds_to_itself_in_any_normal_form(typed in any_text()) {
            if let Ok(name) = PersonName::parse(&typed) {
                prop_assert_eq!(folded(name.folded()), name.folded());
                for form in normal_forms(&typed) {
                    match PersonName::parse(&form) {
                        Ok(same) => prop_assert_eq!(same.folded(), name.folded(), "as {:?}", form),
                        // A letter can have eighteen in its decomposition.
                        Err(error) => prop_assert!(error == InvalidName::TooLong && form.len() > typed.len(), "{:?}: {}", form, error),
                    }
                }
            }
        }

        #[test]
        fn two_marks_are_two_names((one, other) in marked()) {
            prop_assert_ne!(folded(&one), folded(&other));
        }

        #[test]
        fn capitals_are_the_same_name(typed in "[\\p{Latin}\\p{Greek}\\p{Cyrillic}\\p{Armenian}\\p{Adlam}]{1,12}") {
            if let Ok(name) = PersonName::parse(&typed) {
                let capitals = typed.to_uppercase();
                // `ŉ` and its like are apostrophes and letters; their capitals are too.
                if let Ok(capitals) = PersonName::parse(&capitals) {
                    prop_assert_eq!(capitals.folded(), name.folded());
                }
            }
        }
    }
}
