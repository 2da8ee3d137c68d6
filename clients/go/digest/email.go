package digest

// E-mail addresses: the canonical form, and what is left of it as providers' aliases, digits and the domain are folded away.

import (
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	addressBytesMax      = 254
	localPartBytesMax    = 64
	patternCharactersMin = 3
	// Characters that no mailbox name has outside quotes.
	refusedInLocalPart = "\"()<>[],:;\\@"
)

// classes of domains, in the order in which the lists are asked.
var classes = []string{"DISPOSABLE", "RELAY", "FREE_MAIL", "CORPORATE"}

var byDomain, byAccount = func() (map[string]*provider, map[string]*provider) {
	direct, accounts := map[string]*provider{}, map[string]*provider{}
	for at := range tables.Providers {
		found := &tables.Providers[at]
		for _, domain := range found.Domains {
			direct[domain] = found
			if found.Account {
				accounts[domain] = found
			}
		}
	}
	return direct, accounts
}()

// DomainRules is what is known of e-mail domains: the shipped lists and providers, and over them what your own files say. The zero value is what is
// shipped. Mailbox digests depend on the rules, so all who digest for one programme must use the same files.
type DomainRules struct {
	classes map[string]string
	plus    map[string]bool
}

// AddFile adds the content of a file: a domain a line, then what it is; `#` begins a comment. Nothing of it counts when a line cannot be read.
func (r *DomainRules) AddFile(text string) error {
	added := DomainRules{classes: maps.Clone(r.classes), plus: maps.Clone(r.plus)}
	if added.classes == nil {
		added = DomainRules{classes: map[string]string{}, plus: map[string]bool{}}
	}
	for index, line := range strings.Split(text, "\n") {
		stated, _, _ := strings.Cut(line, "#")
		words := strings.Fields(trim(stated))
		if len(words) == 0 {
			continue
		}
		typed, err := typedText(words[0])
		if err != nil {
			return refusedFor(InvalidDomainRule, "line %d does not begin with a domain, like `mail.example`", index+1)
		}
		domain, err := asciiDomain(foldCase(typed))
		if err != nil {
			return refusedFor(InvalidDomainRule, "line %d does not begin with a domain, like `mail.example`", index+1)
		}
		if !added.take(domain, words[1:]) {
			return refusedFor(InvalidDomainRule, "line %d needs a word like `disposable` or `folds_plus` behind its domain", index+1)
		}
	}
	*r = added
	return nil
}

func (r *DomainRules) take(domain string, words []string) bool {
	for _, word := range words {
		switch of := strings.ReplaceAll(strings.ToUpper(word), "-", "_"); of {
		case "FOLDS_PLUS", "KEEPS_PLUS":
			r.plus[domain] = of == "FOLDS_PLUS"
		case "DISPOSABLE", "RELAY", "FREE_MAIL", "CORPORATE":
			r.classes[domain] = of
		default:
			return false
		}
	}
	return len(words) > 0
}

// ClassOf is `DISPOSABLE`, `RELAY`, `FREE_MAIL` or `CORPORATE`; of a domain in ASCII.
func (r *DomainRules) ClassOf(domain string) string {
	for _, parent := range parents(domain) {
		if own, ok := r.classes[parent]; ok {
			return own
		}
	}
	shortest := registrableLength(domain)
	for _, class := range classes {
		for _, parent := range parents(domain) {
			if len(parent) >= shortest && tables.Domains[class].has(parent) {
				return class
			}
		}
	}
	return "CORPORATE"
}

// foldsPlus is what your own files say of a `+` at the domain, and whether they say anything.
func (r *DomainRules) foldsPlus(domain string) (folds, isSaid bool) {
	for _, parent := range parents(domain) {
		if folds, isSaid = r.plus[parent]; isSaid {
			return folds, true
		}
	}
	return false, false
}

// EmailAddress is a valid address in its exact form.
type EmailAddress struct {
	localPart, domain string
}

// ParseEmail takes a text as it was typed.
func ParseEmail(typed string) (EmailAddress, error) {
	none := EmailAddress{}
	text, err := typedText(typed)
	if err != nil {
		return none, err
	}
	switch {
	case text == "":
		return none, refused(Empty)
	case len(text) > 4*addressBytesMax:
		return none, refused(TooLong)
	case isPlaceholder(text):
		return none, refused(Placeholder)
	}
	folded := foldCase(text)
	at := strings.LastIndexByte(folded, '@')
	if at <= 0 {
		return none, refused(NotAnEmail)
	}
	localPart := folded[:at]
	if len(localPart) > localPartBytesMax {
		return none, refused(TooLong)
	}
	if strings.ContainsFunc(localPart, isRefusedInLocalPart) {
		return none, refused(NotAnEmail)
	}
	domain, err := asciiDomain(folded[at+1:])
	switch {
	case err != nil:
		return none, err
	case len(localPart)+1+len(domain) > addressBytesMax:
		return none, refused(TooLong)
	case isPlaceholderEmail(localPart, domain):
		return none, refused(Placeholder)
	}
	return EmailAddress{localPart, domain}, nil
}

