package digest

// Identifiers that somebody else made, and payment instruments: one text for each, by what the text is.

import (
	"errors"
	"strings"
	"unicode"
)

// Kind is what a payment instrument is; KindUnknown lets the text tell.
type Kind string

// The kinds.
const (
	KindUnknown     Kind = ""
	KindCard        Kind = "CARD"
	KindSEPA        Kind = "SEPA"
	KindPayPal      Kind = "PAYPAL"
	KindBankAccount Kind = "BANK_ACCOUNT"
	KindWallet      Kind = "WALLET"
	KindOther       Kind = "OTHER"
)

const (
	identifierBytesMax = 1024
	numberDigitsMin    = 8
	payPalIDCharacters = 13
	maskedDigitsMax    = 10
	lengthSlipMax      = 2
	label              = "IBAN"
	separators         = "-./\u2010\u2011\u2012\u2013\u2014\u2015"
	hiding             = "*•●·#xX…"
)

// Identifier is an opaque identifier: its ends are cleaned, nothing else.
func Identifier(typed string) (string, error) {
	text, err := typedText(typed)
	switch {
	case err != nil:
		return "", err
	case text == "":
		return "", refused(Empty)
	case len(text) > identifierBytesMax:
		return "", refused(TooLong)
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", refused(ControlCharacter)
	case isPlaceholderIdentifier(text):
		return "", refused(Placeholder)
	}
	return text, nil
}

// Instrument is a payment instrument as it was typed or as the processor gave it.
func Instrument(kind Kind, typed string) (string, error) {
	text, err := Identifier(typed)
	if err != nil {
		return "", err
	}
	if behind, isLabelled := withoutLabel(text); isLabelled && isPlaceholderIdentifier(behind) {
		return "", refused(Placeholder)
	}
	if isMasked(text) {
		return "", refused(Masked)
	}
	canonical, err := byKind(kind, text)
	if err != nil {
		return "", err
	}
	isOfTheSeries := len(canonical) == 16 && isDigits(canonical) && strings.HasPrefix(canonical, "400000")
	if tables.TestCards.has(canonical) || isOfTheSeries {
		return "", refused(TestCard)
	}
	return canonical, nil
}

func byKind(kind Kind, text string) (string, error) {
	switch kind {
	case KindSEPA, KindBankAccount:
		return ibanOrNumber(text)
	case KindCard:
		return number(text), nil
	case KindPayPal:
		if strings.Contains(text, "@") {
			return exact(text)
		}
		if len(text) == payPalIDCharacters && !strings.ContainsFunc(text, func(c rune) bool { return !isAlphanumeric(c) }) {
			return strings.ToUpper(text), nil
		}
		return text, nil
	case KindWallet, KindOther, KindUnknown:
		address, err := exact(text)
		var fault *Error
		if err == nil || (errors.As(err, &fault) && (fault.Refusal == Placeholder || fault.Refusal == NewCharacter)) {
			return address, err
		}
		return ibanOrNumber(text)
	default:
		return "", errors.New("digest: not a kind of payment instrument")
	}
}

func exact(text string) (string, error) {
	address, err := ParseEmail(text)
	if err != nil {
		return "", err
	}
	return address.Exact(), nil
}

func ibanOrNumber(text string) (string, error) {
	if found, err := iban(text); found != "" || err != nil {
		return found, err
	}
	return number(text), nil
}

func isSeparator(c rune) bool { return strings.ContainsRune(separators, c) || whiteSpace.has(c) }

func isDigit(c rune) bool { return c >= '0' && c <= '9' }

func isAlphanumeric(c rune) bool {
	return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

func unseparated(text string) string { return keep(text, func(c rune) bool { return !isSeparator(c) }) }

// number is the digits of a number that is written with separators; the text itself when anything else is in it.
func number(text string) string {
	if digits := unseparated(text); len(digits) >= numberDigitsMin && isDigits(digits) {
		return digits
	}
	return text
}

// isMasked: digits between characters that hide others, and nothing else.
func isMasked(text string) bool {
	hidden, digits := 0, 0
	for _, c := range text {
		switch {
		case strings.ContainsRune(hiding, c):
			hidden++
		case isDigit(c):
			digits++
		case !isSeparator(c):
			return false
		}
	}
	return hidden >= 2 && digits <= maskedDigitsMax
}

// withoutLabel is what stands behind the word `IBAN`, and whether it begins the text.
func withoutLabel(text string) (string, bool) {
	if len(text) < len(label) || upper(text[:len(label)]) != label {
		return "", false
	}
	return strings.TrimLeftFunc(text[len(label):], func(c rune) bool { return c == ':' || isSeparator(c) }), true
}

// iban is the IBAN in capitals without separators; empty for a text that was not meant as one.
func iban(text string) (string, error) {
	behind, isLabelled := withoutLabel(text)
	if !isLabelled {
		return ibanNumber(text, false)
	}
	if len(behind)+len(label) < len(text) {
		return ibanNumber(behind, true)
	}
	// `IBANDE89…` without a separator is a label only if a number follows it.
	if found, err := ibanNumber(behind, false); err == nil {
		return found, nil
	}
	return "", nil
}

func ibanNumber(text string, isLabelled bool) (string, error) {
	kept := unseparated(text)
	capitals := upper(kept)
	if len(capitals) < 2 {
		return "", nil
	}
	expected, isCountry := tables.IBANLengths[capitals[:2]]
	rest := capitals[2:]
	if !isCountry || strings.Trim(rest[:min(2, len(rest))], "0123456789") != "" || strings.ContainsFunc(rest, func(c rune) bool { return !isAlphanumeric(c) }) {
		return "", nil
	}
	isOneCase := kept == capitals || kept == lower(capitals)
	isSeparated := len(kept) < len(text) || isLabelled
	isMeant := isOneCase || isSeparated
	if len(capitals) == expected {
		if remainder(capitals) == 1 {
			return capitals, nil
		}
	} else {
		slip := max(len(capitals)-expected, expected-len(capitals))
		isMeant = isSeparated || (slip <= lengthSlipMax && isOneCase)
	}
	if isMeant {
		return "", refused(NotAnIBAN)
	}
	return "", nil
}

// remainder is that of ISO 7064, MOD 97-10: the first four characters behind the others, letters as 10 to 35. A valid number leaves 1.
func remainder(capitals string) int {
	rest := 0
	for _, c := range capitals[4:] + capitals[:4] {
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest
}

// upper makes capitals of ASCII letters alone.
func upper(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 'a' + 'A'
		}
		return c
	}, text)
}

// lower makes small letters of ASCII letters alone.
func lower(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c - 'A' + 'a'
		}
		return c
	}, text)
}
