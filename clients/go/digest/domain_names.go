package digest

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

const (
	labelBytesMax  = 63
	domainBytesMax = 253
)

// profile is UTS #46 without transitional processing; hyphens at the third and fourth place are allowed, at the ends they are looked for here.
var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.CheckHyphens(false),
	idna.CheckJoiners(true), idna.BidiRule(), idna.VerifyDNSLength(true))

// asciiDomain is the domain, folded as an address is, in lower-case ASCII and without the root dot.
func asciiDomain(folded string) (string, error) {
	domain := strings.TrimSuffix(folded, ".")
	if domain == "" {
		return "", refused(NotAnEmail)
	}
	if _, err := netip.ParseAddr(domain); err == nil || strings.HasPrefix(domain, "[") {
		return "", refused(InvalidDomain)
	}
	// What x/net knows of these is older; it is asked after them.
	if decoded, err := idna.Punycode.ToUnicode(domain); strings.ContainsFunc(domain, newInDomains.has) || (err == nil && strings.ContainsFunc(decoded, newInDomains.has)) {
		return "", refused(NewCharacter)
	}
	if hasMixedLabel(domain) {
		return "", refused(InvalidDomain)
	}
	ascii, err := profile.ToASCII(domain)
	if err != nil || len(ascii) > domainBytesMax || !strings.Contains(ascii, ".") {
		return "", refused(InvalidDomain)
	}
	shown, err := profile.ToUnicode(ascii)
	if err != nil {
		return "", refused(InvalidDomain)
	}
	if strings.ContainsFunc(shown, newCharacters.has) {
		return "", refused(NewCharacter)
	}
	for _, label := range append(strings.Split(ascii, "."), strings.Split(shown, ".")...) {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", refused(InvalidDomain)
		}
	}
	for _, label := range strings.Split(ascii, ".") {
		if len(label) > labelBytesMax {
			return "", refused(InvalidDomain)
		}
	}
	return ascii, nil
}

// hasMixedLabel: a label looks like the ASCII form of one, and is not ASCII. x/net would drop a part of it.
func hasMixedLabel(domain string) bool {
	shown := keep(domain, func(c rune) bool { return !invisible.has(c) })
	for _, part := range strings.FieldsFunc(shown, func(c rune) bool { return strings.ContainsRune(".。．｡", c) }) {
		if strings.HasPrefix(part, "xn--") && strings.ContainsFunc(part, func(c rune) bool { return c > 0x7f }) {
			return true
		}
	}
	return false
}
