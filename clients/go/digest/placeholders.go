package digest

// Placeholders: what programs, forms and people write where there is no value. Digested, they would make one person of all who have none.

import (
	"strings"
	"unicode/utf8"
)

const repeatedCharactersMin = 8

func isListed(kind, squeezed string) bool { return tables.Placeholders[kind].has(squeezed) }

func squeezed(typed string) string { return keep(foldCase(typed), isLetterOrNumber) }

// isPlaceholder: the text says that there is no value, whatever the value would be.
func isPlaceholder(typed string) bool {
	text := squeezed(typed)
	return trim(typed) != "" && (text == "" || isListed("any", text))
}

// isPlaceholderIdentifier: the text stands where an identifier is missing: none, a made-up one, zeros, or the hash of nothing.
func isPlaceholderIdentifier(typed string) bool {
	text := squeezed(typed)
	digits := strings.TrimPrefix(text, "0x")
	first, width := utf8.DecodeRuneInString(digits)
	isOne := digits != "" && strings.Repeat(digits[:width], len(digits)/width) == digits
	isOne = isOne && (first == '0' || len(digits)/width >= repeatedCharactersMin)
	return isPlaceholder(typed) || isListed("identifier", text) || isOne
}

// isPlaceholderName: a name, typed and folded, is of nobody. `Na` is a family name, and `Jennifer Null` a person.
func isPlaceholderName(typed, folded string) bool {
	isOther := func(c rune) bool { return !isLetterOrNumber(c) }
	isWrittenApart := strings.ContainsFunc(trim(foldCase(typed)), isOther)
	areListed := true
	for _, word := range strings.Split(folded, " ") {
		areListed = areListed && isListed("name, each word", word)
	}
	return (isWrittenApart && isPlaceholder(typed)) || areListed || !strings.ContainsFunc(folded, isLetter)
}

// isPlaceholderEmail: an address, folded, is nobody's mailbox.
func isPlaceholderEmail(localPart, domain string) bool {
	labels := strings.Split(domain, ".")
	name, label, last := squeezed(localPart), squeezed(labels[0]), labels[len(labels)-1]
	if isListed("local part", name) || isListed("last label", last) {
		return true
	}
	isEnding := len(labels) == 3 && (labels[1] == "co" || labels[1] == "com" || labels[1] == "net" || labels[1] == "org")
	if len(labels) != 2 && !isEnding {
		return false
	}
	isMadeUp := isListed("made-up domain", label)
	isNobodys := isListed("nobody's domain", label) || (isMadeUp && (last == "test" || last == "example"))
	if isListed("made-up local part", name) {
		return isMadeUp || isNobodys
	}
	return isListed("everyday local part", name) && (isNobodys || (isMadeUp && name == label))
}
