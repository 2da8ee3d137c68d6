// Package digest turns raw values into pseudonyms, byte for byte as `selfsame digest` does it; docs/digests.md has the rules.
package digest

import "fmt"

// Refusal is why a value is not digested, for a program.
type Refusal string

// The refusals.
const (
	Empty             Refusal = "EMPTY"
	TooLong           Refusal = "TOO_LONG"
	NotText           Refusal = "NOT_TEXT"
	NewCharacter      Refusal = "NEW_CHARACTER"
	ControlCharacter  Refusal = "CONTROL_CHARACTER"
	Placeholder       Refusal = "PLACEHOLDER"
	NotAnEmail        Refusal = "NOT_AN_EMAIL"
	InvalidDomain     Refusal = "INVALID_DOMAIN"
	NotAnAddress      Refusal = "NOT_AN_ADDRESS"
	NotOfAUser        Refusal = "NOT_OF_A_USER"
	NotAnIBAN         Refusal = "NOT_AN_IBAN"
	Masked            Refusal = "MASKED"
	TestCard          Refusal = "TEST_CARD"
	InvalidKey        Refusal = "INVALID_KEY"
	InvalidDomainRule Refusal = "INVALID_DOMAIN_RULE"
)

var sentences = map[Refusal]string{
	Empty:            "is empty",
	TooLong:          "is too long",
	NotText:          "is not UTF-8",
	NewCharacter:     "holds a character that languages fold differently, such as one that came after Unicode 14.0; send the bundle without it",
	ControlCharacter: "holds a control character",
	Placeholder:      "is a placeholder (such as `n/a`, `null` or zeros), not a value; leave it out",
	NotAnEmail:       "is not an e-mail address",
	InvalidDomain:    "has no valid domain of the internet behind its `@`",
	NotAnAddress:     "is neither an IPv4 nor an IPv6 address; give it without port, prefix length or zone",
	NotOfAUser:       "is an address that tells nothing of a user (loopback, link-local, multicast); a proxy may hide the real one",
	NotAnIBAN:        "looks like an IBAN, and its length or its check digits do not fit",
	Masked:           "shows a part of a number only, which many people share; give the fingerprint of your payment processor",
	TestCard:         "is a test card of a payment provider's documentation, which everybody's test accounts share; leave it out",
}

// Error is a value that is not digested: leave it out of the bundle, and send the rest. It never shows the value.
type Error struct {
	Refusal Refusal
	detail  string
}

// Error is the sentence, for a person.
func (e *Error) Error() string {
	if e.detail != "" {
		return e.detail
	}
	return "the value " + sentences[e.Refusal]
}

func refused(refusal Refusal) error { return &Error{Refusal: refusal} }

func refusedFor(refusal Refusal, detail string, values ...any) error {
	return &Error{Refusal: refusal, detail: fmt.Sprintf(detail, values...)}
}
