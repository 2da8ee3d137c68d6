package digest

// People's names, folded so that order, case, accents and punctuation do not matter, and no two people of any script become one.

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	nameBytesMax = 512
	lettersMin   = 3
	spacingAcute = " \u0301"
)

// FoldName is the folded name, and its words in the order in which they were typed.
func FoldName(typed string) (folded, inOrder string, err error) {
	text, err := typedText(typed)
	if err != nil {
		return "", "", err
	}
	if len(text) > nameBytesMax {
		return "", "", refused(TooLong)
	}
	words := wordsOf(text)
	folded = strings.Join(slices.Sorted(slices.Values(words)), " ")
	switch {
	case text == "":
		return "", "", refused(Empty)
	case isPlaceholderName(text, folded):
		return "", "", refused(Placeholder)
	}
	return folded, strings.Join(words, " "), nil
}

// PersonOfName is the text that compares a name, its words in order, with an address; empty when fewer than three letters are left.
func PersonOfName(inOrder string) string { return person(inOrder) }

// PersonOfMailbox is the text that compares an address with a name; empty when fewer than three letters are left.
func PersonOfMailbox(mailbox Mailbox) string {
	return person(strings.Join(wordsOf(withoutTag(mailbox.localPart, "+")), " "))
}

func person(words string) string {
	var kept []string
	letters := 0
	for _, part := range strings.FieldsFunc(words, func(c rune) bool { return c == ' ' || unicode.IsNumber(c) }) {
		if part = strings.TrimLeftFunc(part, unicode.IsMark); part != "" {
			kept = append(kept, part)
			letters += utf8.RuneCountInString(part)
		}
	}
	if letters < lettersMin {
		return ""
	}
	return strings.Join(kept, " ")
}

func wordsOf(typed string) []string {
	return strings.FieldsFunc(spelled(foldedCase(typed)), func(c rune) bool { return c == ' ' })
}

// foldedCase takes out what no screen shows and apostrophes, then folds for compatibility caseless matching (D146).
func foldedCase(typed string) string {
	shown := func(text string) string { return keep(text, func(c rune) bool { return !isSilent(c) }) }
	visible := norm.NFD.String(shown(norm.NFKD.String(typed)))
	visible = norm.NFD.String(strings.ReplaceAll(visible, spacingAcute, ""))
	once := norm.NFKD.String(foldCaseFully(visible))
	twice := norm.NFKD.String(foldCaseFully(once))
	return norm.NFD.String(norm.NFC.String(shown(twice)))
}

// spelled has the words, in NFC: accents dropped, other marks kept with their letters, single letters spelled, all else a space.
func spelled(decomposed string) string {
	var kept strings.Builder
	base := rune(-1)
	for _, character := range decomposed {
		switch {
		case unicode.IsMark(character):
			if base >= 0 && !isAccent(base, character) {
				kept.WriteRune(character)
			}
		case unicode.IsLetter(character) || unicode.IsNumber(character):
			base = character
			if spelling, ok := tables.Letters[string(character)]; ok {
				kept.WriteString(spelling)
			} else {
				kept.WriteRune(character)
			}
		default:
			base = -1
			kept.WriteByte(' ')
		}
	}
	return norm.NFC.String(kept.String())
}

func isAccent(base, mark rune) bool {
	if latin.has(base) || greek.has(base) {
		return true
	}
	if !cyrillic.has(base) {
		return false
	}
	composed := norm.NFC.String(string([]rune{base, mark}))
	return utf8.RuneCountInString(composed) > 1 || strings.Contains("ёѐѝ", composed)
}