func isRefusedInLocalPart(c rune) bool {
	return strings.ContainsRune(refusedInLocalPart, c) || whiteSpace.has(c) || invisible.has(c) || unicode.IsControl(c)
}

// Exact is `local@domain`.
func (a EmailAddress) Exact() string { return a.localPart + "@" + a.domain }

// Domain is the domain in ASCII, as it was typed.
func (a EmailAddress) Domain() string { return a.domain }

// Mailbox is what the address is delivered to, as far as its provider's rules and your own tell.
func (a EmailAddress) Mailbox(rules *DomainRules) Mailbox {
	folds, isSaid := rules.foldsPlus(a.domain)
	found, account, parent := providerOf(a.domain)
	if found == nil {
		if folds {
			return Mailbox{withoutTag(a.localPart, "+"), a.domain}
		}
		return Mailbox(a)
	}
	name, domain, tags := a.localPart, a.domain, found.Tags
	if account != "" {
		name, domain = account, parent
	}
	if isSaid && !folds {
		tags = strings.ReplaceAll(tags, "+", "")
	}
	name = without(withoutTag(name, tags), found.Ignored)
	if found.Same != "" {
		name = strings.ReplaceAll(name, found.Same[:1], found.Same[1:])
	}
	if found.Canonical != "" {
		domain = found.Canonical
	}
	return Mailbox{name, domain}
}

// PlusFolded is the address cut at its `+` where nobody knows whether that begins a tag; empty where the mailbox has the answer.
func (a EmailAddress) PlusFolded(rules *DomainRules) string {
	folds, isSaid := rules.foldsPlus(a.domain)
	found, _, _ := providerOf(a.domain)
	if folds || (!isSaid && found != nil) {
		return ""
	}
	return withoutTag(a.localPart, "+") + "@" + a.domain
}

// Mailbox is an address with the aliases folded that its provider delivers to one inbox.
type Mailbox struct {
	localPart, domain string
}

// Address is `local@domain`.
func (m Mailbox) Address() string { return m.localPart + "@" + m.domain }

// Domain is the domain, with the provider's alias domains folded.
func (m Mailbox) Domain() string { return m.domain }

// BareLocalPart is the local part without `.`, `_` and `-`, unless nothing would remain.
func (m Mailbox) BareLocalPart() string { return without(m.localPart, "._-") }

// Pattern is the mailbox without digits; empty when fewer than three characters would remain.
func (m Mailbox) Pattern() string {
	letters := strings.Trim(keep(m.localPart, func(c rune) bool { return c < '0' || c > '9' }), "._-+")
	if utf8.RuneCountInString(letters) < patternCharactersMin {
		return ""
	}
	return letters + "@" + m.domain
}

// withoutTag cuts at the first tag character that is not the first character.
func withoutTag(localPart, tags string) string {
	_, first := utf8.DecodeRuneInString(localPart)
	if at := strings.IndexAny(localPart[first:], tags); at >= 0 {
		return localPart[:first+at]
	}
	return localPart
}

func without(localPart, unwanted string) string {
	if kept := keep(localPart, func(c rune) bool { return !strings.ContainsRune(unwanted, c) }); kept != "" {
		return kept
	}
	return localPart
}

// providerOf is the provider of a domain; with the account and the provider's domain, when the domain is an account's own.
func providerOf(domain string) (found *provider, account, parent string) {
	if own, ok := byDomain[domain]; ok {
		return own, "", ""
	}
	for _, candidate := range parents(domain)[1:] {
		if of, ok := byAccount[candidate]; ok {
			before := strings.TrimSuffix(domain, "."+candidate)
			return of, before[strings.LastIndexByte(before, '.')+1:], candidate
		}
	}
	return nil, "", ""
}

// registrableLength is the length from which a parent counts, by the rules that can matter: the label before a public suffix, and the suffix.
func registrableLength(domain string) int {
	for _, parent := range parents(domain) {
		if !tables.Suffixes.has(parent) {
			continue
		}
		before := strings.TrimSuffix(strings.TrimSuffix(domain, parent), ".")
		if before == "" {
			return len(domain)
		}
		return len(before[strings.LastIndexByte(before, '.')+1:]) + 1 + len(parent)
	}
	return 0
}

// parents are the domain itself, then each parent.
func parents(domain string) []string {
	all := []string{domain}
	for rest := domain; ; {
		_, parent, isParent := strings.Cut(rest, ".")
		if !isParent {
			return all
		}
		all, rest = append(all, parent), parent
	}
}
